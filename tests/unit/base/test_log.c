/* The log room: the shape of a line, what may not get into one, and that lines of many
 * threads stay whole while the file is rotated. */
#include "base/log.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char directory[64], path[128], rotated[128];
static char content[4 << 20]; /* more than all tests write */

static int set_up(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/test_log.XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/log", directory);
    snprintf(rotated, sizeof rotated, "%s/log.1", directory);
    log_set_worker(0);
    log_set_script(NULL);
    assert_true(log_open(path, LOG_LEVEL_DEBUG));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_true(log_open("", LOG_LEVEL_INFO));
    unlink(path);
    unlink(rotated);
    assert_int_equal(rmdir(directory), 0);
    return 0;
}

static size_t read_file(const char *name)
{
    FILE *file = fopen(name, "r");
    assert_non_null(file);
    size_t len = fread(content, 1, sizeof content - 1, file);
    fclose(file);
    content[len] = '\0';
    return len;
}

/* The log's only line without time and newline. */
static const char *only_line(void)
{
    size_t len = read_file(path);
    assert_true(len > 25);
    assert_ptr_equal(strchr(content, '\n'), content + len - 1);
    content[len - 1] = '\0';
    return content + 25;
}

static void test_line_has_time_level_worker_and_script(void **state)
{
    (void)state;
    log_set_worker(3);
    log_set_script("/srv/www/hello.lua");
    log_error("message %d", 7);
    assert_string_equal(only_line(), "error worker 3 /srv/www/hello.lua: message 7");
    regex_t time_of_day;
    assert_int_equal(regcomp(&time_of_day,
                             "^20[0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:"
                             "[0-6][0-9]\\.[0-9]{3}Z error",
                             REG_EXTENDED | REG_NOSUB),
                     0);
    assert_int_equal(regexec(&time_of_day, content, 0, NULL, 0), 0);
    regfree(&time_of_day);
}

/* time() may lag behind the clock that lines are dated by. */
static time_t seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}

static void test_time_is_now_in_utc(void **state)
{
    (void)state;
    time_t before = seconds_now();
    log_info("x");
    time_t after = seconds_now();
    read_file(path);
    struct tm tm = {0};
    assert_non_null(strptime(content, "%Y-%m-%dT%H:%M:%S", &tm));
    time_t said = timegm(&tm);
    assert_true(said >= before && said <= after);
}

static void test_worker_and_script_are_left_out_when_there_are_none(void **state)
{
    (void)state;
    log_set_script("");
    log_warning("plain");
    assert_string_equal(only_line(), "warning: plain");
}

static void test_each_level_is_named_and_filtered(void **state)
{
    (void)state;
    assert_true(log_open(path, LOG_LEVEL_WARNING));
    assert_true(log_enabled(LOG_LEVEL_ERROR));
    assert_true(log_enabled(LOG_LEVEL_WARNING));
    assert_false(log_enabled(LOG_LEVEL_INFO));
    assert_false(log_enabled(LOG_LEVEL_DEBUG));
    log_debug("no");
    log_info("no");
    log_warning("yes");
    assert_string_equal(only_line(), "warning: yes");
}

static void assert_escaped(const char *text, const char *expected)
{
    assert_int_equal(truncate(path, 0), 0);
    log_error("%s", text);
    assert_string_equal(only_line() + strlen("error: "), expected);
}

static void test_control_characters_are_escaped(void **state)
{
    (void)state;
    assert_escaped("a\nb\rc\td", "a\\nb\\rc\\td");
    assert_escaped("\x1b[31m\x7f\x01\x08", "\\x1b[31m\\x7f\\x01\\x08");
    assert_escaped("\xc2\x9b"
                   "31m \xc2\x85",
                   "\\xc2\\x9b31m \\xc2\\x85");
    assert_escaped("\xe2\x80\xa8|\xe2\x80\xa9", "\\xe2\\x80\\xa8|\\xe2\\x80\\xa9");
}

