/* What kernels need of the runtime. */
#ifndef RUNTIME_H
#define RUNTIME_H

#include "monitor.h"
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

/* OR of t ^ (t >> 63) and count of saturations so far in this task; runtime_report writes them. */
void runtime_measure(uint64_t bits, uint32_t saturated);
void runtime_report(uint32_t report);

#endif
