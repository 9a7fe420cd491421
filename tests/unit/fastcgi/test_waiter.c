/* Requests that wait without a thread: what ends a wait, in which order they go on, and
 * that nothing is missed. The tests are their own worker. */
#include "fastcgi/waiter.h"

#include "base/clock.h"
#include "fastcgi/jam.h"
#include "fastcgi/slot.h"
#include "tests/unit/connection_fixture.h"

enum { MANY = 500, SHORT = 30 /* ms in which nothing is to happen */ };

static struct connections *set;
static struct connection_reader *reader;

static int open_set(void **state)
{
    (void)state;
    struct config *c = config_load(NULL, stderr);
    assert_non_null(c);
    c->max_connections = 32;
    set = connections_create(-1, c);
    assert_non_null(set);
    reader = connection_reader_create(set);
    assert_non_null(reader);
    config_unref(c);
    return 0;
}

static int close_set(void **state)
{
    (void)state;
    connection_reader_destroy(reader);
    connections_destroy(set);
    return 0;
}

/* -- Steps -- */

static int64_t from_now(int ms)
{
    return clock_nanoseconds() + ms * INT64_C(1000000);
}

static struct waiter *make(void *owner)
{
    struct waiter *w = waiter_create(set, owner);
    assert_non_null(w);
    assert_true(waiter_claim(w, MANY));
    return w;
}

static struct waiter *begin_until(int64_t until, void *owner)
{
    struct waiter *w = make(owner);
    waiter_begin(w, NULL, &(struct awaited){.until = until});
    return w;
}

/* The next that is ready. */
static struct waiter *take(void)
{
    struct connection *c = connection_wait(set, reader);
    struct waiter *w = connection_take_ready(reader);
    assert_null(c);
    assert_non_null(w);
    return w;
}

static void assert_ends(struct waiter *w, unsigned came)
{
    assert_ptr_equal(take(), w);
    assert_int_equal(waiter_end(w), came);
}

static void assert_none_is_ready(void)
{
    assert_int_equal(poll(NULL, 0, SHORT), 0);
    assert_false(jam_await_request(set, 0));
    assert_false(waiters_are_ready(set));
}

/* A connection that a request has, and the client's end. */
static struct connection *get_request(int *client)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    assert_true(connections_adopt(set, ends[1]));
    send_request(ends[0], true, "x");
    struct connection *c = connection_wait(set, reader);
    assert_non_null(c);
    struct fcgi *fcgi = fcgi_create();
    char *params;
    size_t len;
    assert_true(stream_begin(c, fcgi, &params, &len));
    fcgi_release(fcgi);
    fcgi_destroy(fcgi);
    connection_lay_down(c);
    *client = ends[0];
    return c;
}

static void let_go(struct connection *c)
{
    connection_take_up(c, reader);
    connection_release(set, c, false);
}

/* -- Tests -- */

static void they_go_on_in_the_order_of_their_moments(void **state)
{
    (void)state;
    static const int order[] = {40, 10, 30, 0, 20, 50, -5};
    static const int sorted[] = {6, 3, 1, 4, 2, 0, 5};
    enum { N = sizeof order / sizeof *order };
    struct waiter *w[N];
    int64_t begun = clock_nanoseconds();
    for (int i = 0; i < N; i++)
        w[i] = make(NULL);
    for (int i = 0; i < N; i++)
        waiter_begin(w[i], NULL,
                     &(struct awaited){.until = begun + order[i] * INT64_C(1000000)});
    assert_int_equal(waiters_count(set), N);
    for (int i = 0; i < N; i++) {
        int n = sorted[i];
        assert_ends(w[n], 0);
        assert_true(clock_nanoseconds() - begun >= order[n] * INT64_C(1000000));
    }
    assert_int_equal(waiters_count(set), 0);
    for (int i = 0; i < N; i++)
        waiter_destroy(w[i]);
}

