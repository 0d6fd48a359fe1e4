/* Tasks of convolutions (conv.c). */
#ifndef TASK_CONV_H
#define TASK_CONV_H

#include <stdint.h>

enum { KIND_CONV = 2 };

/* A convolution, or its transpose (the gradient at its input), with everything that is done to the
 * sums: see conv.h. Sizes, rows and channels are those of this task's input and output: the error's
 * and the gradient's where it is transposed. Operands that are absent are 0.
 *
 * The plan: a tile is tile_images whole maps, or tile_rows rows of one map (a multiple of stride
 * where transposed); group_chunks chunks of 32 output channels are finished at a time; slice_chunks
 * chunks of input channels are in memory at a time; weights come unit_blocks blocks of 4 output
 * channels at a time. */
struct task_conv {
    uint32_t header;
    uint32_t input, weights, output, mask, addend, bias, report;
    uint32_t images, in_height, in_width, in_channels, out_height, out_width, out_channels;
    uint32_t kernel_rows, kernel_columns, pad, stride, transposed;
    int32_t shift, acc_shift, addend_shift;
    uint32_t tile_images, tile_rows, group_chunks, slice_chunks, unit_blocks;
    uint32_t input_buffers, output_buffers;
    uint32_t spare[2];
};

#endif
