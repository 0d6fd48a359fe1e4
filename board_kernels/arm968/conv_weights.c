/* Gradient of a convolution's weights: exact sums of e * x over images and positions.
 *
 * The work is cut into units: 32 output channels, one row of taps, up to 3 taps of it, 32 input
 * channels, whose 64-bit sums stay in data memory while all images pass by as tiles of at most 112
 * positions. While a tile is multiplied the next one, also of the next unit, is read. A row of taps
 * meets one row of x for each row of e, so that rows beyond the image are left out and a tile may
 * hold rows of several images.
 *
 * Data memory, from the workspace's start, which is a multiple of 8192 (outer.S wants the end of e
 * there):
 *
 *   0      stage 0 (1 KB): a row of the total
 *   1024   e of tile 0, ends at 8192
 *   8192   stage 1
 *   9216   e of tile 1, ends at 16384
 *   16384  x of tile 0, x of tile 1: all that the sums leave
 *          sums, to the end
 */
#include "dma.h"
#include "outer.h"
#include "round16.h"
#include "runtime.h"

#include <stddef.h>
#include <string.h>

#pragma GCC optimize("Os")

enum {
    CHUNK = 32,           /* channels */
    CHUNK_BYTES = 64,     /* of a position */
    IMAGE_CHANNELS = 4,   /* of the network's input */
    IMAGE_BYTES = 8,
    TILE = 112,           /* positions */
    E_END = 8192,
    X_START = 16384,
    CHUNK_TAPS = 3,       /* whose sums fit: 3 * 8192 B */
    IMAGE_TAPS = 24,      /* 24 * 1024 B */
    SUM_BYTES = 512,      /* of a pair of input channels with 32 output channels */
};

/* The weights of a unit. */
struct unit {
    int32_t chunk, row, tap, taps, input;
};

/* Positions in one half of the data memory. */
struct tile {
    struct unit unit;
    int32_t rows, columns;
    uint32_t row_bytes; /* of x */
    uint32_t ends_unit;
    dma_ticket read;
};

struct gradient {
    const struct task_weight_gradient *task;
    int32_t input_chunks;  /* of all of x; 0 for the network's input */
    int32_t output_chunks; /* of all of e */
    uint32_t position;     /* bytes of a position of x */
    uint32_t step;         /* from one x to the next */
    int32_t widest;        /* row that the body for this step takes */
    uint32_t stream;       /* 1: positions correspond one to one, rows do not matter */
    int32_t most_taps;
    uint32_t x_bytes;
    int64_t *sums;
    struct rounding rounding;

    /* The next tile to read. */
    uint32_t more;
    struct unit unit;
    int32_t low, high;    /* rows of e that meet a row of x */
    int32_t columns;      /* of a tile */
    int32_t n, y, column; /* stream: only n, a position of all images */
};

