/* The error at a pool's input: sums of the error at its output over the windows that hold a
 * position, aligned with other consumers' error, masked, rounded once. */
#pragma GCC optimize("Os")
#include "bk_arith.h"
#include "dma.h"
#include "dsp.h"
#include "pool.h"
#include "round.h"
#include "runtime.h"

#include <stddef.h>

enum { LONGEST_D_ROW = 128 };

struct buffers {
    uint32_t d[2][LONGEST_D_ROW * PIXEL_BYTES / 4];
    uint8_t index[2][LONGEST_D_ROW * LANES];
    uint32_t addend[2][SEGMENT_BYTES / 4], mask[2][SEGMENT_BYTES / 4], out[2][SEGMENT_BYTES / 4];
    int32_t sums[LONGEST_SEGMENT * LANES];
};

struct columns {
    int32_t first, end;
};

/* The columns of windows that hold any column of a segment. */
static struct columns columns_of(const struct planes *k, const struct tap *tap)
{
    const int32_t last = tap->column + tap->width - 1;
    const struct columns columns = {
        larger(0, tap->column + k->pad - k->ks + k->stride) / k->stride,
        smaller(k->q, (last + k->pad) / k->stride + 1),
    };

    return columns;
}

static int has_windows(const struct tap *tap, const struct columns *columns)
{
    return tap->at < tap->end && columns->first < columns->end;
}

static uint32_t x_offset(const struct planes *k, const struct tap *tap)
{
    return tap->image * k->x_image_stride + tap->chunk * k->x_chunk_stride +
           (uint32_t)(tap->row * k->w + tap->column) * PIXEL_BYTES;
}

/* Read what a tap needs, and before a segment's first tap what the segment needs. */
static uint32_t request(const struct task_window_backward *task, const struct tap *tap,
                        struct buffers *to, uint32_t slot, uint32_t half, uint32_t ticket)
{
    const struct planes *k = &task->planes;
    const struct columns columns = columns_of(k, tap);
    const uint32_t bytes = (uint32_t)tap->width * PIXEL_BYTES;

    if (tap->at == tap->first && task->addend != 0)
        ticket = dma_read(to->addend[half], task->addend + x_offset(k, tap), bytes);
    if (tap->at == tap->first && task->mask != 0)
        ticket = dma_read(to->mask[half], task->mask + x_offset(k, tap), bytes);
    if (has_windows(tap, &columns)) {
        const uint32_t count = (uint32_t)(columns.end - columns.first);
        const uint32_t offset = tap->image * k->y_image_stride + tap->chunk * k->y_chunk_stride +
                                (uint32_t)(tap->at * k->q + columns.first) * PIXEL_BYTES;
        ticket = dma_read(to->d[slot], task->d + offset, count * PIXEL_BYTES);
        if (task->index != 0)
            ticket = dma_read(to->index[slot], task->index + offset / 2, count * LANES);
    }
    return ticket;
}

/* ---- sums ---- */

/* Add the error of one window to the element of its row that was the maximum. */
static void route(const uint32_t *d, const uint8_t *index, int32_t row_position, int32_t left,
                  const struct tap *tap, int32_t ks, int32_t *sums)
{
    const int16_t *error = (const int16_t *)(const void *)d;

    for (int c = 0; c < LANES; c++) {
        const int32_t s = index[c] - row_position;
        const int32_t column = left + s;
        if (s >= 0 && s < ks && column >= 0 && column < tap->width)
            sums[column * LANES + c] += error[c];
    }
}

/* Add the error of one window to every element of its row. */
static void spread(const uint32_t *d, int32_t left, const struct tap *tap, int32_t ks,
                   int32_t *sums)
{
    const int32_t first = larger(0, left), end = smaller(tap->width, left + ks);

    for (int32_t column = first; column < end; column++)
        for (int pair = 0; pair < PAIRS; pair++) {
            sums[column * LANES + 2 * pair] += lower(d[pair]);
            sums[column * LANES + 2 * pair + 1] += upper(d[pair]);
        }
}

static void add_tap(const struct task_window_backward *task, const struct tap *tap,
                    const uint32_t *d, const uint8_t *index, int32_t *sums)
{
    const struct planes *k = &task->planes;
    const struct columns columns = columns_of(k, tap);
    const int32_t row_position = (tap->row + k->pad - tap->at * k->stride) * k->ks;
    int32_t left = columns.first * k->stride - k->pad - tap->column;

    if (!has_windows(tap, &columns))
        return;
    for (int32_t q = columns.first; q < columns.end; q++, left += k->stride) {
        if (task->index != 0)
            route(d, index, row_position, left, tap, k->ks, sums);
        else
            spread(d, left, tap, k->ks, sums);
        d += PAIRS;
        index += LANES;
    }
}

