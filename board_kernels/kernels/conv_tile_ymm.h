/* Tile of 6 rows x 16 columns on 256-bit vectors, for the families that include this file; they
 * differ in one instruction or two, BK__MULTIPLY_ADD(a, b, sum): sum += pairs of a * b, with ymm13
 * free.
 *
 * A pair step adds at most 2 * 4095^2 to a lane. After 64 of them the upper halves of all lanes are
 * carried to memory and the lower halves stay: 64 * 2 * 4095^2 + 65535 < 2^31. Each step loads two
 * vectors of the panel and broadcasts one pair per row; 12 sums and 4 operands fill the 16
 * registers, which compilers do not manage without spilling: the loop over steps is written in
 * assembly. */
#ifndef BK_CONV_TILE_YMM_H
#define BK_CONV_TILE_YMM_H

#include "bk_tile.h"

#include <immintrin.h>
#include <stddef.h>

enum { ROWS = 6, LANES = 8, COLUMNS = 2 * LANES, GROUP = 2, FLUSH = 64 };

/* What the loop reads once; one operand, because assembly statements have few. */
struct steps {
    const int16_t *row[ROWS];
    int64_t row_step_bytes;
    int64_t end; /* byte offset in the rows at which to stop */
};

/* Broadcast a row's pair, multiply by both vectors of the panel, add to the row's two sums. */
#define ROW_STEP(row, sum0, sum1)                                                                  \
    "vpbroadcastd (" row ", %[at]), %%ymm12\n\t" BK__MULTIPLY_ADD("%%ymm12", "%%ymm14", sum0)      \
        BK__MULTIPLY_ADD("%%ymm12", "%%ymm15", sum1)

static inline __m256i zero(int32_t *hi)
{
    _mm256_storeu_si256((__m256i *)hi, _mm256_setzero_si256());
    return _mm256_setzero_si256();
}

/* Add the upper halves of a sum to hi, return the lower ones. */
static inline __m256i carry(__m256i sum, int32_t *hi)
{
    const __m256i before = _mm256_loadu_si256((const __m256i *)hi);

    _mm256_storeu_si256((__m256i *)hi, _mm256_add_epi32(before, _mm256_srai_epi32(sum, 16)));
    return _mm256_and_si256(sum, _mm256_set1_epi32(0xFFFF));
}

static inline void store(__m256i sum, int32_t *lo)
{
    _mm256_storeu_si256((__m256i *)lo, sum);
}

static void pairs_6x16(const int16_t *const row[], int64_t row_step, const int16_t *panel,
                       int64_t depth, int32_t *hi, int32_t *lo)
{
    struct steps steps = {{row[0], row[1], row[2], row[3], row[4], row[5]}, 2 * row_step, 0};
    __m256i s0 = zero(hi), s1 = zero(hi + 8), s2 = zero(hi + 16), s3 = zero(hi + 24),
            s4 = zero(hi + 32), s5 = zero(hi + 40), s6 = zero(hi + 48), s7 = zero(hi + 56),
            s8 = zero(hi + 64), s9 = zero(hi + 72), s10 = zero(hi + 80), s11 = zero(hi + 88);
    int64_t at = 0;

    for (int64_t left = depth / GROUP; left > 0; left -= FLUSH) {
        steps.end = at + (left < FLUSH ? left : FLUSH) * steps.row_step_bytes;
        /* One line per instruction. */
        /* clang-format off */
        __asm__ volatile(
            "mov (%[steps]), %%r8\n\t"
            "mov 8(%[steps]), %%r9\n\t"
            "mov 16(%[steps]), %%r10\n\t"
            "mov 24(%[steps]), %%r11\n\t"
            "mov 32(%[steps]), %%r12\n\t"
            "mov 40(%[steps]), %%r13\n\t"
            "mov 48(%[steps]), %%r14\n\t"
            "mov 56(%[steps]), %%r15\n\t"
            ".p2align 4\n"
            "1:\n\t"
            "vmovdqu (%[panel]), %%ymm14\n\t"
            "vmovdqu 32(%[panel]), %%ymm15\n\t"
            ROW_STEP("%%r8", "%[s0]", "%[s1]")
            ROW_STEP("%%r9", "%[s2]", "%[s3]")
            ROW_STEP("%%r10", "%[s4]", "%[s5]")
            ROW_STEP("%%r11", "%[s6]", "%[s7]")
            ROW_STEP("%%r12", "%[s8]", "%[s9]")
            ROW_STEP("%%r13", "%[s10]", "%[s11]")
            "add $64, %[panel]\n\t"
            "add %%r14, %[at]\n\t"
            "cmp %%r15, %[at]\n\t"
            "jne 1b\n\t"
            : [s0] "+x"(s0), [s1] "+x"(s1), [s2] "+x"(s2), [s3] "+x"(s3), [s4] "+x"(s4),
              [s5] "+x"(s5), [s6] "+x"(s6), [s7] "+x"(s7), [s8] "+x"(s8), [s9] "+x"(s9),
              [s10] "+x"(s10), [s11] "+x"(s11), [at] "+r"(at), [panel] "+r"(panel)
            : [steps] "r"(&steps)
            : "memory", "cc", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm12",
              "xmm13", "xmm14", "xmm15");
        /* clang-format on */
        s0 = carry(s0, hi);
        s1 = carry(s1, hi + 8);
        s2 = carry(s2, hi + 16);
        s3 = carry(s3, hi + 24);
        s4 = carry(s4, hi + 32);
        s5 = carry(s5, hi + 40);
        s6 = carry(s6, hi + 48);
        s7 = carry(s7, hi + 56);
        s8 = carry(s8, hi + 64);
        s9 = carry(s9, hi + 72);
        s10 = carry(s10, hi + 80);
        s11 = carry(s11, hi + 88);
    }
    store(s0, lo);
    store(s1, lo + 8);
    store(s2, lo + 16);
    store(s3, lo + 24);
    store(s4, lo + 32);
    store(s5, lo + 40);
    store(s6, lo + 48);
    store(s7, lo + 56);
    store(s8, lo + 64);
    store(s9, lo + 72);
    store(s10, lo + 80);
    store(s11, lo + 88);
}

/* A family's list of tiles. */
#define BK__YMM_TILES(name)                                                                        \
    {                                                                                              \
        {name, ROWS, COLUMNS, GROUP, GROUP, pairs_6x16}, {NULL, 0, 0, 0, 0, NULL},                 \
    }

#endif
