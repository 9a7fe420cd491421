/* Whole responses that the peer reads slowly: they hold no worker, and memory only while
 * they wait. */
#include "fastcgi/slot.h"
#include "tests/unit/connection_fixture.h"

enum { CLIENTS = 5 };

static size_t held(struct scene *t)
{
    return atomic_load(&t->s.set->pending_output);
}

static void assert_large(const struct response *r)
{
    assert_true(r->ended);
    assert_int_equal(r->out.len, LARGE);
    assert_memory_equal(r->out.data, large_body, LARGE);
}

/* A connection whose response has left with it. */
static int dial_and_leave(struct scene *t, bool keep)
{
    int fd = must_dial(&t->s);
    size_t before = held(t);
    send_request(fd, keep, "left");
    wait_until(held(t) > before + LARGE / 4);
    return fd;
}

static void slow_readers_hold_no_worker(void **state)
{
    struct scene *t = *state;
    int fds[CLIENTS];
    t->s.config.worker_threads = 1;
    start(&t->s);
    int other = must_dial(&t->s);
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = dial_and_leave(t, true);
    ask(other, true, "x", &t->r);
    assert_out(&t->r, "x");
    for (int i = 0; i < CLIENTS; i++) {
        read_response(fds[i], &t->r);
        assert_large(&t->r);
        ask(fds[i], true, "next", &t->r);
        assert_out(&t->r, "next");
        close(fds[i]);
    }
    wait_until(held(t) == 0);
    close(other);
}

/* One that is kept once more tells nobody of room to write any longer. */
static void a_connection_leaves_with_several_responses(void **state)
{
    struct scene *t = *state;
    int fd = begin(t);
    for (int i = 0; i < 3; i++) {
        send_request(fd, true, "left");
        wait_until(held(t) > 0);
        read_response(fd, &t->r);
        assert_large(&t->r);
        wait_until(held(t) == 0);
        ask(fd, true, "x", &t->r);
        assert_out(&t->r, "x");
    }
}

static void the_memory_shrinks_as_the_peer_reads(void **state)
{
    struct scene *t = *state;
    static uint8_t part[65536];
    start(&t->s);
    int fd = dial_and_leave(t, true);
    size_t begun = held(t);
    assert_in_range(begun, LARGE / 2, LARGE + 4096);
    for (size_t n = 0; n < LARGE * 3u / 4; n += sizeof part)
        assert_true(receive(fd, part, sizeof part));
    wait_until(held(t) <= begun / 2 + 4096);
    close(fd);
    wait_until(held(t) == 0 && connections_count(t->s.set) == 0);
}

static void who_closes_gets_a_close_behind_the_last_byte(void **state)
{
    struct scene *t = *state;
    start(&t->s);
    int fd = dial_and_leave(t, false);
    read_response(fd, &t->r);
    assert_large(&t->r);
    assert_closed(fd);
    close(fd);
    wait_until(connections_count(t->s.set) == 0);
}

/* The rest of the body and the next request come while the response waits. */
static void what_comes_meanwhile_is_not_lost(void **state)
{
    struct scene *t = *state;
    int fd = begin(t);
    for (int late = 0; late < 2; late++) {
        t->b.len = 0;
        put_head(&t->b, 1, true, "left", 0);
        put_body(&t->b, 1, big_body, 100000, 5000);
        put_head(&t->b, 1, true, "next", 0);
        put_body(&t->b, 1, NULL, 0, 1);
        size_t now = late ? 3000 : t->b.len;
        send_all(fd, t->b.data, now);
        wait_until(held(t) > 0);
        send_all(fd, t->b.data + now, t->b.len - now);
        read_response(fd, &t->r);
        assert_large(&t->r);
        read_response(fd, &t->r);
        assert_out(&t->r, "next");
    }
}

