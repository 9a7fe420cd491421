/* libfcgi gets a head from memory and gives back its parameters. */
#include "fastcgi/fcgi.h"

#include "tests/records.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SIZE = 16 * FEED_PAGE, MAX = 40000 };

struct bench {
    struct fcgi *fcgi;
    struct feed feed;
    struct message message;
};

static int set_up(void **state)
{
    static struct bench bench;
    bench = (struct bench){.fcgi = fcgi_create()};
    *state = &bench;
    return fcgi_start() && bench.fcgi != NULL && feed_open(&bench.feed, SIZE, MAX) ? 0
                                                                                   : -1;
}

static int tear_down(void **state)
{
    struct bench *t = *state;
    fcgi_destroy(t->fcgi);
    feed_close(&t->feed);
    drop(&t->message);
    return 0;
}

/* A head with these parameters, checked and packed, somewhere in the feed's memory. */
static struct record_head put_in(struct bench *t, size_t at, const struct message *pairs)
{
    struct record_head head = {0};
    t->message.len = 0;
    put_begin(&t->message, 1, 1, 1, 5);
    put_stream(&t->message, RECORD_PARAMS, 1, pairs->data, pairs->len, 8000);
    memcpy(t->feed.data + at, t->message.data, t->message.len);
    assert_int_equal(record_check(&head, t->message.data, t->message.len, MAX),
                     RECORD_COMPLETE);
    head.start += at;
    head.end += at;
    record_pack(&head, t->feed.data);
    return head;
}

static void expect_params(const char *params, size_t len, const struct message *pairs)
{
    assert_int_equal(len, pairs->len);
    assert_memory_equal(params, pairs->data, pairs->len);
    assert_int_equal(params[len], '\0');
}

static void one_request_after_the_other_gets_its_parameters(void **state)
{
    struct bench *t = *state;
    for (unsigned i = 0; i < 300; i++) {
        struct message pairs = {0};
        char value[32], *params = NULL;
        snprintf(value, sizeof value, "/srv/www/%u.lua", i);
        put_pair(&pairs, "SCRIPT_FILENAME", value, i % 2);
        put_pair(&pairs, "EMPTY", "", false);
        struct record_head head = put_in(t, RECORD_PACK_ROOM + i, &pairs);
        assert_true(fcgi_begin(t->fcgi, &t->feed, SIZE, &head, &params));
        expect_params(params, head.params, &pairs);
        fcgi_release(t->fcgi);
        drop(&pairs);
    }
}

static void parameters_may_be_long(void **state)
{
    struct bench *t = *state;
    static char value[30000];
    struct message pairs = {0};
    char *params = NULL;
    memset(value, 'v', sizeof value - 1);
    put_pair(&pairs, "LONG", value, false);
    struct record_head head = put_in(t, RECORD_PACK_ROOM, &pairs);
    assert_true(fcgi_begin(t->fcgi, &t->feed, SIZE, &head, &params));
    expect_params(params, head.params, &pairs);
    fcgi_release(t->fcgi);
    drop(&pairs);
}

/* libfcgi closes the descriptor on which it fails. The next request has another. */
static void after_a_head_that_libfcgi_refuses_the_next_is_served(void **state)
{
    struct bench *t = *state;
    struct message pairs = {0};
    char *params = NULL;
    put_pair(&pairs, "NAME", "value", false);
    struct record_head head = put_in(t, RECORD_PACK_ROOM, &pairs);
    t->feed.data[head.start] = 9; /* no version of FastCGI */
    assert_false(fcgi_begin(t->fcgi, &t->feed, SIZE, &head, &params));
    fcgi_release(t->fcgi);
    head = put_in(t, RECORD_PACK_ROOM, &pairs);
    assert_true(fcgi_begin(t->fcgi, &t->feed, SIZE, &head, &params));
    expect_params(params, head.params, &pairs);
    fcgi_release(t->fcgi);
    drop(&pairs);
}

static void starting_twice_and_destroying_none_are_allowed(void **state)
{
    (void)state;
    assert_true(fcgi_start());
    fcgi_destroy(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_request_after_the_other_gets_its_parameters),
        TEST(parameters_may_be_long),
        TEST(after_a_head_that_libfcgi_refuses_the_next_is_served),
        TEST(starting_twice_and_destroying_none_are_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
