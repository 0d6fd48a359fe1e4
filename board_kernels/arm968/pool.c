#pragma GCC optimize("Os")
#include "pool.h"

/* The rows that a row of windows covers, counted from the first row of the window. */
static void set_forward_row(const struct planes *k, struct tap *tap)
{
    const int32_t top = tap->row * k->stride - k->pad;

    tap->first = larger(0, -top);
    tap->end = smaller(k->kr, k->h - top);
}

/* The rows of windows p that hold row y: p * stride - pad <= y < p * stride - pad + kr. */
static void set_backward_row(const struct planes *k, struct tap *tap)
{
    tap->first = larger(0, tap->row + k->pad - k->kr + k->stride) / k->stride;
    tap->end = smaller(k->p, (tap->row + k->pad) / k->stride + 1);
}

static void set_row(const struct sweep *sweep, struct tap *tap)
{
    if (sweep->backward)
        set_backward_row(sweep->planes, tap);
    else
        set_forward_row(sweep->planes, tap);
}

static void set_segment(const struct sweep *sweep, struct tap *tap)
{
    tap->width = smaller(sweep->segment, sweep->columns - tap->column);
    tap->at = tap->first;
}

void sweep_start(const struct sweep *sweep, struct tap *tap)
{
    *tap = (struct tap){0};
    set_row(sweep, tap);
    set_segment(sweep, tap);
}

int sweep_next(const struct sweep *sweep, struct tap *tap)
{
    if (++tap->at < tap->end)
        return 1;
    tap->column += tap->width;
    if (tap->column >= sweep->columns) {
        tap->column = 0;
        if (++tap->row >= sweep->rows) {
            tap->row = 0;
            if (++tap->image >= sweep->planes->images) {
                tap->image = 0;
                if (++tap->chunk >= sweep->planes->chunks)
                    return 0;
            }
        }
        set_row(sweep, tap);
    }
    set_segment(sweep, tap);
    return 1;
}