static void test_utf8_passes_and_what_is_none_is_escaped(void **state)
{
    (void)state;
    assert_escaped("Gr\xc3\xbc\xc3\x9f"
                   "e \xe2\x82\xac \xf0\x9f\x98\x80",
                   "Gr\xc3\xbc\xc3\x9f"
                   "e \xe2\x82\xac \xf0\x9f\x98\x80");
    assert_escaped("\xff|\xc3|\xc3(", "\\xff|\\xc3|\\xc3(");
    assert_escaped("\xc0\xaf", "\\xc0\\xaf");                   /* overlong */
    assert_escaped("\xe0\x80\xaf", "\\xe0\\x80\\xaf");          /* overlong */
    assert_escaped("\xed\xa0\x80", "\\xed\\xa0\\x80");          /* a surrogate */
    assert_escaped("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"); /* beyond U+10FFFF */
    assert_escaped("\xe2\x82", "\\xe2\\x82");                   /* cut short */
}

static void test_text_is_data_and_script_names_are_escaped_too(void **state)
{
    (void)state;
    log_set_script("/srv/%s\n.lua");
    log_error("%s", "%n%s%d");
    assert_string_equal(only_line(), "error /srv/%s\\n.lua: %n%s%d");
}

static void test_text_of_any_bytes_is_logged_whole(void **state)
{
    (void)state;
    log_text(LOG_LEVEL_INFO, "before\0after\n", 13);
    assert_string_equal(only_line(), "info: before\\x00after\\n");
    assert_true(log_open(path, LOG_LEVEL_WARNING));
    log_text(LOG_LEVEL_INFO, "no", 2);
    only_line();
}

/* Every length around the limit: cut exactly when it has to be, never within "é". */
static void test_line_is_never_longer_than_8_kib(void **state)
{
    (void)state;
    static char text[9001];
    size_t room = 8192 - 25 - strlen("error: ") - 1;
    for (size_t len = room - 20; len < room + 20; len++) {
        memset(text, 'x', len);
        text[len] = '\0';
        for (size_t i = len - 12; i + 1 < len; i += 2)
            memcpy(text + i, "\xc3\xa9", 2);
        assert_int_equal(truncate(path, 0), 0);
        log_error("%s", text);
        const char *line = only_line() + strlen("error: ");
        assert_true(strlen(content) <= 8191);
        if (len <= room) {
            assert_string_equal(line, text);
        } else {
            const char *mark = line + strlen(line) - 8;
            assert_string_equal(mark, "...[cut]");
            assert_true(mark[-1] == 'x' || mark[-1] == '\xa9');
        }
    }
}

static void test_long_text_of_escapes_is_cut_between_escapes(void **state)
{
    (void)state;
    static char text[20001];
    memset(text, '\x01', sizeof text - 1);
    log_error("%s", text);
    const char *line = only_line();
    assert_true(strlen(content) <= 8191 && strlen(content) > 8170);
    assert_string_equal(line + strlen(line) - 12, "\\x01...[cut]");
}

static void test_long_script_name_leaves_room_for_the_message(void **state)
{
    (void)state;
    static char script[9000];
    memset(script, 's', sizeof script - 1);
    log_set_script(script);
    log_error("the message");
    assert_non_null(strstr(only_line(), "sss...[cut]: the message"));
}

static void test_lines_are_logged_one_by_one(void **state)
{
    (void)state;
    log_lines(LOG_LEVEL_ERROR, "first\n\n\tsecond\r\nthird");
    read_file(path);
    char *at = content;
    static const char *const expected[] = {"error: first", "error: \\tsecond",
                                           "error: third"};
    for (int i = 0; i < 3; i++) {
        char *line = strsep(&at, "\n");
        assert_string_equal(line + 25, expected[i]);
    }
    assert_string_equal(at, "");
    log_lines(LOG_LEVEL_ERROR, NULL);
    log_lines(LOG_LEVEL_ERROR, "");
}

static const char *id(void *of)
{
    return of;
}

static char number[] = "0123abcd";
static const struct log_request about = {"192.0.2.7", "GET", "/a.lua?b=\"c\"\n", id,
                                         number};

static void test_errors_and_warnings_name_the_request(void **state)
{
    (void)state;
    log_set_request(&about);
    log_error("wrong");
    assert_string_equal(only_line(), "error: wrong, client: 192.0.2.7, request: \"GET "
                                     "/a.lua?b=\\\"c\\\"\\n\", id: 0123abcd");
    assert_int_equal(truncate(path, 0), 0);
    log_info("right");
    assert_string_equal(only_line(), "info: right");
    log_set_request(NULL);
    assert_int_equal(truncate(path, 0), 0);
    log_error("wrong");
    assert_string_equal(only_line(), "error: wrong");
}

