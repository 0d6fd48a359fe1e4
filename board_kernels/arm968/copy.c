/* SDRAM to SDRAM: the next block is read while the last one is written. */
#pragma GCC optimize("Os")

#include "dma.h"
#include "runtime.h"

enum { BLOCK = WORKSPACE_BYTES / 2 };

static void kernel_copy(const struct task_copy *task)
{
    uint32_t at = 0, half = 0;

    while (at < task->bytes) {
        const uint32_t bytes = task->bytes - at < BLOCK ? task->bytes - at : BLOCK;
        uint8_t *block = workspace + half * BLOCK;

        /* Transfers run in order: the read waits in the queue for the block's last write. */
        dma_read(block, task->source + at, bytes);
        dma_write(block, task->target + at, bytes);
        at += bytes;
        half ^= 1;
    }
}

TASK_KERNEL(KIND_COPY, kernel_copy, struct task_copy);
