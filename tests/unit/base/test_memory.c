/* Memory that was freed goes back to the system, whichever thread allocated it. */
#include "base/memory.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define BLOCKS  400000
#define THREADS 6 /* more than there are arenas */

struct filler {
    pthread_t thread;
    pthread_barrier_t *barrier;
    void **blocks;
    size_t bytes;
};

/* As memory_tick sees it, in KiB. */
static long resident(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%*u %lu", &pages), 1);
    fclose(f);
    return (long)pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Fills its arena and then stays there, as a worker does that waits. */
static void *fill(void *arg)
{
    struct filler *f = arg;
    struct memory_thread memory;
    memory_join(&memory);
    for (size_t i = 0; i < BLOCKS; i++) {
        f->blocks[i] = malloc(f->bytes);
        if (f->blocks[i] != NULL)
            memset(f->blocks[i], 1, f->bytes);
    }
    pthread_barrier_wait(f->barrier); /* full */
    pthread_barrier_wait(f->barrier); /* to end */
    memory_leave(&memory);
    return NULL;
}

static void free_blocks(struct filler *f)
{
    for (size_t i = 0; i < BLOCKS; i++)
        free(f->blocks[i]);
}

/* valgrind and the sanitizers bring allocators of their own, as do other C libraries. */
#if defined __GLIBC__ && !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
#define GIVES_BACK (getenv("LUAFCGID2_SLOWDOWN") == NULL)
#else
#define GIVES_BACK false
#endif

static void skip_where_the_allocator_is_another(void)
{
    if (!GIVES_BACK)
        skip();
}

/* Another thread frees what the fillers have allocated, as closers do. */
static void check_goes_back(int threads, size_t bytes)
{
    static void *blocks[THREADS][BLOCKS];
    struct filler fillers[THREADS];
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, (unsigned)threads + 1);
    memset(blocks, 0, sizeof blocks);
    long before = resident();
    for (int i = 0; i < threads; i++) {
        fillers[i] =
            (struct filler){.barrier = &barrier, .blocks = blocks[i], .bytes = bytes};
        assert_int_equal(pthread_create(&fillers[i].thread, NULL, fill, &fillers[i]), 0);
    }
    pthread_barrier_wait(&barrier);
    long full = resident();
    assert_true(full - before > (long)(BLOCKS * bytes / 1024));
    for (int i = 0; i < threads; i++)
        free_blocks(&fillers[i]);
    memory_give_back();
    long after = resident();
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < threads; i++)
        pthread_join(fillers[i].thread, NULL);
    pthread_barrier_destroy(&barrier);
    print_message("%ld KiB before, %ld KiB full, %ld KiB after\n", before, full, after);
    assert_true(after - before < 1024);
}

static void test_blocks_of_a_thread_that_waits_go_back(void **state)
{
    (void)state;
    skip_where_the_allocator_is_another();
    for (size_t bytes = 24; bytes <= 136; bytes += 56)
        check_goes_back(1, bytes);
}

static void test_blocks_of_more_threads_than_arenas_go_back(void **state)
{
    (void)state;
    skip_where_the_allocator_is_another();
    check_goes_back(THREADS, 40);
}

static void test_what_is_in_use_stays_as_it_is(void **state)
{
    (void)state;
    struct memory_thread memory;
    memory_join(&memory);
    unsigned char *kept = malloc(3000);
    assert_non_null(kept);
    memset(kept, 7, 3000);
    for (int i = 0; i < 100; i++)
        memory_give_back();
    for (size_t i = 0; i < 3000; i++)
        assert_int_equal(kept[i], 7);
    free(kept);
    memory_leave(&memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_of_a_thread_that_waits_go_back),
        cmocka_unit_test(test_blocks_of_more_threads_than_arenas_go_back),
        cmocka_unit_test(test_what_is_in_use_stays_as_it_is),
    };
    memory_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
