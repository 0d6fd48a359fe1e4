/* What kernels need of the runtime. */
#ifndef RUNTIME_H
#define RUNTIME_H

#include "task.h"

#include <stdint.h>

/* The memory of the kernel that runs: nothing in it survives a task. */
enum { WORKSPACE_BYTES = 56 * 1024 };
extern uint8_t workspace[WORKSPACE_BYTES];

/* A kernel and the tasks it takes. */
struct task_kernel {
    uint16_t kind, words;
    void (*run)(const void *task);
};

/* At file scope: tasks of this kind, struct task_NAME long, run kernel_NAME. */
#define TASK_KERNEL(kind, kernel, type)                                                            \
    static void run_##kernel(const void *task)                                                     \
    {                                                                                              \
        kernel((const type *)task);                                                                \
    }                                                                                              \
    static const struct task_kernel entry_##kernel                                                 \
        __attribute__((used, section(".task_kernels"))) = {kind, sizeof(type) / 4, run_##kernel}

/* End this core's work: registers, code and the state RTE go to the VCPU block. */
void runtime_stop(uint32_t error) __attribute__((noreturn));

/* Call a function, in IRQ mode, whenever a source of the VIC is raised; slot 0 comes first. */
void runtime_on_interrupt(uint32_t source, uint32_t slot, void (*handler)(void));

/* OR of t ^ (t >> 63) and count of saturations so far in this task; runtime_report writes them. */
void runtime_measure(uint64_t bits, uint32_t saturated);
void runtime_report(uint32_t report);

static inline void runtime_interrupts_off(void)
{
    __asm__ volatile("msr cpsr_c, #0x9f" ::: "memory");
}

static inline void runtime_interrupts_on(void)
{
    __asm__ volatile("msr cpsr_c, #0x1f" ::: "memory");
}

/* Sleep until an interrupt is raised; called with interrupts off, lets it be handled. */
static inline void runtime_sleep(void)
{
    __asm__ volatile("mcr p15, 0, %0, c7, c0, 4" ::"r"(0) : "memory");
    runtime_interrupts_on();
    runtime_interrupts_off();
}

#endif
