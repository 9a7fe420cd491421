/* Shared values: what each function stores and returns, what goes when there is no room,
 * and all of that from many threads at once, to be run under ThreadSanitizer as well. */
#include "store/shared.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"

static const struct shared_terms for_ever = {0, 0};

static struct bytes b(const char *text)
{
    return (struct bytes){text, strlen(text)};
}

static struct shared_value text(const char *s)
{
    return (struct shared_value){.type = SHARED_STRING, .text = {s, strlen(s)}};
}

static struct shared_value integer(int64_t i)
{
    return (struct shared_value){.type = SHARED_INTEGER, .integer = i};
}

static struct shared_value number(double d)
{
    return (struct shared_value){.type = SHARED_FLOAT, .number = d};
}

static const struct shared_value nil = {.type = SHARED_NIL};

/* A value in words, until the next call. */
static const char *get(const char *key)
{
    static char said[256];
    char data[200];
    struct shared_value v = shared_get(b(key), data, sizeof data);
    switch (v.type) {
    case SHARED_NIL:
        return "nil";
    case SHARED_BOOLEAN:
        return v.boolean ? "true" : "false";
    case SHARED_INTEGER:
        snprintf(said, sizeof said, "%lld", (long long)v.integer);
        break;
    case SHARED_FLOAT:
        snprintf(said, sizeof said, "%.2f", v.number);
        break;
    case SHARED_STRING:
        snprintf(said, sizeof said, "\"%.*s\"", (int)v.text.len, v.text.data);
        break;
    }
    return said;
}

static enum shared_result set(const char *key, struct shared_value v, int64_t max)
{
    return shared_set(b(key), &v, (struct shared_terms){0, max});
}

static int clear(void **state)
{
    (void)state;
    shared_clear();
    return shared_count() != 0 || shared_size() != 0;
}

/* -- Each function -- */

static void values_of_every_type_are_kept(void **state)
{
    (void)state;
    struct shared_value yes = {.type = SHARED_BOOLEAN, .boolean = true};
    assert_string_equal(get("k"), "nil");
    set("k", yes, 0);
    assert_string_equal(get("k"), "true");
    set("k", integer(-5), 0);
    assert_string_equal(get("k"), "-5");
    set("k", number(2.5), 0);
    assert_string_equal(get("k"), "2.50");
    set("k", text("some"), 0);
    set("", text(""), 0);
    assert_string_equal(get("k"), "\"some\"");
    assert_string_equal(get(""), "\"\"");
    assert_int_equal(shared_count(), 2);
    assert_int_equal(shared_size(), 2 * SHARED_OVERHEAD + 5);
    set("k", nil, 0);
    assert_string_equal(get("k"), "nil");
    assert_true(shared_delete(b("")));
    assert_false(shared_delete(b("")));
    assert_int_equal(shared_size(), 0);
}

static void a_text_that_does_not_fit_tells_its_length(void **state)
{
    (void)state;
    char data[4] = "old";
    set("k", text("12345"), 0);
    struct shared_value v = shared_get(b("k"), data, sizeof data);
    assert_int_equal(v.text.len, 5);
    assert_string_equal(data, "old");
}

static void add_stores_only_what_is_not_there(void **state)
{
    (void)state;
    struct shared_value one = integer(1), two = integer(2);
    assert_int_equal(shared_add(b("k"), &one, for_ever), SHARED_DONE);
    assert_int_equal(shared_add(b("k"), &two, for_ever), SHARED_REFUSED);
    assert_string_equal(get("k"), "1");
}

static void swap_compares_as_lua_does(void **state)
{
    (void)state;
    struct shared_value one = integer(1), two = number(2), t = text("a"), u = text("b");
    struct shared_value huge = integer(INT64_MAX), near = number(9223372036854775808.0);
    assert_int_equal(shared_swap(b("k"), &one, &two, for_ever), SHARED_REFUSED);
    assert_int_equal(shared_swap(b("k"), &nil, &one, for_ever), SHARED_DONE);
    struct shared_value one_float = number(1), two_integer = integer(2);
    assert_int_equal(shared_swap(b("k"), &one_float, &two, for_ever), SHARED_DONE);
    assert_int_equal(shared_swap(b("k"), &two_integer, &t, for_ever), SHARED_DONE);
    assert_int_equal(shared_swap(b("k"), &u, &one, for_ever), SHARED_REFUSED);
    assert_int_equal(shared_swap(b("k"), &t, &huge, for_ever), SHARED_DONE);
    assert_int_equal(shared_swap(b("k"), &near, &one, for_ever), SHARED_REFUSED);
    assert_int_equal(shared_swap(b("k"), &huge, &nil, for_ever), SHARED_DONE);
    assert_string_equal(get("k"), "nil");
}

