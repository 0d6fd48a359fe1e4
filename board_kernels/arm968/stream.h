/* Tensors streamed through DTCM: while one tile is worked on, the next is read and the last
 * written.
 */
#ifndef STREAM_H
#define STREAM_H

#include "dma.h"
#include "task_element.h"

#include <stdint.h>

enum {
    TILE_BYTES = 8192,
    TILE_PIXELS = TILE_BYTES / (2 * LANES), /* 128 */
    STREAM_BYTES = 6 * TILE_BYTES, /* of the workspace: two buffers each of three tensors */
};

/* ---- planes ---- */

/* A tile in DTCM, and where in its region it lies: chunk by chunk, and in a chunk image by image.
 */
struct tile {
    const uint32_t *in[2];        /* the first where the second is not there */
    uint32_t *out;                /* in place of the first */
    uint32_t chunk, image, pixel; /* of the first pixel */
    uint32_t pixels;
    uint32_t is_first, is_last; /* of its chunk's tiles */
};

struct stream {
    const struct region *region;
    uint32_t in[2], out; /* SDRAM, 0 where not there */
    struct tile tile, next;
    uint32_t slot;
    dma_ticket read[2];
};

/* Ask for the first tile; region, in and out are set, everything else is 0. */
void stream_start(struct stream *stream);

/* Write back the tile worked on last, and return the next one: NULL after the last. */
const struct tile *stream_next(struct stream *stream);

/* ---- arrays ---- */

enum { ARRAYS = 3 };

/* How an array takes part: bytes of an element, and whether it is read and written. */
#define ARRAY(bytes, read, write) ((bytes) | (read) << 6 | (write) << 7)

/* Arrays of `count` elements that go through DTCM side by side. */
struct spans {
    uint32_t address[ARRAYS]; /* SDRAM */
    uint8_t array[ARRAYS];    /* ARRAY(), or 0 */
    uint32_t count;
    void *data[ARRAYS];
    uint32_t first, length; /* of the span in DTCM */
    uint32_t longest;
    uint32_t slot;
    dma_ticket read[2];
};

/* Ask for the first span of up to three arrays. */
void spans_start(struct spans *spans, uint32_t count, uint32_t first, uint32_t second,
                 uint32_t third, uint32_t arrays);

/* Write back the span worked on last, and go on to the next; returns its length, 0 after the last.
 * Lengths in bytes are rounded up to whole words. */
uint32_t spans_next(struct spans *spans);

/* ---- the rest ---- */

/* What streams leave of the workspace. */
void *kernel_memory(void);

/* Move a few words and wait for them. */
void read_now(void *tcm, uint32_t sdram, uint32_t bytes);
void write_now(const void *tcm, uint32_t sdram, uint32_t bytes);

#endif
