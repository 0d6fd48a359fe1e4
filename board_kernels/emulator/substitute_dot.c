/* The convolutions' inner product (arm968/dot.S) on the host. */
#include "../arm968/dot.h"
#include "core.h"
#include "substitute.h"

#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* Cycles of dot.S, counted with the timing table: of a call, a pair, a segment, one of its words,
 * the step to its next group, a flush, a pair whose sums may saturate; each way to begin and to end
 * a pair. */
enum {
    CALL_CYCLES = 35,
    PAIR_CYCLES = 13,
    SEGMENT_CYCLES = 19,
    WORD_CYCLES = 22,
    GROUP_CYCLES = 4,
    FLUSH_CYCLES = 38,
    SATURATE_CYCLES = 163,
};
static const uint8_t start_cycles[] = {8, 21, 14, 21, 39};
static const uint8_t finish_cycles[] = {58, 82, 119, 153, 53};

enum { ARGUMENTS = 0x400000, SUMS = 8, CHANNELS = 4 };

/* A run as the host sees it. */
struct run {
    struct dot *dot;
    const struct dot_segment *segments;
    uint32_t count, start, finish;
    uint32_t words; /* of all segments */
    uint64_t cycles;
};

static void *memory(struct core *core, uint32_t address, uint32_t bytes)
{
    void *found = core_pointer(core, address, bytes);

    if (!found)
        core_fault(core, FAULT_SUBSTITUTE, address, bytes, 0);
    return found;
}

/* sums += the products of `words` channel pairs with four channels' weights each; up to 128
 * products stay inside 32 bits. */
static void add_products(const int16_t *x, const int16_t *w, uint32_t words, int64_t *sums)
{
    int32_t part[CHANNELS] = {0, 0, 0, 0};

#if defined(__SSE2__)
    __m128i total = _mm_setzero_si128();
    for (uint32_t k = 0; k < words; k++) {
        int32_t pair;
        memcpy(&pair, x + 2 * k, sizeof pair);
        const __m128i four = _mm_loadu_si128((const __m128i *)(w + 8 * k));
        total = _mm_add_epi32(total, _mm_madd_epi16(_mm_set1_epi32(pair), four));
    }
    _mm_storeu_si128((__m128i *)part, total);
#else
    for (uint32_t k = 0; k < words; k++)
        for (int j = 0; j < CHANNELS; j++)
            part[j] += x[2 * k] * w[8 * k + 2 * j] + x[2 * k + 1] * w[8 * k + 2 * j + 1];
#endif
    for (int j = 0; j < CHANNELS; j++)
        sums[j] += part[j];
}

/* A pixel's sums over all segments. */
static int add_pixel(struct core *core, const struct run *run, uint32_t pixel, const int16_t *w,
                     int64_t *sums)
{
    const uint32_t *bump = run->dot->slice.bump;

    for (uint32_t i = 0; i < run->count; i++) {
        const struct dot_segment *segment = run->segments + i;
        const uint32_t skipped = segment->skip / 4;
        pixel += segment->input;
        for (uint32_t word = skipped; word < DOT_GROUP * DOT_GROUPS;) {
            const uint32_t end = (word / DOT_GROUP + 1) * DOT_GROUP;
            const int16_t *x = memory(core, pixel + 4 * word, (end - word) * 4);
            if (!x)
                return -1;
            add_products(x, w, end - word, sums);
            w += (end - word) * 8;
            if (end < DOT_GROUP * DOT_GROUPS)
                pixel += bump[end / DOT_GROUP - 1];
            word = end;
        }
    }
    return 0;
}

static void start_pair(const struct run *run, const int16_t *addend, const struct dot_wide *wide,
                       int64_t *sums)
{
    for (int i = 0; i < CHANNELS; i++) {
        sums[i] = 0;
        if (run->start == DOT_START_LOAD)
            sums[i] = (int64_t)wide->hi[i] * 256 + wide->lo[i];
        if (run->start >= DOT_START_ADDEND)
            sums[i] = (int64_t)addend[i] * run->dot->slice.addend_multiplier *
                      (run->start == DOT_START_ADDEND_WIDE ? 256 : 1);
    }
}

/* Mask and measure a pixel's sums; return the bits that are compared with the threshold. */
static uint32_t measure(const struct run *run, const int16_t *mask, int64_t *sums)
{
    const int wide = run->finish >= DOT_FINISH_WIDE;
    uint32_t bits = 0;

    for (int i = 0; i < CHANNELS; i++) {
        if ((run->finish & 1) && mask[i] <= 0)
            sums[i] = 0;
        const int64_t shown = sums[i] ^ (sums[i] >> 63);
        bits |= (uint32_t)(wide ? shown >> 8 : shown);
        if (wide)
            run->dot->bits_low |= (uint32_t)shown & 255;
    }
    return bits;
}

