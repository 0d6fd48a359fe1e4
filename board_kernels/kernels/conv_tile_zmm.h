/* Tiles of 8 rows x 32 and 8 x 16 columns on 512-bit vectors, for the families that include this
 * file; they differ in one instruction or two, BK__MULTIPLY_ADD(a, b, sum): sum += pairs of a * b.
 *
 * A pair step adds at most 2 * 4095^2 to a lane. After 64 of them the upper halves of all lanes are
 * carried to memory and the lower halves stay: 64 * 2 * 4095^2 + 65535 < 2^31.
 *
 * The loops are written in assembly, because compilers spill sums that they hold in arrays.
 * Registers: zmm0 .. zmm15 sums; zmm16, zmm17 panel; zmm18 a row's pair; zmm19 product; zmm31
 * 0xFFFF; r8 .. r15 rows. */
#ifndef BK_CONV_TILE_ZMM_H
#define BK_CONV_TILE_ZMM_H

#include "bk_tile.h"

#include <stddef.h>

enum { ROWS = 8, LANES = 16, GROUP = 2 };

/* What the assembly reads from memory; its offsets are written out there. */
struct work {
    const int16_t *row[ROWS]; /* 0 .. 56 */
    int64_t left;             /* 64: steps to do */
    int32_t *hi;              /* 72 */
    int32_t *lo;              /* 80 */
};

#define LOAD_ROWS                                                                                  \
    "mov (%[work]), %%r8\n\t"                                                                      \
    "mov 8(%[work]), %%r9\n\t"                                                                     \
    "mov 16(%[work]), %%r10\n\t"                                                                   \
    "mov 24(%[work]), %%r11\n\t"                                                                   \
    "mov 32(%[work]), %%r12\n\t"                                                                   \
    "mov 40(%[work]), %%r13\n\t"                                                                   \
    "mov 48(%[work]), %%r14\n\t"                                                                   \
    "mov 56(%[work]), %%r15\n\t"                                                                   \
    "mov $0xFFFF, %k[count]\n\t"                                                                   \
    "vpbroadcastd %k[count], %%zmm31\n\t"                                                          \
    "mov 72(%[work]), %[count]\n\t"

/* Clear a sum and its place in hi. */
#define CLEAR(sum, offset)                                                                         \
    "vpxorq " sum ", " sum ", " sum "\n\t"                                                         \
    "vmovdqu32 " sum ", " offset "(%[count])\n\t"

/* Take the next at most 64 steps off the work. */
#define NEXT_STEPS                                                                                 \
    "1:\n\t"                                                                                       \
    "mov 64(%[work]), %[count]\n\t"                                                                \
    "cmp $64, %[count]\n\t"                                                                        \
    "jle 2f\n\t"                                                                                   \
    "mov $64, %k[count]\n"                                                                         \
    "2:\n\t"                                                                                       \
    "sub %[count], 64(%[work])\n\t"                                                                \
    ".p2align 4\n"                                                                                 \
    "3:\n\t"

#define ROW_32(row, sum0, sum1)                                                                    \
    "vpbroadcastd (" row ", %[at]), %%zmm18\n\t" BK__MULTIPLY_ADD("%%zmm18", "%%zmm16", sum0)      \
        BK__MULTIPLY_ADD("%%zmm18", "%%zmm17", sum1)

#define ROW_16(row, sum)                                                                           \
    "vpbroadcastd (" row ", %[at]), %%zmm18\n\t" BK__MULTIPLY_ADD("%%zmm18", "%%zmm16", sum)

#define END_STEP(panel_bytes)                                                                      \
    "add $" panel_bytes ", %[panel]\n\t"                                                           \
    "add %[step], %[at]\n\t"                                                                       \
    "dec %[count]\n\t"                                                                             \
    "jnz 3b\n\t"                                                                                   \
    "mov 72(%[work]), %[count]\n\t"

/* Add the upper halves of a sum to hi, keep the lower ones. */
#define CARRY(sum, offset)                                                                         \
    "vpsrad $16, " sum ", %%zmm19\n\t"                                                             \
    "vpandd %%zmm31, " sum ", " sum "\n\t"                                                         \
    "vpaddd " offset "(%[count]), %%zmm19, %%zmm19\n\t"                                            \
    "vmovdqu32 %%zmm19, " offset "(%[count])\n\t"