static void test_a_long_message_leaves_room_for_the_request(void **state)
{
    (void)state;
    static char text[9000];
    memset(text, 'x', sizeof text - 1);
    log_set_request(&about);
    log_error("%s", text);
    const char *line = only_line();
    assert_true(strlen(content) <= 8191 && strlen(content) > 8170);
    assert_non_null(strstr(line, "x...[cut], client: 192.0.2.7, "));
    log_set_request(NULL);
}

static void test_a_copy_of_a_request_serves_as_well(void **state)
{
    (void)state;
    static char uri[1000];
    struct log_request_copy copy;
    log_set_request(NULL);
    assert_false(log_copy_request(&copy));
    memset(uri, 'u', sizeof uri - 1);
    struct log_request longest = about;
    longest.uri = uri;
    log_set_request(&longest);
    assert_true(log_copy_request(&copy));
    struct log_request other = log_request_of(&copy);
    log_set_request(&other);
    log_error("x");
    log_set_request(NULL);
    const char *line = only_line();
    assert_non_null(strstr(line, "error: x, client: 192.0.2.7, request: \"GET uuu"));
    assert_non_null(strstr(line, "u\", id: 0123abcd"));
}

static void test_a_traceback_continues_its_message(void **state)
{
    (void)state;
    log_set_worker(2);
    log_trace(LOG_LEVEL_ERROR, "first\n\n\tsecond\r\nthird");
    read_file(path);
    char *at = content;
    static const char *const expected[] = {
        "error worker 2: first", "... worker 2: \\tsecond", "... worker 2: third"};
    for (int i = 0; i < 3; i++)
        assert_string_equal(strsep(&at, "\n") + 25, expected[i]);
    assert_string_equal(at, "");
    log_trace(LOG_LEVEL_ERROR, NULL);
}

static void test_hundreds_of_lines_are_cut(void **state)
{
    (void)state;
    static char text[20001];
    for (size_t i = 0; i < sizeof text - 1; i += 2)
        memcpy(text + i, "x\n", 2);
    log_trace(LOG_LEVEL_ERROR, text);
    size_t len = read_file(path), lines = 0;
    for (size_t i = 0; i < len; i++)
        lines += content[i] == '\n';
    assert_in_range(lines, 100, 300);
    assert_string_equal(content + len - 11, ": ...[cut]\n");
}

static void test_json_is_one_object_a_line(void **state)
{
    (void)state;
    log_set_format(LOG_FORMAT_JSON);
    log_set_worker(2);
    log_set_script("/s.lua");
    log_set_request(&about);
    log_trace(LOG_LEVEL_WARNING,
              "a\"b\\c\x01\xc2\x9b\xff\nmore\nstack traceback:\nat y\n");
    log_set_request(NULL);
    log_set_format(LOG_FORMAT_TEXT);
    size_t len = read_file(path);
    assert_ptr_equal(strchr(content, '\n'), content + len - 1);
    assert_memory_equal(content, "{\"time\":\"20", 11);
    assert_string_equal(strstr(content, "Z\",") + 3,
                        "\"level\":\"warning\",\"worker\":2,\"script\":\"/s.lua\","
                        "\"client\":\"192.0.2.7\",\"method\":\"GET\","
                        "\"uri\":\"/a.lua?b=\\\"c\\\"\\n\",\"id\":\"0123abcd\","
                        "\"message\":\"a\\\"b\\\\c\\u0001\\u009b\\\\xff\\nmore\","
                        "\"traceback\":\"stack traceback:\\nat y\\n\"}\n");
}

static void test_long_json_is_whole(void **state)
{
    (void)state;
    static char text[30001];
    memset(text, '"', sizeof text - 1);
    memcpy(text + 15000, "\nstack traceback:\n", 18);
    log_set_format(LOG_FORMAT_JSON);
    log_trace(LOG_LEVEL_ERROR, text);
    log_set_format(LOG_FORMAT_TEXT);
    size_t len = read_file(path);
    assert_true(len <= 8192 && len > 8000);
    assert_string_equal(content + len - 11, "...[cut]\"}\n");
    assert_non_null(strstr(content, "...[cut]\",\"traceback\":\""));
}

static void test_facilities_of_the_system_log_are_known(void **state)
{
    (void)state;
    bool known = true;
    assert_false(log_is_syslog("/var/log/syslog:daemon", &known));
    assert_true(log_is_syslog("syslog:daemon", &known) && known);
    assert_true(log_is_syslog("syslog:local7", &known) && known);
    assert_true(log_is_syslog("syslog:kern", &known) && !known);
}

