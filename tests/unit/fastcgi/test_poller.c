/* The poller: edges, kicks, and waking all. It tests epoll or kqueue, whichever the build
 * has. */
#include "fastcgi/poller.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PATIENCE = 30000 /* ms until a test that waits has failed */, WAITERS = 6 };

struct fixture {
    struct poller *p;
    int pair[2]; /* [0] is watched, [1] the peer's */
};

static void watch(struct poller *p, int fd, uint32_t cookie)
{
    assert_true(poller_add(p, fd, cookie, false));
}

static int set_up(void **state)
{
    static struct fixture f;
    f.p = poller_create();
    assert_non_null(f.p);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, f.pair), 0);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    poller_destroy(f->p);
    close(f->pair[0]);
    if (f->pair[1] >= 0)
        close(f->pair[1]);
    return 0;
}

static void say(const struct fixture *f, const char *text, size_t len)
{
    assert_int_equal(send(f->pair[1], text, len, MSG_NOSIGNAL), len);
}

static void drain(int fd)
{
    char bytes[64];
    while (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ;
}

/* Waits for the next event, which must be this one. */
static struct poller_event expect(struct poller *p, uint32_t cookie)
{
    struct poller_event e;
    assert_int_equal(poller_wait(p, PATIENCE, &e), 1);
    assert_int_equal(e.cookie, cookie);
    return e;
}

static void expect_none(struct poller *p)
{
    struct poller_event e;
    assert_int_equal(poller_wait(p, 0, &e), 0);
}

static void nothing_to_tell_is_a_timeout(void **state)
{
    struct fixture *f = *state;
    struct poller_event e;
    expect_none(f->p);
    watch(f->p, f->pair[0], 7);
    expect_none(f->p);
    assert_int_equal(poller_wait(f->p, 5, &e), 0);
}

static void bytes_that_are_there_already_are_an_arrival(void **state)
{
    struct fixture *f = *state;
    say(f, "x", 1);
    watch(f->p, f->pair[0], 7);
    assert_false(expect(f->p, 7).hangup);
    expect_none(f->p);
}

static void each_arrival_is_told_once(void **state)
{
    struct fixture *f = *state;
    watch(f->p, f->pair[0], 7);
    for (int i = 0; i < 3; i++) {
        say(f, "x", 1);
        expect(f->p, 7);
        expect_none(f->p); /* though it was not read */
    }
    drain(f->pair[0]);
    expect_none(f->p);
}

static void the_cookie_is_the_descriptors(void **state)
{
    struct fixture *f = *state;
    int other[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, other), 0);
    watch(f->p, f->pair[0], 0);
    watch(f->p, other[0], UINT32_MAX - 2);
    assert_int_equal(send(other[1], "x", 1, 0), 1);
    expect(f->p, UINT32_MAX - 2);
    say(f, "x", 1);
    expect(f->p, 0);
    close(other[0]);
    close(other[1]);
}

static void the_peers_end_is_a_hangup_with_or_without_bytes(void **state)
{
    struct fixture *f = *state;
    int other[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, other), 0);
    watch(f->p, f->pair[0], 7);
    close(f->pair[1]);
    f->pair[1] = -1;
    assert_true(expect(f->p, 7).hangup);
    assert_int_equal(send(other[1], "last words", 10, 0), 10);
    shutdown(other[1], SHUT_WR);
    watch(f->p, other[0], 8);
    assert_true(expect(f->p, 8).hangup);
    close(other[0]);
    close(other[1]);
}

static void a_closed_descriptor_is_forgotten(void **state)
{
    struct fixture *f = *state;
    int other[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, other), 0);
    watch(f->p, other[0], 8);
    close(other[0]);
    assert_int_equal(send(other[1], "x", 1, MSG_NOSIGNAL), -1);
    close(other[1]);
    expect_none(f->p);
}

