/* Memory that is read through a descriptor: a file in memory, and a socket pair on
 * systems without such files. The test pretends to be one. */
#include "fastcgi/feed.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SIZE = 16 * FEED_PAGE, MAX = 20000 };

static bool without_files;

/* Takes the place of the C library's. */
int memfd_create(const char *name, unsigned flags)
{
    if (without_files) {
        errno = ENOSYS;
        return -1;
    }
    return (int)syscall(SYS_memfd_create, name, flags);
}

/* Makes a sanitizer's allocator return NULL instead of ending the program. */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);

const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

const char *__tsan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static struct feed feed;

static int set_up(void **state)
{
    (void)state;
    without_files = false;
    assert_true(feed_open(&feed, SIZE, MAX));
    return 0;
}

static int set_up_pair(void **state)
{
    (void)state;
    without_files = true;
    assert_true(feed_open(&feed, SIZE, MAX));
    assert_false(feed.mapped);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    feed_close(&feed);
    return 0;
}

static void fill(void)
{
    for (size_t i = 0; i < SIZE; i++)
        feed.data[i] = (uint8_t)(i * 31 + i / 256);
}

/* Reads data[offset, offset + len) in reads of `step` bytes. */
static void assert_offered(size_t offset, size_t len, size_t step)
{
    static uint8_t got[SIZE];
    size_t at = 0;
    assert_true(feed_offer(&feed, offset, len));
    while (at < len) {
        ssize_t n = read(feed.read_end, got + at, step < len - at ? step : len - at);
        assert_true(n > 0);
        at += (size_t)n;
    }
    assert_memory_equal(got, feed.data + offset, len);
}

static void the_memory_is_there_and_zeroed(void **state)
{
    (void)state;
    assert_int_equal(feed.size, SIZE);
    assert_true(feed.read_end >= 0);
    assert_true(fcntl(feed.read_end, F_GETFD) & FD_CLOEXEC);
    for (size_t i = 0; i < SIZE; i++)
        assert_int_equal(feed.data[i], 0);
    fill(); /* all of it may be written */
}

static void reads_return_the_bytes_at_the_offset(void **state)
{
    (void)state;
    static const size_t offsets[] = {0, 1, 8, FEED_PAGE - 1, FEED_PAGE, SIZE - MAX};
    static const size_t lengths[] = {1, 7, 8, 4095, 4096, 4097, MAX};
    fill();
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++)
        for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++)
            assert_offered(offsets[i], lengths[k], lengths[k]);
}

/* Reads as libfcgi reads a head: the header of a record, then its content. */
static void torn_reads_return_the_same(void **state)
{
    (void)state;
    static const size_t steps[] = {1, 3, 8, 1000};
    fill();
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        assert_offered(17, i == 0 ? 500 : MAX, steps[i]);
}

static void what_is_written_between_two_offers_is_seen(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        memset(feed.data, 'a' + round % 26, 3000);
        assert_offered(0, 3000, 3000);
    }
}

static void the_bytes_before_the_offset_are_not_read(void **state)
{
    (void)state;
    fill();
    memcpy(feed.data, "before", 6);
    memcpy(feed.data + 6, "after", 5);
    char got[5];
    assert_true(feed_offer(&feed, 6, 5));
    assert_int_equal(read(feed.read_end, got, 5), 5);
    assert_memory_equal(got, "after", 5);
}

/* libfcgi may stop in the middle of a head that is broken. In a file the next offer
 * begins at its own place all the same. */
static void an_offer_that_was_not_read_is_forgotten(void **state)
{
    (void)state;
    char got[4];
    memcpy(feed.data, "oldnew!!", 8);
    assert_true(feed_offer(&feed, 0, 3));
    assert_int_equal(read(feed.read_end, got, 1), 1);
    assert_true(feed_offer(&feed, 3, 4));
    assert_int_equal(read(feed.read_end, got, 4), 4);
    assert_memory_equal(got, "new!", 4);
}

static void more_than_the_pair_takes_is_an_error_and_never_blocks(void **state)
{
    (void)state;
    bool full = false;
    for (int i = 0; i < 1000000 && !full; i++)
        full = !feed_offer(&feed, 0, MAX);
    assert_true(full);
    assert_true(errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS);
}

static void a_pair_that_could_not_take_a_head_is_refused_at_once(void **state)
{
    (void)state;
    struct feed f;
    without_files = true;
    assert_false(feed_open(&f, (size_t)64 << 20, (size_t)64 << 20));
    assert_int_equal(errno, EMSGSIZE);
    assert_int_equal(f.read_end, -1);
    assert_int_equal(f.write_end, -1);
    assert_null(f.data);
}

static void memory_that_cannot_be_is_an_error(void **state)
{
    (void)state;
    struct feed f;
    for (int pair = 0; pair < 2; pair++) {
        without_files = pair;
        assert_false(feed_open(&f, SIZE_MAX / 2, MAX));
        assert_true(errno != 0);
        assert_int_equal(f.read_end, -1);
        feed_close(&f);
    }
}

static void a_closed_feed_offers_nothing(void **state)
{
    (void)state;
    int fd = feed.read_end;
    feed_close(&feed);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    errno = 0;
    assert_false(feed_offer(&feed, 0, 1));
    assert_int_equal(errno, EBADF);
    feed_close(&feed); /* once more does no harm */
}

#define BOTH(test)                                                                       \
    {#test, test, set_up, tear_down, NULL},                                              \
    {                                                                                    \
#test "_by_pair", test, set_up_pair, tear_down, NULL                             \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(the_memory_is_there_and_zeroed),
        BOTH(reads_return_the_bytes_at_the_offset),
        BOTH(torn_reads_return_the_same),
        BOTH(what_is_written_between_two_offers_is_seen),
        BOTH(the_bytes_before_the_offset_are_not_read),
        BOTH(a_closed_feed_offers_nothing),
        cmocka_unit_test_setup_teardown(an_offer_that_was_not_read_is_forgotten, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            more_than_the_pair_takes_is_an_error_and_never_blocks, set_up_pair,
            tear_down),
        cmocka_unit_test(a_pair_that_could_not_take_a_head_is_refused_at_once),
        cmocka_unit_test(memory_that_cannot_be_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
