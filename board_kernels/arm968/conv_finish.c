/* Rounding in full generality, one sum at a time in 64 bits: biases, any alignment, any shift. */
#pragma GCC optimize("Os")

#include "conv.h"
#include "runtime.h"

#include "bk_arith.h"

#include <stddef.h>

/* lsh of bk_kernels.h. */
static int64_t __attribute__((noinline)) half_up(int64_t sum, int32_t left)
{
    return bk_half_up(sum, -left);
}

static int16_t __attribute__((noinline)) finish(const struct task_conv *task, int64_t sum,
                                                int16_t addend, int16_t mask, struct bk_sums *sums)
{
    int64_t wide, clamped;

    sum = half_up(sum, task->acc_shift);
    if (task->addend)
        sum += half_up(addend, task->addend_shift);
    if (task->mask && mask <= 0)
        sum = 0;
    wide = bk_half_up_clamped(sum, task->shift, BK_LIMIT16 + 1);
    clamped = bk_clamp(wide, BK_LIMIT16);
    sums->bits |= (uint64_t)(sum ^ (sum >> 63));
    sums->saturated += wide != clamped;
    return (int16_t)clamped;
}

/* The four channels of a pixel; sums: its part of hi, lo lies behind (dot.h), or NULL for 0. */
static void finish_pixel(const struct conv *conv, const struct cursor *at, uint32_t offset,
                         int32_t block, const int32_t *hi, struct bk_sums *sums)
{
    enum { LO = sizeof(((struct dot_wide *)0)->hi) / sizeof(int32_t) };
    int16_t *out = (int16_t *)(conv->output[at->out_buffer] + offset);
    const int16_t *addend = (const int16_t *)(conv->addend[at->out_buffer] + offset);

    for (int32_t j = 0; j < BLOCK; j++) {
        int64_t sum = hi ? (int64_t)hi[j] * 256 + hi[LO + j] : 0;
        if (conv->bias)
            sum += conv->bias[block * BLOCK + j];
        out[j] = finish(conv->task, sum, conv->task->addend ? addend[j] : 0, out[j], sums);
    }
}

void conv_finish_block(const struct conv *conv, const struct cursor *at, int32_t block,
                       const struct dot_wide *wide)
{
    const uint32_t place = block / CHUNK_BLOCKS * conv->out_chunk_pitch +
                           block % CHUNK_BLOCKS * (BLOCK * sizeof(int16_t));
    const int32_t *hi = wide ? wide->hi : NULL;
    struct bk_sums sums = {0, 0};

    for (const struct dot_pair *pair = conv->list + conv->class_pairs[at->class];
         pair->input0 != DOT_END; pair++) {
        finish_pixel(conv, at, place + pair->output0, block, hi, &sums);
        if (pair->output1 != conv->spare_output)
            finish_pixel(conv, at, place + pair->output1, block, hi ? hi + BLOCK : NULL, &sums);
        if (hi)
            hi += sizeof *wide / sizeof *hi;
    }
    runtime_measure(sums.bits, sums.saturated);
}
