/* Masters and momentum: copies to 13 bits, norms, gradient accumulation, the update. */
#include "bk_kernels.h"
#include "finish.h"
#include "masters.h"

enum { GRAIN = 1 << 14, ROW = 256 };

struct masters {
    const int32_t *t;
    int64_t count;
    int shift, limit;
    int16_t *out;
    uint64_t *result; /* per part */
};

size_t bk_count_scratch_bytes(int threads)
{
    return (size_t)threads * 2 * sizeof(uint64_t);
}

static uint64_t add_parts(const uint64_t *result, int parts)
{
    uint64_t sum = 0;

    for (int part = 0; part < parts; part++)
        sum += result[part];
    return sum;
}

static void quantise_part(void *context, int part, int parts)
{
    const struct masters *m = context;
    int64_t begin, end;
    uint64_t saturated = 0;

    bk_part_range(m->count, part, parts, &begin, &end);
    for (int64_t i = begin; i < end; i += ROW) {
        const int count = end - i < ROW ? (int)(end - i) : ROW;
        saturated += (uint64_t)bk__round_masters(m->t + i, count, m->shift, m->limit, m->out + i);
    }
    m->result[part] = saturated;
}

int64_t bk_quantise(struct bk_team *team, void *scratch, const int32_t *t, int64_t count, int shift,
                    int limit, int16_t *out)
{
    struct masters m = {t, count, shift, limit, out, scratch};
    const int parts = bk_team_parts(team, count, GRAIN);

    bk_team_run(team, parts, quantise_part, &m);
    return (int64_t)add_parts(scratch, parts);
}

static void bits_part(void *context, int part, int parts)
{
    const struct masters *m = context;
    int64_t begin, end;
    uint32_t bits = 0;

    bk_part_range(m->count, part, parts, &begin, &end);
    for (int64_t i = begin; i < end; i++)
        bits |= (uint32_t)(m->t[i] ^ (m->t[i] >> 31));
    m->result[part] = bits;
}

uint32_t bk_bits_i32(struct bk_team *team, void *scratch, const int32_t *t, int64_t count)
{
    struct masters m = {.t = t, .count = count, .result = scratch};
    const int parts = bk_team_parts(team, count, GRAIN);
    uint32_t bits = 0;

    bk_team_run(team, parts, bits_part, &m);
    for (int part = 0; part < parts; part++)
        bits |= (uint32_t)m.result[part];
    return bits;
}

static void squares_part(void *context, int part, int parts)
{
    const struct masters *m = context;
    int16_t u[ROW];
    int64_t begin, end;
    uint64_t sum = 0;

    bk_part_range(m->count, part, parts, &begin, &end);
    for (int64_t i = begin; i < end; i += ROW) {
        const int count = end - i < ROW ? (int)(end - i) : ROW;
        bk__round_masters(m->t + i, count, m->shift, BK_LIMIT16, u);
        for (int j = 0; j < count; j++)
            sum += (uint64_t)((int32_t)u[j] * u[j]);
    }
    m->result[part] = sum;
}

uint64_t bk_sum_squares(struct bk_team *team, void *scratch, const int32_t *t, int64_t count,
                        int shift)
{
    struct masters m = {.t = t, .count = count, .shift = shift, .result = scratch};
    const int parts = bk_team_parts(team, count, GRAIN);

    bk_team_run(team, parts, squares_part, &m);
    return add_parts(scratch, parts);
}

/* ---- accumulate ---- */

void bk_accumulate(const int64_t *v, int64_t m, int measure, int shift, int32_t *total,
                   struct bk_sums *sums)
{
    int16_t rounded[ROW];

    *sums = (struct bk_sums){0, 0};
    for (int64_t first = 0; first < m; first += ROW) {
        const int count = m - first < ROW ? (int)(m - first) : ROW;
        bk__round_row(v + first, count, shift, rounded, sums);
        for (int j = 0; j < count && !measure; j++)
            total[first + j] = bk_add32(total[first + j], rounded[j]);
    }
    if (measure)
        sums->saturated = 0;
}

