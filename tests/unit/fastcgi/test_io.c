/* Waiting for a socket, and sending on it. */
#include "fastcgi/io.h"

#include "base/clock.h"
#include "base/watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PATIENCE = 30000 /* ms until a test that waits has failed */ };

static int pair[2]; /* [0] is ours, [1] the peer's */

static int set_up(void **state)
{
    (void)state;
    return socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
}

static int tear_down(void **state)
{
    (void)state;
    close(pair[0]);
    if (pair[1] >= 0)
        close(pair[1]);
    return 0;
}

static int64_t now_ms(void)
{
    return clock_nanoseconds() / 1000000;
}

static void a_wait_ends_with_what_it_waits_for(void **state)
{
    (void)state;
    assert_int_equal(io_wait(pair[0], POLLOUT, PATIENCE), IO_OK);
    assert_int_equal(send(pair[1], "x", 1, 0), 1);
    assert_int_equal(io_wait(pair[0], POLLIN, PATIENCE), IO_OK);
    assert_int_equal(io_wait(pair[0], POLLIN, -1), IO_OK);
    assert_int_equal(io_wait(pair[0], POLLIN, INT64_MAX), IO_OK);
}

static void a_wait_ends_after_its_time(void **state)
{
    (void)state;
    int64_t began = now_ms();
    assert_int_equal(io_wait(pair[0], POLLIN, 20), IO_TIMEOUT);
    assert_true(now_ms() - began >= 19);
    assert_int_equal(io_wait(pair[0], POLLIN, 0), IO_TIMEOUT);
}

static void the_end_of_the_peer_is_an_event(void **state)
{
    (void)state;
    close(pair[1]);
    pair[1] = -1;
    assert_int_equal(io_wait(pair[0], POLLIN, PATIENCE), IO_OK);
}

static void on_signal(int unused)
{
    (void)unused;
}

static atomic_bool over;

/* A signal every millisecond. */
static void *pester(void *thread)
{
    while (!atomic_load(&over)) {
        pthread_kill(*(pthread_t *)thread, SIGUSR1);
        poll(NULL, 0, 1);
    }
    return NULL;
}

static void signals_do_not_make_a_wait_longer(void **state)
{
    (void)state;
    struct sigaction action = {.sa_handler = on_signal};
    pthread_t self = pthread_self(), other;
    sigaction(SIGUSR1, &action, NULL);
    atomic_store(&over, false);
    assert_int_equal(pthread_create(&other, NULL, pester, &self), 0);
    int64_t began = now_ms();
    assert_int_equal(io_wait(pair[0], POLLIN, 50), IO_TIMEOUT);
    int64_t took = now_ms() - began;
    atomic_store(&over, true);
    pthread_join(other, NULL);
    assert_in_range(took, 49, PATIENCE);
}

static void the_clock_of_the_request_stands_still_meanwhile(void **state)
{
    (void)state;
    assert_true(watch_create(WATCH_WORKER, 1));
    watch_begin(PATIENCE);
    uint32_t before = watch_paused();
    assert_int_equal(io_wait(pair[0], POLLIN, 50), IO_TIMEOUT);
    assert_in_range(watch_paused() - before, 30, PATIENCE);
    watch_end();
    watch_destroy();
}

static void sending_waits_for_nobody(void **state)
{
    (void)state;
    static const char bytes[65536];
    ssize_t n;
    while ((n = io_send(pair[0], bytes, sizeof bytes)) > 0)
        ;
    assert_int_equal(n, -1);
    assert_true(errno == EAGAIN || errno == EWOULDBLOCK);
}

static void sending_to_nobody_is_an_error_and_no_signal(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_DFL);
    close(pair[1]);
    pair[1] = -1;
    assert_int_equal(io_send(pair[0], "x", 1), -1);
    assert_int_equal(errno, EPIPE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_wait_ends_with_what_it_waits_for),
        TEST(a_wait_ends_after_its_time),
        TEST(the_end_of_the_peer_is_an_event),
        TEST(signals_do_not_make_a_wait_longer),
        TEST(the_clock_of_the_request_stands_still_meanwhile),
        TEST(sending_waits_for_nobody),
        TEST(sending_to_nobody_is_an_error_and_no_signal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
