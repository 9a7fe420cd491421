/* Uploaded files as scripts see them: read, saved, and gone after the request. */
#include "lua/upload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/form_fixture.h"

#include <sys/stat.h>

#define FILE_PART(file, data)                                                            \
    "--b\r\n" DISPOSITION "name=f; filename=" file                                       \
    "\r\nContent-Type: text/x-y\r\n\r\n" data "\r\n"
#define END "--b--\r\n"
#define ONE FILE_PART("x.txt", "0123456789") END

static int set_up_files(void **state)
{
    int failed = set_up(state);
    free(config->upload_dir);
    config->upload_dir = strdup(path_of("up"));
    assert_int_equal(mkdir(path_of("up"), 0700), 0);
    return failed;
}

/* No request is under way: there is nothing in UploadDir. */
static int tear_down_files(void **state)
{
    assert_int_equal(rmdir(path_of("up")), 0);
    return tear_down(state);
}

static void it_says_what_the_client_said(void **state)
{
    (void)state;
    assert_answer(
        "local f = lf.files().f return f.name .. '|' .. f.size .. '|' .. f.type",
        MULTIPART, ONE, "x.txt|10|text/x-y");
    assert_answer("return lf.files().f.name", MULTIPART,
                  FILE_PART("\"../../a/b.txt\"", "") END, "b.txt");
    assert_answer("return #lf.files().f .. lf.files().f[2].name", MULTIPART,
                  FILE_PART("x", "1") FILE_PART("y", "2") END, "2y");
}

static void it_is_read_in_pieces(void **state)
{
    (void)state;
    assert_answer("local f = lf.files().f return f:read(3) .. '|' .. f:read(0) .. '|' .. "
                  "f:read() .. '|' .. tostring(f:read()) .. tostring(f:read(1))",
                  MULTIPART, ONE, "012||3456789|nil");
    assert_answer("local f = lf.files().f return tostring(f:read(1))", MULTIPART,
                  FILE_PART("empty", "") END, "nil");
    assert_refused("lf.files().f:read('a')", MULTIPART, ONE, "500", "number expected");
}

static void it_is_saved_once(void **state)
{
    (void)state;
    struct stat st;
    assert_answer("local f = lf.files().f assert(f:read(2)) assert(f:save('kept')) "
                  "local ok, why = f:save('again') return tostring(ok) .. "
                  "why:gsub('[^ ]*/', '')",
                  MULTIPART, ONE, "nilagain: the file was saved before, as kept");
    assert_int_equal(stat(path_of("kept"), &st), 0);
    assert_int_equal(st.st_size, 10);
    assert_int_not_equal(stat(path_of("again"), &st), 0);
}

static void a_place_that_is_not_there_is_no_error(void **state)
{
    (void)state;
    assert_answer("local f = lf.files().f local ok, why = f:save('/no/such/place') "
                  "return tostring(ok) .. why:match('^/no/such/place: ') .. f:read(1)",
                  MULTIPART, ONE, "nil/no/such/place: 0");
    assert_refused("lf.files().f:save()", MULTIPART, ONE, "500", "string expected");
}

static void it_lives_for_its_request(void **state)
{
    (void)state;
    struct script *s = page("kept = kept or lf.files().f return kept:read()");
    begin_request(
        (const char *const[]){"CONTENT_TYPE=" MULTIPART, "REQUEST_METHOD=POST", ""});
    peer.body = ONE;
    struct script_error error = {0};
    assert_string_equal(answer(s, &error), "0123456789");
    begin_request((const char *const[]){"A=1", ""});
    assert_null(answer(s, &error));
    assert_non_null(strstr(error.message, "a request that is over"));
    state_error_clear(&error);
    script_close(s);
}

static void an_input_without_a_file_is_left_out(void **state)
{
    (void)state;
    assert_answer("return tostring(lf.files().f)", MULTIPART, FILE_PART("\"\"", "") END,
                  "nil");
    assert_answer("return lf.files().f.size", MULTIPART, FILE_PART("\"\"", "x") END, "1");
}

static void where_nothing_can_be_stored_the_message_says_so(void **state)
{
    (void)state;
    assert_int_equal(rmdir(path_of("up")), 0);
    assert_refused("lf.files()", MULTIPART, ONE, "500", "UploadDir");
    assert_int_equal(mkdir(path_of("up"), 0700), 0);
}

#define FILES(name) cmocka_unit_test_setup_teardown(name, set_up_files, tear_down_files)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILES(it_says_what_the_client_said),
        FILES(it_is_read_in_pieces),
        FILES(it_is_saved_once),
        FILES(a_place_that_is_not_there_is_no_error),
        FILES(it_lives_for_its_request),
        FILES(an_input_without_a_file_is_left_out),
        FILES(where_nothing_can_be_stored_the_message_says_so),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
