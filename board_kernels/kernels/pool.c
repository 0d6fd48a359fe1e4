/* Pools and their backward pass. Windows are clipped to the image; padding never wins and adds 0.
 */
#include "bk_kernels.h"
#include "finish.h"

#include <string.h>

enum { GRAIN = 1 << 14, SOME = 256 };

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ---- max ---- */

struct forward {
    const struct bk_pool *pool;
    const int16_t *x;
    int16_t *out;
    uint8_t *index;
    int64_t m;
    int q;
    int32_t *sums; /* average: per part, [channels] */
};

/* Take what is larger than all before it: the first of equals stays. */
static void take_larger(const int16_t *restrict x, int64_t channels, uint8_t position,
                        int16_t *restrict out, uint8_t *restrict index)
{
    for (int64_t c = 0; c < channels; c++) {
        const int wins = x[c] > out[c];
        out[c] = wins ? x[c] : out[c];
        index[c] = wins ? position : index[c];
    }
}

static void max_window(const struct forward *f, int64_t n, int64_t p, int64_t q)
{
    const struct bk_pool *pool = f->pool;
    const int64_t y0 = p * pool->stride - pool->pad, x0 = q * pool->stride - pool->pad;
    const int64_t at = ((n * pool->p + p) * pool->q + q) * pool->c;

    for (int64_t c = 0; c < pool->c; c++)
        f->out[at + c] = INT16_MIN;
    for (int64_t r = larger(0, -y0); r < smaller(pool->kr, pool->h - y0); r++)
        for (int64_t s = larger(0, -x0); s < smaller(pool->ks, pool->w - x0); s++)
            take_larger(f->x + ((n * pool->h + y0 + r) * pool->w + x0 + s) * pool->c, pool->c,
                        (uint8_t)(r * pool->ks + s), f->out + at, f->index + at);
}

static void max_part(void *context, int part, int parts)
{
    const struct forward *f = context;
    int64_t begin, end;

    bk_part_range(f->pool->n * f->pool->p, part, parts, &begin, &end);
    for (int64_t row = begin; row < end; row++)
        for (int64_t q = 0; q < f->pool->q; q++)
            max_window(f, row / f->pool->p, row % f->pool->p, q);
}

void bk_max_pool_forward(struct bk_team *team, const struct bk_pool *pool, const int16_t *x,
                         int16_t *out, uint8_t *index)
{
    struct forward f = {.pool = pool, .x = x, .out = out, .index = index};
    const int64_t work = pool->n * pool->p * pool->q * pool->c;

    bk_team_run(team, bk_team_parts(team, work, GRAIN), max_part, &f);
}

/* ---- average ---- */

static void add_row(const int16_t *restrict x, int64_t channels, int32_t *restrict sums)
{
    for (int64_t c = 0; c < channels; c++)
        sums[c] += x[c];
}

static void average_window(const struct forward *f, int64_t n, int64_t p, int64_t q, int32_t *sums)
{
    const struct bk_pool *pool = f->pool;
    const int64_t y0 = p * pool->stride - pool->pad, x0 = q * pool->stride - pool->pad;
    int16_t *out = f->out + ((n * pool->p + p) * pool->q + q) * pool->c;

    memset(sums, 0, (size_t)pool->c * sizeof *sums);
    for (int64_t y = larger(0, y0); y < smaller(y0 + pool->kr, pool->h); y++)
        for (int64_t x = larger(0, x0); x < smaller(x0 + pool->ks, pool->w); x++)
            add_row(f->x + ((n * pool->h + y) * pool->w + x) * pool->c, pool->c, sums);
    for (int64_t c = 0; c < pool->c; c++)
        out[c] = (int16_t)bk_half_up_clamped(sums[c] * f->m, f->q, BK_LIMIT13);
}

static void average_part(void *context, int part, int parts)
{
    const struct forward *f = context;
    int64_t begin, end;

    bk_part_range(f->pool->n * f->pool->p, part, parts, &begin, &end);
    for (int64_t row = begin; row < end; row++)
        for (int64_t q = 0; q < f->pool->q; q++)
            average_window(f, row / f->pool->p, row % f->pool->p, q, f->sums + part * f->pool->c);
}

