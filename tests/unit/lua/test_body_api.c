/* Receive and con:gets: the body that the client sent. */
#include "lua/body_api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/page_fixture.h"

/* The entry point with this code answers so to a request with that body. The length is
 * known to it, or not. */
static void assert_answer(const char *code, const char *body, const char *expected)
{
    char length[64];
    snprintf(length, sizeof length, "CONTENT_LENGTH=%zu", strlen(body));
    struct script *s = page(code);
    for (int known = 0; known < 2; known++) {
        struct script_error error = {0};
        begin_request(
            (const char *const[]){"REQUEST_METHOD=POST", known ? length : "A=1", ""});
        peer.body = body;
        const char *got = answer(s, &error);
        if (got == NULL)
            fail_msg("%s: %d: %s", code, error.status, error.message);
        if (strcmp(got, expected) != 0)
            fail_msg("%s answers \"%s\", not \"%s\"", code, got, expected);
    }
    script_close(s);
}

/* It fails so. */
static void assert_fails(const char *code, const char *body, int status, const char *part)
{
    struct script *s = page(code);
    struct script_error error = {0};
    begin_request((const char *const[]){"REQUEST_METHOD=POST", ""});
    peer.body = body;
    assert_null(answer(s, &error));
    assert_int_equal(error.status, status);
    if (strstr(error.message, part) == NULL)
        fail_msg("%s says \"%s\", not \"%s\"", code, error.message, part);
    state_error_clear(&error);
    script_close(s);
}

static void receive_gives_the_whole_body(void **state)
{
    (void)state;
    assert_answer("return Receive()", "some text\n", "some text\n");
    assert_answer("return Receive(nil)", "some text\n", "some text\n");
    assert_answer("return Receive('a')", "some text\n", "some text\n");
    assert_answer("return Receive('*a')", "some text\n", "some text\n");
    assert_answer("return Receive('*all')", "some text\n", "some text\n");
}

static void receive_gives_at_most_so_many_bytes(void **state)
{
    (void)state;
    assert_answer("return Receive(4) .. '|' .. Receive(0) .. '|' .. Receive(2) .. '|' "
                  ".. Receive()",
                  "0123456789", "0123||45|6789");
    assert_answer("return Receive(100)", "0123456789", "0123456789");
    assert_answer("return Receive(math.maxinteger)", "0123456789", "0123456789");
    assert_answer("return Receive('3') .. '|' .. Receive(2.0)", "0123456789", "012|34");
}

static void at_the_end_receive_gives_an_empty_string(void **state)
{
    (void)state;
    assert_answer("return '[' .. Receive() .. Receive() .. Receive(5) .. ']'", "", "[]");
    assert_answer("Receive() return '[' .. Receive() .. Receive(5) .. ']'", "text", "[]");
}

static void what_is_no_number_of_bytes_is_refused(void **state)
{
    (void)state;
    assert_fails("Receive(-1)", "text", 500, "a number of bytes expected");
    assert_fails("Receive(math.mininteger)", "text", 500, "a number of bytes expected");
    assert_fails("Receive(1.5)", "text", 500, "no integer representation");
    assert_fails("Receive('l')", "text", 500, "number expected, got string");
    assert_fails("Receive('')", "text", 500, "number expected, got string");
    assert_fails("Receive({})", "text", 500, "number expected, got table");
}

/* It is not only a part that is there. */
static void a_body_that_comes_in_pieces_is_put_together(void **state)
{
    (void)state;
    peer.chunk = 3;
    assert_answer("return Receive(8) .. '|' .. Receive()", "0123456789ABCDEFG",
                  "01234567|89ABCDEFG");
    assert_answer("return con:gets()", "0123456789", "0123456789");
}

static void a_long_body_arrives_byte_for_byte(void **state)
{
    (void)state;
    enum { LONG = 300000 }; /* many times what is read at once */
    static char body[LONG + 1];
    for (int i = 0; i < LONG; i++)
        body[i] = (char)('a' + i % 25);
    for (peer.chunk = 0; peer.chunk < 60000; peer.chunk += 50021)
        assert_answer("local all = ('abcdefghijklmnopqrstuvwxy'):rep(12000) "
                      "return tostring(Receive(100001) == all:sub(1, 100001)) "
                      ".. tostring(Receive() == all:sub(100002))",
                      body, "truetrue");
}

static void gets_gives_all_and_then_nil(void **state)
{
    (void)state;
    assert_answer("return con:gets() .. tostring(con:gets()) .. tostring(con:gets(5))",
                  "one\ntwo\n", "one\ntwo\nnilnil");
    assert_answer("return tostring(con:gets())", "", "nil");
}

/* As the first luafcgid, which looked at numbers only. */
static void gets_takes_anything_that_is_no_number_for_all(void **state)
{
    (void)state;
    static const char *const arguments[] = {"nil", "'l'", "'*n'", "{}", "true", "print"};
    for (size_t i = 0; i < sizeof arguments / sizeof *arguments; i++) {
        char code[64];
        snprintf(code, sizeof code, "return con:gets(%s)", arguments[i]);
        assert_answer(code, "0123456789", "0123456789");
    }
}

static void gets_gives_at_most_so_many_bytes(void **state)
{
    (void)state;
    assert_answer("return con:gets(4) .. '|' .. con:gets(0) .. '|' .. con:gets(100)",
                  "0123456789", "0123||456789");
    assert_answer("con:gets() return '[' .. con:gets(0) .. ']'", "text", "[]");
    assert_fails("con:gets(-1)", "text", 500, "a number of bytes expected");
}

static void a_body_that_is_too_large_is_an_error(void **state)
{
    (void)state;
    config->max_post_size = 10;
    assert_answer("return Receive()", "0123456789", "0123456789");
    assert_fails("Receive()", "0123456789X", 500, "larger than MaxPostSize");
    assert_fails("con:gets()", "0123456789X", 500, "larger than MaxPostSize");
    assert_fails("Receive(10) Receive(1)", "0123456789X", 500, "larger than MaxPostSize");
}

static void a_body_that_breaks_off_is_an_error_of_the_client(void **state)
{
    (void)state;
    static const enum io_status ends[] = {IO_ABORTED, IO_TIMEOUT};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        peer.body_end = ends[i];
        assert_fails("Receive()", "half", 400, "the body did not arrive whole");
        assert_fails("con:gets()", "half", 400, "the body did not arrive whole");
        assert_answer("return Receive(4)", "half and more", "half");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(receive_gives_the_whole_body),
        TEST(receive_gives_at_most_so_many_bytes),
        TEST(at_the_end_receive_gives_an_empty_string),
        TEST(what_is_no_number_of_bytes_is_refused),
        TEST(a_body_that_comes_in_pieces_is_put_together),
        TEST(a_long_body_arrives_byte_for_byte),
        TEST(gets_gives_all_and_then_nil),
        TEST(gets_takes_anything_that_is_no_number_for_all),
        TEST(gets_gives_at_most_so_many_bytes),
        TEST(a_body_that_is_too_large_is_an_error),
        TEST(a_body_that_breaks_off_is_an_error_of_the_client),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
