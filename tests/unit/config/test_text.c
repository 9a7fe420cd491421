/* What the text of an option may look like: each shape with what is just inside it and
 * what is just outside. */
#include "config/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_good(bool (*check)(const char *), const char *const *texts)
{
    for (; *texts != NULL; texts++)
        if (!check(*texts))
            fail_msg("\"%s\" is refused", *texts);
}

static void assert_bad(bool (*check)(const char *), const char *const *texts)
{
    for (; *texts != NULL; texts++)
        if (check(*texts))
            fail_msg("\"%s\" is taken", *texts);
}

#define GOOD(check, ...) assert_good(check, (const char *const[]){__VA_ARGS__, NULL})
#define BAD(check, ...)  assert_bad(check, (const char *const[]){__VA_ARGS__, NULL})

static void filled(void **state)
{
    (void)state;
    GOOD(text_filled, "x", " ");
    BAD(text_filled, "");
}

static void listen_addresses(void **state)
{
    (void)state;
    char path[109];
    memset(path, 'x', sizeof path);
    memcpy(path, "/run/", 5);
    path[108] = '\0';
    BAD(text_listen, path); /* sun_path takes 107 bytes */
    path[107] = '\0';
    GOOD(text_listen, path);
    GOOD(text_listen, "/run/x.sock", "x.sock", "./dir/with:colon/x.sock",
         "127.0.0.1:9000", "localhost:1", "some-host.example:65535", ":9000", "*:9000",
         "[::1]:9000", "[::]:1", "fd:0", "fd:65535");
    BAD(text_listen, "", "9000", "host:", "host:0", "host:65536", "host:http", "host:-1",
        "host:+1", "host: 1", "::1:9000", "[::1]", "[::1]:", "[::1:9000", "[]:9000",
        "[127.0.0.1]:9000", "ho st:9000", "fd:", "fd:-1", "fd:65536", "fd:x");
}

static void addresses_that_others_can_reach(void **state)
{
    (void)state;
    GOOD(text_listen_is_public, "*:9000", "192.0.2.1:9000", "[::]:9000",
         "example.org:9000");
    BAD(text_listen_is_public, "/run/x.sock", "x.sock", ":9000", "127.0.0.1:9000",
        "127.1.2.3:9000", "localhost:9000", "[::1]:9000", "fd:3", "./a:b/c");
}

static void http_statuses(void **state)
{
    (void)state;
    GOOD(text_status, "200 OK", "404 Not Found", "299 x", "500 \xc3\xa9");
    BAD(text_status, "", "200", "200 ", "200  OK", "20 OK", "2000 OK", "600 No", "099 No",
        "2x0 OK", " 200 OK", "200 O\nK", "200 OK\r", "200 \x7f", "200\tOK");
}

static void content_types(void **state)
{
    (void)state;
    GOOD(text_content_type, "text/html", "text/html; charset=utf-8",
         "application/vnd.api+json", "x/y");
    BAD(text_content_type, "", "text", "text/", "/html", "text /html",
        "text/html\r\nX: y", "text/\thtml");
}

static void header_lines(void **state)
{
    (void)state;
    GOOD(text_headers, "", "A: b", "A: b\r\n", "A: b\nC: d\r\n\r\n",
         "A:", "X-Y_z!#$%&'*+.^`|~: \tv\xff");
    BAD(text_headers, "A", ": b", "A : b", " A: b", "A: b\rC: d", "A: \x01", "A: b\nC",
        "A\xe9: b", "A: \x7f");
}

static void header_lines_in_their_one_form(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", ""},
        {"A: b", "A: b\r\n"},
        {"A: b\n", "A: b\r\n"},
        {"A: b\r\n", "A: b\r\n"},
        {"A: b\n\nC: d\r\n\r\n", "A: b\r\nC: d\r\n"},
        {"\n\nA:", "A:\r\n"},
        {"A\nB\nC\nD", "A\r\nB\r\nC\r\nD\r\n"}, /* the most that a text can grow */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *normal = text_headers_normal(rows[i][0]);
        assert_non_null(normal);
        assert_string_equal(normal, rows[i][1]);
        free(normal);
    }
}

static void tokens(void **state)
{
    (void)state;
    GOOD(text_token, "XLuaSession", "__Host-id", "a.b", "1", "!#$%&'*+-.^_`|~");
    BAD(text_token, "", "a b", "a;", "a=", "\"a\"", "a,b", "(a)", "a/b", "\xe9", "a\n");
}

static void cookie_domains(void **state)
{
    (void)state;
    char name[260];
    memset(name, 'a', sizeof name);
    name[253] = '\0';
    GOOD(text_domain, "", "example.org", ".example.org", "localhost", "a-b.c1", name);
    name[253] = 'a';
    name[254] = '\0';
    BAD(text_domain, name, ".", "..a", "a..b", "a.", "-a", "a b", "a_b", "a;b", "a:80");
}

