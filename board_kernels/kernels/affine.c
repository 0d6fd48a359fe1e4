/* Batch norm, shortcut and ReLU in one pass, and its backward pass; row by row, channels innermost.
 *
 * The bounds on coefficients (docs/numerics.md, section 4) keep every sum inside 32 bits. */
#include "bk_kernels.h"
#include "fold.h"

enum { GRAIN = 1 << 15 };

static inline int32_t clamp13(int32_t v)
{
    return v > BK_LIMIT13 ? BK_LIMIT13 : v < -BK_LIMIT13 ? -BK_LIMIT13 : v;
}

/* ---- forward ---- */

struct forward {
    const int16_t *y, *z;
    struct bk__fold fold;
    int32_t *a, *r, *b; /* repeated to a wide row; b with the half that rounds */
    int shift;
    int32_t floor; /* 0 under ReLU, else INT32_MIN */
    int16_t *out;
    char *scratch; /* per part: int64 count of clamps, int16 lo and hi of a wide row */
};

struct tally {
    int64_t *saturated;
    int16_t *lo, *hi;
};

static struct tally part_tally(const struct forward *f, int part)
{
    struct tally tally;

    tally.saturated = (int64_t *)(void *)f->scratch + part * (f->fold.wide + 1);
    tally.lo = (int16_t *)(tally.saturated + 1);
    tally.hi = tally.lo + f->fold.wide;
    return tally;
}

/* One row of sat13((a*y + b) >> shift); b holds the half. Returns the clamps. */
static int32_t apply_row(const struct forward *f, int64_t length, const int16_t *restrict y,
                         const int32_t *restrict a, const int32_t *restrict b,
                         int16_t *restrict out)
{
    const int32_t floor = f->floor;
    const int shift = f->shift;
    int32_t saturated = 0;

    for (int64_t i = 0; i < length; i++) {
        const int32_t sum = (a[i] * y[i] + b[i]) >> shift;
        const int32_t v = sum > floor ? sum : floor;
        const int32_t kept = clamp13(v);
        saturated += v != kept;
        out[i] = (int16_t)kept;
    }
    return saturated;
}

/* The same with a shortcut. */
static int32_t apply_row_with(const struct forward *f, int64_t length, const int16_t *restrict y,
                              const int16_t *restrict z, const int32_t *restrict a,
                              const int32_t *restrict r, const int32_t *restrict b,
                              int16_t *restrict out)
{
    const int32_t floor = f->floor;
    const int shift = f->shift;
    int32_t saturated = 0;

    for (int64_t i = 0; i < length; i++) {
        const int32_t sum = (a[i] * y[i] + r[i] * z[i] + b[i]) >> shift;
        const int32_t v = sum > floor ? sum : floor;
        const int32_t kept = clamp13(v);
        saturated += v != kept;
        out[i] = (int16_t)kept;
    }
    return saturated;
}

static void widen(const int16_t *restrict out, int64_t length, int16_t *restrict lo,
                  int16_t *restrict hi)
{
    for (int64_t c = 0; c < length; c++) {
        lo[c] = out[c] < lo[c] ? out[c] : lo[c];
        hi[c] = out[c] > hi[c] ? out[c] : hi[c];
    }
}

static void forward_part(void *context, int part, int parts)
{
    const struct forward *f = context;
    const struct tally tally = part_tally(f, part);
    const int64_t wide = f->fold.wide;
    int64_t begin, end, saturated = 0;

    for (int64_t c = 0; c < wide; c++) {
        tally.lo[c] = INT16_MAX;
        tally.hi[c] = INT16_MIN;
    }
    bk_part_range(bk__wide_rows(&f->fold), part, parts, &begin, &end);
    for (int64_t at = begin * wide; at < end * wide; at += wide) {
        const int64_t length = bk__row_length(&f->fold, at);
        if (f->z == NULL)
            saturated += apply_row(f, length, f->y + at, f->a, f->b, f->out + at);
        else
            saturated +=
                apply_row_with(f, length, f->y + at, f->z + at, f->a, f->r, f->b, f->out + at);
        widen(f->out + at, length, tally.lo, tally.hi);
    }
    *tally.saturated = saturated;
}

/* Repeat coefficients along a wide row, each with `plus` added. */
static void repeat(const struct bk__fold *fold, const int32_t *from, int32_t plus, int32_t *to)
{
    for (int64_t i = 0; i < fold->wide; i++)
        to[i] = from[i % fold->channels] + plus;
}