/* Fills the socket, makes the peer read, and expects the event that there is room. */
static void expect_room(struct fixture *f, uint32_t cookie)
{
    static const char text[4096];
    while (send(f->pair[0], text, sizeof text, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        ;
    struct poller_event e;
    while (poller_wait(f->p, 0, &e) == 1)
        ;
    drain(f->pair[1]);
    assert_false(expect(f->p, cookie).hangup);
}

static void room_to_write_is_told_to_who_asks_when_adding(void **state)
{
    struct fixture *f = *state;
    assert_true(poller_add(f->p, f->pair[0], 9, true));
    expect(f->p, 9); /* there is room already */
    expect_room(f, 9);
}

static void room_to_write_is_told_to_who_asks_later(void **state)
{
    struct fixture *f = *state;
    watch(f->p, f->pair[0], 9);
    expect_none(f->p);
    assert_true(poller_watch_output(f->p, f->pair[0], 9, true));
    expect(f->p, 9);
    expect_room(f, 9);
    say(f, "x", 1);
    expect(f->p, 9); /* input as before */
}

static void what_is_not_open_cannot_be_watched(void **state)
{
    struct fixture *f = *state;
    int fd = dup(f->pair[0]);
    close(fd);
    errno = 0;
    assert_false(poller_add(f->p, fd, 7, false));
    assert_int_equal(errno, EBADF);
}

static void a_kick_before_the_wait_is_not_lost(void **state)
{
    struct fixture *f = *state;
    poller_kick(f->p);
    expect(f->p, POLLER_KICKED);
    expect_none(f->p);
    for (int i = 0; i < 1000; i++)
        poller_kick(f->p);
    expect(f->p, POLLER_KICKED); /* many kicks may become one, but not none */
}

struct waiters {
    struct poller *p;
    atomic_int kicked, woken, others;
    pthread_t threads[WAITERS];
};

/* Waits until it is woken, for good. */
static void *wait_on(void *arg)
{
    struct waiters *w = arg;
    for (;;) {
        struct poller_event e;
        int n = poller_wait(w->p, PATIENCE, &e);
        if (n == 1 && e.cookie == POLLER_KICKED) {
            atomic_fetch_add(&w->kicked, 1);
            continue;
        }
        bool woken = n == 1 && e.cookie == POLLER_WOKEN;
        atomic_fetch_add(woken ? &w->woken : &w->others, 1);
        return NULL;
    }
}

static void kick_one_wake_all(void **state)
{
    struct fixture *f = *state;
    struct waiters w = {.p = f->p};
    struct poller_event e;
    for (int i = 0; i < WAITERS; i++)
        assert_int_equal(pthread_create(&w.threads[i], NULL, wait_on, &w), 0);
    for (int i = 1; i <= 20; i++) {
        poller_kick(f->p);
        for (int n = 0; atomic_load(&w.kicked) < i; n++) {
            assert_true(n < PATIENCE);
            usleep(1000);
        }
        assert_int_equal(atomic_load(&w.kicked), i); /* each wakes one */
    }
    poller_wake_all(f->p);
    for (int i = 0; i < WAITERS; i++)
        pthread_join(w.threads[i], NULL);
    assert_int_equal(atomic_load(&w.woken), WAITERS);
    assert_int_equal(atomic_load(&w.others), 0);
    for (int i = 0; i < 3; i++) /* later waits return, too */
        assert_int_equal(poller_wait(f->p, PATIENCE, &e), 1);
}

/* Each event goes to one waiter: none is lost, and none comes twice. */
static void many_descriptors_and_waiters(void **state)
{
    enum { MANY = 200 };
    struct fixture *f = *state;
    int pairs[MANY][2];
    bool told[MANY] = {false};
    for (uint32_t i = 0; i < MANY; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i]), 0);
        watch(f->p, pairs[i][0], i);
        assert_int_equal(send(pairs[i][1], "x", 1, 0), 1);
    }
    for (int i = 0; i < MANY; i++) {
        struct poller_event e;
        assert_int_equal(poller_wait(f->p, PATIENCE, &e), 1);
        assert_true(e.cookie < MANY);
        assert_false(told[e.cookie]);
        told[e.cookie] = true;
    }
    expect_none(f->p);
    for (int i = 0; i < MANY; i++) {
        close(pairs[i][0]);
        close(pairs[i][1]);
    }
}

static void destroying_none_is_allowed(void **state)
{
    (void)state;
    poller_destroy(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void a_look_takes_nothing(void **state)
{
    struct fixture *f = *state;
    assert_false(poller_look(f->p, 0));
    watch(f->p, f->pair[0], 7);
    say(f, "x", 1);
    for (int i = 0; i < 3; i++)
        assert_true(poller_look(f->p, PATIENCE));
    expect(f->p, 7);
    assert_false(poller_look(f->p, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_to_tell_is_a_timeout),
        TEST(bytes_that_are_there_already_are_an_arrival),
        TEST(each_arrival_is_told_once),
        TEST(the_cookie_is_the_descriptors),
        TEST(the_peers_end_is_a_hangup_with_or_without_bytes),
        TEST(a_closed_descriptor_is_forgotten),
        TEST(room_to_write_is_told_to_who_asks_when_adding),
        TEST(room_to_write_is_told_to_who_asks_later),
        TEST(what_is_not_open_cannot_be_watched),
        TEST(a_kick_before_the_wait_is_not_lost),
        TEST(kick_one_wake_all),
        TEST(many_descriptors_and_waiters),
        TEST(a_look_takes_nothing),
        cmocka_unit_test(destroying_none_is_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
