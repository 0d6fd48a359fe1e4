/* What a convolution reads and writes. */
#pragma GCC optimize("Os")

#include "conv.h"

#include <string.h>

static int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static int32_t larger(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

/* One image's rows of one chunk: those of the map are read, the others become 0. */
static void load_map(const struct conv *conv, const struct cursor *at, uint8_t *tile, uint32_t map)
{
    const struct task_conv *task = conv->task;
    const int32_t width = task->in_width, height = task->in_height;
    const int32_t missing =
        divide_up(task->tile_rows, conv->classes) - divide_up(at->tile_rows, conv->classes);
    const int32_t rows = conv->tile_in_rows - missing * (conv->step / conv->row_unit);
    const int32_t top = at->row / conv->classes * conv->step + conv->first_row;
    const int32_t left = larger(0, -conv->first_column), from = larger(0, conv->first_column);
    const int32_t columns = smaller(conv->tile_in_columns - left, width - from);
    const uint32_t bytes = columns * conv->pixel_bytes, row_bytes = width * conv->pixel_bytes;

    if (conv->row_unit == 1 && bytes == row_bytes && bytes == conv->row_pitch && top >= 0 &&
        top + rows <= height) {
        dma_read(tile, map + top * row_bytes, rows * row_bytes);
        return;
    }
    for (int32_t j = 0; j < rows; j++) {
        const int32_t y = top + j * conv->row_unit;
        uint8_t *row = tile + j * conv->row_pitch;
        if (y < 0 || y >= height || columns <= 0)
            memset(row, 0, conv->row_pitch);
        else
            dma_read(row + left * conv->pixel_bytes, map + y * row_bytes + from * conv->pixel_bytes,
                     bytes);
    }
}

void conv_load_input(const struct conv *conv, const struct cursor *at)
{
    const struct task_conv *task = conv->task;
    const uint32_t map_bytes = task->in_height * task->in_width * conv->pixel_bytes;
    const int32_t first = at->slice * (int32_t)task->slice_chunks;
    const int32_t chunks = conv_slice_chunks(conv, at->slice);
    uint8_t *buffer = conv->input[at->in_buffer];

    for (int32_t image = 0; image < at->images; image++) {
        const uint32_t map =
            task->input + ((at->image + image) * conv->in_chunks + first) * map_bytes;
        uint8_t *tile = buffer + image * conv->image_pitch;
        if (conv->single_pixels)
            dma_read(tile, map, chunks * PIXEL_BYTES);
        else
            for (int32_t i = 0; i < chunks; i++)
                load_map(conv, at, tile + i * conv->chunk_pitch, map + i * map_bytes);
    }
}

void conv_load_weights(const struct conv *conv, const struct cursor *at)
{
    const struct task_conv *task = conv->task;
    const uint32_t chunk = conv_taps(conv, at->class) * DOT_GROUP * 16;
    const uint32_t bytes =
        conv->network ? (uint32_t)conv->weight_bytes : conv_slice_chunks(conv, at->slice) * chunk;
    const uint32_t pitch = conv->network ? bytes : conv->in_chunks * chunk;
    const int32_t first = at->unit * (int32_t)task->unit_blocks;
    const int32_t blocks = smaller(task->unit_blocks, conv_group_blocks(conv, at->group) - first);
    uint32_t from = task->weights + conv->class_weights[at->class] +
                    (at->group * (int32_t)task->group_chunks * CHUNK_BLOCKS + first) * pitch +
                    at->slice * task->slice_chunks * chunk;
    uint8_t *to = conv->weights[at->weight_buffer];

    if (bytes == pitch)
        dma_read(to, from, blocks * bytes);
    else
        for (int32_t i = 0; i < blocks; i++, from += pitch, to += bytes)
            dma_read(to, from, bytes);
}

/* Move the rows of the tile, chunk by chunk of the group, between buffer and SDRAM. */
static void move_output(const struct conv *conv, const struct cursor *at, uint8_t *buffer,
                        uint32_t tensor, int32_t writes)
{
    const struct task_conv *task = conv->task;
    const uint32_t row_bytes = task->out_width * PIXEL_BYTES;
    const uint32_t map_bytes = task->out_height * row_bytes;
    const int32_t first = at->group * (int32_t)task->group_chunks;
    int32_t chunks = smaller(task->group_chunks, conv->out_chunks - first);
    uint32_t bytes = at->tile_rows * row_bytes;

    if (conv->single_pixels) {
        bytes = chunks * PIXEL_BYTES;
        chunks = 1;
    }
    for (int32_t image = 0; image < at->images; image++)
        for (int32_t i = 0; i < chunks; i++) {
            uint8_t *tile = buffer + image * conv->out_image_pitch + i * conv->out_chunk_pitch;
            const uint32_t map = tensor + at->row * row_bytes +
                                 ((at->image + image) * conv->out_chunks + first + i) * map_bytes;
            if (writes)
                dma_write(tile, map, bytes);
            else
                dma_read(tile, map, bytes);
        }
}

void conv_load_output(const struct conv *conv, const struct cursor *at)
{
    const struct task_conv *task = conv->task;

    if (task->mask)
        move_output(conv, at, conv->output[at->out_buffer], task->mask, 0);
    if (task->addend)
        move_output(conv, at, conv->addend[at->out_buffer], task->addend, 0);
    if (task->bias)
        dma_read(conv->bias, task->bias + at->group * task->group_chunks * CHUNK * 8,
                 smaller(task->group_chunks, conv->out_chunks - at->group * task->group_chunks) *
                     CHUNK * 8);
}

void conv_store_output(const struct conv *conv, const struct cursor *at)
{
    move_output(conv, at, conv->output[at->out_buffer], conv->task->output, 1);
}