size_t bk_pool_scratch_bytes(const struct bk_pool *pool, int threads)
{
    return (size_t)threads * ((size_t)pool->c * sizeof(int32_t) + sizeof(struct bk_sums));
}

void bk_avg_pool_forward(struct bk_team *team, void *scratch, const struct bk_pool *pool,
                         const int16_t *x, int64_t m, int q, int16_t *out)
{
    struct forward f = {.pool = pool, .x = x, .out = out, .m = m, .q = q, .sums = scratch};
    const int64_t work = pool->n * pool->p * pool->q * pool->c;

    bk_team_run(team, bk_team_parts(team, work, GRAIN), average_part, &f);
}

/* ---- backward ---- */

struct backward {
    const struct bk_pool *pool;
    const int16_t *d;
    const uint8_t *index;
    const struct bk_finish *finish;
    int16_t *out;
    int narrow; /* all fits 32 bits */
    struct bk_sums *part_sums;
    int32_t *sums; /* per part, [channels] */
};

static void add_routed(const int16_t *restrict d, const uint8_t *restrict index, uint8_t position,
                       int64_t channels, int32_t *restrict sums)
{
    for (int64_t c = 0; c < channels; c++)
        sums[c] += d[c] & -(int32_t)(index[c] == position);
}

/* The sums of d over the windows that hold input (n, y, x), fewer than 65536 of them: windows p
 * with p*stride - pad <= y < p*stride - pad + kr. */
static void gather_sums(const struct backward *b, int64_t n, int64_t y, int64_t x, int32_t *sums)
{
    const struct bk_pool *pool = b->pool;
    const int64_t p0 = larger(0, y + pool->pad - pool->kr + pool->stride) / pool->stride;
    const int64_t q0 = larger(0, x + pool->pad - pool->ks + pool->stride) / pool->stride;

    memset(sums, 0, (size_t)pool->c * sizeof *sums);
    for (int64_t p = p0; p < pool->p && p * pool->stride - pool->pad <= y; p++)
        for (int64_t q = q0; q < pool->q && q * pool->stride - pool->pad <= x; q++) {
            const int64_t at = ((n * pool->p + p) * pool->q + q) * pool->c;
            const int64_t r = y + pool->pad - p * pool->stride;
            const int64_t s = x + pool->pad - q * pool->stride;
            if (b->index == NULL)
                add_row(b->d + at, pool->c, sums);
            else
                add_routed(b->d + at, b->index + at, (uint8_t)(r * pool->ks + s), pool->c, sums);
        }
}

/* Align the sums with an addend and round them, in 64 bits. */
static void finish_wide(const struct backward *b, const int32_t *sums, int64_t at, int count,
                        struct bk_sums *report)
{
    int64_t t[SOME];

    for (int j = 0; j < count; j++)
        t[j] = sums[j];
    bk__finish_row(b->finish, t, at, count, b->out, report);
}

/* Clear the sums whose mask is not positive. */
static void mask_sums(const int16_t *restrict mask, int64_t count, int32_t *restrict sums)
{
    for (int64_t j = 0; j < count; j++)
        sums[j] &= -(int32_t)(mask[j] > 0);
}

/* Round 32-bit sums, as bk__round_row does 64-bit ones. For shifts 1 .. 31 half up is t >> s plus
 * the last bit shifted out, which stays inside 32 bits; beyond, all sums round to 0. A left shift
 * takes all beyond +-32768 past the clamp, and by 15 or more any but 0. */
static void round_sums(const int32_t *restrict t, int64_t count, int shift, int16_t *restrict out,
                       struct bk_sums *report)
{
    const int down = shift > 31 ? 31 : shift;
    const int32_t scale = (int32_t)1 << (shift > 0 ? 0 : shift < -15 ? 15 : -shift);
    const int32_t keep = -(int32_t)(shift <= 31);
    uint32_t bits = 0;
    int32_t saturated = 0;

    if (shift > 0)
        for (int64_t j = 0; j < count; j++) {
            const int32_t v = (t[j] >> down) + (t[j] >> (down - 1) & 1);
            bits |= (uint32_t)(t[j] ^ (t[j] >> 31));
            saturated += bk__store16(v & keep, out + j);
        }
    else
        for (int64_t j = 0; j < count; j++) {
            bits |= (uint32_t)(t[j] ^ (t[j] >> 31));
            saturated += bk__store16(bk__clamp32(t[j], -32768, 32768) * scale, out + j);
        }
    report->bits |= bits;
    report->saturated += saturated;
}

