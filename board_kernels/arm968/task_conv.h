/* Tasks of convolutions (conv.h). The host prepares them: orchestrator/virtual/conv_program.py. */
#ifndef TASK_CONV_H
#define TASK_CONV_H

#include <stdint.h>

enum { KIND_CONV = 2 };

/* A convolution or its transpose, with everything that is done to the sums. Addresses of operands,
 * `tables` and `lists` are in SDRAM, those from `table_memory` on in the workspace. */
struct task_conv {
    uint32_t header;
    uint32_t input, weights, output, mask, addend, bias, report, tables, lists;
    /* The work: images and rows of output by tiles, chunks of output by groups of blocks of 4
     * channels, chunks of input by slices, classes, weights by units of blocks. */
    int32_t images, tile_images, out_height, tile_rows;
    int32_t groups, group_chunks, out_chunks, blocks;
    int32_t slices, slice_chunks, in_chunks, classes, unit_blocks;
    int32_t input_buffers, output_buffers;
    /* The input in SDRAM (bytes of a map, a row; what of a row is read) and in the data memory. */
    uint32_t in_map_bytes, in_row_bytes, read_from, read_to, read_bytes;
    int32_t in_height, first_row, tile_step, row_unit, whole_rows, single_pixels;
    uint32_t row_pitch, image_pitch, chunk_pitch;
    /* The output, likewise; what of the mask's and the addend's memory lies between. */
    uint32_t out_map_bytes, out_row_bytes;
    uint32_t out_image_pitch, out_chunk_pitch, spare_output;
    int32_t shift, acc_shift, addend_shift;
    uint32_t table_memory, table_bytes, list_memory, list_bytes, wide_memory, wide_block;
    uint32_t bias_memory, clear_from, clear_bytes;
    uint32_t input_memory[2], weight_memory[2], output_memory[2], addend_memory[2];
};

#endif
