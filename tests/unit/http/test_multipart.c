/* Bodies of type multipart/form-data, in pieces of every size (RFC 7578, RFC 2046). */
#include "http/multipart.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TYPE "multipart/form-data; boundary=b"

static struct multipart m;

/* What the body holds, "[name|file|type|data]" for each part, then "." at its end, "!" if
 * it is malformed and "~" if it is cut; it comes in pieces of `step` bytes. */
static const char *read_in_steps(const char *body, size_t size, size_t step)
{
    static char text[4096];
    int len = 0;
    struct multipart_part part;
    enum multipart_event event = MULTIPART_MORE;
    assert_true(multipart_begin(&m, TYPE, sizeof TYPE - 1));
    for (size_t at = 0; at < size && event != MULTIPART_MALFORMED; at += step) {
        size_t n = size - at < step ? size - at : step;
        char *piece = malloc(n); /* so that a sanitizer sees what is beyond it */
        const char *in = piece;
        assert_non_null(piece);
        memcpy(piece, body + at, n);
        while ((event = multipart_next(&m, &in, &n, &part)) != MULTIPART_MORE) {
            size_t room = sizeof text - (size_t)len;
            if (event == MULTIPART_PART)
                len += snprintf(text + len, room, "[%.*s|%.*s|%.*s|", (int)part.name_len,
                                part.name, (int)part.file_len,
                                part.file == NULL ? "" : part.file, (int)part.type_len,
                                part.type);
            else if (event == MULTIPART_DATA)
                len += snprintf(text + len, room, "%.*s", (int)part.data_len, part.data);
            else
                len += snprintf(text + len, room, "%s",
                                event == MULTIPART_PART_END ? "]"
                                : event == MULTIPART_END    ? "."
                                                            : "!");
            if (event == MULTIPART_MALFORMED)
                break;
        }
        free(piece);
    }
    bool cut = event != MULTIPART_MALFORMED && !multipart_is_whole(&m);
    snprintf(text + len, sizeof text - (size_t)len, "%s", cut ? "~" : "");
    return text;
}

static void assert_body(const char *body, const char *expected)
{
    size_t size = strlen(body);
    for (size_t step = 1; step <= size; step++)
        if (strcmp(read_in_steps(body, size, step), expected) != 0)
            fail_msg("in steps of %zu: %s, not %s", step, read_in_steps(body, size, step),
                     expected);
}

#define FIELD(name) "--b\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n"
#define UPLOAD(name, file)                                                               \
    "--b\r\nContent-Disposition: form-data; name=\"" name "\"; filename=\"" file         \
    "\"\r\nContent-Type: text/plain\r\n\r\n"
#define END "\r\n--b--\r\n"

static void fields_and_files_are_told_apart(void **state)
{
    (void)state;
    assert_body(FIELD("a") "1" END, "[a|||1].");
    assert_body(FIELD("a") "1\r\n" UPLOAD("f", "x.txt") "data" END,
                "[a|||1][f|x.txt|text/plain|data].");
    assert_body(FIELD("a") END, "[a|||].");
    assert_body("--b--\r\n", ".");
    assert_body("--b--", ".");
}

static void data_may_look_like_a_boundary(void **state)
{
    (void)state;
    assert_body(FIELD("a") "\r\n--\r\n-\r\r\n--a--b" END,
                "[a|||\r\n--\r\n-\r\r\n--a--b].");
    assert_body(FIELD("a") "\r\n\r\n" END, "[a|||\r\n\r\n].");
    assert_body(FIELD("a") "x\n--b\n" END, "[a|||x\n--b\n].");
    assert_body(FIELD("a") "x\r\n--c\r\n" END, "[a|||x\r\n--c\r\n].");
}

static void what_is_around_the_parts_is_dropped(void **state)
{
    (void)state;
    assert_body("preamble --b\r\n" FIELD("a") "1" END "epilogue\r\n--b\r\n", "[a|||1].");
    assert_body("\r\n" FIELD("a") "1" END, "[a|||1].");
    assert_body("--b \t\r\nContent-Disposition: form-data; name=a\r\n\r\n1" END,
                "[a|||1].");
}

static void headers_are_read_as_programs_send_them(void **state)
{
    (void)state;
    assert_body("--b\r\nX-Other: 1\r\ncontent-DISPOSITION:form-data;NAME=a\r\n\r\n1" END,
                "[a|||1].");
    assert_body("--b\r\nContent-Disposition: form-data;\r\n\tname=a\r\n\r\n1" END,
                "[a|||1].");
    assert_body(FIELD("q%22q\\\"") "1" END, "[q\"q\"|||1].");
    assert_body(UPLOAD("f", "") END, "[f||text/plain|].");
    assert_body("--b\r\nContent-Disposition: form-data; name=f; "
                "filename*=UTF-8''caf%c3%A9%00.txt\r\n\r\n1" END,
                "[f|caf\xc3\xa9.txt||1].");
    assert_body("--b\r\nContent-Disposition: form-data; name=f; filename=a; "
                "filename*=UTF-8''b\r\n\r\n1" END,
                "[f|a||1].");
}

