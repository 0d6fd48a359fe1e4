/* Convolution weight gradient for tiles of pairs.
 *
 *   g[k,r,s,c] = sum over (n, p, q) of e[n,p,q,k] * x[n, p*stride - pad + r, q*stride - pad + s, c]
 *
 * A pair of the reduction is two images at the same position, so that taps and borders never part
 * it (an odd batch ends with an image of zeros). The reduction runs over chunks: `pairs` pairs of
 * images and `lines` output lines. Of each chunk, e is packed once as the rows of tiles, and the
 * lines of x that it meets are packed once for each panel of channels: a tap is an offset in them.
 * Columns of x that lie apart by the stride are packed side by side, so that a line of any tap is
 * one run of steps. Where x has fewer channels than a panel has columns (an input image), a panel
 * spans adjacent taps s instead. Sums between chunks are kept as halves.
 */
#include "bursts.h"
#include "conv.h"
#include "finish.h"

#include <string.h>

enum { CHUNK_STEPS = 1024, LINE_STEPS = 56, ROWS_BYTES = 1 << 20, GROUP = 2 };

/* Parts take panels one by one where there are at least so many for each, so that they end
 * together. */
enum { PANELS_OF_A_PART = 4 };

struct gradient {
    const struct bk_conv *conv;
    struct bk_team *team;
    const struct bk_tile *tile;
    const int16_t *e, *x;
    int joined;           /* a panel spans adjacent taps */
    int64_t taps;         /* r * s; r where joined */
    int64_t tap_channels; /* columns of one tap */
    int64_t tap_panels;
    int64_t row_tiles;    /* tiles of k */
    int64_t pairs, lines; /* of a chunk, at most */
    /* Packed x: [line][residue][slot][pair][width][GROUP]; slot u of residue i is column u * stride
     * + i - pad, where joined u - pad; lines are those that taps meet. */
    int64_t line_step; /* from an output line to the next */
    int64_t residues, slots, width;
    int64_t image, line;  /* this chunk's first */
    struct bk_steps steps;
    struct bk_burst *bursts;
    int16_t *rows;    /* e of the chunk, packed: [tile][line][q][pair][rows][GROUP] */
    int32_t *hi, *lo; /* sums [panel][tap][row tile][rows * columns] */
    char *workspace;  /* one per part: packed x */
    size_t workspace_bytes;
    int measure, shift;
    int32_t *total;
    struct bk_sums *part_sums;
};

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t divided_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static int64_t line_elements(const struct gradient *g)
{
    return g->residues * g->slots * g->pairs * g->width * GROUP;
}

/* Lines of x that `lines` output lines meet. */
static int64_t met_lines(const struct gradient *g, int64_t lines)
{
    return (lines - 1) * g->line_step + g->conv->r;
}

static void set_geometry(struct gradient *g, const struct bk_conv *conv)
{
    int64_t steps;

    g->conv = conv;
    g->joined = conv->s > 1 && conv->c < bk__tile_for(conv->c, 0)->columns;
    g->taps = g->joined ? conv->r : conv->r * conv->s;
    g->tap_channels = g->joined ? conv->s * conv->c : conv->c;
    g->tile = bk__tile_for(g->tap_channels, 0);
    g->tap_panels = divided_up(g->tap_channels, g->tile->columns);
    g->row_tiles = divided_up(conv->k, g->tile->rows);

    steps = ROWS_BYTES / (g->row_tiles * g->tile->rows * 2 * GROUP);
    steps = larger(smaller(steps, CHUNK_STEPS), CHUNK_STEPS / 4);
    g->pairs = g->joined ? 1
                         : smaller(divided_up(conv->n, GROUP), divided_up(LINE_STEPS, conv->q));
    g->lines = smaller(conv->p, larger(steps / (conv->q * g->pairs), 1));
    g->lines = divided_up(conv->p, divided_up(conv->p, g->lines));
    if (g->lines == conv->p && !g->joined)
        g->pairs = smaller(divided_up(conv->n, GROUP), larger(steps / (conv->q * g->lines), 1));

    g->line_step = smaller(conv->stride, conv->r);
    g->residues = g->joined ? 1 : smaller(conv->stride, conv->s);
    g->slots = g->joined ? (conv->q - 1) * conv->stride + conv->s
                         : conv->q + (conv->s - 1) / conv->stride;
    g->width = g->joined ? conv->c : g->tile->columns;
}

