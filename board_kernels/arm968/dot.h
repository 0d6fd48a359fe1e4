/* The inner product of convolutions: for each pair of pixels, 4 channels of both (dot.S).
 *
 * A run takes a list of pixel pairs and one block of 4 output channels. The sum of a pixel goes
 * over segments: up to 64 words (channel pairs) of input, in groups of 16 that need not be
 * adjoining, and the packed weights, which follow each other in memory. Between segments sums are
 * flushed before they can leave 32 bits: a sum is then hi * 256 + lo. */
#ifndef DOT_H
#define DOT_H

#include <stdint.h>

enum { DOT_GROUP = 16, DOT_GROUPS = 4, DOT_FLUSH_TERMS = 128 };

/* A row of the segment table. */
struct dot_segment {
    uint32_t input; /* from the pixel's address to the segment's, less skip */
    uint32_t skip;  /* bytes of the body's 256 that are left out: 4 per word */
    uint32_t entry; /* into the body, behind what is left out */
    uint32_t then;  /* what comes next: dot_segment, dot_flush, or one of dot_finish_* */
};

/* A pair of pixels; offsets from `input`, and from `output` (and `addend`). A list ends with a pair
 * whose input0 is DOT_END. */
struct dot_pair {
    uint32_t input0, input1, output0, output1;
};
#define DOT_END 0x80000000u

/* Sums that wait for their next slice, or for rounding in C. */
struct dot_wide {
    int32_t hi[8], lo[8]; /* pixel 0's four channels, then pixel 1's */
};

/* The arguments, at the start of the workspace: the assembly reaches them with one MOV. */
struct dot {
    uint32_t segment, pixel0, pixel1, stack; /* of the running product */
    const uint32_t *weights;
    const struct dot_segment *before_segments; /* address of the table, less 4 bytes */
    const struct dot_pair *pair;               /* the run's list; its end after the run */
    uint32_t input, output, addend;
    uint32_t start; /* dot_start_* */
    struct dot_wide *wide;
    uint32_t wide_step;         /* from one pair's sums to the next one's */
    uint32_t bump[3];           /* added to the input's address after the body's groups 0, 1, 2 */
    uint32_t half;              /* rounding: v = ((t or hi) + half) * multiplier >> 16 */
    uint32_t multiplier;        /* 2^(16 - s), s the shift of t or hi, 2 .. 16 */
    uint32_t threshold;         /* t ^ (t >> 31) from here on: may saturate */
    uint32_t shift_less_1;      /* s - 1 */
    uint32_t addend_multiplier; /* 2^shift of the addend, in units of t or hi */
    uint32_t spare_output;      /* output1 of a pair that has only one pixel */
    uint32_t bits, bits_low;    /* OR over t (bits), or over hi (bits) and lo (bits_low) */
    uint32_t saturated;
};

void dot_run(void);

extern const char dot_body_end[];
extern const char dot_next_segment[], dot_flush[];
/* Sums begin as 0; 0 with hi; what dot_wide holds; the aligned addend without and with hi. */
extern const char dot_start_zero[], dot_start_zero_wide[], dot_start_load[];
extern const char dot_start_addend[], dot_start_addend_wide[];
/* Round sums that never left 32 bits; wide sums; both masked by what the output holds; keep. */
extern const char dot_finish_narrow[], dot_finish_narrow_mask[];
extern const char dot_finish_wide[], dot_finish_wide_mask[], dot_finish_keep[];

#endif
