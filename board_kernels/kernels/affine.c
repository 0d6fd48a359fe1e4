/* Batch norm, shortcut and ReLU in one pass, and its backward pass; row by row, channels innermost.
 *
 * The bounds on coefficients (docs/numerics.md, section 4) keep every sum inside 32 bits. */
#include "bk_kernels.h"

enum { GRAIN = 1 << 15 };

static inline int32_t clamp13(int32_t v)
{
    return v > BK_LIMIT13 ? BK_LIMIT13 : v < -BK_LIMIT13 ? -BK_LIMIT13 : v;
}

/* ---- forward --------------------------------------------------------------------------------------- */

struct forward {
    const int16_t *y, *z;
    int64_t rows, channels;
    const int32_t *a, *r, *b;
    int shift;
    int32_t floor; /* 0 under ReLU, else INT32_MIN */
    int16_t *out;
    char *scratch; /* per part: int64 count of clamps, int32 lo and hi [channels] */
};

struct tally {
    int64_t *saturated;
    int32_t *lo, *hi;
};

static struct tally part_tally(const struct forward *f, int part)
{
    struct tally tally;

    tally.saturated = (int64_t *)(void *)f->scratch + part * (f->channels + 1);
    tally.lo = (int32_t *)(tally.saturated + 1);
    tally.hi = tally.lo + f->channels;
    return tally;
}

/* One row of sat13((a*y + b + half) >> shift); b_half holds b + half. Returns the clamps. */
static int32_t apply_row(const struct forward *f, const int16_t *restrict y,
                         const int32_t *restrict a, const int32_t *restrict b,
                         int16_t *restrict out)
{
    const int32_t half = f->shift > 0 ? (int32_t)1 << (f->shift - 1) : 0;
    const int32_t floor = f->floor;
    const int shift = f->shift;
    int32_t saturated = 0;

    for (int64_t c = 0; c < f->channels; c++) {
        const int32_t sum = (a[c] * y[c] + (b[c] + half)) >> shift;
        const int32_t v = sum > floor ? sum : floor;
        const int32_t kept = clamp13(v);
        saturated += v != kept;
        out[c] = (int16_t)kept;
    }
    return saturated;
}

/* The same with a shortcut. */
static int32_t apply_row_with(const struct forward *f, const int16_t *restrict y,
                              const int16_t *restrict z, const int32_t *restrict a,
                              const int32_t *restrict r, const int32_t *restrict b,
                              int16_t *restrict out)
{
    const int32_t half = f->shift > 0 ? (int32_t)1 << (f->shift - 1) : 0;
    const int32_t floor = f->floor;
    const int shift = f->shift;
    int32_t saturated = 0;

    for (int64_t c = 0; c < f->channels; c++) {
        const int32_t sum = (a[c] * y[c] + r[c] * z[c] + (b[c] + half)) >> shift;
        const int32_t v = sum > floor ? sum : floor;
        const int32_t kept = clamp13(v);
        saturated += v != kept;
        out[c] = (int16_t)kept;
    }
    return saturated;
}

static void widen(const int16_t *restrict out, int64_t channels, int32_t *restrict lo,
                  int32_t *restrict hi)
{
    for (int64_t c = 0; c < channels; c++) {
        lo[c] = out[c] < lo[c] ? out[c] : lo[c];
        hi[c] = out[c] > hi[c] ? out[c] : hi[c];
    }
}

static void forward_part(void *context, int part, int parts)
{
    const struct forward *f = context;
    const struct tally tally = part_tally(f, part);
    int64_t begin, end, saturated = 0;

    for (int64_t c = 0; c < f->channels; c++) {
        tally.lo[c] = INT32_MAX;
        tally.hi[c] = INT32_MIN;
    }
    bk_part_range(f->rows, part, parts, &begin, &end);
    for (int64_t at = begin * f->channels; at < end * f->channels; at += f->channels) {
        if (f->z == NULL)
            saturated += apply_row(f, f->y + at, f->a, f->b, f->out + at);
        else
            saturated += apply_row_with(f, f->y + at, f->z + at, f->a, f->r, f->b, f->out + at);
        widen(f->out + at, f->channels, tally.lo, tally.hi);
    }
    *tally.saturated = saturated;
}

