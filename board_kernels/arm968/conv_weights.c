/* Gradient of a convolution's weights: exact sums of e * x over images and positions.
 *
 * The work is cut into units: 32 output channels, one row of taps, up to 3 taps of it, 32 input
 * channels, whose 64-bit sums stay in data memory while all images pass by as tiles of at most 112
 * positions. While a tile is multiplied the next one, also of the next unit, is read. A row of taps
 * meets one row of x for each row of e, so that rows beyond the image are left out and a tile may
 * hold rows of several images. Where output and input positions are the same ones, rows are cut as
 * suits the inner product.
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
#pragma GCC optimize("Os")
#include "dma.h"
#include "outer.h"
#include "round16.h"
#include "runtime.h"

#include <stddef.h>
#include <string.h>

enum {
    CHUNK = 32,         /* channels */
    IMAGE_CHANNELS = 4, /* of the network's input */
    IMAGE_BYTES = 8,    /* of a position of it */
    TILE = 112,         /* positions */
    E_END = 8192,
    X_START = 16384,
    CHUNK_TAPS = 3,  /* whose sums fit: 8192 B each */
    IMAGE_TAPS = 24, /* 1024 B each */
    SUM_BYTES = 512, /* of a pair of input channels with 32 output channels */
};

/* The weights of a unit, and how many channels there are. */
struct unit {
    int32_t chunk, row, tap, taps, input;
    int32_t outputs, inputs, pairs;
};

/* Positions in one half of the data memory. */
struct tile {
    struct unit unit;
    int32_t rows, columns;
    uint32_t row_bytes; /* of x */
    uint32_t ends_unit;
};

static struct gradient {
    const struct task_weight_gradient *task;
    int32_t h, w, p, q;    /* those of the task, or rows cut anew */
    int32_t output_chunks; /* of all of e */
    int32_t input_chunks;  /* of all of x */
    uint32_t of_image;     /* x is the network's input */
    uint32_t position;     /* bytes of a position of x */
    uint32_t step;         /* from one x to the next */
    int32_t widest;        /* row that the body for this step takes */
    int32_t most_taps;
    uint32_t x_bytes;
    int64_t *sums;
    struct rounding rounding;

    /* The next tile to read: rows low .. high - 1 of e meet a row of x. */
    struct unit unit;
    int32_t low, high, columns;
    int32_t n, y, column;
} g;

