/* Packs plain weights for the inner products, in the orders that docs/kernels.md draws. Both are
 * segments, one for each block of 4 outputs of the product, chunk of its reduction and tap:
 *
 *   forward         outputs are output channels, ascending taps
 *   input gradient  outputs are input channels; classes of taps (rows and columns that the same
 *                   positions of a strided gradient meet) one after the other, descending taps
 *
 * and a word holds two neighbours along the reduction. A piece is a row of taps of 4 output
 * channels (forward) or a chunk of them (input gradient), and a range of input channels, whose runs
 * are read into lanes; its segments are made while they are written, its successor is read
 * meanwhile. */
#include "dma.h"
#include "runtime.h"

#include <string.h>

enum {
    CHUNK = 32,
    BLOCK = 4,
    IMAGE_CHANNELS = 4,
    PIECE_BYTES = 14336, /* of lanes, and of segments */
    SPARE = 4,           /* bytes of a lane: a run may start in the middle of a word */
};

/* pairs words for each of 4 outputs; steps in int16 along the outputs and along the reduction. */
static void make_segment(uint32_t *to, const uint16_t *from, uint32_t output_step, uint32_t step,
                         uint32_t pairs)
{
    for (; pairs > 0; pairs--, from += 2 * step)
#pragma GCC unroll 4
        for (uint32_t j = 0; j < BLOCK; j++)
            *to++ = from[j * output_step] | (uint32_t)from[j * output_step + step] << 16;
}

#pragma GCC optimize("Os")

static struct packing {
    const struct task_pack *task;
    uint32_t forward;
    int32_t outputs; /* channels of a piece */
    int32_t inputs;
    int32_t first_input, end_input, end_output;
    int32_t width;  /* of a chunk of the reduction */
    int32_t chunks; /* of the reduction */
    int32_t blocks; /* of the whole layer */
    uint32_t lane;  /* int16 of a lane */
} p;

struct piece {
    int32_t output, row, input; /* first channels */
};

static int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static uint16_t *lanes_of(uint32_t half)
{
    return (uint16_t *)(void *)(workspace + half * PIECE_BYTES);
}

/* Go through a piece's lanes: start to read them, or, once they are there, bring each to the start
 * of its lane and clear what lies beyond the weights. */
static void visit_lanes(const struct piece *piece, uint32_t half, uint32_t reads)
{
    const struct task_pack *t = p.task;
    uint16_t *lane = lanes_of(half);

    for (int32_t k = piece->output; k < piece->output + p.outputs; k++)
        for (int32_t tap = 0; tap < t->s; tap++, lane += p.lane) {
            const int32_t at = ((k * t->r + piece->row) * t->s + tap) * t->c + piece->input;
            const uint32_t from = t->source + 2 * (uint32_t)at, odd = from & 2;
            const int32_t left = k < t->k ? smaller(t->c - piece->input, p.inputs) : 0;
            const uint32_t length = left > 0 ? (uint32_t)left : 0;
            if (reads) {
                if (length > 0)
                    dma_read(lane, from - odd, (odd + 2 * length + 3) & ~3u);
                continue;
            }
            for (uint32_t i = 0; i < length && odd; i++)
                lane[i] = lane[i + 1];
            memset(lane + length, 0, 2 * ((uint32_t)p.inputs - length));
        }
}

/* A tap's place among those of its class, and how many there are in it and in earlier classes. */
struct place {
    int32_t index, count, before;
};

static struct place place_of(int32_t tap, int32_t taps)
{
    const int32_t stride = p.forward ? 1 : p.task->stride;
    struct place place = {tap, taps, 0};

    if (p.forward)
        return place;
    for (int32_t position = p.task->pad;; position++) {
        const int32_t lowest = position % stride;
        place.count = (taps - 1 - lowest + stride) / stride;
        if (lowest == tap % stride)
            break;
        place.before += place.count;
    }
    place.index = place.count - 1 - tap / stride;
    return place;
}

