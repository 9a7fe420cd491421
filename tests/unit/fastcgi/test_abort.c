/* FCGI_ABORT_REQUEST among the bytes that nobody has read: seen wherever it is, and taken
 * for nothing else. */
#include "fastcgi/abort.h"

#include "fastcgi/slot.h"
#include "tests/unit/connection_fixture.h"

static int peer;
static struct connection connection;

static int open_pair(void **state)
{
    int ends[2];
    (void)state;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return -1;
    connection = (struct connection){.fd = ends[0], .id = 1};
    peer = ends[1];
    return 0;
}

static int close_pair(void **state)
{
    (void)state;
    close(connection.fd);
    close(peer);
    return 0;
}

/* All bytes of the message, split at each place: the first are in memory, the others in
 * the socket. Nothing of it is taken. */
static void assert_found(const struct message *m, bool expected)
{
    uint8_t left[4096];
    for (size_t split = 0; split <= m->len; split++) {
        connection.pending = m->data;
        connection.pending_len = split;
        send_all(peer, m->data + split, m->len - split);
        if (abort_has_come(&connection, true) != expected)
            fail_msg("split at %zu of %zu", split, m->len);
        assert_int_equal(abort_has_come(&connection, false), expected && split == m->len);
        if (split < m->len)
            assert_int_equal(recv(connection.fd, left, sizeof left, MSG_DONTWAIT),
                             m->len - split);
        assert_memory_equal(left, m->data + split, m->len - split);
    }
}

static void it_is_found_wherever_it_is(void **state)
{
    struct message m = {0};
    (void)state;
    put_record(&m, RECORD_ABORT_REQUEST, 1, "", 0, 0);
    assert_found(&m, true);
    connection.body = IO_END;
    assert_found(&m, true);
    connection.body = IO_OK;
    m.len = 0;
    put_record(&m, RECORD_STDIN, 1, "", 0, 0);
    put_record(&m, RECORD_ABORT_REQUEST, 1, "", 0, 0);
    assert_found(&m, true);
    m.len = 0;
    put_record(&m, RECORD_STDIN, 1, "some of a body", 14, 2);
    put_record(&m, RECORD_GET_VALUES, 0, "\0\0", 2, 0);
    put_record(&m, RECORD_ABORT_REQUEST, 2, "", 0, 0);
    put_record(&m, RECORD_ABORT_REQUEST, 1, "", 0, 0);
    assert_found(&m, true);
    drop(&m);
}

static void it_is_found_behind_a_record_that_has_been_begun(void **state)
{
    struct message m = {0};
    (void)state;
    put(&m, "left of itppp", 13);
    put_record(&m, RECORD_ABORT_REQUEST, 1, "", 0, 0);
    connection.content = 10;
    connection.padding = 3;
    assert_found(&m, true);
    connection.padding = 4;
    assert_found(&m, false);
    drop(&m);
}

/* What looks like one may be content, of another request, or not there yet. */
static void nothing_else_is_taken_for_it(void **state)
{
    struct message m = {0}, inner = {0};
    (void)state;
    assert_found(&m, false);
    put_record(&inner, RECORD_ABORT_REQUEST, 1, "", 0, 0);
    put_record(&m, RECORD_STDIN, 1, inner.data, inner.len, 0);
    assert_found(&m, false);
    m.len = 0;
    put_record(&m, RECORD_ABORT_REQUEST, 2, "", 0, 0);
    assert_found(&m, false);
    m.len = 0;
    put_head(&m, 1, true, "next", 0);
    put_record(&m, RECORD_ABORT_REQUEST, 1, "", 0, 0);
    assert_found(&m, false);
    m.len = 0;
    put_record(&m, RECORD_STDIN, 1, "x", 1, 0);
    put_record(&m, RECORD_ABORT_REQUEST, 1, "", 0, 0);
    m.len--;
    assert_found(&m, false);
    drop(&m);
    drop(&inner);
}

static void a_connection_that_is_no_more_of_use_has_none(void **state)
{
    struct message m = {0};
    (void)state;
    put_record(&m, RECORD_ABORT_REQUEST, 1, "", 0, 0);
    connection.body = IO_ABORTED;
    assert_found(&m, false);
    connection.body = IO_OK;
    connection.output = IO_ABORTED; /* then what is in memory is output */
    assert_found(&m, false);
    drop(&m);
}

#define PAIRED(function) cmocka_unit_test_setup_teardown(function, open_pair, close_pair)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIRED(it_is_found_wherever_it_is),
        PAIRED(it_is_found_behind_a_record_that_has_been_begun),
        PAIRED(nothing_else_is_taken_for_it),
        PAIRED(a_connection_that_is_no_more_of_use_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