int64_t bk_affine_forward(struct bk_team *team, void *scratch, const int16_t *y, const int16_t *z,
                          int64_t rows, int64_t channels, const int32_t *a, const int32_t *r,
                          const int32_t *b, int shift, int relu, int16_t *out, int32_t *lo,
                          int32_t *hi)
{
    struct forward f = {
        .y = y,
        .z = z,
        .fold = bk__fold_rows(rows, channels),
        .shift = shift,
        .floor = relu ? 0 : INT32_MIN,
        .out = out,
    };
    const int parts = bk_team_parts(team, rows * channels, GRAIN);
    int64_t saturated = 0;

    f.a = scratch;
    f.r = f.a + f.fold.wide;
    f.b = f.r + f.fold.wide;
    f.scratch = (char *)(f.b + f.fold.wide + f.fold.wide % 2);
    repeat(&f.fold, a, 0, f.a);
    repeat(&f.fold, r != NULL ? r : a, 0, f.r);
    repeat(&f.fold, b, shift > 0 ? (int32_t)1 << (shift - 1) : 0, f.b);
    bk_team_run(team, parts, forward_part, &f);
    for (int64_t c = 0; c < channels; c++)
        lo[c] = hi[c] = out[c];
    for (int part = 0; part < parts; part++) {
        const struct tally tally = part_tally(&f, part);
        saturated += *tally.saturated;
        for (int64_t i = 0; i < f.fold.wide; i++) {
            const int64_t c = i % channels;
            lo[c] = tally.lo[i] < lo[c] ? tally.lo[i] : lo[c];
            hi[c] = tally.hi[i] > hi[c] ? tally.hi[i] : hi[c];
        }
    }
    return saturated;
}

/* ---- backward ---- */

struct backward {
    const int16_t *d, *y;
    struct bk__fold fold;
    int32_t *a, *c, *b; /* repeated to a wide row */
    int p, shift;
    uint32_t seed;
    int16_t *e;
    int64_t *saturated; /* per part */
};

/* The 16 dither bits at the top of an element's word, scaled to a shift of 0 .. 30: u >> (16 -
 * shift) or u << (shift - 16). */
static inline int32_t scaled_dither(uint32_t word, int down, int up)
{
    return (int32_t)(word >> 16 >> down << up);
}

static int32_t backward_row(const struct backward *g, int64_t length, const int16_t *restrict d,
                            const int32_t *restrict a, const int32_t *restrict b, uint32_t first,
                            int16_t *restrict e)
{
    const int down = g->shift < 16 ? 16 - g->shift : 0, up = g->shift > 16 ? g->shift - 16 : 0;
    const int shift = g->shift;
    uint32_t word = g->seed + first * BK_DITHER_STEP;
    int32_t saturated = 0;

    for (int64_t c = 0; c < length; c++) {
        const int32_t u = scaled_dither(word, down, up);
        const int32_t v = (a[c] * d[c] + (b[c] + u)) >> shift;
        const int32_t kept = clamp13(v);
        saturated += v != kept;
        e[c] = (int16_t)kept;
        word += BK_DITHER_STEP;
    }
    return saturated;
}

static int32_t backward_row_with(const struct backward *g, int64_t length,
                                 const int16_t *restrict d, const int16_t *restrict y,
                                 const int32_t *restrict a, const int32_t *restrict coefficient,
                                 const int32_t *restrict b, uint32_t first, int16_t *restrict e)
{
    const int down = g->shift < 16 ? 16 - g->shift : 0, up = g->shift > 16 ? g->shift - 16 : 0;
    const int shift = g->shift, p = g->p;
    const int32_t half_p = p > 0 ? (int32_t)1 << (p - 1) : 0;
    uint32_t word = g->seed + first * BK_DITHER_STEP;
    int32_t saturated = 0;

    for (int64_t c = 0; c < length; c++) {
        const int32_t u = scaled_dither(word, down, up);
        const int32_t scaled = (y[c] + half_p) >> p;
        const int32_t v = (a[c] * d[c] + coefficient[c] * scaled + (b[c] + u)) >> shift;
        const int32_t kept = clamp13(v);
        saturated += v != kept;
        e[c] = (int16_t)kept;
        word += BK_DITHER_STEP;
    }
    return saturated;
}

static void backward_part(void *context, int part, int parts)
{
    struct backward *g = context;
    const int64_t wide = g->fold.wide;
    int64_t begin, end, saturated = 0;

    bk_part_range(bk__wide_rows(&g->fold), part, parts, &begin, &end);
    for (int64_t at = begin * wide; at < end * wide; at += wide) {
        const int64_t length = bk__row_length(&g->fold, at);
        if (g->y == NULL)
            saturated += backward_row(g, length, g->d + at, g->a, g->b, (uint32_t)at, g->e + at);
        else
            saturated += backward_row_with(g, length, g->d + at, g->y + at, g->a, g->c, g->b,
                                           (uint32_t)at, g->e + at);
    }
    g->saturated[part] = saturated;
}

int64_t bk_affine_backward(struct bk_team *team, void *scratch, const int16_t *d, const int16_t *y,
                           int64_t rows, int64_t channels, const int32_t *a, const int32_t *c,
                           int p, const int32_t *b, int shift, uint32_t seed, int16_t *e)
{
    struct backward g = {
        .d = d,
        .y = y,
        .fold = bk__fold_rows(rows, channels),
        .p = p,
        .shift = shift,
        .seed = seed,
        .e = e,
        .saturated = scratch,
    };
    const int parts = bk_team_parts(team, rows * channels, GRAIN);
    int64_t saturated = 0;

    g.a = (int32_t *)(g.saturated + bk_team_threads(team));
    g.c = g.a + g.fold.wide;
    g.b = g.c + g.fold.wide;
    repeat(&g.fold, a, 0, g.a);
    repeat(&g.fold, c, 0, g.c);
    repeat(&g.fold, b, 0, g.b);
    bk_team_run(team, parts, backward_part, &g);
    for (int part = 0; part < parts; part++)
        saturated += g.saturated[part];
    return saturated;
}
