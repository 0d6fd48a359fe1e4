/* Convolutions and their transposes (conv.h): the order of the work, and the inner loop's calls.
 *
 * A step is one unit of weights. While it computes, what the next step needs is on its way. */
#pragma GCC optimize("Os")

#include "conv.h"
#include "runtime.h"

#include <stddef.h>
#include <string.h>

static struct conv conv;

static int32_t units(const struct cursor *at)
{
    if (conv_taps(&conv, at->class) == 0)
        return 1;
    return divide_up(conv_group_blocks(&conv, at->group), conv.task->unit_blocks);
}

static void enter_tile(struct cursor *at)
{
    const int32_t images = conv.task->images - at->image, rows = conv.task->out_height - at->row;

    at->images =
        images < (int32_t)conv.task->tile_images ? images : (int32_t)conv.task->tile_images;
    at->tile_rows = rows < (int32_t)conv.task->tile_rows ? rows : (int32_t)conv.task->tile_rows;
}

/* Go to the next class, slice, group, tile; returns whether there is one. */
static int32_t next_class(struct cursor *at)
{
    at->unit = 0;
    if (++at->class < conv.classes * conv.classes)
        return 1;
    at->class = 0;
    if (++at->slice < conv.slices)
        return 1;
    at->slice = 0;
    at->out_buffer ^= conv.task->output_buffers - 1;
    if (++at->group < conv.groups)
        return 1;
    at->group = 0;
    at->row += at->tile_rows;
    if (at->row >= (int32_t)conv.task->out_height) {
        at->row = 0;
        at->image += at->images;
    }
    enter_tile(at);
    return at->image < (int32_t)conv.task->images;
}

/* Go to the next step; classes without taps have one, in the last slice. */
static int32_t next_step(struct cursor *at)
{
    at->weight_buffer ^= 1;
    if (++at->unit < units(at))
        return 1;
    do
        if (!next_class(at))
            return 0;
    while (conv_taps(&conv, at->class) == 0 && at->slice < conv.slices - 1);
    return 1;
}

static int32_t same_output(const struct cursor *a, const struct cursor *b)
{
    return a->group == b->group && a->row == b->row && a->image == b->image;
}

static int32_t same_input(const struct cursor *a, const struct cursor *b)
{
    return a->row == b->row && a->image == b->image &&
           (conv.slices == 1 || (a->slice == b->slice && a->group == b->group));
}

/* A class that no tap meets: its sums are 0. */
static void finish_empty_class(const struct cursor *at)
{
    for (int32_t block = 0; block < conv_group_blocks(&conv, at->group); block++)
        conv_finish_block(&conv, at, block, NULL);
}

static void run_block(struct dot *dot, const struct cursor *at, enum rounding rounding,
                      int32_t block)
{
    const int32_t class_pairs = conv.class_pairs[at->class] - at->class;
    const int32_t pairs = conv.pairs - conv.classes * conv.classes;
    struct dot_wide *wide = conv.wide;
    const uint32_t place = block / CHUNK_BLOCKS * conv.out_chunk_pitch +
                           block % CHUNK_BLOCKS * (BLOCK * sizeof(int16_t));

    if (conv.slices > 1)
        wide += block * pairs + class_pairs;
    dot->wide = wide;
    dot->wide_step = conv.slices > 1 || rounding == ROUND_GENERAL ? sizeof *wide : 0;
    dot->pair = conv.list + conv.class_pairs[at->class];
    dot->output = (uint32_t)conv.output[at->out_buffer] + place;
    dot->addend = (uint32_t)conv.addend[at->out_buffer] + place;
    dot_run();
    if (rounding == ROUND_GENERAL && at->slice == conv.slices - 1)
        conv_finish_block(&conv, at, block, wide);
}

