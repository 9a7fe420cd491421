/* What a look at a head finds: heads in pieces, heads that are too long, records that do
 * not belong, the requests behind one another. */
#include "tests/unit/connection_fixture.h"

static void a_head_byte_by_byte_is_served(void **state)
{
    struct server s;
    struct response r = {0};
    struct message b = {0};
    (void)state;
    default_config(&s);
    start(&s);
    int fd = must_dial(&s);
    put_head(&b, 3, true, "echo", 5);
    put_body(&b, 3, (const uint8_t *)"body", 4, 1);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < b.len; i++)
            send_all(fd, b.data + i, 1);
        read_response(fd, &r);
        assert_out(&r, "body");
        assert_int_equal(r.id, 3);
    }
    close(fd);
    stop(&s);
    drop(&r.out);
    drop(&b);
}

/* Each cut makes the two parts arrive apart: the second is sent when the first is seen.
 */
static void a_request_cut_anywhere_is_served(void **state)
{
    struct server s;
    struct response r = {0};
    struct message b = {0};
    (void)state;
    default_config(&s);
    start(&s);
    int fd = must_dial(&s);
    put_head(&b, 2, true, "echo", 1);
    put_body(&b, 2, (const uint8_t *)"some body", 9, 4);
    for (size_t cut = 1; cut < b.len; cut++) {
        send_all(fd, b.data, cut);
        sched_yield();
        send_all(fd, b.data + cut, b.len - cut);
        read_response(fd, &r);
        assert_out(&r, "some body");
    }
    close(fd);
    stop(&s);
    drop(&r.out);
    drop(&b);
}

/* The requests behind a body that nobody read are more than a worker's memory holds. */
static void requests_that_fill_the_memory_are_all_served(void **state)
{
    enum { FULL = 145000, MANY = 170 };
    struct server s;
    struct response r = {0};
    struct message b = {0};
    pthread_t thread;
    (void)state;
    default_config(&s);
    start(&s);
    int fd = must_dial(&s), queued = 0;
    put_head(&b, 1, true, "slow", 0);
    send_all(fd, b.data, b.len);
    wait_until(atomic_load(&s.in_slow) == 1);
    b.len = 0;
    put_body(&b, 1, NULL, 0, 1);
    for (int i = 0; i < MANY; i++) {
        put_head(&b, 2, true, "behind", 0);
        put_body(&b, 2, big_body, 1000, 1000);
    }
    struct pour p = {fd, &b};
    assert_int_equal(pthread_create(&thread, NULL, pour, &p), 0);
    wait_until(ioctl(fd, SIOCOUTQ, &queued) == 0 && queued > FULL);
    atomic_store(&s.gate, true);
    read_response(fd, &r);
    assert_out(&r, "slow");
    for (int i = 0; i < MANY; i++) {
        read_response(fd, &r);
        assert_out(&r, "behind");
    }
    pthread_join(thread, NULL);
    close(fd);
    stop(&s);
    drop(&r.out);
    drop(&b);
}

static void heads_up_to_the_limit_are_served_and_longer_refused(void **state)
{
    struct server s;
    struct response r = {0};
    (void)state;
    default_config(&s);
    start(&s);
    for (int over = 0; over < 2; over++) {
        struct message b = {0}, pairs = {0};
        int fd = must_dial(&s);
        char *value = calloc(1, 65536);
        /* BEGIN 16 + padding 1, two PARAMS records and the empty one, SCRIPT_FILENAME */
        size_t fixed = 17 + 8 + 8 + 8 + (2 + 15 + 4) + 5 + 4;
        memset(value, 'v', 65536 - fixed + (size_t)over);
        put_pair(&pairs, "SCRIPT_FILENAME", "long", false);
        put_pair(&pairs, "LONG", value, false);
        put_begin(&b, 1, 1, true, 1);
        put_record(&b, RECORD_PARAMS, 1, pairs.data, 30000, 0);
        put_record(&b, RECORD_PARAMS, 1, pairs.data + 30000, pairs.len - 30000, 0);
        put_record(&b, RECORD_PARAMS, 1, "", 0, 0);
        assert_int_equal(b.len, 65536 + over);
        if (!over) {
            put_record(&b, RECORD_STDIN, 1, "", 0, 0);
            exchange(fd, &b, &r);
            assert_out(&r, "long");
        } else {
            send(fd, b.data, b.len, MSG_NOSIGNAL);
            assert_closed(fd);
        }
        close(fd);
        free(value);
        drop(&b);
        drop(&pairs);
    }
    stop(&s);
    drop(&r.out);
}

