/* The data of one session: names, bounds, the realm "*", and a random walk beside a
 * simple model of the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/realm.h"

static struct realms realms;

static int tear_down(void **state)
{
    (void)state;
    realms_free(&realms);
    assert_int_equal(realms.size, 0);
    return 0;
}

static struct bytes b(const char *text)
{
    return (struct bytes){text, strlen(text)};
}

static enum realm_result set_bytes(struct bytes realm, struct bytes name,
                                   struct bytes value, int64_t max)
{
    struct variable *v = realm_variable_create(name, value);
    assert_non_null(v);
    enum realm_result result = realms_set(&realms, realm, v, max);
    realm_variable_drop(v);
    return result;
}

static enum realm_result set(const char *realm, const char *name, const char *value)
{
    return set_bytes(b(realm), b(name), b(value), 0);
}

static bool same(struct bytes x, struct bytes y)
{
    return x.len == y.len && memcmp(x.data, y.data, x.len) == 0;
}

/* What is stored, as text; NULL when nothing is. */
static const char *get(const char *realm, const char *name)
{
    static char text[256];
    const struct variable *v = realms_get(&realms, b(realm), b(name));
    if (v == NULL)
        return NULL;
    struct bytes value = realm_variable_value(v);
    assert_true(value.len < sizeof text);
    memcpy(text, value.data, value.len);
    text[value.len] = '\0';
    return text;
}

static void a_value_is_found_in_its_realm_only(void **state)
{
    (void)state;
    assert_int_equal(set("a", "k", "one"), REALM_OK);
    assert_int_equal(set("b", "k", "two"), REALM_OK);
    assert_string_equal(get("a", "k"), "one");
    assert_string_equal(get("b", "k"), "two");
    assert_null(get("a", "kk"));
    assert_null(get("c", "k"));
    assert_int_equal(set("a", "k", "three"), REALM_OK);
    assert_string_equal(get("a", "k"), "three");
    assert_string_equal(get("b", "k"), "two");
}

static void names_and_values_are_any_bytes(void **state)
{
    (void)state;
    static const struct bytes all[] = {
        {"", 0},    {"\0", 1},   {"\0\0", 2}, {"a", 1},
        {"a\0", 2}, {"a\0b", 3}, {"\xff", 1}, {"**", 2},
    };
    const size_t count = sizeof all / sizeof *all;
    for (size_t r = 0; r < count; r++) {
        for (size_t n = 0; n < count; n++)
            assert_int_equal(set_bytes(all[r], all[n], all[(r + n) % count], 0),
                             REALM_OK);
    }
    for (size_t r = 0; r < count; r++) {
        for (size_t n = 0; n < count; n++) {
            const struct variable *v = realms_get(&realms, all[r], all[n]);
            assert_non_null(v);
            assert_true(same(realm_variable_name(v), all[n]));
            assert_true(same(realm_variable_value(v), all[(r + n) % count]));
        }
    }
    assert_int_equal(realms.count, count);
}

static void every_realm_reads_the_first_that_was_made(void **state)
{
    (void)state;
    assert_null(get("*", "k"));
    set("zebra", "k", "first");
    set("ant", "k", "second");
    set("mouse", "only", "third");
    assert_string_equal(get("*", "k"), "first");
    assert_string_equal(get("*", "only"), "third");
    assert_null(get("*", "none"));
    struct realms removed = {0};
    assert_true(realms_remove(&realms, b("zebra"), &removed));
    realms_free(&removed);
    set("zebra", "k", "made again");
    assert_string_equal(get("*", "k"), "second");
}

static void every_realm_writes_to_those_that_exist(void **state)
{
    (void)state;
    assert_int_equal(set("*", "k", "v"), REALM_ABSENT);
    assert_false(realms_has(&realms, b("*")));
    set("a", "x", "1");
    set("b", "k", "old");
    assert_int_equal(set("*", "k", "v"), REALM_OK);
    assert_string_equal(get("a", "k"), "v");
    assert_string_equal(get("b", "k"), "v");
    assert_string_equal(get("a", "x"), "1");
    assert_false(realms_has(&realms, b("c")));
    set("a", "k", "own again");
    assert_string_equal(get("b", "k"), "v");
    realms_unset(&realms, b("*"), b("k"));
    assert_null(get("*", "k"));
    assert_string_equal(get("a", "x"), "1");
}

