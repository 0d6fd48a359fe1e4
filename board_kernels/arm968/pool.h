/* A sweep over a pool's planes: for every segment of a row, the rows of the other tensor that its
 * windows touch ("taps"), one after the other. */
#ifndef POOL_H
#define POOL_H

#include "stream.h"

#include <stdint.h>

enum {
    PIXEL_BYTES = 2 * LANES,
    LONGEST_SEGMENT = 32,  /* pixels of the tensor that is written */
    LONGEST_TAP_ROW = 256, /* pixels of the tensor that is read */
    TAP_BYTES = LONGEST_TAP_ROW * PIXEL_BYTES,
    SEGMENT_BYTES = LONGEST_SEGMENT * PIXEL_BYTES,
};

struct sweep {
    const struct planes *planes;
    int32_t rows, columns; /* of the tensor that is written */
    int32_t segment;       /* columns at a time */
    int backward;          /* 0: taps are rows of input, 1: rows of windows */
};

/* One tap of one segment; first == end for a row without taps, which still is one step. */
struct tap {
    uint32_t chunk, image;
    int32_t row, column, width;
    int32_t first, end, at;
};

void sweep_start(const struct sweep *sweep, struct tap *tap);

/* Go on to the next tap; 0 after the last. */
int sweep_next(const struct sweep *sweep, struct tap *tap);

static inline int is_last(const struct tap *tap)
{
    return tap->at + 1 >= tap->end;
}

static inline int32_t larger(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

static inline int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

#endif