static void run_step(struct dot *dot, const struct cursor *at)
{
    const enum rounding rounding = conv_rounding(&conv, at->class);
    const int32_t first = at->unit * (int32_t)conv.task->unit_blocks;
    const int32_t blocks = conv_group_blocks(&conv, at->group);
    int32_t last = first + conv.task->unit_blocks;
    const uint8_t *weights = conv.weights[at->weight_buffer];

    if (conv_taps(&conv, at->class) == 0) {
        finish_empty_class(at);
        return;
    }
    if (at->unit == 0)
        conv_build_segments(&conv, dot, at, rounding);
    dot->input = (uint32_t)conv.input[at->in_buffer];
    dot->bits = dot->bits_low = dot->saturated = 0;
    for (int32_t block = first; block < blocks && block < last; block++) {
        dot->weights = (const uint32_t *)weights;
        weights += conv.network ? conv.weight_bytes
                                : (uint32_t)conv_slice_chunks(&conv, at->slice) *
                                      conv_taps(&conv, at->class) * DOT_GROUP * 16;
        run_block(dot, at, rounding, block);
    }
    runtime_measure(rounding == ROUND_NARROW ? dot->bits
                                             : (uint64_t)dot->bits << 8 | (dot->bits_low & 255),
                    dot->saturated);
}

/* Channels that only fill the last chunk are 0 (a mask brings them). */
static void clear_filling(const struct cursor *at)
{
    const int32_t blocks = conv_group_blocks(&conv, at->group);
    const int32_t bytes = blocks % CHUNK_BLOCKS * (BLOCK * (int32_t)sizeof(int16_t));
    uint8_t *pixel = conv.output[at->out_buffer] + blocks / CHUNK_BLOCKS * conv.out_chunk_pitch;
    const uint32_t step = conv.single_pixels ? conv.out_image_pitch : PIXEL_BYTES;

    if (bytes == 0)
        return;
    for (uint32_t i = 0; i < conv.spare_output; i += step)
        memset(pixel + i + bytes, 0, PIXEL_BYTES - bytes);
}

/* Bring what `next` needs and `at` has not got; as long as `at` has still to compute (early), only
 * what has a buffer of its own. */
static void load_change(const struct cursor *at, const struct cursor *next, int32_t early)
{
    const int32_t output_early = conv.task->output_buffers == 2 && !conv.task->bias;
    const int32_t input_early = conv.task->input_buffers == 2;

    if (!same_output(at, next) && output_early == early)
        conv_load_output(&conv, next);
    if (!same_input(at, next) && input_early == early)
        conv_load_input(&conv, next);
}

/* `next` follows `at`, which has been computed: what the tile and the output's buffer need. */
static void enter_step(const struct cursor *at, const struct cursor *next, dma_ticket stored)
{
    if (at->tile_rows != next->tile_rows || at->images != next->images)
        conv_build_pairs(&conv, next->tile_rows, next->images);
    if (same_output(at, next))
        return;
    dma_wait(stored);
    if (!conv.task->mask)
        clear_filling(next);
}

static void kernel_conv(const struct task_conv *task)
{
    struct dot *dot = (struct dot *)workspace;
    struct cursor at = {0}, next;
    dma_ticket stored[2] = {0, 0}; /* the last write of each output buffer */
    int32_t more = 1;

    conv_prepare(&conv, task);
    enter_tile(&at);
    while (conv_taps(&conv, at.class) == 0 && at.slice < conv.slices - 1)
        next_class(&at);
    conv_load_input(&conv, &at);
    conv_load_output(&conv, &at);
    conv_load_weights(&conv, &at);
    at.ready = dma_last();
    conv_build_pairs(&conv, at.tile_rows, at.images);
    while (more) {
        dma_wait(at.ready);
        next = at;
        more = next_step(&next);
        if (more) {
            if (!same_input(&at, &next))
                next.in_buffer ^= task->input_buffers - 1;
            load_change(&at, &next, 1);
            conv_load_weights(&conv, &next);
        }
        run_step(dot, &at);
        if (!more || !same_output(&at, &next)) {
            conv_store_output(&conv, &at);
            stored[at.out_buffer] = dma_last();
        }
        if (more) {
            load_change(&at, &next, 0);
            next.ready = dma_last();
            enter_step(&at, &next, stored[next.out_buffer]);
        }
        at = next;
    }
    runtime_report(task->report);
}

TASK_KERNEL(KIND_CONV, kernel_conv, struct task_conv);