/* Standard error as systemd would make it. */
static void test_lines_for_the_journal_bear_their_priority(void **state)
{
    (void)state;
    struct stat st;
    char stream[64];
    int saved = dup(STDERR_FILENO), fd = open(path, O_WRONLY | O_APPEND);
    assert_true(saved >= 0 && fd >= 0 && fstat(fd, &st) == 0);
    snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    dup2(fd, STDERR_FILENO);
    assert_true(log_open("", LOG_LEVEL_DEBUG));
    log_error("one");
    log_warning("two");
    log_info("three");
    log_debug("four");
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(fd);
    assert_true(log_open("", LOG_LEVEL_DEBUG));
    unsetenv("JOURNAL_STREAM");
    read_file(path);
    char *at = content;
    static const char *const expected[] = {"<3>2", "<4>2", "<6>2", "<7>2"};
    for (int i = 0; i < 4; i++)
        assert_memory_equal(strsep(&at, "\n"), expected[i], 4);
}

static void test_errno_is_left_as_it_was(void **state)
{
    (void)state;
    errno = ENOTTY;
    log_error("%m");
    log_lines(LOG_LEVEL_ERROR, "a\nb");
    assert_int_equal(errno, ENOTTY);
    read_file(path);
    assert_non_null(strstr(content, strerror(ENOTTY)));
}

static void test_file_is_private_and_not_inherited(void **state)
{
    (void)state;
    struct stat st;
    char command[160];
    snprintf(command, sizeof command, "ls -l /proc/self/fd | grep -qF %s", path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07137, 0);
    for (int round = 0; round < 2; round++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            execl("/bin/sh", "sh", "-c", command, NULL);
            _exit(127);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 1); /* grep found none */
        assert_true(log_reopen());
    }
}

static void test_reopen_follows_a_rotation(void **state)
{
    (void)state;
    log_info("one");
    assert_int_equal(rename(path, rotated), 0);
    log_info("two");
    assert_true(log_reopen());
    log_info("three");
    assert_string_equal(only_line(), "info: three");
    read_file(rotated);
    assert_non_null(strstr(content, "one\n"));
    assert_non_null(strstr(content, "two\n"));
}

