/* What each worker is doing.
 *
 * Workers say it, readers copy it. An activity is never freed, so that readers need no
 * lock to walk along the list of them; one whose worker has ended is used again. `lock`
 * of each, a leaf, guards who its worker is. What the worker says of its requests is
 * atomic, and written by the worker alone, which takes no lock for it: `turn` is odd
 * while it writes, and a reader that has not found the same even turn before and after
 * reads again. Each write releases, and each read acquires, the turn before it. While
 * there are readers the worker writes under the lock, so that they come to an end. */
#include "daemon/activity.h"

#include "base/clock.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h>
#endif

#define LINE 64 /* bytes of a cache line */

enum {
    WORD = sizeof(unsigned long),
    QUICK_TRIES = 10, /* of a reader; a worker may be held up while it writes, */
    TRIES = 1000,     /* so some more, each after a millisecond */
};

static const double processor_parts = 1000000; /* in which a processor's use is told */

/* ns of requests between two looks at the clock of the processor's time, which costs as
 * much as all the rest of this file. */
static const int64_t processor_period = 1000000;

/* Atomic without a lock on every machine is a word, and no more. */
typedef atomic_ulong number[sizeof(int64_t) / WORD];

/* What a worker says. A text fills as many words as it needs, with a NUL. */
struct saying {
    atomic_uint turn;
    atomic_bool busy;
    atomic_uint processor;
    atomic_ulong requests;
    atomic_size_t memory;
    number begun, duration; /* of clock_nanoseconds */
    number content_length;
    atomic_ulong method[ACTIVITY_METHOD / WORD], uri[ACTIVITY_TEXT / WORD];
    atomic_ulong user[ACTIVITY_TEXT / WORD], script[ACTIVITY_TEXT / WORD];
};

