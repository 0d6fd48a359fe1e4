/* What the tiles in x86 assembly share: the loop over bursts and steps around a step's products.
 *
 * The loops are written in assembly, because compilers spill sums that they hold in arrays. Operands:
 * `at` moves along the rows, `panel` along the panel; `count` counts steps and holds addresses
 * between bursts (of the rows, at first); `work` and `step` are as named below. */
#ifndef BK_CONV_TILE_X86_H
#define BK_CONV_TILE_X86_H

#include "bk_tile.h"

#include <stddef.h>

/* What the assembly reads from memory; its offsets are written out there. */
struct work {
    const struct bk_burst *burst; /* 0: the one that runs */
    int64_t panel_step;           /* 8 */
    int32_t *hi;                  /* 16 */
    int32_t *lo;                  /* 24 */
};

#define NEXT_BURST                                                                                 \
    "1:\n\t"                                                                                       \
    "mov (%[work]), %[count]\n\t"                                                                  \
    "mov (%[count]), %[count]\n\t"                                                                 \
    ".p2align 4\n"                                                                                 \
    "2:\n\t"

/* Move all rows: by one offset, or by the addresses of two runs. */
#define MOVE_ROWS(by) "add " by ", %[at]\n\t"
#define MOVE_RUNS(by) "add " by ", %%r8\n\tadd " by ", %%r9\n\t"

/* What follows runs where the burst carries, with hi in count. */
#define END_STEP(move)                                                                             \
    "add 8(%[work]), %[panel]\n\t"                                                                 \
    move("%[step]")                                                                                \
    "dec %[count]\n\t"                                                                             \
    "jnz 2b\n\t"                                                                                   \
    "mov (%[work]), %[count]\n\t"                                                                  \
    "addq $32, (%[work])\n\t"                                                                      \
    move("8(%[count])")                                                                            \
    "add 16(%[count]), %[panel]\n\t"                                                               \
    "cmpq $0, 24(%[count])\n\t"                                                                    \
    "je 3f\n\t"                                                                                    \
    "mov 16(%[work]), %[count]\n\t"

/* What follows ends the tile, with lo in count. */
#define MORE_BURSTS                                                                                \
    "3:\n\t"                                                                                       \
    "mov (%[work]), %[count]\n\t"                                                                  \
    "cmpq $0, (%[count])\n\t"                                                                      \
    "jne 1b\n\t"                                                                                   \
    "mov 24(%[work]), %[count]\n\t"

/* A tile's function: the assembly `loop` over the steps, which changes r8 .. r15 and these vector
 * registers. */
#define TILE(name, size, loop, ...)                                                                \
    static void name(const int16_t *const row[], const int16_t *panel,                             \
                     const struct bk_steps *steps, int32_t *hi, int32_t *lo)                       \
    {                                                                                              \
        struct work work = {steps->bursts, steps->panel_step, hi, lo};                             \
        int64_t at = 0;                                                                            \
                                                                                                   \
        for (int j = 0; j < (steps->carries ? (size) : 0); j++)                                    \
            hi[j] = 0;                                                                             \
        __asm__ volatile(loop                                                                      \
                         : [at] "+r"(at), [panel] "+r"(panel), [count] "+r"(row)                   \
                         : [work] "r"(&work), [step] "r"(steps->row_step)                          \
                         : "memory", "cc", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",   \
                           __VA_ARGS__);                                                           \
    }

#endif
