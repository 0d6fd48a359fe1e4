/* Rounding in full generality, one sum at a time in 64 bits: biases, any alignment, any shift. */
#pragma GCC optimize("Os")

#include "conv.h"
#include "round.h"
#include "runtime.h"

#include <stddef.h>

enum { LIMIT16 = 32767 };

struct sums {
    uint64_t bits;
    uint32_t saturated;
};

static int16_t finish(const struct task_conv *task, int64_t sum, int16_t addend, int16_t mask,
                      struct sums *sums)
{
    sum = shifted(sum, task->acc_shift);
    if (task->addend)
        sum += shifted(addend, task->addend_shift);
    if (task->mask && mask <= 0)
        sum = 0;
    sums->bits |= (uint64_t)(sum ^ (sum >> 63));
    return (int16_t)half_up_counted(sum, task->shift, LIMIT16, &sums->saturated);
}

/* The four channels of a pixel; its part of hi, lo lies behind (dot.h); NULL for sums of 0. */
static void __attribute__((noinline)) finish_pixel(const struct task_conv *task,
                                                   const struct cursor *at, uint32_t place,
                                                   int32_t block, const int32_t *hi,
                                                   struct sums *sums)
{
    enum { LO = sizeof(((struct dot_wide *)0)->hi) / sizeof(int32_t) };
    int16_t *out = (int16_t *)(task->output_memory[at->out_buffer] + place);
    const int16_t *addend = (const int16_t *)(task->addend_memory[at->out_buffer] + place);
    const int64_t *bias = (const int64_t *)task->bias_memory + block * BLOCK;

    for (int32_t j = 0; j < BLOCK; j++) {
        int64_t sum = hi ? (int64_t)hi[j] * 256 + hi[LO + j] : 0;
        if (task->bias)
            sum += bias[j];
        out[j] = finish(task, sum, task->addend ? addend[j] : 0, out[j], sums);
    }
}

void conv_finish_block(const struct task_conv *task, const struct cursor *at, int32_t block,
                       const struct dot_wide *wide)
{
    const struct conv_list *list = (const struct conv_list *)task->list_memory;
    const uint32_t place = block_place(task, block);
    const int32_t *hi = wide ? wide->hi : NULL;
    struct sums sums = {0, 0};

    for (const struct dot_pair *pair = list->pairs + list->first[at->class];
         pair->input0 != DOT_END; pair++) {
        finish_pixel(task, at, place + pair->output0, block, hi, &sums);
        if (pair->output1 != task->spare_output)
            finish_pixel(task, at, place + pair->output1, block, hi ? hi + BLOCK : NULL, &sums);
        if (hi)
            hi += sizeof *wide / sizeof *hi;
    }
    runtime_measure(sums.bits, sums.saturated);
}
