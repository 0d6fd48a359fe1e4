/* Tiles of 8 rows x 32, 16 x 16 and 8 x 16 columns on 512-bit vectors, for the families that include
 * this file; they differ in one instruction or two, BK__MULTIPLY_ADD(a, b, sum): sum += pairs of a *
 * b.
 *
 * A pair step adds at most 2 * 4095^2 to a lane. After at most 64 of them the upper halves of all
 * lanes are carried to memory and the lower halves stay: 64 * 2 * 4095^2 + 65535 < 2^31.
 *
 * 16 sums hide the latency of the products; 8 x 16 has only 8, for rows that are not evenly spaced.
 *
 * Registers: zmm0 .. zmm15 sums; zmm16, zmm17 panel; zmm18 a row's pair; zmm19 product; zmm31
 * 0xFFFF; r8 .. r15 rows. */
#ifndef BK_CONV_TILE_ZMM_H
#define BK_CONV_TILE_ZMM_H

#include "conv_tile_x86.h"

enum { RUN = 8, LANES = 16, GROUP = 2 };

/* `count` holds the rows' addresses at first. */
#define LOAD_ROWS                                                                                  \
    "mov (%[count]), %%r8\n\t"                                                                     \
    "mov 8(%[count]), %%r9\n\t"                                                                    \
    "mov 16(%[count]), %%r10\n\t"                                                                  \
    "mov 24(%[count]), %%r11\n\t"                                                                  \
    "mov 32(%[count]), %%r12\n\t"                                                                  \
    "mov 40(%[count]), %%r13\n\t"                                                                  \
    "mov 48(%[count]), %%r14\n\t"                                                                  \
    "mov 56(%[count]), %%r15\n\t" LOAD_LOWER_HALF

/* Both runs, and 1, 3, 5 and 7 spacings of their rows. */
#define LOAD_RUNS                                                                                  \
    "mov (%[count]), %%r8\n\t"                                                                     \
    "mov 64(%[count]), %%r9\n\t"                                                                   \
    "mov 8(%[count]), %%r10\n\t"                                                                   \
    "sub %%r8, %%r10\n\t"                                                                          \
    "lea (%%r10, %%r10, 2), %%r11\n\t"                                                             \
    "lea (%%r10, %%r10, 4), %%r12\n\t"                                                             \
    "lea (%%r11, %%r10, 4), %%r13\n\t" LOAD_LOWER_HALF

#define LOAD_LOWER_HALF                                                                            \
    "mov $0xFFFF, %k[count]\n\t"                                                                   \
    "vpbroadcastd %k[count], %%zmm31\n\t"

#define CLEAR(sum, offset) "vpxorq " sum ", " sum ", " sum "\n\t"

#define ROW_32(row, sum0, sum1)                                                                    \
    "vpbroadcastd " row ", %%zmm18\n\t" BK__MULTIPLY_ADD("%%zmm18", "%%zmm16", sum0)               \
        BK__MULTIPLY_ADD("%%zmm18", "%%zmm17", sum1)

#define ROW_16(row, sum)                                                                           \
    "vpbroadcastd " row ", %%zmm18\n\t" BK__MULTIPLY_ADD("%%zmm18", "%%zmm16", sum)

/* Add the upper halves of a sum to hi, keep the lower ones. */
#define CARRY(sum, offset)                                                                         \
    "vpsrad $16, " sum ", %%zmm19\n\t"                                                             \
    "vpandd %%zmm31, " sum ", " sum "\n\t"                                                         \
    "vpaddd " offset "(%[count]), %%zmm19, %%zmm19\n\t"                                            \
    "vmovdqu32 %%zmm19, " offset "(%[count])\n\t"

#define STORE(sum, offset) "vmovdqu32 " sum ", " offset "(%[count])\n\t"

/* Apply an operation to the first eight sums, and to the other eight. */
#define LOWER_SUMS(operation)                                                                      \
    operation("%%zmm0", "0") operation("%%zmm1", "64") operation("%%zmm2", "128")                  \
        operation("%%zmm3", "192") operation("%%zmm4", "256") operation("%%zmm5", "320")           \
            operation("%%zmm6", "384") operation("%%zmm7", "448")
#define UPPER_SUMS(operation)                                                                      \
    operation("%%zmm8", "512") operation("%%zmm9", "576") operation("%%zmm10", "640")              \
        operation("%%zmm11", "704") operation("%%zmm12", "768") operation("%%zmm13", "832")        \
            operation("%%zmm14", "896") operation("%%zmm15", "960")

