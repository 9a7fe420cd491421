/* Giving memory back to the system. memory_tick runs on the heartbeat alone, the rest on
 * any thread. `lock` guards the list of threads and their blocks.
 *
 * A block of MMAP_BYTES and more is the system's own and goes back when it is freed. Left
 * to itself the C library raises that bound with each one that is freed, to 32 MiB, and
 * the holes that such blocks leave stay. Smaller ones are worth keeping while requests
 * come one after the other: to have their pages made anew costs more than filling them.
 *
 * Threads take their memory from several arenas. malloc_trim gives back the holes in all
 * of them, but the free end of the first one only. The end of another shrinks when a
 * large block of that arena is freed, and no other thread can allocate one there. But
 * realloc keeps a block in its arena, whichever thread calls it. So each thread leaves a
 * small block, which memory_give_back makes large and small again.
 */
#include "base/memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#define MMAP_BYTES (4 * 1024 * 1024)
#define TRIM_BYTES                                                                       \
    (2 * 1024 * 1024) /* free at the end of an arena, before it shrinks                  \
                       */
#define SMALL_BYTES 16
#define LARGE_BYTES                                                                      \
    (TRIM_BYTES + 256 * 1024)     /* at an arena's end it exceeds TRIM_BYTES */
#define PILED_BYTES (1024 * 1024) /* so much more is worth a look */
#define BUSY_LOOKS  10            /* looks between two attempts while requests come */

void memory_init(void)
{
#ifdef __GLIBC__
    mallopt(M_ARENA_MAX, 4); /* more would not be given back to the system */
    mallopt(M_MMAP_THRESHOLD, MMAP_BYTES);
    mallopt(M_TRIM_THRESHOLD, TRIM_BYTES);
#endif
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct link threads = {&threads, &threads}; /* lock */
static atomic_bool freed;

void memory_join(struct memory_thread *t)
{
    t->block = malloc(SMALL_BYTES);
    pthread_mutex_lock(&lock);
    list_append(&threads, &t->link);
    pthread_mutex_unlock(&lock);
}

void memory_leave(struct memory_thread *t)
{
    pthread_mutex_lock(&lock);
    list_remove(&t->link);
    pthread_mutex_unlock(&lock);
    free(t->block);
}

#ifdef __GLIBC__
static void resize(struct memory_thread *t, size_t bytes)
{
    void *block = t->block == NULL ? NULL : realloc(t->block, bytes);
    if (block != NULL)
        t->block = block;
}
#endif

/* malloc_trim comes first: it adds the smallest free blocks to the ends. */
void memory_give_back(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
    pthread_mutex_lock(&lock);
    for (struct link *l = threads.next; l != &threads; l = l->next) {
        struct memory_thread *t = CONTAINER(struct memory_thread, link, l);
        resize(t, LARGE_BYTES);
        resize(t, SMALL_BYTES);
    }
    pthread_mutex_unlock(&lock);
#endif
}

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

/* Only trying tells what is free from what is in use. So it tries when there is more
 * memory than after the last time, and when something was freed and there is more than
 * there was at the least. */
void memory_tick(unsigned requests)
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
