/* Bodies, responses, and how long either side waits for the other. */
#include "tests/unit/connection_fixture.h"

static void bodies_of_every_size_come_back(void **state)
{
    struct scene *t = *state;
    static const size_t sizes[] = {0,    1,    7,     8,     9,     4095,    4096,
                                   8191, 8192, 65535, 65536, 70000, 1000000, BIG};
    static const size_t chunks[] = {1, 100, 4096, 8184, 32768, 65535};
    int fd = begin(t);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (size_t k = 0; k < sizeof chunks / sizeof *chunks; k++) {
            if (sizes[i] > 70000 && chunks[k] < 4096)
                continue;
            t->b.len = 0;
            put_head(&t->b, 1, true, "echo", 0);
            put_body(&t->b, 1, big_body, sizes[i], chunks[k]);
            exchange(fd, &t->b, &t->r);
            assert_true(t->r.ended);
            assert_int_equal(t->r.out.len, sizes[i]);
            assert_true(sizes[i] == 0 || memcmp(t->r.out.data, big_body, sizes[i]) == 0);
        }
    }
}

static void an_abort_in_the_body_ends_the_connection(void **state)
{
    struct scene *t = *state;
    int fd = begin(t);
    put_head(&t->b, 1, true, "echo", 0);
    put_record(&t->b, RECORD_STDIN, 1, "one", 3, 0);
    put_record(&t->b, RECORD_ABORT_REQUEST, 1, "", 0, 0);
    send_message(fd, &t->b);
    assert_closed(fd);
    assert_int_equal(atomic_load(&t->s.aborted), 1);
}

/* The body is full of records that would begin a request for "forged", at each alignment.
 * The script does not read it, and the connection is kept. */
static void forged_records_in_an_unread_body_begin_nothing(void **state)
{
    struct scene *t = *state;
    static const size_t sizes[] = {200, 5000, 9000, 70000, 200000};
    struct message forged = {0};
    start(&t->s);
    put_head(&forged, 1, true, "forged", 0);
    put_record(&forged, RECORD_STDIN, 1, "", 0, 0);
    for (size_t shift = 0; shift < 16; shift++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            struct message body = {0};
            t->b.len = 0;
            int fd = must_dial(&t->s);
            put(&body, "################", shift);
            while (body.len < sizes[i])
                put(&body, forged.data, forged.len);
            put_head(&t->b, 1, true, "ignore", 0);
            put_body(&t->b, 1, body.data, body.len, shift % 2 ? 65535 : 1000 + shift);
            put_head(&t->b, 2, true, "honest", 0);
            put_body(&t->b, 2, NULL, 0, 1);
            exchange(fd, &t->b, &t->r);
            assert_out(&t->r, "ignored");
            read_response(fd, &t->r);
            assert_out(&t->r, "honest");
            close(fd);
            drop(&body);
        }
    }
    assert_int_equal(atomic_load(&t->s.forged), 0);
    drop(&forged);
}

/* The body is too long to be drained: the connection is closed, and what is behind the
 * body is not served. */
static void a_long_unread_body_closes_the_connection(void **state)
{
    struct scene *t = *state;
    int fd = begin(t);
    put_head(&t->b, 1, true, "ignore", 0);
    put_body(&t->b, 1, big_body, BIG, 32768);
    exchange(fd, &t->b, &t->r);
    assert_out(&t->r, "ignored");
    assert_closed(fd);
    assert_int_equal(atomic_load(&t->s.served), 1);
}

/* A peer that still sends does not lose the response. */
static void closing_with_unread_input_cuts_nothing_off(void **state)
{
    struct scene *t = *state;
    start(&t->s);
    for (int i = 0; i < 20; i++) {
        int fd = must_dial(&t->s);
        t->b.len = 0;
        put_head(&t->b, 1, i % 2, "big", 0);
        put_body(&t->b, 1, big_body, 600000, 32768);
        exchange(fd, &t->b, &t->r);
        assert_true(t->r.ended);
        assert_int_equal(t->r.out.len, BIG);
        assert_closed(fd);
        close(fd);
    }
}

static void the_peer_reads_to_the_end_before_it_sees_the_close(void **state)
{
    struct scene *t = *state;
    int fd = begin(t);
    put_head(&t->b, 1, false, "ignore", 0);
    put_record(&t->b, RECORD_STDIN, 1, big_body, 30000, 0);
    send_message(fd, &t->b); /* and the body does not end */
    struct pollfd p = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, PATIENCE), 1);
    send_all(fd, t->b.data, 0);
    read_response(fd, &t->r);
    assert_out(&t->r, "ignored");
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), 0); /* an end, not a reset */
}

static void a_body_that_does_not_come_times_out(void **state)
{
    struct scene *t = *state;
    t->s.read_timeout = 50;
    int fd = begin(t);
    put_head(&t->b, 1, true, "echo", 0);
    put_record(&t->b, RECORD_STDIN, 1, "begun", 5, 0);
    send_message(fd, &t->b);
    assert_closed(fd);
    assert_int_equal(atomic_load(&t->s.timeouts), 1);
}

static void a_reader_that_vanishes_is_noticed(void **state)
{
    struct scene *t = *state;
    start(&t->s);
    for (unsigned i = 0; i < 10; i++) {
        int fd = must_dial(&t->s);
        send_request(fd, true, "big");
        struct pollfd p = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&p, 1, PATIENCE), 1);
        close(fd);
        /* TCP may take all of it before it knows that the peer is gone. */
        wait_until(t->tcp || atomic_load(&t->s.aborted) == i + 1);
    }
    wait_until(connections_count(t->s.set) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bodies_of_every_size_come_back),
        TEST(an_abort_in_the_body_ends_the_connection),
        TEST(forged_records_in_an_unread_body_begin_nothing),
        TEST(a_long_unread_body_closes_the_connection),
        TEST_BOTH(closing_with_unread_input_cuts_nothing_off),
        TEST_BOTH(the_peer_reads_to_the_end_before_it_sees_the_close),
        TEST(a_body_that_does_not_come_times_out),
        TEST_BOTH(a_reader_that_vanishes_is_noticed),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