static void users_and_groups(void **state)
{
    (void)state;
    GOOD(text_user, "", "root", "0", "12345");
    GOOD(text_group, "", "root", "0", "12345");
    BAD(text_user, "no such user", "-1", "1000000000");
    BAD(text_group, "no such group", "-1", "1000000000");
}

static void headers_that_hand_files_on(void **state)
{
    (void)state;
    GOOD(text_send_file, "", "X-Sendfile", "X-LIGHTTPD-send-file",
         "X-Accel-Redirect: /srv/files=/files", "X-Accel-Redirect:/a=/b,/c/=/d/ , /e=/f");
    BAD(text_send_file, "X-Accel-Redirect", "x-accel-redirect",
        "X-Accel-Redirect:", "X-Accel-Redirect: a=/b", "X-Accel-Redirect: /a=b",
        "X-Accel-Redirect: /a", "X-Accel-Redirect: /a=/b,", "X Sendfile", ": /a=/b",
        "X-Sendfile\n");
}

static void extensions(void **state)
{
    (void)state;
    GOOD(text_extension, ".lua", ".l", ".tar.gz");
    BAD(text_extension, "", ".", "lua", "./x", ".a/b");
}

static void modes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned mode;
    } rows[] = {{"660", 0660}, {"0660", 0660}, {"000", 0}, {"0777", 0777}, {"777", 0777}};
    static const char *const bad[] = {"",      "6",     "66",   "8",    "680", "1777",
                                      "00660", "0x1b0", "660 ", "-660", "u=rw"};
    unsigned mode;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_true(text_mode(rows[i].text, &mode));
        assert_int_equal(mode, rows[i].mode);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (text_mode(bad[i], &mode))
            fail_msg("\"%s\" is taken", bad[i]);
}

static void distances(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        unsigned most, distance;
    } rows[] = {
        {"", "", 5, 0},
        {"abc", "abc", 0, 0},
        {"", "abc", 5, 3},
        {"abc", "", 5, 3},
        {"kitten", "sitting", 5, 3},
        {"ab", "ba", 5, 2},
        {"Worker", "Workers", 2, 1},
        {"kitten", "sitting", 2, 3}, /* more than `most` */
        {"abcd", "wxyz", 3, 4},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(text_distance(rows[i].a, rows[i].b, rows[i].most),
                         rows[i].distance);
    char most[64], more[65];
    memset(most, 'a', sizeof most);
    memset(more, 'a', sizeof more);
    most[63] = more[64] = '\0';
    assert_int_equal(text_distance(most, most, 2), 0);
    assert_int_equal(text_distance(most, more, 2), 3); /* too long to be told */
    assert_int_equal(text_distance(more, most, 2), 3);
}

static void names_alike(void **state)
{
    (void)state;
    static const char *const alike[][2] = {{"WorkerThreads", "worker_threads"},
                                           {"", "___"},
                                           {"a", "A_"},
                                           {"_Listen", "LISTEN"}};
    static const char *const unlike[][2] = {
        {"Worker", "Workers"}, {"a", ""}, {"a-b", "ab"}, {"ab", "ac"}};
    for (size_t i = 0; i < sizeof alike / sizeof *alike; i++)
        assert_true(text_similar(alike[i][0], alike[i][1]));
    for (size_t i = 0; i < sizeof unlike / sizeof *unlike; i++)
        assert_false(text_similar(unlike[i][0], unlike[i][1]));
}

static void distance_is_that_of_levenshtein(void **state)
{
    (void)state;
    assert_int_equal(text_distance("", "", 2), 0);
    assert_int_equal(text_distance("abc", "abc", 2), 0);
    assert_int_equal(text_distance("abc", "ab", 2), 1);
    assert_int_equal(text_distance("kitten", "sitting", 5), 3);
    assert_int_equal(text_distance("kitten", "sitting", 2), 3);
    assert_int_equal(text_distance("", "abc", 3), 3);
    assert_true(text_similar("Worker_Threads", "workerthreads"));
    assert_false(text_similar("Worker", "Workers"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filled),
        cmocka_unit_test(listen_addresses),
        cmocka_unit_test(addresses_that_others_can_reach),
        cmocka_unit_test(http_statuses),
        cmocka_unit_test(content_types),
        cmocka_unit_test(header_lines),
        cmocka_unit_test(header_lines_in_their_one_form),
        cmocka_unit_test(tokens),
        cmocka_unit_test(cookie_domains),
        cmocka_unit_test(users_and_groups),
        cmocka_unit_test(headers_that_hand_files_on),
        cmocka_unit_test(extensions),
        cmocka_unit_test(modes),
        cmocka_unit_test(distances),
        cmocka_unit_test(names_alike),
        cmocka_unit_test(distance_is_that_of_levenshtein),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
