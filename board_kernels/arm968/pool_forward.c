/* Max and average pool. Windows are clipped to the image; padding never wins and adds 0. Every row
 * of input that a row of windows touches is read once for it. */
#pragma GCC optimize("Os")
#include "bk_arith.h"
#include "dma.h"
#include "dsp.h"
#include "pool.h"
#include "round.h"
#include "runtime.h"

/* What of DTCM is for what; the output and the index twice, one being written while the other
 * grows. */
struct buffers {
    uint32_t x[2][TAP_BYTES / 4];
    int32_t sums[LONGEST_SEGMENT * LANES];
    uint32_t y[2][SEGMENT_BYTES / 4];
    uint8_t index[2][LONGEST_SEGMENT * LANES];
};

struct forward {
    const struct planes *planes;
    uint32_t x, y, index; /* SDRAM; index 0: average */
    int32_t m, q;
};

/* The columns of input that a segment's windows touch. */
struct columns {
    int32_t first, end;
};

static struct columns columns_of(const struct planes *k, const struct tap *tap)
{
    const int32_t left = tap->column * k->stride - k->pad;
    const struct columns columns = {
        larger(0, left),
        smaller(k->w, left + (tap->width - 1) * k->stride + k->ks),
    };

    return columns;
}

static uint32_t request(const struct forward *f, const struct tap *tap, void *to)
{
    const struct planes *k = f->planes;
    const struct columns columns = columns_of(k, tap);
    const int32_t row = tap->row * k->stride - k->pad + tap->at;
    const uint32_t pixel = (uint32_t)(row * k->w + columns.first);

    return dma_read(to,
                    f->x + tap->image * k->x_image_stride + tap->chunk * k->x_chunk_stride +
                        pixel * PIXEL_BYTES,
                    (uint32_t)(columns.end - columns.first) * PIXEL_BYTES);
}

/* A window's columns, relative to what was read. */
struct window {
    const uint32_t *x;
    int32_t first, end; /* positions in the row of the window */
};

static struct window window_of(const struct planes *k, const struct tap *tap, int32_t j,
                               const uint32_t *x)
{
    const int32_t left = (tap->column + j) * k->stride - k->pad;
    const int32_t first = larger(0, -left);
    const struct window window = {
        x + (left + first - columns_of(k, tap).first) * PAIRS,
        first,
        smaller(k->ks, k->w - left),
    };

    return window;
}

/* ---- max ---- */

static void max_row(const struct forward *f, const struct tap *tap, const uint32_t *x, uint32_t *y,
                    uint8_t *index)
{
    const struct planes *k = f->planes;

    for (int32_t j = 0; j < tap->width; j++) {
        const struct window window = window_of(k, tap, j, x);
        for (int pair = 0; pair < PAIRS; pair++, y++, index += 2) {
            const uint32_t *from = window.x + pair;
            int32_t low = lower(*y), high = upper(*y);
            uint8_t low_index = index[0], high_index = index[1];
            for (int32_t s = window.first; s < window.end; s++, from += PAIRS) {
                const uint8_t position = (uint8_t)(tap->at * k->ks + s);
                if (lower(*from) > low) {
                    low = lower(*from);
                    low_index = position;
                }
                if (upper(*from) > high) {
                    high = upper(*from);
                    high_index = position;
                }
            }
            *y = packed(low, high);
            index[0] = low_index;
            index[1] = high_index;
        }
    }
}

static void clear_max(const struct tap *tap, uint32_t *y, uint8_t *index)
{
    for (int32_t i = 0; i < tap->width * PAIRS; i++) {
        y[i] = 0x80008000; /* below every mantissa */
        index[2 * i] = index[2 * i + 1] = 0;
    }
}

/* ---- average ---- */

static void add_row(const struct forward *f, const struct tap *tap, const uint32_t *x,
                    int32_t *sums)
{
    for (int32_t j = 0; j < tap->width; j++) {
        const struct window window = window_of(f->planes, tap, j, x);
        for (int pair = 0; pair < PAIRS; pair++, sums += 2) {
            const uint32_t *from = window.x + pair;
            int32_t low = sums[0], high = sums[1];
            for (int32_t s = window.first; s < window.end; s++, from += PAIRS) {
                low += lower(*from);
                high += upper(*from);
            }
            sums[0] = low;
            sums[1] = high;
        }
    }
}