static void every_realm_is_cleared(void **state)
{
    (void)state;
    struct realms removed = {0};
    set("a", "k", "v");
    set("b", "k", "v");
    assert_true(realms_remove(&realms, b("*"), &removed));
    assert_int_equal(removed.count, 2);
    assert_int_equal(realms.count, 0);
    assert_int_equal(realms.size, 0);
    realms_free(&removed);
    assert_true(realms_remove(&realms, b("*"), &removed));
    assert_int_equal(removed.count, 0);
}

static void a_realm_exists_until_it_is_cleared(void **state)
{
    (void)state;
    struct realms removed = {0};
    assert_false(realms_has(&realms, b("a")));
    assert_false(realms_remove(&realms, b("a"), &removed));
    realms_unset(&realms, b("a"), b("k"));
    assert_false(realms_has(&realms, b("a")));
    set("a", "k", "v");
    realms_unset(&realms, b("a"), b("k"));
    realms_unset(&realms, b("a"), b("k"));
    assert_true(realms_has(&realms, b("a")));
    assert_true(realms_has(&realms, b("*")));
    assert_int_equal(realms.size, REALM_OVERHEAD + 1);
    assert_true(realms_remove(&realms, b("a"), &removed));
    realms_free(&removed);
    assert_false(realms_has(&realms, b("a")));
    assert_int_equal(realms.size, 0);
}

static void the_size_counts_names_values_and_overhead(void **state)
{
    (void)state;
    set("realm", "name", "value");
    uint64_t size = REALM_OVERHEAD + 5 + VARIABLE_OVERHEAD + 4 + 5;
    assert_int_equal(realms.size, size);
    set("realm", "name", "");
    assert_int_equal(realms.size, size -= 5);
    set("realm", "n", "v");
    assert_int_equal(realms.size, size += VARIABLE_OVERHEAD + 2);
    set("r", "n", "v");
    assert_int_equal(realms.size, size += REALM_OVERHEAD + 1 + VARIABLE_OVERHEAD + 2);
    set("*", "n", "vv");
    assert_int_equal(realms.size, size += 2);
    realms_unset(&realms, b("*"), b("n"));
    assert_int_equal(realms.size, size - 2 * (VARIABLE_OVERHEAD + 3));
}

static void nothing_over_the_bound_is_stored(void **state)
{
    (void)state;
    int64_t first = REALM_OVERHEAD + 1 + VARIABLE_OVERHEAD + 1 + 10;
    struct bytes ten = b("0123456789"), eleven = b("0123456789.");
    assert_int_equal(set_bytes(b("r"), b("k"), eleven, first), REALM_FULL);
    assert_false(realms_has(&realms, b("r")));
    assert_int_equal(set_bytes(b("r"), b("k"), ten, first), REALM_OK);
    assert_int_equal(set_bytes(b("r"), b("k"), eleven, first), REALM_FULL);
    assert_string_equal(get("r", "k"), "0123456789");
    assert_int_equal(set_bytes(b("r"), b("l"), b(""), first), REALM_FULL);
    assert_int_equal(set_bytes(b("s"), b(""), b(""), first), REALM_FULL);
    assert_int_equal(set_bytes(b("r"), b("k"), b("9876543210"), first), REALM_OK);
    /* A bound that has become smaller refuses growth, not what makes the session small.
     */
    assert_int_equal(set_bytes(b("r"), b("k"), b("short"), 1), REALM_OK);
    assert_int_equal(set_bytes(b("r"), b("k"), b("longer"), 1), REALM_FULL);
    assert_string_equal(get("r", "k"), "short");
    assert_int_equal(set_bytes(b("r"), b("k"), eleven, 0), REALM_OK);
}