/* The SDRAM address of a segment: [class][block][chunk][tap row][tap]. */
static uint32_t segment_address(int32_t block, int32_t chunk, int32_t row, int32_t tap)
{
    const struct place y = place_of(row, p.task->r), x = place_of(tap, p.task->s);
    const int32_t classes = p.blocks * p.chunks * (y.before * p.task->s + y.count * x.before);
    const int32_t inside = ((block * p.chunks + chunk) * y.count + y.index) * x.count + x.index;

    return p.task->target + (uint32_t)((classes + inside) * p.width * BLOCK) * 2;
}

static void write_segments(const struct piece *piece, uint32_t half)
{
    const int32_t reduction = p.forward ? p.width : BLOCK; /* input channels of a segment */
    const uint32_t output_lane = (uint32_t)p.task->s * p.lane;
    uint32_t *words = (uint32_t *)(void *)(workspace + 2 * PIECE_BYTES);

    for (int32_t i = 0; i < p.inputs && piece->input + i < p.end_input; i += reduction)
        for (int32_t tap = 0; tap < p.task->s; tap++) {
            const uint16_t *from = lanes_of(half) + (uint32_t)tap * p.lane + i;
            const int32_t output = piece->output, input = piece->input + i;
            const uint32_t pairs = (uint32_t)p.width / 2;
            uint32_t to;
            if (p.forward) {
                make_segment(words, from, output_lane, 1, pairs);
                to = segment_address(output / BLOCK, input / p.width, piece->row, tap);
            } else {
                make_segment(words, from, 1, output_lane, pairs);
                to = segment_address(input / BLOCK, output / CHUNK, piece->row, tap);
            }
            dma_write(words, to, 4 * BLOCK * pairs);
            words += BLOCK * pairs;
        }
}

static void start(const struct task_pack *t)
{
    const int32_t first = t->block_first * BLOCK, end = first + t->blocks * BLOCK;
    const int32_t image = t->order == PACK_FORWARD && t->c <= IMAGE_CHANNELS;
    const int32_t output_chunks = (t->k + CHUNK - 1) / CHUNK;
    int32_t input_chunks, step;

    p.task = t;
    p.forward = t->order == PACK_FORWARD;
    p.width = image ? IMAGE_CHANNELS : CHUNK;
    input_chunks = (t->c + p.width - 1) / p.width;
    p.outputs = p.forward ? BLOCK : CHUNK;
    p.chunks = p.forward ? input_chunks : output_chunks;
    p.blocks = (p.forward ? output_chunks : input_chunks) * (CHUNK / BLOCK);
    p.first_input = p.forward ? 0 : first;
    p.end_input = p.forward ? input_chunks * p.width : end;
    p.end_output = p.forward ? end : output_chunks * CHUNK;
    step = p.forward ? p.width : BLOCK;
    p.inputs = (PIECE_BYTES / (p.outputs * t->s) - SPARE) / 2 / step * step;
    p.inputs = smaller(p.inputs, p.end_input - p.first_input);
    if (p.inputs <= 0)
        runtime_stop(ERROR_SHAPE);
    p.lane = (uint32_t)p.inputs + SPARE / 2;
}

/* Input channels innermost, then rows of taps, then output channels; 0 at the end. */
static uint32_t next_piece(struct piece *piece)
{
    piece->input += p.inputs;
    if (piece->input >= p.end_input) {
        piece->input = p.first_input;
        piece->row++;
    }
    if (piece->row == p.task->r) {
        piece->row = 0;
        piece->output += p.outputs;
    }
    return piece->output < p.end_output;
}

static void kernel_pack(const struct task_pack *task)
{
    struct piece piece, next = {0};
    uint32_t more = 1;

    start(task);
    next.input = p.first_input;
    next.output = p.forward ? task->block_first * BLOCK : 0;
    visit_lanes(&next, 0, 1);
    for (uint32_t half = 0; more; half ^= 1) {
        piece = next;
        more = next_piece(&next);
        dma_drain();
        if (more)
            visit_lanes(&next, half ^ 1, 1);
        visit_lanes(&piece, half, 0);
        write_segments(&piece, half);
    }
}

TASK_KERNEL(KIND_PACK, kernel_pack, struct task_pack);
