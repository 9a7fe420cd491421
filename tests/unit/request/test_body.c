/* The body of a request: how much of it is read, how long that may take, how it ends. */
#include "request/body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/peer_fixture.h"

static struct config config;
static struct fake_peer fake;
static struct peer peer;
static struct params params;
static struct body body;

/* Begins with the body of such a request; `length` -1: unknown. */
static void begin(const char *method, int64_t length)
{
    params.values[PARAM_REQUEST_METHOD] = method;
    params.content_length = length;
    body_begin(&body, &peer, &config, &params);
}

static int set_up(void **state)
{
    (void)state;
    config = (struct config){.max_post_size = 10};
    fake = (struct fake_peer){0};
    peer = (struct peer){.operations = &fake_peer_operations, .context = &fake};
    begin("POST", -1);
    return 0;
}

static void it_is_read_until_it_is_over(void **state)
{
    (void)state;
    char data[8];
    fake.body = "0123456789";
    assert_int_equal(body_read(&body, data, 0), 0);
    assert_int_equal(body_read(&body, data, 8), 8);
    assert_memory_equal(data, "01234567", 8);
    assert_int_equal(body_read(&body, data, 8), 2);
    assert_int_equal(body.state, BODY_COMING);
    assert_int_equal(body_read(&body, data, 8), 0);
    assert_int_equal(body.state, BODY_OVER);
    assert_int_equal(body.received, 10);
    assert_false(peer.cut || peer.gone);
    fake.body = "more";
    assert_int_equal(body_read(&body, data, 8), 0);
}

static void what_is_larger_than_allowed_is_not_handed_out(void **state)
{
    (void)state;
    char data[8];
    fake.body = "0123456789X";
    assert_int_equal(body_read(&body, data, 8), 8);
    assert_int_equal(body_read(&body, data, 8), 0);
    assert_int_equal(body.state, BODY_TOO_LARGE);
    assert_int_equal(body_read(&body, data, 8), 0);
    assert_false(peer.cut || peer.gone);

    config.max_post_size = 0; /* no limit */
    begin("POST", -1);
    fake.body = "0123456789X";
    while (body_read(&body, data, 8) > 0)
        ;
    assert_int_equal(body.received, 11);
    assert_int_equal(body.state, BODY_OVER);
}

static void what_ends_before_its_length_has_failed(void **state)
{
    (void)state;
    static const struct {
        const char *method, *body;
        int64_t length;
        enum body_state state;
    } rows[] = {
        {"POST", "0123", 4, BODY_OVER},   {"POST", "0123", 3, BODY_OVER},
        {"POST", "0123", 5, BODY_FAILED}, {"POST", "", 4, BODY_FAILED},
        {"GET", "", 4, BODY_OVER}, /* a web server kept it back */
        {"HEAD", "", 4, BODY_OVER},       {"GET", "0123", 5, BODY_FAILED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char data[8];
        begin(rows[i].method, rows[i].length);
        assert_int_equal(body_left(&body), rows[i].length);
        fake.body = rows[i].body;
        while (body_read(&body, data, 8) > 0)
            ;
        assert_int_equal(body.state, rows[i].state);
        assert_false(peer.cut || peer.gone);
    }
}

static void what_does_not_arrive_has_failed(void **state)
{
    (void)state;
    char data[8];
    fake.body = "0123";
    fake.body_end = IO_ABORTED;
    assert_int_equal(body_read(&body, data, 8), 4);
    assert_int_equal(body_read(&body, data, 8), 0);
    assert_int_equal(body.state, BODY_FAILED);
    assert_true(peer.cut && peer.gone);

    set_up(NULL);
    fake.body_end = IO_TIMEOUT; /* such a peer can still be told so */
    assert_int_equal(body_read(&body, data, 8), 0);
    assert_int_equal(body.state, BODY_FAILED);
    assert_false(peer.cut || peer.gone);
}

/* The longest that a read waits, in milliseconds. */
static int64_t patience(int64_t read_timeout, int64_t request_timeout, int64_t received,
                        int64_t awaited)
{
    char data[1];
    config.read_timeout = read_timeout;
    config.request_timeout = request_timeout;
    begin("POST", -1);
    body.received = received;
    body.awaited = awaited;
    body_read(&body, data, 1);
    return fake.patience;
}

static void slow_ones_are_served_when_they_are_steady(void **state)
{
    (void)state;
    assert_int_equal(patience(0, 0, 0, 99999), -1);
    assert_int_equal(patience(5000, 0, 0, 99999), 5000);
    assert_int_equal(patience(0, 30000, 0, 10000), 20000);
    assert_int_equal(patience(5000, 30000, 0, 10000), 5000);
    assert_int_equal(patience(5000, 30000, 0, 28000), 2000);
    assert_int_equal(patience(5000, 30000, 0, 40000), 0);
    assert_int_equal(patience(5000, 30000, 13000, 40000), 3000);
}

/* The reads do not wait, but all waits together have the same limits. */
static void who_waits_himself_does_it_as_long(void **state)
{
    (void)state;
    char data[4];
    bool later;
    config.read_timeout = 100;
    config.request_timeout = 150;
    begin("POST", 10);
    fake.body = "0123";
    assert_int_equal(body_try_read(&body, data, 4, &later), 4);
    assert_int_equal(fake.patience, 0);
    assert_false(later);
    fake.body_end = IO_TIMEOUT;
    assert_int_equal(body_try_read(&body, data, 4, &later), 0);
    assert_true(later);
    assert_int_equal(body.state, BODY_COMING);
    assert_int_equal(body_patience(&body), 100);
    body_note_wait(&body, 90, false);
    assert_int_equal(body_patience(&body), 150 + 4 - 90);
    fake.body = "4567";
    assert_int_equal(body_try_read(&body, data, 4, &later), 4);
    body_note_wait(&body, 1000, false);
    assert_int_equal(body_patience(&body), 0);
    body_note_wait(&body, 0, true);
    assert_int_equal(body.state, BODY_FAILED);
    assert_int_equal(body_try_read(&body, data, 4, &later), 0);
    assert_false(later);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(it_is_read_until_it_is_over, set_up),
        cmocka_unit_test_setup(what_is_larger_than_allowed_is_not_handed_out, set_up),
        cmocka_unit_test_setup(what_ends_before_its_length_has_failed, set_up),
        cmocka_unit_test_setup(what_does_not_arrive_has_failed, set_up),
        cmocka_unit_test_setup(slow_ones_are_served_when_they_are_steady, set_up),
        cmocka_unit_test_setup(who_waits_himself_does_it_as_long, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
