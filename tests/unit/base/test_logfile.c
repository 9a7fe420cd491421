/* A log's file: opened, rotated, cut by others, given away; two logs beside each other;
 * and a reader that stalls, for whom nobody waits. */
#include "base/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[64], path[96], rotated[96], other[96];
static char content[1 << 20];
static struct logfile *f, *g;

static size_t say_lost(char *line, uint64_t count)
{
    return (size_t)snprintf(line, LOGFILE_LINE_MAX, "lost %" PRIu64 "\n", count);
}

/* A log lasts as long as the process; so all tests share two. */
static int create(void **state)
{
    (void)state;
    f = logfile_create(say_lost);
    g = logfile_create(say_lost);
    assert_true(f != NULL && g != NULL);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/test_logfile.XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/log", directory);
    snprintf(rotated, sizeof rotated, "%s/log.1", directory);
    snprintf(other, sizeof other, "%s/other", directory);
    assert_true(logfile_open(f, path));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_true(logfile_open(f, ""));
    assert_true(logfile_open(g, ""));
    unlink(path);
    unlink(rotated);
    unlink(other);
    return rmdir(directory);
}

static const char *text_of(const char *name)
{
    int fd = open(name, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t len = read(fd, content, sizeof content - 1);
    assert_true(len >= 0);
    close(fd);
    content[len] = '\0';
    return content;
}

static void put(struct logfile *log, const char *line)
{
    logfile_write(log, line, strlen(line));
}

static void lines_are_appended_in_their_order(void **state)
{
    (void)state;
    put(f, "one\n");
    put(f, "two\n");
    assert_true(logfile_open(f, path));
    put(f, "three\n");
    assert_string_equal(text_of(path), "one\ntwo\nthree\n");
    assert_string_equal(logfile_path(f), path);
}

static void a_renamed_file_is_followed_until_it_is_reopened(void **state)
{
    (void)state;
    put(f, "one\n");
    assert_int_equal(rename(path, rotated), 0);
    put(f, "two\n");
    assert_true(logfile_reopen(f));
    put(f, "three\n");
    assert_string_equal(text_of(rotated), "one\ntwo\n");
    assert_string_equal(text_of(path), "three\n");
}

static void a_file_that_was_cut_is_written_from_its_start(void **state)
{
    (void)state;
    put(f, "one\n");
    assert_int_equal(truncate(path, 0), 0);
    put(f, "two\n");
    assert_string_equal(text_of(path), "two\n");
}

static void what_cannot_be_reopened_goes_on_as_before(void **state)
{
    (void)state;
    assert_int_equal(rename(path, rotated), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    errno = 0;
    assert_false(logfile_reopen(f));
    assert_int_equal(errno, EISDIR);
    put(f, "one\n");
    assert_int_equal(rmdir(path), 0);
    assert_string_equal(text_of(rotated), "one\n");
    assert_true(logfile_reopen(f));
    put(f, "two\n");
    assert_string_equal(text_of(path), "two\n");
}

/* Runs with standard error going to `other`. */
static void what_cannot_be_opened_goes_to_standard_error(void **state)
{
    (void)state;
    int kept = dup(STDERR_FILENO), fd = open(other, O_RDWR | O_CREAT, 0600);
    assert_true(kept >= 0 && fd >= 0 && dup2(fd, STDERR_FILENO) >= 0);
    errno = 0;
    bool opened = logfile_open(f, "/nonexistent/directory/log");
    int error = errno;
    put(f, "one\n");
    bool empty = logfile_open(f, "") && logfile_reopen(f);
    put(f, "two\n");
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(fd);
    assert_false(opened);
    assert_int_equal(error, ENOENT);
    assert_true(empty);
    assert_string_equal(logfile_path(f), "");
    assert_string_equal(text_of(other), "one\ntwo\n");
}

static void two_logs_do_not_disturb_each_other(void **state)
{
    (void)state;
    assert_true(logfile_open(g, other));
    put(f, "one\n");
    put(g, "two\n");
    assert_int_equal(rename(path, rotated), 0);
    assert_true(logfile_reopen(f));
    put(g, "three\n");
    put(f, "four\n");
    assert_string_equal(text_of(rotated), "one\n");
    assert_string_equal(text_of(path), "four\n");
    assert_string_equal(text_of(other), "two\nthree\n");
}

static void only_a_regular_file_is_given_away(void **state)
{
    (void)state;
    assert_true(logfile_chown(f, getuid(), getgid()));
    assert_true(logfile_open(f, "/dev/null"));
    assert_true(logfile_chown(f, 12345, 12345)); /* left alone */
    assert_true(logfile_open(f, ""));
    assert_true(logfile_chown(f, 12345, 12345));
}

static void a_new_file_is_private(void **state)
{
    (void)state;
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07137, 0);
}

/* How many lines these tell of: they are there, or one says that they are lost. */
static unsigned long count_written_or_lost(const char *lines)
{
    unsigned long count = 0;
    for (const char *end; (end = strchr(lines, '\n')) != NULL; lines = end + 1) {
        if (strncmp(lines, "lost ", 5) == 0) {
            count += strtoul(lines + 5, NULL, 10);
        } else {
            assert_int_equal(end - lines, 999);
            count++;
        }
    }
    return count;
}

/* The last test, as the thread of the log then runs for good. A FIFO whose reader reads
 * nothing takes some lines, the queue takes more, and the rest is lost and counted; in
 * several places, if the thread takes the queue in between. */
static void nobody_waits_for_a_reader_that_stalls(void **state)
{
    (void)state;
    static char line[1001], all[1 << 20];
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 2] = '\n';
    assert_int_equal(mkfifo(other, 0600), 0);
    int fd = open(other, O_RDONLY | O_NONBLOCK);
    assert_true(fd >= 0 && logfile_open(g, other) && logfile_start(g));
    for (int i = 0; i < 600; i++)
        logfile_write(g, line, 1000);
    assert_false(logfile_flush(g, 0));
    size_t len = 0;
    while (count_written_or_lost(all) < 600) {
        ssize_t n = read(fd, all + len, sizeof all - 1 - len);
        if (n > 0)
            len += (size_t)n;
        assert_true(len < sizeof all - 1);
    }
    assert_int_equal(count_written_or_lost(all), 600);
    assert_non_null(strstr(all, "lost "));
    assert_true(logfile_flush(g, 10000));
    assert_true(read(fd, all, sizeof all) <= 0); /* nothing is told twice */
    close(fd);
}

