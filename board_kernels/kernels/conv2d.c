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

#include <stdlib.h>
#include <string.h>

/* Rows of a block that meet all panels before the next rows do: few where all panels stay in a
 * second-level cache, so that whole rows of the output are written; else more, to read panels
 * seldom. */
enum { PANELS_BYTES = 1 << 17, TILES_OF_FEW = 4, TILES_OF_MANY = 12 };

/* Pieces of lines that a part should get at least, so that parts end together. */
enum { PIECES_OF_A_PART = 8 };

/* Taps first, first - stride, ... of one axis: count of them; windows begin at `origin`. */
struct taps {
    int64_t first, count, origin;
};

/* One product: rows are windows, columns the packed panels, the output a grid of positions. */
struct product {
    const struct bk_conv *conv;
    struct bk_team *team;
    const struct bk_tile *tile;
    const int16_t *w;
    struct bk__windows windows;
    struct taps r, s;                                      /* input gradient: the class's taps */
    int64_t lines;                                         /* of windows, in all images */
    int64_t columns;                                       /* k forward, c backward */
    struct bk__segments segments;                          /* of a packed column */
    int64_t depth;                                         /* all of them */
    struct bk_steps steps;
    int64_t out_rows, out_columns, out_y, out_x, out_step; /* where window (i, j) is written */
    const int64_t *bias;
    int wide_finish;                /* the bias or shifts do not fit the halves */
    int whole_finish;               /* 32 bits may do */
    int32_t *bias_hi, *bias_lo;     /* its halves, 0 for columns that pad a panel */
    const struct bk_finish *finish; /* NULL: forward */
    int shift;
    int16_t *out;
    int16_t *panels;
    char *workspace; /* one per part */
    size_t workspace_bytes;
    int64_t block_lines;
    int64_t group_rows;
    struct bk_sums *part_sums;
    int32_t *part_weights; /* the largest of a part's panels */
};

static int64_t panel_count(const struct product *p)
{
    return (p->columns + p->tile->columns - 1) / p->tile->columns;
}

static int64_t padded_columns(const struct product *p)
{
    return panel_count(p) * p->tile->columns;
}

