/* Convolution forward and input gradient: both are products of gathered windows and packed weights.
 *
 *   forward         y[n,p,q,k] = sum over (r, s, c) of x[n, p*stride - pad + r, q*stride - pad + s, c]
 *                   * w[k,r,s,c]
 *   input gradient  d[n,h,w,c] = sum over (r, s, k) of e[n,p,q,k] * w[k,r,s,c] where
 *                   p*stride - pad + r = h and q*stride - pad + s = w
 *
 * Positions h with the same (h + pad) mod stride see the same taps r, at consecutive p as r falls in
 * steps of the stride. So the input gradient is one product for each of stride^2 classes of
 * positions, with only the taps that meet them: no product with a zero is computed. */
#include "bk_kernels.h"
#include "bk_tile.h"
#include "conv.h"
#include "finish.h"

#include <string.h>

enum { BLOCK_BYTES = 1 << 18, BLOCK_ROWS = 96 };

/* Taps first, first - stride, ... of one axis: count of them; windows begin at `origin`. */
struct taps {
    int64_t first, count, origin;
};

/* One product: rows are windows, columns the packed panels, the output a grid of positions. */
struct product {
    const struct bk_conv *conv;
    const int16_t *w;
    struct bk__windows windows;
    struct taps r, s;          /* input gradient: the class's taps */
    int64_t row_count;         /* windows in all images */
    int64_t columns;           /* k forward, c backward */
    int64_t depth;             /* padded */
    int64_t out_rows, out_columns, out_y, out_x, out_step; /* where window (i, j) is written */
    const int64_t *bias;
    const struct bk_finish *finish; /* NULL: forward */
    int shift;
    int16_t *out;
    int16_t *panels;
    char *workspace; /* one per part */
    size_t workspace_bytes;
    int64_t block_rows;
    struct bk_sums *part_sums;
};

static int64_t padded_depth(int64_t depth)
{
    return bk__round_up(depth, bk_tile.depth_step);
}

static int64_t panel_count(int64_t columns)
{
    return (columns + bk_tile.columns - 1) / bk_tile.columns;
}

/* Rows gathered at a time: what stays in a second-level cache beside a panel. */
static int64_t rows_per_block(int64_t depth)
{
    int64_t rows = depth > 0 ? BLOCK_BYTES / (2 * depth) : BLOCK_ROWS;

    if (rows > BLOCK_ROWS)
        rows = BLOCK_ROWS;
    rows -= rows % bk_tile.rows;
    return rows < bk_tile.rows ? bk_tile.rows : rows;
}

static size_t workspace_size(int64_t depth)
{
    const int64_t rows = rows_per_block(depth);
    const int64_t bytes = rows * (depth * 2 + (int64_t)sizeof(int16_t *) + 8);

    return (size_t)bk__round_up(bytes, BK__ALIGN);
}

static struct taps class_taps(int64_t class_, int64_t kernel, int64_t stride, int64_t pad)
{
    const int64_t residue = (class_ + pad) % stride;
    struct taps taps = {0, 0, 0};

    if (residue < kernel) {
        taps.count = (kernel - 1 - residue) / stride + 1;
        taps.first = residue + (taps.count - 1) * stride;
        taps.origin = (class_ + pad - taps.first) / stride;
    }
    return taps;
}

/* ---- packing weights ------------------------------------------------------------------------------- */

/* Where element d of column j lies in a panel. */
static int64_t panel_index(int64_t d, int64_t j, int64_t depth)
{
    const int64_t group = bk_tile.group > 0 ? bk_tile.group : depth;

    return (d / group * bk_tile.columns + j) * group + d % group;
}

static void pack_forward(const struct product *p, int64_t panel, int16_t *to)
{
    const int64_t depth = bk__window_depth(&p->windows);
    const int64_t first = panel * bk_tile.columns;

    for (int64_t j = 0; j < bk_tile.columns && first + j < p->columns; j++) {
        const int16_t *from = p->w + (first + j) * depth;
        if (bk_tile.group == 0) {
            memcpy(to + j * p->depth, from, (size_t)depth * sizeof *to);
            continue;
        }
        for (int64_t d = 0; d < depth; d++)
            to[panel_index(d, j, p->depth)] = from[d];
    }
}