static int reader_at(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", name);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

static void assert_received(int fd, const char *text)
{
    char got[64];
    ssize_t n = recv(fd, got, sizeof got, 0);
    assert_int_equal(n, strlen(text));
    assert_memory_equal(got, text, strlen(text));
}

/* As syslogd does. */
static void a_socket_gets_each_line_as_a_message(void **state)
{
    (void)state;
    int fd = reader_at(other);
    assert_true(logfile_open(g, other));
    logfile_write(g, "one\n", 4);
    logfile_write(g, "two\n", 4);
    assert_received(fd, "one");
    assert_received(fd, "two");
    close(fd);
    unlink(other);
    fd = reader_at(other);
    logfile_write(g, "three\n", 6);
    assert_received(fd, "three");
    close(fd);
    unlink(other);
}

static void a_batch_is_not_written_to_a_file_that_was_removed(void **state)
{
    (void)state;
    int error = 0;
    struct logfile *b = logfile_create_batched();
    assert_true(b != NULL && logfile_start(b));
    assert_true(logfile_open(b, path));
    unlink(path);
    logfile_write(b, "one\n", 4);
    assert_true(logfile_reopen(b));
    assert_true(logfile_flush(b, 10000));
    assert_string_equal(text_of(path), "one\n");
    assert_int_equal(logfile_lost(b, &error), 0);
    unlink(path);
    logfile_write(b, "two\n", 4);
    assert_true(logfile_flush(b, 10000)); /* the process ends */
    assert_int_equal(logfile_lost(b, &error), 1);
    assert_int_equal(error, ENOENT);
}

static void a_batch_is_written_by_the_thread_and_what_is_lost_is_counted(void **state)
{
    (void)state;
    int error = 0;
    struct logfile *b = logfile_create_batched();
    assert_true(b != NULL && logfile_start(b));
    logfile_write(b, "nowhere\n", 8);
    assert_true(logfile_flush(b, 10000));
    assert_int_equal(logfile_lost(b, &error), 1);
    assert_true(logfile_open(b, "/dev/full"));
    logfile_write(b, "one\n", 4);
    logfile_write(b, "two\n", 4);
    assert_true(logfile_flush(b, 10000));
    assert_int_equal(logfile_lost(b, &error), 3);
    assert_int_equal(error, ENOSPC);
    assert_true(logfile_open(b, path));
    logfile_write(b, "three\n", 6);
    logfile_write(b, "four\n", 5);
    assert_true(logfile_flush(b, 10000));
    assert_string_equal(text_of(path), "three\nfour\n");
    assert_true(logfile_open(b, ""));
    logfile_write(b, "nobody asks for it\n", 19);
    assert_true(logfile_flush(b, 10000));
    assert_string_equal(text_of(path), "three\nfour\n");
}

static void a_line_that_is_enqueued_is_written_by_the_thread(void **state)
{
    (void)state;
    logfile_enqueue(f, "one\n", 4); /* there is no thread yet */
    assert_string_equal(text_of(path), "one\n");
    struct logfile *b = logfile_create(say_lost);
    assert_true(b != NULL && logfile_start(b));
    assert_true(logfile_open(b, other));
    logfile_enqueue(b, "two\n", 4);
    logfile_write(b, "three\n", 6);
    logfile_enqueue(b, "four\n", 5);
    assert_true(logfile_flush(b, 10000));
    assert_string_equal(text_of(other), "two\nthree\nfour\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lines_are_appended_in_their_order),
        TEST(a_renamed_file_is_followed_until_it_is_reopened),
        TEST(a_file_that_was_cut_is_written_from_its_start),
        TEST(what_cannot_be_reopened_goes_on_as_before),
        TEST(what_cannot_be_opened_goes_to_standard_error),
        TEST(two_logs_do_not_disturb_each_other),
        TEST(only_a_regular_file_is_given_away),
        TEST(a_new_file_is_private),
        TEST(a_line_that_is_enqueued_is_written_by_the_thread),
        TEST(a_batch_is_not_written_to_a_file_that_was_removed),
        TEST(a_batch_is_written_by_the_thread_and_what_is_lost_is_counted),
        TEST(a_socket_gets_each_line_as_a_message),
        TEST(nobody_waits_for_a_reader_that_stalls),
    };
    return cmocka_run_group_tests(tests, create, NULL);
}
