/* Giving memory back to the system. memory_give_back runs on any thread, the C library
 * locks what it must; the rest on the heartbeat's alone.
 *
 * A block of MMAP_BYTES and more is the system's own and goes back when it is freed. Left
 * to itself the C library raises that bound with each one that is freed, to 32 MiB, and
 * the holes that such blocks leave stay. Smaller ones are worth keeping while requests
 * come one after the other: to have their pages made anew costs more than filling them.
 */
#include "base/memory.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#define MMAP_BYTES  (4 * 1024 * 1024)
#define TRIM_BYTES  (2 * 1024 * 1024) /* free at the end of a heap, before it shrinks */
#define PILED_BYTES (1024 * 1024) /* more than after the last time: worth looking at */
#define BUSY_LOOKS  10            /* between two times while requests come */

void memory_init(void)
{
#ifdef __GLIBC__
    mallopt(M_ARENA_MAX, 4); /* more would not be given back to the system */
    mallopt(M_MMAP_THRESHOLD, MMAP_BYTES);
    mallopt(M_TRIM_THRESHOLD, TRIM_BYTES);
#endif
}

void memory_give_back(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

static atomic_bool freed;

/* Bytes of the process in memory; 0: not known. */
static size_t resident(void)
{
    unsigned long pages = 0;
#ifdef __GLIBC__
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL)
        return 0;
    if (fscanf(f, "%*u %lu", &pages) != 1)
        pages = 0;
    fclose(f);
#endif
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

void memory_note_freed(void)
{
    atomic_store_explicit(&freed, true, memory_order_relaxed);
}

/* What is in use cannot be told from what is free but by trying. So it is tried when
 * there is more than after the last time, and when something was freed while there is
 * more than there once was. */
void memory_sweep(unsigned requests)
{
    static size_t least, after; /* resident: ever, and after the last time */
    static unsigned last_seen;  /* requests */
    static int looks;           /* since the last time */
    bool busy = requests != last_seen;
    last_seen = requests;
    looks += looks < BUSY_LOOKS;
    size_t now = resident();
    if (now < least || least == 0)
        least = now;
    if (now < after)
        after = now;
    bool piled =
        now >= after + PILED_BYTES || (now >= least + PILED_BYTES && atomic_load(&freed));
    if (!piled || (busy && looks < BUSY_LOOKS))
        return;
    atomic_store(&freed, false);
    memory_give_back();
    after = resident();
    looks = 0;
}