static void test_reopen_that_fails_keeps_the_old_file(void **state)
{
    (void)state;
    assert_int_equal(rename(path, rotated), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_false(log_reopen());
    log_info("still here");
    assert_int_equal(rmdir(path), 0);
    read_file(rotated);
    assert_non_null(strstr(content, "cannot be reopened"));
    assert_non_null(strstr(content, "still here"));
}

/* Runs `action` with standard error going to `rotated`, whose content is then read. */
static void with_standard_error(void (*action)(void))
{
    int kept = dup(STDERR_FILENO), fd = open(rotated, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(kept >= 0 && fd >= 0);
    assert_true(dup2(fd, STDERR_FILENO) >= 0);
    action();
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    close(kept);
    close(fd);
    read_file(rotated);
}

static void open_in_missing_directory(void)
{
    assert_false(log_open("/nonexistent/directory/log", LOG_LEVEL_ERROR));
    log_error("after");
}

static void test_missing_directory_falls_back_to_standard_error(void **state)
{
    (void)state;
    with_standard_error(open_in_missing_directory);
    assert_non_null(strstr(content, "the log file /nonexistent/directory/log cannot be "
                                    "opened (No such file or directory): logging to "
                                    "standard error\n"));
    assert_non_null(strstr(content, "error: after\n"));
}

static void open_empty(void)
{
    assert_true(log_open("", LOG_LEVEL_INFO));
    assert_true(log_reopen());
    log_info("to standard error");
}

static void test_empty_path_is_standard_error(void **state)
{
    (void)state;
    with_standard_error(open_empty);
    assert_string_equal(content + 25, "info: to standard error\n");
}

static void test_fifo_without_reader_does_not_block(void **state)
{
    (void)state;
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    int null = open("/dev/null", O_WRONLY), kept = dup(STDERR_FILENO);
    dup2(null, STDERR_FILENO);
    assert_false(log_open(path, LOG_LEVEL_INFO));
    dup2(kept, STDERR_FILENO);
    close(null);
    close(kept);
}

static void test_relative_path_is_reopened_from_any_directory(void **state)
{
    (void)state;
    int before = open(".", O_RDONLY);
    assert_int_equal(chdir(directory), 0);
    assert_true(log_open("log", LOG_LEVEL_INFO));
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(rename(path, rotated), 0);
    assert_true(log_reopen());
    log_info("found");
    assert_int_equal(fchdir(before), 0);
    close(before);
    assert_string_equal(only_line(), "info: found");
}

#define WRITERS         4
#define LINES_OF_WRITER 2000

static atomic_int running;
static atomic_bool was_rotated; /* once; no writer is done before */

static void *write_lines(void *argument)
{
    int id = (int)(intptr_t)argument;
    char text[120];
    memset(text, 'a' + id, sizeof text - 1);
    text[sizeof text - 1] = '\0';
    log_set_worker(id + 1);
    for (int i = 0; i < LINES_OF_WRITER; i++) {
        while (i == LINES_OF_WRITER / 2 && !atomic_load(&was_rotated))
            sched_yield();
        log_info("%s", text);
    }
    atomic_fetch_sub(&running, 1);
    return NULL;
}

/* Counts the lines of a file and checks that each is whole and of one thread. */
static int count_whole_lines(const char *name)
{
    int count = 0;
    char *at = content;
    read_file(name);
    for (char *line; (line = strsep(&at, "\n")) != NULL && *line != '\0'; count++) {
        int worker = 0, used = 0;
        assert_int_equal(sscanf(line + 24, " info worker %d: %n", &worker, &used), 1);
        char *text = line + 24 + used;
        assert_int_equal(strlen(text), 119);
        for (int i = 0; i < 119; i++)
            assert_int_equal(text[i], 'a' + worker - 1);
    }
    return count;
}

static void test_lines_of_threads_stay_whole_while_rotating(void **state)
{
    (void)state;
    pthread_t threads[WRITERS];
    int lines = 0;
    atomic_store(&running, WRITERS);
    atomic_store(&was_rotated, false);
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, write_lines, (void *)(intptr_t)i), 0);
    int rotations = 0;
    char name[160];
    while (atomic_load(&running) > 0) {
        snprintf(name, sizeof name, "%s.%d", path, rotations++);
        assert_int_equal(rename(path, name), 0);
        assert_true(log_reopen());
        atomic_store(&was_rotated, true);
    }
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < rotations; i++) {
        snprintf(name, sizeof name, "%s.%d", path, i);
        lines += count_whole_lines(name);
        unlink(name);
    }
    lines += count_whole_lines(path);
    assert_int_equal(lines, WRITERS * LINES_OF_WRITER);
    assert_true(rotations > 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_line_has_time_level_worker_and_script),
        TEST(test_time_is_now_in_utc),
        TEST(test_worker_and_script_are_left_out_when_there_are_none),
        TEST(test_each_level_is_named_and_filtered),
        TEST(test_control_characters_are_escaped),
        TEST(test_utf8_passes_and_what_is_none_is_escaped),
        TEST(test_text_is_data_and_script_names_are_escaped_too),
        TEST(test_text_of_any_bytes_is_logged_whole),
        TEST(test_line_is_never_longer_than_8_kib),
        TEST(test_long_text_of_escapes_is_cut_between_escapes),
        TEST(test_long_script_name_leaves_room_for_the_message),
        TEST(test_lines_are_logged_one_by_one),
        TEST(test_errors_and_warnings_name_the_request),
        TEST(test_a_long_message_leaves_room_for_the_request),
        TEST(test_a_copy_of_a_request_serves_as_well),
        TEST(test_a_traceback_continues_its_message),
        TEST(test_hundreds_of_lines_are_cut),
        TEST(test_json_is_one_object_a_line),
        TEST(test_long_json_is_whole),
        TEST(test_facilities_of_the_system_log_are_known),
        TEST(test_lines_for_the_journal_bear_their_priority),
        TEST(test_errno_is_left_as_it_was),
        TEST(test_file_is_private_and_not_inherited),
        TEST(test_reopen_follows_a_rotation),
        TEST(test_reopen_that_fails_keeps_the_old_file),
        TEST(test_missing_directory_falls_back_to_standard_error),
        TEST(test_empty_path_is_standard_error),
        TEST(test_fifo_without_reader_does_not_block),
        TEST(test_relative_path_is_reopened_from_any_directory),
        TEST(test_lines_of_threads_stay_whole_while_rotating),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
