/* Max pool, average pool, and the error at their input.
 *
 * All three write one tensor segment by segment, and for each segment read, one after the other,
 * the rows of another tensor that its windows touch ("taps"): forward rows of input, backward rows
 * of windows. Windows are clipped to the image; padding never wins and adds 0. */
#pragma GCC optimize("Os")
#include "bk_arith.h"
#include "dma.h"
#include "round.h"
#include "runtime.h"
#include "stream.h"

#include <stddef.h>

enum {
    PIXEL_BYTES = 2 * LANES,
    LONGEST_SEGMENT = 32, /* pixels that are written at a time */
    LONGEST_ROW = 192,    /* pixels that are read at a time */
};

struct buffers {
    int16_t data[2][LONGEST_ROW * LANES]; /* a tap and the next one */
    uint8_t index[2][LONGEST_ROW * LANES];
    int16_t addend[LONGEST_SEGMENT * LANES], mask[LONGEST_SEGMENT * LANES];
    int32_t sums[LONGEST_SEGMENT * LANES];
    int16_t out[2][LONGEST_SEGMENT * LANES]; /* a segment and the last one */
    uint8_t out_index[2][LONGEST_SEGMENT * LANES];
};

/* A tensor's planes. */
struct side {
    uint32_t address, index; /* index: or 0 */
    int32_t rows, columns;
    uint32_t image_stride, chunk_stride;
};

struct pool {
    const struct planes *planes;
    struct side from, to;
    const struct task_window_backward *backward; /* NULL: forward */
    int32_t m, q;                                /* of an average */
    int32_t segment;                             /* columns at a time */
};

struct range {
    int32_t first, end;
};

/* One tap of one segment; first == end for a row without taps, which still is one step. */
struct tap {
    uint32_t chunk, image;
    int32_t row, column, width;
    struct range taps, columns; /* of the tensor that is read */
    int32_t at;
};

