/* Multiplications of 16-bit halves, as ARMv5TE has them: B the lower half of an operand, T the
 * upper. SMLAxy sets Q where a sum leaves 32 bits, which the runtime reads after every task. */
#ifndef DSP_H
#define DSP_H

#include <stdint.h>

static inline int32_t smlabb(uint32_t a, uint32_t b, int32_t c)
{
    int32_t sum;
    __asm__("smlabb %0, %1, %2, %3" : "=r"(sum) : "r"(a), "r"(b), "r"(c));
    return sum;
}

static inline int32_t smlabt(uint32_t a, uint32_t b, int32_t c)
{
    int32_t sum;
    __asm__("smlabt %0, %1, %2, %3" : "=r"(sum) : "r"(a), "r"(b), "r"(c));
    return sum;
}

static inline int32_t smlatb(uint32_t a, uint32_t b, int32_t c)
{
    int32_t sum;
    __asm__("smlatb %0, %1, %2, %3" : "=r"(sum) : "r"(a), "r"(b), "r"(c));
    return sum;
}

static inline int32_t smlatt(uint32_t a, uint32_t b, int32_t c)
{
    int32_t sum;
    __asm__("smlatt %0, %1, %2, %3" : "=r"(sum) : "r"(a), "r"(b), "r"(c));
    return sum;
}

/* A 64-bit sum in two registers. */
struct wide {
    uint32_t low;
    int32_t high;
};

static inline void smlalbb(struct wide *sum, uint32_t a, uint32_t b)
{
    __asm__("smlalbb %0, %1, %2, %3" : "+r"(sum->low), "+r"(sum->high) : "r"(a), "r"(b));
}

static inline void smlaltt(struct wide *sum, uint32_t a, uint32_t b)
{
    __asm__("smlaltt %0, %1, %2, %3" : "+r"(sum->low), "+r"(sum->high) : "r"(a), "r"(b));
}

static inline int64_t whole(struct wide sum)
{
    return (int64_t)((uint64_t)(uint32_t)sum.high << 32 | sum.low);
}

static inline int32_t lower(uint32_t pair)
{
    return (int16_t)pair;
}

static inline int32_t upper(uint32_t pair)
{
    return (int32_t)pair >> 16;
}

static inline uint32_t packed(int32_t low, int32_t high)
{
    return ((uint32_t)low & 0xFFFF) | (uint32_t)high << 16;
}

#endif
