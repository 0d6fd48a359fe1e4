/* Packs plain weights for the inner products (docs/kernels.md draws both orders). A word holds two
 * neighbours along the reduction.
 *
 * A piece is one row of taps of some output channels (forward: a block of 4; input gradient: a chunk
 * of 32) and a range of input channels. Its runs of input channels are read into lanes, one for
 * each output channel and tap; the words are made while the next piece is read. */
#include "dma.h"
#include "runtime.h"


enum {
    CHUNK = 32,
    BLOCK = 4,
    IMAGE_CHANNELS = 4,
    SEGMENT = CHUNK / 2 * BLOCK, /* words of a tap and a chunk */
    BUFFER = 14336,              /* a quarter of the workspace: 2 for lanes, 2 for words */
    LANE_SPARE = 4,              /* bytes: a run may start in the middle of a word */
};

struct piece {
    int32_t output, row, input; /* first channels */
    dma_ticket read;
};

struct packing {
    const struct task_pack *task;
    int32_t outputs;       /* of a piece */
    int32_t inputs;        /* of a piece, at most */
    int32_t first, end;    /* input channels (input gradient) or output channels (forward) */
    int32_t width;         /* input channels of a chunk */
    int32_t output_chunks; /* of the layer */
    int32_t input_chunks;
    uint32_t lane_bytes;
};

/* ---- the words: speed matters here, size everywhere else ---- */

/* One tap and chunk of 4 outputs, each from its own lane. */
static void interleave(uint32_t *to, uint16_t *const lane[BLOCK], int32_t from, int32_t width)
{
    for (int32_t i = from; i < from + width; i += 2)
#pragma GCC unroll 4
        for (int32_t j = 0; j < BLOCK; j++)
            *to++ = lane[j][i] | (uint32_t)lane[j][i + 1] << 16;
}

/* One tap of 32 output channels as 16 pairs, for a block of 4 input channels. */
static void pair_outputs(uint32_t *to, uint16_t *const lane[CHUNK], int32_t from)
{
    for (int32_t pair = 0; pair < CHUNK; pair += 2) {
        const uint16_t *even = lane[pair] + from, *odd = lane[pair + 1] + from;
#pragma GCC unroll 4
        for (int32_t j = 0; j < BLOCK; j++)
            *to++ = even[j] | (uint32_t)odd[j] << 16;
    }
}

#pragma GCC optimize("Os")

static int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static int32_t round_up_div(int32_t a, int32_t b)
{
    return (a + b - 1) / b;
}

/* Channels of a piece: those of the range, the padding included. */
static int32_t inputs_of(const struct packing *p, const struct piece *piece)
{
    const int32_t end = p->task->order == PACK_FORWARD ? p->input_chunks * p->width : p->end;

    return smaller(p->inputs, end - piece->input);
}

static uint32_t run_address(const struct packing *p, const struct piece *piece, int32_t output,
                            int32_t tap)
{
    const struct task_pack *t = p->task;
    const int32_t k = piece->output + output;

    return t->source + 2 * (uint32_t)(((k * t->r + piece->row) * t->s + tap) * t->c + piece->input);
}

static int32_t run_length(const struct packing *p, const struct piece *piece, int32_t output)
{
    const int32_t length = smaller(inputs_of(p, piece), p->task->c - piece->input);

    return piece->output + output < p->task->k && length > 0 ? length : 0;
}

static uint8_t *lane_of(const struct packing *p, uint32_t half, int32_t output, int32_t tap)
{
    return workspace + half * BUFFER + (uint32_t)(output * p->task->s + tap) * p->lane_bytes;
}

/* Transfers are in words: a run that starts in the middle of one is read from the word's start. */
static void read_piece(const struct packing *p, struct piece *piece, uint32_t half)
{
    for (int32_t output = 0; output < p->outputs; output++) {
        const int32_t length = run_length(p, piece, output);
        for (int32_t tap = 0; tap < p->task->s && length > 0; tap++) {
            const uint32_t from = run_address(p, piece, output, tap);
            const uint32_t bytes = ((from & 2) + 2 * (uint32_t)length + 3) & ~3u;
            piece->read = dma_read(lane_of(p, half, output, tap), from & ~3u, bytes);
        }
    }
}

/* A lane's first channel; what lies beyond the weights is cleared. */
static uint16_t *open_lane(const struct packing *p, const struct piece *piece, uint32_t half,
                           int32_t output, int32_t tap)
{
    const int32_t inputs = inputs_of(p, piece);
    uint16_t *lane = (uint16_t *)(void *)(lane_of(p, half, output, tap) +
                                          (run_address(p, piece, output, tap) & 2));

    for (int32_t i = run_length(p, piece, output); i < inputs; i++)
        lane[i] = 0;
    return lane;
}

/* ---- forward ---- */

static void pack_forward(const struct packing *p, const struct piece *piece, uint32_t half,
                         uint32_t *words)
{
    const struct task_pack *t = p->task;
    const int32_t inputs = inputs_of(p, piece), chunks = inputs / p->width;
    const uint32_t row_words = (uint32_t)(t->s * p->width / 2 * BLOCK);

    for (int32_t tap = 0; tap < t->s; tap++) {
        uint16_t *lane[BLOCK];
        for (int32_t j = 0; j < BLOCK; j++)
            lane[j] = open_lane(p, piece, half, j, tap);
        for (int32_t chunk = 0; chunk < chunks; chunk++)
            interleave(words + (uint32_t)(chunk * t->s + tap) * (uint32_t)p->width / 2 * BLOCK,
                       lane, chunk * p->width, p->width);
    }
    for (int32_t chunk = 0; chunk < chunks; chunk++) {
        const int32_t block = piece->output / BLOCK, all = piece->input / p->width + chunk;
        const uint32_t at =
            (uint32_t)((block * p->input_chunks + all) * t->r + piece->row) * row_words;
        dma_write(words + (uint32_t)chunk * row_words, t->target + 4 * at, 4 * row_words);
    }
}

