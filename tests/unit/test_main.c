/* The command line. The program is included here, and its main has another name. What
 * ends the process runs in one of its own. */
int program_main(int argc, char **argv);
#define main program_main
#include "main.c"
#undef main

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>

#include <cmocka.h>

enum { MOST_WORDS = 8 };

static char directory[] = "/tmp/main.XXXXXX";

static int set_up(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/main.XXXXXX");
    return mkdtemp(directory) == NULL ? -1 : chdir(directory);
}

static int tear_down(void **state)
{
    (void)state;
    unlink("config.lua");
    return chdir("/") != 0 ? -1 : rmdir(directory);
}

/* Options of "luafcgid2 WORDS", which are separated by spaces. */
static struct options parse(const char *words)
{
    static char text[256];
    char *argv[MOST_WORDS + 1], *rest;
    int argc = 0;
    snprintf(text, sizeof text, "luafcgid2 %s", words);
    for (char *word = strtok_r(text, " ", &rest); word != NULL;
         word = strtok_r(NULL, " ", &rest))
        argv[argc++] = word;
    argv[argc] = NULL;
    optind = 1;
    return parse_options(argc, argv);
}

/* The exit status of such a program, and in `said` what it has printed, errors too. */
static int exit_of(const char *words, char *said, size_t size)
{
    int ends[2], status;
    ssize_t n;
    size_t len = 0;
    assert_int_equal(pipe(ends), 0);
    fflush(NULL); /* or the child would print it again */
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        parse(words);
        _exit(99);
    }
    close(ends[1]);
    while (len < size - 1 && (n = read(ends[0], said + len, size - 1 - len)) > 0)
        len += (size_t)n;
    said[len] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_file_is_named_with_or_without_c(void **state)
{
    (void)state;
    struct options options = parse("-c a.lua");
    assert_string_equal(options.file, "a.lua");
    assert_false(options.check);
    options = parse("b.lua");
    assert_string_equal(options.file, "b.lua");
    options = parse("-t c.lua");
    assert_string_equal(options.file, "c.lua");
    assert_true(options.check);
    options = parse("-t -- -x.lua");
    assert_string_equal(options.file, "-x.lua");
}

static void without_a_file_it_is_config_lua_of_the_directory(void **state)
{
    (void)state;
    FILE *f = fopen("config.lua", "w");
    assert_non_null(f);
    fclose(f);
    assert_string_equal(parse("-t").file, "config.lua");
    unlink("config.lua");
    const char *file = parse("-t").file;
    assert_true(file == NULL || strcmp(file, LUAFCGID2_CONFIG_FILE) == 0);
}

static void what_is_too_much_or_unknown_shows_the_usage(void **state)
{
    (void)state;
    static const char *const rows[] = {"a.lua b.lua", "-c a.lua b.lua", "-c", "-x",
                                       "--nonsense"};
    char said[1024];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(exit_of(rows[i], said, sizeof said), EXIT_FAILURE);
        assert_non_null(strstr(said, "usage: luafcgid2 [-t] [-c FILE | FILE]"));
    }
}

static void the_version_and_the_help_end_well(void **state)
{
    (void)state;
    static char said[65536];
    static const char *const versions[] = {"-v", "--version"};
    static const char *const helps[] = {"-h", "--help"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(exit_of(versions[i], said, sizeof said), EXIT_SUCCESS);
        assert_string_equal(said, "luafcgid2 " LUAFCGID2_RELEASE "\n");
        assert_int_equal(exit_of(helps[i], said, sizeof said), EXIT_SUCCESS);
        assert_non_null(strstr(said, "usage: luafcgid2"));
        assert_non_null(strstr(said, "WorkerThreads"));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_file_is_named_with_or_without_c),
        TEST(without_a_file_it_is_config_lua_of_the_directory),
        TEST(what_is_too_much_or_unknown_shows_the_usage),
        TEST(the_version_and_the_help_end_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