#define MORE_STEPS                                                                                 \
    "cmpq $0, 64(%[work])\n\t"                                                                     \
    "jg 1b\n\t"                                                                                    \
    "mov 80(%[work]), %[count]\n\t"

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

static void clear(int32_t *hi, int32_t *lo, int count)
{
    for (int j = 0; j < count; j++)
        hi[j] = lo[j] = 0;
}

static void pairs_8x32(const int16_t *const row[], int64_t row_step, const int16_t *panel,
                       int64_t depth, int32_t *hi, int32_t *lo)
{
    struct work work = {
        {row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7]}, depth / GROUP, hi, lo};
    int64_t at = 0, count;

    if (depth == 0) {
        clear(hi, lo, ROWS * 2 * LANES);
        return;
    }
    /* One line per instruction. */
    /* clang-format off */
    __asm__ volatile(
        LOAD_ROWS
        LOWER_SUMS(CLEAR)
        UPPER_SUMS(CLEAR)
        NEXT_STEPS
        "vmovdqu32 (%[panel]), %%zmm16\n\t"
        "vmovdqu32 64(%[panel]), %%zmm17\n\t"
        ROW_32("%%r8", "%%zmm0", "%%zmm1")
        ROW_32("%%r9", "%%zmm2", "%%zmm3")
        ROW_32("%%r10", "%%zmm4", "%%zmm5")
        ROW_32("%%r11", "%%zmm6", "%%zmm7")
        ROW_32("%%r12", "%%zmm8", "%%zmm9")
        ROW_32("%%r13", "%%zmm10", "%%zmm11")
        ROW_32("%%r14", "%%zmm12", "%%zmm13")
        ROW_32("%%r15", "%%zmm14", "%%zmm15")
        END_STEP("128")
        LOWER_SUMS(CARRY)
        UPPER_SUMS(CARRY)
        MORE_STEPS
        LOWER_SUMS(STORE)
        UPPER_SUMS(STORE)
        : [at] "+r"(at), [panel] "+r"(panel), [count] "=&r"(count)
        : [work] "r"(&work), [step] "r"(2 * row_step)
        : "memory", "cc", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm1",
          "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
          "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", "xmm31");
    /* clang-format on */
}

static void pairs_8x16(const int16_t *const row[], int64_t row_step, const int16_t *panel,
                       int64_t depth, int32_t *hi, int32_t *lo)
{
    struct work work = {
        {row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7]}, depth / GROUP, hi, lo};
    int64_t at = 0, count;

    if (depth == 0) {
        clear(hi, lo, ROWS * LANES);
        return;
    }
    /* One line per instruction. */
    /* clang-format off */
    __asm__ volatile(
        LOAD_ROWS
        LOWER_SUMS(CLEAR)
        NEXT_STEPS
        "vmovdqu32 (%[panel]), %%zmm16\n\t"
        ROW_16("%%r8", "%%zmm0")
        ROW_16("%%r9", "%%zmm1")
        ROW_16("%%r10", "%%zmm2")
        ROW_16("%%r11", "%%zmm3")
        ROW_16("%%r12", "%%zmm4")
        ROW_16("%%r13", "%%zmm5")
        ROW_16("%%r14", "%%zmm6")
        ROW_16("%%r15", "%%zmm7")
        END_STEP("64")
        LOWER_SUMS(CARRY)
        MORE_STEPS
        LOWER_SUMS(STORE)
        : [at] "+r"(at), [panel] "+r"(panel), [count] "=&r"(count)
        : [work] "r"(&work), [step] "r"(2 * row_step)
        : "memory", "cc", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm1",
          "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm16", "xmm18", "xmm19", "xmm31");
    /* clang-format on */
}

/* The list a family's file puts into its table. */
#define BK__ZMM_TILES(wide, narrow)                                                                \
    {                                                                                              \
        {wide, ROWS, 2 * LANES, GROUP, GROUP, pairs_8x32},                                         \
        {narrow, ROWS, LANES, GROUP, GROUP, pairs_8x16},                                           \
        {NULL, 0, 0, 0, 0, NULL},                                                                  \
    }

#endif