/* ---- input gradient ---- */

/* Taps of one axis that meet positions of a class: tap = (position + pad) mod stride, and every
 * stride-th from there. */
static int32_t taps_in_class(const struct task_pack *t, int32_t position, int32_t taps)
{
    const int32_t lowest = (position + t->pad) % t->stride;

    return lowest < taps ? (taps - 1 - lowest) / t->stride + 1 : 0;
}

/* The words of the taps of a piece's row in one class; returns their end. */
static uint32_t *pack_class(const struct packing *p, const struct piece *piece, uint32_t half,
                            uint32_t *words, int32_t rows, int32_t column, uint32_t at)
{
    const struct task_pack *t = p->task;
    const int32_t columns = taps_in_class(t, column, t->s);
    const int32_t blocks = inputs_of(p, piece) / BLOCK;
    const int32_t below = rows - 1 - piece->row / t->stride;
    const uint32_t row_words = (uint32_t)columns * SEGMENT;

    for (int32_t i = 0; i < columns; i++) {
        const int32_t tap = (column + t->pad) % t->stride + (columns - 1 - i) * t->stride;
        uint16_t *lane[CHUNK];
        for (int32_t j = 0; j < CHUNK; j++)
            lane[j] = open_lane(p, piece, half, j, tap);
        for (int32_t block = 0; block < blocks; block++)
            pair_outputs(words + (uint32_t)(block * columns + i) * SEGMENT, lane, block * BLOCK);
    }
    for (int32_t block = 0; block < blocks; block++) {
        const int32_t plane =
            (piece->input / BLOCK + block) * p->output_chunks + piece->output / CHUNK;
        dma_write(words + (uint32_t)block * row_words,
                  t->target + 4 * (at + (uint32_t)(plane * rows + below) * row_words), 4 * row_words);
    }
    return words + (uint32_t)blocks * row_words;
}

/* Classes of rows and columns follow each other, each a complete array. */
static void pack_input_gradient(const struct packing *p, const struct piece *piece, uint32_t half,
                                uint32_t *words)
{
    const struct task_pack *t = p->task;
    const uint32_t segments = (uint32_t)(p->input_chunks * (CHUNK / BLOCK) * p->output_chunks);
    uint32_t at = 0;

    for (int32_t row = 0; row < t->stride; row++)
        for (int32_t column = 0; column < t->stride; column++) {
            const int32_t rows = taps_in_class(t, row, t->r);
            const int32_t taps = rows * taps_in_class(t, column, t->s);
            if (rows > 0 && taps > 0 && piece->row % t->stride == (row + t->pad) % t->stride)
                words = pack_class(p, piece, half, words, rows, column, at);
            at += segments * (uint32_t)taps * SEGMENT;
        }
}

/* ---- the task ---- */

static void start(struct packing *p, const struct task_pack *t)
{
    const uint32_t forward = t->order == PACK_FORWARD;
    int32_t step;

    p->task = t;
    p->width = forward && t->c <= IMAGE_CHANNELS ? IMAGE_CHANNELS : CHUNK;
    p->outputs = forward ? BLOCK : CHUNK;
    p->output_chunks = round_up_div(t->k, CHUNK);
    p->input_chunks = round_up_div(t->c, p->width);
    p->first = t->block_first * BLOCK;
    p->end = p->first + t->blocks * BLOCK;
    step = forward ? p->width : BLOCK;
    p->inputs = (BUFFER / (p->outputs * t->s) - LANE_SPARE) / 2 / step * step;
    if (p->inputs <= 0)
        runtime_stop(ERROR_SHAPE);
    p->inputs = smaller(p->inputs, forward ? p->input_chunks * p->width : p->end - p->first);
    p->lane_bytes = 2 * (uint32_t)p->inputs + LANE_SPARE;
}

/* Input channels innermost, then rows of taps, then output channels; 0 at the end. */
static uint32_t next_piece(const struct packing *p, struct piece *piece)
{
    const uint32_t forward = p->task->order == PACK_FORWARD;

    piece->input += p->inputs;
    if (piece->input < (forward ? p->input_chunks * p->width : p->end))
        return 1;
    piece->input = forward ? 0 : p->first;
    if (++piece->row < p->task->r)
        return 1;
    piece->row = 0;
    piece->output += p->outputs;
    return piece->output < (forward ? p->end : p->output_chunks * CHUNK);
}

static void kernel_pack(const struct task_pack *task)
{
    struct packing p;
    struct piece piece, next;
    uint32_t half = 0, more = 1;

    start(&p, task);
    next = task->order == PACK_FORWARD ? (struct piece){p.first, 0, 0, 0}
                                       : (struct piece){0, 0, p.first, 0};
    read_piece(&p, &next, 0);
    while (more) {
        uint32_t *words = (uint32_t *)(void *)(workspace + 2 * BUFFER);
        piece = next;
        more = next_piece(&p, &next);
        dma_drain();
        if (more)
            read_piece(&p, &next, half ^ 1);
        if (task->order == PACK_FORWARD)
            pack_forward(&p, &piece, half, words + half * (BUFFER / 4));
        else
            pack_input_gradient(&p, &piece, half, words + half * (BUFFER / 4));
        half ^= 1;
    }
}

TASK_KERNEL(KIND_PACK, kernel_pack, struct task_pack);
