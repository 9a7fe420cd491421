/* The process's memory: what was freed goes back to the system.
 *
 * The C library keeps freed memory for whoever asks next, in the hope that it is soon. A
 * daemon that once had a large page would so be large for good. */
#ifndef LUAFCGID2_BASE_MEMORY_H
#define LUAFCGID2_BASE_MEMORY_H

#include "base/list.h"

/* A thread that allocates. */
struct memory_thread {
    struct link link;
    void *block; /* in the arena of the thread; NULL: there was no memory for it */
};

/* Once, before there are other threads. */
void memory_init(void);

/* By each thread that runs Lua, at its start and at its end: where it took its memory
 * from is given back, too. `t` stays where it is in between. */
void memory_join(struct memory_thread *t);
void memory_leave(struct memory_thread *t);

/* Gives back all that is free, now. Takes some milliseconds when it is much. Any thread.
 */
void memory_give_back(void);

/* Tells memory_tick that something large, or long-lived, was freed. Any thread. */
void memory_note_freed(void);

/* Heartbeat, about once a second: gives back what has piled up, once it is no longer in
 * use for one request after the other. `requests` counts those served. */
void memory_tick(unsigned requests);

#endif
