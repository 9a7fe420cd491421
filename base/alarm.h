/* Warnings of what happens again and again: said when it begins, with counts at most once
 * a minute while it lasts, and once when it is over.
 *
 * Any thread notes; one thread, the heartbeat, asks whether there is something to say.
 * Nothing blocks. Zeroed memory is one of which nothing was noted. */
#ifndef LUAFCGID2_BASE_ALARM_H
#define LUAFCGID2_BASE_ALARM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define ALARM_PERIOD 60000 /* ms until more is said */
#ifndef ALARM_QUIET
#define ALARM_QUIET 10000 /* ms until it is over */
#endif

struct alarm {
    atomic_uint noted;      /* by any thread */
    unsigned count;         /* the rest is the asking thread's: not yet said */
    uint32_t last, said_at; /* on clock_ticks */
    bool ever_said, lasts;
};

enum alarm_news {
    ALARM_NOTHING,
    ALARM_SAY,  /* it has happened `count` times since the last word about it */
    ALARM_OVER, /* it has not happened for ALARM_QUIET; `count` times before that */
};

/* It has happened `count` times more. */
void alarm_note(struct alarm *a, unsigned count);

/* It lasts at `now`, though it was not noted again: it is not over before ALARM_QUIET. By
 * the thread that asks. */
void alarm_last(struct alarm *a, uint32_t now);

/* What is to be said at `now`, of clock_ticks. */
enum alarm_news alarm_ask(struct alarm *a, uint32_t now, unsigned *count);

#endif