int64_t bk_affine_forward(struct bk_team *team, void *scratch, const int16_t *y, const int16_t *z,
                          int64_t rows, int64_t channels, const int32_t *a, const int32_t *r,
                          const int32_t *b, int shift, int relu, int16_t *out, int32_t *lo,
                          int32_t *hi)
{
    struct forward f = {
        .y = y, .z = z, .rows = rows, .channels = channels, .a = a, .r = r, .b = b,
        .shift = shift, .floor = relu ? 0 : INT32_MIN, .out = out, .scratch = scratch,
    };
    const int parts = bk_team_parts(team, rows * channels, GRAIN);
    int64_t saturated = 0;

    bk_team_run(team, parts, forward_part, &f);
    for (int part = 0; part < parts; part++) {
        const struct tally tally = part_tally(&f, part);
        saturated += *tally.saturated;
        for (int64_t c = 0; c < channels; c++) {
            lo[c] = part == 0 || tally.lo[c] < lo[c] ? tally.lo[c] : lo[c];
            hi[c] = part == 0 || tally.hi[c] > hi[c] ? tally.hi[c] : hi[c];
        }
    }
    return saturated;
}

/* ---- backward -------------------------------------------------------------------------------------- */

struct backward {
    const int16_t *d, *y;
    int64_t rows, channels;
    const int32_t *a, *c, *b;
    int p, shift;
    uint32_t seed;
    int16_t *e;
    int64_t *saturated; /* per part */
};

/* The dither of an element scaled to a shift of 0 .. 30: u >> (16 - shift) or u << (shift - 16). */
static inline int32_t scaled_dither(uint32_t seed, uint32_t i, int down, int up)
{
    return (int32_t)((bk_dither(seed, i) >> down) << up);
}

static int32_t backward_row(const struct backward *g, const int16_t *restrict d,
                            const int32_t *restrict a, const int32_t *restrict b,
                            uint32_t first, int16_t *restrict e)
{
    const int down = g->shift < 16 ? 16 - g->shift : 0, up = g->shift > 16 ? g->shift - 16 : 0;
    const int shift = g->shift;
    const uint32_t seed = g->seed;
    int32_t saturated = 0;

    for (int64_t c = 0; c < g->channels; c++) {
        const int32_t u = scaled_dither(seed, first + (uint32_t)c, down, up);
        const int32_t v = (a[c] * d[c] + (b[c] + u)) >> shift;
        const int32_t kept = clamp13(v);
        saturated += v != kept;
        e[c] = (int16_t)kept;
    }
    return saturated;
}

static int32_t backward_row_with(const struct backward *g, const int16_t *restrict d,
                                 const int16_t *restrict y, const int32_t *restrict a,
                                 const int32_t *restrict coefficient, const int32_t *restrict b,
                                 uint32_t first, int16_t *restrict e)
{
    const int down = g->shift < 16 ? 16 - g->shift : 0, up = g->shift > 16 ? g->shift - 16 : 0;
    const int shift = g->shift, p = g->p;
    const int32_t half_p = p > 0 ? (int32_t)1 << (p - 1) : 0;
    const uint32_t seed = g->seed;
    int32_t saturated = 0;

    for (int64_t c = 0; c < g->channels; c++) {
        const int32_t u = scaled_dither(seed, first + (uint32_t)c, down, up);
        const int32_t scaled = (y[c] + half_p) >> p;
        const int32_t v = (a[c] * d[c] + coefficient[c] * scaled + (b[c] + u)) >> shift;
        const int32_t kept = clamp13(v);
        saturated += v != kept;
        e[c] = (int16_t)kept;
    }
    return saturated;
}

static void backward_part(void *context, int part, int parts)
{
    struct backward *g = context;
    int64_t begin, end, saturated = 0;

    bk_part_range(g->rows, part, parts, &begin, &end);
    for (int64_t at = begin * g->channels; at < end * g->channels; at += g->channels) {
        if (g->y == NULL)
            saturated += backward_row(g, g->d + at, g->a, g->b, (uint32_t)at, g->e + at);
        else
            saturated += backward_row_with(g, g->d + at, g->y + at, g->a, g->c, g->b,
                                           (uint32_t)at, g->e + at);
    }
    g->saturated[part] = saturated;
}

int64_t bk_affine_backward(struct bk_team *team, void *scratch, const int16_t *d, const int16_t *y,
                           int64_t rows, int64_t channels, const int32_t *a, const int32_t *c,
                           int p, const int32_t *b, int shift, uint32_t seed, int16_t *e)
{
    struct backward g = {
        .d = d, .y = y, .rows = rows, .channels = channels, .a = a, .c = c, .b = b,
        .p = p, .shift = shift, .seed = seed, .e = e, .saturated = scratch,
    };
    const int parts = bk_team_parts(team, rows * channels, GRAIN);
    int64_t saturated = 0;

    bk_team_run(team, parts, backward_part, &g);
    for (int part = 0; part < parts; part++)
        saturated += g.saturated[part];
    return saturated;
}
