/* A team of threads that waits without spinning and runs one function over a fixed number of parts.
 */
#ifndef BK_TEAM_H
#define BK_TEAM_H

#include <stdint.h>

struct bk_team;

/* What a team runs: part is 0 .. parts - 1, every part exactly once, each on one thread. */
typedef void bk_part_fn(void *context, int part, int parts);

/* Return a team of `threads` (1 or more; the caller is one of them), or NULL where the system gives
 * no memory or no thread. The team must be closed by the process that opened it. */
struct bk_team *bk_team_open(int threads);

/* Stop the team's threads and free it. */
void bk_team_close(struct bk_team *team);

int bk_team_threads(const struct bk_team *team);

/* Call work(context, part, parts) for every part, parts <= bk_team_threads(team), and return when
 * all are done. One call at a time: a team is not to be shared by two callers. */
void bk_team_run(struct bk_team *team, int parts, bk_part_fn *work, void *context);

/* The next piece of work, 0, 1, ... of the call that is running: parts that take pieces until none
 * is left end together, however fast their threads are. */
int64_t bk_team_take(struct bk_team *team);

/* How many parts to cut `items` into so that each has at least `grain` of them: 1 .. threads. */
int bk_team_parts(const struct bk_team *team, int64_t items, int64_t grain);

/* The items [*begin, *end) of one part of a static, even split. */
void bk_part_range(int64_t items, int part, int parts, int64_t *begin, int64_t *end);

#endif
