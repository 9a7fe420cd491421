/* Lines of the access log: each directive, and what is escaped. */
#include "http/accessline.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static const char *const params[][2] = {
    {"REMOTE_ADDR", "192.0.2.7"},
    {"REMOTE_USER", "jo"},
    {"REQUEST_METHOD", "GET"},
    {"REQUEST_URI", "/a.lua/x%7E%2?b=\"c\\"},
    {"SCRIPT_NAME", "/a.lua"},
    {"QUERY_STRING", "b=\"c\\"},
    {"SERVER_PROTOCOL", "HTTP/1.1"},
    {"SERVER_NAME", "example.org"},
    {"SERVER_PORT", "80"},
    {"SERVER_ADDR", "192.0.2.1"},
    {"HTTP_USER_AGENT", "a\x01 \xc3\xa9\nz"},
    {"CONTENT_TYPE", "text/plain"},
    {"X_OWN", "own"},
};
static bool only_script_name; /* the web server sends no more */

static struct bytes value_of(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof params / sizeof *params; i++)
        if (strlen(params[i][0]) == len && strcmp(params[i][0], name) == 0 &&
            (!only_script_name || strcmp(name, "SCRIPT_NAME") == 0))
            return (struct bytes){params[i][1], strlen(params[i][1])};
    return (struct bytes){NULL, 0};
}

static struct bytes param(const void *of, const struct accesslog_name *wanted)
{
    (void)of;
    assert_in_range(wanted->number, ACCESSLOG_OTHERS, ACCESSLOG_NUMBERS - 1);
    return value_of(wanted->text, wanted->len);
}

static void known(const void *of, struct bytes *values)
{
    (void)of;
#define VALUE(number, name) values[ACCESSLOG_##number] = value_of(#name, sizeof #name - 1)
    VALUE(METHOD, REQUEST_METHOD);
    VALUE(URI, REQUEST_URI);
    VALUE(SCRIPT_NAME, SCRIPT_NAME);
    VALUE(CLIENT, REMOTE_ADDR);
    VALUE(USER, REMOTE_USER);
    VALUE(PROTOCOL, SERVER_PROTOCOL);
    VALUE(REFERER, HTTP_REFERER);
    VALUE(AGENT, HTTP_USER_AGENT);
#undef VALUE
}

static struct bytes field(const void *of, const char *name)
{
    (void)of;
    bool there = strcmp(name, "ETag") == 0;
    return (struct bytes){there ? "\"v1\"+" : NULL, there ? 4 : 0};
}

static int ids; /* that were asked for */

static struct bytes id(const void *of)
{
    (void)of;
    ids++;
    return (struct bytes){"0123abcd", 8};
}

static struct accessline_entry entry = {
    .known = known,
    .param = param,
    .field = field,
    .id = id,
    .status = "404 Not Found",
    .script = "/srv/a.lua",
    .bytes = 17,
    .microseconds = 2345678,
    .queued = 21,
    .at = 1769860800, /* 2026-01-31T12:00:00Z */
    .peak = 40960,
    .process = 4711,
    .worker = 3,
};

static void assert_line(const char *format, const char *expected)
{
    char wrong[128];
    struct buffer line = {0};
    struct accesslog *f = accesslog_compile(format, wrong, sizeof wrong);
    assert_non_null(f);
    assert_true(accessline_write(f, &entry, &line));
    assert_true(buffer_append(&line, "", 1));
    assert_string_equal(line.data, expected);
    buffer_free(&line);
    accesslog_free(f);
}