static void round_pixel(const struct run *run, const int64_t *sums, int counts, int16_t *out)
{
    const uint32_t shift = run->dot->slice.shift_less_1 + 1;

    for (int i = 0; i < CHANNELS; i++) {
        const int64_t sum = run->finish >= DOT_FINISH_WIDE ? sums[i] >> 8 : sums[i];
        const int64_t rounded = (sum + ((int64_t)1 << (shift - 1))) >> shift;
        const int64_t kept = rounded > 32767 ? 32767 : rounded < -32767 ? -32767 : rounded;
        run->dot->saturated += counts && kept != rounded;
        out[i] = (int16_t)kept;
    }
}

static int run_pair(struct core *core, struct run *run, const struct dot_pair *pair,
                    const int16_t *w)
{
    struct dot *dot = run->dot;
    const int keep = run->finish == DOT_FINISH_KEEP, addend = run->start >= DOT_START_ADDEND;
    struct dot_wide *wide = memory(core, dot->wide, sizeof *wide);
    int64_t sums[SUMS];
    uint32_t bits = 0;

    if (!wide)
        return -1;
    for (int p = 0; p < 2; p++) {
        const uint32_t place = p ? pair->output1 : pair->output0;
        const uint32_t input = dot->input + (p ? pair->input1 : pair->input0);
        int16_t *out = keep ? NULL : memory(core, dot->output + place, 8);
        const int16_t *added = addend ? memory(core, dot->addend + place, 8) : NULL;
        struct dot_wide half;
        memcpy(half.hi, wide->hi + p * CHANNELS, sizeof half.hi / 2);
        memcpy(half.lo, wide->lo + p * CHANNELS, sizeof half.lo / 2);
        if ((!keep && !out) || (addend && !added))
            return -1;
        start_pair(run, added, &half, sums + p * CHANNELS);
        if (add_pixel(core, run, input, w, sums + p * CHANNELS))
            return -1;
        if (out)
            bits |= measure(run, out, sums + p * CHANNELS);
    }
    if (keep) {
        for (int i = 0; i < SUMS; i++) {
            wide->hi[i] = (int32_t)(sums[i] >> 8);
            wide->lo[i] = (int32_t)(sums[i] & 255);
        }
        return 0;
    }
    dot->bits |= bits;
    run->cycles += bits >= dot->slice.threshold ? SATURATE_CYCLES : 0;
    round_pixel(run, sums, 1, core_pointer(core, dot->output + pair->output0, 8));
    round_pixel(run, sums + CHANNELS, pair->output1 != dot->spare_output,
                core_pointer(core, dot->output + pair->output1, 8));
    return 0;
}

/* The cycles of a pair whose sums cannot saturate. */
static uint64_t pair_cycles(struct run *run)
{
    uint64_t cycles = PAIR_CYCLES + start_cycles[run->start] + finish_cycles[run->finish];
    uint32_t terms = 0;

    for (uint32_t i = 0; i < run->count; i++) {
        const uint32_t words = DOT_GROUP * DOT_GROUPS - run->segments[i].skip / 4;
        if (terms + 2 * words > DOT_FLUSH_TERMS) {
            cycles += FLUSH_CYCLES;
            terms = 0;
        }
        terms += 2 * words;
        run->words += words;
        cycles += SEGMENT_CYCLES + words * WORD_CYCLES + (words - 1) / DOT_GROUP * GROUP_CYCLES;
    }
    return cycles;
}

uint64_t substitute_dot_run(struct core *core, const uint32_t arguments[4])
{
    struct run run = {.cycles = CALL_CYCLES};
    const struct dot_pair *pair;
    const int16_t *w;
    uint64_t each;

    (void)arguments;
    run.dot = memory(core, ARGUMENTS, sizeof *run.dot);
    run.start = run.dot->slice.summary & 15;
    run.finish = run.dot->slice.summary >> 4 & 15;
    run.count = run.dot->slice.summary >> 8;
    run.segments =
        memory(core, run.dot->slice.before_segments + 4, run.count * sizeof *run.segments);
    if (!run.segments || run.start > DOT_START_ADDEND_WIDE || run.finish > DOT_FINISH_KEEP)
        return 0;
    each = pair_cycles(&run);
    w = memory(core, run.dot->weights, run.words * 16);
    if (!w)
        return 0;
    for (;;) {
        pair = memory(core, run.dot->pair, sizeof *pair);
        if (!pair || pair->input0 == DOT_END)
            return run.cycles;
        if (run_pair(core, &run, pair, w))
            return 0;
        run.cycles += each;
        run.dot->pair += sizeof *pair;
        run.dot->wide += run.dot->wide_step;
    }
}
