/* Geometry of a convolution task, and the division of the workspace. */
#pragma GCC optimize("Os")

#include "conv.h"
#include "runtime.h"

#include <stddef.h>

static struct taps taps_of(const struct task_conv *task, int32_t size, int32_t class)
{
    const int32_t stride = task->stride, pad = task->pad;
    int32_t lowest, highest;

    if (!task->transposed)
        return (struct taps){size, -pad};
    lowest = (class + pad) % stride;
    if (lowest >= size)
        return (struct taps){0, 0};
    highest = size - 1 - (size - 1 - lowest) % stride;
    return (struct taps){(highest - lowest) / stride + 1, (class + pad - highest) / stride};
}

/* Fill in an axis's classes; return the smallest first and the reach from it to the last tap. */
static int32_t measure_axis(const struct conv *conv, struct taps *classes, int32_t size,
                            int32_t *first)
{
    int32_t lowest = INT32_MAX, highest = INT32_MIN;

    for (int32_t i = 0; i < conv->classes; i++) {
        const struct taps taps = classes[i] = taps_of(conv->task, size, i);
        if (taps.count == 0)
            continue;
        if (taps.first < lowest)
            lowest = taps.first;
        if (taps.first + taps.count > highest)
            highest = taps.first + taps.count;
    }
    *first = lowest;
    return highest - lowest;
}

int32_t conv_taps(const struct conv *conv, int32_t class)
{
    return conv->rows[class / conv->classes].count * conv->columns[class % conv->classes].count;
}

int32_t conv_group_blocks(const struct conv *conv, int32_t group)
{
    const int32_t each = conv->task->group_chunks * CHUNK_BLOCKS;
    const int32_t left = conv->blocks - group * each;

    return left < each ? left : each;
}

int32_t conv_slice_chunks(const struct conv *conv, int32_t slice)
{
    const int32_t each = conv->task->slice_chunks;
    const int32_t left = conv->in_chunks - slice * each;

    return left < each ? left : each;
}

static void shape_input(struct conv *conv)
{
    const struct task_conv *task = conv->task;
    const int32_t rows = measure_axis(conv, conv->rows, task->kernel_rows, &conv->first_row);
    const int32_t columns =
        measure_axis(conv, conv->columns, task->kernel_columns, &conv->first_column);

    conv->row_unit = rows == 1 ? conv->step : 1;
    conv->tile_in_rows =
        (divide_up(task->tile_rows, conv->classes) - 1) * (conv->step / conv->row_unit) + rows;
    conv->tile_in_columns = (divide_up(task->out_width, conv->classes) - 1) * conv->step + columns;
    conv->pixel_bytes = conv->network ? NETWORK_PIXEL_BYTES : PIXEL_BYTES;
    conv->row_pitch = conv->tile_in_columns * conv->pixel_bytes;
    conv->image_pitch = conv->tile_in_rows * conv->row_pitch;
    conv->chunk_pitch = task->tile_images * conv->image_pitch;
    if (conv->single_pixels) {
        conv->chunk_pitch = PIXEL_BYTES;
        conv->image_pitch = task->slice_chunks * PIXEL_BYTES;
    }
}

static void shape_output(struct conv *conv)
{
    const struct task_conv *task = conv->task;

    conv->out_image_pitch = task->tile_rows * task->out_width * PIXEL_BYTES;
    conv->spare_output = task->tile_images * conv->out_image_pitch;
    conv->out_chunk_pitch = conv->spare_output + PIXEL_BYTES;
    conv->group_bytes = task->group_chunks * conv->out_chunk_pitch;
    if (conv->single_pixels) {
        conv->out_chunk_pitch = PIXEL_BYTES;
        conv->out_image_pitch = task->group_chunks * PIXEL_BYTES;
        conv->spare_output = task->tile_images * conv->out_image_pitch;
    }
}

/* Where each class's weights and pixel pairs begin. */
static void shape_classes(struct conv *conv)
{
    uint32_t weights = 0;

    for (int32_t i = 0; i < conv->classes * conv->classes; i++) {
        conv->class_weights[i] = weights;
        weights += (uint32_t)conv->out_chunks * CHUNK_BLOCKS * conv->in_chunks *
                   conv_taps(conv, i) * DOT_GROUP * 16;
    }
}