static void management_records_are_answered(void **state)
{
    struct server s;
    struct response r = {0};
    struct message b = {0};
    (void)state;
    default_config(&s);
    start(&s);
    int fd = must_dial(&s);
    put_record(&b, RECORD_GET_VALUES, 0, "\16\0FCGI_MAX_CONNS\15\0FCGI_MAX_REQS", 31, 0);
    put_record(&b, 99, 0, "", 0, 0);
    put_head(&b, 1, true, "after", 0);
    put_record(&b, 98, 0, "", 0, 0);
    put_body(&b, 1, NULL, 0, 1);
    send_all(fd, b.data, b.len);
    read_response(fd, &r);
    static const uint8_t values[] = "\1\12\0\0\0\42\6\0\16\2FCGI_MAX_CONNS64"
                                    "\15\1FCGI_MAX_REQS2";
    assert_memory_equal(r.other, values, sizeof values - 1);
    read_response(fd, &r);
    assert_int_equal(r.other[1], RECORD_UNKNOWN_TYPE);
    assert_int_equal(r.other[8], 99);
    unsigned ends = 0, unknown = 0;
    while (ends + unknown < 2) { /* in either order: the response did not wait for it */
        read_response(fd, &r);
        ends += r.ended;
        unknown += r.others == 1 && r.other[8] == 98;
    }
    assert_int_equal(ends, 1);
    close(fd);
    stop(&s);
    drop(&r.out);
    drop(&b);
}

static void other_roles_are_refused_and_the_connection_goes_on(void **state)
{
    struct server s;
    struct response r = {0};
    (void)state;
    default_config(&s);
    start(&s);
    for (unsigned role = 2; role < 4; role++) {
        int fd = must_dial(&s);
        for (unsigned keep = 2; keep-- > 0;) {
            struct message b = {0};
            put_begin(&b, 4, role, keep, 4);
            put_record(&b, RECORD_PARAMS, 4, "\1\1ab", 4, 0);
            put_record(&b, RECORD_PARAMS, 4, "", 0, 0);
            put_record(&b, RECORD_STDIN, 4, "", 0, 0);
            send_all(fd, b.data, b.len);
            read_response(fd, &r);
            assert_true(r.ended);
            assert_int_equal(r.status, RECORD_UNKNOWN_ROLE);
            if (keep) {
                ask(fd, true, "fine", &r);
                assert_out(&r, "fine");
            }
            drop(&b);
        }
        assert_closed(fd);
        close(fd);
    }
    assert_int_equal(atomic_load(&s.served), 2);
    stop(&s);
    drop(&r.out);
}

static void a_second_request_at_once_is_refused_and_the_first_goes_on(void **state)
{
    struct server s;
    struct response r = {0};
    struct message b = {0};
    (void)state;
    default_config(&s);
    start(&s);
    int fd = must_dial(&s);
    put_head(&b, 1, true, "echo", 0);
    put_record(&b, RECORD_STDIN, 1, "one", 3, 0);
    put_begin(&b, 2, 1, true, 2);
    put_record(&b, RECORD_PARAMS, 2, "\1\1ab", 4, 0);
    put_record(&b, RECORD_STDIN, 2, "two", 3, 0);
    put_record(&b, RECORD_STDIN, 1, "", 0, 0);
    send_all(fd, b.data, b.len);
    read_response(fd, &r);
    assert_int_equal(r.id, 2);
    assert_int_equal(r.status, RECORD_CANT_MPX_CONN);
    read_response(fd, &r);
    assert_int_equal(r.id, 1);
    assert_out(&r, "one");
    ask(fd, true, "next", &r);
    assert_out(&r, "next");
    close(fd);
    stop(&s);
    drop(&r.out);
    drop(&b);
}

static void an_abort_in_the_head_never_runs_the_script(void **state)
{
    struct server s;
    struct response r = {0};
    struct message b = {0};
    (void)state;
    default_config(&s);
    start(&s);
    int fd = must_dial(&s);
    put_begin(&b, 1, 1, true, 1);
    put_record(&b, RECORD_PARAMS, 1, "\1\1ab", 4, 0);
    put_record(&b, RECORD_ABORT_REQUEST, 1, "", 0, 0);
    send_all(fd, b.data, b.len);
    read_response(fd, &r);
    assert_out(&r, "");
    ask(fd, true, "next", &r);
    assert_out(&r, "next");
    assert_int_equal(atomic_load(&s.served), 1);
    close(fd);
    stop(&s);
    drop(&r.out);
    drop(&b);
}

static void garbage_closes_the_connection(void **state)
{
    static const char *const garbage[] = {"GET / HTTP/1.0\r\n\r\n",
                                          "\1\1\0\0\0\10\0\0........",
                                          "\1\4\0\0\0\377\0\0", "\0"};
    static const size_t sizes[] = {18, 16, 8, 1};
    struct server s;
    (void)state;
    default_config(&s);
    start(&s);
    for (size_t i = 0; i < 4; i++) {
        int fd = must_dial(&s);
        send_all(fd, garbage[i], sizes[i]);
        if (i == 2)
            shutdown(fd, SHUT_WR); /* an unknown management record, cut short */
        assert_closed(fd);
        close(fd);
    }
    assert_int_equal(atomic_load(&s.served), 0);
    wait_until(connections_count(s.set) == 0);
    stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_byte_by_byte_is_served),
        cmocka_unit_test(a_request_cut_anywhere_is_served),
        cmocka_unit_test(requests_that_fill_the_memory_are_all_served),
        cmocka_unit_test(heads_up_to_the_limit_are_served_and_longer_refused),
        cmocka_unit_test(management_records_are_answered),
        cmocka_unit_test(other_roles_are_refused_and_the_connection_goes_on),
        cmocka_unit_test(a_second_request_at_once_is_refused_and_the_first_goes_on),
        cmocka_unit_test(an_abort_in_the_head_never_runs_the_script),
        cmocka_unit_test(garbage_closes_the_connection),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
