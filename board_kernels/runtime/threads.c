/* The team of threads: workers sleep on a condition between calls, so that idle ranks cost nothing.
 */
#define _POSIX_C_SOURCE 200809L

#include "bk_team.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct worker {
    struct bk_team *team;
    pthread_t thread;
    int part;
};

struct bk_team {
    pthread_mutex_t lock;
    pthread_cond_t start;
    pthread_cond_t done;
    uint64_t round; /* counts calls; a worker wakes when it changes */
    int running;    /* workers that have not finished this round */
    int stopping;
    int parts;
    _Atomic int64_t taken; /* pieces of this round's work handed out */
    bk_part_fn *work;
    void *context;
    int workers;
    struct worker worker[];
};

static void *worker_main(void *argument)
{
    struct worker *self = argument;
    struct bk_team *team = self->team;
    uint64_t seen = 0;

    pthread_mutex_lock(&team->lock);
    for (;;) {
        while (team->round == seen && !team->stopping)
            pthread_cond_wait(&team->start, &team->lock);
        if (team->stopping)
            break;
        seen = team->round;
        if (self->part < team->parts) {
            pthread_mutex_unlock(&team->lock);
            team->work(team->context, self->part, team->parts);
            pthread_mutex_lock(&team->lock);
        }
        if (--team->running == 0)
            pthread_cond_signal(&team->done);
    }
    pthread_mutex_unlock(&team->lock);
    return NULL;
}

struct bk_team *bk_team_open(int threads)
{
    int wanted = threads > 1 ? threads - 1 : 0;
    struct bk_team *team = calloc(1, sizeof *team + (size_t)wanted * sizeof team->worker[0]);

    if (team == NULL)
        return NULL;
    pthread_mutex_init(&team->lock, NULL);
    pthread_cond_init(&team->start, NULL);
    pthread_cond_init(&team->done, NULL);
    while (team->workers < wanted) {
        struct worker *next = &team->worker[team->workers];
        next->team = team;
        next->part = team->workers + 1;
        if (pthread_create(&next->thread, NULL, worker_main, next) != 0) {
            bk_team_close(team);
            return NULL;
        }
        team->workers++;
    }
    return team;
}

void bk_team_close(struct bk_team *team)
{
    pthread_mutex_lock(&team->lock);
    team->stopping = 1;
    pthread_cond_broadcast(&team->start);
    pthread_mutex_unlock(&team->lock);
    for (int i = 0; i < team->workers; i++)
        pthread_join(team->worker[i].thread, NULL);
    pthread_cond_destroy(&team->done);
    pthread_cond_destroy(&team->start);
    pthread_mutex_destroy(&team->lock);
    free(team);
}

int bk_team_threads(const struct bk_team *team)
{
    return team->workers + 1;
}

void bk_team_run(struct bk_team *team, int parts, bk_part_fn *work, void *context)
{
    atomic_store_explicit(&team->taken, 0, memory_order_relaxed);
    if (parts > 1) {
        pthread_mutex_lock(&team->lock);
        team->work = work;
        team->context = context;
        team->parts = parts;
        team->running = team->workers;
        team->round++;
        pthread_cond_broadcast(&team->start);
        pthread_mutex_unlock(&team->lock);
    }
    work(context, 0, parts);
    if (parts > 1) {
        pthread_mutex_lock(&team->lock);
        while (team->running > 0)
            pthread_cond_wait(&team->done, &team->lock);
        pthread_mutex_unlock(&team->lock);
    }
}

int64_t bk_team_take(struct bk_team *team)
{
    return atomic_fetch_add_explicit(&team->taken, 1, memory_order_relaxed);
}

int bk_team_parts(const struct bk_team *team, int64_t items, int64_t grain)
{
    int64_t parts = items / grain;
    int64_t threads = bk_team_threads(team);

    if (parts > threads)
        parts = threads;
    return parts < 1 ? 1 : (int)parts;
}

void bk_part_range(int64_t items, int part, int parts, int64_t *begin, int64_t *end)
{
    *begin = items * part / parts;
    *end = items * (part + 1) / parts;
}
