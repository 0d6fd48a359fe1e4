/* Convolution weight gradient.
 *
 *   g[k,r,s,c] = sum over (n, p, q) of e[n,p,q,k] * x[n, p*stride - pad + r, q*stride - pad + s, c]
 *
 * The reduction runs over positions (n, p, q), in blocks. Of each block, e is packed once as the
 * rows of tiles; the columns (r, s, c) are packed panel by panel straight from x, one tap at a
 * time, so that no window is copied. Where a tap has fewer channels than a panel has columns (an
 * input image), whole windows are gathered instead and count as one tap. Sums between blocks are
 * kept in 64 bits.
 */
#include "conv.h"
#include "finish.h"

#include <string.h>

enum { BLOCK_POSITIONS = 512 };

struct gradient {
    const struct bk_conv *conv;
    const struct bk_tile *tile;
    const int16_t *e, *x;
    int64_t positions;    /* n * p * q */
    int64_t row_tiles;    /* tiles of k */
    int64_t taps;         /* 1 where windows are gathered */
    int64_t tap_channels; /* columns of one tap */
    int64_t tap_panels;
    int64_t first, count, depth; /* this block's positions; depth padded */
    int16_t *rows;               /* e of the block, packed */
    int64_t *acc;                /* [tap][panel][row tile][rows * columns] */
    char *workspace;             /* one per part: window pointers, gathered windows, a panel */
    size_t workspace_bytes;
    int measure, shift;
    int32_t *total;
    struct bk_sums *part_sums;
};

static int gathers(const struct bk_conv *conv)
{
    return conv->r * conv->s > 1 && conv->c < bk__tile_for(conv->c, 0)->columns;
}

static void set_geometry(struct gradient *g, const struct bk_conv *conv)
{
    g->conv = conv;
    g->positions = conv->n * conv->p * conv->q;
    g->taps = gathers(conv) ? 1 : conv->r * conv->s;
    g->tap_channels = gathers(conv) ? conv->r * conv->s * conv->c : conv->c;
    g->tile = bk__tile_for(g->tap_channels, 0);
    g->row_tiles = (conv->k + g->tile->rows - 1) / g->tile->rows;
    g->tap_panels = (g->tap_channels + g->tile->columns - 1) / g->tile->columns;
}

static int64_t rows_bytes(const struct gradient *g)
{
    return bk__round_up(g->row_tiles * g->tile->rows * BLOCK_POSITIONS * 2, BK__ALIGN);
}

static int64_t acc_elements(const struct gradient *g)
{
    return g->taps * g->tap_panels * g->row_tiles * g->tile->rows * g->tile->columns;
}

static int64_t workspace_size(const struct gradient *g)
{
    const int64_t gathered = gathers(g->conv) ? g->tap_channels * BLOCK_POSITIONS * 2 : 0;
    const int64_t pointers = BLOCK_POSITIONS * (int64_t)sizeof(int16_t *);
    const int64_t zeros = bk__round_up(g->tap_channels * 2, BK__ALIGN);

    return bk__round_up(zeros + pointers + bk__round_up(gathered, BK__ALIGN) +
                            g->tile->columns * BLOCK_POSITIONS * 2,
                        BK__ALIGN);
}

/* Pack `width` consecutive channels from `channel` of count positions, of which `valid` exist, as
 * [width][depth]; what does not exist is zero. */
static void pack_positions(const int16_t *const *at, int64_t count, int64_t depth, int64_t channel,
                           int64_t valid, int64_t width, int16_t *to)
{
    if (valid < width || count < depth)
        memset(to, 0, (size_t)(width * depth) * sizeof *to);
    for (int64_t i = 0; i < count; i++)
        for (int64_t j = 0; j < valid; j++)
            to[j * depth + i] = at[i][channel + j];
}