static int64_t rows_bytes(const struct gradient *g)
{
    const int64_t steps = g->pairs * g->lines * g->conv->q;

    return bk__round_up(g->row_tiles * g->tile->rows * steps * 2 * GROUP, BK__ALIGN);
}

static int64_t acc_elements(const struct gradient *g)
{
    return g->taps * g->tap_panels * g->row_tiles * g->tile->rows * g->tile->columns;
}

static int64_t bursts_bytes(const struct gradient *g)
{
    const int64_t line = bk__most_bursts(g->pairs * g->conv->q);

    return bk__round_up((g->lines * line + 1) * (int64_t)sizeof *g->bursts, BK__ALIGN);
}

/* Packed x; where joined, the last panel of a window reads on behind it. */
static size_t workspace_size(const struct gradient *g)
{
    const int64_t behind = g->joined ? g->tap_panels * g->tile->columns * GROUP : 0;

    return (size_t)bk__round_up(2 * (met_lines(g, g->lines) * line_elements(g) + behind),
                                BK__ALIGN);
}

/* ---- packing ---- */

/* Interleave `count` channels of two positions, NULL: of zeros, and fill up to `width`; the usual
 * widths are written out as constants for the compiler. */
static inline void pack_pair(const int16_t *a, const int16_t *b, int64_t count, int64_t width,
                             int16_t *to)
{
    static const int16_t zeros[BK_TILE_MAX_COLUMNS];

    if (a == NULL) {
        memset(to, 0, (size_t)(width * GROUP) * sizeof *to);
        return;
    }
    b = b != NULL ? b : zeros;
    if (count == 32)
        bk__interleave(a, b, 32, to);
    else if (count == 16)
        bk__interleave(a, b, 16, to);
    else if (count == 8)
        bk__interleave(a, b, 8, to);
    else
        bk__interleave(a, b, count, to);
    if (count < width)
        memset(to + count * GROUP, 0, (size_t)((width - count) * GROUP) * sizeof *to);
}

static int64_t chunk_pairs(const struct gradient *g)
{
    return smaller(g->pairs, divided_up(g->conv->n - g->image, GROUP));
}

static int64_t chunk_lines(const struct gradient *g)
{
    return smaller(g->lines, g->conv->p - g->line);
}

/* Pack the chunk's e for a share of the row tiles. */
static void pack_part(void *context, int part, int parts)
{
    const struct gradient *g = context;
    const struct bk_conv *conv = g->conv;
    const int64_t pairs = chunk_pairs(g), positions = chunk_lines(g) * conv->q;
    const int64_t width = g->tile->rows, tile_size = positions * pairs * width * GROUP;
    int64_t begin, end;

    bk_part_range(g->row_tiles, part, parts, &begin, &end);
    for (int64_t m = 0; m < pairs; m++) {
        const int64_t n = g->image + m * GROUP;
        const int16_t *a = g->e + (n * conv->p + g->line) * conv->q * conv->k;
        const int16_t *b = n + 1 < conv->n ? a + conv->p * conv->q * conv->k : NULL;
        for (int64_t i = 0; i < positions; i++)
            for (int64_t tile = begin; tile < end; tile++) {
                const int64_t k = i * conv->k + tile * width;
                pack_pair(a + k, b != NULL ? b + k : NULL, smaller(conv->k - tile * width, width),
                          width, g->rows + tile * tile_size + (i * pairs + m) * width * GROUP);
            }
    }
}

/* Pack line y of two images for panels that span taps. */
static void pack_joined(const struct gradient *g, const int16_t *a, const int16_t *b, int16_t *to)
{
    const struct bk_conv *conv = g->conv;
    const int64_t left = conv->pad * conv->c * GROUP, size = line_elements(g);
    const int64_t inside = smaller(conv->w * conv->c, (size - left) / GROUP);

    memset(to, 0, (size_t)size * sizeof *to);
    for (int64_t i = 0; a != NULL && i < inside; i++) {
        to[left + i * GROUP] = a[i];
        to[left + i * GROUP + 1] = b != NULL ? b[i] : 0;
    }
}

