/* Sessions in one thread: keys, who may have which session, time, data. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/session_fixture.h"

/* -- Keys -- */

static void a_key_is_so_many_letters_and_digits(void **state)
{
    (void)state;
    for (int len = SESSION_KEY_MIN; len <= SESSION_KEY_MAX; len += 53) {
        config.session_key_len = len;
        struct one s = start();
        assert_int_equal(strlen(s.key), len);
        for (int i = 0; i < len; i++)
            assert_true(isalnum((unsigned char)s.key[i]));
        assert_true(alive(&s));
    }
}

/* Of 480,000 characters each of 62 is expected 7742 times, give or take 87. */
static void every_character_is_as_likely_as_another(void **state)
{
    (void)state;
    unsigned seen[256] = {0}, different = 0;
    config.session_max_count = 10;
    for (int i = 0; i < 20000; i++) {
        struct one s = start();
        for (const char *c = s.key; *c != '\0'; c++)
            seen[(unsigned char)*c]++;
    }
    for (int c = 0; c < 256; c++) {
        different += seen[c] > 0;
        assert_true(seen[c] == 0 || (seen[c] > 7742 - 870 && seen[c] < 7742 + 870));
    }
    assert_int_equal(different, 62);
}

static int compare_keys(const void *x, const void *y)
{
    return strcmp(((const struct one *)x)->key, ((const struct one *)y)->key);
}

static void no_two_keys_are_the_same(void **state)
{
    (void)state;
    enum { COUNT = 10000 };
    struct one *all = calloc(COUNT, sizeof *all);
    assert_non_null(all);
    for (int i = 0; i < COUNT; i++)
        all[i] = start();
    qsort(all, COUNT, sizeof *all, compare_keys);
    for (int i = 1; i < COUNT; i++)
        assert_true(strcmp(all[i - 1].key, all[i].key) < 0);
    assert_int_equal(store_count(store), COUNT);
    free(all);
}

static bool finds(const char *key)
{
    struct session_id id;
    return session_find(store, &config, key, &client, &id, NULL);
}

static void a_key_of_the_wrong_shape_finds_nothing(void **state)
{
    (void)state;
    struct one s = start();
    char key[4096];
    assert_false(finds(NULL));
    assert_false(finds(""));
    for (size_t len = 1; len < 24; len++) {
        memcpy(key, s.key, len);
        key[len] = '\0';
        assert_false(finds(key));
    }
    snprintf(key, sizeof key, "%sA", s.key);
    assert_false(finds(key));
    memset(key, 'A', sizeof key - 1);
    key[sizeof key - 1] = '\0';
    assert_false(finds(key));
    for (int c = 1; c < 256; c++) {
        snprintf(key, sizeof key, "%s", s.key);
        key[7] = (char)c;
        assert_int_equal(finds(key), c == (unsigned char)s.key[7]);
    }
}

static void a_key_of_another_length_dies_with_the_configuration(void **state)
{
    (void)state;
    struct one s = start();
    config.session_key_len = 30;
    assert_false(alive(&s));
    config.session_key_len = 24;
    assert_true(alive(&s));
}

static long resident_pages(void)
{
    long size, resident;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f == NULL)
        return 0; /* no Linux */
    assert_int_equal(fscanf(f, "%ld %ld", &size, &resident), 2);
    fclose(f);
    return resident;
}

static void a_million_forged_keys_cost_no_memory(void **state)
{
    (void)state;
    struct one s = start();
    char key[25] = "AAAAAAAAAAAAAAAAAAAAAAAA";
    long before = resident_pages();
    for (unsigned i = 0; i < 1000000; i++) {
        for (unsigned digit = 0, n = i; digit < 6; digit++, n /= 10)
            key[digit] = (char)('0' + n % 10);
        assert_false(finds(key));
    }
    assert_true((resident_pages() - before) * sysconf(_SC_PAGESIZE) < 256 * 1024);
    assert_int_equal(store_count(store), 1);
    assert_true(alive(&s));
}

static void the_tag_says_nothing_of_the_key(void **state)
{
    (void)state;
    struct one s = start(), other = start();
    char tag[SESSION_TAG_SIZE], again[SESSION_TAG_SIZE];
    session_tag(&s.id, tag);
    session_tag(&s.id, again);
    assert_string_equal(tag, again);
    assert_int_equal(strlen(tag), 16);
    assert_int_equal(strspn(tag, "0123456789abcdef"), 16);
    session_tag(&other.id, again);
    assert_string_not_equal(tag, again);
    assert_null(strstr(tag, s.key));
    assert_false(finds(tag));
}