static void names_of_files_have_no_path(void **state)
{
    (void)state;
    assert_body(UPLOAD("f", "/etc/passwd") END, "[f|passwd|text/plain|].");
    assert_body(UPLOAD("f", "C:\\a\\b.txt") END, "[f|b.txt|text/plain|].");
    assert_body(UPLOAD("f", "a/..") END, "[f|_|text/plain|].");
    assert_body(UPLOAD("f", ".") END, "[f|_|text/plain|].");
    assert_body(UPLOAD("f", "..x") END, "[f|..x|text/plain|].");
}

static void bodies_that_end_early_are_cut(void **state)
{
    (void)state;
    static const char body[] = FIELD("a") "1\r\n--b--";
    for (size_t size = 1; size < sizeof body - 1; size++) {
        const char *got = read_in_steps(body, size, 3);
        assert_int_equal(got[strlen(got) - 1], '~');
    }
}

static void malformed_bodies_are_told(void **state)
{
    (void)state;
    assert_body("--bx\r\n", "!");
    assert_body("--b-x", "!");
    assert_body("--b\r\r", "!");
    assert_body("--b x", "!");
    assert_body(FIELD("a") "1\r\n--bc\r\n" END, "[a|||1]!");
    assert_body("--b\r\n\r\n1" END, "!");
    assert_body("--b\r\nContent-Type: text/plain\r\n\r\n1" END, "!");
    assert_body("--b\r\nContent-Disposition: attachment; name=a\r\n\r\n1" END, "!");
    assert_body("--b\r\nContent-Disposition: form-data; file=a\r\n\r\n1" END, "!");
    assert_body("--b\r\nContent-Disposition: form-data; name=\"a\r\n\r\n1" END, "!");
    assert_body("--b\r\nno colon\r\n\r\n1" END, "!");
    assert_body("--b\r\nA: \x01\r\n\r\n1" END, "!");
    assert_body("--b\r\nA: x\ny\r\n\r\n1" END, "!");
    assert_string_equal(m.why, "a part has a control character in its header");
}

static void a_head_that_never_ends_is_refused(void **state)
{
    (void)state;
    static char body[MULTIPART_HEAD_MAX + 100];
    memset(body, 'x', sizeof body);
    memcpy(body, "--b\r\n", 5);
    assert_string_equal(read_in_steps(body, sizeof body, 1000), "!");
    assert_string_equal(m.why, "the header of a part is too large");
}

static bool begins(const char *type)
{
    return multipart_begin(&m, type, strlen(type));
}

static void the_boundary_is_taken_from_the_type(void **state)
{
    (void)state;
    char type[200] = "multipart/form-data; charset=utf-8; boundary=\"a b\"";
    assert_true(begins(type));
    assert_memory_equal(m.delimiter, "\r\n--a b", m.delimiter_len);
    assert_true(begins("multipart/form-data;Boundary=x"));
    assert_false(begins("multipart/form-data"));
    assert_false(begins("multipart/form-data; boundary="));
    assert_false(begins("multipart/form-data; boundary=\"x \""));
    assert_false(begins("multipart/form-data; boundary=a\x01"));
    memcpy(type, "x; boundary=", 12);
    memset(type + 12, 'x', 71);
    type[12 + 71] = '\0';
    assert_false(begins(type));
    type[12 + 70] = '\0';
    assert_true(begins(type));
}

static void the_type_is_known_in_any_case(void **state)
{
    (void)state;
    assert_true(multipart_is_type("Multipart/Form-Data ; boundary=b", 32));
    assert_true(multipart_is_type("multipart/form-data", 19));
    assert_false(multipart_is_type("multipart/form-dat", 18));
    assert_false(multipart_is_type("multipart/form-data-x", 21));
    assert_false(multipart_is_type("", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_and_files_are_told_apart),
        cmocka_unit_test(data_may_look_like_a_boundary),
        cmocka_unit_test(what_is_around_the_parts_is_dropped),
        cmocka_unit_test(headers_are_read_as_programs_send_them),
        cmocka_unit_test(names_of_files_have_no_path),
        cmocka_unit_test(bodies_that_end_early_are_cut),
        cmocka_unit_test(malformed_bodies_are_told),
        cmocka_unit_test(a_head_that_never_ends_is_refused),
        cmocka_unit_test(the_boundary_is_taken_from_the_type),
        cmocka_unit_test(the_type_is_known_in_any_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
