/* Answers to records that do not belong to the request in progress. */
#include "fastcgi/answer.h"

#include "tests/unit/connection_fixture.h"

static struct connections set = {.size = 64, .workers = 2};
static struct connection_reader reader = {.set = &set};
static struct connection connection;
static int peer;
static uint8_t answer[256];

static int set_up_pair(void **state)
{
    (void)state;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
        return -1;
    connection = (struct connection){.fd = pair[0], .reader = &reader};
    peer = pair[1];
    return 0;
}

static int tear_down_pair(void **state)
{
    (void)state;
    close(connection.fd);
    if (peer >= 0)
        close(peer);
    return 0;
}

static size_t read_answer(void)
{
    ssize_t n = recv(peer, answer, sizeof answer, MSG_DONTWAIT);
    return n < 0 ? 0 : (size_t)n;
}

static void values_are_those_of_the_set(void **state)
{
    (void)state;
    static const uint8_t expected[] = "\1\12\0\0\0\42\6\0\16\2FCGI_MAX_CONNS64"
                                      "\15\1FCGI_MAX_REQS2";
    struct message m = {0};
    put_record(&m, RECORD_GET_VALUES, 0, "\16\0FCGI_MAX_CONNS\15\0FCGI_MAX_REQS", 31, 0);
    assert_true(answer_values(&connection, m.data));
    assert_int_equal(read_answer(), 8 + 34 + 6);
    assert_memory_equal(answer, expected, sizeof expected - 1);
    drop(&m);
}

static void an_unknown_type_is_named(void **state)
{
    (void)state;
    assert_true(answer_unknown(&connection, 99));
    assert_int_equal(read_answer(), RECORD_END_SIZE);
    assert_int_equal(answer[1], RECORD_UNKNOWN_TYPE);
    assert_int_equal(answer[8], 99);
}

static void an_end_has_its_id_and_its_status(void **state)
{
    (void)state;
    assert_true(answer_end(&connection, 0x1234, RECORD_CANT_MPX_CONN));
    assert_int_equal(read_answer(), RECORD_END_SIZE);
    assert_int_equal(answer[1], RECORD_END_REQUEST);
    assert_int_equal(answer[2] << 8 | answer[3], 0x1234);
    assert_int_equal(answer[12], RECORD_CANT_MPX_CONN);
}

static void who_does_not_read_gets_nothing_more(void **state)
{
    (void)state;
    while (io_send(connection.fd, big_body, 4096) > 0)
        ;
    assert_false(answer_unknown(&connection, 99));
    assert_int_equal(connection.output, IO_ABORTED);
    while (recv(peer, answer, sizeof answer, MSG_DONTWAIT) > 0)
        ;
    assert_false(answer_unknown(&connection, 99));
    assert_int_equal(read_answer(), 0);
}

static void a_peer_that_is_gone_is_noticed(void **state)
{
    (void)state;
    close(peer);
    peer = -1;
    assert_false(answer_end(&connection, 1, RECORD_REQUEST_COMPLETE));
    assert_int_equal(connection.output, IO_ABORTED);
}

#define WITH_PAIR(name) cmocka_unit_test_setup_teardown(name, set_up_pair, tear_down_pair)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PAIR(values_are_those_of_the_set),
        WITH_PAIR(an_unknown_type_is_named),
        WITH_PAIR(an_end_has_its_id_and_its_status),
        WITH_PAIR(who_does_not_read_gets_nothing_more),
        WITH_PAIR(a_peer_that_is_gone_is_noticed),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
