/* Transfers between SDRAM and the core's data memory, one after the other in the order asked for,
 * while the core computes. Lengths and addresses are multiples of 4 B, best of 8; a length of 0 is
 * allowed. */
#ifndef DMA_H
#define DMA_H

#include <stdint.h>

/* The number of a transfer, counted from the start of the task: 0 is good for "none". */
typedef uint32_t dma_ticket;

void dma_start(void);

/* Count from 0 again; every transfer is done. */
void dma_restart(void);

/* Queue a transfer; waits where the queue of 64 is full. The memory must stay as it is (write) or
 * unused (read) until dma_wait. */
dma_ticket dma_read(void *tcm, uint32_t sdram, uint32_t bytes);
dma_ticket dma_write(const void *tcm, uint32_t sdram, uint32_t bytes);

/* The last transfer asked for. */
dma_ticket dma_last(void);

/* Sleep until the transfer, and all asked for before it, are done. */
void dma_wait(dma_ticket ticket);

/* Sleep until every transfer is done. */
void dma_drain(void);

#endif
