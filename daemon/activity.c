/* What each worker is doing.
 *
 * Workers note it, readers copy it. An activity is never freed, so that readers need no
 * lock to walk along the list of them; one whose worker has ended is used again. `lock`
 * of each, a leaf, guards what is said so below. */
#include "daemon/activity.h"

#include "base/clock.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h>
#endif

#define LINE 64 /* bytes of a cache line */

/* ns of requests between two looks at the clock of the processor's time, which costs as
 * much as all the rest of this file. */
static const int64_t processor_period = 1000000;

struct activity {
    struct activity *next; /* immutable */
    atomic_bool taken;     /* by a worker */
    pthread_mutex_t lock;
    bool present;                    /* lock: its worker has not ended */
    bool busy, stuck;                /* lock */
    int64_t begun;                   /* lock; of clock_nanoseconds */
    const struct counters *counters; /* lock; while `present` */
    struct activity_note note;       /* lock; but for `state` */
    int64_t measured, used; /* the worker's: ns of requests since the last look at its
                               processor's time; what that was, in ns */
};

static struct activity *_Atomic all;

/* -- Life -- */

static struct activity *take_free(void)
{
    for (struct activity *a = atomic_load(&all); a != NULL; a = a->next) {
        bool taken = false;
        if (atomic_compare_exchange_strong(&a->taken, &taken, true))
            return a;
    }
    return NULL;
}

static struct activity *make(void)
{
    void *memory;
    size_t size = sizeof(struct activity);
    if (posix_memalign(&memory, LINE, size + LINE - size % LINE) != 0)
        return NULL;
    struct activity *a = memory;
    memset(a, 0, sizeof *a);
    pthread_mutex_init(&a->lock, NULL);
    atomic_init(&a->taken, true);
    a->next = atomic_load(&all);
    while (!atomic_compare_exchange_weak(&all, &a->next, a))
        ;
    return a;
}

static int64_t processor_time(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) != 0)
        return 0;
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

struct activity *activity_create(int id, const struct counters *counters)
{
    struct activity *a = take_free();
    if (a == NULL && (a = make()) == NULL)
        return NULL;
    int thread = id;
#ifdef __linux__
    thread = (int)syscall(SYS_gettid);
#endif
    a->measured = 0;
    a->used = processor_time();
    pthread_mutex_lock(&a->lock);
    a->busy = a->stuck = false;
    a->counters = counters;
    a->note = (struct activity_note){.id = id, .thread = thread, .started = time(NULL)};
    a->present = true;
    pthread_mutex_unlock(&a->lock);
    return a;
}

void activity_destroy(struct activity *a)
{
    if (a == NULL)
        return;
    pthread_mutex_lock(&a->lock);
    a->present = false;
    a->counters = NULL;
    pthread_mutex_unlock(&a->lock);
    atomic_store(&a->taken, false);
}

/* -- The worker -- */

static void copy(char *to, size_t size, const char *from)
{
    size_t len = from == NULL ? 0 : strnlen(from, size - 1);
    if (len > 0)
        memcpy(to, from, len);
    to[len] = '\0';
}

void activity_begin(struct activity *a, const struct activity_request *r)
{
    struct activity_note *n = &a->note;
    pthread_mutex_lock(&a->lock);
    a->busy = true;
    a->begun = r->begun;
    n->content_length = r->content_length;
    copy(n->method, sizeof n->method, r->method);
    copy(n->uri, sizeof n->uri, r->uri);
    copy(n->user, sizeof n->user, r->user);
    copy(n->script, sizeof n->script, r->script);
    pthread_mutex_unlock(&a->lock);
}

/* The part of a processor that the requests since the last look have used. Short ones are
 * taken together. < 0: it is too early to tell. */
static double processor_part(struct activity *a, int64_t duration)
{
    a->measured += duration > 0 ? duration : 0;
    if (a->measured < processor_period)
        return -1;
    int64_t now = processor_time();
    double part = (double)(now - a->used) / (double)a->measured;
    a->used = now;
    a->measured = 0;
    return part < 1 ? part : 1;
}

void activity_end(struct activity *a, int64_t ended, size_t memory)
{
    int64_t duration = ended - a->begun; /* nobody else writes it */
    double part = ended > 0 ? processor_part(a, duration) : -1;
    pthread_mutex_lock(&a->lock);
    a->busy = a->stuck = false;
    if (ended > 0) {
        a->note.requests++;
        a->note.duration = duration;
        a->note.memory = memory;
    }
    if (part >= 0)
        a->note.processor = part;
    pthread_mutex_unlock(&a->lock);
}

/* -- Readers -- */

void activity_mark_stuck(int id)
{
    for (struct activity *a = atomic_load(&all); a != NULL; a = a->next) {
        pthread_mutex_lock(&a->lock);
        if (a->present && a->busy && a->note.id == id)
            a->stuck = true;
        pthread_mutex_unlock(&a->lock);
    }
}

/* Whether the thread has a processor or wants one: "1234 (name) R 1 ...", see proc(5).
 * Where the system does not tell, a busy worker is taken to compute. */
static bool computes(int thread)
{
#ifdef __linux__
    char path[64], text[128];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", thread);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return true;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *name_end = strrchr(text, ')');
    return name_end == NULL || strncmp(name_end, ") R", 3) == 0;
#else
    (void)thread;
    return true;
#endif
}

/* As its worker counts them at this moment. */
static unsigned long counted_locked(const struct activity *a, enum counter which)
{
    return a->counters == NULL
               ? 0
               : atomic_load_explicit((atomic_ulong *)&a->counters->of[which],
                                      memory_order_relaxed);
}

/* false: it has no worker. */
static bool read_note(struct activity *a, struct activity_note *note)
{
    pthread_mutex_lock(&a->lock);
    bool present = a->present, busy = a->busy, stuck = a->stuck;
    int64_t begun = a->begun;
    *note = a->note;
    note->received = counted_locked(a, COUNTER_RECEIVED);
    note->sent = counted_locked(a, COUNTER_SENT);
    pthread_mutex_unlock(&a->lock);
    note->state = ACTIVITY_IDLE;
    if (!present || !busy)
        return present;
    note->duration = clock_nanoseconds() - begun;
    note->state = stuck                    ? ACTIVITY_STUCK
                  : computes(note->thread) ? ACTIVITY_COMPUTES
                                           : ACTIVITY_WAITS;
    return true;
}

static int by_id(const void *a, const void *b)
{
    const struct activity_note *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

struct activity_note *activity_read(int *count)
{
    int most = 0, n = 0;
    struct activity *first = atomic_load(&all);
    for (struct activity *a = first; a != NULL; a = a->next)
        most++;
    struct activity_note *notes = calloc((size_t)most + 1, sizeof *notes);
    if (notes != NULL)
        for (struct activity *a = first; a != NULL; a = a->next)
            n += read_note(a, &notes[n]);
    if (n > 0)
        qsort(notes, (size_t)n, sizeof *notes, by_id);
    *count = notes == NULL ? -1 : n;
    return notes;
}