/* Pack the block's e for a share of the row tiles. */
static void pack_part(void *context, int part, int parts)
{
    const struct gradient *g = context;
    const int64_t k = g->conv->k;
    const int16_t *at[BLOCK_POSITIONS];
    int64_t begin, end;

    for (int64_t i = 0; i < g->count; i++)
        at[i] = g->e + (g->first + i) * k;
    bk_part_range(g->row_tiles, part, parts, &begin, &end);
    for (int64_t tile = begin; tile < end; tile++) {
        const int64_t first = tile * g->tile->rows;
        const int64_t valid = k - first < g->tile->rows ? k - first : g->tile->rows;
        pack_positions(at, g->count, g->depth, first, valid, g->tile->rows,
                       g->rows + first * g->depth);
    }
}

/* Point at[i] to the source of tap (r, s) at the block's positions, or to zeros outside; run by run
 * along the rows of the output. */
static void tap_pointers(const struct gradient *g, int64_t r, int64_t s, const int16_t *zeros,
                         const int16_t **at)
{
    const struct bk_conv *conv = g->conv;
    int64_t q = g->first % conv->q, p = g->first / conv->q % conv->p;
    int64_t n = g->first / conv->q / conv->p;

    for (int64_t i = 0; i < g->count;) {
        const int64_t y = p * conv->stride - conv->pad + r, x0 = s - conv->pad;
        const int64_t line = (n * conv->h + y) * conv->w * conv->c;
        const int64_t end = g->count - i < conv->q - q ? q + g->count - i : conv->q;
        const int inside = y >= 0 && y < conv->h;
        for (; q < end; q++, i++) {
            const int64_t x = x0 + q * conv->stride;
            at[i] = inside && x >= 0 && x < conv->w ? g->x + line + x * conv->c : zeros;
        }
        q = 0;
        if (++p == conv->p) {
            p = 0;
            n++;
        }
    }
}

static void gather_windows(const struct gradient *g, int16_t *buffer, const int16_t **at)
{
    const struct bk_conv *conv = g->conv;
    const struct bk__windows windows = bk__windows_of(conv, g->x);

    bk__gather_windows(&windows, g->first, g->count, g->tap_channels, buffer, at);
}

/* Add the block's products of one panel with all of e. */
static void multiply_panel(const struct gradient *g, const int16_t *panel, int64_t *acc)
{
    const struct bk_tile *tile = g->tile;
    const int size = tile->rows * tile->columns;
    const struct bk_burst bursts[] = {{g->depth, 0, 0, 1}, {0, 0, 0, 0}};
    const struct bk_steps steps = {.bursts = bursts, .carries = 1};
    const int16_t *row[BK_TILE_MAX_ROWS];
    _Alignas(BK__ALIGN) int32_t hi[BK_TILE_MAX], lo[BK_TILE_MAX];

    for (int64_t i = 0; i < g->row_tiles; i++, acc += size) {
        for (int r = 0; r < tile->rows; r++)
            row[r] = g->rows + (i * tile->rows + r) * g->depth;
        tile->multiply(row, panel, &steps, hi, lo);
        for (int j = 0; j < size; j++)
            acc[j] += bk__whole(hi[j], lo[j]);
    }
}

static void product_part(void *context, int part, int parts)
{
    const struct gradient *g = context;
    const int64_t size = g->row_tiles * g->tile->rows * g->tile->columns;
    char *workspace = g->workspace + (size_t)part * g->workspace_bytes;
    int16_t *zeros = (int16_t *)(void *)workspace;
    const int16_t **at =
        (const int16_t **)(void *)(workspace + bk__round_up(g->tap_channels * 2, BK__ALIGN));
    int16_t *panel = (int16_t *)(void *)(at + BLOCK_POSITIONS);
    int16_t *gathered = panel + g->tile->columns * BLOCK_POSITIONS;
    int64_t begin, end, ready = -1;

    memset(zeros, 0, (size_t)g->tap_channels * sizeof *zeros);
    bk_part_range(g->taps * g->tap_panels, part, parts, &begin, &end);
    for (int64_t i = begin; i < end; i++) {
        const int64_t tap = i / g->tap_panels, first = i % g->tap_panels * g->tile->columns;
        const int64_t left = g->tap_channels - first;
        if (tap != ready && gathers(g->conv))
            gather_windows(g, gathered, at);
        else if (tap != ready)
            tap_pointers(g, tap / g->conv->s, tap % g->conv->s, zeros, at);
        ready = tap;
        pack_positions(at, g->count, g->depth, first,
                       left < g->tile->columns ? left : g->tile->columns, g->tile->columns, panel);
        multiply_panel(g, panel, g->acc + i * size);
    }
}

