/* Paths that stay right when the directory changes. */
#include "base/path.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void assert_path(char *path, const char *expected)
{
    assert_string_equal(path, expected);
    free(path);
}

static void a_relative_path_counts_from_the_directory(void **state)
{
    (void)state;
    assert_path(path_join("/srv/www", "x.lua"), "/srv/www/x.lua");
    assert_path(path_join("/srv/www", "../x/y.lua"), "/srv/www/../x/y.lua");
    assert_path(path_join("/srv/www", ""), "/srv/www/");
    assert_path(path_join("/srv/www", "././/x.lua"), "/srv/www/x.lua");
    assert_path(path_join("/srv/www", ".x/./y"), "/srv/www/.x/./y");
    assert_path(path_join("/", "x.lua"), "/x.lua");
}

static void an_absolute_path_is_copied(void **state)
{
    (void)state;
    const char *path = "/etc/x";
    char *copy = path_join("/srv", path);
    assert_ptr_not_equal(copy, path);
    assert_path(copy, "/etc/x");
    assert_path(path_absolute("/etc/./x"), "/etc/./x");
}

static void the_directory_of_the_process_is_taken(void **state)
{
    (void)state;
    char directory[] = "/tmp/test_path.XXXXXX", expected[64], *before = getcwd(NULL, 0);
    assert_non_null(before);
    assert_non_null(mkdtemp(directory));
    assert_int_equal(chdir(directory), 0);
    snprintf(expected, sizeof expected, "%s/log", directory);
    char *path = path_absolute("log");
    assert_int_equal(rmdir(directory), 0);
    errno = 0;
    char *gone = path_absolute("log"); /* the directory is not there any more */
    int error = errno;
    assert_int_equal(chdir(before), 0);
    free(before);
    assert_path(path, expected);
    assert_null(gone);
    assert_int_equal(error, ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_relative_path_counts_from_the_directory),
        cmocka_unit_test(an_absolute_path_is_copied),
        cmocka_unit_test(the_directory_of_the_process_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
