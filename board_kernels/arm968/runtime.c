/* The task loop, interrupts, reports. */
#pragma GCC optimize("Os")

#include "chip.h"
#include "dma.h"
#include "runtime.h"

uint8_t workspace[WORKSPACE_BYTES] __attribute__((aligned(8), section(".workspace")));

extern const struct task_kernel task_kernels[], task_kernels_end[];

static volatile struct vcpu *vcpu;
static uint32_t physical_core;
static uint32_t task[TASK_WORDS] __attribute__((aligned(8)));
static uint64_t measured_bits;
static uint32_t measured_saturated;

void runtime_stop(uint32_t error)
{
    register uint32_t code __asm__("r0") = error;

    __asm__ volatile("svc 0" ::"r"(code) : "memory");
    __builtin_unreachable();
}

void runtime_on_interrupt(uint32_t source, uint32_t slot, void (*handler)(void))
{
    VIC[VIC_VECTOR + slot] = (uint32_t)handler;
    VIC[VIC_CONTROL + slot] = VIC_CONTROL_ENABLE | source;
    VIC[VIC_ENABLE] = 1u << source;
}

/* A new tape, or SC&MP asking whether the core lives: it does once its command is taken. */
static void on_mailbox(void)
{
    SYSTEM_CONTROLLER[SYSTEM_CLEAR_INTERRUPT] = SYSTEM_CODE | 1u << physical_core;
    vcpu->command_to_core = 0;
}

static void on_unexpected(void)
{
}

/* Whether a multiply-accumulate has overflowed since the last call. */
static uint32_t overflowed(void)
{
    uint32_t psr;

    __asm__ volatile("mrs %0, cpsr" : "=r"(psr));
    __asm__ volatile("msr cpsr_f, #0" ::: "cc");
    return psr >> 27 & 1;
}

void runtime_measure(uint64_t bits, uint32_t saturated)
{
    measured_bits |= bits;
    measured_saturated += saturated;
}

void runtime_report(uint32_t address)
{
    static struct report report;

    report = (struct report){(uint32_t)measured_bits, (uint32_t)(measured_bits >> 32),
                             measured_saturated, 0};
    dma_wait(dma_write(&report, address, sizeof report));
}

static void run_task(void)
{
    const uint32_t kind = task[0] & 0xffff, words = task[0] >> 16;
    const struct task_kernel *kernel = task_kernels;

    while (kernel != task_kernels_end && kernel->kind != kind)
        kernel++;
    if (kernel == task_kernels_end)
        runtime_stop(ERROR_KIND);
    if (words != kernel->words)
        runtime_stop(ERROR_WORDS);
    measured_bits = 0;
    measured_saturated = 0;
    dma_restart();
    kernel->run(task);
    dma_drain();
    if (overflowed())
        runtime_stop(ERROR_OVERFLOW);
}

static void run_tape(uint32_t tape)
{
    if (tape & 7)
        runtime_stop(ERROR_ALIGNMENT);
    vcpu->user[2] = 0;
    for (;;) {
        dma_wait(dma_read(task, tape, sizeof task));
        if ((task[0] & 0xffff) == KIND_END)
            return;
        run_task();
        tape += task[0] >> 16 << 2;
        vcpu->user[2]++;
    }
}

void runtime_main(uint32_t app_id, uint32_t physical, volatile struct vcpu *block)
{
    uint32_t sequence = 0;

    vcpu = block;
    physical_core = physical;
    vcpu->app_id = (uint8_t)app_id;
    vcpu->cpu_state = CPU_INIT;
    vcpu->user[3] = 0;
    VIC[VIC_DISABLE] = ~0u;
    VIC[VIC_SELECT] = 0;
    VIC[VIC_DEFAULT] = (uint32_t)on_unexpected;
    dma_start();
    runtime_on_interrupt(SOURCE_MAILBOX, 2, on_mailbox);
    vcpu->cpu_state = CPU_RUN;
    overflowed();
    for (;;) {
        runtime_interrupts_off();
        while (vcpu->user[1] == sequence)
            runtime_sleep();
        runtime_interrupts_on();
        sequence = vcpu->user[1];
        run_tape(vcpu->user[0]);
        vcpu->done = sequence;
    }
}
