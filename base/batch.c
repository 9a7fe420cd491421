/* Lines of many threads, which one thread writes.
 *
 * A share belongs to the thread that has joined with it. Its `lock` guards its lines: the
 * owner holds it while it copies one, and the batch's thread while it takes them all and
 * leaves empty memory in their place, so nobody waits for it. Shares are never freed; one
 * whose thread has left is used again. The batch's `lock` guards what the threads tell
 * each other, which is once for each time that a share is taken. All are leaves. */
#include "base/batch.h"

#include "base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    SHARE_BYTES = 256 * 1024,
    ENOUGH_BYTES = SHARE_BYTES / 4, /* of a share: the thread waits for no more */
    CACHE_LINE = 64,
};

struct batch_share {
    _Alignas(CACHE_LINE) pthread_mutex_t lock;
    char *lines;              /* lock; of SHARE_BYTES */
    size_t len;               /* lock */
    uint64_t lost;            /* lock; lines, ever */
    struct batch_share *next; /* immutable */
    atomic_bool taken;        /* by a thread */
};

struct batch {
    const struct batch_writer *writer; /* immutable */
    void *of;                          /* immutable */
    struct batch_share *common;        /* immutable; of who has none */
    struct batch_share *_Atomic all;   /* the last one first */
    char *spare;                       /* the thread's; empty */
    pthread_mutex_t lock;
    pthread_cond_t called, turn; /* the thread is to do something; has done it */
    bool threaded;               /* lock, as all that follows */
    bool some;   /* there are lines that the thread has not come to take */
    bool enough; /* and it is not to wait for more */
    bool flushing, writing;
    uint64_t lost; /* lines, ever, that could not be written */
    uint64_t seen; /* and that had no room, when somebody asked */
    int error;     /* why the last were lost */
};

/* -- Life -- */

static struct batch_share *make_share(struct batch *b)
{
    void *memory;
    int error = posix_memalign(&memory, CACHE_LINE, sizeof(struct batch_share));
    if (error != 0)
        return NULL;
    struct batch_share *s = memory;
    memset(s, 0, sizeof *s);
    s->lines = malloc(SHARE_BYTES);
    if (s->lines == NULL) {
        free(s);
        return NULL;
    }
    pthread_mutex_init(&s->lock, NULL);
    atomic_init(&s->taken, true);
    s->next = atomic_load(&b->all);
    while (!atomic_compare_exchange_weak(&b->all, &s->next, s))
        ;
    return s;
}

struct batch *batch_create(const struct batch_writer *writer, void *of)
{
    struct batch *b = calloc(1, sizeof *b);
    if (b == NULL)
        return NULL;
    b->spare = malloc(SHARE_BYTES);
    b->common = b->spare == NULL ? NULL : make_share(b);
    if (b->common == NULL) {
        free(b->spare);
        free(b);
        return NULL;
    }
    b->writer = writer;
    b->of = of;
    pthread_mutex_init(&b->lock, NULL);
    clock_init_condition(&b->called);
    clock_init_condition(&b->turn);
    return b;
}

struct batch_share *batch_join(struct batch *b)
{
    for (struct batch_share *s = atomic_load(&b->all); s != NULL; s = s->next) {
        bool taken = false;
        if (atomic_compare_exchange_strong(&s->taken, &taken, true))
            return s;
    }
    return make_share(b);
}

void batch_leave(struct batch_share *s)
{
    if (s != NULL)
        atomic_store(&s->taken, false);
}

/* -- Any thread -- */

/* Says that there are lines, or enough of them. */
static void call(struct batch *b, bool enough)
{
    pthread_mutex_lock(&b->lock);
    if (!b->some || (enough && !b->enough))
        pthread_cond_signal(&b->called);
    b->some = true;
    b->enough = b->enough || enough;
    pthread_mutex_unlock(&b->lock);
}

