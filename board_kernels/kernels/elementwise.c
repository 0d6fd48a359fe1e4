/* Passes over activations element by element: scale, dropout, input table. */
#include "bk_kernels.h"
#include "philox.h"

enum { GRAIN = 1 << 15, ROW = 1 << 15, DROPOUT_PURPOSE = 5 };

/* ---- scale ---- */

struct scale {
    const int16_t *x;
    int64_t count;
    int64_t m;
    int q, limit;
    int16_t *out;
    int64_t *saturated; /* per part */
};

static inline int16_t scaled(int16_t x, int64_t m, int q, int limit, int64_t *saturated)
{
    const int64_t wide = bk_half_up_clamped(x * m, q, 65535);
    const int64_t kept = bk_clamp(wide, limit);

    *saturated += wide != kept;
    return (int16_t)kept;
}

/* Scale count elements; returns the clamps. A product fits 32 bits: 32767 * 2^16 < 2^31. For shifts
 * 1 .. 31 half up is t >> q plus the last bit shifted out, which stays inside them. x and out may
 * be the same. */
static int64_t scale_row(const struct scale *s, const int16_t *x, int64_t count, int16_t *out)
{
    const int32_t m = (int32_t)s->m, limit = s->limit;
    const int q = s->q;
    int64_t wide = 0;
    int32_t saturated = 0;

    if (q >= 1 && q <= 31)
        for (int64_t i = 0; i < count; i++) {
            const int32_t t = x[i] * m, v = (t >> q) + (t >> (q - 1) & 1);
            const int32_t kept = v > limit ? limit : v < -limit ? -limit : v;
            saturated += v != kept;
            out[i] = (int16_t)kept;
        }
    else
        for (int64_t i = 0; i < count; i++)
            out[i] = scaled(x[i], s->m, q, limit, &wide);
    return wide + saturated;
}

static void scale_part(void *context, int part, int parts)
{
    const struct scale *s = context;
    int64_t begin, end, saturated = 0;

    bk_part_range(s->count, part, parts, &begin, &end);
    for (int64_t i = begin; i < end; i += ROW)
        saturated += scale_row(s, s->x + i, end - i < ROW ? end - i : ROW, s->out + i);
    s->saturated[part] = saturated;
}

static int64_t add_parts(const int64_t *saturated, int parts)
{
    int64_t sum = 0;

    for (int part = 0; part < parts; part++)
        sum += saturated[part];
    return sum;
}

int64_t bk_scale16(struct bk_team *team, void *scratch, const int16_t *x, int64_t count, int64_t m,
                   int q, int limit, int16_t *out)
{
    struct scale s = {x, count, m, q, limit, out, scratch};
    const int parts = bk_team_parts(team, count, GRAIN);

    bk_team_run(team, parts, scale_part, &s);
    return add_parts(scratch, parts);
}

/* ---- dropout ---- */

struct dropout {
    const int16_t *x;
    int64_t n, count;
    uint64_t seed;
    uint32_t epoch, tensor, threshold;
    const int64_t *position;
    int64_t m;
    int limit;
    int16_t *out;
    int64_t *saturated; /* per part */
};

static int64_t drop_sample(const struct dropout *d, int64_t n)
{
    const int16_t *x = d->x + n * d->count;
    int16_t *out = d->out + n * d->count;
    int64_t saturated = 0;

    for (int64_t i = 0; i < d->count; i += 4) {
        uint32_t word[4] = {(uint32_t)d->position[n], (uint32_t)(i / 4), d->tensor,
                            ((uint32_t)DROPOUT_PURPOSE << 24) + d->epoch};
        bk__philox4x32(word, d->seed);
        for (int64_t j = 0; j < 4 && i + j < d->count; j++)
            out[i + j] =
                word[j] >= d->threshold ? scaled(x[i + j], d->m, 16, d->limit, &saturated) : 0;
    }
    return saturated;
}

static void dropout_part(void *context, int part, int parts)
{
    const struct dropout *d = context;
    int64_t begin, end, saturated = 0;

    bk_part_range(d->n, part, parts, &begin, &end);
    for (int64_t n = begin; n < end; n++)
        saturated += drop_sample(d, n);
    d->saturated[part] = saturated;
}

int64_t bk_dropout(struct bk_team *team, void *scratch, const int16_t *x, int64_t n, int64_t count,
                   uint64_t seed, uint32_t epoch, uint32_t tensor, const int64_t *position,
                   uint32_t threshold, int64_t m, int limit, int16_t *out)
{
    struct dropout d = {
        .x = x,
        .n = n,
        .count = count,
        .seed = seed,
        .epoch = epoch,
        .tensor = tensor,
        .threshold = threshold,
        .position = position,
        .m = m,
        .limit = limit,
        .out = out,
        .saturated = scratch,
    };
    const int parts = bk_team_parts(team, n, 1);

    bk_team_run(team, parts, dropout_part, &d);
    return add_parts(scratch, parts);
}

/* ---- input table ---- */

struct normalise {
    const uint8_t *pixels;
    int64_t rows, channels;
    const int16_t *table;
    int16_t *out;
};

static void normalise_part(void *context, int part, int parts)
{
    const struct normalise *n = context;
    int64_t begin, end;

    bk_part_range(n->rows, part, parts, &begin, &end);
    for (int64_t row = begin; row < end; row++)
        for (int64_t c = 0; c < n->channels; c++) {
            const int64_t at = row * n->channels + c;
            n->out[at] = n->table[n->pixels[at] * n->channels + c];
        }
}

void bk_normalise(struct bk_team *team, const uint8_t *pixels, int64_t rows, int64_t channels,
                  const int16_t *table, int16_t *out)
{
    struct normalise n = {pixels, rows, channels, table, out};

    bk_team_run(team, bk_team_parts(team, rows * channels, GRAIN), normalise_part, &n);
}
