/* Tile of 6 rows x 16 columns on 256-bit vectors, for the families that include this file; they
 * differ in one instruction or two, BK__MULTIPLY_ADD(a, b, sum): sum += pairs of a * b, with ymm13
 * free.
 *
 * A pair step adds at most 2 * 4095^2 to a lane. After at most 64 of them the upper halves of all
 * lanes are carried to memory and the lower halves stay: 64 * 2 * 4095^2 + 65535 < 2^31. Each step
 * loads two vectors of the panel and broadcasts one pair per row; 12 sums and 4 operands fill the 16
 * registers. ymm0 .. ymm11 sums; ymm12 a row's pair; ymm13 product; ymm14, ymm15 panel; r8 .. r13
 * rows. */
#ifndef BK_CONV_TILE_YMM_H
#define BK_CONV_TILE_YMM_H

#include "conv_tile_x86.h"

enum { ROWS = 6, COLUMNS = 16, GROUP = 2 };

#define LOAD_ROWS                                                                                  \
    "mov (%[count]), %%r8\n\t"                                                                     \
    "mov 8(%[count]), %%r9\n\t"                                                                    \
    "mov 16(%[count]), %%r10\n\t"                                                                  \
    "mov 24(%[count]), %%r11\n\t"                                                                  \
    "mov 32(%[count]), %%r12\n\t"                                                                  \
    "mov 40(%[count]), %%r13\n\t"

/* Broadcast a row's pair, multiply by both vectors of the panel, add to the row's two sums. */
#define ROW_STEP(row, sum0, sum1)                                                                  \
    "vpbroadcastd (" row ", %[at]), %%ymm12\n\t" BK__MULTIPLY_ADD("%%ymm12", "%%ymm14", sum0)      \
        BK__MULTIPLY_ADD("%%ymm12", "%%ymm15", sum1)

#define CLEAR(sum, offset) "vpxor " sum ", " sum ", " sum "\n\t"

/* 0xFFFF in all lanes. */
#define LOAD_LOWER_HALF                                                                            \
    "vpcmpeqd %%ymm15, %%ymm15, %%ymm15\n\t"                                                       \
    "vpsrld $16, %%ymm15, %%ymm15\n\t"

/* Add the upper halves of a sum to hi, keep the lower ones. */
#define CARRY(sum, offset)                                                                         \
    "vpsrad $16, " sum ", %%ymm13\n\t"                                                             \
    "vpand %%ymm15, " sum ", " sum "\n\t"                                                          \
    "vpaddd " offset "(%[count]), %%ymm13, %%ymm13\n\t"                                            \
    "vmovdqu %%ymm13, " offset "(%[count])\n\t"

#define STORE(sum, offset) "vmovdqu " sum ", " offset "(%[count])\n\t"

/* Apply an operation to all sums. */
#define SUMS(operation)                                                                            \
    operation("%%ymm0", "0") operation("%%ymm1", "32") operation("%%ymm2", "64")                   \
        operation("%%ymm3", "96") operation("%%ymm4", "128") operation("%%ymm5", "160")            \
            operation("%%ymm6", "192") operation("%%ymm7", "224") operation("%%ymm8", "256")       \
                operation("%%ymm9", "288") operation("%%ymm10", "320")                             \
                    operation("%%ymm11", "352")

#define LOOP_6x16                                                                                  \
    LOAD_ROWS                                                                                      \
    SUMS(CLEAR)                                                                                    \
    NEXT_BURST                                                                                     \
    "vmovdqu (%[panel]), %%ymm14\n\t"                                                              \
    "vmovdqu 32(%[panel]), %%ymm15\n\t"                                                            \
    ROW_STEP("%%r8", "%%ymm0", "%%ymm1")                                                           \
    ROW_STEP("%%r9", "%%ymm2", "%%ymm3")                                                           \
    ROW_STEP("%%r10", "%%ymm4", "%%ymm5")                                                          \
    ROW_STEP("%%r11", "%%ymm6", "%%ymm7")                                                          \
    ROW_STEP("%%r12", "%%ymm8", "%%ymm9")                                                          \
    ROW_STEP("%%r13", "%%ymm10", "%%ymm11")                                                        \
    END_STEP(MOVE_ROWS)                                                                            \
    LOAD_LOWER_HALF                                                                                \
    SUMS(CARRY)                                                                                    \
    MORE_BURSTS                                                                                    \
    SUMS(STORE)

TILE(pairs_6x16, ROWS *COLUMNS, LOOP_6x16, "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
     "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15")

/* A family's list of tiles. */
#define BK__YMM_TILES(name)                                                                        \
    {                                                                                              \
        {name, ROWS, COLUMNS, GROUP, GROUP, 1, pairs_6x16}, {NULL, 0, 0, 0, 0, 0, NULL},           \
    }

#endif
