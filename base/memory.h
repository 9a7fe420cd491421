/* Gives freed memory back to the system.
 *
 * The C library keeps freed memory, because the program may soon ask for it again. So a
 * daemon that once served a large page would stay large for ever. */
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

/* Called by each thread that runs Lua, at its start and its end, so that the memory it
 * allocated can be given back, too. `t` must not move in between. */
void memory_join(struct memory_thread *t);
void memory_leave(struct memory_thread *t);

/* Gives back all free memory now, which may take some milliseconds. Any thread. */
void memory_give_back(void);

/* Tells memory_tick that something large or long-lived was freed. Any thread. */
void memory_note_freed(void);

/* Heartbeat, about once a second: gives back free memory that has piled up and that
 * requests do not use one after the other. `requests` counts the requests served. */
void memory_tick(unsigned requests);

#endif