/* Row pointers and output offsets of a block, and the windows' buffer. */
static size_t workspace_size(const struct product *p)
{
    const int64_t rows = p->block_lines * p->windows.columns + BK_TILE_MAX_ROWS;
    const int64_t bytes = rows * ((int64_t)sizeof(int16_t *) + 8) +
                          (int64_t)bk__window_buffer_bytes(&p->windows, p->tile);

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

/* Pack elements [0, count) of column j from depth d on. */
static void pack_column(const struct product *p, int64_t d, int64_t j, const int16_t *from,
                        int64_t count, int16_t *to)
{
    int64_t i = 0;

    to += panel_index(p, d, j);
    if (p->tile->group == 0) {
        memcpy(to, from, (size_t)count * sizeof *to);
        return;
    }
    for (; i + 1 < count; i += 2, to += 2 * p->tile->columns)
        memcpy(to, from + i, 2 * sizeof *to);
    if (i < count)
        *to = from[i];
}

static void pack_forward(const struct product *p, int64_t panel, int16_t *to)
{
    const struct bk__segments *segments = &p->segments;
    const int64_t first = panel * p->tile->columns;

    for (int64_t j = 0; j < p->tile->columns && first + j < p->columns; j++)
        for (int64_t i = 0; i < segments->count; i++)
            pack_column(p, i * segments->padded, j,
                        p->w + ((first + j) * segments->count + i) * segments->length,
                        segments->length, to);
}
/* Pack the columns of one tap (r, s) from depth d on; those of pairs of k at once. */
static void pack_tap(const struct product *p, int64_t d, const int16_t *from, int64_t columns,
                     int16_t *to)
{
    const struct bk_conv *conv = p->conv;
    const int64_t next_k = conv->r * conv->s * conv->c, next = panel_index(p, 0, 1);
    int64_t k = 0;

    if (p->tile->group == 2 && d % 2 == 0)
        for (; k + 1 < conv->k; k += 2)
            bk__interleave(from + k * next_k, from + (k + 1) * next_k, columns,
                           to + panel_index(p, d + k, 0));
    for (; k < conv->k; k++) {
        int16_t *at = to + panel_index(p, d + k, 0);
        for (int64_t c = 0; c < columns; c++)
            at[c * next] = from[k * next_k + c];
    }
}

static void pack_backward(const struct product *p, int64_t panel, int16_t *to)
{
    const struct bk_conv *conv = p->conv;
    const int64_t first = panel * p->tile->columns;
    const int64_t left = p->columns - first;
    const int64_t columns = left < p->tile->columns ? left : p->tile->columns;

    for (int64_t i = 0; i < p->r.count; i++)
        for (int64_t j = 0; j < p->s.count; j++) {
            const int64_t r = p->r.first - i * conv->stride, s = p->s.first - j * conv->stride;
            const int64_t tap = i * p->s.count + j;
            /* Segments are lines of taps, or all taps. */
            const int64_t d = p->segments.count == p->r.count
                                  ? i * p->segments.padded + j * conv->k
                                  : tap * conv->k;
            pack_tap(p, d, p->w + (r * conv->s + s) * conv->c + first, columns, to);
        }
}

/* Whether it may pay to find that the weights are too small for any sum to leave 32 bits: a sum is
 * at most BK_LIMIT13 times its column's sum of magnitudes. */
enum { MOST_WEIGHED = 2048 };

static int weighs(const struct product *p)
{
    return p->tile->group > 0 && p->depth > BK_TILE_EXACT && p->depth <= MOST_WEIGHED;
}

/* Return the largest sum of magnitudes of a packed column; only of tiles of pairs. */
static int32_t largest_weight(const struct product *p, const int16_t *panel)
{
    const int columns = p->tile->columns;
    int32_t sums[BK_TILE_MAX_COLUMNS] = {0}, largest = 0;

    for (int64_t d = 0; d < p->depth; d += 2, panel += 2 * columns)
        for (int j = 0; j < columns; j++)
            sums[j] += abs(panel[2 * j]) + abs(panel[2 * j + 1]);
    for (int j = 0; j < columns; j++)
        largest = sums[j] > largest ? sums[j] : largest;
    return largest;
}

static void pack_part(void *context, int part, int parts)
{
    const struct product *p = context;
    const size_t panel_size = (size_t)(p->tile->columns * p->depth);
    int64_t begin, end;

    p->part_weights[part] = 0;
    bk_part_range(panel_count(p), part, parts, &begin, &end);
    for (int64_t panel = begin; panel < end; panel++) {
        int16_t *to = p->panels + (size_t)panel * panel_size;
        memset(to, 0, panel_size * sizeof *to);
        if (p->finish == NULL)
            pack_forward(p, panel, to);
        else
            pack_backward(p, panel, to);
        if (weighs(p)) {
            const int32_t weight = largest_weight(p, to);
            if (weight > p->part_weights[part])
                p->part_weights[part] = weight;
        }
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

/* Copy a row of a tile; the usual widths without a call. */
static inline void copy_row(const int16_t *from, int count, int16_t *to)
{
    if (count == 32)
        memcpy(to, from, 32 * sizeof *to);
    else if (count == 16)
        memcpy(to, from, 16 * sizeof *to);
    else if (count == 4)
        memcpy(to, from, 4 * sizeof *to);
    else
        memcpy(to, from, (size_t)count * sizeof *to);
}

/* Collect a tile's elements of a tensor like the output; returns them. */
static const int16_t *load_tile(const struct product *p, const int16_t *from,
                                const int64_t *offset, int64_t rows, int64_t column, int count,
                                int16_t *to)
{
    if (count < p->tile->columns)
        memset(to, 0, (size_t)(rows * p->tile->columns) * sizeof *to);
    for (int64_t i = 0; i < rows; i++)
        copy_row(from + offset[i] + column, count, to + i * p->tile->columns);
    return to;
}

/* Align with an addend by shifts that need 64 bits. */
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

/* Add the addend or the bias, and mask. */
static void align_halves(const struct product *p, int64_t rows, int64_t column,
                         const int16_t *addend, const int16_t *mask, int32_t *hi, int32_t *lo)
{
    const int size = (int)rows * p->tile->columns;

    if (addend != NULL)
        bk__add_to_halves(hi, lo, size, addend, p->finish->addend_shift);
    if (p->bias != NULL)
        add_bias(p, rows, column, hi, lo);
    if (mask != NULL) {
        bk__align_whole(hi, size, NULL, 0, mask);
        bk__align_whole(lo, size, NULL, 0, mask);
    }
}

/* Finish a tile's sums, as steps.carries tells, and write its rows. Columns that pad a panel are
 * zero sums: they report nothing. */
static void write_tile(const struct product *p, const int64_t *offset, int64_t rows, int64_t column,
                       int32_t *hi, int32_t *lo, struct bk_sums *sums)
{
    const struct bk_finish *finish = p->finish;
    const int64_t left = p->columns - column;
    const int width = p->tile->columns, count = left < width ? (int)left : width;
    const int size = (int)rows * width;
    int16_t addends[BK_TILE_MAX], masks[BK_TILE_MAX], rounded[BK_TILE_MAX];
    const int16_t *addend = NULL, *mask = NULL;

    if (p->wide_finish) {
        if (!p->steps.carries)
            bk__halve(lo, size, hi, lo);
        if (finish != NULL)
            write_aligned(p, offset, rows, column, count, hi, lo, sums);
        else
            write_wide(p, offset, rows, column, count, hi, lo, sums);
        return;
    }
    if (finish != NULL && finish->addend != NULL)
        addend = load_tile(p, finish->addend, offset, rows, column, count, addends);
    if (finish != NULL && finish->mask != NULL)
        mask = load_tile(p, finish->mask, offset, rows, column, count, masks);

    if (p->whole_finish &&
        (p->steps.carries ? bk__join(hi, lo, size) : bk__small(lo, size))) {
        bk__align_whole(lo, size, addend, addend != NULL ? finish->addend_shift : 0, mask);
        if (!bk__round_whole(lo, size, p->shift, rounded, sums)) {
            bk__halve(lo, size, hi, lo);
            bk__round_halves(hi, lo, size, p->shift, rounded, sums);
        }
    } else {
        if (!p->steps.carries)
            bk__halve(lo, size, hi, lo);
        align_halves(p, rows, column, addend, mask, hi, lo);
        bk__round_halves(hi, lo, size, p->shift, rounded, sums);
    }
    for (int64_t i = 0; i < rows; i++)
        copy_row(rounded + i * width, count, p->out + offset[i] + column);
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

/* Write zeros where no tap leads. */
static void clear_rows(const struct product *p, const int64_t *offset, int64_t rows,
                       int64_t panel_begin, int64_t panel_end)
{
    const int64_t first = panel_begin * p->tile->columns, last = panel_end * p->tile->columns;
    const int64_t count = (last < p->columns ? last : p->columns) - first;

    for (int64_t i = 0; i < rows; i++)
        memset(p->out + offset[i] + first, 0, (size_t)count * sizeof *p->out);
}

/* All lines of windows [begin, end) against panels [panel_begin, panel_end). */
static void multiply(const struct product *p, int64_t begin, int64_t end, int64_t panel_begin,
                     int64_t panel_end, char *workspace, struct bk_sums *sums)
{
    const struct bk_tile *tile = p->tile;
    const int64_t block_rows = p->block_lines * p->windows.columns;
    const int16_t **row = (const int16_t **)(void *)workspace;
    int64_t *offset = (int64_t *)(void *)(row + block_rows + BK_TILE_MAX_ROWS);
    int16_t *buffer = (int16_t *)(offset + block_rows + BK_TILE_MAX_ROWS);
    _Alignas(BK__ALIGN) int32_t hi[BK_TILE_MAX], lo[BK_TILE_MAX];

    for (int64_t first = begin; first < end; first += p->block_lines) {
        const int64_t left = end - first;
        const int64_t lines = left < p->block_lines ? left : p->block_lines;
        const int64_t count = lines * p->windows.columns;
        if (p->depth > 0)
            bk__window_rows(&p->windows, tile, first, lines, buffer, row);
        output_offsets(p, first * p->windows.columns, count, offset);
        for (int64_t i = count; i % tile->rows != 0; i++)
            row[i] = row[i - tile->run];
        if (p->depth == 0 && p->finish->addend == NULL) {
            clear_rows(p, offset, count, panel_begin, panel_end);
            continue;
        }
        for (int64_t from = 0; from < count; from += p->group_rows) {
            const int64_t to = count - from < p->group_rows ? count : from + p->group_rows;
            for (int64_t panel = panel_begin; panel < panel_end; panel++)
                for (int64_t i = from; i < to; i += tile->rows) {
                    const int64_t rows = count - i < tile->rows ? count - i : tile->rows;
                    if (p->depth > 0)
                        tile->multiply(row + i, p->panels + panel * tile->columns * p->depth,
                                       &p->steps, hi, lo);
                    else
                        memset(lo, 0, sizeof lo);
                    write_tile(p, offset + i, rows, panel * tile->columns, hi, lo, sums);
                }
        }
    }
}

/* Lines of a piece, at most a block and of whole tiles where they can be; 0 where pieces would be
 * too small to use panels well. */
static int64_t piece_lines(const struct product *p, int parts)
{
    int64_t lines = p->lines / (PIECES_OF_A_PART * parts);

    if (lines * p->windows.columns < p->group_rows)
        return 0;
    if (lines > p->block_lines)
        lines = p->block_lines;
    for (int64_t fewer = lines; fewer > lines - p->tile->rows && fewer > 0; fewer--)
        if (fewer * p->windows.columns % p->tile->rows == 0)
            return fewer;
    return lines;
}

static void product_part(void *context, int part, int parts)
{
    const struct product *p = context;
    const int64_t panels = panel_count(p);
    char *workspace = p->workspace + (size_t)part * p->workspace_bytes;
    struct bk_sums sums = {0, 0};
    const int64_t piece = parts > 1 ? piece_lines(p, parts) : 0;
    int64_t begin, end;

    if (piece > 0) {
        while ((begin = bk_team_take(p->team) * piece) < p->lines) {
            end = begin + piece < p->lines ? begin + piece : p->lines;
            multiply(p, begin, end, 0, panels, workspace, &sums);
        }
    } else if (p->lines * p->windows.columns / p->tile->rows >= panels && p->lines >= parts) {
        bk_part_range(p->lines, part, parts, &begin, &end);
        multiply(p, begin, end, 0, panels, workspace, &sums);
    } else {
        bk_part_range(panels, part, parts, &begin, &end);
        if (begin < end)
            multiply(p, 0, p->lines, begin, end, workspace, &sums);
    }
    p->part_sums[part] = sums;
}

/* Halves hold sums up to 2^45; a bias near that, of large biases behind tiny products, does not
 * fit. */
static void split_bias(struct product *p)
{
    const int64_t padded = padded_columns(p);
    const int64_t limit = (int64_t)1 << 44;

    for (int64_t j = 0; j < padded; j++) {
        const int64_t bias = j < p->columns ? p->bias[j] : 0;
        p->wide_finish |= bias >= limit || bias <= -limit;
        p->bias_hi[j] = (int32_t)(bias >> 16);
        p->bias_lo[j] = (int32_t)(bias & 0xFFFF);
    }
}

/* Derive the geometry that follows from the windows. */
static void complete(struct product *p)
{
    p->tile = bk__tile_for(p->columns, p->windows.columns);
    p->lines = p->conv->n * p->windows.rows;
    p->segments = bk__window_segments(&p->windows, p->tile);
    p->depth = p->segments.count * p->segments.padded;
    p->block_lines = bk__lines_per_block(&p->windows, p->tile);
    p->group_rows = p->tile->rows * (padded_columns(p) * p->depth * 2 <= PANELS_BYTES
                                         ? TILES_OF_FEW
                                         : TILES_OF_MANY);
    p->workspace_bytes = workspace_size(p);
}

static struct product forward_product(const struct bk_conv *conv, const int16_t *x)
{
    struct product p = {
        .conv = conv,
        .windows = bk__windows_of(conv, x),
        .columns = conv->k,
        .out_rows = conv->p,
        .out_columns = conv->q,
        .out_step = 1,
    };

    complete(&p);
    return p;
}

/* The product of positions (y, x), (y + stride, x), (y, x + stride) ... */
static struct product gradient_product(const struct bk_conv *conv, const int16_t *e, int64_t y,
                                       int64_t x)
{
    const struct taps r = class_taps(y, conv->r, conv->stride, conv->pad);
    const struct taps s = class_taps(x, conv->s, conv->stride, conv->pad);
    struct product p = {
        .conv = conv,
        .windows = {.source = e,
                    .height = conv->p,
                    .width = conv->q,
                    .channels = conv->k,
                    .kh = r.count,
                    .kw = s.count,
                    .rows = (conv->h - y + conv->stride - 1) / conv->stride,
                    .columns = (conv->w - x + conv->stride - 1) / conv->stride,
                    .y0 = r.origin,
                    .x0 = s.origin,
                    .step = 1},
        .r = r,
        .s = s,
        .columns = conv->c,
        .out_rows = conv->h,
        .out_columns = conv->w,
        .out_y = y,
        .out_x = x,
        .out_step = conv->stride,
    };

    complete(&p);
    return p;
}

static int64_t bursts_bytes(const struct product *p)
{
    const int64_t bursts = bk__window_bursts(&p->windows, p->tile);

    return bk__round_up(bursts * (int64_t)sizeof(struct bk_burst), BK__ALIGN);
}

static int64_t parts_bytes(int threads)
{
    return bk__round_up(threads * (int64_t)(sizeof(struct bk_sums) + sizeof(int32_t)), BK__ALIGN);
}

static size_t product_bytes(const struct product *p, int threads)
{
    return (size_t)(parts_bytes(threads) +
                    bursts_bytes(p) + bk__round_up(padded_columns(p) * 8, BK__ALIGN) +
                    bk__round_up(padded_columns(p) * p->depth * 2, BK__ALIGN)) +
           (size_t)threads * p->workspace_bytes;
}

static int fits(const struct product *p, int parts)
{
    int32_t largest = 0;

    for (int part = 0; part < parts; part++)
        largest = p->part_weights[part] > largest ? p->part_weights[part] : largest;
    return weighs(p) && largest <= INT32_MAX / BK_LIMIT13;
}

/* Choose how sums are finished. */
static void choose_finish(struct product *p)
{
    const struct bk_finish *finish = p->finish;

    if (p->bias != NULL)
        split_bias(p);
    else
        p->whole_finish = finish == NULL || finish->addend == NULL ||
                          finish->addend_shift <= BK__WHOLE_SHIFT;
    if (finish != NULL)
        p->wide_finish =
            finish->acc_shift != 0 ||
            (finish->addend != NULL &&
             (finish->addend_shift < 0 || finish->addend_shift > BK__HALVES_SHIFT));
}

/* Pack, multiply, and add the parts' sums to *sums. */
static void run_product(struct bk_team *team, void *scratch, struct product *p,
                        struct bk_sums *sums)
{
    const int64_t padded = padded_columns(p);
    const int64_t work = p->lines * p->windows.columns * p->columns * (p->depth + 1);
    const int threads = bk_team_threads(team), parts = bk_team_parts(team, work, 1 << 18);
    char *at = scratch;
    struct bk_burst *bursts;

    p->team = team;
    p->part_sums = scratch;
    p->part_weights = (int32_t *)(void *)(p->part_sums + threads);
    at += parts_bytes(threads);
    bursts = (struct bk_burst *)(void *)at;
    at += bursts_bytes(p);
    p->bias_hi = (int32_t *)(void *)at;
    p->bias_lo = p->bias_hi + padded;
    at += bk__round_up(padded * 8, BK__ALIGN);
    p->panels = (int16_t *)(void *)at;
    at += bk__round_up(padded * p->depth * 2, BK__ALIGN);
    p->workspace = at;
    if (p->depth > 0) {
        bk_team_run(team, parts, pack_part, p);
        bk__window_steps(&p->windows, p->tile, fits(p, parts), bursts, &p->steps);
    }
    choose_finish(p);
    bk_team_run(team, parts, product_part, p);
    for (int part = 0; part < parts; part++) {
        sums->bits |= p->part_sums[part].bits;
        sums->saturated += p->part_sums[part].saturated;
    }
}

/* ---- entry points ---- */

size_t bk__product_scratch_bytes(const struct bk_conv *conv, int pass, int threads)
{
    struct product p = forward_product(conv, NULL);
    size_t most = 0;

    if (pass == BK_FORWARD)
        return product_bytes(&p, threads);
    for (int64_t y = 0; y < conv->stride && y < conv->h; y++)
        for (int64_t x = 0; x < conv->stride && x < conv->w; x++) {
            p = gradient_product(conv, NULL, y, x);
            if (product_bytes(&p, threads) > most)
                most = product_bytes(&p, threads);
        }
    return most;
}

void bk_conv_forward(struct bk_team *team, void *scratch, const struct bk_conv *conv,
                     const int16_t *x, const int16_t *w, const int64_t *bias, int shift, int16_t *y,
                     struct bk_sums *sums)
{
    struct product p = forward_product(conv, x);

    p.w = w;
    p.bias = bias;
    p.shift = shift;
    p.out = y;
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
            struct product p = gradient_product(conv, e, y, x);
            p.w = w;
            p.finish = finish;
            p.shift = finish->shift;
            p.out = d;
            run_product(team, scratch, &p, sums);
        }
}