/* Pack channels [first, first + count) of line y of two images. */
static void pack_line(const struct gradient *g, const int16_t *a, const int16_t *b, int64_t first,
                      int64_t count, int64_t pairs, int16_t *to)
{
    const struct bk_conv *conv = g->conv;

    for (int64_t i = 0; i < g->residues; i++)
        for (int64_t u = 0; u < g->slots; u++, to += pairs * g->width * GROUP) {
            const int64_t x = u * conv->stride + i - conv->pad, at = x * conv->c + first;
            const int inside = a != NULL && x >= 0 && x < conv->w;
            pack_pair(inside ? a + at : NULL, inside && b != NULL ? b + at : NULL, count, g->width,
                      to);
        }
}

/* Pack the lines of x that the chunk meets, for a panel of channels from `first`. */
static void pack_x(const struct gradient *g, int64_t first, int16_t *to)
{
    const struct bk_conv *conv = g->conv;
    const int64_t pairs = chunk_pairs(g), lines = met_lines(g, chunk_lines(g));
    const int64_t count = smaller(conv->c - first, g->width);
    const int64_t size = g->residues * g->slots * pairs * g->width * GROUP;

    for (int64_t t = 0; t < lines; t++)
        for (int64_t m = 0; m < pairs; m++) {
            const int64_t n = g->image + m * GROUP;
            const int64_t y = (g->line + t / g->line_step) * conv->stride + t % g->line_step;
            const int inside = y >= conv->pad && y - conv->pad < conv->h;
            const int16_t *a =
                inside ? g->x + (n * conv->h + y - conv->pad) * conv->w * conv->c : NULL;
            const int16_t *b =
                inside && n + 1 < conv->n ? a + conv->h * conv->w * conv->c : NULL;
            if (g->joined)
                pack_joined(g, a, b, to + t * size);
            else
                pack_line(g, a, b, first, count, pairs, to + t * size + m * g->width * GROUP);
        }
}

/* ---- the product ---- */

/* Write the steps of the chunk: a run for each line, one run where lines follow each other. */
static void set_steps(struct gradient *g)
{
    const int64_t pairs = chunk_pairs(g), lines = chunk_lines(g), count = g->conv->q * pairs;
    const int64_t step = 2 * GROUP * g->width * (g->joined ? g->conv->stride : 1);
    const int64_t line = 2 * GROUP * g->residues * g->slots * pairs * g->width;
    const int64_t jump = g->line_step * line - count * step;
    struct bk__bursts writer = {g->bursts, BK__EXACT_STEPS, 0, 1};

    if (jump == 0)
        bk__add_steps(&writer, lines * count, 0, 0);
    for (int64_t i = 0; i < lines && jump != 0; i++)
        bk__add_steps(&writer, count, 0, jump);
    g->steps = (struct bk_steps){
        .row_step = 2 * GROUP * g->tile->rows,
        .panel_step = step,
        .bursts = g->bursts,
        .carries = bk__end_steps(&writer),
    };
}

/* Add a tile's sums. */
static void add_halves(int size, const int32_t *restrict hi, const int32_t *restrict lo,
                       int32_t *restrict sum_hi, int32_t *restrict sum_lo)
{
    for (int j = 0; j < size; j++) {
        const int32_t sum = sum_lo[j] + lo[j];
        sum_hi[j] += hi[j] + (sum >> 16);
        sum_lo[j] = sum & 0xFFFF;
    }
}

/* Add the chunk's products of one tap's panel with all of e. */
static void multiply_panel(const struct gradient *g, const int16_t *panel, int64_t at)
{
    const struct bk_tile *tile = g->tile;
    const int size = tile->rows * tile->columns;
    const int64_t steps = chunk_pairs(g) * chunk_lines(g) * g->conv->q;
    const int16_t *row[BK_TILE_MAX_ROWS];
    _Alignas(BK__ALIGN) int32_t hi[BK_TILE_MAX], lo[BK_TILE_MAX];

    for (int64_t i = 0; i < g->row_tiles; i++, at += size) {
        for (int r = 0; r < tile->rows; r++)
            row[r] = g->rows + (i * steps * tile->rows + r) * GROUP;
        tile->multiply(row, panel, &g->steps, hi, lo);
        add_halves(size, hi, lo, g->hi + at, g->lo + at);
    }
}