static void scale_sums(const struct forward *f, const struct tap *tap, const int32_t *sums,
                       uint32_t *y)
{
    for (int32_t i = 0; i < tap->width * PAIRS; i++)
        y[i] = packed(half_up_clamped((int64_t)sums[2 * i] * f->m, f->q, BK_LIMIT13),
                      half_up_clamped((int64_t)sums[2 * i + 1] * f->m, f->q, BK_LIMIT13));
}

/* ---- both ---- */

static void write_segment(const struct forward *f, const struct tap *tap, const uint32_t *y,
                          const uint8_t *index, uint32_t *ticket)
{
    const struct planes *k = f->planes;
    const uint32_t offset = tap->image * k->y_image_stride + tap->chunk * k->y_chunk_stride +
                            (uint32_t)(tap->row * k->q + tap->column) * PIXEL_BYTES;

    *ticket = dma_write(y, f->y + offset, (uint32_t)tap->width * PIXEL_BYTES);
    if (f->index != 0)
        *ticket = dma_write(index, f->index + offset / 2, (uint32_t)tap->width * LANES);
}

static void pool_tap(const struct forward *f, const struct tap *tap, const uint32_t *x,
                     struct buffers *buffers, uint32_t half)
{
    if (f->index != 0) {
        if (tap->at == tap->first)
            clear_max(tap, buffers->y[half], buffers->index[half]);
        max_row(f, tap, x, buffers->y[half], buffers->index[half]);
        return;
    }
    if (tap->at == tap->first)
        for (int32_t i = 0; i < tap->width * LANES; i++)
            buffers->sums[i] = 0;
    add_row(f, tap, x, buffers->sums);
    if (is_last(tap))
        scale_sums(f, tap, buffers->sums, buffers->y[half]);
}

static void pool(const struct forward *f)
{
    const struct planes *k = f->planes;
    const int32_t fitting = (LONGEST_TAP_ROW - k->ks) / k->stride + 1;
    const struct sweep sweep = {k, k->p, k->q, smaller(LONGEST_SEGMENT, fitting), 0};
    struct buffers *buffers = (struct buffers *)(void *)workspace;
    uint32_t read[2], written[2], segments = 0, slot = 0;
    struct tap tap;
    int more = 1;

    sweep_start(&sweep, &tap);
    read[0] = request(f, &tap, buffers->x[0]);
    while (more) {
        const uint32_t half = segments & 1;
        struct tap next = tap;
        more = sweep_next(&sweep, &next);
        if (more)
            read[slot ^ 1] = request(f, &next, buffers->x[slot ^ 1]);
        dma_wait(read[slot]);
        if (tap.at == tap.first && segments >= 2)
            dma_wait(written[half]);
        pool_tap(f, &tap, buffers->x[slot], buffers, half);
        if (is_last(&tap)) {
            write_segment(f, &tap, buffers->y[half], buffers->index[half], &written[half]);
            segments++;
        }
        tap = next;
        slot ^= 1;
    }
    dma_wait(written[(segments - 1) & 1]);
}

static void kernel_max_pool_forward(const struct task_max_pool_forward *task)
{
    const struct forward f = {
        .planes = &task->planes,
        .x = task->x,
        .y = task->y,
        .index = task->index,
    };

    pool(&f);
}

TASK_KERNEL(KIND_MAX_POOL_FORWARD, kernel_max_pool_forward, struct task_max_pool_forward);

static void kernel_avg_pool_forward(const struct task_avg_pool_forward *task)
{
    const struct forward f = {
        .planes = &task->planes,
        .x = task->x,
        .y = task->y,
        .m = task->m,
        .q = task->q,
    };

    pool(&f);
}

TASK_KERNEL(KIND_AVG_POOL_FORWARD, kernel_avg_pool_forward, struct task_avg_pool_forward);
