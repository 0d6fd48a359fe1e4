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
    uint32_t input; /* from where the last segment's steps led (first: the pixel), less skip */
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

/* What does not change over a slice of a class; the host prepares it. */
struct dot_slice {
    uint32_t before_segments;   /* address of the table, less 4 bytes */
    uint32_t start;             /* dot_start_* */
    uint32_t bump[3];           /* added to the input's address after the body's groups 0, 1, 2 */
    uint32_t half;              /* rounding: v = ((t or hi) + half) * multiplier >> 16 */
    uint32_t multiplier;        /* 2^(16 - s), s the shift of t or hi, 2 .. 16 */
    uint32_t threshold;         /* t ^ (t >> 31) from here on: may saturate */
    uint32_t shift_less_1;      /* s - 1 */
    uint32_t addend_multiplier; /* 2^shift of the addend, in units of t or hi */
    uint32_t summary;           /* DOT_SUMMARY: the same for who does not know the addresses */
};
#define DOT_SUMMARY(start, finish, segments) ((start) | (finish) << 4 | (segments) << 8)
enum dot_start {
    DOT_START_ZERO,
    DOT_START_ZERO_WIDE,
    DOT_START_LOAD,
    DOT_START_ADDEND,
    DOT_START_ADDEND_WIDE,
};
enum dot_finish {
    DOT_FINISH_NARROW,
    DOT_FINISH_NARROW_MASK,
    DOT_FINISH_WIDE,
    DOT_FINISH_WIDE_MASK,
    DOT_FINISH_KEEP,
};

/* The arguments, at the start of the workspace: the assembly reaches them with one MOV. Addresses
 * have 32 bits for the emulator's sake, which reads them too. */
struct dot {
    uint32_t segment, output1, spare, stack; /* of the running product */
    struct dot_slice slice;
    uint32_t weights;
    uint32_t pair; /* address of the run's list; its end after the run */
    uint32_t input, output, addend;
    uint32_t wide;
    uint32_t wide_step;      /* from one pair's sums to the next one's */
    uint32_t spare_output;   /* output1 of a pair that has only one pixel */
    uint32_t bits, bits_low; /* OR over t (bits), or over hi (bits) and lo (bits_low) */
    uint32_t saturated;
};

void dot_run(void);

#endif
