/* Convolution forward and input gradient: both are products of gathered windows and packed weights.
 *
 *   forward         y[n,p,q,k] = sum over (r, s, c) of x[n,h,w,c] * w[k,r,s,c]
 *   input gradient  d[n,h,w,c] = sum over (r, s, k) of e[n,p,q,k] * w[k,r,s,c]
 *                   both over h = p*stride - pad + r, w = q*stride - pad + s
 *
 * Positions h with the same (h + pad) mod stride see the same taps r, at consecutive p as r falls
 * in steps of the stride. So the input gradient is one product for each of stride^2 classes of
 * positions, with only the taps that meet them: no product with a zero is computed. */
#include "bk_kernels.h"
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
    const struct bk_tile *tile;
    const int16_t *w;
    struct bk__windows windows;
    struct taps r, s;                                      /* input gradient: the class's taps */
    int64_t row_count;                                     /* windows in all images */
    int64_t columns;                                       /* k forward, c backward */
    int64_t depth;                                         /* padded */
    int64_t out_rows, out_columns, out_y, out_x, out_step; /* where window (i, j) is written */
    const int64_t *bias;
    int wide_bias;                  /* it does not fit the halves */
    int32_t *bias_hi, *bias_lo;     /* its halves, 0 for columns that pad a panel */
    const struct bk_finish *finish; /* NULL: forward */
    int shift;
    int16_t *out;
    int16_t *panels;
    char *workspace; /* one per part */
    size_t workspace_bytes;
    int64_t block_rows;
    struct bk_sums *part_sums;
};

static int64_t panel_count(const struct product *p)
{
    return (p->columns + p->tile->columns - 1) / p->tile->columns;
}

/* Rows gathered at a time: what stays in a second-level cache beside a panel. */
static int64_t rows_per_block(const struct bk_tile *tile, int64_t depth)
{
    int64_t rows = depth > 0 ? BLOCK_BYTES / (2 * depth) : BLOCK_ROWS;

    if (rows > BLOCK_ROWS)
        rows = BLOCK_ROWS;
    rows -= rows % tile->rows;
    return rows < tile->rows ? tile->rows : rows;
}