struct activity {
    struct saying says;
    struct activity *next; /* immutable */
    atomic_bool taken;     /* by a worker */
    atomic_uint readers;   /* that read at this moment */
    atomic_uint stuck; /* the turn of the request in which it is; set by the heartbeat */
    int64_t begun;     /* the worker's; of its request */
    pthread_mutex_t lock;
    bool present;                    /* lock: its worker has not ended */
    int id, thread;                  /* lock */
    time_t started;                  /* lock */
    const struct counters *counters; /* lock; while `present` */
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
    atomic_init(&a->stuck, 1); /* no turn of a request */
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

/* -- The worker: what it says -- */

#define SAY(to, value) atomic_store_explicit(to, value, memory_order_release)

static unsigned turn_of(const struct saying *s)
{
    return atomic_load_explicit((atomic_uint *)&s->turn, memory_order_relaxed);
}

/* Returns whether the lock is held. */
static inline bool begin_saying(struct activity *a)
{
    bool locked = atomic_load_explicit(&a->readers, memory_order_relaxed) > 0;
    if (locked)
        pthread_mutex_lock(&a->lock);
    atomic_store_explicit(&a->says.turn, turn_of(&a->says) + 1, memory_order_relaxed);
    return locked;
}

static inline void end_saying(struct activity *a, bool locked)
{
    SAY(&a->says.turn, turn_of(&a->says) + 1);
    if (locked)
        pthread_mutex_unlock(&a->lock);
}

static inline void say_number(number to, int64_t n)
{
    unsigned long words[sizeof n / WORD];
    memcpy(words, &n, sizeof n);
    for (size_t i = 0; i < sizeof n / WORD; i++)
        SAY(&to[i], words[i]);
}

/* The last word has a NUL, as `size` has room for one. It is there once for all texts: a
 * request runs through more instructions than the processor has at hand. */
__attribute__((noinline)) static void say_text(atomic_ulong *to, size_t size,
                                               struct bytes text)
{
    size_t len = text.len < size ? text.len : size - 1;
    const char *at = text.data, *end = text.data + len;
    unsigned long word;
    for (; end - at >= WORD; at += WORD) {
        memcpy(&word, at, WORD);
        SAY(to++, word);
    }
    word = 0;
    if (at < end)
        memcpy(&word, at, (size_t)(end - at));
    SAY(to, word);
}

static void say_request(struct saying *s, const struct activity_request *r)
{
    say_number(s->begun, r->begun);
    say_number(s->content_length, r->content_length);
    say_text(s->method, sizeof s->method, r->method);
    say_text(s->uri, sizeof s->uri, r->uri);
    say_text(s->user, sizeof s->user, r->user);
    say_text(s->script, sizeof s->script, r->script);
}

static void say_nothing(struct activity *a)
{
    struct saying *s = &a->says;
    bool locked = begin_saying(a);
    SAY(&s->busy, false);
    SAY(&s->processor, 0);
    SAY(&s->requests, 0);
    SAY(&s->memory, 0);
    say_number(s->duration, 0);
    say_request(s, &(struct activity_request){.begun = 0});
    end_saying(a, locked);
}

void activity_begin(struct activity *a, const struct activity_request *r)
{
    struct saying *s = &a->says;
    a->begun = r->begun;
    bool locked = begin_saying(a);
    SAY(&s->busy, true);
    say_request(s, r);
    end_saying(a, locked);
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
    struct saying *s = &a->says;
    int64_t duration = ended - a->begun;
    double part = ended > 0 ? processor_part(a, duration) : -1;
    bool locked = begin_saying(a);
    SAY(&s->busy, false);
    if (ended > 0) {
        SAY(&s->requests, atomic_load_explicit(&s->requests, memory_order_relaxed) + 1);
        say_number(s->duration, duration);
        SAY(&s->memory, memory);
    }
    if (part >= 0)
        SAY(&s->processor, (unsigned)(part * processor_parts));
    end_saying(a, locked);
}

/* -- The worker: who it is -- */

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
    say_nothing(a);
    pthread_mutex_lock(&a->lock);
    a->counters = counters;
    a->id = id;
    a->thread = thread;
    a->started = time(NULL);
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

/* -- Readers -- */

/* Of the request that the worker has now: with the next turn it is not stuck any more. */
void activity_mark_stuck(int id)
{
    for (struct activity *a = atomic_load(&all); a != NULL; a = a->next) {
        pthread_mutex_lock(&a->lock);
        if (a->present && a->id == id)
            atomic_store(&a->stuck, atomic_load(&a->says.turn));
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

#define HEAR(from) atomic_load_explicit(from, memory_order_acquire)

static void hear_words(void *to, atomic_ulong *from, size_t size)
{
    for (size_t i = 0; i < size; i += WORD) {
        unsigned long word = HEAR(from++);
        memcpy((char *)to + i, &word, WORD);
    }
}

/* One try. `*begun` is 0 of an idle worker. Returns the turn in which all of it was said;
 * odd: there is none. */
static unsigned hear(struct saying *s, struct activity_note *note, int64_t *begun)
{
    unsigned turn = HEAR(&s->turn);
    bool busy = HEAR(&s->busy);
    note->processor = (double)HEAR(&s->processor) / processor_parts;
    note->requests = HEAR(&s->requests);
    note->memory = HEAR(&s->memory);
    hear_words(begun, s->begun, sizeof *begun);
    hear_words(&note->duration, s->duration, sizeof note->duration);
    hear_words(&note->content_length, s->content_length, sizeof note->content_length);
    hear_words(note->method, s->method, sizeof note->method);
    hear_words(note->uri, s->uri, sizeof note->uri);
    hear_words(note->user, s->user, sizeof note->user);
    hear_words(note->script, s->script, sizeof note->script);
    *begun = busy ? *begun : 0;
    return turn_of(s) == turn ? turn : turn | 1;
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
static bool read_worker(struct activity *a, struct activity_note *note)
{
    pthread_mutex_lock(&a->lock);
    bool present = a->present;
    note->id = a->id;
    note->thread = a->thread;
    note->started = a->started;
    note->received = counted_locked(a, COUNTER_RECEIVED);
    note->sent = counted_locked(a, COUNTER_SENT);
    pthread_mutex_unlock(&a->lock);
    return present;
}

/* Until all is of one moment. A worker that saw no reader may write at the first try; one
 * that the system holds up while it writes is not waited for without end. */
static unsigned hear_whole(struct activity *a, struct activity_note *note, int64_t *begun)
{
    unsigned turn;
    atomic_fetch_add(&a->readers, 1);
    for (int i = 0; i < TRIES; i++) {
        pthread_mutex_lock(&a->lock);
        turn = hear(&a->says, note, begun);
        pthread_mutex_unlock(&a->lock);
        if (turn % 2 == 0)
            break;
        if (i < QUICK_TRIES)
            sched_yield();
        else
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    atomic_fetch_sub(&a->readers, 1);
    return turn;
}

static bool read_note(struct activity *a, struct activity_note *note)
{
    int64_t begun;
    unsigned turn = hear_whole(a, note, &begun);
    note->state = ACTIVITY_IDLE;
    if (!read_worker(a, note))
        return false;
    if (begun == 0)
        return true;
    note->duration = clock_nanoseconds() - begun;
    note->state = atomic_load(&a->stuck) == turn ? ACTIVITY_STUCK
                  : computes(note->thread)       ? ACTIVITY_COMPUTES
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
