/* Responses that are not whole: how the peer is told, and when. */
#include "tests/unit/connection_fixture.h"

static void a_response_without_end_is_cut(void **state)
{
    struct scene *t = *state;
    int fd = begin(t);
    ask(fd, true, "half", &t->r);
    assert_true(t->r.closed && t->r.cut);
    assert_int_equal(t->r.out.len, 4);
}

/* A server that gives up a reader after 50 ms. */
static void start_impatiently(struct scene *t)
{
    t->s.write_timeout = 50;
    t->s.config.write_timeout = PATIENCE;
    start(&t->s);
}

/* A connection on which LARGE bytes wait to be read, and their writer has given up. */
static int dial_and_do_not_read(struct scene *t)
{
    unsigned given_up = atomic_load(&t->s.timeouts);
    int fd = must_dial(&t->s);
    send_request(fd, true, "large");
    wait_until(atomic_load(&t->s.timeouts) == given_up + 1);
    return fd;
}

static void a_reader_that_does_not_read_is_closed_at_last(void **state)
{
    struct scene *t = *state;
    start_impatiently(t);
    int fd = dial_and_do_not_read(t);
    connections_tick(t->s.set, &t->s.config);
    assert_int_equal(connections_count(t->s.set), 1);
    t->s.config.write_timeout = 1;
    wait_until(
        (connections_tick(t->s.set, &t->s.config), connections_count(t->s.set) == 0));
    close(fd);
}

/* The socket may be full in the middle of a record: then the rest of the record comes
 * before the cut. */
static void a_reader_that_comes_too_late_gets_whole_records_and_the_cut(void **state)
{
    struct scene *t = *state;
    start_impatiently(t);
    for (int i = 0; i < 2; i++) {
        int fd = dial_and_do_not_read(t);
        read_response(fd, &t->r);
        assert_true(t->r.closed && t->r.cut && !t->r.ended);
        assert_in_range(t->r.out.len, 1, LARGE - 1);
        for (size_t at = 0; at < t->r.out.len; at++)
            if (t->r.out.data[at] != (uint8_t)(at * 31 + at / 65528))
                fail_msg("byte %zu is another", at);
        close(fd);
        wait_until(connections_count(t->s.set) == 0);
    }
}

static void a_stop_waits_a_while_for_a_reader_that_comes_too_late(void **state)
{
    struct scene *t = *state;
    start_impatiently(t);
    int fd = dial_and_do_not_read(t);
    connections_stop(t->s.set);
    assert_int_equal(connections_count(t->s.set), 1);
    read_response(fd, &t->r);
    assert_true(t->r.closed && t->r.cut);
    close(fd);
    finish(&t->s);
}

/* Requests that still run are cut off. If one has sent something, its peer is told. */
static void the_end_of_the_process_cuts_what_has_begun(void **state)
{
    struct scene *t = *state;
    int fd[2];
    start(&t->s);
    for (int i = 0; i < 2; i++) {
        fd[i] = must_dial(&t->s);
        send_request(fd[i], true, i == 0 ? "begun" : "slow");
    }
    wait_until(atomic_load(&t->s.in_slow) == 2);
    connections_cut_all(t->s.set);
    atomic_store(&t->s.gate, true);
    wait_until(atomic_load(&t->s.aborted) == 1);
    uint8_t cut[RECORD_CUT_SIZE], got[8 + 5 + RECORD_CUT_SIZE];
    assert_true(receive(fd[0], got, sizeof got));
    record_put_cut(cut, 1);
    assert_memory_equal(got + 8 + 5, cut, sizeof cut);
    read_response(fd[1], &t->r);
    /* None of it had been sent, so it may still become whole. */
    assert_out(&t->r, "slow");
    stop(&t->s);
    assert_closed(fd[0]); /* nothing more of it came */
    close(fd[0]);
    close(fd[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_response_without_end_is_cut),
        TEST_BOTH(a_reader_that_does_not_read_is_closed_at_last),
        TEST_BOTH(a_reader_that_comes_too_late_gets_whole_records_and_the_cut),
        TEST(a_stop_waits_a_while_for_a_reader_that_comes_too_late),
        TEST(the_end_of_the_process_cuts_what_has_begun),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
