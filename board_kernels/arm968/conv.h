/* The parts of a convolution: tables, transfers, rounding.
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

enum { CHUNK = 32, PIXEL_BYTES = 64, BLOCK = 4, CHUNK_BLOCKS = 8, MOST_CLASSES = 16 };

/* How a class's sums are rounded: by the inner product, 32 bits or wide, or by conv_finish.c. */
enum rounding { ROUND_NARROW, ROUND_WIDE, ROUND_GENERAL };

enum slice_place { SLICE_FIRST, SLICE_MIDDLE, SLICE_LAST, SLICE_PLACES };

struct conv_class {
    int32_t rounding;
    uint32_t weights;     /* from the packed weights' start */
    uint32_t chunk_bytes; /* of a block's weights; 0: no tap meets the class */
    uint32_t block_bytes;
    struct dot_slice slices[SLICE_PLACES];
};

/* The pixel pairs of a tile: class after class, each list with its end. */
struct conv_list {
    int32_t in_rows; /* that the tile reads */
    uint32_t first[MOST_CLASSES];
    uint32_t spare;
    struct dot_pair pairs[];
};

/* Where the work is: a unit of weights of a class, slice, group, tile. */
struct cursor {
    int32_t image, row, top; /* the tile's first; top: row of the input */
    int32_t images, rows;    /* the tile's size */
    int32_t group, slice, class, unit;
    int32_t in_buffer, out_buffer, weight_buffer;
};

static inline int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static inline int32_t group_blocks(const struct task_conv *task, const struct cursor *at)
{
    const int32_t each = task->group_chunks * CHUNK_BLOCKS;

    return smaller(each, task->blocks - at->group * each);
}

static inline int32_t slice_chunks(const struct task_conv *task, const struct cursor *at)
{
    return smaller(task->slice_chunks, task->in_chunks - at->slice * task->slice_chunks);
}

static inline const struct conv_class *class_of(const struct task_conv *task,
                                                const struct cursor *at)
{
    return (const struct conv_class *)task->table_memory + at->class;
}

/* From a pixel of the group's first chunk to the block's four channels. */
static inline uint32_t block_place(const struct task_conv *task, int32_t block)
{
    return block / CHUNK_BLOCKS * task->out_chunk_pitch +
           block % CHUNK_BLOCKS * (BLOCK * sizeof(int16_t));
}

/* conv_transfer.c: ask for what goes in and out. */
void conv_load_tables(const struct task_conv *task);
void conv_load_list(const struct task_conv *task, const struct cursor *at);
void conv_load_input(const struct task_conv *task, const struct cursor *at);
void conv_load_weights(const struct task_conv *task, const struct cursor *at);
void conv_load_output(const struct task_conv *task, const struct cursor *at);
void conv_store_output(const struct task_conv *task, const struct cursor *at);

/* conv_finish.c: rounding in full generality; with wide = NULL the sums are 0. */
void conv_finish_block(const struct task_conv *task, const struct cursor *at, int32_t block,
                       const struct dot_wide *wide);

#endif