static void every_realm_is_written_or_none(void **state)
{
    (void)state;
    set("a", "x", "1");
    set("b", "k", "a long value");
    set("c", "x", "1");
    uint64_t before = realms.size;
    int64_t after = (int64_t)before + 2 * (VARIABLE_OVERHEAD + 2) - 11;
    assert_int_equal(set_bytes(b("*"), b("k"), b("v"), after - 1), REALM_FULL);
    assert_null(get("a", "k"));
    assert_string_equal(get("b", "k"), "a long value");
    assert_null(get("c", "k"));
    assert_int_equal(realms.size, before);
    assert_int_equal(set_bytes(b("*"), b("k"), b("v"), after), REALM_OK);
    assert_int_equal(realms.size, after);
}

/* -- Beside a model -- */

#define NAMES 40
#define TEXTS 6

static int model[TEXTS][NAMES]; /* the value's number, or -1 */
static bool model_has[TEXTS];

static struct bytes number(char *text, size_t size, const char *format, int n)
{
    snprintf(text, size, format, n);
    return b(text);
}

static void compare_with_model(void)
{
    char realm[16], name[16], value[16];
    uint64_t size = 0;
    for (int r = 0; r < TEXTS; r++) {
        struct bytes rb = number(realm, sizeof realm, "r%d", r);
        assert_int_equal(realms_has(&realms, rb), model_has[r]);
        size += model_has[r] ? REALM_OVERHEAD + rb.len : 0;
        for (int n = 0; n < NAMES; n++) {
            struct bytes nb = number(name, sizeof name, "%d", n);
            const struct variable *v = realms_get(&realms, rb, nb);
            assert_int_equal(v != NULL, model_has[r] && model[r][n] >= 0);
            if (v == NULL)
                continue;
            struct bytes vb = number(value, sizeof value, "%d", model[r][n]);
            assert_true(same(realm_variable_value(v), vb));
            size += VARIABLE_OVERHEAD + nb.len + vb.len;
        }
    }
    assert_int_equal(realms.size, size);
}

static void walk(int step)
{
    char realm[16], name[16], value[16];
    int r = rand() % TEXTS, n = rand() % NAMES, what = rand() % 100;
    bool every = rand() % 8 == 0;
    struct bytes rb = every ? b("*") : number(realm, sizeof realm, "r%d", r);
    struct bytes nb = number(name, sizeof name, "%d", n);
    if (what < 70) {
        bool ok =
            set_bytes(rb, nb, number(value, sizeof value, "%d", step), 0) == REALM_OK;
        bool any = false;
        for (int i = 0; i < TEXTS; i++)
            any = any || model_has[i];
        assert_int_equal(ok, !every || any);
        model_has[r] = model_has[r] || !every;
    } else if (what < 97) {
        realms_unset(&realms, rb, nb);
    } else {
        struct realms removed = {0};
        assert_int_equal(realms_remove(&realms, rb, &removed), every || model_has[r]);
        realms_free(&removed);
    }
    for (int i = 0; i < TEXTS; i++) {
        if (!every && i != r)
            continue;
        if (what < 97)
            model[i][n] = what < 70 && model_has[i] ? step : -1;
        else {
            memset(model[i], -1, sizeof model[i]);
            model_has[i] = false;
        }
    }
}

static void a_random_walk_agrees_with_a_simple_model(void **state)
{
    (void)state;
    srand(1);
    memset(model, -1, sizeof model);
    for (int step = 0; step < 20000; step++) {
        walk(step);
        if (step % 16 == 0)
            compare_with_model();
    }
    compare_with_model();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_value_is_found_in_its_realm_only, tear_down),
        cmocka_unit_test_teardown(names_and_values_are_any_bytes, tear_down),
        cmocka_unit_test_teardown(every_realm_reads_the_first_that_was_made, tear_down),
        cmocka_unit_test_teardown(every_realm_writes_to_those_that_exist, tear_down),
        cmocka_unit_test_teardown(every_realm_is_cleared, tear_down),
        cmocka_unit_test_teardown(a_realm_exists_until_it_is_cleared, tear_down),
        cmocka_unit_test_teardown(the_size_counts_names_values_and_overhead, tear_down),
        cmocka_unit_test_teardown(nothing_over_the_bound_is_stored, tear_down),
        cmocka_unit_test_teardown(every_realm_is_written_or_none, tear_down),
        cmocka_unit_test_teardown(a_random_walk_agrees_with_a_simple_model, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