static void many_moments_end_each_once(void **state)
{
    (void)state;
    static struct waiter *w[MANY];
    unsigned seed = 1, got = 0;
    for (int i = 0; i < MANY; i++) {
        seed = seed * 1103515245 + 12345;
        w[i] = begin_until(from_now((int)(seed >> 16) % 60), &w[i]);
    }
    for (int i = 0; i < MANY; i++) {
        struct waiter **owner = waiter_owner(take());
        assert_non_null(*owner);
        assert_int_equal(waiter_end(*owner), 0);
        waiter_destroy(*owner);
        *owner = NULL;
        got++;
    }
    assert_int_equal(got, MANY);
    assert_int_equal(waiters_count(set), 0);
}

/* Waiters leave the middle of the heap. */
static void others_keep_their_order_when_some_are_woken(void **state)
{
    (void)state;
    enum { N = 40 };
    struct waiter *w[N];
    int64_t base = from_now(80), last = 0;
    for (int i = 0; i < N; i++) {
        w[i] = make(NULL);
        waiter_begin(w[i], NULL,
                     &(struct awaited){.what = AWAITED_WAKER,
                                       .until = base + (i * 17 % N) * INT64_C(1000000)});
    }
    for (int i = 0; i < N; i += 3)
        waker_wake(waiter_waker(w[i]));
    for (int i = 0; i < N; i += 3)
        assert_ends(w[i], AWAITED_WAKER);
    for (int i = 0; i < N - (N + 2) / 3; i++) {
        struct waiter *next = take();
        int n = 0;
        while (w[n] != next)
            n++;
        int64_t moment = n * 17 % N;
        assert_true(i == 0 || moment > last);
        last = moment;
        assert_int_equal(waiter_end(next), 0);
    }
    for (int i = 0; i < N; i++)
        waiter_destroy(w[i]);
}

static void a_waker_ends_the_wait(void **state)
{
    (void)state;
    struct waiter *w = make(NULL);
    waiter_begin(w, NULL,
                 &(struct awaited){.what = AWAITED_WAKER, .until = AWAITED_FOREVER});
    assert_none_is_ready();
    waker_wake(waiter_waker(w));
    waker_wake(waiter_waker(w));
    assert_ends(w, AWAITED_WAKER);
    waker_reset(waiter_waker(w));
    assert_true(waiter_claim(w, 1));
    waker_wake(waiter_waker(w)); /* before it waits */
    waiter_begin(w, NULL,
                 &(struct awaited){.what = AWAITED_WAKER, .until = AWAITED_FOREVER});
    assert_ends(w, AWAITED_WAKER);
    waiter_destroy(w);
}

static void a_waker_that_is_not_waited_for_wakes_nobody(void **state)
{
    (void)state;
    struct waiter *w = begin_until(AWAITED_FOREVER, NULL);
    waker_wake(waiter_waker(w));
    assert_none_is_ready();
    connections_stop(set);
    assert_ends(w, AWAITED_END);
    waiter_destroy(w);
}

static void wait_for_descriptor(struct waiter *w, int fd, unsigned what)
{
    assert_true(waiter_claim(w, MANY));
    waiter_begin(w, NULL,
                 &(struct awaited){.what = what, .fd = fd, .until = AWAITED_FOREVER});
}

static void a_descriptor_ends_the_wait(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    struct waiter *w = waiter_create(set, NULL);
    wait_for_descriptor(w, ends[0], AWAITED_WRITE);
    assert_ends(w, AWAITED_WRITE);
    wait_for_descriptor(w, ends[0], AWAITED_READ);
    assert_none_is_ready();
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_ends(w, AWAITED_READ);
    wait_for_descriptor(w, ends[0], AWAITED_READ | AWAITED_WRITE);
    assert_ends(w, AWAITED_READ | AWAITED_WRITE);
    close(ends[1]);
    wait_for_descriptor(w, ends[0], AWAITED_READ);
    assert_ends(w, AWAITED_READ);
    waiter_destroy(w);
    close(ends[0]);
}

