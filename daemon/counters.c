/* What the workers count.
 *
 * Created and destroyed by each worker, read by the heartbeat. `lock`, a leaf, guards the
 * list and what was counted by workers that have ended. The numbers are atomic, since
 * they are read while their worker counts. */
#include "daemon/counters.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct counters *all;          /* lock */
static unsigned ended[COUNTER_COUNT]; /* lock */

struct counters *counters_create(void)
{
    void *memory;
    int error = posix_memalign(&memory, COUNTERS_LINE, sizeof(struct counters));
    if (error != 0) {
        errno = error;
        return NULL;
    }
    struct counters *c = memory;
    memset(c, 0, sizeof *c);
    pthread_mutex_lock(&lock);
    c->next = all;
    all = c;
    pthread_mutex_unlock(&lock);
    return c;
}

void counters_destroy(struct counters *c)
{
    if (c == NULL)
        return;
    pthread_mutex_lock(&lock);
    struct counters **link = &all;
    while (*link != c)
        link = &(*link)->next;
    *link = c->next;
    for (int i = 0; i < COUNTER_COUNT; i++)
        ended[i] += atomic_load_explicit(&c->of[i], memory_order_relaxed);
    pthread_mutex_unlock(&lock);
    free(c);
}

unsigned counters_total(enum counter which)
{
    pthread_mutex_lock(&lock);
    unsigned total = ended[which];
    for (struct counters *c = all; c != NULL; c = c->next)
        total += atomic_load_explicit(&c->of[which], memory_order_relaxed);
    pthread_mutex_unlock(&lock);
    return total;
}
