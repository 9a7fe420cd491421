/* Hash tables: what is found at each size and at each step of growing, with and without
 * memory, and what hash_bytes says. */
#include "base/hash.h"
#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MANY = 5000 };

struct thing {
    uint32_t number;
    struct hash_link link;
};

static struct hash table;
static struct thing things[MANY];
static bool no_memory;

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_calloc(size_t count, size_t size)
{
    return no_memory ? NULL : __real_calloc(count, size);
}

static int set_up(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < MANY; i++)
        things[i].number = i;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    no_memory = false;
    hash_free(&table);
    return 0;
}

static struct thing *find(uint32_t number, uint32_t hash)
{
    for (struct hash_link *l = hash_find(&table, hash); l != NULL; l = hash_next(l)) {
        struct thing *t = CONTAINER(struct thing, link, l);
        assert_int_equal(l->hash, hash);
        if (t->number == number)
            return t;
    }
    return NULL;
}

static void insert(uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++)
        hash_insert(&table, &things[i].link, i);
}

static void nothing_is_found_in_an_empty_table(void **state)
{
    (void)state;
    assert_null(hash_find(&table, 0));
    assert_null(hash_find(&table, UINT32_MAX));
    hash_free(&table);
    assert_null(hash_find(&table, 0));
}

static void what_was_inserted_is_found_until_it_is_removed(void **state)
{
    (void)state;
    insert(0, 3);
    assert_int_equal(table.count, 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_ptr_equal(find(i, i), &things[i]);
    assert_null(find(3, 3));
    hash_remove(&table, &things[1].link);
    assert_null(find(1, 1));
    assert_ptr_equal(find(0, 0), &things[0]);
    assert_ptr_equal(find(2, 2), &things[2]);
    assert_int_equal(table.count, 2);
}

static void things_of_one_hash_are_all_found(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 200; i++)
        hash_insert(&table, &things[i].link, 7);
    for (uint32_t i = 0; i < 200; i++)
        assert_ptr_equal(find(i, 7), &things[i]);
    for (uint32_t i = 0; i < 200; i += 2)
        hash_remove(&table, &things[i].link);
    for (uint32_t i = 0; i < 200; i++)
        assert_ptr_equal(find(i, 7), i % 2 ? &things[i] : NULL);
    assert_null(hash_find(&table, 7 + 256));
}

static void everything_is_found_at_each_step_of_growing(void **state)
{
    (void)state;
    bool grew = false;
    for (uint32_t n = 0; n < 600; n++) {
        insert(n, n + 1);
        grew |= table.old.at != NULL;
        for (uint32_t i = 0; i <= n; i++)
            assert_ptr_equal(find(i, i), &things[i]);
        assert_null(find(n + 1, n + 1));
    }
    assert_true(grew);
    assert_true(table.now.size >= 300); /* chains stay short */
}

static void things_are_removed_while_the_table_grows(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < MANY; n++) {
        insert(n, n + 1);
        if (n % 3 == 2)
            hash_remove(&table, &things[n / 3].link);
    }
    for (uint32_t i = 0; i < MANY; i++)
        assert_ptr_equal(find(i, i), i < MANY / 3 ? NULL : &things[i]);
    for (uint32_t i = MANY / 3; i < MANY; i++)
        hash_remove(&table, &things[i].link);
    assert_int_equal(table.count, 0);
}

static void without_memory_the_chains_get_longer(void **state)
{
    (void)state;
    no_memory = true;
    insert(0, 100);
    for (uint32_t i = 0; i < 100; i++)
        assert_ptr_equal(find(i, i), &things[i]);
    assert_int_equal(table.now.size, 0);
    hash_remove(&table, &things[50].link);
    no_memory = false;
    insert(100, 1000);
    no_memory = true;
    insert(1000, MANY);
    for (uint32_t i = 0; i < MANY; i++)
        assert_ptr_equal(find(i, i), i == 50 ? NULL : &things[i]);
}

static void texts_have_their_hash_for_the_life_of_the_process(void **state)
{
    (void)state;
    assert_int_equal(hash_bytes("abc", 3), hash_bytes("abc", 3));
    assert_int_equal(hash_bytes("", 0), hash_bytes("abc", 0));
    int same = 0;
    for (uint32_t i = 0; i < MANY; i++)
        same += hash_bytes(&i, sizeof i) == hash_bytes("abc", 3);
    assert_true(same < 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_found_in_an_empty_table),
        TEST(what_was_inserted_is_found_until_it_is_removed),
        TEST(things_of_one_hash_are_all_found),
        TEST(everything_is_found_at_each_step_of_growing),
        TEST(things_are_removed_while_the_table_grows),
        TEST(without_memory_the_chains_get_longer),
        TEST(texts_have_their_hash_for_the_life_of_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
