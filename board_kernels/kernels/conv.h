/* What the convolution kernels share: windows of a source tensor, and scratch arithmetic. */
#ifndef BK_CONV_H
#define BK_CONV_H

#include "bk_kernels.h"
#include "bk_tile.h"

#include <string.h>

enum { BK__ALIGN = 64 };

static inline int64_t bk__round_up(int64_t value, int64_t step)
{
    return (value + step - 1) / step * step;
}

/* Store pairs a[j], b[j] as words, which vectorises better than two streams of halves. Which half
 * comes first depends on the byte order, but is the same for all operands. */
static inline void bk__interleave(const int16_t *restrict a, const int16_t *restrict b,
                                  int64_t count, int16_t *restrict to)
{
    for (int64_t j = 0; j < count; j++) {
        const uint32_t pair = (uint16_t)a[j] | (uint32_t)(uint16_t)b[j] << 16;
        memcpy(to + 2 * j, &pair, sizeof pair);
    }
}

/* The set's tile for a product of so many columns whose rows are evenly spaced in lines of `line`
 * (0: throughout): the one that pads the columns least, the first of equals. */
static inline const struct bk_tile *bk__tile_for(int64_t columns, int64_t line)
{
    const struct bk_tile *best = bk_tiles;

    for (const struct bk_tile *tile = bk_tiles; tile->name != NULL; tile++)
        if (line % tile->run == 0 &&
            bk__round_up(columns, tile->columns) < bk__round_up(columns, best->columns))
            best = tile;
    return best;
}

/* Scratch of the forward and input gradient products. */
size_t bk__product_scratch_bytes(const struct bk_conv *conv, int pass, int threads);

/* Rows of a product: source [.][height][width][channels]; window (i, j), i < rows, j < columns of
 * each image, is the kh x kw positions from (y0 + i * step, x0 + j * step); zero outside the
 * source. */
struct bk__windows {
    const int16_t *source;
    int64_t height, width, channels;
    int64_t kh, kw;
    int64_t rows, columns;
    int64_t y0, x0, step;
};

/* The windows of a convolution over its input x, one for each output position. */
static inline struct bk__windows bk__windows_of(const struct bk_conv *conv, const int16_t *x)
{
    return (struct bk__windows){
        .source = x,
        .height = conv->h,
        .width = conv->w,
        .channels = conv->c,
        .kh = conv->r,
        .kw = conv->s,
        .rows = conv->p,
        .columns = conv->q,
        .y0 = -conv->pad,
        .x0 = -conv->pad,
        .step = conv->stride,
    };
}

/* How a window lies in a packed column: segments, each filled up with zeros. */
struct bk__segments {
    int64_t count, length, padded;
};

struct bk__segments bk__window_segments(const struct bk__windows *windows,
                                        const struct bk_tile *tile);

/* Lines of windows (all of one i) that are read at a time, and bytes of buffer for them. */
int64_t bk__lines_per_block(const struct bk__windows *windows, const struct bk_tile *tile);
size_t bk__window_buffer_bytes(const struct bk__windows *windows, const struct bk_tile *tile);

/* Set row[] to the windows of `count` lines from line `first` of all images, reading in place or
 * copying into the buffer. */
void bk__window_rows(const struct bk__windows *windows, const struct bk_tile *tile, int64_t first,
                     int64_t count, int16_t *buffer, const int16_t **row);

/* Most bursts of a window, and writing them: steps along the rows of bk__window_rows, against a
 * packed panel. fits: no sum leaves 32 bits, however many products it has. */
int64_t bk__window_bursts(const struct bk__windows *windows, const struct bk_tile *tile);
void bk__window_steps(const struct bk__windows *windows, const struct bk_tile *tile, int fits,
                      struct bk_burst *bursts, struct bk_steps *steps);

/* Of sets that read whole windows only: set row[i], i < count, to the contiguous elements (y, x,
 * channel) of window first + i in (image, i, j) order: in place where the source holds them so, else
 * copied into buffer [count][pitch] and filled up with zeros. */
void bk__gather_windows(const struct bk__windows *windows, int64_t first, int64_t count,
                        int64_t pitch, int16_t *buffer, const int16_t **row);

#endif
