/* Sums of channels (the gradient of a bias) and the rounding of sums into a total. */
#include "dma.h"
#include "round16.h"
#include "runtime.h"

#include <stddef.h>

#pragma GCC optimize("Os")

enum {
    CHUNK = 32,
    CHUNK_BYTES = 64,
    POSITIONS = 256, /* of a block: 256 * 2^15 fit 32 bits */
    ACCUMULATED = 1024,
};

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Add a block of positions: two channels of a word at a time. */
static void add_positions(const uint32_t *e, uint32_t positions, int64_t *sums)
{
    for (uint32_t pair = 0; pair < CHUNK / 2; pair++) {
        const uint32_t *word = e + pair;
        int32_t low = 0, high = 0;
        for (uint32_t i = 0; i < positions; i++, word += CHUNK / 2) {
            low += (int16_t)*word;
            high += (int32_t)*word >> 16;
        }
        sums[2 * pair] += low;
        sums[2 * pair + 1] += high;
    }
}

/* A cursor over the positions of a chunk in all images. */
struct block {
    uint32_t n, position, count;
    dma_ticket read;
};

static void read_block(const struct task_channel_sums *t, uint32_t chunk, struct block *block,
                       uint32_t half)
{
    const uint32_t plane = block->n * t->all_chunks + chunk;

    block->count = 0;
    if (block->n == t->n)
        return;
    block->count = smaller(POSITIONS, t->positions - block->position);
    block->read = dma_read(workspace + half * POSITIONS * CHUNK_BYTES,
                           t->e + (plane * t->positions + block->position) * CHUNK_BYTES,
                           block->count * CHUNK_BYTES);
}

static struct block after(const struct task_channel_sums *t, struct block block)
{
    block.position += block.count;
    if (block.position == t->positions) {
        block.position = 0;
        block.n++;
    }
    return block;
}

static void kernel_channel_sums(const struct task_channel_sums *t)
{
    int64_t *sums = (int64_t *)(void *)(workspace + 2 * POSITIONS * CHUNK_BYTES);

    for (uint32_t chunk = t->chunk_first; chunk < t->chunk_first + t->chunks; chunk++) {
        struct block block = {0};
        uint32_t half = 0;
        for (uint32_t i = 0; i < CHUNK; i++)
            sums[i] = 0;
        read_block(t, chunk, &block, half);
        while (block.count != 0) {
            struct block next = after(t, block);
            read_block(t, chunk, &next, half ^ 1);
            dma_wait(block.read);
            add_positions((const uint32_t *)(void *)(workspace + half * POSITIONS * CHUNK_BYTES),
                          block.count, sums);
            block = next;
            half ^= 1;
        }
        dma_wait(dma_write(sums, t->sums + chunk * CHUNK * 8, CHUNK * 8));
    }
}

TASK_KERNEL(KIND_CHANNEL_SUMS, kernel_channel_sums, struct task_channel_sums);

/* A part of the sums, and of the total behind it. */
static struct values {
    int64_t v[ACCUMULATED];
    int32_t total[ACCUMULATED];
} *values_of(uint32_t half)
{
    return (struct values *)(void *)(workspace + half * sizeof(struct values));
}

static dma_ticket read_values(const struct task_accumulate *t, uint32_t at, uint32_t half)
{
    const uint32_t count = smaller(ACCUMULATED, t->count - at);

    if (!t->measure)
        dma_read(values_of(half)->total, t->total + 4 * at, 4 * count);
    return dma_read(values_of(half)->v, t->v + 8 * at, 8 * count);
}

static void kernel_accumulate(const struct task_accumulate *t)
{
    struct rounding rounding = {t->shift, 0, 0};
    dma_ticket read, next = read_values(t, 0, 0);
    uint32_t half = 0;

    for (uint32_t at = 0; at < t->count; at += ACCUMULATED, half ^= 1) {
        const uint32_t count = smaller(ACCUMULATED, t->count - at);
        struct values *values = values_of(half);
        read = next;
        if (at + count < t->count)
            next = read_values(t, at + count, half ^ 1);
        dma_wait(read);
        add_rounded(&rounding, values->v, 2, count, t->measure ? NULL : values->total);
        if (!t->measure)
            dma_write(values->total, t->total + 4 * at, 4 * count);
    }
    runtime_measure(rounding.bits, rounding.saturated);
    runtime_report(t->report);
}

TASK_KERNEL(KIND_ACCUMULATE, kernel_accumulate, struct task_accumulate);