static int32_t larger(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

static int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static int is_max(const struct pool *pool)
{
    return pool->to.index != 0;
}

/* What windows at `width` positions touch along one axis; backward: the windows p that touch these
 * positions y, p * stride - pad <= y < p * stride - pad + kernel. */
static struct range touched(const struct pool *pool, int32_t position, int32_t width,
                            int32_t kernel, int32_t extent)
{
    const int32_t stride = pool->planes->stride, pad = pool->planes->pad;
    const int32_t last = position + width - 1;

    if (pool->backward != NULL)
        return (struct range){larger(0, position + pad - kernel + stride) / stride,
                              smaller(extent, (last + pad) / stride + 1)};
    return (struct range){larger(0, position * stride - pad),
                          smaller(extent, last * stride - pad + kernel)};
}

/* ---- the sweep ---- */

static void enter_segment(const struct pool *pool, struct tap *tap)
{
    tap->width = smaller(pool->segment, pool->to.columns - tap->column);
    tap->taps = touched(pool, tap->row, 1, pool->planes->kr, pool->from.rows);
    tap->columns = touched(pool, tap->column, tap->width, pool->planes->ks, pool->from.columns);
    tap->at = tap->taps.first;
}

static int is_last(const struct tap *tap)
{
    return tap->at + 1 >= tap->taps.end;
}

/* Go on to the next tap; 0 after the last. */
static int next_tap(const struct pool *pool, struct tap *tap)
{
    if (++tap->at < tap->taps.end)
        return 1;
    tap->column += tap->width;
    if (tap->column >= pool->to.columns) {
        tap->column = 0;
        tap->row++;
    }
    if (tap->row >= pool->to.rows) {
        tap->row = 0;
        tap->image++;
    }
    if (tap->image >= pool->planes->images) {
        tap->image = 0;
        tap->chunk++;
    }
    enter_segment(pool, tap);
    return tap->chunk < pool->planes->chunks;
}

/* How far a pixel is from the start of its tensor. */
static uint32_t offset_of(const struct side *side, const struct tap *tap, int32_t row,
                          int32_t column)
{
    return tap->image * side->image_stride + tap->chunk * side->chunk_stride +
           (uint32_t)(row * side->columns + column) * PIXEL_BYTES;
}

static uint32_t count_of(const struct tap *tap)
{
    return tap->at < tap->taps.end && tap->columns.first < tap->columns.end
               ? (uint32_t)(tap->columns.end - tap->columns.first)
               : 0;
}

static dma_ticket request(const struct pool *pool, const struct tap *tap, struct buffers *b,
                          uint32_t slot)
{
    const uint32_t offset = offset_of(&pool->from, tap, tap->at, tap->columns.first);
    const uint32_t count = count_of(tap);

    if (pool->from.index != 0)
        dma_read(b->index[slot], pool->from.index + offset / 2, count * LANES);
    return dma_read(b->data[slot], pool->from.address + offset, count * PIXEL_BYTES);
}

/* ---- forward ---- */

static void clear(const struct pool *pool, const struct tap *tap, struct buffers *b, uint32_t half)
{
    for (int32_t i = 0; i < tap->width * LANES; i++) {
        b->sums[i] = 0;
        b->out_index[half][i] = 0;
        if (is_max(pool))
            b->out[half][i] = INT16_MIN; /* below every mantissa */
    }
}

/* Take the largest of `count` elements of a row of a window; the first of equals stays. */
static void take_larger(const int16_t *x, int32_t count, uint32_t position, int16_t *out,
                        uint8_t *index)
{
    for (int c = 0; c < LANES; c++) {
        const int16_t *at = x + c;
        int32_t best = out[c];
        uint32_t where = index[c];
        for (int32_t s = 0; s < count; s++, at += LANES)
            if (*at > best) {
                best = *at;
                where = position + (uint32_t)s;
            }
        out[c] = (int16_t)best;
        index[c] = (uint8_t)where;
    }
}

static void add_row(const int16_t *x, int32_t count, int32_t *sums)
{
    for (; count > 0; count--, x += LANES)
        for (int c = 0; c < LANES; c++)
            sums[c] += x[c];
}

static void forward_tap(const struct pool *pool, const struct tap *tap, const int16_t *data,
                        struct buffers *b, uint32_t half)
{
    const struct planes *k = pool->planes;
    const int32_t row = tap->at - (tap->row * k->stride - k->pad);

    for (int32_t j = 0; j < tap->width; j++) {
        const struct range window = touched(pool, tap->column + j, 1, k->ks, k->w);
        const int32_t first = window.first - ((tap->column + j) * k->stride - k->pad);
        const int16_t *x = data + (window.first - tap->columns.first) * LANES;
        const int32_t count = window.end - window.first;
        if (is_max(pool))
            take_larger(x, count, (uint32_t)(row * k->ks + first), b->out[half] + j * LANES,
                        b->out_index[half] + j * LANES);
        else
            add_row(x, count, b->sums + j * LANES);
    }
}

/* ---- backward ---- */

/* Add the error of one window to the element of this row that was the maximum. */
static void route(const int16_t *d, const uint8_t *index, int32_t row_position, int32_t left,
                  struct range inside, int32_t *sums)
{
    for (int c = 0; c < LANES; c++) {
        const int32_t column = left + index[c] - row_position;
        if (column >= inside.first && column < inside.end)
            sums[column * LANES + c] += d[c];
    }
}

static void backward_tap(const struct pool *pool, const struct tap *tap, const int16_t *d,
                         const uint8_t *index, int32_t *sums)
{
    const struct planes *k = pool->planes;
    const int32_t row_position = (tap->row + k->pad - tap->at * k->stride) * k->ks;
    int32_t left = tap->columns.first * k->stride - k->pad - tap->column;

    for (uint32_t count = count_of(tap); count > 0; count--, d += LANES, index += LANES) {
        const struct range inside = {larger(0, left), smaller(tap->width, left + k->ks)};
        if (pool->from.index != 0)
            route(d, index, row_position, left, inside, sums);
        else
            for (int32_t column = inside.first; column < inside.end; column++)
                add_row(d, 1, sums + column * LANES);
        left += k->stride;
    }
}

/* Align the sums with the addend, mask and round them. */
static void finish(const struct task_window_backward *task, const struct tap *tap,
                   const struct buffers *b, int16_t *out)
{
    const int aligned = task->addend != 0 || task->acc_shift != 0;
    uint32_t saturated = 0, low_bits = 0;
    uint64_t bits = 0;

    for (int32_t i = 0; i < tap->width * LANES; i++) {
        const int32_t sum = b->sums[i];
        out[i] = 0;
        if (task->mask != 0 && b->mask[i] <= 0)
            continue;
        if (aligned) {
            int64_t v = shifted(sum, task->acc_shift);
            if (task->addend != 0)
                v += shifted(b->addend[i], task->addend_shift);
            bits |= (uint64_t)(v ^ (v >> 63));
            out[i] = (int16_t)half_up_counted(v, task->shift, BK_LIMIT16, &saturated);
        } else {
            low_bits |= (uint32_t)(sum ^ (sum >> 31));
            out[i] = (int16_t)half_up_counted32(sum, task->shift, BK_LIMIT16, &saturated);
        }
    }
    runtime_measure(bits | low_bits, saturated);
}

/* ---- all of it ---- */

/* Bring what a segment's last step needs, while its taps are summed. */
static dma_ticket request_operands(const struct pool *pool, const struct tap *tap,
                                   struct buffers *b)
{
    const struct task_window_backward *task = pool->backward;
    const uint32_t offset = offset_of(&pool->to, tap, tap->row, tap->column);
    const uint32_t bytes = (uint32_t)tap->width * PIXEL_BYTES;

    if (task->addend != 0)
        dma_read(b->addend, task->addend + offset, bytes);
    if (task->mask != 0)
        dma_read(b->mask, task->mask + offset, bytes);
    return dma_last();
}

static void finish_segment(const struct pool *pool, const struct tap *tap, struct buffers *b,
                           uint32_t half)
{
    const uint32_t offset = offset_of(&pool->to, tap, tap->row, tap->column);
    int16_t *out = b->out[half];

    if (pool->backward != NULL)
        finish(pool->backward, tap, b, out);
    else if (!is_max(pool))
        for (int32_t i = 0; i < tap->width * LANES; i++)
            out[i] = (int16_t)half_up_clamped((int64_t)b->sums[i] * pool->m, pool->q, BK_LIMIT13);
    dma_write(out, pool->to.address + offset, (uint32_t)tap->width * PIXEL_BYTES);
    if (is_max(pool))
        dma_write(b->out_index[half], pool->to.index + offset / 2, (uint32_t)tap->width * LANES);
}

/* Transfers are done in order: when a tap is there, the segment before the last one is written. */
static void run(struct pool *pool)
{
    const struct planes *k = pool->planes;
    const int32_t fitting = pool->backward != NULL ? (LONGEST_ROW - 1) * k->stride + 2 - k->ks
                                                   : (LONGEST_ROW - k->ks) / k->stride + 1;
    struct buffers *b = (struct buffers *)(void *)workspace;
    uint32_t slot = 0, half = 0;
    struct tap tap = {0}, next;
    dma_ticket read, operands = 0;
    int more = 1;

    pool->segment = LONGEST_SEGMENT;
    if (pool->from.columns > LONGEST_ROW)
        pool->segment = smaller(LONGEST_SEGMENT, fitting);
    enter_segment(pool, &tap);
    read = request(pool, &tap, b, 0);
    while (more) {
        const int first = tap.at == tap.taps.first;
        dma_wait(read);
        if (first && pool->backward != NULL)
            operands = request_operands(pool, &tap, b);
        next = tap;
        more = next_tap(pool, &next);
        if (more)
            read = request(pool, &next, b, slot ^ 1);
        if (first)
            clear(pool, &tap, b, half);
        if (pool->backward != NULL)
            backward_tap(pool, &tap, b->data[slot], b->index[slot], b->sums);
        else
            forward_tap(pool, &tap, b->data[slot], b, half);
        if (is_last(&tap)) {
            dma_wait(operands);
            finish_segment(pool, &tap, b, half);
            half ^= 1;
        }
        tap = next;
        slot ^= 1;
    }
}

static struct side input_of(const struct planes *k, uint32_t address)
{
    return (struct side){address, 0, k->h, k->w, k->x_image_stride, k->x_chunk_stride};
}

static struct side output_of(const struct planes *k, uint32_t address, uint32_t index)
{
    return (struct side){address, index, k->p, k->q, k->y_image_stride, k->y_chunk_stride};
}

static void kernel_max_pool_forward(const struct task_max_pool_forward *task)
{
    const struct planes *k = &task->planes;
    struct pool pool = {
        .planes = k,
        .from = input_of(k, task->x),
        .to = output_of(k, task->y, task->index),
    };

    run(&pool);
}

TASK_KERNEL(KIND_MAX_POOL_FORWARD, kernel_max_pool_forward, struct task_max_pool_forward);

static void kernel_avg_pool_forward(const struct task_avg_pool_forward *task)
{
    const struct planes *k = &task->planes;
    struct pool pool = {
        .planes = k,
        .from = input_of(k, task->x),
        .to = output_of(k, task->y, 0),
        .m = task->m,
        .q = task->q,
    };

    run(&pool);
}

TASK_KERNEL(KIND_AVG_POOL_FORWARD, kernel_avg_pool_forward, struct task_avg_pool_forward);

static void kernel_window_backward(const struct task_window_backward *task)
{
    const struct planes *k = &task->planes;
    struct pool pool = {
        .planes = k,
        .from = output_of(k, task->d, task->index),
        .to = input_of(k, task->out),
        .backward = task,
    };

    run(&pool);
    runtime_report(task->report);
}

TASK_KERNEL(KIND_WINDOW_BACKWARD, kernel_window_backward, struct task_window_backward);