/* The chunk's products of (panel, tap) pairs [begin, end); *ready is the panel that is packed. */
static void multiply_taps(const struct gradient *g, int64_t begin, int64_t end, int16_t *packed,
                          int64_t *ready)
{
    const int64_t size = g->row_tiles * g->tile->rows * g->tile->columns;
    const int64_t position = chunk_pairs(g) * g->width * GROUP;

    for (int64_t i = begin; i < end; i++) {
        const int64_t first = i / g->taps * g->tile->columns, tap = i % g->taps;
        const int64_t r = g->joined ? tap : tap / g->conv->s;
        const int64_t s = g->joined ? 0 : tap % g->conv->s;
        const int64_t packed_first = g->joined ? 0 : first;
        const int64_t line = (s % g->conv->stride + r * g->residues) * g->slots;
        if (packed_first != *ready)
            pack_x(g, packed_first, packed);
        *ready = packed_first;
        multiply_panel(g,
                       packed + (line + s / g->conv->stride) * position +
                           (first - packed_first) * GROUP,
                       i * size);
    }
}

static void product_part(void *context, int part, int parts)
{
    const struct gradient *g = context;
    int16_t *packed = (int16_t *)(void *)(g->workspace + (size_t)part * g->workspace_bytes);
    int64_t begin, end, ready = -1;

    if (g->tap_panels >= PANELS_OF_A_PART * parts && parts > 1) {
        while ((begin = bk_team_take(g->team) * g->taps) < g->tap_panels * g->taps)
            multiply_taps(g, begin, begin + g->taps, packed, &ready);
    } else {
        bk_part_range(g->taps * g->tap_panels, part, parts, &begin, &end);
        multiply_taps(g, begin, end, packed, &ready);
    }
}

static void clear_part(void *context, int part, int parts)
{
    const struct gradient *g = context;
    int64_t begin, end;

    bk_part_range(acc_elements(g), part, parts, &begin, &end);
    memset(g->hi + begin, 0, (size_t)(end - begin) * sizeof *g->hi);
    memset(g->lo + begin, 0, (size_t)(end - begin) * sizeof *g->lo);
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
            const int64_t first = i / g->taps * g->tile->columns;
            const int count = (int)smaller(g->tap_channels - first, g->tile->columns);
            const int64_t at = i * size + k * g->tile->columns;
            int32_t *total = g->total + k * columns + i % g->taps * g->tap_channels + first;
            bk__round_halves(g->hi + at, g->lo + at, count, g->shift, rounded, &sums);
            for (int j = 0; j < count && !g->measure; j++)
                total[j] = bk_add32(total[j], rounded[j]);
        }
    g->part_sums[part] = sums;
}

/* ---- entry points ---- */

size_t bk_conv_scratch_bytes(const struct bk_conv *conv, int pass, int threads)
{
    struct gradient g;

    if (pass != BK_WEIGHT_GRADIENT)
        return bk__product_scratch_bytes(conv, pass, threads);
    set_geometry(&g, conv);
    return (size_t)(bk__round_up(threads * (int64_t)sizeof(struct bk_sums), BK__ALIGN) +
                    bursts_bytes(&g) + rows_bytes(&g) +
                    2 * bk__round_up(acc_elements(&g) * 4, BK__ALIGN)) +
           (size_t)threads * workspace_size(&g);
}

void bk_conv_weight_gradient(struct bk_team *team, void *scratch, const struct bk_conv *conv,
                             const int16_t *e, const int16_t *x, int measure, int shift,
                             int32_t *total, struct bk_sums *sums)
{
    const int threads = bk_team_threads(team);
    struct gradient g = {
        .team = team, .e = e, .x = x, .measure = measure, .shift = shift, .total = total};
    char *at = scratch;
    int parts;

    set_geometry(&g, conv);
    g.part_sums = scratch;
    at += bk__round_up(threads * (int64_t)sizeof(struct bk_sums), BK__ALIGN);
    g.bursts = (struct bk_burst *)(void *)at;
    at += bursts_bytes(&g);
    g.rows = (int16_t *)(void *)at;
    at += rows_bytes(&g);
    g.hi = (int32_t *)(void *)at;
    at += bk__round_up(acc_elements(&g) * 4, BK__ALIGN);
    g.lo = (int32_t *)(void *)at;
    at += bk__round_up(acc_elements(&g) * 4, BK__ALIGN);
    g.workspace = at;
    g.workspace_bytes = workspace_size(&g);
    parts = bk_team_parts(team, conv->n * conv->p * conv->q * conv->k * g.taps * g.tap_channels,
                          1 << 18);
    bk_team_run(team, parts, clear_part, &g);
    for (g.image = 0; g.image < conv->n; g.image += g.pairs * GROUP)
        for (g.line = 0; g.line < conv->p; g.line += g.lines) {
            set_steps(&g);
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