static void each_directive_has_its_value(void **state)
{
    (void)state;
    assert_line("%h %a %A %l %u", "192.0.2.7 192.0.2.7 192.0.2.1 - jo\n");
    assert_line("%m %U %q %H %v %p",
                "GET /a.lua/x~%2 ?b=\\\"c\\\\ HTTP/1.1 example.org 80\n");
    assert_line("%s %>s %b %B", "404 404 17 17\n");
    assert_line("%D %T %{s}T %{ms}T %{us}T", "2345678 2 2 2345 2345678\n");
    assert_line("%P %{pid}P %{tid}P %R %f", "4711 4711 3 /srv/a.lua /srv/a.lua\n");
    assert_line("%M %Q %L %{REQUEST_ID}e", "40960 21 0123abcd 0123abcd\n");
    assert_line("%{Content-Type}i %{x-none}i", "text/plain -\n");
    assert_line("%{ETag}o %{None}o", "\\\"v1\\\" -\n");
    assert_line("%{X_OWN}e %{NONE}e", "own -\n");
    assert_line("100%% [%%h] %l%l%>l %%l l", "100% [%h] --- %l l\n");
    assert_line("", "\n");
}

static void formats_have_names(void **state)
{
    (void)state;
    setenv("TZ", "UTC0", 1);
    tzset();
#define LINE                                                                             \
    "192.0.2.7 - jo [31/Jan/2026:12:00:00 +0000] \"GET /a.lua/x%7E%2?b=\\\"c\\\\ "       \
    "HTTP/1.1\" "                                                                        \
    "404 17"
    assert_line("common", LINE "\n");
    assert_line("combined", LINE " \"-\" \"a\\x01 \\xc3\\xa9\\nz\"\n");
    assert_line("timed", LINE " \"-\" \"a\\x01 \\xc3\\xa9\\nz\" 2345678 0123abcd\n");
}

static void the_time_is_local_with_its_zone(void **state)
{
    (void)state;
    setenv("TZ", "UTC-5:30", 1);
    tzset();
    entry.at++;
    assert_line("%t", "[31/Jan/2026:17:30:01 +0530]\n");
    entry.at--;
}

