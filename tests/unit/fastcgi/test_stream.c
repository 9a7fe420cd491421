/* Bodies, responses, and how long either side waits for the other. */
#include "tests/unit/connection_fixture.h"

static void bodies_of_every_size_come_back(void **state)
{
    static const size_t sizes[] = {0,    1,    7,     8,     9,     4095,    4096,
                                   8191, 8192, 65535, 65536, 70000, 1000000, BIG};
    static const size_t chunks[] = {1, 100, 4096, 8184, 32768, 65535};
    struct server s;
    struct response r = {0};
    (void)state;
    default_config(&s);
    start(&s);
    int fd = must_dial(&s);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (size_t k = 0; k < sizeof chunks / sizeof *chunks; k++) {
            if (sizes[i] > 70000 && chunks[k] < 4096)
                continue;
            struct message b = {0};
            put_head(&b, 1, true, "echo", 0);
            put_body(&b, 1, big_body, sizes[i], chunks[k]);
            exchange(fd, &b, &r);
            assert_true(r.ended);
            assert_int_equal(r.out.len, sizes[i]);
            assert_true(sizes[i] == 0 || memcmp(r.out.data, big_body, sizes[i]) == 0);
            drop(&b);
        }
    }
    close(fd);
    stop(&s);
    drop(&r.out);
}

static void an_abort_in_the_body_ends_the_connection(void **state)
{
    struct server s;
    struct message b = {0};
    (void)state;
    default_config(&s);
    start(&s);
    int fd = must_dial(&s);
    put_head(&b, 1, true, "echo", 0);
    put_record(&b, RECORD_STDIN, 1, "one", 3, 0);
    put_record(&b, RECORD_ABORT_REQUEST, 1, "", 0, 0);
    send_all(fd, b.data, b.len);
    assert_closed(fd);
    assert_int_equal(atomic_load(&s.aborted), 1);
    close(fd);
    stop(&s);
    drop(&b);
}

/* The body is full of records that would begin a request for "forged", at each alignment;
 * nobody reads it; the connection is kept. */
static void forged_records_in_an_unread_body_begin_nothing(void **state)
{
    static const size_t sizes[] = {200, 5000, 9000, 70000, 200000};
    struct server s;
    struct response r = {0};
    struct message forged = {0};
    (void)state;
    default_config(&s);
    start(&s);
    put_head(&forged, 1, true, "forged", 0);
    put_record(&forged, RECORD_STDIN, 1, "", 0, 0);
    for (size_t shift = 0; shift < 16; shift++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            struct message body = {0}, b = {0};
            int fd = must_dial(&s);
            put(&body, "################", shift);
            while (body.len < sizes[i])
                put(&body, forged.data, forged.len);
            put_head(&b, 1, true, "ignore", 0);
            put_body(&b, 1, body.data, body.len, shift % 2 ? 65535 : 1000 + shift);
            put_head(&b, 2, true, "honest", 0);
            put_body(&b, 2, NULL, 0, 1);
            exchange(fd, &b, &r);
            assert_out(&r, "ignored");
            read_response(fd, &r);
            assert_out(&r, "honest");
            close(fd);
            drop(&b);
            drop(&body);
        }
    }
    assert_int_equal(atomic_load(&s.forged), 0);
    stop(&s);
    drop(&r.out);
    drop(&forged);
}

/* More than is worth draining: closed, and what is behind never served. */
static void a_long_unread_body_closes_the_connection(void **state)
{
    struct server s;
    struct response r = {0};
    struct message b = {0};
    (void)state;
    default_config(&s);
    start(&s);
    int fd = must_dial(&s);
    put_head(&b, 1, true, "ignore", 0);
    put_body(&b, 1, big_body, BIG, 32768);
    exchange(fd, &b, &r);
    assert_out(&r, "ignored");
    assert_closed(fd);
    close(fd);
    assert_int_equal(atomic_load(&s.served), 1);
    stop(&s);
    drop(&r.out);
    drop(&b);
}

/* A peer that still sends does not lose the response, over TCP either. */
static void closing_with_unread_input_cuts_nothing_off(void **state)
{
    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        struct server s;
        struct response r = {0};
        struct message b = {0};
        default_config(&s);
        char any[] = "127.0.0.1:0";
        if (tcp)
            s.config.listen = any;
        start(&s);
        for (int i = 0; i < 20; i++) {
            int fd = must_dial(&s);
            b.len = 0;
            put_head(&b, 1, i % 2, "big", 0);
            put_body(&b, 1, big_body, 600000, 32768);
            exchange(fd, &b, &r);
            assert_true(r.ended);
            assert_int_equal(r.out.len, BIG);
            assert_closed(fd);
            close(fd);
        }
        stop(&s);
        drop(&r.out);
        drop(&b);
    }
}

static void the_peer_reads_to_the_end_before_it_sees_the_close(void **state)
{
    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        struct server s;
        struct response r = {0};
        struct message b = {0};
        default_config(&s);
        char any[] = "127.0.0.1:0";
        if (tcp)
            s.config.listen = any;
        start(&s);
        int fd = must_dial(&s);
        put_head(&b, 1, false, "ignore", 0);
        put_record(&b, RECORD_STDIN, 1, big_body, 30000, 0);
        send_all(fd, b.data, b.len); /* and the body does not end */
        struct pollfd p = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&p, 1, PATIENCE), 1);
        send_all(fd, b.data, 0);
        read_response(fd, &r);
        assert_out(&r, "ignored");
        char byte;
        assert_int_equal(recv(fd, &byte, 1, 0), 0); /* an end, not a reset */
        close(fd);
        stop(&s);
        drop(&r.out);
        drop(&b);
    }
}

static void a_body_that_does_not_come_times_out(void **state)
{
    struct server s;
    struct message b = {0};
    (void)state;
    default_config(&s);
    s.read_timeout = 50;
    start(&s);
    int fd = must_dial(&s);
    put_head(&b, 1, true, "echo", 0);
    put_record(&b, RECORD_STDIN, 1, "begun", 5, 0);
    send_all(fd, b.data, b.len);
    assert_closed(fd);
    assert_int_equal(atomic_load(&s.timeouts), 1);
    close(fd);
    stop(&s);
    drop(&b);
}

static void a_reader_that_vanishes_is_noticed(void **state)
{
    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        struct server s;
        struct message b = {0};
        default_config(&s);
        char any[] = "127.0.0.1:0";
        if (tcp)
            s.config.listen = any;
        start(&s);
        for (unsigned i = 0; i < 10; i++) {
            int fd = must_dial(&s);
            b.len = 0;
            put_head(&b, 1, true, "big", 0);
            put_body(&b, 1, NULL, 0, 1);
            send_all(fd, b.data, b.len);
            struct pollfd p = {.fd = fd, .events = POLLIN};
            assert_int_equal(poll(&p, 1, PATIENCE), 1);
            close(fd);
            /* TCP may take it all before it knows. */
            wait_until(tcp || atomic_load(&s.aborted) == i + 1);
        }
        wait_until(connections_count(s.set) == 0);
        stop(&s);
        drop(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_of_every_size_come_back),
        cmocka_unit_test(an_abort_in_the_body_ends_the_connection),
        cmocka_unit_test(forged_records_in_an_unread_body_begin_nothing),
        cmocka_unit_test(a_long_unread_body_closes_the_connection),
        cmocka_unit_test(closing_with_unread_input_cuts_nothing_off),
        cmocka_unit_test(the_peer_reads_to_the_end_before_it_sees_the_close),
        cmocka_unit_test(a_body_that_does_not_come_times_out),
        cmocka_unit_test(a_reader_that_vanishes_is_noticed),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
