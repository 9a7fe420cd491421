/* Deadlines of threads that may hang.
 *
 * The watches are a list under `lock`, which the heartbeat walks. The deadline of a watch
 * is atomic and set by its thread. The signal handler reads only the watch of its own
 * thread. The thread changes a name under the lock. The handler may write one without it,
 * and sets `named` afterwards; that name stays until the thread goes on. */
#include "base/watch.h"

#include "base/clock.h"
#include "base/deadline.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define LATE_SIGNAL SIGVTALRM

/* ms; the heartbeat looks at least once a second. */
#define LOOK_MAX 2000

struct watch {
    struct watch *next;     /* lock */
    pthread_t thread;       /* immutable */
    enum watch_role role;   /* immutable */
    int id;                 /* immutable */
    uint32_t stopped_at;    /* the thread's; while its clock stands still */
    bool stopped;           /* the thread's */
    uint32_t paused;        /* the thread's */
    uint32_t began;         /* the thread's; of its last limit */
    atomic_bool timed;      /* there is a deadline; written by the thread */
    atomic_uint deadline;   /* on clock_ticks; written before `timed` */
    atomic_bool stuck;      /* set by the heartbeat */
    bool seen_late;         /* the heartbeat's: at its last look, */
    uint32_t seen_deadline; /* with this deadline; */
    uint32_t late_for;      /* ms since it first was, while the heartbeat was awake */
    atomic_bool reading;    /* written by the thread */
    atomic_bool named;      /* `name` is written */
    char name[WATCH_NAME];
    atomic_bool
        described; /* `request` is written, by the handler, until the thread goes on */
    struct log_request_copy request;
    bool slow_stopped;       /* the thread's; while its clock stands still */
    uint32_t slow_limit;     /* the thread's */
    atomic_bool slow_timed;  /* as `timed`, for: */
    atomic_uint slow_at;     /* when it is slow */
    atomic_int slow;         /* enum slow */
    struct watch_note *note; /* the thread's, until NOTED; then the heartbeat's, until
                                IDLE. NULL: none is needed yet */
};

enum slow { SLOW_IDLE, SLOW_ASKED, SLOW_NOTED };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct watch *watches; /* lock */
static void (*on_late)(void); /* immutable once there are threads */
static void (*on_slow)(void); /* the same */

static _Thread_local struct watch *own;

static bool runs_lua(const struct watch *w)
{
    return w->role == WATCH_WORKER || w->role == WATCH_CLOSER;
}

static bool is_overdue(const struct watch *w, uint32_t now)
{
    if (!atomic_load_explicit(&w->timed, memory_order_acquire))
        return false;
    unsigned deadline = atomic_load_explicit(&w->deadline, memory_order_relaxed);
    return deadline_is_over(deadline, now);
}

/* Whether it is to note that it is slow. */
static bool is_slow(const struct watch *w, uint32_t now)
{
    return atomic_load_explicit(&w->slow_timed, memory_order_acquire) &&
           atomic_load_explicit(&w->slow, memory_order_relaxed) != SLOW_NOTED &&
           deadline_is_over(atomic_load_explicit(&w->slow_at, memory_order_relaxed), now);
}

static void on_signal(int number)
{
    (void)number;
    if (own != NULL && is_slow(own, clock_ticks())) {
        atomic_store_explicit(&own->slow, SLOW_ASKED, memory_order_relaxed);
        on_slow();
    }
    if (own == NULL || !is_overdue(own, clock_ticks()))
        return;
    if (!atomic_load_explicit(&own->described, memory_order_relaxed))
        atomic_store_explicit(&own->described, log_copy_request(&own->request),
                              memory_order_release);
    on_late();
}

void watch_init(void (*late)(void), void (*slow)(void))
{
    /* No SA_RESTART: a system call in which the script waits must return. */
    struct sigaction action = {.sa_handler = on_signal};
    on_late = late;
    on_slow = slow;
    sigemptyset(&action.sa_mask);
    sigaction(LATE_SIGNAL, &action, NULL);
}