static void a_half_closed_peer_gets_all_of_it(void **state)
{
    struct scene *t = *state;
    start(&t->s);
    int fd = dial_and_leave(t, true);
    shutdown(fd, SHUT_WR);
    read_response(fd, &t->r);
    assert_large(&t->r);
    assert_closed(fd);
    close(fd);
}

/* The second one waits with its worker until there is room for it. */
static void no_more_is_held_than_allowed(void **state)
{
    struct scene *t = *state;
    t->s.config.max_pending_output = LARGE + 4096;
    start(&t->s);
    int first = dial_and_leave(t, true), second = must_dial(&t->s);
    send_request(second, true, "left");
    wait_until(atomic_load(&t->s.served) == 2);
    ask(second, true, "x", &t->r); /* what it reads is of the other one */
    assert_large(&t->r);
    read_response(second, &t->r);
    assert_out(&t->r, "x");
    send_request(second, true, "left");
    wait_until(atomic_load(&t->s.served) == 4);
    assert_in_range(held(t), LARGE / 2, LARGE + 4096);
    read_response(first, &t->r);
    assert_large(&t->r);
    wait_until(held(t) == 0 || held(t) > LARGE / 2);
    read_response(second, &t->r);
    assert_large(&t->r);
    wait_until(held(t) == 0);
    close(first);
    close(second);
}

static void who_reads_nothing_is_cut_off_at_last(void **state)
{
    struct scene *t = *state;
    t->s.config.write_timeout = PATIENCE;
    start(&t->s);
    int fd = dial_and_leave(t, true);
    connections_tick(t->s.set, &t->s.config);
    assert_true(held(t) > 0);
    t->s.config.write_timeout = 1;
    wait_until((connections_tick(t->s.set, &t->s.config), held(t) == 0));
    t->s.config.write_timeout = PATIENCE; /* for it to read what it is told */
    connections_tick(t->s.set, &t->s.config);
    if (connections_count(t->s.set) == 1) {
        read_response(fd, &t->r);
        assert_true(t->r.closed && t->r.cut && !t->r.ended);
        assert_in_range(t->r.out.len, 1, LARGE - 1);
        assert_memory_equal(t->r.out.data, large_body, t->r.out.len);
    }
    close(fd);
    wait_until(connections_count(t->s.set) == 0);
}

static void a_stop_waits_for_who_still_reads(void **state)
{
    struct scene *t = *state;
    start(&t->s);
    int fd = dial_and_leave(t, true), gone = dial_and_leave(t, true);
    connections_stop(t->s.set);
    assert_int_equal(connections_count(t->s.set), 2);
    close(gone);
    read_response(fd, &t->r);
    assert_large(&t->r);
    assert_closed(fd);
    close(fd);
    finish(&t->s);
}

/* Over TCP it is a reset; over a unix socket the missing end says it. */
static void the_end_of_the_process_makes_none_look_whole(void **state)
{
    struct scene *t = *state;
    start(&t->s);
    int fd = dial_and_leave(t, true);
    connections_stop(t->s.set);
    connections_cut_all(t->s.set);
    shutdown(fd, SHUT_RD);
    close(fd);
    finish(&t->s);
}

static void room_is_not_made_of_them(void **state)
{
    struct scene *t = *state;
    t->s.config.max_connections = 2;
    start(&t->s);
    int fd = dial_and_leave(t, true), idle = must_dial(&t->s);
    ask(idle, true, "x", &t->r);
    int late = must_dial(&t->s);
    ask(late, true, "x", &t->r);
    assert_out(&t->r, "x");
    assert_closed(idle);
    read_response(fd, &t->r);
    assert_large(&t->r);
    close(fd);
    close(idle);
    close(late);
}

/* -- Responses that go on -- */

static void what_is_pushed_comes_before_what_is_sent_later(void **state)
{
    struct scene *t = *state;
    int fd = begin(t);
    for (int i = 0; i < 2; i++) {
        ask(fd, true, "pushed", &t->r);
        assert_large(&t->r);
        ask(fd, true, "x", &t->r);
        assert_out(&t->r, "x");
    }
    wait_until(held(t) == 0);
}