static void what_never_waits_is_ready_at_once(void **state)
{
    (void)state;
    int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    struct waiter *w = waiter_create(set, NULL);
    wait_for_descriptor(w, fd, AWAITED_READ);
    assert_ends(w, AWAITED_READ);
    close(fd);
    wait_for_descriptor(w, fd, AWAITED_READ); /* nor does what is closed */
    assert_ends(w, AWAITED_READ);
    waiter_destroy(w);
}

static void several_wait_for_one_descriptor_that_is_closed_meanwhile(void **state)
{
    (void)state;
    int ends[2], other[2];
    struct waiter *w[3];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    for (int i = 0; i < 3; i++) {
        w[i] = waiter_create(set, NULL);
        wait_for_descriptor(w[i], ends[0], AWAITED_READ);
    }
    close(ends[0]);
    assert_int_equal(pipe2(other, O_CLOEXEC), 0); /* one gets the same number */
    assert_int_equal(write(other[1], "x", 1), 1);
    assert_none_is_ready();
    assert_int_equal(write(ends[1], "x", 1), 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(waiter_end(take()), AWAITED_READ);
    for (int i = 0; i < 3; i++)
        waiter_destroy(w[i]);
    close(ends[1]);
    close(other[0]);
    close(other[1]);
}

static void a_late_event_of_a_descriptor_finds_another_wait(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct waiter *w = make(NULL);
    waiter_begin(w, NULL,
                 &(struct awaited){.what = AWAITED_READ | AWAITED_WAKER,
                                   .fd = ends[0],
                                   .until = AWAITED_FOREVER});
    assert_int_equal(write(ends[1], "x", 1), 1); /* its event is not taken */
    waker_wake(waiter_waker(w));
    struct waiter *got = waiters_take(set);
    assert_ptr_equal(got, w);
    assert_true(waiter_claim(w, 1));
    waiter_begin(w, NULL, &(struct awaited){.until = from_now(50)});
    got = take();
    assert_int_equal(waiter_end(got), 0);
    waiter_destroy(w);
    close(ends[0]);
    close(ends[1]);
}

static void wait_with_peer(struct waiter *w, struct connection *c, unsigned what)
{
    assert_true(waiter_claim(w, MANY));
    waiter_begin(w, c, &(struct awaited){.what = what, .until = AWAITED_FOREVER});
}

static void a_peer_that_goes_ends_the_wait(void **state)
{
    (void)state;
    int client;
    struct connection *c = get_request(&client);
    struct waiter *w = waiter_create(set, NULL);
    wait_with_peer(w, c, 0);
    send_all(client, "\1\1\0\2\0\10\0\0", 8); /* of the next request */
    assert_none_is_ready();
    close(client);
    assert_ends(w, AWAITED_END);
    assert_true(connection_is_gone(c));
    wait_with_peer(w, c, 0); /* it is not told a second time, but known */
    assert_ends(w, AWAITED_END);
    let_go(c);
    waiter_destroy(w);
}

static void a_peer_that_went_before_the_wait_ends_it(void **state)
{
    (void)state;
    int client;
    struct connection *c = get_request(&client);
    struct waiter *w = waiter_create(set, NULL);
    close(client);
    assert_false(jam_await_request(set, SHORT)); /* takes the event */
    wait_with_peer(w, c, 0);
    assert_ends(w, AWAITED_END);
    let_go(c);
    waiter_destroy(w);
}

static const char an_abort[] = "\1\2\0\1\0\0\0"; /* with the NUL eight bytes */

/* The peer is told that the request is over, and the connection serves another. */
static void assert_aborted(struct connection *c, int client)
{
    struct response r = {0};
    connection_take_up(c, reader);
    assert_true(connection_is_gone(c));
    connection_release(set, c, false);
    read_response(client, &r);
    assert_true(r.ended && r.status == RECORD_REQUEST_COMPLETE && r.out.len == 0);
    drop(&r.out);
    send_request(client, true, "x");
    assert_ptr_equal(connection_wait(set, reader), c);
    connection_release(set, c, false);
    close(client);
}

static void an_abort_ends_the_wait(void **state)
{
    (void)state;
    for (size_t first = 0; first <= sizeof an_abort; first++) {
        int client;
        struct connection *c = get_request(&client);
        struct waiter *w = waiter_create(set, NULL);
        wait_with_peer(w, c, 0);
        send_all(client, an_abort, first);
        if (first < sizeof an_abort)
            assert_none_is_ready();
        send_all(client, an_abort + first, sizeof an_abort - first);
        assert_ends(w, AWAITED_END);
        wait_with_peer(w, c, 0); /* it is not told a second time, but known */
        assert_ends(w, AWAITED_END);
        assert_aborted(c, client);
        waiter_destroy(w);
    }
}

static void an_abort_that_came_before_the_wait_ends_it(void **state)
{
    (void)state;
    for (int event = 0; event < 2; event++) {
        int client;
        struct connection *c = get_request(&client);
        struct waiter *w = waiter_create(set, NULL);
        send_all(client, an_abort, sizeof an_abort);
        if (event)
            jam_await_request(set, 0); /* takes the event */
        wait_with_peer(w, c, 0);
        assert_ends(w, AWAITED_END);
        assert_aborted(c, client);
        waiter_destroy(w);
    }
}

static void an_abort_of_another_request_ends_no_wait(void **state)
{
    (void)state;
    int client;
    struct connection *c = get_request(&client);
    struct waiter *w = waiter_create(set, NULL);
    wait_with_peer(w, c, 0);
    send_all(client, "\1\2\0\2\0\0\0", 8);
    assert_none_is_ready();
    assert_false(connection_is_gone(c));
    send_all(client, an_abort, sizeof an_abort);
    assert_ends(w, AWAITED_END);
    assert_aborted(c, client);
    waiter_destroy(w);
}

/* What came before is news once. */
static void wait_for_input(struct waiter *w, struct connection *c)
{
    jam_await_request(set, 0);
    wait_with_peer(w, c, AWAITED_INPUT);
    if (waiters_are_ready(set)) {
        assert_ends(w, AWAITED_INPUT);
        wait_with_peer(w, c, AWAITED_INPUT);
    }
}

static void more_of_a_body_ends_a_wait_for_it(void **state)
{
    (void)state;
    int client;
    struct connection *c = get_request(&client);
    struct waiter *w = waiter_create(set, NULL);
    wait_for_input(w, c);
    assert_none_is_ready();
    send_all(client, "x", 1);
    assert_ends(w, AWAITED_INPUT);
    let_go(c);
    close(client);
    waiter_destroy(w);
}

static void room_ends_a_wait_for_it(void **state)
{
    (void)state;
    int client;
    char bytes[65536] = {0};
    struct connection *c = get_request(&client);
    struct waiter *w = waiter_create(set, NULL);
    struct iovec part = {bytes, sizeof bytes};
    connection_take_up(c, reader);
    while (stream_write(c, &part, 1, false, 0) == IO_OK)
        part = (struct iovec){bytes, sizeof bytes};
    connection_lay_down(c);
    wait_with_peer(w, c, AWAITED_OUTPUT);
    while (recv(client, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ;
    assert_ends(w, AWAITED_OUTPUT);
    let_go(c);
    close(client);
    waiter_destroy(w);
}

static void so_many_may_wait(void **state)
{
    (void)state;
    struct waiter *a = waiter_create(set, NULL), *b = waiter_create(set, NULL);
    assert_false(waiter_claim(a, 0));
    assert_true(waiter_claim(a, 1));
    assert_true(waiter_claim(a, 1));
    assert_false(waiter_claim(b, 1));
    assert_int_equal(waiters_count(set), 1);
    waiter_drop(a);
    waiter_drop(a);
    assert_true(waiter_claim(b, 1));
    waiter_begin(b, NULL, &(struct awaited){.until = 0});
    assert_false(waiter_claim(a, 1));
    assert_ends(b, 0);
    assert_true(waiter_claim(a, 1));
    waiter_drop(a);
    waiter_destroy(a);
    waiter_destroy(b);
    waiter_destroy(NULL);
}

static void ready_ones_and_new_requests_take_turns(void **state)
{
    (void)state;
    enum { EACH = 8 };
    struct waiter *w[EACH];
    int clients[EACH], turns = 0, last = -1;
    for (int i = 0; i < EACH; i++) {
        int ends[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
        assert_true(connections_adopt(set, ends[1]));
        send_request(clients[i] = ends[0], false, "x");
        w[i] = make(NULL);
        waker_wake(waiter_waker(w[i]));
        waiter_begin(w[i], NULL,
                     &(struct awaited){.what = AWAITED_WAKER, .until = AWAITED_FOREVER});
    }
    for (int i = 0; i < 2 * EACH; i++) {
        struct connection *c = connection_wait(set, reader);
        struct waiter *ready = connection_take_ready(reader);
        assert_true((c != NULL) != (ready != NULL));
        turns += last != (c != NULL);
        last = c != NULL;
        if (c != NULL)
            connection_release(set, c, false);
        else
            waiter_end(ready);
    }
    assert_in_range(turns, EACH, 2 * EACH);
    for (int i = 0; i < EACH; i++) {
        waiter_destroy(w[i]);
        close(clients[i]);
    }
}

static void the_governor_sees_who_is_ready(void **state)
{
    (void)state;
    struct waiter *w = begin_until(from_now(5), NULL);
    jam_mark(set);
    assert_true(jam_is_passed(set));
    assert_true(jam_await_request(set, PATIENCE));
    jam_mark(set);
    assert_false(jam_is_passed(set));
    assert_ends(w, 0);
    assert_true(jam_is_passed(set));
    waiter_destroy(w);
}

static void a_stop_ends_all_waits(void **state)
{
    (void)state;
    enum { N = 50 };
    struct waiter *w[N];
    for (int i = 0; i < N; i++)
        w[i] = begin_until(AWAITED_FOREVER, NULL);
    struct waiter *late = make(NULL);
    connections_stop(set);
    waiter_begin(late, NULL, &(struct awaited){.until = AWAITED_FOREVER});
    for (int i = 0; i < N + 1; i++)
        assert_int_equal(waiter_end(take()), AWAITED_END);
    assert_null(connection_wait(set, reader));
    assert_null(connection_take_ready(reader));
    for (int i = 0; i < N; i++)
        waiter_destroy(w[i]);
    waiter_destroy(late);
}

static void a_stop_leaves_a_peer_its_time(void **state)
{
    (void)state;
    int client;
    struct connection *c = get_request(&client);
    struct waiter *w = waiter_create(set, NULL);
    wait_for_input(w, c);
    connections_stop(set);
    assert_false(waiters_are_ready(set));
    send_all(client, "x", 1);
    assert_ends(w, AWAITED_INPUT);
    let_go(c);
    close(client);
    waiter_destroy(w);
    assert_null(connection_wait(set, reader));
}

/* -- Threads -- */

enum { WAKES = 3000, THREADS = 3 };

static struct waiter *shared;
static atomic_uint stock; /* what they wait for */

static void *wake_often(void *arg)
{
    for (int i = 0; i < WAKES; i++) {
        atomic_fetch_add(&stock, 1);
        waker_wake(waiter_waker(shared));
    }
    return arg;
}

static void no_wake_is_missed(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    unsigned got = 0;
    shared = waiter_create(set, NULL);
    atomic_store(&stock, 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, wake_often, NULL), 0);
    while (got < THREADS * WAKES) {
        waker_reset(waiter_waker(shared));
        unsigned n = atomic_exchange(&stock, 0);
        got += n;
        if (n > 0)
            continue;
        assert_true(waiter_claim(shared, 1));
        waiter_begin(
            shared, NULL,
            &(struct awaited){.what = AWAITED_WAKER, .until = from_now(PATIENCE)});
        assert_int_equal(waiter_end(take()), AWAITED_WAKER);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(got, THREADS * WAKES);
    waiter_destroy(shared);
}

static atomic_int rounds_left;

/* A worker: whoever is taken waits again, until all rounds are over. */
static void *wait_and_work(void *arg)
{
    struct connection_reader *own = connection_reader_create(set);
    for (;;) {
        struct connection *c = connection_wait(set, own);
        struct waiter *w = connection_take_ready(own);
        if (c != NULL || w == NULL)
            break;
        unsigned came = waiter_end(w);
        if (came == AWAITED_END || atomic_fetch_sub(&rounds_left, 1) <= 0) {
            waiter_destroy(w);
            continue;
        }
        waker_reset(waiter_waker(w));
        waiter_claim(w, MANY);
        waiter_begin(w, NULL,
                     &(struct awaited){.what = AWAITED_WAKER,
                                       .until = from_now(atomic_load(&rounds_left) % 3)});
    }
    connection_reader_destroy(own);
    return arg;
}

static void workers_hand_them_to_each_other(void **state)
{
    (void)state;
    enum { N = 60 };
    pthread_t threads[THREADS];
    atomic_store(&rounds_left, 6000);
    for (int i = 0; i < N; i++)
        begin_until(from_now(i % 5), NULL);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, wait_and_work, NULL), 0);
    wait_until(atomic_load(&rounds_left) <= 0 && waiters_count(set) == 0);
    connections_stop(set);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static atomic_bool has_left;

static void *wait_once(void *arg)
{
    struct connection_reader *own = connection_reader_create(set);
    connection_wait(set, own);
    struct waiter *got = connection_take_ready(own);
    atomic_store(&has_left, true);
    connection_reader_destroy(own);
    (void)arg;
    return got;
}

/* It sees the stop before the waits have ended. */
static void a_worker_stays_for_who_waits_when_a_stop_begins(void **state)
{
    (void)state;
    pthread_t worker;
    void *got;
    struct waiter *w = begin_until(AWAITED_FOREVER, NULL);
    atomic_store(&has_left, false);
    atomic_store(&set->stopping, true);
    assert_int_equal(pthread_create(&worker, NULL, wait_once, NULL), 0);
    wait_until(jam_idle(set) > 0 || atomic_load(&has_left));
    connections_stop(set);
    pthread_join(worker, &got);
    assert_ptr_equal(got, w);
    assert_int_equal(waiter_end(w), AWAITED_END);
    waiter_destroy(w);
}

#define IN_SET(name) cmocka_unit_test_setup_teardown(name, open_set, close_set)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SET(they_go_on_in_the_order_of_their_moments),
        IN_SET(many_moments_end_each_once),
        IN_SET(others_keep_their_order_when_some_are_woken),
        IN_SET(a_waker_ends_the_wait),
        IN_SET(a_waker_that_is_not_waited_for_wakes_nobody),
        IN_SET(a_descriptor_ends_the_wait),
        IN_SET(what_never_waits_is_ready_at_once),
        IN_SET(several_wait_for_one_descriptor_that_is_closed_meanwhile),
        IN_SET(a_late_event_of_a_descriptor_finds_another_wait),
        IN_SET(a_peer_that_goes_ends_the_wait),
        IN_SET(a_peer_that_went_before_the_wait_ends_it),
        IN_SET(an_abort_ends_the_wait),
        IN_SET(an_abort_that_came_before_the_wait_ends_it),
        IN_SET(an_abort_of_another_request_ends_no_wait),
        IN_SET(more_of_a_body_ends_a_wait_for_it),
        IN_SET(room_ends_a_wait_for_it),
        IN_SET(so_many_may_wait),
        IN_SET(ready_ones_and_new_requests_take_turns),
        IN_SET(the_governor_sees_who_is_ready),
        IN_SET(a_stop_ends_all_waits),
        IN_SET(a_stop_leaves_a_peer_its_time),
        IN_SET(no_wake_is_missed),
        IN_SET(workers_hand_them_to_each_other),
        IN_SET(a_worker_stays_for_who_waits_when_a_stop_begins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
