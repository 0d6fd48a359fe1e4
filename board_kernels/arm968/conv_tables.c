/* The tables that steer the inner product. */
#pragma GCC optimize("Os")

#include "conv.h"

enum { WORD_CODE_BYTES = 88, LAST_WORD_SAVES = 12, BUMP_CODE_BYTES = 16 };

/* ---- pixel pairs ---- */

struct pair_writer {
    struct dot_pair *pair;
    int32_t half;
};

static void add_pixel(struct pair_writer *writer, uint32_t input, uint32_t output)
{
    if (!writer->half) {
        writer->pair->input0 = input;
        writer->pair->output0 = output;
    } else {
        writer->pair->input1 = input;
        writer->pair->output1 = output;
        writer->pair++;
    }
    writer->half ^= 1;
}

/* A pixel without a partner computes itself twice; the spare takes the copy. */
static void end_list(const struct conv *conv, struct pair_writer *writer)
{
    if (writer->half)
        add_pixel(writer, writer->pair->input0, conv->spare_output);
    writer->pair->input0 = DOT_END;
    writer->pair++;
}

static void add_class(const struct conv *conv, struct pair_writer *writer, int32_t class,
                      int32_t rows, int32_t images)
{
    const int32_t count = conv->classes, width = conv->task->out_width;
    const int32_t a = class / count, b = class % count;
    const uint32_t down = conv->step / conv->row_unit * conv->row_pitch;
    const uint32_t right = conv->step * conv->pixel_bytes;
    const uint32_t corner = (conv->rows[a].first - conv->first_row) * conv->row_pitch +
                            (conv->columns[b].first - conv->first_column) * conv->pixel_bytes;

    for (int32_t image = 0; image < images; image++) {
        uint32_t input_row = image * conv->image_pitch + corner;
        for (int32_t y = a; y < rows; y += count, input_row += down) {
            uint32_t input = input_row;
            uint32_t output = image * conv->out_image_pitch + (y * width + b) * PIXEL_BYTES;
            for (int32_t x = b; x < width; x += count) {
                add_pixel(writer, input, output);
                input += right;
                output += count * PIXEL_BYTES;
            }
        }
    }
}

void conv_build_pairs(struct conv *conv, int32_t rows, int32_t images)
{
    struct pair_writer writer = {conv->list, 0};

    for (int32_t i = 0; i < conv->classes * conv->classes; i++) {
        conv->class_pairs[i] = writer.pair - conv->list;
        add_class(conv, &writer, i, rows, images);
        end_list(conv, &writer);
    }
    conv->pairs = writer.pair - conv->list;
}

/* ---- segments ---- */

struct segment_writer {
    struct dot_segment *segment;
    int32_t terms; /* since the last flush */
};

/* Add a segment of `words` channel pairs. */
static void add_segment(struct segment_writer *writer, uint32_t input, int32_t words)
{
    const uint32_t skip = 4 * (DOT_GROUP * DOT_GROUPS - words);

    if (writer->terms + 2 * words > DOT_FLUSH_TERMS) {
        writer->segment[-1].then = (uint32_t)dot_flush;
        writer->terms = 0;
    }
    *writer->segment++ =
        (struct dot_segment){input - skip, skip,
                             (uint32_t)dot_body_end - (words * WORD_CODE_BYTES - LAST_WORD_SAVES) -
                                 (words - 1) / DOT_GROUP * BUMP_CODE_BYTES,
                             (uint32_t)dot_next_segment};
    writer->terms += 2 * words;
}

/* 1x1: a segment is up to four chunks. */
static void add_chunks(const struct conv *conv, struct segment_writer *writer, struct dot *dot,
                       int32_t chunks)
{
    for (int32_t i = 0; i < DOT_GROUPS - 1; i++)
        dot->bump[i] = conv->chunk_pitch - PIXEL_BYTES;
    for (int32_t i = 0; i < chunks; i += DOT_GROUPS) {
        const int32_t count = chunks - i < DOT_GROUPS ? chunks - i : DOT_GROUPS;
        add_segment(writer, i * conv->chunk_pitch, count * DOT_GROUP);
    }
}

/* Up to four taps: a segment is one chunk's, row after row. */
static void add_small_kernels(const struct conv *conv, struct segment_writer *writer,
                              struct dot *dot, int32_t chunks, int32_t rows, int32_t columns)
{
    const int32_t taps = rows * columns;

    for (int32_t i = 1; i < taps; i++)
        dot->bump[DOT_GROUPS - 1 - taps + i] =
            i % columns == 0 ? conv->row_pitch - columns * PIXEL_BYTES : 0;
    for (int32_t i = 0; i < chunks; i++)
        add_segment(writer, i * conv->chunk_pitch, taps * DOT_GROUP);
}

