/* Runs every convolution pass of a kernel library on random and on all-extreme inputs, on one
 * thread and on three, and prints a line for each: what it was and a hash of all it wrote and
 * reported. Libraries that agree print the same text, whatever processors they are for.
 *
 * Usage: convolution_digest LIBRARY. Exit code 2: the library cannot be used. */
#define _POSIX_C_SOURCE 200809L

#include "bk_kernels.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT13 = 4095, LIMIT16 = 32767, MOST = 1 << 17 };

static const struct {
    const char *name;
    struct bk_conv conv;
} SHAPES[] = {
    {"3x3", {2, 9, 9, 20, 37, 3, 3, 1, 1, 9, 9}},
    {"3x3 stride 2", {2, 9, 7, 17, 16, 3, 3, 2, 1, 5, 4}},
    {"1x1", {2, 7, 7, 64, 40, 1, 1, 1, 0, 7, 7}},
    {"1x1 stride 2", {3, 7, 7, 32, 70, 1, 1, 2, 0, 4, 4}},
    {"image", {1, 20, 20, 3, 16, 7, 7, 2, 3, 10, 10}},
    {"one channel", {1, 6, 6, 1, 5, 2, 2, 1, 0, 5, 5}},
    {"deep", {1, 3, 3, 130, 7, 3, 3, 1, 1, 3, 3}},
    {"dense", {5, 1, 1, 1030, 30, 1, 1, 1, 0, 1, 1}},
    {"many positions", {3, 20, 20, 2, 3, 1, 1, 1, 0, 20, 20}},
};

static const char *const KINDS[] = {"random", "highest", "lowest", "alternating", "random sign"};

static __typeof__(bk_team_open) *team_open;
static __typeof__(bk_team_close) *team_close;
static __typeof__(bk_conv_scratch_bytes) *scratch_bytes;
static __typeof__(bk_conv_forward) *forward;
static __typeof__(bk_conv_input_gradient) *input_gradient;
static __typeof__(bk_conv_weight_gradient) *weight_gradient;

static int16_t x[MOST], w[MOST], e[MOST], addend[MOST], mask[MOST], out[MOST];
static int32_t total[MOST];
static int64_t bias[MOST];