static int32_t most_pairs(const struct conv *conv)
{
    const struct task_conv *task = conv->task;
    const int32_t count = conv->classes;

    return count * count *
           ((int32_t)task->tile_images * divide_up(task->tile_rows, count) *
                divide_up(task->out_width, count) / 2 +
            1);
}

static void *take(uint8_t **at, uint32_t bytes)
{
    uint8_t *taken = *at;

    if (bytes > (uint32_t)(workspace + WORKSPACE_BYTES - taken))
        runtime_stop(ERROR_SHAPE);
    *at = taken + ((bytes + 7) & ~7u);
    return taken;
}

/* Halo and spare pixels are never written: cleared once, they stay 0. */
static void *take_clear(uint8_t **at, uint32_t bytes)
{
    uint8_t *taken = take(at, bytes);

    for (uint32_t i = 0; i < bytes; i += 32) {
        uint32_t *words = (uint32_t *)(taken + i);
        words[0] = words[1] = words[2] = words[3] = 0;
        words[4] = words[5] = words[6] = words[7] = 0;
    }
    return taken;
}

static void divide_workspace(struct conv *conv)
{
    const struct task_conv *task = conv->task;
    const uint32_t input =
        ((task->slice_chunks - 1) * conv->chunk_pitch +
         (task->tile_images - 1) * conv->image_pitch + conv->tile_in_rows * conv->row_pitch + 31) &
        ~31u;
    const uint32_t output = (conv->group_bytes + 31) & ~31u;
    const int32_t pairs = most_pairs(conv), most = conv->classes * conv->classes;
    int32_t most_taps = 0;
    uint32_t wide = 1;
    uint8_t *at = workspace + 128;

    for (int32_t i = 0; i < most; i++)
        if (conv_taps(conv, i) > most_taps)
            most_taps = conv_taps(conv, i);
    conv->weight_bytes = task->slice_chunks * most_taps * DOT_GROUP * 16;
    if (conv->network)
        conv->weight_bytes = most_taps * 32;
    if (conv->slices > 1)
        wide = pairs * task->group_chunks * CHUNK_BLOCKS;
    else
        for (int32_t i = 0; i < most; i++)
            if (conv_rounding(conv, i) == ROUND_GENERAL)
                wide = pairs;
    conv->list = take(&at, (pairs + most) * sizeof(struct dot_pair));
    conv->segments = take(&at, (task->slice_chunks * most_taps + 1) * sizeof(struct dot_segment));
    conv->wide = take(&at, wide * sizeof(struct dot_wide));
    conv->bias = task->bias ? take(&at, task->group_chunks * CHUNK * 8) : NULL;
    for (uint32_t i = 0; i < 2; i++) {
        conv->weights[i] = take(&at, conv->weight_bytes * task->unit_blocks);
        conv->input[i] = i < task->input_buffers ? take_clear(&at, input) : conv->input[0];
        conv->output[i] = i < task->output_buffers ? take_clear(&at, output) : conv->output[0];
        conv->addend[i] = !task->addend              ? NULL
                          : i < task->output_buffers ? take_clear(&at, output)
                                                     : conv->addend[0];
    }
}

void conv_prepare(struct conv *conv, const struct task_conv *task)
{
    conv->task = task;
    conv->step = task->transposed ? 1 : task->stride;
    conv->classes = task->transposed ? task->stride : 1;
    if (conv->classes > MOST_CLASSES)
        runtime_stop(ERROR_SHAPE);
    conv->network = !task->transposed && task->in_channels <= 4;
    conv->single_pixels = task->in_height * task->in_width * task->out_height * task->out_width *
                              task->kernel_rows * task->kernel_columns ==
                          1;
    conv->single_pixels = conv->single_pixels && !conv->network;
    conv->in_chunks = divide_up(task->in_channels, CHUNK);
    conv->out_chunks = divide_up(task->out_channels, CHUNK);
    conv->blocks = divide_up(task->out_channels, BLOCK);
    conv->slices = divide_up(conv->in_chunks, task->slice_chunks);
    conv->groups = divide_up(conv->out_chunks, task->group_chunks);
    shape_input(conv);
    shape_output(conv);
    shape_classes(conv);
    divide_workspace(conv);
}