static void clear_part(void *context, int part, int parts)
{
    const struct gradient *g = context;
    int64_t begin, end;

    bk_part_range(acc_elements(g), part, parts, &begin, &end);
    memset(g->acc + begin, 0, (size_t)(end - begin) * sizeof *g->acc);
}

/* Round the sums of output channels [begin, end) into the total. */
static void round_part(void *context, int part, int parts)
{
    const struct gradient *g = context;
    const int64_t size = g->row_tiles * g->tile->rows * g->tile->columns;
    const int64_t columns = g->taps * g->tap_channels;
    struct bk_sums sums = {0, 0};
    int16_t rounded[BK_TILE_MAX_COLUMNS];
    int64_t begin, end;

    bk_part_range(g->conv->k, part, parts, &begin, &end);
    for (int64_t k = begin; k < end; k++)
        for (int64_t i = 0; i < g->taps * g->tap_panels; i++) {
            const int64_t first = i % g->tap_panels * g->tile->columns;
            const int64_t left = g->tap_channels - first;
            const int count = left < g->tile->columns ? (int)left : g->tile->columns;
            const int64_t *t = g->acc + i * size + k * g->tile->columns;
            int32_t *total = g->total + k * columns + i / g->tap_panels * g->tap_channels + first;
            bk__round_row(t, count, g->shift, rounded, &sums);
            for (int j = 0; j < count && !g->measure; j++)
                total[j] = bk_add32(total[j], rounded[j]);
        }
    g->part_sums[part] = sums;
}

size_t bk_conv_scratch_bytes(const struct bk_conv *conv, int pass, int threads)
{
    struct gradient g;

    if (pass != BK_WEIGHT_GRADIENT)
        return bk__product_scratch_bytes(conv, pass, threads);
    set_geometry(&g, conv);
    return (size_t)bk__round_up(threads * (int64_t)sizeof(struct bk_sums), BK__ALIGN) +
           (size_t)rows_bytes(&g) + (size_t)bk__round_up(acc_elements(&g) * 8, BK__ALIGN) +
           (size_t)threads * (size_t)workspace_size(&g);
}

void bk_conv_weight_gradient(struct bk_team *team, void *scratch, const struct bk_conv *conv,
                             const int16_t *e, const int16_t *x, int measure, int shift,
                             int32_t *total, struct bk_sums *sums)
{
    const int threads = bk_team_threads(team);
    struct gradient g = {.e = e, .x = x, .measure = measure, .shift = shift, .total = total};
    char *at = scratch;
    int parts;

    set_geometry(&g, conv);
    g.part_sums = scratch;
    at += bk__round_up(threads * (int64_t)sizeof(struct bk_sums), BK__ALIGN);
    g.rows = (int16_t *)(void *)at;
    at += rows_bytes(&g);
    g.acc = (int64_t *)(void *)at;
    at += bk__round_up(acc_elements(&g) * 8, BK__ALIGN);
    g.workspace = at;
    g.workspace_bytes = (size_t)workspace_size(&g);
    parts = bk_team_parts(team, g.positions * conv->k * g.taps * g.tap_channels, 1 << 18);
    bk_team_run(team, parts, clear_part, &g);
    for (g.first = 0; g.first < g.positions; g.first += BLOCK_POSITIONS) {
        const int64_t left = g.positions - g.first;
        g.count = left < BLOCK_POSITIONS ? left : BLOCK_POSITIONS;
        g.depth = bk__round_up(g.count, g.tile->depth_step);
        bk_team_run(team, parts, pack_part, &g);
        bk_team_run(team, parts, product_part, &g);
    }
    bk_team_run(team, parts, round_part, &g);
    *sums = (struct bk_sums){0, 0};
    for (int part = 0; part < parts; part++) {
        sums->bits |= g.part_sums[part].bits;
        sums->saturated += g.part_sums[part].saturated;
    }
    if (measure)
        sums->saturated = 0;
}