static void let_signal_through(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, LATE_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

bool watch_create(enum watch_role role, int id)
{
    struct watch *w = calloc(1, sizeof *w);
    if (w == NULL)
        return false;
    w->thread = pthread_self();
    w->role = role;
    w->id = id;
    own = w;
    if (runs_lua(w))
        let_signal_through();
    pthread_mutex_lock(&lock);
    w->next = watches;
    watches = w;
    pthread_mutex_unlock(&lock);
    return true;
}

void watch_destroy(void)
{
    struct watch *w = own;
    if (w == NULL)
        return;
    pthread_mutex_lock(&lock);
    struct watch **link = &watches;
    while (*link != w)
        link = &(*link)->next;
    *link = w->next;
    pthread_mutex_unlock(&lock);
    own = NULL;
    free(w->note);
    free(w);
}

/* -- The clock -- */

static void set_deadline(struct watch *w, uint32_t deadline)
{
    atomic_store_explicit(&w->deadline, deadline, memory_order_relaxed);
    atomic_store_explicit(&w->timed, true, memory_order_release);
}

void watch_begin(int64_t timeout)
{
    if (own == NULL || timeout <= 0)
        return;
    atomic_store_explicit(&own->named, false, memory_order_relaxed);
    atomic_store_explicit(&own->described, false, memory_order_relaxed);
    own->began = clock_ticks();
    set_deadline(own, deadline_after(own->began, timeout));
}

static void stop_clocks(struct watch *w)
{
    atomic_store_explicit(&w->timed, false, memory_order_release);
    atomic_store_explicit(&w->slow_timed, false, memory_order_release);
}

void watch_end(void)
{
    if (own == NULL)
        return;
    stop_clocks(own);
    if (atomic_load_explicit(&own->slow, memory_order_relaxed) == SLOW_ASKED)
        atomic_store_explicit(&own->slow, SLOW_IDLE, memory_order_relaxed);
}

static void set_slow_at(struct watch *w, uint32_t at)
{
    atomic_store_explicit(&w->slow_at, at, memory_order_relaxed);
    atomic_store_explicit(&w->slow_timed, true, memory_order_release);
}

/* While the last note is not collected, no other can be written. */
void watch_set_slow(int64_t limit, int64_t left)
{
    struct watch *w = own;
    if (w == NULL || left < 0)
        return;
    if (w->note == NULL && (w->note = calloc(1, sizeof *w->note)) == NULL)
        return;
    w->slow_limit = (uint32_t)limit;
    bool known = atomic_load_explicit(&w->timed, memory_order_relaxed);
    set_slow_at(w, deadline_after(known ? w->began : clock_ticks(), left));
}

void watch_pause_slow(void)
{
    struct watch *w = own;
    if (w == NULL)
        return;
    w->slow_stopped = atomic_load_explicit(&w->slow_timed, memory_order_relaxed);
    atomic_store_explicit(&w->slow_timed, false, memory_order_release);
    w->stopped_at = clock_ticks();
}

void watch_resume_slow(void)
{
    struct watch *w = own;
    if (w != NULL && w->slow_stopped)
        set_slow_at(w, atomic_load_explicit(&w->slow_at, memory_order_relaxed) +
                           (clock_ticks() - w->stopped_at));
}

int64_t watch_slow_left(void)
{
    struct watch *w = own;
    if (w == NULL || !atomic_load_explicit(&w->slow_timed, memory_order_relaxed))
        return -1;
    int32_t left = deadline_left(atomic_load(&w->slow_at), clock_ticks());
    return left > 0 ? left : 0;
}

struct watch_note *watch_slow_note(void)
{
    struct watch *w = own;
    return w != NULL && atomic_load(&w->slow) == SLOW_ASKED ? w->note : NULL;
}

void watch_slow_noted(void)
{
    struct watch *w = own;
    struct watch_note *note = w->note;
    uint32_t now = clock_ticks();
    note->id = w->id;
    note->serving = log_copy_request(&note->request);
    note->ran = w->slow_limit + (now - atomic_load(&w->slow_at));
    note->left = watch_time_left();
    atomic_store_explicit(&w->slow_timed, false, memory_order_relaxed);
    atomic_store_explicit(&w->slow, SLOW_NOTED, memory_order_release);
}

void watch_pause(void)
{
    struct watch *w = own;
    if (w == NULL)
        return;
    w->stopped = atomic_load_explicit(&w->timed, memory_order_relaxed);
    w->slow_stopped = atomic_load_explicit(&w->slow_timed, memory_order_relaxed);
    stop_clocks(w);
    w->stopped_at = clock_ticks();
}

void watch_resume(void)
{
    struct watch *w = own;
    if (w == NULL)
        return;
    uint32_t length = clock_ticks() - w->stopped_at;
    w->paused += length;
    if (w->stopped)
        set_deadline(w,
                     atomic_load_explicit(&w->deadline, memory_order_relaxed) + length);
    if (w->slow_stopped)
        set_slow_at(w, atomic_load_explicit(&w->slow_at, memory_order_relaxed) + length);
}

uint32_t watch_paused(void)
{
    return own == NULL ? 0 : own->paused;
}

int64_t watch_time_left(void)
{
    if (own == NULL || !atomic_load_explicit(&own->timed, memory_order_relaxed))
        return -1;
    unsigned deadline = atomic_load_explicit(&own->deadline, memory_order_relaxed);
    int32_t left = deadline_left(deadline, clock_ticks());
    return left > 0 ? left : 0;
}

/* -- Names -- */

static void copy_name(struct watch *w, const char *name)
{
    size_t len = strlen(name), skip = len < WATCH_NAME ? 0 : len - WATCH_NAME + 1;
    memcpy(w->name, name + skip, len - skip + 1);
    atomic_store_explicit(&w->named, true, memory_order_release);
}

void watch_set_name(const char *name, bool reading)
{
    struct watch *w = own;
    if (w == NULL)
        return;
    pthread_mutex_lock(&lock);
    atomic_store_explicit(&w->named, false, memory_order_relaxed);
    atomic_store_explicit(&w->reading, reading, memory_order_relaxed);
    if (name != NULL)
        copy_name(w, name);
    pthread_mutex_unlock(&lock);
}

/* Only the late thread itself can tell which script it runs: when another thread looks,
 * that memory may be gone. */
void watch_note_script(const char *name)
{
    if (own != NULL && !atomic_load_explicit(&own->named, memory_order_relaxed))
        copy_name(own, name);
}

/* -- The look -- */

bool watch_was_stuck(void)
{
    return own != NULL && atomic_load(&own->stuck);
}

void watch_forgive(void)
{
    if (own != NULL)
        atomic_store(&own->stuck, false);
}

/* Time in which the whole process stood still is no time for a late thread: it had none
 * to see its signal. So no look counts for more than LOOK_MAX. */
static void note_lateness(struct watch *w, uint32_t awake)
{
    uint32_t deadline = atomic_load_explicit(&w->deadline, memory_order_relaxed);
    if (w->seen_late && w->seen_deadline == deadline) {
        w->late_for += awake;
        return;
    }
    w->seen_late = true;
    w->seen_deadline = deadline;
    w->late_for = 0;
}

static bool is_to_be_reported(struct watch *w, int64_t watchdog)
{
    if (runs_lua(w) && (watchdog <= 0 || w->late_for < watchdog))
        return false;
    return !atomic_exchange(&w->stuck, true);
}

static struct watch_report report_of(const struct watch *w)
{
    struct watch_report report = {
        .role = w->role,
        .id = w->id,
        .reading = atomic_load_explicit(&w->reading, memory_order_relaxed)};
    if (atomic_load_explicit(&w->named, memory_order_acquire))
        memcpy(report.name, w->name, sizeof report.name);
    report.serving = atomic_load_explicit(&w->described, memory_order_acquire);
    if (report.serving)
        report.request = w->request;
    return report;
}

void watch_check(int64_t watchdog, void (*stuck)(const struct watch_report *report))
{
    enum { BATCH = 16 }; /* the rest at the next look */
    struct watch_report late[BATCH];
    int count = 0;
    static uint32_t last_look; /* the heartbeat's */
    uint32_t now = clock_ticks();
    uint32_t awake = now - last_look < LOOK_MAX ? now - last_look : LOOK_MAX;
    last_look = now;
    pthread_mutex_lock(&lock);
    for (struct watch *w = watches; w != NULL; w = w->next) {
        if (runs_lua(w) && is_slow(w, now) && !is_overdue(w, now))
            pthread_kill(w->thread, LATE_SIGNAL);
        if (!is_overdue(w, now)) {
            w->seen_late = false;
            continue;
        }
        note_lateness(w, awake);
        if (runs_lua(w)) /* the thread cannot end meanwhile: it would need the lock */
            pthread_kill(w->thread, LATE_SIGNAL);
        if (count < BATCH && is_to_be_reported(w, watchdog))
            late[count++] = report_of(w);
    }
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < count; i++)
        stuck(&late[i]);
}

void watch_collect(void (*write)(const struct watch_note *note))
{
    struct watch_note note;
    bool found;
    do {
        found = false;
        pthread_mutex_lock(&lock);
        for (struct watch *w = watches; w != NULL && !found; w = w->next) {
            if (atomic_load_explicit(&w->slow, memory_order_acquire) != SLOW_NOTED)
                continue;
            note = *w->note;
            found = true;
            atomic_store_explicit(&w->slow, SLOW_IDLE, memory_order_release);
        }
        pthread_mutex_unlock(&lock);
        if (found)
            write(&note);
    } while (found);
}
