/* Writes the bursts of a reduction over pairs, with carries where 32 bits would be exceeded. */
#ifndef BK_BURSTS_H
#define BK_BURSTS_H

#include "bk_tile.h"

enum { BK__EXACT_STEPS = BK_TILE_EXACT / 2 };

struct bk__bursts {
    struct bk_burst *end;
    int64_t most;  /* steps between carries, at least BK__EXACT_STEPS */
    int64_t since; /* steps since the last carry */
    int carries;
};

/* Most bursts that bk__add_steps writes for so many steps. */
static inline int64_t bk__most_bursts(int64_t count)
{
    return count / BK__EXACT_STEPS + 2;
}

/* Add `count` steps, then jumps. A run that fits between two carries is not cut. */
static inline void bk__add_steps(struct bk__bursts *bursts, int64_t count, int64_t row_jump,
                                 int64_t panel_jump)
{
    while (count > 0) {
        const int64_t room = bursts->most - bursts->since;
        const int64_t part = count <= bursts->most || room == 0 ? bursts->most : room;
        const int64_t steps = count < part ? count : part;
        if (steps > room) {
            bursts->end[-1].carry = bursts->carries = 1;
            bursts->since = 0;
        }
        *bursts->end++ = (struct bk_burst){.count = steps};
        bursts->since += steps;
        count -= steps;
    }
    bursts->end[-1].row_jump = row_jump;
    bursts->end[-1].panel_jump = panel_jump;
}

/* End the list; returns whether it carries. */
static inline int bk__end_steps(struct bk__bursts *bursts)
{
    if (bursts->carries)
        bursts->end[-1].carry = 1;
    *bursts->end = (struct bk_burst){.count = 0};
    return bursts->carries;
}

#endif