/* lsh(t, shift) of 32-bit values that stay inside 2^30; to the right in the manner of round_sums.
 */
static void align_sums(int32_t *t, int64_t count, int shift)
{
    const int down = shift < -31 ? 31 : -shift;
    const int32_t keep = -(int32_t)(shift >= -31);

    if (shift > 0)
        for (int64_t j = 0; j < count; j++)
            t[j] *= (int32_t)1 << shift;
    else if (shift < 0)
        for (int64_t j = 0; j < count; j++)
            t[j] = ((t[j] >> down) + (t[j] >> (down - 1) & 1)) & keep;
}

/* Align the sums and add an addend where both stay inside 2^30. */
static void add_aligned(const struct bk_finish *finish, int64_t at, int64_t count, int32_t *sums)
{
    int32_t addend[SOME];

    align_sums(sums, count, finish->acc_shift);
    if (finish->addend == NULL)
        return;
    for (int64_t j = 0; j < count; j++)
        addend[j] = finish->addend[at + j];
    align_sums(addend, count, finish->addend_shift);
    for (int64_t j = 0; j < count; j++)
        sums[j] += addend[j];
}

/* Round a position's sums, some channels at a time. */
static void finish_position(const struct backward *b, int32_t *sums, int64_t at,
                            struct bk_sums *report)
{
    const struct bk_finish *finish = b->finish;
    const int64_t channels = b->pool->c;

    for (int64_t first = 0; first < channels; first += SOME) {
        const int64_t count = smaller(SOME, channels - first);
        if (!b->narrow) {
            finish_wide(b, sums + first, at + first, (int)count, report);
            continue;
        }
        add_aligned(finish, at + first, count, sums + first);
        if (finish->mask != NULL)
            mask_sums(finish->mask + at + first, count, sums + first);
        round_sums(sums + first, count, finish->shift, b->out + at + first, report);
    }
}

/* Whether sums and addends stay inside 2^30 when they are aligned: a sum is of at most so many
 * 16-bit errors as windows hold a position. */
static int fits_32_bits(const struct bk_pool *pool, const struct bk_finish *finish)
{
    const int64_t windows =
        ((pool->kr - 1) / pool->stride + 1) * ((pool->ks - 1) / pool->stride + 1);
    const int left = finish->acc_shift > 0 ? finish->acc_shift : 0;

    return left <= 15 && windows << left <= 1 << 15 &&
           (finish->addend == NULL || finish->addend_shift <= 15);
}

static void backward_part(void *context, int part, int parts)
{
    const struct backward *b = context;
    const struct bk_pool *pool = b->pool;
    int32_t *sums = b->sums + part * pool->c;
    struct bk_sums report = {0, 0};
    int64_t begin, end;

    bk_part_range(pool->n * pool->h, part, parts, &begin, &end);
    for (int64_t row = begin; row < end; row++)
        for (int64_t x = 0; x < pool->w; x++) {
            gather_sums(b, row / pool->h, row % pool->h, x, sums);
            finish_position(b, sums, (row * pool->w + x) * pool->c, &report);
        }
    b->part_sums[part] = report;
}

void bk_window_backward(struct bk_team *team, void *scratch, const struct bk_pool *pool,
                        const int16_t *d, const uint8_t *index, const struct bk_finish *finish,
                        int16_t *out, struct bk_sums *sums)
{
    struct bk_sums *part_sums = scratch;
    struct backward b = {
        .pool = pool,
        .d = d,
        .index = index,
        .finish = finish,
        .out = out,
        .narrow = fits_32_bits(pool, finish),
        .part_sums = part_sums,
        .sums = (int32_t *)(part_sums + bk_team_threads(team)),
    };
    const int parts = bk_team_parts(team, pool->n * pool->h * pool->w * pool->c, GRAIN);

    bk_team_run(team, parts, backward_part, &b);
    *sums = (struct bk_sums){0, 0};
    for (int part = 0; part < parts; part++) {
        sums->bits |= part_sums[part].bits;
        sums->saturated += part_sums[part].saturated;
    }
}
