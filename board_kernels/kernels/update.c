/* Masters and momentum: copies to 13 bits, norms, gradient accumulation, the update. */
#include "bk_kernels.h"
#include "finish.h"

enum { GRAIN = 1 << 14, ROW = 64 };

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
    for (int64_t i = begin; i < end; i++) {
        const int64_t wide = bk_half_up_clamped(m->t[i], m->shift, 65535);
        const int64_t kept = bk_clamp(wide, m->limit);
        saturated += wide != kept;
        m->out[i] = (int16_t)kept;
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
    int64_t begin, end;
    uint64_t sum = 0;

    bk_part_range(m->count, part, parts, &begin, &end);
    for (int64_t i = begin; i < end; i++) {
        const int64_t u = bk_half_up_clamped(m->t[i], m->shift, BK_LIMIT16);
        sum += (uint64_t)(u * u);
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

/* ---- accumulate ------------------------------------------------------------------------------------ */

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

/* ---- update ---------------------------------------------------------------------------------------- */

struct update {
    int32_t *w, *v;
    const int32_t *g;
    int64_t count;
    struct bk_scalar m, l, d;
    const struct bk_scalar *ahead; /* NULL: no Nesterov step */
    int64_t *saturated; /* per part: of v, of w */
};

/* t * mantissa on the grid 2^-46: half up to the right, exact to the left, held inside +-2^60. */
static inline int64_t on_grid(int32_t t, const struct bk_scalar *scalar)
{
    const int64_t limit = (int64_t)1 << 60;
    const int64_t product = t * scalar->mantissa;

    if (scalar->shift < 0)
        return scalar->shift < -62 ? 0 : bk_half_up_right(product, (int)-scalar->shift);
    if (scalar->shift >= 60)
        return product == 0 ? 0 : product > 0 ? limit : -limit;
    return bk_clamp(product, limit >> scalar->shift) * ((int64_t)1 << scalar->shift);
}

static inline int32_t clamp31(int64_t v, int64_t *saturated)
{
    const int64_t kept = bk_clamp(v, INT32_MAX);

    *saturated += v != kept;
    return (int32_t)kept;
}

static void update_part(void *context, int part, int parts)
{
    const struct update *u = context;
    int64_t begin, end, of_v = 0, of_w = 0;

    bk_part_range(u->count, part, parts, &begin, &end);
    for (int64_t i = begin; i < end; i++) {
        const int64_t pull = on_grid(u->g[i], &u->l) + on_grid(u->w[i], &u->d);
        const int64_t sum = on_grid(u->v[i], &u->m) + pull;
        const int32_t v = clamp31(bk_half_up(sum, 16), &of_v);
        int32_t step = v;
        if (u->ahead)
            step = clamp31(bk_half_up(on_grid(v, u->ahead) + pull, 16), &of_v);
        u->v[i] = v;
        u->w[i] = clamp31(u->w[i] - bk_half_up(step, 2), &of_w);
    }
    u->saturated[2 * part] = of_v;
    u->saturated[2 * part + 1] = of_w;
}

void bk_update(struct bk_team *team, void *scratch, int32_t *w, int32_t *v, const int32_t *g,
               int64_t count, const struct bk_scalar *m, const struct bk_scalar *l,
               const struct bk_scalar *d, const struct bk_scalar *ahead, int64_t saturated[2])
{
    struct update u = {w, v, g, count, *m, *l, *d, ahead, scratch};
    const int parts = bk_team_parts(team, count, GRAIN);

    bk_team_run(team, parts, update_part, &u);
    saturated[0] = saturated[1] = 0;
    for (int part = 0; part < parts; part++) {
        saturated[0] += u.saturated[2 * part];
        saturated[1] += u.saturated[2 * part + 1];
    }
}
