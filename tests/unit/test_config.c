/* The face of the configuration: what differs, and how it is handed out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "tests/unit/config_fixture.h"

static void test_start_only_options_that_changed_are_named(void **state)
{
    (void)state;
    char names[256] = "x";
    struct config *a = load_good("");
    struct config *b = load_good("LuaMaxStates = 9 RequestTimeout = 5 Config = {1}\n"
                                 "AllowedExtensions = {'.x'} LogLevel = 'debug'");
    assert_false(config_needs_restart(a, b, names, sizeof names));
    assert_string_equal(names, "");
    config_unref(b);
    b = load_good("WorkerThreads = 5 Listen = ':9000' Daemonize = true PidFile = '/p'\n"
                  "ListenMode = '0600' MaxHeadSize = 2048 User = 'root'");
    assert_true(config_needs_restart(a, b, names, sizeof names));
    assert_string_equal(
        names,
        "Listen, WorkerThreads, MaxHeadSize, ListenMode, User, PidFile, Daemonize");
    assert_true(config_needs_restart(a, b, names, 10));
    assert_string_equal(names, "Listen, W");
    config_unref(a);
    config_unref(b);
}

enum { READERS = 3, ROUNDS = 300 };

static void *read_published(void *argument)
{
    (void)argument;
    unsigned seen = config_generation();
    struct config *c = config_current();
    while (c->worker_threads != ROUNDS) {
        if (config_generation() == seen)
            continue;
        seen = config_generation();
        config_unref(c);
        c = config_current();
        assert_string_equal(c->entrypoint, "main");
    }
    config_unref(c);
    return NULL;
}

static void test_readers_keep_what_they_hold_while_others_publish(void **state)
{
    (void)state;
    pthread_t readers[READERS];
    assert_null(config_current());
    config_publish(load_good("WorkerThreads = 1"));
    struct config *first = config_current();
    unsigned before = config_generation();
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_published, NULL), 0);
    for (int i = 2; i <= ROUNDS; i++) {
        char text[64];
        snprintf(text, sizeof text, "WorkerThreads = %d", i);
        config_publish(load_good(text));
    }
    for (int i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    assert_int_equal(config_generation(), before + ROUNDS - 1);
    assert_int_equal(first->worker_threads, 1);
    assert_ptr_equal(config_ref(first), first);
    config_unref(first);
    config_unref(first);
    config_publish(NULL);
    assert_null(config_current());
    config_unref(NULL);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_start_only_options_that_changed_are_named),
        TEST(test_readers_keep_what_they_hold_while_others_publish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