/* A random word (xorshift, Marsaglia 2003). */
static uint32_t next_word(void)
{
    static uint32_t state = 1;

    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

static void fill(int16_t *to, int64_t count, int kind, int32_t limit)
{
    if (count > MOST) {
        fprintf(stderr, "a case has %lld elements\n", (long long)count);
        exit(2);
    }
    for (int64_t i = 0; i < count; i++) {
        const uint32_t word = next_word();
        const int32_t values[] = {(int32_t)(word % (2 * (uint32_t)limit + 1)) - limit, limit,
                                  -limit, i % 2 ? limit : -limit, word & 1 ? limit : -limit};
        to[i] = (int16_t)values[kind];
    }
}

/* 64-bit FNV-1a over the bytes of values, least significant first. */
static uint64_t hash(uint64_t state, int64_t value)
{
    for (int i = 0; i < 8; i++)
        state = (state ^ ((uint64_t)value >> 8 * i & 0xFF)) * UINT64_C(0x100000001B3);
    return state;
}

static void report(const char *pass, int64_t count, int wide, const struct bk_sums *sums)
{
    uint64_t state = hash(hash(UINT64_C(0xCBF29CE484222325), (int64_t)sums->bits), sums->saturated);

    for (int64_t i = 0; i < count; i++)
        state = hash(state, wide ? total[i] : out[i]);
    printf("  %s: %016llx\n", pass, (unsigned long long)state);
}

/* Every pass with its variants; scratch holds what an earlier call left. */
static void run_passes(struct bk_team *team, void *scratch, const struct bk_conv *conv)
{
    const int64_t of_x = conv->n * conv->h * conv->w * conv->c;
    const int64_t of_y = conv->n * conv->p * conv->q * conv->k;
    const int64_t of_w = conv->k * conv->r * conv->s * conv->c;
    const struct bk_finish plain = {NULL, NULL, 0, 0, 18}, masked = {NULL, mask, 0, 0, 15},
                           aligned = {addend, mask, -3, 9, 14};
    struct bk_sums sums;

    for (int64_t k = 0; k < conv->k; k++)
        bias[k] = ((int64_t)next_word() - INT32_MAX) * 256;
    forward(team, scratch, conv, x, w, NULL, 18, out, &sums);
    report("forward", of_y, 0, &sums);
    forward(team, scratch, conv, x, w, bias, 12, out, &sums);
    report("forward with bias", of_y, 0, &sums);
    bias[0] = INT64_C(1) << 58;
    forward(team, scratch, conv, x, w, bias, 45, out, &sums);
    report("forward with a wide bias", of_y, 0, &sums);
    input_gradient(team, scratch, conv, e, w, &plain, out, &sums);
    report("input gradient", of_x, 0, &sums);
    input_gradient(team, scratch, conv, e, w, &masked, out, &sums);
    report("input gradient under a mask", of_x, 0, &sums);
    input_gradient(team, scratch, conv, e, w, &aligned, out, &sums);
    report("input gradient with an addend", of_x, 0, &sums);
    memset(total, 0, sizeof total);
    weight_gradient(team, scratch, conv, e, x, 1, 0, total, &sums);
    report("weight gradient, measured", of_w, 1, &sums);
    weight_gradient(team, scratch, conv, e, x, 0, 17, total, &sums);
    report("weight gradient", of_w, 1, &sums);
}

static void *new_scratch(const struct bk_conv *conv, int threads)
{
    size_t bytes = 64;
    void *scratch;

    for (int pass = BK_FORWARD; pass <= BK_WEIGHT_GRADIENT; pass++)
        if (scratch_bytes(conv, pass, threads) > bytes)
            bytes = scratch_bytes(conv, pass, threads);
    if (posix_memalign(&scratch, 64, bytes) != 0)
        exit(2);
    memset(scratch, 0x5A, bytes);
    return scratch;
}

static void run_shape(int shape, int kind, int threads)
{
    const struct bk_conv *conv = &SHAPES[shape].conv;
    struct bk_team *team = team_open(threads);
    void *scratch = new_scratch(conv, threads);

    if (team == NULL)
        exit(2);
    fill(x, conv->n * conv->h * conv->w * conv->c, kind, LIMIT13);
    fill(addend, conv->n * conv->h * conv->w * conv->c, kind, LIMIT16);
    fill(mask, conv->n * conv->h * conv->w * conv->c, 0, LIMIT13);
    fill(w, conv->k * conv->r * conv->s * conv->c, kind, LIMIT13);
    fill(e, conv->n * conv->p * conv->q * conv->k, kind, LIMIT13);
    printf("%s, %s, threads %d\n", SHAPES[shape].name, KINDS[kind], threads);
    run_passes(team, scratch, conv);
    team_close(team);
    free(scratch);
}

static void load(void *library, const char *name, void *function)
{
    void *found = dlsym(library, name);

    if (found == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(2);
    }
    memcpy(function, &found, sizeof found);
}

int main(int count, char **arguments)
{
    void *library = count == 2 ? dlopen(arguments[1], RTLD_NOW) : NULL;

    if (library == NULL) {
        fprintf(stderr, "%s\n", count == 2 ? dlerror() : "usage: convolution_digest LIBRARY");
        return 2;
    }
    load(library, "bk_team_open", &team_open);
    load(library, "bk_team_close", &team_close);
    load(library, "bk_conv_scratch_bytes", &scratch_bytes);
    load(library, "bk_conv_forward", &forward);
    load(library, "bk_conv_input_gradient", &input_gradient);
    load(library, "bk_conv_weight_gradient", &weight_gradient);
    for (int shape = 0; shape < (int)(sizeof SHAPES / sizeof *SHAPES); shape++)
        for (int kind = 0; kind < (int)(sizeof KINDS / sizeof *KINDS); kind++)
            for (int threads = 1; threads <= 3; threads += 2)
                run_shape(shape, kind, threads);
    return 0;
}
