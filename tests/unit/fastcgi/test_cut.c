/* Responses that are not whole: what tells the peer so, and when. */
#include "tests/unit/connection_fixture.h"

static void a_response_without_end_is_cut(void **state)
{
    struct server s;
    struct response r = {0};
    (void)state;
    default_config(&s);
    start(&s);
    int fd = must_dial(&s);
    ask(fd, true, "half", &r);
    assert_true(r.closed && r.cut);
    assert_int_equal(r.out.len, 4);
    close(fd);
    stop(&s);
    drop(&r.out);
}

/* A connection on which LARGE bytes wait to be read, and their writer has given up. */
static int dial_and_do_not_read(struct server *s, bool tcp)
{
    static char any[] = "127.0.0.1:0";
    struct message b = {0};
    default_config(s);
    if (tcp)
        s->config.listen = any;
    s->write_timeout = 50;
    s->config.write_timeout = PATIENCE;
    start(s);
    int fd = must_dial(s);
    put_head(&b, 1, true, "large", 0);
    put_body(&b, 1, NULL, 0, 1);
    send_all(fd, b.data, b.len);
    wait_until(atomic_load(&s->timeouts) == 1);
    drop(&b);
    return fd;
}

static void a_reader_that_does_not_read_is_closed_at_last(void **state)
{
    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        struct server s;
        int fd = dial_and_do_not_read(&s, tcp);
        connections_sweep(s.set, &s.config);
        assert_int_equal(connections_count(s.set), 1);
        s.config.write_timeout = 1;
        wait_until((connections_sweep(s.set, &s.config), connections_count(s.set) == 0));
        close(fd);
        stop(&s);
    }
}

/* Wherever in a record the socket was full: the rest of it comes, then the cut. */
static void a_reader_that_comes_too_late_gets_whole_records_and_the_cut(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct server s;
        struct response r = {0};
        int fd = dial_and_do_not_read(&s, i % 2);
        read_response(fd, &r);
        assert_true(r.closed && r.cut && !r.ended);
        assert_in_range(r.out.len, 1, LARGE - 1);
        for (size_t at = 0; at < r.out.len; at++)
            if (r.out.data[at] != (uint8_t)(at * 31 + at / 65528))
                fail_msg("byte %zu is another", at);
        close(fd);
        wait_until(connections_count(s.set) == 0);
        stop(&s);
        drop(&r.out);
    }
}

static void a_stop_waits_a_while_for_a_reader_that_comes_too_late(void **state)
{
    struct server s;
    struct response r = {0};
    (void)state;
    int fd = dial_and_do_not_read(&s, false);
    connections_stop(s.set);
    assert_int_equal(connections_count(s.set), 1);
    read_response(fd, &r);
    assert_true(r.closed && r.cut);
    close(fd);
    finish(&s);
    drop(&r.out);
}

/* What runs is cut off: where it has sent something, its peer hears of it. */
static void the_end_of_the_process_cuts_what_has_begun(void **state)
{
    struct server s;
    struct response r = {0};
    struct message b = {0};
    int fd[2];
    (void)state;
    default_config(&s);
    start(&s);
    for (int i = 0; i < 2; i++) {
        fd[i] = must_dial(&s);
        b.len = 0;
        put_head(&b, 1, true, i == 0 ? "begun" : "slow", 0);
        put_body(&b, 1, NULL, 0, 1);
        send_all(fd[i], b.data, b.len);
    }
    wait_until(atomic_load(&s.in_slow) == 2);
    connections_cut_all(s.set);
    atomic_store(&s.gate, true);
    wait_until(atomic_load(&s.aborted) == 1);
    uint8_t cut[RECORD_CUT_SIZE], got[8 + 5 + RECORD_CUT_SIZE];
    assert_true(receive(fd[0], got, sizeof got));
    record_put_cut(cut, 1);
    assert_memory_equal(got + 8 + 5, cut, sizeof cut);
    read_response(fd[1], &r);
    assert_out(&r, "slow"); /* nothing of it had gone out: it may still become whole */
    stop(&s);
    assert_closed(fd[0]); /* nothing more of it came */
    close(fd[0]);
    close(fd[1]);
    drop(&b);
    drop(&r.out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_response_without_end_is_cut),
        cmocka_unit_test(a_reader_that_does_not_read_is_closed_at_last),
        cmocka_unit_test(a_reader_that_comes_too_late_gets_whole_records_and_the_cut),
        cmocka_unit_test(a_stop_waits_a_while_for_a_reader_that_comes_too_late),
        cmocka_unit_test(the_end_of_the_process_cuts_what_has_begun),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
