/* Temporary files, and how one takes its lasting place. */
#include "base/tempfile.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/luafcgid2-tempfile-XXXXXX";
static char from[128], to[128];

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(directory) == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

static bool always(void *arg)
{
    (void)arg;
    return true;
}

/* A temporary file with that text. */
static void make(const char *text)
{
    char name[TEMPFILE_NAME_SIZE];
    assert_true(tempfile_name(name));
    snprintf(from, sizeof from, "%s/%s", directory, name);
    snprintf(to, sizeof to, "%s/target", directory);
    int fd = tempfile_create(from);
    assert_true(fd >= 0);
    assert_true(tempfile_write(fd, text, strlen(text)));
    close(fd);
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 0777;
}

static void assert_content(const char *path, const char *text)
{
    char content[64] = "";
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_true(read(fd, content, sizeof content - 1) >= 0);
    close(fd);
    assert_string_equal(content, text);
}

static void a_file_is_for_this_user_alone_and_new(void **state)
{
    (void)state;
    make("text");
    assert_int_equal(mode_of(from), 0600);
    assert_int_equal(tempfile_create(from), -1);
    assert_int_equal(errno, EEXIST);
    unlink(from);
}

static void names_differ(void **state)
{
    (void)state;
    char a[TEMPFILE_NAME_SIZE], b[TEMPFILE_NAME_SIZE];
    assert_true(tempfile_name(a) && tempfile_name(b));
    assert_string_not_equal(a, b);
    assert_memory_equal(a, TEMPFILE_PREFIX, strlen(TEMPFILE_PREFIX));
    assert_null(strchr(a, '/'));
}

static void a_moved_file_has_the_permissions_of_a_new_one(void **state)
{
    (void)state;
    mode_t before = umask(027);
    make("new");
    assert_true(tempfile_move(from, to, always, NULL));
    umask(before);
    assert_content(to, "new");
    assert_int_equal(mode_of(to), 0640);
    assert_int_equal(access(from, F_OK), -1);
    make("newer");
    assert_true(tempfile_move(from, to, always, NULL));
    assert_content(to, "newer");
}

static void a_move_that_fails_changes_nothing(void **state)
{
    (void)state;
    make("text");
    char nowhere[160];
    snprintf(nowhere, sizeof nowhere, "%s/no/such", directory);
    assert_false(tempfile_move(from, nowhere, always, NULL));
    assert_int_equal(errno, ENOENT);
    assert_false(tempfile_move(from, directory, always, NULL));
    assert_int_not_equal(errno, 0);
    assert_int_equal(mode_of(from), 0600);
    assert_content(from, "text");
    unlink(from);
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

static void another_file_system_gets_a_copy(void **state)
{
    (void)state;
    struct stat here, there;
    assert_int_equal(stat(directory, &here), 0);
    if (stat("/dev/shm", &there) != 0 || here.st_dev == there.st_dev)
        skip();
    make("text");
    snprintf(to, sizeof to, "/dev/shm/luafcgid2-test-%d", (int)getpid());
    assert_false(tempfile_move(from, to, never, NULL));
    assert_int_equal(errno, ECANCELED);
    assert_int_equal(access(to, F_OK), -1);
    assert_true(tempfile_move(from, to, always, NULL));
    assert_content(to, "text");
    assert_int_equal(access(from, F_OK), -1);
    unlink(to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_for_this_user_alone_and_new),
        cmocka_unit_test(names_differ),
        cmocka_unit_test(a_moved_file_has_the_permissions_of_a_new_one),
        cmocka_unit_test(a_move_that_fails_changes_nothing),
        cmocka_unit_test(another_file_system_gets_a_copy),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
