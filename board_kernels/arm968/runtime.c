/* The task loop and reports. */
#pragma GCC optimize("Os")

#include "chip.h"
#include "dma.h"
#include "runtime.h"

uint8_t workspace[WORKSPACE_BYTES] __attribute__((aligned(8), section(".workspace")));

extern const struct task_kernel task_kernels[], task_kernels_end[];

static uint32_t task[TASK_WORDS] __attribute__((aligned(8)));
static struct report measured;

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
    measured.bits_low |= (uint32_t)bits;
    measured.bits_high |= (uint32_t)(bits >> 32);
    measured.saturated += saturated;
}

void runtime_report(uint32_t address)
{
    dma_wait(dma_write(&measured, address, sizeof measured));
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
    measured = (struct report){0};
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
        monitor_stand_by();
        if ((task[0] & 0xffff) == KIND_END)
            return;
        run_task();
        tape += task[0] >> 16 << 2;
        vcpu->user[2]++;
    }
}

static void kernel_sync(const struct task_sync *wanted)
{
    (void)wanted;
    monitor_sync();
}

TASK_KERNEL(KIND_SYNC, kernel_sync, struct task_sync);

void runtime_main(uint32_t entry, uint32_t physical, volatile struct vcpu *block)
{
    uint32_t sequence = 0;

    monitor_start(entry, physical, block);
    dma_start();
    overflowed();
    for (;;) {
        monitor_stand_by();
        runtime_interrupts_off();
        if (vcpu->user[1] == sequence) {
            runtime_sleep();
            continue;
        }
        runtime_interrupts_on();
        sequence = vcpu->user[1];
        run_tape(vcpu->user[0]);
        vcpu->done = sequence;
    }
}