static void pack_backward(const struct product *p, int64_t panel, int16_t *to)
{
    const struct bk_conv *conv = p->conv;
    const int64_t first = panel * bk_tile.columns;
    const int64_t left = p->columns - first;
    const int64_t columns = left < bk_tile.columns ? left : bk_tile.columns;
    const int64_t next = panel_index(0, 1, p->depth);
    int64_t d = 0;

    for (int64_t i = 0; i < p->r.count; i++)
        for (int64_t j = 0; j < p->s.count; j++) {
            const int64_t r = p->r.first - i * conv->stride, s = p->s.first - j * conv->stride;
            const int16_t *from = p->w + (r * conv->s + s) * conv->c + first;
            for (int64_t k = 0; k < conv->k; k++, d++) {
                int16_t *at = to + panel_index(d, 0, p->depth);
                for (int64_t c = 0; c < columns; c++)
                    at[c * next] = from[k * conv->r * conv->s * conv->c + c];
            }
        }
}

static void pack_part(void *context, int part, int parts)
{
    const struct product *p = context;
    const size_t panel_size = (size_t)(bk_tile.columns * p->depth);
    int64_t begin, end;

    bk_part_range(panel_count(p->columns), part, parts, &begin, &end);
    for (int64_t panel = begin; panel < end; panel++) {
        int16_t *to = p->panels + (size_t)panel * panel_size;
        memset(to, 0, panel_size * sizeof *to);
        if (p->finish == NULL)
            pack_forward(p, panel, to);
        else
            pack_backward(p, panel, to);
    }
}

/* ---- the product ----------------------------------------------------------------------------------- */

static void write_row(const struct product *p, int64_t *t, int64_t offset, int64_t column, int count,
                      struct bk_sums *sums)
{
    if (p->finish != NULL) {
        bk__finish_row(p->finish, t, offset + column, count, p->out, sums);
        return;
    }
    if (p->bias != NULL)
        for (int j = 0; j < count; j++)
            t[j] += p->bias[column + j];
    bk__round_row(t, count, p->shift, p->out + offset + column, sums);
}

static void write_tile(const struct product *p, int64_t *t, const int64_t *offset, int64_t rows,
                       int64_t column, struct bk_sums *sums)
{
    const int64_t left = p->columns - column;
    const int count = left < bk_tile.columns ? (int)left : bk_tile.columns;

    for (int64_t i = 0; i < rows; i++)
        write_row(p, t + i * bk_tile.columns, offset[i], column, count, sums);
}

/* Element offsets in the output of `count` windows from `first`. */
static void output_offsets(const struct product *p, int64_t first, int64_t count, int64_t *offset)
{
    int64_t j = first % p->windows.columns;
    int64_t i = first / p->windows.columns % p->windows.rows;
    int64_t n = first / p->windows.columns / p->windows.rows;

    for (int64_t at = 0; at < count; at++) {
        const int64_t y = p->out_y + i * p->out_step, x = p->out_x + j * p->out_step;
        offset[at] = ((n * p->out_rows + y) * p->out_columns + x) * p->columns;
        if (++j == p->windows.columns) {
            j = 0;
            if (++i == p->windows.rows) {
                i = 0;
                n++;
            }
        }
    }
}

/* All windows [begin, end) against panels [panel_begin, panel_end). */
static void multiply(const struct product *p, int64_t begin, int64_t end, int64_t panel_begin,
                     int64_t panel_end, char *workspace, struct bk_sums *sums)
{
    const int16_t **row = (const int16_t **)(void *)workspace;
    int64_t *offset = (int64_t *)(void *)(row + p->block_rows);
    int16_t *buffer = (int16_t *)(offset + p->block_rows);
    int64_t t[BK_TILE_MAX];

    for (int64_t first = begin; first < end; first += p->block_rows) {
        const int64_t left = end - first;
        const int64_t count = left < p->block_rows ? left : p->block_rows;
        bk__window_rows(&p->windows, first, count, p->depth, buffer, row);
        output_offsets(p, first, count, offset);
        for (int64_t i = count; i % bk_tile.rows != 0; i++)
            row[i] = row[count - 1];
        for (int64_t panel = panel_begin; panel < panel_end; panel++)
            for (int64_t i = 0; i < count; i += bk_tile.rows) {
                const int64_t rows = count - i < bk_tile.rows ? count - i : bk_tile.rows;
                bk_tile.multiply(row + i, bk_tile.group,
                                 p->panels + panel * bk_tile.columns * p->depth, p->depth, t);
                write_tile(p, t, offset + i, rows, panel * bk_tile.columns, sums);
            }
    }
}

static void product_part(void *context, int part, int parts)
{
    const struct product *p = context;
    const int64_t panels = panel_count(p->columns);
    char *workspace = p->workspace + (size_t)part * p->workspace_bytes;
    struct bk_sums sums = {0, 0};
    int64_t begin, end;

    if (p->row_count / bk_tile.rows >= panels) {
        bk_part_range(p->row_count, part, parts, &begin, &end);
        multiply(p, begin, end, 0, panels, workspace, &sums);
    } else {
        bk_part_range(panels, part, parts, &begin, &end);
        if (begin < end)
            multiply(p, 0, p->row_count, begin, end, workspace, &sums);
    }
    p->part_sums[part] = sums;
}

