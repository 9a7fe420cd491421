/* What a look at a head finds: heads in pieces, heads that are too long, records that do
 * not belong to them, and one request behind another. */
#include "tests/unit/connection_fixture.h"

static void a_head_byte_by_byte_is_served(void **state)
{
    struct scene *t = *state;
    int fd = begin(t);
    put_head(&t->b, 3, true, "echo", 5);
    put_body(&t->b, 3, (const uint8_t *)"body", 4, 1);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < t->b.len; i++)
            send_all(fd, t->b.data + i, 1);
        read_response(fd, &t->r);
        assert_out(&t->r, "body");
        assert_int_equal(t->r.id, 3);
    }
}

/* Each cut makes the two parts arrive apart: the second is sent when the first is seen.
 */
static void a_request_cut_anywhere_is_served(void **state)
{
    struct scene *t = *state;
    int fd = begin(t);
    put_head(&t->b, 2, true, "echo", 1);
    put_body(&t->b, 2, (const uint8_t *)"some body", 9, 4);
    for (size_t cut = 1; cut < t->b.len; cut++) {
        send_all(fd, t->b.data, cut);
        sched_yield();
        send_all(fd, t->b.data + cut, t->b.len - cut);
        read_response(fd, &t->r);
        assert_out(&t->r, "some body");
    }
}

/* The requests behind a body that nobody read are more than a worker's memory holds. */
static void requests_that_fill_the_memory_are_all_served(void **state)
{
    struct scene *t = *state;
    enum { FULL = 145000, MANY = 170 };
    pthread_t thread;
    start(&t->s);
    int fd = must_dial(&t->s), queued = 0;
    put_head(&t->b, 1, true, "slow", 0);
    send_message(fd, &t->b);
    wait_until(atomic_load(&t->s.in_slow) == 1);
    t->b.len = 0;
    put_body(&t->b, 1, NULL, 0, 1);
    for (int i = 0; i < MANY; i++) {
        put_head(&t->b, 2, true, "behind", 0);
        put_body(&t->b, 2, big_body, 1000, 1000);
    }
    struct pour p = {fd, &t->b};
    assert_int_equal(pthread_create(&thread, NULL, pour, &p), 0);
    wait_until(ioctl(fd, SIOCOUTQ, &queued) == 0 && queued > FULL);
    atomic_store(&t->s.gate, true);
    read_response(fd, &t->r);
    assert_out(&t->r, "slow");
    for (int i = 0; i < MANY; i++) {
        read_response(fd, &t->r);
        assert_out(&t->r, "behind");
    }
    pthread_join(thread, NULL);
    close(fd);
}

static void heads_up_to_the_limit_are_served_and_longer_refused(void **state)
{
    struct scene *t = *state;
    start(&t->s);
    for (int over = 0; over < 2; over++) {
        struct message pairs = {0};
        t->b.len = 0;
        int fd = must_dial(&t->s);
        char *value = calloc(1, 65536);
        /* BEGIN 16 + padding 1, two PARAMS records and the empty one, SCRIPT_FILENAME */
        size_t fixed = 17 + 8 + 8 + 8 + (2 + 15 + 4) + 5 + 4;
        memset(value, 'v', 65536 - fixed + (size_t)over);
        put_pair(&pairs, "SCRIPT_FILENAME", "long", false);
        put_pair(&pairs, "LONG", value, false);
        put_begin(&t->b, 1, 1, true, 1);
        put_record(&t->b, RECORD_PARAMS, 1, pairs.data, 30000, 0);
        put_record(&t->b, RECORD_PARAMS, 1, pairs.data + 30000, pairs.len - 30000, 0);
        put_record(&t->b, RECORD_PARAMS, 1, "", 0, 0);
        assert_int_equal(t->b.len, 65536 + over);
        if (!over) {
            put_record(&t->b, RECORD_STDIN, 1, "", 0, 0);
            exchange(fd, &t->b, &t->r);
            assert_out(&t->r, "long");
        } else {
            send(fd, t->b.data, t->b.len, MSG_NOSIGNAL);
            assert_closed(fd);
        }
        close(fd);
        free(value);
        drop(&pairs);
    }
}