static enum shared_result increase(const char *key, struct shared_value by,
                                   struct shared_value init)
{
    struct shared_value result;
    return shared_increase(b(key), &by, &init, for_ever, &result);
}

static void increase_adds_to_numbers_alone(void **state)
{
    (void)state;
    assert_int_equal(increase("k", integer(1), integer(10)), SHARED_DONE);
    assert_string_equal(get("k"), "11");
    assert_int_equal(increase("k", integer(-2), integer(10)), SHARED_DONE);
    assert_string_equal(get("k"), "9");
    assert_int_equal(increase("k", number(0.5), integer(10)), SHARED_DONE);
    assert_string_equal(get("k"), "9.50");
    set("k", integer(INT64_MAX), 0);
    increase("k", integer(1), integer(0));
    assert_string_equal(get("k"), "-9223372036854775808");
    set("k", text("5"), 0);
    assert_int_equal(increase("k", integer(1), integer(0)), SHARED_NO_NUMBER);
    assert_string_equal(get("k"), "\"5\"");
}

static void the_heartbeat_drops_what_is_over(void **state)
{
    (void)state;
    struct shared_value one = integer(1);
    set("stays", one, 0);
    for (int i = 0; i < 1000; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        shared_set(b(key), &one, (struct shared_terms){i % 2 == 0 ? 1 : 1000000, 0});
    }
    int64_t end = clock_milliseconds() + 10000;
    while (shared_count() > 501 && clock_milliseconds() < end)
        shared_tick();
    assert_int_equal(shared_count(), 501);
    assert_string_equal(get("stays"), "1");
}

static void a_value_goes_when_its_time_is_over(void **state)
{
    (void)state;
    struct shared_value one = integer(1);
    struct shared_terms short_life = {400, 0};
    int64_t begun = clock_milliseconds();
    assert_int_equal(shared_add(b("k"), &one, short_life), SHARED_DONE);
    shared_set(b("other"), &one, short_life);
    shared_set(b("other"), &one, for_ever);
    increase("k", integer(1), integer(0)); /* keeps the time */
    struct shared_value two = integer(2), three = integer(3);
    shared_swap(b("k"), &two, &three, for_ever); /* so does this */
    bool there;
    do {
        there = strcmp(get("k"), "3") == 0;
        if (clock_milliseconds() < begun + 400)
            assert_true(there);
    } while (there && clock_milliseconds() < begun + 10000);
    assert_string_equal(get("k"), "nil");
    assert_string_equal(get("other"), "1");
    assert_int_equal(shared_count(), 1);
    assert_int_equal(shared_add(b("k"), &one, for_ever), SHARED_DONE);
}

/* -- Room -- */

static void what_was_not_used_for_longest_goes_first(void **state)
{
    (void)state;
    int64_t max = 10 * (SHARED_OVERHEAD + 2);
    for (int i = 10; i < 20; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        assert_int_equal(set(key, integer(i), max), SHARED_DONE);
    }
    assert_int_equal(shared_count(), 10);
    assert_string_equal(get("10"), "10"); /* a use */
    increase("11", integer(0), integer(0));
    set("20", integer(20), max);
    set("21", integer(21), max);
    assert_string_equal(get("12"), "nil");
    assert_string_equal(get("13"), "nil");
    for (int i = 14; i < 22; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        assert_string_equal(get(key), key);
    }
    assert_string_equal(get("10"), "10");
    assert_string_equal(get("11"), "11");
    assert_int_equal(set("x", text("1234567890"), SHARED_OVERHEAD + 10),
                     SHARED_TOO_LARGE);
    assert_int_equal(shared_count(), 10);
    assert_int_equal(set("x", text("123456789"), SHARED_OVERHEAD + 10), SHARED_DONE);
    assert_int_equal(shared_count(), 1);
}

/* -- Keys -- */

