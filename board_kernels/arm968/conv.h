/* The parts of a convolution: geometry, tables, transfers, rounding.
 *
 *     output[y][x][c] = round(sum over taps (r, s) and input channels of
 *                             input[y' + r][x' + s] * weight[c][r][s], + bias, + addend, masked)
 *
 * with y' = y * stride - pad. Transposed, outputs fall into stride * stride classes by the
 * remainder of their row and column; a class is a convolution of stride 1 with the taps that meet
 * it, in descending order of the kernel's rows and columns.
 *
 * The input of a tile lies in the data memory with its border of zeros,
 * [chunk][image][row][column], a pixel being 32 channels (4 in the network's input); maps of one
 * pixel lie [image][chunk]. The output lies alike, one spare pixel (for odd counts) behind each
 * chunk. Where there is a mask the output's memory holds it until the output takes its place. */
#ifndef CONV_H
#define CONV_H

#include "dma.h"
#include "dot.h"
#include "task.h"

#include <stdint.h>

enum { CHUNK = 32, PIXEL_BYTES = 64, NETWORK_PIXEL_BYTES = 8, BLOCK = 4, CHUNK_BLOCKS = 8 };
enum { MOST_CLASSES = 4 };

/* One class along one axis: how many taps, and how far the first is from the class's own index. */
struct taps {
    int32_t count, first;
};

/* Which sums may use which way of rounding. */
enum rounding { ROUND_NARROW, ROUND_WIDE, ROUND_GENERAL };

struct conv {
    const struct task_conv *task;
    int32_t step, classes; /* per axis: 1 unless not, or unless transposed */
    struct taps rows[MOST_CLASSES], columns[MOST_CLASSES];
    int32_t first_row, first_column; /* smallest of the taps' */
    int32_t tile_in_rows, tile_in_columns;
    int32_t row_unit; /* input rows from one tile row to the next */
    int32_t network;  /* the input has pixels of 4 channels */
    int32_t in_chunks, out_chunks, slices, groups, blocks;
    uint32_t pixel_bytes, row_pitch, image_pitch, chunk_pitch;
    uint32_t out_image_pitch, out_chunk_pitch, spare_output;
    uint32_t group_bytes;
    int32_t single_pixels;                            /* maps of one pixel, kept [image][chunk] */
    int32_t class_pairs[MOST_CLASSES * MOST_CLASSES]; /* where the class's list begins */
    uint32_t class_weights[MOST_CLASSES * MOST_CLASSES]; /* bytes before the class's weights */
    int32_t pairs;                                       /* in all lists, ends not counted */
    struct dot_pair *list;
    struct dot_segment *segments;
    struct dot_wide *wide;
    int64_t *bias;
    uint8_t *input[2], *weights[2], *output[2], *addend[2];
    uint32_t weight_bytes;
};

/* Where the work is: a unit of weights of a class, slice, group, tile. */
struct cursor {
    int32_t image, row, images, tile_rows; /* the tile */
    int32_t group, slice, class, unit;
    int32_t in_buffer, out_buffer, weight_buffer;
    dma_ticket ready;
};

/* conv_shape.c: derive the geometry and divide the workspace. */
void conv_prepare(struct conv *conv, const struct task_conv *task);
int32_t conv_taps(const struct conv *conv, int32_t class);
int32_t conv_group_blocks(const struct conv *conv, int32_t group);
int32_t conv_slice_chunks(const struct conv *conv, int32_t slice);

/* conv_tables.c: pairs of a tile's pixels; segments of a class's sums over a slice. */
void conv_build_pairs(struct conv *conv, int32_t rows, int32_t images);
void conv_build_segments(struct conv *conv, struct dot *dot, const struct cursor *at,
                         enum rounding rounding);
enum rounding conv_rounding(const struct conv *conv, int32_t class);

/* conv_transfer.c: ask for what goes in and out. */
void conv_load_input(const struct conv *conv, const struct cursor *at);
void conv_load_weights(const struct conv *conv, const struct cursor *at);
void conv_load_output(const struct conv *conv, const struct cursor *at);
void conv_store_output(const struct conv *conv, const struct cursor *at);

/* conv_finish.c: rounding in full generality; with wide = NULL the sums are 0. */
void conv_finish_block(const struct conv *conv, const struct cursor *at, int32_t block,
                       const struct dot_wide *wide);

static inline int32_t divide_up(int32_t a, int32_t b)
{
    return (a + b - 1) / b;
}

#endif