static size_t workspace_size(const struct bk_tile *tile, int64_t depth)
{
    const int64_t rows = rows_per_block(tile, depth);
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

/* ---- packing weights ---- */

/* Where element d of column j lies in a panel. */
static int64_t panel_index(const struct product *p, int64_t d, int64_t j)
{
    const int64_t group = p->tile->group > 0 ? p->tile->group : p->depth;

    return (d / group * p->tile->columns + j) * group + d % group;
}

static void pack_forward(const struct product *p, int64_t panel, int16_t *to)
{
    const int64_t depth = bk__window_depth(&p->windows);
    const int64_t first = panel * p->tile->columns;

    for (int64_t j = 0; j < p->tile->columns && first + j < p->columns; j++) {
        const int16_t *from = p->w + (first + j) * depth;
        if (p->tile->group == 0) {
            memcpy(to + j * p->depth, from, (size_t)depth * sizeof *to);
            continue;
        }
        for (int64_t d = 0; d < depth; d++)
            to[panel_index(p, d, j)] = from[d];
    }
}

static void pack_backward(const struct product *p, int64_t panel, int16_t *to)
{
    const struct bk_conv *conv = p->conv;
    const int64_t first = panel * p->tile->columns;
    const int64_t left = p->columns - first;
    const int64_t columns = left < p->tile->columns ? left : p->tile->columns;
    const int64_t next = panel_index(p, 0, 1);
    int64_t d = 0;

    for (int64_t i = 0; i < p->r.count; i++)
        for (int64_t j = 0; j < p->s.count; j++) {
            const int64_t r = p->r.first - i * conv->stride, s = p->s.first - j * conv->stride;
            const int16_t *from = p->w + (r * conv->s + s) * conv->c + first;
            for (int64_t k = 0; k < conv->k; k++, d++) {
                int16_t *at = to + panel_index(p, d, 0);
                for (int64_t c = 0; c < columns; c++)
                    at[c * next] = from[k * conv->r * conv->s * conv->c + c];
            }
        }
}

static void pack_part(void *context, int part, int parts)
{
    const struct product *p = context;
    const size_t panel_size = (size_t)(p->tile->columns * p->depth);
    int64_t begin, end;

    bk_part_range(panel_count(p), part, parts, &begin, &end);
    for (int64_t panel = begin; panel < end; panel++) {
        int16_t *to = p->panels + (size_t)panel * panel_size;
        memset(to, 0, panel_size * sizeof *to);
        if (p->finish == NULL)
            pack_forward(p, panel, to);
        else
            pack_backward(p, panel, to);
    }
}

/* ---- the product ---- */

/* Add the bias to rows of halves. */
static void add_bias(const struct product *p, int64_t rows, int64_t column, int32_t *hi,
                     int32_t *lo)
{
    const int32_t *bias_hi = p->bias_hi + column, *bias_lo = p->bias_lo + column;

    for (int64_t i = 0; i < rows; i++, hi += p->tile->columns, lo += p->tile->columns)
        for (int j = 0; j < p->tile->columns; j++) {
            const int32_t sum = lo[j] + bias_lo[j];
            hi[j] += bias_hi[j] + (sum >> 16);
            lo[j] = sum & 0xFFFF;
        }
}

/* Clear the sums whose mask is not positive. */
static void mask_tile(const struct product *p, const int64_t *offset, int64_t rows, int64_t column,
                      int count, int32_t *hi, int32_t *lo)
{
    for (int64_t i = 0; i < rows; i++, hi += p->tile->columns, lo += p->tile->columns) {
        const int16_t *mask = p->finish->mask + offset[i] + column;
        for (int j = 0; j < count; j++) {
            const int32_t keep = -(int32_t)(mask[j] > 0);
            hi[j] &= keep;
            lo[j] &= keep;
        }
    }
}

/* Align with an addend: sums need 64 bits. */
static void write_aligned(const struct product *p, const int64_t *offset, int64_t rows,
                          int64_t column, int count, const int32_t *hi, const int32_t *lo,
                          struct bk_sums *sums)
{
    int64_t t[BK_TILE_MAX_COLUMNS];

    for (int64_t i = 0; i < rows; i++, hi += p->tile->columns, lo += p->tile->columns) {
        for (int j = 0; j < count; j++)
            t[j] = bk__whole(hi[j], lo[j]);
        bk__finish_row(p->finish, t, offset[i] + column, count, p->out, sums);
    }
}

/* Add a bias that needs 64 bits. */
static void write_wide(const struct product *p, const int64_t *offset, int64_t rows, int64_t column,
                       int count, const int32_t *hi, const int32_t *lo, struct bk_sums *sums)
{
    int64_t t[BK_TILE_MAX_COLUMNS];

    for (int64_t i = 0; i < rows; i++, hi += p->tile->columns, lo += p->tile->columns) {
        for (int j = 0; j < count; j++)
            t[j] = bk__whole(hi[j], lo[j]) + p->bias[column + j];
        bk__round_row(t, count, p->shift, p->out + offset[i] + column, sums);
    }
}

/* Finish a tile's sums and write its rows. Columns that pad a panel are zero sums: they report
 * nothing. */
static void write_tile(const struct product *p, const int64_t *offset, int64_t rows, int64_t column,
                       int32_t *hi, int32_t *lo, struct bk_sums *sums)
{
    const int64_t left = p->columns - column;
    const int width = p->tile->columns, count = left < width ? (int)left : width;
    int16_t rounded[BK_TILE_MAX];

    if (p->finish != NULL && (p->finish->addend != NULL || p->finish->acc_shift != 0)) {
        write_aligned(p, offset, rows, column, count, hi, lo, sums);
        return;
    }
    if (p->wide_bias) {
        write_wide(p, offset, rows, column, count, hi, lo, sums);
        return;
    }
    if (p->finish != NULL && p->finish->mask != NULL)
        mask_tile(p, offset, rows, column, count, hi, lo);
    if (p->bias != NULL)
        add_bias(p, rows, column, hi, lo);
    bk__round_halves(hi, lo, (int)rows * width, p->shift, rounded, sums);
    for (int64_t i = 0; i < rows; i++)
        memcpy(p->out + offset[i] + column, rounded + i * width, (size_t)count * sizeof *rounded);
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
    const struct bk_tile *tile = p->tile;
    int32_t hi[BK_TILE_MAX], lo[BK_TILE_MAX];

    for (int64_t first = begin; first < end; first += p->block_rows) {
        const int64_t left = end - first;
        const int64_t count = left < p->block_rows ? left : p->block_rows;
        bk__window_rows(&p->windows, first, count, p->depth, buffer, row);
        output_offsets(p, first, count, offset);
        for (int64_t i = count; i % tile->rows != 0; i++)
            row[i] = row[count - 1];
        for (int64_t panel = panel_begin; panel < panel_end; panel++)
            for (int64_t i = 0; i < count; i += tile->rows) {
                const int64_t rows = count - i < tile->rows ? count - i : tile->rows;
                tile->multiply(row + i, tile->group, p->panels + panel * tile->columns * p->depth,
                               p->depth, hi, lo);
                write_tile(p, offset + i, rows, panel * tile->columns, hi, lo, sums);
            }
    }
}

static void product_part(void *context, int part, int parts)
{
    const struct product *p = context;
    const int64_t panels = panel_count(p);
    char *workspace = p->workspace + (size_t)part * p->workspace_bytes;
    struct bk_sums sums = {0, 0};
    int64_t begin, end;

    if (p->row_count / p->tile->rows >= panels) {
        bk_part_range(p->row_count, part, parts, &begin, &end);
        multiply(p, begin, end, 0, panels, workspace, &sums);
    } else {
        bk_part_range(panels, part, parts, &begin, &end);
        if (begin < end)
            multiply(p, 0, p->row_count, begin, end, workspace, &sums);
    }
    p->part_sums[part] = sums;
}

/* Halves hold sums up to 2^45; a bias near that, of large biases behind tiny products, does not
 * fit. */
static void split_bias(struct product *p)
{
    const int64_t padded = panel_count(p) * p->tile->columns;
    const int64_t limit = (int64_t)1 << 44;

    for (int64_t j = 0; j < padded; j++) {
        const int64_t bias = j < p->columns ? p->bias[j] : 0;
        p->wide_bias |= bias >= limit || bias <= -limit;
        p->bias_hi[j] = (int32_t)(bias >> 16);
        p->bias_lo[j] = (int32_t)(bias & 0xFFFF);
    }
}

/* Pack, multiply, and add the parts' sums to *sums. */
static void run_product(struct bk_team *team, void *scratch, struct product *p,
                        struct bk_sums *sums)
{
    const int64_t padded = panel_count(p) * p->tile->columns;
    const int64_t work = p->row_count * p->columns * (p->depth + 1);
    const int parts = bk_team_parts(team, work, 1 << 18);
    char *at = scratch;

    p->part_sums = scratch;
    at += bk__round_up(bk_team_threads(team) * (int64_t)sizeof *p->part_sums, BK__ALIGN);
    p->bias_hi = (int32_t *)(void *)at;
    p->bias_lo = p->bias_hi + padded;
    at += bk__round_up(padded * 8, BK__ALIGN);
    p->panels = (int16_t *)(void *)at;
    at += bk__round_up(padded * p->depth * 2, BK__ALIGN);
    p->workspace = at;
    p->workspace_bytes = workspace_size(p->tile, p->depth);
    p->block_rows = rows_per_block(p->tile, p->depth);
    if (p->bias != NULL)
        split_bias(p);
    if (p->depth > 0)
        bk_team_run(team, parts, pack_part, p);
    bk_team_run(team, parts, product_part, p);
    for (int part = 0; part < parts; part++) {
        sums->bits |= p->part_sums[part].bits;
        sums->saturated += p->part_sums[part].saturated;
    }
}

/* ---- entry points ---- */

size_t bk__product_scratch_bytes(const struct bk_conv *conv, int pass, int threads)
{
    const int64_t columns = pass == BK_FORWARD ? conv->k : conv->c;
    const int64_t channels = pass == BK_FORWARD ? conv->c : conv->k;
    const struct bk_tile *tile = bk__tile_for(columns);
    const int64_t depth = bk__round_up(conv->r * conv->s * channels, tile->depth_step);
    const int64_t padded = bk__round_up(columns, tile->columns);
    const int64_t workspace = BLOCK_ROWS * 16 + BLOCK_BYTES + tile->rows * (2 * depth + 16);

    return (size_t)(bk__round_up(threads * (int64_t)sizeof(struct bk_sums), BK__ALIGN) +
                    bk__round_up(padded * 8, BK__ALIGN) +
                    bk__round_up(padded * depth * 2, BK__ALIGN) +
                    threads * bk__round_up(workspace, BK__ALIGN));
}

void bk_conv_forward(struct bk_team *team, void *scratch, const struct bk_conv *conv,
                     const int16_t *x, const int16_t *w, const int64_t *bias, int shift, int16_t *y,
                     struct bk_sums *sums)
{
    const struct bk_tile *tile = bk__tile_for(conv->k);
    struct product p = {
        .conv = conv,
        .tile = tile,
        .w = w,
        .windows = bk__windows_of(conv, x),
        .row_count = conv->n * conv->p * conv->q,
        .columns = conv->k,
        .depth = bk__round_up(conv->r * conv->s * conv->c, tile->depth_step),
        .out_rows = conv->p,
        .out_columns = conv->q,
        .out_step = 1,
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
    const struct bk_tile *tile = bk__tile_for(conv->c);

    *sums = (struct bk_sums){0, 0};
    for (int64_t y = 0; y < conv->stride && y < conv->h; y++)
        for (int64_t x = 0; x < conv->stride && x < conv->w; x++) {
            const int64_t rows = (conv->h - y + conv->stride - 1) / conv->stride;
            const int64_t columns = (conv->w - x + conv->stride - 1) / conv->stride;
            const struct taps r = class_taps(y, conv->r, conv->stride, conv->pad);
            const struct taps s = class_taps(x, conv->s, conv->stride, conv->pad);
            struct product p = {
                .conv = conv,
                .tile = tile,
                .w = w,
                .windows = {.source = e,
                            .height = conv->p,
                            .width = conv->q,
                            .channels = conv->k,
                            .kh = r.count,
                            .kw = s.count,
                            .rows = rows,
                            .columns = columns,
                            .y0 = r.origin,
                            .x0 = s.origin,
                            .step = 1},
                .r = r,
                .s = s,
                .row_count = conv->n * rows * columns,
                .columns = conv->c,
                .depth = bk__round_up(r.count * s.count * conv->k, tile->depth_step),
                .out_rows = conv->h,
                .out_columns = conv->w,
                .out_y = y,
                .out_x = x,
                .out_step = conv->stride,
                .finish = finish,
                .shift = finish->shift,
                .out = d,
            };
            run_product(team, scratch, &p, sums);
        }
}