static void management_records_are_answered(void **state)
{
    struct scene *t = *state;
    int fd = begin(t);
    put_record(&t->b, RECORD_GET_VALUES, 0, "\16\0FCGI_MAX_CONNS\15\0FCGI_MAX_REQS", 31,
               0);
    put_record(&t->b, 99, 0, "", 0, 0);
    put_head(&t->b, 1, true, "after", 0);
    put_record(&t->b, 98, 0, "", 0, 0);
    put_body(&t->b, 1, NULL, 0, 1);
    send_message(fd, &t->b);
    read_response(fd, &t->r);
    static const uint8_t values[] = "\1\12\0\0\0\42\6\0\16\2FCGI_MAX_CONNS64"
                                    "\15\1FCGI_MAX_REQS2";
    assert_memory_equal(t->r.other, values, sizeof values - 1);
    read_response(fd, &t->r);
    assert_int_equal(t->r.other[1], RECORD_UNKNOWN_TYPE);
    assert_int_equal(t->r.other[8], 99);
    unsigned ends = 0, unknown = 0;
    while (ends + unknown < 2) { /* in either order: the response did not wait for it */
        read_response(fd, &t->r);
        ends += t->r.ended;
        unknown += t->r.others == 1 && t->r.other[8] == 98;
    }
    assert_int_equal(ends, 1);
}

static void other_roles_are_refused_and_the_connection_goes_on(void **state)
{
    struct scene *t = *state;
    start(&t->s);
    for (unsigned role = 2; role < 4; role++) {
        int fd = must_dial(&t->s);
        for (unsigned keep = 2; keep-- > 0;) {
            t->b.len = 0;
            put_begin(&t->b, 4, role, keep, 4);
            put_record(&t->b, RECORD_PARAMS, 4, "\1\1ab", 4, 0);
            put_record(&t->b, RECORD_PARAMS, 4, "", 0, 0);
            put_record(&t->b, RECORD_STDIN, 4, "", 0, 0);
            send_message(fd, &t->b);
            read_response(fd, &t->r);
            assert_true(t->r.ended);
            assert_int_equal(t->r.status, RECORD_UNKNOWN_ROLE);
            if (keep) {
                ask(fd, true, "fine", &t->r);
                assert_out(&t->r, "fine");
            }
        }
        assert_closed(fd);
        close(fd);
    }
    assert_int_equal(atomic_load(&t->s.served), 2);
}

static void a_second_request_at_once_is_refused_and_the_first_goes_on(void **state)
{
    struct scene *t = *state;
    int fd = begin(t);
    put_head(&t->b, 1, true, "echo", 0);
    put_record(&t->b, RECORD_STDIN, 1, "one", 3, 0);
    put_begin(&t->b, 2, 1, true, 2);
    put_record(&t->b, RECORD_PARAMS, 2, "\1\1ab", 4, 0);
    put_record(&t->b, RECORD_STDIN, 2, "two", 3, 0);
    put_record(&t->b, RECORD_STDIN, 1, "", 0, 0);
    send_message(fd, &t->b);
    read_response(fd, &t->r);
    assert_int_equal(t->r.id, 2);
    assert_int_equal(t->r.status, RECORD_CANT_MPX_CONN);
    read_response(fd, &t->r);
    assert_int_equal(t->r.id, 1);
    assert_out(&t->r, "one");
    ask(fd, true, "next", &t->r);
    assert_out(&t->r, "next");
}

static void an_abort_in_the_head_never_runs_the_script(void **state)
{
    struct scene *t = *state;
    int fd = begin(t);
    put_begin(&t->b, 1, 1, true, 1);
    put_record(&t->b, RECORD_PARAMS, 1, "\1\1ab", 4, 0);
    put_record(&t->b, RECORD_ABORT_REQUEST, 1, "", 0, 0);
    send_message(fd, &t->b);
    read_response(fd, &t->r);
    assert_out(&t->r, "");
    ask(fd, true, "next", &t->r);
    assert_out(&t->r, "next");
    assert_int_equal(atomic_load(&t->s.served), 1);
}

static void garbage_closes_the_connection(void **state)
{
    struct scene *t = *state;
    static const char *const garbage[] = {"GET / HTTP/1.0\r\n\r\n",
                                          "\1\1\0\0\0\10\0\0........",
                                          "\1\4\0\0\0\377\0\0", "\0"};
    static const size_t sizes[] = {18, 16, 8, 1};
    start(&t->s);
    for (size_t i = 0; i < 4; i++) {
        int fd = must_dial(&t->s);
        send_all(fd, garbage[i], sizes[i]);
        if (i == 2)
            shutdown(fd, SHUT_WR); /* an unknown management record, cut short */
        assert_closed(fd);
        close(fd);
    }
    assert_int_equal(atomic_load(&t->s.served), 0);
    wait_until(connections_count(t->s.set) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_head_byte_by_byte_is_served),
        TEST(a_request_cut_anywhere_is_served),
        TEST(requests_that_fill_the_memory_are_all_served),
        TEST(heads_up_to_the_limit_are_served_and_longer_refused),
        TEST(management_records_are_answered),
        TEST(other_roles_are_refused_and_the_connection_goes_on),
        TEST(a_second_request_at_once_is_refused_and_the_first_goes_on),
        TEST(an_abort_in_the_head_never_runs_the_script),
        TEST(garbage_closes_the_connection),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