/* Otherwise: up to four adjoining taps of a kernel row of one chunk. */
static void add_kernel_rows(const struct conv *conv, struct segment_writer *writer, struct dot *dot,
                            int32_t chunks, int32_t rows, int32_t columns)
{
    for (int32_t i = 0; i < DOT_GROUPS - 1; i++)
        dot->bump[i] = 0;
    for (int32_t i = 0; i < chunks * rows; i++) {
        const uint32_t input = i / rows * conv->chunk_pitch + i % rows * conv->row_pitch;
        for (int32_t j = 0; j < columns; j += DOT_GROUPS) {
            const int32_t count = columns - j < DOT_GROUPS ? columns - j : DOT_GROUPS;
            add_segment(writer, input + j * PIXEL_BYTES, count * DOT_GROUP);
        }
    }
}

static void add_network_rows(const struct conv *conv, struct segment_writer *writer,
                             struct dot *dot, int32_t rows, int32_t columns)
{
    for (int32_t i = 0; i < DOT_GROUPS - 1; i++)
        dot->bump[i] = 0;
    for (int32_t i = 0; i < rows; i++)
        add_segment(writer, i * conv->row_pitch, columns * (NETWORK_PIXEL_BYTES / 4));
}

/* ---- rounding ---- */

static int32_t within(int32_t value, int32_t low, int32_t high)
{
    return low <= value && value <= high;
}

enum rounding conv_rounding(const struct conv *conv, int32_t class)
{
    const struct task_conv *task = conv->task;
    const int32_t terms = conv_taps(conv, class) * (conv->network ? 4 : conv->in_chunks * CHUNK);
    const int32_t align = task->addend ? task->addend_shift : 8;
    uint32_t bound = terms * (4095u * 4095u);

    if (task->bias || task->acc_shift != 0 || (task->addend && !task->mask))
        return ROUND_GENERAL;
    if (terms <= DOT_FLUSH_TERMS && conv->slices == 1 && within(task->shift, 2, 16) &&
        within(align, 0, 14)) {
        if (task->addend)
            bound += 32767u << align;
        if (bound < 0x80000000u)
            return ROUND_NARROW;
    }
    if (within(task->shift, 10, 24) && within(align, 8, 22))
        return ROUND_WIDE;
    return ROUND_GENERAL;
}

static void set_rounding(const struct conv *conv, struct dot *dot, enum rounding rounding)
{
    const struct task_conv *task = conv->task;
    const int32_t less = rounding == ROUND_NARROW ? 0 : 8;
    const int32_t shift = task->shift - less;

    if (rounding == ROUND_GENERAL)
        return;
    dot->half = 1u << (shift - 1);
    dot->multiplier = 1u << (16 - shift);
    dot->threshold = (1u << (15 + shift)) - (1u << (shift - 1));
    dot->shift_less_1 = shift - 1;
    dot->addend_multiplier = task->addend ? 1u << (task->addend_shift - less) : 0;
    dot->spare_output = conv->spare_output;
}

static const char *start_of(const struct conv *conv, const struct cursor *at,
                            enum rounding rounding)
{
    if (at->slice > 0)
        return dot_start_load;
    if (rounding == ROUND_GENERAL || !conv->task->addend)
        return rounding == ROUND_NARROW ? dot_start_zero : dot_start_zero_wide;
    return rounding == ROUND_NARROW ? dot_start_addend : dot_start_addend_wide;
}

static const char *finish_of(const struct conv *conv, const struct cursor *at,
                             enum rounding rounding)
{
    if (at->slice < conv->slices - 1 || rounding == ROUND_GENERAL)
        return dot_finish_keep;
    if (rounding == ROUND_NARROW)
        return conv->task->mask ? dot_finish_narrow_mask : dot_finish_narrow;
    return conv->task->mask ? dot_finish_wide_mask : dot_finish_wide;
}

void conv_build_segments(struct conv *conv, struct dot *dot, const struct cursor *at,
                         enum rounding rounding)
{
    const int32_t rows = conv->rows[at->class / conv->classes].count;
    const int32_t columns = conv->columns[at->class % conv->classes].count;
    const int32_t chunks = conv_slice_chunks(conv, at->slice);
    struct segment_writer writer = {conv->segments, 0};

    if (conv->network)
        add_network_rows(conv, &writer, dot, rows, columns);
    else if (rows * columns == 1)
        add_chunks(conv, &writer, dot, chunks);
    else if (rows * columns <= DOT_GROUPS)
        add_small_kernels(conv, &writer, dot, chunks, rows, columns);
    else
        add_kernel_rows(conv, &writer, dot, chunks, rows, columns);
    writer.segment[-1].then = (uint32_t)finish_of(conv, at, rounding);
    dot->before_segments = (const struct dot_segment *)((const uint32_t *)conv->segments - 1);
    dot->start = (uint32_t)start_of(conv, at, rounding);
    set_rounding(conv, dot, rounding);
}
