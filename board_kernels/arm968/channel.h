/* Batch norm's passes over one channel of a tile, in assembly: the order of fields is channel.S's.
 */
#ifndef CHANNEL_H
#define CHANNEL_H

#include <stdint.h>

struct channel_sums {
    const int16_t *at;
    uint32_t to_other; /* bytes from at */
    const int16_t *end;
    int32_t s1;               /* += at */
    uint32_t s2_low, s2_high; /* 64 bits: += at * other */
    int32_t lo, hi;           /* extremes of at, widened */
};

void channel_sums(struct channel_sums *channel);

/* v = (a * at + r * other + b) >> shift, at most 4095 and at least floor, in place of at. */
struct channel_forward {
    int16_t *at;
    uint32_t to_other; /* bytes from at */
    int16_t *end;
    int32_t a, r, b; /* b with the half that rounds */
    uint32_t shift;
    int32_t floor;
    int32_t lo, hi; /* extremes of v, widened */
    uint32_t above; /* clamps to 4095, counted up */
};

/* Returns how many were below the floor. */
uint32_t channel_forward(struct channel_forward *channel);

/* v = (a * at + c * ((other + half_p) >> p) + b + dither) >> shift within +-4095, in place of at.
 * The dither is the upper half of the word, shifted down by `down`; step is added to the word after
 * every element. */
struct channel_backward {
    int16_t *at;
    uint32_t to_other; /* bytes from at */
    int16_t *end;
    int32_t a, c, b;
    uint32_t shift;
    uint32_t word, step, down;
    uint32_t p;
    int32_t half_p;
};

/* Returns the clamps. */
uint32_t channel_backward(const struct channel_backward *channel);

#endif