static int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static int32_t larger(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

static uint8_t *e_of(const struct tile *tile, uint32_t half)
{
    return workspace + (half + 1) * E_END - tile->rows * tile->columns * OUTER_CHUNK_BYTES;
}

static uint8_t *x_of(uint32_t half)
{
    return workspace + X_START + half * g.x_bytes;
}

/* ---- units ---- */

/* Set the cursor to the first tile of the named unit; whether it has one. */
static uint32_t start_unit(void)
{
    const struct task_weight_gradient *t = g.task;
    struct unit *unit = &g.unit;
    const int32_t above = t->pad - unit->row, below = g.h - 1 + above;
    int32_t most, parts; /* columns of a tile, tiles in a row */

    unit->taps = smaller(t->s - unit->tap, g.most_taps);
    unit->outputs = smaller(t->k - unit->chunk * CHUNK, CHUNK);
    unit->inputs = smaller(t->c - unit->input * CHUNK, CHUNK);
    unit->pairs = g.of_image ? 2 : (unit->inputs + 1) >> 1;
    most = ((int32_t)(g.x_bytes / g.position) - unit->taps) / t->stride + 1;
    most = smaller(most, g.widest);
    parts = (g.q + most - 1) / most;
    g.columns = (g.q + parts - 1) / parts;
    g.low = above > 0 ? (above + t->stride - 1) / t->stride : 0;
    g.high = below < 0 ? 0 : smaller(g.p, below / t->stride + 1);
    g.n = 0;
    g.y = g.low;
    g.column = 0;
    return g.low < g.high;
}

/* To the next unit that has tiles; 0 when there is none. */
static uint32_t next_unit(void)
{
    const struct task_weight_gradient *t = g.task;
    struct unit *unit = &g.unit;

    do {
        if (++unit->input == t->input_first + t->input_chunks) {
            unit->input = t->input_first;
            unit->tap += unit->taps;
        }
        if (unit->tap == t->s) {
            unit->tap = 0;
            unit->row++;
        }
        if (unit->row == t->row_first + t->rows) {
            unit->row = t->row_first;
            unit->chunk++;
        }
        if (unit->chunk == t->output_first + t->output_chunks)
            return 0;
    } while (!start_unit());
    return 1;
}

/* ---- reading tiles ---- */

/* The address of a position in the plane of a chunk of this image. */
static uint32_t plane(uint32_t from, int32_t chunks, int32_t chunk, int32_t position,
                      uint32_t position_bytes, int32_t size)
{
    return from + (uint32_t)((g.n * chunks + chunk) * size + position) * position_bytes;
}

/* A row of e, and the x under it with zeros where the windows leave the image. */
static void read_row(const struct tile *tile, uint8_t *e, uint8_t *x)
{
    const struct task_weight_gradient *t = g.task;
    const int32_t first = g.column * t->stride + g.unit.tap - t->pad;
    const int32_t end = first + (int32_t)(tile->row_bytes / g.position);
    const int32_t from = smaller(larger(first, 0), end), to = larger(smaller(end, g.w), from);
    const int32_t row = g.y * t->stride + g.unit.row - t->pad;
    uint8_t *inside = x + (uint32_t)(from - first) * g.position;
    const uint32_t bytes = (uint32_t)(to - from) * g.position;

    memset(x, 0, (size_t)(inside - x));
    memset(inside + bytes, 0, tile->row_bytes - (size_t)(inside - x) - bytes);
    dma_read(e,
             plane(t->e, g.output_chunks, g.unit.chunk, g.y * g.q + g.column, OUTER_CHUNK_BYTES,
                   g.p * g.q),
             (uint32_t)tile->columns * OUTER_CHUNK_BYTES);
    dma_read(inside,
             plane(t->x, g.input_chunks, g.unit.input, row * g.w + from, g.position, g.h * g.w),
             bytes);
}

/* To the next row of e, of the next image, of the next columns; whether the unit has no more. */
static uint32_t next_row(void)
{
    if (++g.y < g.high)
        return 0;
    g.y = g.low;
    if (++g.n < g.task->n)
        return 0;
    g.n = 0;
    g.column += g.columns;
    return g.column >= g.q;
}

/* Start to read the next tile into one half; returns whether there is a tile after it. */
static uint32_t read_tile(struct tile *tile, uint32_t half)
{
    const int32_t left = (g.task->n - g.n) * (g.high - g.low) - (g.y - g.low);
    uint8_t *e, *x = x_of(half);

    tile->unit = g.unit;
    tile->columns = smaller(g.q - g.column, g.columns);
    tile->row_bytes = (uint32_t)((tile->columns - 1) * g.task->stride + g.unit.taps) * g.position;
    tile->rows = smaller(TILE / tile->columns, (int32_t)(g.x_bytes / tile->row_bytes));
    tile->rows = smaller(tile->rows, left);
    e = e_of(tile, half);
    for (int32_t i = 0; i < tile->rows; i++) {
        read_row(tile, e, x);
        tile->ends_unit = next_row();
        e += tile->columns * OUTER_CHUNK_BYTES;
        x += tile->row_bytes;
    }
    return !tile->ends_unit || next_unit();
}

/* ---- products ---- */

static void multiply(const struct tile *tile, uint32_t half)
{
    const struct unit *unit = &tile->unit;
    const uint32_t neighbours = g.step == OUTER_CHUNK_BYTES;
    const uint32_t row_step = tile->row_bytes - (uint32_t)(tile->columns - 1) * g.step;
    const uint32_t by_two = neighbours && tile->columns == OUTER_HALF && tile->rows % 2 == 0;
    const int32_t entered = by_two ? OUTER_LONG : tile->columns;
    struct outer outer = {
        .e = (uint32_t)e_of(tile, half),
        .x = (uint32_t)x_of(half),
        .sums = (uint32_t)g.sums,
        .blocks = (uint32_t)(unit->outputs + 3) / 4,
        .taps = (uint32_t)unit->taps,
        .tap_bytes = g.position,
        .pair_bytes = 4 * (uint32_t)unit->pairs,
        .step = g.step,
        .row_step = row_step,
        .mid_step = by_two ? row_step : OUTER_CHUNK_BYTES,
        .rows = (uint32_t)tile->rows,
        .columns = (uint32_t)tile->columns,
    };

    outer.again = neighbours ? (uint32_t)outer_neighbours + OUTER_HALF * OUTER_POSITION
                             : (uint32_t)outer_any_step + OUTER_ANY * OUTER_POSITION;
    outer.again -= (uint32_t)entered * OUTER_POSITION;
    if (entered > OUTER_HALF)
        outer.again -= OUTER_MIDDLE;
    outer.first = neighbours ? outer.again : (uint32_t)outer_any_step_first;
    outer_tile(&outer);
}

/* ---- the sums of a unit ---- */

static int32_t *stage_of(int32_t output)
{
    return (int32_t *)(void *)(workspace + (uint32_t)(output & 1) * E_END);
}

/* Move the total of an output channel between SDRAM and its stage. */
static void move_total(const struct unit *unit, int32_t output, uint32_t back)
{
    const struct task_weight_gradient *t = g.task;
    const int32_t k = unit->chunk * CHUNK + output;
    const int32_t at = ((k * t->r + unit->row) * t->s + unit->tap) * t->c + unit->input * CHUNK;
    const uint32_t bytes = 4 * (uint32_t)unit->inputs;
    uint32_t total = t->total + 4 * (uint32_t)at;
    int32_t *stage = stage_of(output);

    for (int32_t tap = 0; tap < unit->taps; tap++) {
        if (back)
            dma_write(stage, total, bytes);
        else
            dma_read(stage, total, bytes);
        stage += unit->inputs;
        total += 4 * (uint32_t)t->c;
    }
}

/* Sums lie as [block of 4 outputs][tap][pair of inputs][4][2]. */
static void round_output(const struct unit *unit, int32_t output)
{
    const int64_t *sums = g.sums + (output / 4 * unit->taps * unit->pairs * 4 + output % 4) * 2;
    int32_t *total = g.task->measure ? NULL : stage_of(output);

    for (int32_t tap = 0; tap < unit->taps; tap++) {
        add_rounded(&g.rounding, sums, 8, (uint32_t)unit->inputs, total);
        sums += unit->pairs * 8;
        if (total != NULL)
            total += unit->inputs;
    }
}

/* Round a unit's sums into the total. Transfers run in order: a stage's next read waits in the
 * queue for its last write. */
static void finish_unit(const struct unit *unit)
{
    const uint32_t adds = !g.task->measure;
    dma_ticket read;

    if (adds)
        move_total(unit, 0, 0);
    for (int32_t output = 0; output < unit->outputs; output++) {
        read = dma_last();
        if (adds && output + 1 < unit->outputs)
            move_total(unit, output + 1, 0);
        dma_wait(read);
        round_output(unit, output);
        if (adds)
            move_total(unit, output, 1);
    }
}

/* ---- the task ---- */

/* Where every position of x has its position of e, rows of x are any that divide an image. */
static void set_rows(void)
{
    const struct task_weight_gradient *t = g.task;
    const int32_t positions = t->p * t->q;

    g.h = t->h;
    g.w = t->w;
    g.p = t->p;
    g.q = t->q;
    if (t->r > 1 || t->s > 1 || t->stride > 1 || t->pad > 0)
        return;
    g.q = OUTER_LONG;
    while (positions % g.q != 0)
        g.q--;
    g.w = g.q;
    g.h = g.p = positions / g.q;
}

static void start(const struct task_weight_gradient *t)
{
    uint32_t sum_bytes;

    g.task = t;
    set_rows();
    g.of_image = t->c <= IMAGE_CHANNELS;
    g.output_chunks = (t->k + CHUNK - 1) / CHUNK;
    g.input_chunks = (t->c + CHUNK - 1) / CHUNK;
    g.position = g.of_image ? IMAGE_BYTES : OUTER_CHUNK_BYTES;
    g.step = g.position * (uint32_t)t->stride;
    g.widest = g.step == OUTER_CHUNK_BYTES ? OUTER_LONG : OUTER_ANY;
    g.most_taps = smaller(t->s, g.of_image ? IMAGE_TAPS : CHUNK_TAPS);
    sum_bytes = (uint32_t)g.most_taps * SUM_BYTES * (g.of_image ? 2 : CHUNK / 2);
    g.x_bytes = (WORKSPACE_BYTES - X_START - sum_bytes) / 2 & ~(uint32_t)(OUTER_CHUNK_BYTES - 1);
    g.sums = (int64_t *)(void *)(workspace + WORKSPACE_BYTES - sum_bytes);
    g.rounding = (struct rounding){.shift = t->shift};
    g.unit = (struct unit){.chunk = t->output_first, .row = t->row_first, .input = t->input_first};
}

static void kernel_weight_gradient(const struct task_weight_gradient *task)
{
    struct tile tiles[2];
    uint32_t half = 1, waits, begins = 1;

    start(task);
    waits = start_unit() || next_unit();
    for (uint32_t reads = 0; waits || reads; half ^= 1) {
        const struct tile *tile = &tiles[half];
        const dma_ticket read = dma_last();
        const uint32_t multiplies = reads;
        reads = waits;
        if (waits)
            waits = read_tile(&tiles[half ^ 1], half ^ 1);
        if (!multiplies)
            continue;
        if (begins)
            memset(g.sums, 0, (size_t)(workspace + WORKSPACE_BYTES - (uint8_t *)g.sums));
        dma_wait(read);
        multiply(tile, half);
        begins = tile->ends_unit;
        if (begins)
            finish_unit(&tile->unit);
    }
    report_rounding(&g.rounding, task->report);
}

TASK_KERNEL(KIND_WEIGHT_GRADIENT, kernel_weight_gradient, struct task_weight_gradient);
