/* What the tests of configurations share: a file that is written and loaded, and what is
 * said of it. To be included after cmocka.h. */
#ifndef CONFIG_FIXTURE_H
#define CONFIG_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "config.h"
#include "tests/unit/files.h"

static char directory[64], file[96], log_file[96];
static char errors[65536], logged[65536];

static inline int set_up(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/test_config.XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(file, sizeof file, "%s/config.lua", directory);
    snprintf(log_file, sizeof log_file, "%s/log", directory);
    assert_true(log_open(log_file, LOG_LEVEL_DEBUG));
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    assert_true(log_open("", LOG_LEVEL_INFO));
    unlink(file);
    unlink(log_file);
    assert_int_equal(rmdir(directory), 0);
    return 0;
}

static inline void write_file(const char *text)
{
    files_write(file, text);
}

static inline void read_log(void)
{
    strcpy(logged, files_read(log_file));
}

/* Loads `name`; what was complained of is in `errors`, what was logged in `logged`. */
static inline struct config *load_file(const char *name)
{
    assert_int_equal(truncate(log_file, 0), 0);
    FILE *out = fmemopen(errors, sizeof errors, "w");
    assert_non_null(out);
    struct config *c = config_load(name, out);
    fflush(out);
    long len = ftell(out);
    fclose(out);
    errors[len] = '\0';
    if (c != NULL)
        config_log_warnings(c);
    read_log();
    return c;
}

static inline struct config *load(const char *text)
{
    write_file(text);
    return load_file(file);
}

static inline struct config *load_good(const char *text)
{
    struct config *c = load(text);
    if (c == NULL)
        fail_msg("%s: %s", text, errors);
    assert_string_equal(errors, "");
    return c;
}

/* The file is refused, with just that message after its name. */
static inline void assert_mistake(const char *text, const char *message)
{
    char expected[1024];
    snprintf(expected, sizeof expected, "%s: %s\n", file, message);
    struct config *c = load(text);
    if (c != NULL)
        fail_msg("%s was accepted", text);
    assert_string_equal(errors, expected);
}

static inline void assert_warning(const char *text, const char *message)
{
    struct config *c = load_good(text);
    config_unref(c);
    if (strstr(logged, message) == NULL)
        fail_msg("%s: expected the warning \"%s\", got \"%s\"", text, message, logged);
}

static inline void assert_silent(const char *text)
{
    config_unref(load_good(text));
    assert_string_equal(logged, "");
}

#endif