#define LOOP_8x32                                                                                  \
    LOAD_ROWS                                                                                      \
    LOWER_SUMS(CLEAR)                                                                              \
    UPPER_SUMS(CLEAR)                                                                              \
    NEXT_BURST                                                                                     \
    "vmovdqu32 (%[panel]), %%zmm16\n\t"                                                            \
    "vmovdqu32 64(%[panel]), %%zmm17\n\t"                                                          \
    ROW_32("(%%r8, %[at])", "%%zmm0", "%%zmm1")                                                    \
    ROW_32("(%%r9, %[at])", "%%zmm2", "%%zmm3")                                                    \
    ROW_32("(%%r10, %[at])", "%%zmm4", "%%zmm5")                                                   \
    ROW_32("(%%r11, %[at])", "%%zmm6", "%%zmm7")                                                   \
    ROW_32("(%%r12, %[at])", "%%zmm8", "%%zmm9")                                                   \
    ROW_32("(%%r13, %[at])", "%%zmm10", "%%zmm11")                                                 \
    ROW_32("(%%r14, %[at])", "%%zmm12", "%%zmm13")                                                 \
    ROW_32("(%%r15, %[at])", "%%zmm14", "%%zmm15")                                                 \
    END_STEP(MOVE_ROWS)                                                                            \
    LOWER_SUMS(CARRY)                                                                              \
    UPPER_SUMS(CARRY)                                                                              \
    MORE_BURSTS                                                                                    \
    LOWER_SUMS(STORE)                                                                              \
    UPPER_SUMS(STORE)

#define LOOP_8x16                                                                                  \
    LOAD_ROWS                                                                                      \
    LOWER_SUMS(CLEAR)                                                                              \
    NEXT_BURST                                                                                     \
    "vmovdqu32 (%[panel]), %%zmm16\n\t"                                                            \
    ROW_16("(%%r8, %[at])", "%%zmm0")                                                              \
    ROW_16("(%%r9, %[at])", "%%zmm1")                                                              \
    ROW_16("(%%r10, %[at])", "%%zmm2")                                                             \
    ROW_16("(%%r11, %[at])", "%%zmm3")                                                             \
    ROW_16("(%%r12, %[at])", "%%zmm4")                                                             \
    ROW_16("(%%r13, %[at])", "%%zmm5")                                                             \
    ROW_16("(%%r14, %[at])", "%%zmm6")                                                             \
    ROW_16("(%%r15, %[at])", "%%zmm7")                                                             \
    END_STEP(MOVE_ROWS)                                                                            \
    LOWER_SUMS(CARRY)                                                                              \
    MORE_BURSTS                                                                                    \
    LOWER_SUMS(STORE)

#define LOOP_16x16                                                                                 \
    LOAD_RUNS                                                                                      \
    LOWER_SUMS(CLEAR)                                                                              \
    UPPER_SUMS(CLEAR)                                                                              \
    NEXT_BURST                                                                                     \
    "vmovdqu32 (%[panel]), %%zmm16\n\t"                                                            \
    ROW_16("(%%r8)", "%%zmm0")                                                                     \
    ROW_16("(%%r8, %%r10)", "%%zmm1")                                                              \
    ROW_16("(%%r8, %%r10, 2)", "%%zmm2")                                                           \
    ROW_16("(%%r8, %%r11)", "%%zmm3")                                                              \
    ROW_16("(%%r8, %%r10, 4)", "%%zmm4")                                                           \
    ROW_16("(%%r8, %%r12)", "%%zmm5")                                                              \
    ROW_16("(%%r8, %%r11, 2)", "%%zmm6")                                                           \
    ROW_16("(%%r8, %%r13)", "%%zmm7")                                                              \
    ROW_16("(%%r9)", "%%zmm8")                                                                     \
    ROW_16("(%%r9, %%r10)", "%%zmm9")                                                              \
    ROW_16("(%%r9, %%r10, 2)", "%%zmm10")                                                          \
    ROW_16("(%%r9, %%r11)", "%%zmm11")                                                             \
    ROW_16("(%%r9, %%r10, 4)", "%%zmm12")                                                          \
    ROW_16("(%%r9, %%r12)", "%%zmm13")                                                             \
    ROW_16("(%%r9, %%r11, 2)", "%%zmm14")                                                          \
    ROW_16("(%%r9, %%r13)", "%%zmm15")                                                             \
    END_STEP(MOVE_RUNS)                                                                            \
    LOWER_SUMS(CARRY)                                                                              \
    UPPER_SUMS(CARRY)                                                                              \
    MORE_BURSTS                                                                                    \
    LOWER_SUMS(STORE)                                                                              \
    UPPER_SUMS(STORE)

#define VECTORS                                                                                    \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",       \
        "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", "xmm31"

TILE(pairs_8x32, 8 * 32, LOOP_8x32, VECTORS)
TILE(pairs_8x16, 8 * 16, LOOP_8x16, VECTORS)
TILE(pairs_16x16, 16 * 16, LOOP_16x16, VECTORS)

/* The tables that the families' files make. */
#define BK__ZMM_TILES(instructions)                                                                \
    {                                                                                              \
        {instructions " 8x32", 8, 2 * LANES, GROUP, GROUP, 1, pairs_8x32},                         \
        {instructions " 16x16", 16, LANES, GROUP, GROUP, RUN, pairs_16x16},                        \
        {instructions " 8x16", 8, LANES, GROUP, GROUP, 1, pairs_8x16},                             \
        {NULL, 0, 0, 0, 0, 0, NULL},                                                               \
    }

#endif