static int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static int32_t larger(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

static int32_t part_of(int32_t all, int32_t first, int32_t most)
{
    return smaller(all - first, most);
}

static int32_t round_up_div(int32_t a, int32_t b)
{
    return (a + b - 1) / b;
}

static int32_t outputs_of(const struct gradient *g, const struct unit *unit)
{
    return part_of(g->task->k, unit->chunk * CHUNK, CHUNK);
}

static int32_t inputs_of(const struct gradient *g, const struct unit *unit)
{
    return part_of(g->task->c, unit->input * CHUNK, CHUNK);
}

/* Pairs of input channels in a word each; an input position of the network has two. */
static int32_t pairs_of(const struct gradient *g, const struct unit *unit)
{
    return g->input_chunks == 0 ? 2 : (inputs_of(g, unit) + 1) >> 1;
}

/* ---- reading tiles ---- */

static uint32_t e_address(const struct gradient *g, int32_t n, int32_t position)
{
    const struct task_weight_gradient *t = g->task;

    return t->e +
           (uint32_t)((n * g->output_chunks + g->unit.chunk) * t->p * t->q + position) * CHUNK_BYTES;
}

static uint32_t x_address(const struct gradient *g, int32_t n, int32_t position)
{
    const struct task_weight_gradient *t = g->task;
    const int32_t planes = larger(g->input_chunks, 1);

    return t->x + (uint32_t)((n * planes + g->unit.input) * t->h * t->w + position) * g->position;
}

/* Columns and rows whose product takes least cycles: 11 a position, 8 a row (outer.S). */
static void shape_stream(struct tile *tile, int32_t positions, int32_t widest)
{
    int32_t least = INT32_MAX;

    for (int32_t columns = widest; columns > 0; columns--) {
        const int32_t rows = round_up_div(positions, columns);
        const int32_t cycles = rows * (columns * 11 + 8);
        if (rows * columns <= TILE && cycles < least) {
            least = cycles;
            tile->rows = rows;
            tile->columns = columns;
        }
    }
}

/* The next positions, whatever image they are of. Where the shape leaves some over, e is 0. */
static void read_stream(struct gradient *g, struct tile *tile, uint8_t *e_end, uint8_t *x)
{
    const int32_t plane = g->task->p * g->task->q;
    const int32_t all = g->task->n * plane;
    const int32_t count = smaller(TILE, all - g->n);
    uint8_t *e;

    shape_stream(tile, count, g->widest);
    tile->row_bytes = (uint32_t)tile->columns * g->position;
    e = e_end - tile->rows * tile->columns * CHUNK_BYTES;
    memset(e + count * CHUNK_BYTES, 0, (uint32_t)(e_end - e) - (uint32_t)count * CHUNK_BYTES);
    for (int32_t done = 0; done < count;) {
        const int32_t n = (g->n + done) / plane, from = g->n + done - n * plane;
        const int32_t length = smaller(plane - from, count - done);
        dma_read(e + done * CHUNK_BYTES, e_address(g, n, from), (uint32_t)length * CHUNK_BYTES);
        tile->read = dma_read(x + (uint32_t)done * g->position, x_address(g, n, from),
                              (uint32_t)length * g->position);
        done += length;
    }
    g->n += count;
    tile->ends_unit = g->n == all;
}

/* The x under a row of a tile, with zeros where the windows leave the image. */
static dma_ticket read_x_row(const struct gradient *g, const struct tile *tile, uint8_t *x)
{
    const struct task_weight_gradient *t = g->task;
    const int32_t row = g->y * t->stride + g->unit.row - t->pad;
    const int32_t first = g->column * t->stride + g->unit.tap - t->pad;
    const int32_t end = first + (int32_t)(tile->row_bytes / g->position);
    const int32_t from = smaller(larger(first, 0), end), to = larger(smaller(end, t->w), from);

    memset(x, 0, (uint32_t)(from - first) * g->position);
    memset(x + (uint32_t)(to - first) * g->position, 0, (uint32_t)(end - to) * g->position);
    return dma_read(x + (uint32_t)(from - first) * g->position,
                    x_address(g, g->n, row * t->w + from),
                    (uint32_t)(to - from) * g->position);
}

/* To the next row of e, of the next image, of the next columns; whether the unit has no more. */
static uint32_t next_row(struct gradient *g)
{
    if (++g->y < g->high)
        return 0;
    g->y = g->low;
    if (++g->n < g->task->n)
        return 0;
    g->n = 0;
    g->column += g->columns;
    return g->column >= g->task->q;
}

/* The next rows of some columns. */
static void read_rows(struct gradient *g, struct tile *tile, uint8_t *e_end, uint8_t *x)
{
    const struct task_weight_gradient *t = g->task;
    const int32_t columns = part_of(t->q, g->column, g->columns);
    const int32_t x_columns = (columns - 1) * t->stride + tile->unit.taps;
    const int32_t left = (t->n - g->n) * (g->high - g->low) - (g->y - g->low);
    uint8_t *e;

    tile->columns = columns;
    tile->row_bytes = (uint32_t)x_columns * g->position;
    tile->rows = smaller(TILE / columns, (int32_t)(g->x_bytes / tile->row_bytes));
    tile->rows = smaller(tile->rows, left);
    e = e_end - tile->rows * columns * CHUNK_BYTES;
    for (int32_t i = 0; i < tile->rows; i++) {
        dma_read(e, e_address(g, g->n, g->y * t->q + g->column), (uint32_t)columns * CHUNK_BYTES);
        tile->read = read_x_row(g, tile, x);
        tile->ends_unit = next_row(g);
        e += columns * CHUNK_BYTES;
        x += tile->row_bytes;
    }
}

/* Set the cursor to a unit's first tile; whether it has one. */
static uint32_t start_unit(struct gradient *g)
{
    const struct task_weight_gradient *t = g->task;
    const int32_t above = t->pad - g->unit.row;
    const int32_t below = t->h - 1 + above;
    const int32_t in_memory =
        ((int32_t)(g->x_bytes / g->position) - g->unit.taps) / t->stride + 1;

    g->low = above > 0 ? round_up_div(above, t->stride) : 0;
    g->high = below < 0 ? 0 : smaller(t->p, below / t->stride + 1);
    g->columns = round_up_div(t->q, round_up_div(t->q, smaller(g->widest, in_memory)));
    g->n = 0;
    g->y = g->low;
    g->column = 0;
    return g->low < g->high;
}

/* Name the next unit; 0 when there is none. */
static uint32_t next_unit(struct gradient *g)
{
    const struct task_weight_gradient *t = g->task;
    struct unit *unit = &g->unit;

    if (++unit->input < t->input_first + t->input_chunks)
        return 1;
    unit->input = t->input_first;
    unit->tap += unit->taps;
    if (unit->tap == t->s) {
        unit->tap = 0;
        unit->row++;
    }
    if (unit->row == t->row_first + t->rows) {
        unit->row = t->row_first;
        unit->chunk++;
    }
    unit->taps = part_of(t->s, unit->tap, g->most_taps);
    return unit->chunk < t->output_first + t->output_chunks;
}

/* From the named unit on, start the first that has tiles. */
static void find_unit(struct gradient *g)
{
    while (g->more && !start_unit(g))
        g->more = next_unit(g);
}

/* Start to read the next tile into one half; 0 when there is none. */
static uint32_t read_tile(struct gradient *g, struct tile *tile, uint32_t half)
{
    uint8_t *e_end = workspace + (half + 1) * E_END;
    uint8_t *x = workspace + X_START + half * g->x_bytes;

    if (!g->more)
        return 0;
    tile->unit = g->unit;
    if (g->stream)
        read_stream(g, tile, e_end, x);
    else
        read_rows(g, tile, e_end, x);
    if (tile->ends_unit) {
        g->more = next_unit(g);
        find_unit(g);
    }
    return 1;
}

/* ---- products ---- */

static void enter_body(const struct gradient *g, const struct tile *tile, struct outer *outer)
{
    const uint32_t skipped =
        (uint32_t)((g->step == CHUNK_BYTES ? OUTER_LONG : OUTER_SHORT) - tile->columns);

    outer->step = g->step;
    outer->row_step = tile->row_bytes - (uint32_t)(tile->columns - 1) * g->step;
    outer->mid_step = CHUNK_BYTES;
    if (g->step == CHUNK_BYTES && tile->columns == OUTER_SHORT && tile->rows % 2 == 0) {
        outer->mid_step = outer->row_step;
        outer->again = (uint32_t)outer_unit_stride;
    } else if (g->step == CHUNK_BYTES) {
        outer->again = skipped < OUTER_SHORT
                           ? (uint32_t)outer_unit_stride + skipped * OUTER_POSITION
                           : (uint32_t)outer_unit_stride_half +
                                 (skipped - OUTER_SHORT) * OUTER_POSITION;
    } else {
        outer->again = (uint32_t)outer_any_step + skipped * OUTER_POSITION;
        outer->first = (uint32_t)outer_any_step_first;
        return;
    }
    outer->first = outer->again;
}

static void multiply(const struct gradient *g, const struct tile *tile, uint32_t half)
{
    struct outer outer;
    const int32_t pairs = pairs_of(g, &tile->unit);

    outer.e = (uint32_t)(workspace + (half + 1) * E_END -
                         tile->rows * tile->columns * CHUNK_BYTES);
    outer.x = (uint32_t)(workspace + X_START + half * g->x_bytes);
    outer.sums = (uint32_t)g->sums;
    outer.blocks = (uint32_t)(outputs_of(g, &tile->unit) + 3) / 4;
    outer.taps = (uint32_t)tile->unit.taps;
    outer.tap_bytes = g->position;
    outer.pair_bytes = 4 * (uint32_t)pairs;
    outer.rows = (uint32_t)tile->rows;
    outer.columns = (uint32_t)tile->columns;
    enter_body(g, tile, &outer);
    outer_tile(&outer);
}

/* ---- the sums of a unit ---- */

static void clear_sums(const struct gradient *g)
{
    memset(g->sums, 0, (uint32_t)(workspace + WORKSPACE_BYTES - (uint8_t *)g->sums));
}

/* Where the weights of an output channel and a tap begin in the total. */
static uint32_t total_address(const struct gradient *g, const struct unit *unit, int32_t output,
                              int32_t tap)
{
    const struct task_weight_gradient *t = g->task;
    const int32_t k = unit->chunk * CHUNK + output;
    const int32_t at = ((k * t->r + unit->row) * t->s + unit->tap + tap) * t->c;

    return t->total + 4 * (uint32_t)(at + unit->input * CHUNK);
}

static int32_t *stage_of(int32_t output)
{
    return (int32_t *)(void *)(workspace + (uint32_t)(output & 1) * E_END);
}

static dma_ticket read_total(const struct gradient *g, const struct unit *unit, int32_t output)
{
    const int32_t count = inputs_of(g, unit);
    int32_t *stage = stage_of(output);
    dma_ticket ticket = 0;

    for (int32_t tap = 0; tap < unit->taps; tap++, stage += count)
        ticket = dma_read(stage, total_address(g, unit, output, tap), 4 * (uint32_t)count);
    return ticket;
}

static void write_total(const struct gradient *g, const struct unit *unit, int32_t output)
{
    const int32_t count = inputs_of(g, unit);
    const int32_t *stage = stage_of(output);

    for (int32_t tap = 0; tap < unit->taps; tap++, stage += count)
        dma_write(stage, total_address(g, unit, output, tap), 4 * (uint32_t)count);
}

/* Sums of an output channel: [tap][pair][4 outputs of the block][2 inputs]. */
static const int64_t *sums_of(const struct gradient *g, const struct unit *unit, int32_t output)
{
    return g->sums + (output / 4 * unit->taps * pairs_of(g, unit) * 4 + output % 4) * 2;
}

/* Into the total of an output channel, or NULL to measure only. */
static void round_output(struct gradient *g, const struct unit *unit, int32_t output,
                         int32_t *total)
{
    const int64_t *sums = sums_of(g, unit, output);
    const int32_t count = inputs_of(g, unit), pairs = pairs_of(g, unit);

    for (int32_t tap = 0; tap < unit->taps; tap++, sums += pairs * 8) {
        add_rounded(&g->rounding, sums, 8, (uint32_t)count, total);
        if (total != NULL)
            total += count;
    }
}

/* Round a unit's sums into the total. Transfers run in order: a stage's next read waits in the queue
 * for its last write. */
static void finish_unit(struct gradient *g, const struct unit *unit)
{
    const int32_t outputs = outputs_of(g, unit);
    dma_ticket read, next = 0;

    if (!g->task->measure)
        next = read_total(g, unit, 0);
    for (int32_t output = 0; output < outputs; output++) {
        if (g->task->measure) {
            round_output(g, unit, output, NULL);
            continue;
        }
        read = next;
        if (output + 1 < outputs)
            next = read_total(g, unit, output + 1);
        dma_wait(read);
        round_output(g, unit, output, stage_of(output));
        write_total(g, unit, output);
    }
}

/* ---- the task ---- */

static void start(struct gradient *g, const struct task_weight_gradient *t)
{
    const uint32_t of_image = t->c <= IMAGE_CHANNELS;
    const int32_t sum_taps = smaller(t->s, of_image ? IMAGE_TAPS : CHUNK_TAPS);
    const uint32_t pairs = of_image ? 2 : CHUNK / 2;
    const uint32_t sum_bytes = (uint32_t)sum_taps * pairs * SUM_BYTES;

    g->task = t;
    g->input_chunks = of_image ? 0 : round_up_div(t->c, CHUNK);
    g->output_chunks = round_up_div(t->k, CHUNK);
    g->position = of_image ? IMAGE_BYTES : CHUNK_BYTES;
    g->step = g->position * (uint32_t)t->stride;
    g->widest = g->step == CHUNK_BYTES ? OUTER_LONG : OUTER_SHORT;
    g->stream = t->r == 1 && t->s == 1 && t->stride == 1 && t->pad == 0;
    g->most_taps = sum_taps;
    g->x_bytes = (WORKSPACE_BYTES - X_START - sum_bytes) / 2 & ~(uint32_t)(CHUNK_BYTES - 1);
    g->sums = (int64_t *)(void *)(workspace + WORKSPACE_BYTES - sum_bytes);
    g->rounding = (struct rounding){t->shift, 0, 0};
    g->unit = (struct unit){t->output_first, t->row_first, 0, sum_taps, t->input_first};
    g->more = 1;
    find_unit(g);
}

static void kernel_weight_gradient(const struct task_weight_gradient *task)
{
    struct gradient g;
    struct tile tiles[2];
    uint32_t half = 0, more;

    start(&g, task);
    more = read_tile(&g, &tiles[0], 0);
    clear_sums(&g);
    for (; more; half ^= 1) {
        const struct tile *tile = &tiles[half];
        more = read_tile(&g, &tiles[half ^ 1], half ^ 1);
        dma_wait(tile->read);
        multiply(&g, tile, half);
        if (tile->ends_unit) {
            finish_unit(&g, &tile->unit);
            if (more)
                clear_sums(&g);
        }
    }
    runtime_measure(g.rounding.bits, g.rounding.saturated);
    runtime_report(task->report);
}

TASK_KERNEL(KIND_WEIGHT_GRADIENT, kernel_weight_gradient, struct task_weight_gradient);
