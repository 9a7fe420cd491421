/* The temporary files of a request. */
#include "lua/spool.h"

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

static char directory[] = "/tmp/luafcgid2-spool-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(directory) == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(directory); /* it is empty: nothing was left */
}

static bool always(void *arg)
{
    (void)arg;
    return true;
}

static void files_are_gone_at_the_end(void **state)
{
    (void)state;
    struct spool s = {0};
    for (int i = 0; i < 20; i++) {
        assert_int_equal(spool_add(&s, NULL, directory), i);
        assert_true(spool_write(spool_file(&s, (size_t)i), "text", 4));
        spool_close(spool_file(&s, (size_t)i));
    }
    struct spool_file *f = spool_file(&s, 19);
    assert_int_equal(f->size, 4);
    assert_true(spool_open(f));
    char text[5] = "";
    assert_int_equal(read(f->fd, text, 4), 4);
    assert_string_equal(text, "text");
    assert_null(spool_file(&s, 20));
    spool_end(&s);
    assert_null(spool_file(&s, 0));
    spool_end(&s);
}

static void a_file_that_is_kept_stays(void **state)
{
    (void)state;
    struct spool s = {0};
    char path[64];
    snprintf(path, sizeof path, "%s/kept", directory);
    assert_int_equal(spool_add(&s, NULL, directory), 0);
    struct spool_file *f = spool_file(&s, 0);
    assert_false(spool_keep(f, "/no/such/directory/x", always, NULL));
    assert_false(f->kept);
    assert_true(spool_keep(f, path, always, NULL));
    assert_true(f->kept);
    assert_string_equal(f->path.data, path);
    spool_end(&s);
    assert_int_equal(unlink(path), 0);
}

static void a_directory_that_is_not_there_is_told(void **state)
{
    (void)state;
    struct spool s = {0};
    assert_int_equal(spool_add(&s, NULL, "/no/such/directory"), -1);
    assert_int_equal(errno, ENOENT);
    spool_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_gone_at_the_end),
        cmocka_unit_test(a_file_that_is_kept_stays),
        cmocka_unit_test(a_directory_that_is_not_there_is_told),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
