/* Convolution tiles in plain C, as a compiler makes them of the definition: what `regatta bench
 * kernels --target arm968` shows beside the tuned kernels. A program of its own, not part of the
 * board's image; its one task lies at the start of the data memory, operands behind it. */
#include "bk_arith.h"

enum { FORWARD = 0, INPUT_GRADIENT = 1, WEIGHT_GRADIENT = 2 };

/* Tensors are [chunk][row][column][width]; weights [output][row][column][chunk][width]. x and e
 * include the margins that windows reach. */
static const struct task {
    int32_t pass;
    int32_t rows, columns; /* of the result; weight gradient: of e */
    int32_t wide;          /* columns of x (input gradient: of e) in memory */
    int32_t high;          /* rows */
    int32_t stride, r, s, chunks, width, outputs, shift;
    const int16_t *x, *other; /* forward: weights; input gradient: x is e, weights; else e */
    void *result;             /* int16 [output][row][column]; int64 [output][r][s][width] */
} *const task = (const struct task *)0x400000;

static int32_t dot(const int16_t *a, const int16_t *b)
{
    int32_t sum = 0;

    for (int i = 0; i < task->width; i++)
        sum += a[i] * b[i];
    return sum;
}

static const int16_t *x_at(int chunk, int row, int column)
{
    return task->x + ((chunk * task->high + row) * task->wide + column) * task->width;
}

static const int16_t *weights_at(int output, int i, int j, int chunk)
{
    return task->other +
           (((output * task->r + i) * task->s + j) * task->chunks + chunk) * task->width;
}

static int64_t forward(int output, int row, int column)
{
    int64_t sum = 0;

    for (int i = 0; i < task->r; i++)
        for (int j = 0; j < task->s; j++)
            for (int chunk = 0; chunk < task->chunks; chunk++)
                sum += dot(x_at(chunk, row * task->stride + i, column * task->stride + j),
                           weights_at(output, i, j, chunk));
    return sum;
}

/* Position (0, 0) of the result lies under tap (0, 0) of e's position (taps, taps). */
static int64_t input_gradient(int output, int row, int column)
{
    int64_t sum = 0;

    for (int i = row % task->stride; i < task->r; i += task->stride)
        for (int j = column % task->stride; j < task->s; j += task->stride)
            for (int chunk = 0; chunk < task->chunks; chunk++)
                sum += dot(x_at(chunk, task->r + (row - i) / task->stride,
                                task->s + (column - j) / task->stride),
                           weights_at(output, i, j, chunk));
    return sum;
}

static int64_t weight_gradient(int output, int i, int j, int input)
{
    int64_t sum = 0;

    for (int row = 0; row < task->rows; row++) {
        int32_t of_row = 0;
        for (int column = 0; column < task->columns; column++)
            of_row += task->other[(row * task->columns + column) * task->width + output] *
                      x_at(0, row * task->stride + i, column * task->stride + j)[input];
        sum += of_row;
    }
    return sum;
}

static void weight_gradients(void)
{
    int64_t *result = task->result;

    for (int output = 0; output < task->outputs; output++)
        for (int i = 0; i < task->r; i++)
            for (int j = 0; j < task->s; j++)
                for (int input = 0; input < task->width; input++)
                    *result++ = weight_gradient(output, i, j, input);
}

int run_task(void)
{
    int16_t *result = task->result;

    if (task->pass == WEIGHT_GRADIENT) {
        weight_gradients();
        return 0;
    }
    for (int output = 0; output < task->outputs; output++)
        for (int row = 0; row < task->rows; row++)
            for (int column = 0; column < task->columns; column++) {
                const int64_t sum = task->pass == FORWARD ? forward(output, row, column)
                                                          : input_gradient(output, row, column);
                *result++ = (int16_t)bk_half_up_clamped(sum, task->shift, BK_LIMIT16);
            }
    return 0;
}