static void a_response_that_does_not_go_on_is_cut(void **state)
{
    struct scene *t = *state;
    int fd = begin(t);
    ask(fd, true, "dropped", &t->r);
    assert_true(t->r.closed && t->r.cut && !t->r.ended);
    assert_in_range(t->r.out.len, 1, LARGE);
    assert_memory_equal(t->r.out.data, large_body, t->r.out.len);
    wait_until(held(t) == 0);
}

static void who_takes_nothing_of_it_is_given_up(void **state)
{
    struct scene *t = *state;
    t->s.write_timeout = 50;
    t->s.config.write_timeout = PATIENCE;
    int fd = begin(t);
    send_request(fd, true, "pushed");
    wait_until(atomic_load(&t->s.timeouts) == 1);
    wait_until(held(t) == 0);
    read_response(fd, &t->r);
    assert_true(t->r.closed && t->r.cut && !t->r.ended);
    assert_memory_equal(t->r.out.data, large_body, t->r.out.len);
}

static void who_goes_away_is_noticed(void **state)
{
    struct scene *t = *state;
    start(&t->s);
    int fd = must_dial(&t->s);
    send_request(fd, true, "pushed");
    wait_until(held(t) > 0);
    close(fd);
    wait_until(held(t) == 0 && connections_count(t->s.set) == 0);
}

/* -- Many at once -- */

struct reader {
    struct scene *t;
    unsigned seed;
};

static void *read_some(void *arg)
{
    struct reader *me = arg;
    struct response r = {0};
    for (int i = 0; i < 6; i++) {
        int fd = must_dial(&me->t->s);
        send_request(fd, true, "left");
        me->seed = me->seed * 1103515245u + 12345u;
        uint8_t part[5000];
        if ((me->seed >> 8) % 3 == 0) {
            assert_true(receive(fd, part, (me->seed >> 12) % sizeof part + 1));
        } else {
            read_response(fd, &r);
            assert_large(&r);
        }
        close(fd);
    }
    drop(&r.out);
    return NULL;
}

static void many_leave_at_once(void **state)
{
    struct scene *t = *state;
    pthread_t threads[8];
    struct reader readers[8];
    t->s.config.max_pending_output = 2 * LARGE;
    start(&t->s);
    for (unsigned i = 0; i < 8; i++) {
        readers[i] = (struct reader){t, i * 77 + 1};
        assert_int_equal(pthread_create(&threads[i], NULL, read_some, &readers[i]), 0);
    }
    for (int i = 0; i < 8; i++) {
        connections_tick(t->s.set, &t->s.config);
        pthread_join(threads[i], NULL);
    }
    wait_until(held(t) == 0 && connections_count(t->s.set) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_BOTH(slow_readers_hold_no_worker),
        TEST_BOTH(a_connection_leaves_with_several_responses),
        TEST_BOTH(the_memory_shrinks_as_the_peer_reads),
        TEST_BOTH(who_closes_gets_a_close_behind_the_last_byte),
        TEST_BOTH(what_comes_meanwhile_is_not_lost),
        TEST_BOTH(a_half_closed_peer_gets_all_of_it),
        TEST_BOTH(no_more_is_held_than_allowed),
        TEST_BOTH(who_reads_nothing_is_cut_off_at_last),
        TEST_BOTH(a_stop_waits_for_who_still_reads),
        TEST_BOTH(the_end_of_the_process_makes_none_look_whole),
        TEST(room_is_not_made_of_them),
        TEST_BOTH(what_is_pushed_comes_before_what_is_sent_later),
        TEST_BOTH(a_response_that_does_not_go_on_is_cut),
        TEST_BOTH(who_takes_nothing_of_it_is_given_up),
        TEST_BOTH(who_goes_away_is_noticed),
        TEST_BOTH(many_leave_at_once),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
