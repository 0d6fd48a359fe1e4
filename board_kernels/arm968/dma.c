/* A queue in memory in front of the controller's own, which holds two. */
#pragma GCC optimize("Os")

#include "chip.h"
#include "dma.h"
#include "runtime.h"

enum { QUEUE = 64, CONTROLLER = 2 };

static struct transfer {
    uint32_t sdram, tcm, descriptor;
} queue[QUEUE];
static volatile uint32_t queued, started, done;

/* Hand transfers to the controller while it takes them; interrupts are off. */
static void start_waiting(void)
{
    while (started != queued && started - done < CONTROLLER) {
        const struct transfer *next = &queue[started % QUEUE];
        DMA[DMA_SDRAM] = next->sdram;
        DMA[DMA_TCM] = next->tcm;
        DMA[DMA_DESCRIPTOR] = next->descriptor;
        started++;
    }
}

static void on_done(void)
{
    DMA[DMA_CONTROL] = DMA_CLEAR_DONE;
    done++;
    start_waiting();
}

static void on_error(void)
{
    runtime_stop(ERROR_DMA);
}

void dma_start(void)
{
    DMA[DMA_CONTROL] = DMA_RESET_FIRST;
    DMA[DMA_CONTROL] = DMA_RESET_SECOND;
    DMA[DMA_GLOBAL] = DMA_INTERRUPTS;
    runtime_on_interrupt(SOURCE_DMA_DONE, 0, on_done);
    runtime_on_interrupt(SOURCE_DMA_ERROR, 1, on_error);
}

void dma_restart(void)
{
    queued = started = done = 0;
}

static dma_ticket push(uint32_t tcm, uint32_t sdram, uint32_t bytes, uint32_t direction)
{
    const uint32_t odd = (tcm | sdram | bytes) & 7;

    if (bytes == 0)
        return queued;
    if (odd & 3)
        runtime_stop(ERROR_ALIGNMENT);
    if (queued - done == QUEUE)
        dma_wait(queued - QUEUE + 1);
    runtime_interrupts_off();
    queue[queued % QUEUE] = (struct transfer){
        sdram, tcm, (odd ? 0 : DMA_DOUBLE_WORDS) | DMA_BURST_16 | direction | bytes};
    queued++;
    start_waiting();
    runtime_interrupts_on();
    return queued;
}

dma_ticket dma_read(void *tcm, uint32_t sdram, uint32_t bytes)
{
    return push((uint32_t)tcm, sdram, bytes, 0);
}

dma_ticket dma_write(const void *tcm, uint32_t sdram, uint32_t bytes)
{
    return push((uint32_t)tcm, sdram, bytes, DMA_TO_SDRAM);
}

dma_ticket dma_last(void)
{
    return queued;
}

void dma_wait(dma_ticket ticket)
{
    runtime_interrupts_off();
    while ((int32_t)(done - ticket) < 0)
        runtime_sleep();
    runtime_interrupts_on();
}

void dma_drain(void)
{
    dma_wait(queued);
}
