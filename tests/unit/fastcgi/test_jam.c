/* Whether requests wait because every worker is busy. */
#include "fastcgi/jam.h"
#include "tests/unit/connection_fixture.h"

enum { SHORT = 30 /* ms in which nothing is to happen */ };

/* A request that is answered when `slow` is let go. */
static int ask_slow(struct server *s)
{
    struct message b = {0};
    int fd = must_dial(s);
    put_head(&b, 1, true, "slow", 0);
    send_all(fd, b.data, b.len);
    drop(&b);
    return fd;
}

static void let_go(struct server *s, int *fds, int count)
{
    struct response r = {0};
    atomic_store(&s->gate, true);
    for (int i = 0; i < count; i++) {
        read_response(fds[i], &r);
        assert_out(&r, "slow");
        close(fds[i]);
    }
    drop(&r.out);
}

static void start_with(struct server *s, int workers)
{
    s->config.worker_threads = workers;
    start(s);
    wait_until(jam_idle(s->set) == workers);
}

static void free_workers_are_counted(void **state)
{
    struct scene *t = *state;
    int fds[2];
    start_with(&t->s, 2);
    for (int i = 0; i < 2; i++) {
        fds[i] = ask_slow(&t->s);
        wait_until(atomic_load(&t->s.in_slow) == (unsigned)i + 1);
        wait_until(jam_idle(t->s.set) == 1 - i); /* the other may have had a look, too */
    }
    let_go(&t->s, fds, 2);
    wait_until(jam_idle(t->s.set) == 2);
}

static void a_free_worker_lets_the_governor_sleep(void **state)
{
    struct scene *t = *state;
    int fd;
    start_with(&t->s, 2);
    fd = ask_slow(&t->s);
    wait_until(atomic_load(&t->s.in_slow) == 1);
    /* The other may have woken up, too, and found nothing. */
    wait_until(!jam_await_busy(t->s.set, SHORT) && jam_idle(t->s.set) == 1);
    let_go(&t->s, &fd, 1);
}

static void *ask_soon(void *arg)
{
    int *fd = malloc(sizeof *fd);
    poll(NULL, 0, SHORT);
    *fd = ask_slow(arg);
    return fd;
}

static void the_last_one_to_become_busy_wakes_it(void **state)
{
    struct scene *t = *state;
    pthread_t thread;
    void *fd;
    start_with(&t->s, 1);
    pthread_create(&thread, NULL, ask_soon, &t->s);
    assert_true(jam_await_busy(t->s.set, -1));
    pthread_join(thread, &fd);
    let_go(&t->s, fd, 1);
    free(fd);
}

/* None is taken by a look: the worker finds both. */
static void a_request_that_waits_is_seen(void **state)
{
    struct scene *t = *state;
    int fds[2];
    start_with(&t->s, 1);
    fds[0] = ask_slow(&t->s);
    assert_true(jam_await_busy(t->s.set, PATIENCE));
    wait_until(atomic_load(&t->s.in_slow) == 1);
    assert_false(jam_await_request(t->s.set, SHORT));
    fds[1] = ask_slow(&t->s);
    for (int i = 0; i < 3; i++)
        assert_true(jam_await_request(t->s.set, PATIENCE));
    let_go(&t->s, fds, 2);
}

/* Whether they came by an accept or were deferred: a crowd that connects at once. */
static void a_mark_is_passed_when_all_before_it_are_taken(void **state)
{
    struct scene *t = *state;
    int fds[20];
    start_with(&t->s, 1);
    for (int i = 0; i < 20; i++)
        fds[i] = ask_slow(&t->s);
    wait_until(atomic_load(&t->s.in_slow) == 1);
    assert_true(jam_await_request(t->s.set, PATIENCE));
    jam_mark(t->s.set);
    for (int i = 0; i < 5; i++) {
        poll(NULL, 0, 3);
        assert_false(jam_is_passed(t->s.set));
    }
    let_go(&t->s, fds, 20);
    wait_until(jam_is_passed(t->s.set));
    wait_until(jam_idle(t->s.set) == 1);
}

/* A body that trickles in to who has the request, a peer that hangs up, one that is
 * silent: nobody waits. */
static void other_events_are_no_requests(void **state)
{
    struct scene *t = *state;
    int fd;
    start_with(&t->s, 1);
    int idle = must_dial(&t->s);
    ask(idle, true, "kept", &t->r);
    fd = ask_slow(&t->s);
    wait_until(atomic_load(&t->s.in_slow) == 1);
    send_all(fd, "\1\5\0\1\0\0\0\0", 8);
    close(idle);
    int silent = must_dial(&t->s);
    wait_until(
        (assert_false(jam_await_request(t->s.set, 5)), connections_count(t->s.set) == 2));
    int64_t until = now_ms() + SHORT;
    while (now_ms() < until)
        assert_false(jam_await_request(t->s.set, 5));
    assert_int_equal(connections_count(t->s.set), 2);
    let_go(&t->s, &fd, 1);
    ask(silent, true, "silent no more", &t->r);
    close(silent);
}

static void as_many_leave_as_are_dismissed(void **state)
{
    struct scene *t = *state;
    start_with(&t->s, 5);
    jam_dismiss(t->s.set, 3);
    wait_until(jam_idle(t->s.set) == 2);
    assert_int_equal(poll(NULL, 0, SHORT), 0);
    assert_int_equal(jam_idle(t->s.set), 2);
    int fd = must_dial(&t->s);
    ask(fd, true, "served", &t->r);
    close(fd);
}

static void a_dismissal_can_be_withdrawn(void **state)
{
    struct scene *t = *state;
    int fd;
    start_with(&t->s, 1);
    fd = ask_slow(&t->s);
    wait_until(atomic_load(&t->s.in_slow) == 1);
    jam_dismiss(t->s.set, 1);
    jam_dismiss(t->s.set, 0);
    let_go(&t->s, &fd, 1);
    wait_until(jam_idle(t->s.set) == 1);
}

/* The last clients are accepted before a stop is told of: a worker may have a look then.
 * Returns NULL if the stop has ended the sleep. */
static void *sleep_until_stop(void *arg)
{
    int64_t until = now_ms() + PATIENCE;
    while (jam_await_busy(arg, PATIENCE)) {
    }
    return now_ms() < until ? NULL : arg;
}

static void a_stop_ends_the_sleep(void **state)
{
    struct scene *t = *state;
    pthread_t thread;
    void *result;
    start_with(&t->s, 1);
    pthread_create(&thread, NULL, sleep_until_stop, t->s.set);
    poll(NULL, 0, SHORT);
    connections_stop(t->s.set);
    pthread_join(thread, &result);
    assert_null(result);
    assert_true(connections_are_stopping(t->s.set));
    assert_false(jam_await_request(t->s.set, -1));
    finish(&t->s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(free_workers_are_counted),
        TEST(a_free_worker_lets_the_governor_sleep),
        TEST(the_last_one_to_become_busy_wakes_it),
        TEST(a_request_that_waits_is_seen),
        TEST(a_mark_is_passed_when_all_before_it_are_taken),
        TEST(other_events_are_no_requests),
        TEST(as_many_leave_as_are_dismissed),
        TEST(a_dismissal_can_be_withdrawn),
        TEST(a_stop_ends_the_sleep),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