static int count_keys(const char *prefix)
{
    int count = 0;
    for (unsigned shard = 0; shard < SHARED_SHARDS; shard++) {
        size_t needed = shared_keys(shard, b(prefix), NULL, 0);
        char *data = malloc(needed + 1);
        assert_int_equal(shared_keys(shard, b(prefix), data, needed), needed);
        for (size_t at = 0, len; at < needed; at += sizeof len + len, count++) {
            memcpy(&len, data + at, sizeof len);
            assert_true(len >= strlen(prefix));
            assert_memory_equal(data + at + sizeof len, prefix, strlen(prefix));
        }
        free(data);
    }
    return count;
}

static void keys_are_listed_by_their_beginning(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof key, "%s%d", i % 4 == 0 ? "a:" : "b:", i);
        set(key, integer(i), 0);
    }
    assert_int_equal(count_keys(""), 100);
    assert_int_equal(count_keys("a:"), 25);
    assert_int_equal(count_keys("c"), 0);
}

/* -- Many threads -- */

enum { THREADS = 8 };

static atomic_uint wrong;
static int rounds;

static void *count_up(void *arg)
{
    struct shared_value one = integer(1), zero = integer(0), result;
    (void)arg;
    for (int i = 0; i < rounds; i++)
        if (shared_increase(b("n"), &one, &zero, for_ever, &result) != SHARED_DONE)
            atomic_fetch_add(&wrong, 1);
    return NULL;
}

/* Each text is of one letter. */
static void *mix(void *arg)
{
    unsigned seed = (unsigned)(intptr_t)arg + 1;
    char letters[300], data[300];
    for (int i = 0; i < rounds; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", rand_r(&seed) % 50);
        memset(letters, 'a' + rand_r(&seed) % 26, sizeof letters);
        struct shared_value v = {
            .type = SHARED_STRING,
            .text = {letters, (size_t)rand_r(&seed) % sizeof letters}};
        switch (rand_r(&seed) % 5) {
        case 0:
            shared_set(b(key), &v, (struct shared_terms){rand_r(&seed) % 3, 5000});
            break;
        case 1:
            shared_delete(b(key));
            break;
        case 2:
            shared_keys((unsigned)i % SHARED_SHARDS, b(""), data, sizeof data);
            break;
        default:
            v = shared_get(b(key), data, sizeof data);
            for (size_t n = 1; v.type == SHARED_STRING && n < v.text.len; n++)
                if (data[n] != data[0])
                    atomic_fetch_add(&wrong, 1);
        }
    }
    return NULL;
}

static void run(void *(*body)(void *))
{
    pthread_t threads[THREADS];
    atomic_store(&wrong, 0);
    for (intptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, body, (void *)i), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&wrong), 0);
}

/* Ten million, but for what makes each of them slow. */
static int increases(void)
{
    const char *slowdown = getenv("LUAFCGID2_SLOWDOWN");
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    return 20000;
#endif
    return 1250000 / (slowdown == NULL || atoi(slowdown) < 1 ? 1 : atoi(slowdown));
}

static void eight_threads_lose_no_increase(void **state)
{
    (void)state;
    char expected[32];
    rounds = increases();
    run(count_up);
    snprintf(expected, sizeof expected, "%d", THREADS * rounds);
    assert_string_equal(get("n"), expected);
}

static void eight_threads_mix_everything(void **state)
{
    (void)state;
    rounds = 5000;
    run(mix);
    assert_true(shared_size() <= 5000);
}

#define CLEAR_TEST(name) cmocka_unit_test_setup_teardown(name, clear, clear)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLEAR_TEST(values_of_every_type_are_kept),
        CLEAR_TEST(a_text_that_does_not_fit_tells_its_length),
        CLEAR_TEST(add_stores_only_what_is_not_there),
        CLEAR_TEST(swap_compares_as_lua_does),
        CLEAR_TEST(increase_adds_to_numbers_alone),
        CLEAR_TEST(a_value_goes_when_its_time_is_over),
        CLEAR_TEST(the_heartbeat_drops_what_is_over),
        CLEAR_TEST(what_was_not_used_for_longest_goes_first),
        CLEAR_TEST(keys_are_listed_by_their_beginning),
        CLEAR_TEST(eight_threads_lose_no_increase),
        CLEAR_TEST(eight_threads_mix_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
