/* Loading in a thread: its results, and what happens to a load that is given up. */
#include "daemon/loading.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/files.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64], file[96], fifo[96], passed[96];

static int set_up(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/test_loading.XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(file, sizeof file, "%s/config.lua", directory);
    snprintf(fifo, sizeof fifo, "%s/fifo", directory);
    snprintf(passed, sizeof passed, "%s/passed", directory);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(file);
    unlink(fifo);
    unlink(passed);
    return rmdir(directory);
}

/* A file that waits until `release`, and then leaves `passed` behind. */
static void write_waiting_file(void)
{
    char text[320];
    snprintf(text, sizeof text, "io.open('%s'):read(1) io.open('%s', 'w'):close()", fifo,
             passed);
    files_write(file, text);
}

static void release(void)
{
    int fd = open(fifo, O_WRONLY);
    assert_true(fd >= 0);
    close(fd);
}

static void a_good_file_gives_a_configuration(void **state)
{
    (void)state;
    char *errors;
    files_write(file, "WorkerThreads = 7");
    struct config *c = loading_run(file, &errors, NULL);
    assert_non_null(c);
    assert_int_equal(c->worker_threads, 7);
    assert_string_equal(errors, "");
    free(errors);
    config_unref(c);
}

static void a_bad_file_gives_its_mistakes(void **state)
{
    (void)state;
    char *errors;
    files_write(file, "WorkerThreads = 'seven' ShowErrors = 1");
    assert_null(loading_run(file, &errors, NULL));
    assert_non_null(strstr(errors, "config.lua: WorkerThreads: expected"));
    assert_non_null(strstr(errors, "config.lua: ShowErrors: expected"));
    free(errors);
}

static void no_file_gives_the_defaults(void **state)
{
    (void)state;
    char *errors;
    struct config *c = loading_run(NULL, &errors, NULL);
    assert_non_null(c);
    assert_null(c->file);
    free(errors);
    config_unref(c);
}

static void a_load_is_waited_for_as_long_as_one_likes(void **state)
{
    (void)state;
    char *errors;
    write_waiting_file();
    struct loading *l = loading_begin(file, false);
    assert_non_null(l);
    assert_false(loading_wait(l, 0));
    assert_false(loading_wait(l, 20));
    release();
    assert_true(loading_wait(l, LOADING_TIME));
    struct config *c = loading_end(l, &errors, NULL);
    assert_non_null(c);
    free(errors);
    config_unref(c);
}

static void a_load_that_is_given_up_cleans_up_after_itself(void **state)
{
    (void)state;
    char *errors;
    write_waiting_file();
    struct loading *l = loading_begin(file, false);
    assert_non_null(l);
    assert_null(loading_end(l, &errors, NULL));
    assert_non_null(
        strstr(errors, "config.lua: did not come to its end within 12 seconds"));
    free(errors);
    assert_false(loading_is_over());
    release();
    for (int i = 0; i < 1000 && !loading_is_over(); i++)
        usleep(5000);
    assert_true(loading_is_over());
    assert_int_equal(access(passed, F_OK), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_good_file_gives_a_configuration),
        TEST(a_bad_file_gives_its_mistakes),
        TEST(no_file_gives_the_defaults),
        TEST(a_load_is_waited_for_as_long_as_one_likes),
        TEST(a_load_that_is_given_up_cleans_up_after_itself),
    };
    alarm(60); /* a hang ends the test */
    return cmocka_run_group_tests_name("loading", tests, NULL, NULL);
}
