/* Transfers are done in the order of the queue: a buffer that is being written back can be read into
 * at once, and the buffer of a span that is only written is free when what was read later is there.
 */
#pragma GCC optimize("Os")
#include "stream.h"

#include "runtime.h"

#include <stddef.h>

void *kernel_memory(void)
{
    return workspace + STREAM_BYTES;
}

void read_now(void *tcm, uint32_t sdram, uint32_t bytes)
{
    dma_wait(dma_read(tcm, sdram, bytes));
}

void write_now(const void *tcm, uint32_t sdram, uint32_t bytes)
{
    dma_wait(dma_write(tcm, sdram, bytes));
}

static void *buffer(uint32_t tensor, uint32_t slot)
{
    return workspace + (2 * tensor + slot) * TILE_BYTES;
}

/* ---- planes ---- */

/* Complete the tile at a chunk, an image and a pixel, and ask for it. */
static void request(struct stream *s, struct tile *tile, uint32_t slot)
{
    const struct region *region = s->region;
    const uint32_t left = region->pixels - tile->pixel;
    const uint32_t offset = tile->image * region->image_stride +
                            tile->chunk * region->chunk_stride + tile->pixel * 2 * LANES;

    tile->pixels = left < TILE_PIXELS ? left : TILE_PIXELS;
    tile->is_first = tile->image == 0 && tile->pixel == 0;
    tile->is_last = tile->image == region->images - 1 && left <= TILE_PIXELS;
    for (uint32_t i = 0; i < 2; i++) {
        tile->in[i] = tile->in[0];
        if (s->in[i] != 0) {
            tile->in[i] = buffer(i, slot);
            s->read[slot] = dma_read(buffer(i, slot), s->in[i] + offset, tile->pixels * 2 * LANES);
        }
    }
    tile->out = buffer(0, slot);
}

static void write_back(struct stream *s)
{
    const struct region *region = s->region;
    const struct tile *tile = &s->tile;
    const uint32_t offset = tile->image * region->image_stride +
                            tile->chunk * region->chunk_stride + tile->pixel * 2 * LANES;

    dma_write(tile->out, s->out + offset, tile->pixels * 2 * LANES);
}

/* Go on to the tile after this one; its chunk is past the last after the last tile. */
static void step(const struct region *region, struct tile *tile)
{
    tile->pixel += tile->pixels;
    if (tile->pixel < region->pixels)
        return;
    tile->pixel = 0;
    if (++tile->image < region->images)
        return;
    tile->image = 0;
    tile->chunk++;
}

void stream_start(struct stream *s)
{
    request(s, &s->next, 0);
}

const struct tile *stream_next(struct stream *s)
{
    if (s->tile.pixels != 0 && s->out != 0)
        write_back(s);
    if (s->next.chunk == s->region->chunks)
        return NULL;
    s->tile = s->next;
    step(s->region, &s->next);
    if (s->next.chunk < s->region->chunks)
        request(s, &s->next, s->slot ^ 1);
    dma_wait(s->read[s->slot]);
    s->slot ^= 1;
    return &s->tile;
}

/* ---- arrays ---- */

enum { BYTES = 63, READ = 64, WRITE = 128 };

/* Read or write the arrays' parts of the span at an element. */
static void move(struct spans *s, uint32_t first, uint32_t slot, uint32_t direction)
{
    const uint32_t left = s->count - first;
    const uint32_t length = left < s->longest ? left : s->longest;

    for (uint32_t i = 0; i < ARRAYS; i++) {
        const uint32_t size = s->array[i] & BYTES, bytes = (length * size + 3) & ~3u;
        const uint32_t at = s->address[i] + first * size;
        if (!(s->array[i] & direction))
            continue;
        if (direction == READ)
            s->read[slot] = dma_read(buffer(i, slot), at, bytes);
        else
            dma_write(buffer(i, slot), at, bytes);
    }
}

void spans_start(struct spans *s, uint32_t count, uint32_t first, uint32_t second, uint32_t third,
                 uint32_t arrays)
{
    uint32_t largest = 0;

    *s = (struct spans){.address = {first, second, third}, .count = count};
    for (uint32_t i = 0; i < ARRAYS; i++, arrays >>= 8) {
        s->array[i] = (uint8_t)arrays;
        largest = (arrays & BYTES) > largest ? arrays & BYTES : largest;
    }
    s->longest = TILE_BYTES / largest;
    move(s, 0, 0, READ);
}

uint32_t spans_next(struct spans *s)
{
    const uint32_t slot = s->slot;

    if (s->length != 0)
        move(s, s->first, slot ^ 1, WRITE);
    s->first += s->length;
    s->length = s->count - s->first < s->longest ? s->count - s->first : s->longest;
    if (s->first + s->length < s->count)
        move(s, s->first + s->length, slot ^ 1, READ);
    dma_wait(s->read[slot]);
    for (uint32_t i = 0; i < ARRAYS; i++)
        s->data[i] = buffer(i, slot);
    s->slot ^= 1;
    return s->length;
}
