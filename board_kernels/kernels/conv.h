/* What the convolution kernels share: windows of a source tensor, and scratch arithmetic. */
#ifndef BK_CONV_H
#define BK_CONV_H

#include "bk_kernels.h"
#include "bk_tile.h"

enum { BK__ALIGN = 64 };

static inline int64_t bk__round_up(int64_t value, int64_t step)
{
    return (value + step - 1) / step * step;
}

/* The set's tile for a product of so many columns: the one that pads them least, the first of
 * equals. */
static inline const struct bk_tile *bk__tile_for(int64_t columns)
{
    const struct bk_tile *best = bk_tiles;

    for (const struct bk_tile *tile = bk_tiles; tile->name != NULL; tile++)
        if (bk__round_up(columns, tile->columns) < bk__round_up(columns, best->columns))
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

/* Elements of a window. */
int64_t bk__window_depth(const struct bk__windows *windows);

/* Set row[i], i < count, to the contiguous elements (y, x, channel) of window first + i in (image,
 * i, j) order: in place where the source holds them so, else copied into buffer [count][pitch] and
 * filled up with zeros. */
void bk__window_rows(const struct bk__windows *windows, int64_t first, int64_t count, int64_t pitch,
                     int16_t *buffer, const int16_t **row);

#endif
