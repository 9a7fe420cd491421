/* Deadlines of threads that may hang: in a script, in a finalizer, or at a device.
 *
 * Each such thread has a watch, which says what it is doing. The heartbeat looks at all
 * of them. It sends a signal to a thread that is late with a script, and reports one that
 * stays late. Nothing here waits for any of them. */
#ifndef LUAFCGID2_BASE_WATCH_H
#define LUAFCGID2_BASE_WATCH_H

#include "base/log.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first two run Lua. The others only wait for devices. They get no signal, which
 * could break off what they do, and are reported as soon as they are late. */
enum watch_role { WATCH_WORKER, WATCH_CLOSER, WATCH_SWEEPER, WATCH_SAVER };

#define WATCH_NAME 256 /* bytes of a name; a longer one is cut at the front */

struct watch_report {
    enum watch_role role;
    int id;                /* which thread of its role */
    bool reading;          /* it works on a file, not in a script */
    char name[WATCH_NAME]; /* of the script or file; "" when that is not known */
    bool serving;          /* `request` is what it serves */
    struct log_request_copy request;
};

/* Process-wide, once, before any thread: `late` is called in a thread that runs Lua and
 * is late, by a signal handler; `slow` in one that is slow, at each look until it has
 * written its note. */
void watch_init(void (*late)(void), void (*slow)(void));

/* What a slow thread notes of itself. */
struct watch_note {
    int id;                /* of the worker */
    char name[WATCH_NAME]; /* of the script */
    bool serving;          /* `request` is what it serves */
    struct log_request_copy request;
    uint32_t ran;     /* ms of its time */
    int64_t left;     /* ms that it still has; < 0: no limit */
    size_t used, max; /* bytes of memory; 0: no limit */
    bool in_c;        /* it is in a function of C that has not returned for a while */
    size_t len;       /* of: */
    char trace[4096]; /* its traceback, lines */
};

/* -- The calling thread's watch. Without one all but the first do nothing. -- */

/* false: out of memory. */
bool watch_create(enum watch_role role, int id);
void watch_destroy(void);

/* From now on the thread has `timeout` milliseconds (0: no limit), and no name. */
void watch_begin(int64_t timeout);
void watch_end(void);

/* Right behind watch_begin: the thread is slow in `left` milliseconds, of `limit` that it
 * had; it then notes so, once. < 0: never. watch_slow_left: what is left of them; -1: it
 * has noted it, or never will. */
void watch_set_slow(int64_t limit, int64_t left);
int64_t watch_slow_left(void);

/* Between these the thread is on its way to be slow no further, though its time goes on:
 * the script waits where it holds up its thread. */
void watch_pause_slow(void);
void watch_resume_slow(void);

/* For `slow`: the note to be filled, but for id, request, ran and left; NULL: none is
 * wanted. watch_slow_noted: it is. Async-signal-safe. */
struct watch_note *watch_slow_note(void);
void watch_slow_noted(void);

/* Between these two the clock stands still: the thread waits for a peer, and that wait
 * has a limit of its own. They do not nest. */
void watch_pause(void);
void watch_resume(void);

/* Milliseconds for which the clock has stood still since the thread began; they wrap
 * around. */
uint32_t watch_paused(void);

/* Milliseconds left, at least 0; -1 when there is no limit. */
int64_t watch_time_left(void);

/* What the thread works on, for the report: a script, or with `reading` a file. NULL:
 * nothing in particular. */
void watch_set_name(const char *name, bool reading);

/* Sets the name of the script that the thread runs, if it has no name yet.
 * Async-signal-safe. */
void watch_note_script(const char *name);

/* Whether watch_check has reported the thread. watch_forgive: the thread goes on, and may
 * be reported again. */
bool watch_was_stuck(void);
void watch_forgive(void);

/* -- The heartbeat -- */

/* Sends a signal to every thread that is late with Lua. Calls stuck() once for each of
 * these that has been late for `watchdog` ms or more since its first signal (0: never),
 * and for each other thread that is late. Time in which the calling thread did not run,
 * as when the process was stopped, hardly counts. */
void watch_check(int64_t watchdog, void (*stuck)(const struct watch_report *report));

/* Calls write() for each note that was written since the last call. */
void watch_collect(void (*write)(const struct watch_note *note));

#endif
