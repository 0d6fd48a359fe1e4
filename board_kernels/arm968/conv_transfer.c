/* What a convolution reads and writes. */
#pragma GCC optimize("Os")

#include "conv.h"

#include <string.h>

void conv_load_tables(const struct task_conv *task)
{
    dma_read((void *)task->table_memory, task->tables, task->table_bytes);
    memset((void *)task->clear_from, 0, task->clear_bytes);
}

/* There is a list for whole tiles, for fewer rows, for fewer images, for fewer of both. */
void conv_load_list(const struct task_conv *task, const struct cursor *at)
{
    const int32_t which = (at->rows < task->tile_rows) + 2 * (at->images < task->tile_images);

    dma_read((void *)task->list_memory, task->lists + which * task->list_bytes, task->list_bytes);
    dma_drain();
}

/* One image's rows of one chunk: those of the map are read, the others become 0. */
static void load_map(const struct task_conv *task, const struct cursor *at, int32_t rows,
                     uint32_t tile, uint32_t map)
{
    int32_t y = at->top;

    map += y * task->in_row_bytes;
    if (task->whole_rows && y >= 0 && y + rows <= task->in_height) {
        dma_read((void *)tile, map, rows * task->in_row_bytes);
        return;
    }
    for (; rows > 0; rows--) {
        if (y < 0 || y >= task->in_height)
            memset((void *)tile, 0, task->row_pitch);
        else
            dma_read((void *)(tile + task->read_to), map + task->read_from, task->read_bytes);
        tile += task->row_pitch;
        map += task->row_unit * task->in_row_bytes;
        y += task->row_unit;
    }
}

void conv_load_input(const struct task_conv *task, const struct cursor *at)
{
    const struct conv_list *list = (const struct conv_list *)task->list_memory;
    const int32_t chunks = slice_chunks(task, at);
    const uint32_t image_bytes = task->in_chunks * task->in_map_bytes;
    uint32_t tile = task->input_memory[at->in_buffer];
    uint32_t image =
        task->input + at->image * image_bytes + at->slice * task->slice_chunks * task->in_map_bytes;

    for (int32_t i = 0; i < at->images; i++) {
        if (task->single_pixels)
            dma_read((void *)tile, image, chunks * PIXEL_BYTES);
        else
            for (int32_t j = 0; j < chunks; j++)
                load_map(task, at, list->in_rows, tile + j * task->chunk_pitch,
                         image + j * task->in_map_bytes);
        tile += task->image_pitch;
        image += image_bytes;
    }
}

void conv_load_weights(const struct task_conv *task, const struct cursor *at)
{
    const struct conv_class *class = class_of(task, at);
    const int32_t first = at->unit * task->unit_blocks;
    const uint32_t bytes = slice_chunks(task, at) * class->chunk_bytes;
    int32_t blocks = smaller(task->unit_blocks, group_blocks(task, at) - first);
    uint32_t from = task->weights + class->weights +
                    (at->group * task->group_chunks * CHUNK_BLOCKS + first) * class->block_bytes +
                    at->slice * task->slice_chunks * class->chunk_bytes;
    uint32_t to = task->weight_memory[at->weight_buffer];

    if (bytes == class->block_bytes) {
        dma_read((void *)to, from, blocks * bytes);
        return;
    }
    for (; blocks > 0; blocks--) {
        dma_read((void *)to, from, bytes);
        from += class->block_bytes;
        to += bytes;
    }
}

/* Move the rows of the tile, chunk by chunk of the group, between a buffer and a tensor. */
static void move_output(const struct task_conv *task, const struct cursor *at, uint32_t tile,
                        uint32_t tensor, int32_t writes)
{
    const int32_t first = at->group * task->group_chunks;
    int32_t chunks = smaller(task->group_chunks, task->out_chunks - first);
    uint32_t bytes = at->rows * task->out_row_bytes;
    uint32_t map = tensor + at->row * task->out_row_bytes +
                   (at->image * task->out_chunks + first) * task->out_map_bytes;

    if (task->single_pixels) {
        bytes = chunks * PIXEL_BYTES;
        chunks = 1;
    }
    for (int32_t image = 0; image < at->images; image++) {
        for (int32_t i = 0; i < chunks; i++) {
            void *rows = (void *)(tile + i * task->out_chunk_pitch);
            if (writes)
                dma_write(rows, map + i * task->out_map_bytes, bytes);
            else
                dma_read(rows, map + i * task->out_map_bytes, bytes);
        }
        tile += task->out_image_pitch;
        map += task->out_chunks * task->out_map_bytes;
    }
}

void conv_load_output(const struct task_conv *task, const struct cursor *at)
{
    const int32_t first = at->group * task->group_chunks;

    if (task->mask)
        move_output(task, at, task->output_memory[at->out_buffer], task->mask, 0);
    if (task->addend)
        move_output(task, at, task->addend_memory[at->out_buffer], task->addend, 0);
    if (task->bias)
        dma_read((void *)task->bias_memory, task->bias + first * CHUNK * 8,
                 smaller(task->group_chunks, task->out_chunks - first) * CHUNK * 8);
}

void conv_store_output(const struct task_conv *task, const struct cursor *at)
{
    move_output(task, at, task->output_memory[at->out_buffer], task->output, 1);
}