/* Wherever it stands among others that need none. */
static void each_byte_is_escaped_alike_at_each_place(void **state)
{
    (void)state;
    char text[20], alone[16], expected[64];
    for (int byte = 1; byte < 256; byte++) {
        if (byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\')
            snprintf(alone, sizeof alone, "%c", byte);
        else if (byte == '"' || byte == '\\')
            snprintf(alone, sizeof alone, "\\%c", byte);
        else if (byte == '\n' || byte == '\t' || byte == '\r')
            snprintf(alone, sizeof alone, "\\%c",
                     byte == '\n'   ? 'n'
                     : byte == '\t' ? 't'
                                    : 'r');
        else
            snprintf(alone, sizeof alone, "\\x%02x", byte);
        for (int place = 0; place < 17; place++) {
            memset(text, 'a' + place, 17);
            text[17] = '\0';
            text[place] = (char)byte;
            snprintf(expected, sizeof expected, "%.*s%s%s\n", place, text, alone,
                     text + place + 1);
            entry.script = text;
            assert_line("%R", expected);
        }
    }
    entry.script = "/srv/a.lua";
}

/* Numbers of every length, and texts of every length that is copied in another way. */
static void each_length_is_written_whole(void **state)
{
    (void)state;
    char text[65] = "", expected[128];
    uint64_t bytes = entry.bytes, n = 0;
    for (int i = 1; i <= 20; i++) {
        n = n * 10 + (uint64_t)(i % 10);
        entry.bytes = n;
        snprintf(expected, sizeof expected, "%" PRIu64 "|\n", n);
        assert_line("%B|", expected);
    }
    entry.bytes = UINT64_MAX;
    assert_line("%b|", "18446744073709551615|\n");
    entry.bytes = 0;
    assert_line("%b %B", "- 0\n");
    entry.bytes = bytes;
    for (size_t len = 1; len < sizeof text; len++) {
        text[len - 1] = (char)('a' + len % 26);
        entry.script = text;
        snprintf(expected, sizeof expected, "<%s>\n", text);
        assert_line("<%R>", expected);
    }
    entry.script = "/srv/a.lua";
}

static void what_a_client_chose_is_escaped(void **state)
{
    (void)state;
    assert_line("\"%r\" \"%{User-Agent}i\"",
                "\"GET /a.lua/x%7E%2?b=\\\"c\\\\ HTTP/1.1\" \"a\\x01 \\xc3\\xa9\\nz\"\n");
}

static void a_request_gets_an_id_only_for_a_format_that_has_one(void **state)
{
    (void)state;
    ids = 0;
    assert_line("%l %h", "- 192.0.2.7\n");
    assert_int_equal(ids, 0);
    assert_line("%L", "0123abcd\n");
    assert_int_equal(ids, 1);
}

/* There are fewer numbers than such names. */
static void a_format_has_any_number_of_names(void **state)
{
    (void)state;
    char format[1024] = "", expected[1024] = "";
    for (int i = 0; i < 100; i++) {
        strcat(format, i % 2 == 0 ? "%{X_OWN}e " : "%v");
        strcat(expected, i % 2 == 0 ? "own " : "example.org");
    }
    strcat(expected, "\n");
    assert_line(format, expected);
    format[0] = expected[0] = '\0';
    for (int i = 0; i < 60; i++) {
        char item[32];
        snprintf(item, sizeof item, "%%{X_%d}e%%{X_OWN}e", i);
        strcat(format, item);
        strcat(expected, "-own");
    }
    strcat(expected, "\n");
    assert_line(format, expected);
}

static void a_script_name_stands_in_for_an_address(void **state)
{
    (void)state;
    only_script_name = true;
    assert_line("%r %h %q", "- /a.lua - - \n");
    only_script_name = false;
}

/* Whatever directive stands where the line ends. */
static void each_directive_is_cut_at_the_bound(void **state)
{
    (void)state;
    static const char *const directives[] = {"%D", "%t", "%r", "%s", "%U", "%{X_OWN}e",
                                             "%b", "%q", "%R", "%L", "%u", "%M"};
    static char format[ACCESSLINE_MAX + 64], wrong[128];
    struct buffer line = {0};
    for (size_t i = 0; i < sizeof directives / sizeof *directives; i++)
        for (size_t before = ACCESSLINE_MAX - 40; before <= ACCESSLINE_MAX; before++) {
            memset(format, 'x', before);
            strcpy(format + before, directives[i]);
            strcat(format, "%D%t|%r");
            struct accesslog *f = accesslog_compile(format, wrong, sizeof wrong);
            assert_true(accessline_write(f, &entry, &line));
            assert_in_range(line.len, ACCESSLINE_MAX - 4, ACCESSLINE_MAX);
            assert_ptr_equal(memchr(line.data, '\n', line.len), line.data + line.len - 1);
            accesslog_free(f);
        }
    buffer_free(&line);
}

static void a_line_is_never_longer_than_its_bound(void **state)
{
    (void)state;
    static char format[20001], wrong[128];
    struct buffer line = {0};
    memset(format, 'x', sizeof format - 1);
    struct accesslog *f = accesslog_compile(format, wrong, sizeof wrong);
    assert_non_null(f);
    assert_true(accessline_write(f, &entry, &line));
    assert_int_equal(line.len, ACCESSLINE_MAX);
    assert_int_equal(line.data[line.len - 1], '\n');
    accesslog_free(f);
    for (size_t i = 0; i + 2 < sizeof format; i += 2)
        memcpy(format + i, "%r", 2);
    f = accesslog_compile(format, wrong, sizeof wrong);
    assert_true(accessline_write(f, &entry, &line));
    assert_in_range(line.len, ACCESSLINE_MAX - 4, ACCESSLINE_MAX);
    assert_int_equal(line.data[line.len - 1], '\n');
    accesslog_free(f);
    buffer_free(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_directive_has_its_value),
        cmocka_unit_test(formats_have_names),
        cmocka_unit_test(the_time_is_local_with_its_zone),
        cmocka_unit_test(each_length_is_written_whole),
        cmocka_unit_test(what_a_client_chose_is_escaped),
        cmocka_unit_test(each_byte_is_escaped_alike_at_each_place),
        cmocka_unit_test(a_request_gets_an_id_only_for_a_format_that_has_one),
        cmocka_unit_test(a_format_has_any_number_of_names),
        cmocka_unit_test(a_script_name_stands_in_for_an_address),
        cmocka_unit_test(a_line_is_never_longer_than_its_bound),
        cmocka_unit_test(each_directive_is_cut_at_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