/* Pack, multiply, and add the parts' sums to *sums. */
static void run_product(struct bk_team *team, void *scratch, struct product *p,
                        struct bk_sums *sums)
{
    const int threads = bk_team_threads(team);
    const int64_t panels = panel_count(p->columns);
    const int64_t work = p->row_count * p->columns * (p->depth + 1);
    const int parts = bk_team_parts(team, work, 1 << 18);
    char *at = scratch;

    p->part_sums = scratch;
    at += bk__round_up(threads * (int64_t)sizeof *p->part_sums, BK__ALIGN);
    p->panels = (int16_t *)(void *)at;
    at += bk__round_up(panels * bk_tile.columns * p->depth * 2, BK__ALIGN);
    p->workspace = at;
    p->workspace_bytes = workspace_size(p->depth);
    p->block_rows = rows_per_block(p->depth);
    if (p->depth > 0)
        bk_team_run(team, parts, pack_part, p);
    bk_team_run(team, parts, product_part, p);
    for (int part = 0; part < parts; part++) {
        sums->bits |= p->part_sums[part].bits;
        sums->saturated += p->part_sums[part].saturated;
    }
}

/* ---- entry points ---------------------------------------------------------------------------------- */

size_t bk__product_scratch_bytes(const struct bk_conv *conv, int pass, int threads)
{
    const int64_t columns = pass == BK_FORWARD ? conv->k : conv->c;
    const int64_t depth = padded_depth(conv->r * conv->s * (pass == BK_FORWARD ? conv->c : conv->k));

    return (size_t)bk__round_up(threads * (int64_t)sizeof(struct bk_sums), BK__ALIGN) +
           (size_t)bk__round_up(panel_count(columns) * bk_tile.columns * depth * 2, BK__ALIGN) +
           (size_t)threads * (size_t)bk__round_up(BLOCK_ROWS * 16 + BLOCK_BYTES +
                                                      bk_tile.rows * (2 * depth + 16), BK__ALIGN);
}

void bk_conv_forward(struct bk_team *team, void *scratch, const struct bk_conv *conv,
                     const int16_t *x, const int16_t *w, const int64_t *bias, int shift, int16_t *y,
                     struct bk_sums *sums)
{
    struct product p = {
        .conv = conv,
        .w = w,
        .windows = {.source = x, .height = conv->h, .width = conv->w, .channels = conv->c,
                    .kh = conv->r, .kw = conv->s, .rows = conv->p, .columns = conv->q,
                    .y0 = -conv->pad, .x0 = -conv->pad, .step = conv->stride},
        .row_count = conv->n * conv->p * conv->q,
        .columns = conv->k,
        .depth = padded_depth(conv->r * conv->s * conv->c),
        .out_rows = conv->p, .out_columns = conv->q, .out_step = 1,
        .bias = bias,
        .shift = shift,
        .out = y,
    };

    *sums = (struct bk_sums){0, 0};
    run_product(team, scratch, &p, sums);
}

void bk_conv_input_gradient(struct bk_team *team, void *scratch, const struct bk_conv *conv,
                            const int16_t *e, const int16_t *w, const struct bk_finish *finish,
                            int16_t *d, struct bk_sums *sums)
{
    *sums = (struct bk_sums){0, 0};
    for (int64_t y = 0; y < conv->stride && y < conv->h; y++)
        for (int64_t x = 0; x < conv->stride && x < conv->w; x++) {
            const int64_t rows = (conv->h - y + conv->stride - 1) / conv->stride;
            const int64_t columns = (conv->w - x + conv->stride - 1) / conv->stride;
            const struct taps r = class_taps(y, conv->r, conv->stride, conv->pad);
            const struct taps s = class_taps(x, conv->s, conv->stride, conv->pad);
            struct product p = {
                .conv = conv,
                .w = w,
                .windows = {.source = e, .height = conv->p, .width = conv->q, .channels = conv->k,
                            .kh = r.count, .kw = s.count, .rows = rows, .columns = columns,
                            .y0 = r.origin, .x0 = s.origin, .step = 1},
                .r = r,
                .s = s,
                .row_count = conv->n * rows * columns,
                .columns = conv->c,
                .depth = padded_depth(r.count * s.count * conv->k),
                .out_rows = conv->h, .out_columns = conv->w,
                .out_y = y, .out_x = x, .out_step = conv->stride,
                .finish = finish,
                .out = d,
            };
            run_product(team, scratch, &p, sums);
        }
}
