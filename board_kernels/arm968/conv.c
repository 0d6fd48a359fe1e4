/* Convolutions and their transposes (conv.h): the order of the work, and the inner product's calls.
 *
 * A step is one unit of weights. While it computes, what the next step needs is on its way. */
#pragma GCC optimize("Os")

#include "conv.h"
#include "runtime.h"

#include <stddef.h>
#include <string.h>

static void enter_tile(const struct task_conv *task, struct cursor *at)
{
    at->images = smaller(task->tile_images, task->images - at->image);
    at->rows = smaller(task->tile_rows, task->out_height - at->row);
}

/* What a step needs that the one before it did not. */
enum { NEW_INPUT = 1, NEW_OUTPUT = 2, NEW_LIST = 4, END = 8 };

/* Go to the next class, slice, group, tile; returns what is new. */
static int32_t next_class(const struct task_conv *task, struct cursor *at)
{
    const int32_t images = at->images, rows = at->rows;
    const int32_t sliced = task->slices > 1 ? NEW_INPUT : 0;

    at->unit = 0;
    if (++at->class < task->classes)
        return 0;
    at->class = 0;
    if (++at->slice < task->slices)
        return sliced;
    at->slice = 0;
    at->out_buffer ^= task->output_buffers - 1;
    if (++at->group < task->groups)
        return sliced | NEW_OUTPUT;
    at->group = 0;
    at->row += rows;
    at->top += task->tile_step;
    if (at->row >= task->out_height) {
        at->row = 0;
        at->top = task->first_row;
        at->image += images;
        if (at->image >= task->images)
            return END | NEW_OUTPUT;
    }
    enter_tile(task, at);
    return NEW_INPUT | NEW_OUTPUT | (at->images != images || at->rows != rows ? NEW_LIST : 0);
}

/* Whether there is nothing to do: sums that no tap meets are only rounded, in the last slice. */
static int32_t idle(const struct task_conv *task, const struct cursor *at)
{
    return class_of(task, at)->chunk_bytes == 0 && at->slice < task->slices - 1;
}

static int32_t next_step(const struct task_conv *task, struct cursor *at)
{
    int32_t changes = 0;

    at->weight_buffer ^= 1;
    at->unit++;
    if (class_of(task, at)->chunk_bytes != 0 &&
        at->unit * task->unit_blocks < group_blocks(task, at))
        return 0;
    do
        changes |= next_class(task, at);
    while (!(changes & END) && idle(task, at));
    if (changes & NEW_INPUT)
        at->in_buffer ^= task->input_buffers - 1;
    return changes;
}

static void run_block(const struct task_conv *task, const struct cursor *at, int32_t block)
{
    struct dot *dot = (struct dot *)workspace;
    const struct conv_list *list = (const struct conv_list *)task->list_memory;
    const int32_t general = class_of(task, at)->rounding == ROUND_GENERAL;
    const uint32_t place = block_place(task, block);
    struct dot_wide *wide = (struct dot_wide *)task->wide_memory;

    if (task->slices > 1)
        wide += block * task->wide_block + list->first[at->class] - at->class;
    dot->wide = (uint32_t)wide;
    dot->wide_step = task->slices > 1 || general ? sizeof *wide : 0;
    dot->pair = (uint32_t)(list->pairs + list->first[at->class]);
    dot->output = task->output_memory[at->out_buffer] + place;
    dot->addend = task->addend_memory[at->out_buffer] + place;
    dot_run();
    if (general && at->slice == task->slices - 1)
        conv_finish_block(task, at, block, wide);
}

static void run_step(const struct task_conv *task, const struct cursor *at)
{
    struct dot *dot = (struct dot *)workspace;
    const struct conv_class *class = class_of(task, at);
    const enum slice_place place = at->slice == task->slices - 1 ? SLICE_LAST
                                   : at->slice == 0              ? SLICE_FIRST
                                                                 : SLICE_MIDDLE;
    const int32_t blocks = group_blocks(task, at);
    const int32_t first = at->unit * task->unit_blocks;
    uint32_t weights = task->weight_memory[at->weight_buffer];

    if (class->chunk_bytes == 0) {
        for (int32_t block = 0; block < blocks; block++)
            conv_finish_block(task, at, block, NULL);
        return;
    }
    dot->slice = class->slices[place];
    dot->input = task->input_memory[at->in_buffer];
    dot->spare_output = task->spare_output;
    dot->bits = dot->bits_low = dot->saturated = 0;
    for (int32_t i = first; i < smaller(blocks, first + task->unit_blocks); i++) {
        dot->weights = weights;
        weights += slice_chunks(task, at) * class->chunk_bytes;
        run_block(task, at, i);
    }
    runtime_measure(class->rounding == ROUND_NARROW
                        ? dot->bits
                        : (uint64_t)dot->bits << 8 | (dot->bits_low & 255),
                    dot->saturated);
}

/* Channels that only fill the last chunk are 0 (a mask brings them). */
static void clear_filling(const struct task_conv *task, const struct cursor *at)
{
    const int32_t blocks = group_blocks(task, at);
    const uint32_t used = blocks % CHUNK_BLOCKS * (BLOCK * sizeof(int16_t));
    const uint32_t step = task->single_pixels ? task->out_image_pitch : PIXEL_BYTES;
    uint32_t pixel = task->output_memory[at->out_buffer] + block_place(task, blocks);

    if (used == 0 || task->mask)
        return;
    for (uint32_t i = 0; i < task->spare_output; i += step)
        memset((void *)(pixel + i), 0, PIXEL_BYTES - used);
}

static void load_changes(const struct task_conv *task, const struct cursor *next, int32_t changes)
{
    if (changes & NEW_LIST)
        conv_load_list(task, next);
    if (changes & NEW_OUTPUT)
        conv_load_output(task, next);
    if (changes & NEW_INPUT)
        conv_load_input(task, next);
}

/* The changes that need not wait until the step before has computed: they have buffers of their
 * own. */
static int32_t early(const struct task_conv *task, int32_t changes)
{
    int32_t now = 0;

    if (task->input_buffers == 2 && !(changes & NEW_LIST))
        now |= NEW_INPUT;
    if (task->output_buffers == 2 && !task->bias)
        now |= NEW_OUTPUT;
    return changes & now;
}

static void kernel_conv(const struct task_conv *task)
{
    struct cursor at = {.top = task->first_row}, next;
    dma_ticket stored[2] = {0, 0}; /* the last write of each output buffer */
    int32_t changes = NEW_LIST | NEW_INPUT | NEW_OUTPUT;

    enter_tile(task, &at);
    conv_load_tables(task);
    dma_drain();
    while (idle(task, &at))
        next_class(task, &at);
    load_changes(task, &at, changes);
    conv_load_weights(task, &at);
    do {
        const dma_ticket ready = dma_last();
        if (changes & NEW_OUTPUT) {
            dma_wait(stored[at.out_buffer]);
            clear_filling(task, &at);
        }
        dma_wait(ready);
        next = at;
        changes = next_step(task, &next);
        const int32_t now = early(task, changes);
        if (!(changes & END)) {
            load_changes(task, &next, now);
            conv_load_weights(task, &next);
        }
        run_step(task, &at);
        if (changes & NEW_OUTPUT) {
            conv_store_output(task, &at);
            stored[at.out_buffer] = dma_last();
        }
        if (!(changes & END))
            load_changes(task, &next, changes & ~now);
        at = next;
    } while (!(changes & END));
    runtime_report(task->report);
}

TASK_KERNEL(KIND_CONV, kernel_conv, struct task_conv);