void batch_add(struct batch *b, struct batch_share *s, const char *line, size_t len)
{
    if (s == NULL)
        s = b->common;
    pthread_mutex_lock(&s->lock);
    size_t before = s->len, after = before + len;
    if (after <= SHARE_BYTES) {
        memcpy(s->lines + before, line, len);
        s->len = after;
    } else {
        s->lost++;
    }
    pthread_mutex_unlock(&s->lock);
    if (before == 0 || (before < ENOUGH_BYTES && after >= ENOUGH_BYTES))
        call(b, after >= ENOUGH_BYTES);
}

uint64_t batch_lost(struct batch *b, int *error)
{
    uint64_t without_room = 0;
    for (struct batch_share *s = atomic_load(&b->all); s != NULL; s = s->next) {
        pthread_mutex_lock(&s->lock);
        without_room += s->lost;
        pthread_mutex_unlock(&s->lock);
    }
    pthread_mutex_lock(&b->lock);
    if (without_room > b->seen) {
        b->seen = without_room;
        b->error = EAGAIN;
    }
    uint64_t count = b->lost + without_room;
    *error = b->error;
    pthread_mutex_unlock(&b->lock);
    return count;
}

bool batch_flush(struct batch *b, int64_t timeout)
{
    struct timespec until = clock_after(timeout);
    int error = 0;
    pthread_mutex_lock(&b->lock);
    b->flushing = true;
    pthread_cond_signal(&b->called);
    while (b->threaded && (b->writing || b->some) && error == 0)
        error = pthread_cond_timedwait(&b->turn, &b->lock, &until);
    b->flushing = false;
    pthread_mutex_unlock(&b->lock);
    return error == 0;
}

bool batch_is_flushing(struct batch *b)
{
    pthread_mutex_lock(&b->lock);
    bool flushing = b->flushing;
    pthread_mutex_unlock(&b->lock);
    return flushing;
}

/* -- The batch's own thread -- */

/* Lets lines gather. What is added from the end of this on calls the thread again. */
static void await(struct batch *b)
{
    pthread_mutex_lock(&b->lock);
    while (!b->some)
        pthread_cond_wait(&b->called, &b->lock);
    struct timespec until = clock_after(BATCH_TIME);
    while (!b->enough && !b->flushing &&
           pthread_cond_timedwait(&b->called, &b->lock, &until) == 0)
        ;
    b->some = b->enough = false;
    b->writing = true;
    pthread_mutex_unlock(&b->lock);
}

/* Returns how many lines could not be written. */
static size_t write_share(struct batch *b, struct batch_share *s, int *error)
{
    pthread_mutex_lock(&s->lock);
    size_t len = s->len;
    char *lines = s->lines;
    if (len > 0) {
        s->lines = b->spare;
        s->len = 0;
    }
    pthread_mutex_unlock(&s->lock);
    if (len == 0)
        return 0;
    b->spare = lines;
    return b->writer->write(b->of, lines, len, error);
}

static void *run(void *arg)
{
    struct batch *b = arg;
    for (;;) {
        await(b);
        size_t lost = 0;
        int error = 0;
        b->writer->begin(b->of);
        for (struct batch_share *s = atomic_load(&b->all); s != NULL; s = s->next)
            lost += write_share(b, s, &error);
        pthread_mutex_lock(&b->lock);
        b->lost += lost;
        if (lost > 0)
            b->error = error;
        b->writing = false;
        pthread_cond_broadcast(&b->turn);
        pthread_mutex_unlock(&b->lock);
    }
    return NULL;
}

static void set_threaded(struct batch *b, bool threaded)
{
    pthread_mutex_lock(&b->lock);
    b->threaded = threaded;
    pthread_mutex_unlock(&b->lock);
}

bool batch_start(struct batch *b)
{
    pthread_t thread;
    set_threaded(b, true);
    int error = pthread_create(&thread, NULL, run, b);
    if (error == 0) {
        pthread_detach(thread);
        return true;
    }
    set_threaded(b, false);
    errno = error;
    return false;
}