/* ---- finish ---- */

/* Mask and round sums that need no alignment, for shifts 1 .. 30. */
static void finish_alone(const struct task_window_backward *task, const int32_t *sums,
                         const int16_t *mask, int32_t count, int16_t *out)
{
    const int32_t shift = task->shift;
    const int32_t last = shift - 1;
    uint32_t bits = 0, saturated = 0;

    for (int32_t i = 0; i < count; i++) {
        const int32_t sum = mask == NULL || mask[i] > 0 ? sums[i] : 0;
        const int32_t v = (sum >> shift) + ((sum >> last) & 1);
        const int32_t kept = v > BK_LIMIT16 ? BK_LIMIT16 : v < -BK_LIMIT16 ? -BK_LIMIT16 : v;
        bits |= (uint32_t)(sum ^ (sum >> 31));
        saturated += v != kept;
        out[i] = (int16_t)kept;
    }
    runtime_measure(bits, saturated);
}

static void finish_aligned(const struct task_window_backward *task, const int32_t *sums,
                           const int16_t *addend, const int16_t *mask, int32_t count, int16_t *out)
{
    uint64_t bits = 0;
    uint32_t saturated = 0;

    for (int32_t i = 0; i < count; i++) {
        int64_t v = 0;
        if (mask == NULL || mask[i] > 0) {
            v = shifted(sums[i], task->acc_shift);
            if (addend != NULL)
                v += shifted(addend[i], task->addend_shift);
        }
        bits |= (uint64_t)(v ^ (v >> 63));
        out[i] = (int16_t)half_up_counted(v, task->shift, BK_LIMIT16, &saturated);
    }
    runtime_measure(bits, saturated);
}

static void finish(const struct task_window_backward *task, const struct tap *tap,
                   struct buffers *b, uint32_t half)
{
    const int16_t *mask = task->mask != 0 ? (const int16_t *)(const void *)b->mask[half] : NULL;
    const int16_t *addend =
        task->addend != 0 ? (const int16_t *)(const void *)b->addend[half] : NULL;
    int16_t *out = (int16_t *)(void *)b->out[half];
    const int32_t count = tap->width * LANES;

    if (addend == NULL && task->acc_shift == 0 && task->shift >= 1 && task->shift <= 30)
        finish_alone(task, b->sums, mask, count, out);
    else
        finish_aligned(task, b->sums, addend, mask, count, out);
}

/* ---- the sweep ---- */

/* The longest segment whose windows' columns fit a row buffer. */
static int32_t segment_of(const struct planes *k)
{
    const int32_t fitting = (LONGEST_D_ROW - 1) * k->stride + 2 - k->ks;

    return k->q <= LONGEST_D_ROW ? LONGEST_SEGMENT : smaller(LONGEST_SEGMENT, fitting);
}

static void kernel_window_backward(const struct task_window_backward *task)
{
    const struct planes *k = &task->planes;
    const struct sweep sweep = {k, k->h, k->w, segment_of(k), 1};
    struct buffers *b = (struct buffers *)(void *)workspace;
    uint32_t ticket[2], written[2] = {0, 0}, segments = 0, slot = 0;
    struct tap tap;
    int more = 1;

    sweep_start(&sweep, &tap);
    ticket[0] = request(task, &tap, b, 0, 0, 0);
    while (more) {
        const uint32_t half = segments & 1;
        struct tap next = tap;
        more = sweep_next(&sweep, &next);
        if (more)
            ticket[slot ^ 1] =
                request(task, &next, b, slot ^ 1, half ^ (uint32_t)is_last(&tap), ticket[slot]);
        if (tap.at == tap.first)
            for (int32_t i = 0; i < tap.width * LANES; i++)
                b->sums[i] = 0;
        dma_wait(ticket[slot]);
        add_tap(task, &tap, b->d[slot], b->index[slot], b->sums);
        if (is_last(&tap)) {
            if (segments >= 2)
                dma_wait(written[half]);
            finish(task, &tap, b, half);
            written[half] = dma_write(b->out[half], task->out + x_offset(k, &tap),
                                      (uint32_t)tap.width * PIXEL_BYTES);
            segments++;
        }
        tap = next;
        slot ^= 1;
    }
    dma_wait(written[(segments - 1) & 1]);
    runtime_report(task->report);
}

TASK_KERNEL(KIND_WINDOW_BACKWARD, kernel_window_backward, struct task_window_backward);
