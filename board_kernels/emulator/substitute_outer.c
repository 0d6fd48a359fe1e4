/* The weight gradient's outer products (arm968/outer.S) on the host. */
#include "../arm968/outer.h"
#include "core.h"
#include "substitute.h"

#include <string.h>

enum {
    TILE = 128,   /* positions */
    CHUNK = 32,   /* channels of a position of e */
    INPUTS = 256, /* input channels that are multiplied at a time */
};

/* Cycles of outer.S: of a call, a block, a tap, a pair of input channels, a pass through a body
 * that takes rows one by one (the long body: and its middle), a position. */
enum {
    CALL_CYCLES = 39,
    BLOCK_CYCLES = 16,
    TAP_CYCLES = 10,
    PAIR_CYCLES = 73,
    PASS_CYCLES = 8,
    LONG_PASS_CYCLES = 9,
    ANY_STEP_CYCLES = 8,
    POSITION_CYCLES = 11,
};

static uint64_t cycles(const struct outer *outer)
{
    const uint32_t positions = outer->rows * outer->columns;
    const uint32_t pairs = outer->pair_bytes / 4;
    const uint32_t doubled = outer->mid_step != OUTER_CHUNK_BYTES;
    const uint32_t any_step = outer->first != outer->again;
    const uint32_t passes = doubled && !any_step ? outer->rows / 2 : outer->rows;
    const uint32_t is_long = !any_step && (doubled || outer->columns > OUTER_HALF);
    const uint64_t pair = PAIR_CYCLES + positions * POSITION_CYCLES +
                          passes * (is_long ? LONG_PASS_CYCLES : PASS_CYCLES) +
                          (any_step ? ANY_STEP_CYCLES : 0);

    return CALL_CYCLES + outer->blocks * (BLOCK_CYCLES + outer->taps * (TAP_CYCLES + pairs * pair));
}

/* Channels of every position as rows of TILE positions, the rest 0. */
static void gather(const int16_t *from, uint32_t row_bytes, uint32_t step,
                   const struct outer *outer, uint32_t channels, int16_t (*to)[TILE])
{
    memset(to, 0, channels * sizeof *to);
    for (uint32_t y = 0, i = 0; y < outer->rows; y++)
        for (uint32_t x = 0; x < outer->columns; x++, i++) {
            const int16_t *position = from + (y * row_bytes + x * step) / 2;
            for (uint32_t c = 0; c < channels; c++)
                to[c][i] = position[c];
        }
}

static int32_t dot(const int16_t *restrict a, const int16_t *restrict b)
{
    int32_t sum = 0;

    for (int i = 0; i < TILE; i++)
        sum += a[i] * b[i];
    return sum;
}

/* Add the products of all output channels and the inputs of one tap to its sums. */
static void add_tap(const struct outer *outer, int16_t (*e)[TILE], int16_t (*x)[TILE], uint32_t tap,
                    int64_t *sums)
{
    const uint32_t pairs = outer->pair_bytes / 4;

    for (uint32_t block = 0; block < outer->blocks; block++)
        for (uint32_t pair = 0; pair < pairs; pair++) {
            int64_t *sum = sums + ((block * outer->taps + tap) * pairs + pair) * 8;
            for (uint32_t i = 0; i < 8; i++)
                sum[i] += dot(e[4 * block + i / 2], x[2 * pair + i % 2]);
        }
}

uint64_t substitute_outer_tile(struct core *core, const uint32_t arguments[4])
{
    static _Thread_local int16_t e[CHUNK][TILE], x[INPUTS][TILE];
    const struct outer *outer = core_pointer(core, arguments[0], sizeof *outer);
    uint32_t row_bytes, sum_bytes;
    const int16_t *from_e, *from_x;
    int64_t *sums;

    if (outer == NULL || outer->rows * outer->columns > TILE || outer->blocks > CHUNK / 4 ||
        outer->pair_bytes > INPUTS * 2) {
        core_fault(core, FAULT_SUBSTITUTE, arguments[0], sizeof *outer, 0);
        return 0;
    }
    row_bytes = (outer->columns - 1) * outer->step + outer->row_step;
    sum_bytes = outer->blocks * outer->taps * outer->pair_bytes * 16;
    from_e = core_pointer(core, outer->e, outer->rows * outer->columns * OUTER_CHUNK_BYTES);
    from_x = core_pointer(core, outer->x, outer->rows * row_bytes);
    sums = core_pointer(core, outer->sums, sum_bytes);
    if (from_e == NULL || from_x == NULL || sums == NULL) {
        core_fault(core, FAULT_SUBSTITUTE, outer->e, sum_bytes, 0);
        return 0;
    }
    gather(from_e, outer->columns * OUTER_CHUNK_BYTES, OUTER_CHUNK_BYTES, outer, 4 * outer->blocks,
           e);
    for (uint32_t tap = 0; tap < outer->taps; tap++) {
        gather(from_x + tap * outer->tap_bytes / 2, row_bytes, outer->step, outer,
               outer->pair_bytes / 2, x);
        add_tap(outer, e, x, tap, sums);
    }
    return cycles(outer);
}