/* ---- update ---- */

struct update {
    int32_t *w, *v;
    const int32_t *g;
    int64_t count;
    struct bk__factor m, l, d, ahead;
    int nesterov;
    int64_t *saturated; /* per part: of v, of w */
};

/* New momentum of count elements; keeps the pull of gradient and decay. Returns the clamps. */
static int64_t update_momentum(const struct update *u, int64_t first, int count,
                               int64_t *restrict pull)
{
    const struct bk__factor m = u->m, l = u->l, d = u->d;
    const int32_t *restrict w = u->w + first, *restrict g = u->g + first;
    int32_t *restrict v = u->v + first;
    int64_t saturated = 0;

    for (int j = 0; j < count; j++) {
        pull[j] = bk__on_grid(g[j], l) + bk__on_grid(w[j], d);
        const int64_t sum = bk__to_momentum(bk__on_grid(v[j], m) + pull[j]);
        const int64_t kept = bk_clamp(sum, INT32_MAX);
        saturated += sum != kept;
        v[j] = (int32_t)kept;
    }
    return saturated;
}

/* Steps of count elements by Nesterov's rule. Returns the clamps. */
static int64_t look_ahead(const struct update *u, int64_t first, int count,
                          const int64_t *restrict pull, int32_t *restrict step)
{
    const struct bk__factor ahead = u->ahead;
    const int32_t *restrict v = u->v + first;
    int64_t saturated = 0;

    for (int j = 0; j < count; j++) {
        const int64_t sum = bk__to_momentum(bk__on_grid(v[j], ahead) + pull[j]);
        const int64_t kept = bk_clamp(sum, INT32_MAX);
        saturated += sum != kept;
        step[j] = (int32_t)kept;
    }
    return saturated;
}

/* Move count masters by their steps. Returns the clamps. */
static int64_t move(int32_t *restrict w, const int32_t *restrict step, int count)
{
    int64_t saturated = 0;

    for (int j = 0; j < count; j++) {
        const int64_t moved = w[j] - (((int64_t)step[j] + 2) >> 2);
        const int64_t kept = bk_clamp(moved, INT32_MAX);
        saturated += moved != kept;
        w[j] = (int32_t)kept;
    }
    return saturated;
}

static void update_part(void *context, int part, int parts)
{
    const struct update *u = context;
    int64_t pull[ROW];
    int32_t step[ROW];
    int64_t begin, end, of_v = 0, of_w = 0;

    bk_part_range(u->count, part, parts, &begin, &end);
    for (int64_t i = begin; i < end; i += ROW) {
        const int count = end - i < ROW ? (int)(end - i) : ROW;
        of_v += update_momentum(u, i, count, pull);
        if (u->nesterov)
            of_v += look_ahead(u, i, count, pull, step);
        of_w += move(u->w + i, u->nesterov ? step : u->v + i, count);
    }
    u->saturated[2 * part] = of_v;
    u->saturated[2 * part + 1] = of_w;
}

void bk_update(struct bk_team *team, void *scratch, int32_t *w, int32_t *v, const int32_t *g,
               int64_t count, const struct bk_scalar *m, const struct bk_scalar *l,
               const struct bk_scalar *d, const struct bk_scalar *ahead, int64_t saturated[2])
{
    struct update u = {
        .w = w,
        .v = v,
        .g = g,
        .count = count,
        .m = bk__factor_of(m),
        .l = bk__factor_of(l),
        .d = bk__factor_of(d),
        .ahead = bk__factor_of(ahead != NULL ? ahead : m),
        .nesterov = ahead != NULL,
        .saturated = scratch,
    };
    const int parts = bk_team_parts(team, count, GRAIN);

    bk_team_run(team, parts, update_part, &u);
    saturated[0] = saturated[1] = 0;
    for (int part = 0; part < parts; part++) {
        saturated[0] += u.saturated[2 * part];
        saturated[1] += u.saturated[2 * part + 1];
    }
}