/* -- Score -- */

static void the_score_adds_up_to_the_target(void **state)
{
    (void)state;
    static const struct {
        int target;
        bool address, user_agent, language; /* which are the session's */
        bool found;
    } rows[] = {
        {3, true, true, true, true},     {3, true, false, false, true},
        {3, false, true, true, true},    {3, false, true, false, false},
        {3, false, false, true, false},  {3, false, false, false, false},
        {4, true, false, true, true},    {4, true, false, false, false},
        {6, true, true, true, true},     {6, true, true, false, false},
        {7, true, true, true, false},    {1, false, false, true, true},
        {1, false, false, false, false}, {0, false, false, false, true},
        {-5, false, false, false, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct one s = start();
        struct session_id id;
        struct session_client c = {rows[i].address ? client.address : "2001:db8::1",
                                   rows[i].user_agent ? client.user_agent : "Other",
                                   rows[i].language ? client.language : "fr"};
        config.session_target_score = rows[i].target;
        assert_int_equal(session_find(store, &config, s.key, &c, &id, NULL),
                         rows[i].found);
        config.session_target_score = 3;
    }
}

static void scores_are_configurable_even_below_zero(void **state)
{
    (void)state;
    struct one s = start();
    config.session_ip_score = -10;
    config.session_user_agent_score = 1000;
    config.session_language_score = 0;
    config.session_target_score = 991;
    assert_false(alive(&s));
    config.session_target_score = 990;
    assert_true(alive(&s));
    config.session_user_agent_score = 0;
    config.session_target_score = 0;
    assert_true(alive(&s));
}

static bool finds_as(const struct one *s, const char *address, const char *agent,
                     const char *language)
{
    struct session_id id;
    struct session_client c = {address, agent, language};
    return session_find(store, &config, s->key, &c, &id, NULL);
}

static void the_identity_follows_the_client_only_after_a_match(void **state)
{
    (void)state;
    struct one s = start();
    /* From another address, with user agent and language: 3. That address counts now. */
    assert_true(finds_as(&s, "192.0.2.2", client.user_agent, client.language));
    assert_true(finds_as(&s, "192.0.2.2", "New", "fr"));
    /* The old ones are forgotten: neither address nor browser match any more. */
    assert_false(finds_as(&s, client.address, client.user_agent, client.language));
    /* A stranger who does not match changes nothing, however often he tries. */
    for (int i = 0; i < 3; i++)
        assert_false(finds_as(&s, "198.51.100.7", "New", "en"));
    assert_false(finds_as(&s, "198.51.100.7", "Evil", "fr"));
    assert_true(finds_as(&s, "192.0.2.2", "New", "fr"));
    assert_int_equal(logged("does not match"), 5);
}

static void a_client_that_says_nothing_is_one_that_says_empty(void **state)
{
    (void)state;
    struct one s;
    struct session_client silent = {NULL, NULL, NULL};
    config.session_target_score = 6;
    assert_true(session_create(store, &config, &silent, s.key, &s.id));
    assert_true(finds_as(&s, "", "", ""));
    assert_true(finds_as(&s, NULL, NULL, NULL));
    assert_false(finds_as(&s, NULL, NULL, "en"));
}

/* -- Time -- */

static void a_session_ends_so_long_after_its_last_use(void **state)
{
    (void)state;
    struct one s = start();
    for (int i = 0; i < 5; i++) {
        pass(HOUR - 1);
        assert_true(alive(&s));
    }
    pass(HOUR);
    assert_false(alive(&s));
    assert_int_equal(store_count(store), 0);
}

static void every_call_on_its_data_is_a_use(void **state)
{
    (void)state;
    struct one s = start();
    for (int call = 0; call < 5; call++) {
        pass(HOUR - 1);
        if (call == 0)
            assert_true(set(&s, "r", "k", "v"));
        else if (call == 1)
            assert_string_equal(get(&s, "r", "k"), "v");
        else if (call == 2)
            assert_true(session_has_realm(store, &s.id, b("r")));
        else if (call == 3)
            assert_true(set(&s, "r", "k", NULL));
        else
            assert_true(session_clear(store, &s.id, b("r")));
    }
    pass(HOUR - 1);
    assert_true(alive(&s));
}

static void a_failed_look_is_no_use(void **state)
{
    (void)state;
    struct one s = start();
    pass(HOUR - 1);
    assert_false(finds_as(&s, "198.51.100.7", "Evil", "fr"));
    pass(1);
    assert_false(alive(&s));
}

static void a_session_ends_at_its_greatest_age(void **state)
{
    (void)state;
    struct one s = start();
    for (int i = 0; i < 47; i++) {
        pass(HOUR / 2);
        assert_true(alive(&s));
    }
    pass(HOUR / 2 - 1);
    assert_true(alive(&s));
    pass(1);
    assert_false(alive(&s));
}

static void zero_switches_either_time_off(void **state)
{
    (void)state;
    struct one s = start();
    config.session_max_age = 0;
    for (int i = 0; i < 100; i++) {
        pass(HOUR - 1);
        assert_true(alive(&s));
    }
    config.session_time = 0;
    pass(100000 * HOUR);
    store_tick(store, &config);
    assert_true(alive(&s));
    config.session_max_age = HOUR;
    assert_false(alive(&s));
}

static void an_expired_key_is_never_adopted(void **state)
{
    (void)state;
    struct one s = start();
    assert_true(set(&s, "r", "k", "v"));
    pass(HOUR);
    assert_false(alive(&s));
    config.session_time = 10 * HOUR;
    assert_false(alive(&s));
    assert_false(set(&s, "r", "k", "v"));
    assert_null(get(&s, "r", "k"));
}

/* -- Data -- */

static void data_belongs_to_its_session(void **state)
{
    (void)state;
    struct one s = start(), other = start();
    assert_true(set(&s, "r", "k", "mine"));
    assert_true(set(&other, "r", "k", "theirs"));
    assert_string_equal(get(&s, "r", "k"), "mine");
    assert_string_equal(get(&other, "r", "k"), "theirs");
    assert_true(session_has_realm(store, &s.id, b("r")));
    assert_false(session_has_realm(store, &s.id, b("q")));
    assert_true(session_has_realm(store, &s.id, b("*")));
    assert_true(session_clear(store, &s.id, b("r")));
    assert_false(session_clear(store, &s.id, b("r")));
    assert_false(session_has_realm(store, &s.id, b("*")));
    assert_string_equal(get(&other, "r", "k"), "theirs");
}

static void nil_deletes_and_is_no_failure(void **state)
{
    (void)state;
    struct one s = start();
    assert_true(set(&s, "r", "k", NULL));
    assert_false(session_has_realm(store, &s.id, b("r")));
    assert_true(set(&s, "r", "k", ""));
    assert_string_equal(get(&s, "r", "k"), "");
    assert_true(set(&s, "r", "k", NULL));
    assert_null(get(&s, "r", "k"));
    assert_true(set(&s, "*", "k", NULL));
}

static void every_realm_at_once(void **state)
{
    (void)state;
    struct one s = start();
    assert_false(set(&s, "*", "k", "v"));
    assert_true(session_clear(store, &s.id, b("*")));
    assert_true(set(&s, "one", "k", "1"));
    assert_true(set(&s, "two", "k", "2"));
    assert_string_equal(get(&s, "*", "k"), "1");
    assert_true(set(&s, "*", "k", "v"));
    assert_string_equal(get(&s, "one", "k"), "v");
    assert_string_equal(get(&s, "two", "k"), "v");
    assert_true(session_clear(store, &s.id, b("*")));
    assert_null(get(&s, "*", "k"));
}

static void a_value_is_copied_if_it_fits(void **state)
{
    (void)state;
    struct one s = start();
    char data[8] = "........";
    assert_true(set(&s, "r", "k", "value"));
    assert_true(session_copy(store, &s.id, b("r"), b("none"), data, 8) == SIZE_MAX);
    assert_int_equal(session_copy(store, &s.id, b("r"), b("k"), data, 4), 5);
    assert_int_equal(session_copy(store, &s.id, b("r"), b("k"), NULL, 0), 5);
    assert_memory_equal(data, "........", 8);
    assert_int_equal(session_copy(store, &s.id, b("r"), b("k"), data, 5), 5);
    assert_memory_equal(data, "value...", 8);
    assert_true(session_delete(store, &s.id));
    assert_true(session_copy(store, &s.id, b("r"), b("k"), data, 8) == SIZE_MAX);
}

static void a_value_is_appended(void **state)
{
    (void)state;
    struct one s = start();
    struct buffer value = {0};
    assert_true(set(&s, "r", "k", "value"));
    assert_true(buffer_puts(&value, "before "));
    assert_false(session_get(store, &s.id, b("r"), b("none"), &value));
    assert_true(session_get(store, &s.id, b("r"), b("k"), &value));
    assert_int_equal(value.len, 12);
    assert_memory_equal(value.data, "before value", 12);
    buffer_free(&value);
}

/* -- New keys and the end -- */

static void a_new_key_has_the_same_data_and_kills_the_old(void **state)
{
    (void)state;
    struct one s = start(), old = s;
    assert_true(set(&s, "r", "k", "v"));
    assert_true(session_regenerate(store, &config, &s.id, s.key, NULL));
    assert_string_not_equal(s.key, old.key);
    assert_memory_not_equal(&s.id, &old.id, sizeof s.id);
    assert_int_equal(strlen(s.key), 24);
    assert_false(alive(&old));
    assert_null(get(&old, "r", "k"));
    assert_false(set(&old, "r", "k", "x"));
    assert_true(alive(&s));
    assert_string_equal(get(&s, "r", "k"), "v");
    assert_int_equal(store_count(store), 1);
}

static void a_new_key_does_not_make_the_session_younger(void **state)
{
    (void)state;
    struct one s = start();
    config.session_time = 0;
    pass(24 * HOUR - 1);
    assert_true(session_regenerate(store, &config, &s.id, s.key, NULL));
    assert_true(alive(&s));
    pass(1);
    assert_false(alive(&s));
}

static void a_dead_session_gets_no_new_key(void **state)
{
    (void)state;
    struct one s = start(), old = s;
    assert_true(session_delete(store, &s.id));
    assert_false(session_regenerate(store, &config, &s.id, s.key, NULL));
    assert_memory_equal(&s.id, &old.id, sizeof s.id);
    assert_int_equal(store_count(store), 0);
}

static void a_deleted_session_is_gone(void **state)
{
    (void)state;
    struct one s = start(), other = start();
    assert_true(set(&s, "r", "k", "v"));
    assert_true(session_delete(store, &s.id));
    assert_false(session_delete(store, &s.id));
    assert_false(alive(&s));
    assert_null(get(&s, "r", "k"));
    assert_false(session_has_realm(store, &s.id, b("*")));
    assert_false(session_clear(store, &s.id, b("*")));
    assert_false(set(&s, "r", "k", "v"));
    assert_false(set(&s, "r", "k", NULL));
    assert_true(alive(&other));
    assert_int_equal(store_count(store), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_key_is_so_many_letters_and_digits),
        TEST(every_character_is_as_likely_as_another),
        TEST(no_two_keys_are_the_same),
        TEST(a_key_of_the_wrong_shape_finds_nothing),
        TEST(a_key_of_another_length_dies_with_the_configuration),
        TEST(a_million_forged_keys_cost_no_memory),
        TEST(the_tag_says_nothing_of_the_key),
        TEST(the_score_adds_up_to_the_target),
        TEST(scores_are_configurable_even_below_zero),
        TEST(the_identity_follows_the_client_only_after_a_match),
        TEST(a_client_that_says_nothing_is_one_that_says_empty),
        TEST(a_session_ends_so_long_after_its_last_use),
        TEST(every_call_on_its_data_is_a_use),
        TEST(a_failed_look_is_no_use),
        TEST(a_session_ends_at_its_greatest_age),
        TEST(zero_switches_either_time_off),
        TEST(an_expired_key_is_never_adopted),
        TEST(data_belongs_to_its_session),
        TEST(nil_deletes_and_is_no_failure),
        TEST(every_realm_at_once),
        TEST(a_value_is_copied_if_it_fits),
        TEST(a_value_is_appended),
        TEST(a_new_key_has_the_same_data_and_kills_the_old),
        TEST(a_new_key_does_not_make_the_session_younger),
        TEST(a_dead_session_gets_no_new_key),
        TEST(a_deleted_session_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
