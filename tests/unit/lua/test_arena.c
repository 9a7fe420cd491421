/* Small blocks, side by side. */
#include "lua/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static int set_up(void **state)
{
    static struct arena a;
    arena_open(&a);
    *state = &a;
    return 0;
}

static int tear_down(void **state)
{
    arena_close(*state);
    return 0;
}

/* With AddressSanitizer there is no memory. */
static struct arena *arena_of(void **state)
{
    struct arena *a = *state;
    if (a->memory == NULL)
        skip();
    return a;
}

static void blocks_are_aligned_and_apart(void **state)
{
    struct arena *a = arena_of(state);
    char *blocks[ARENA_BLOCK_MAX + 1];
    for (size_t size = 1; size <= 64; size++) {
        blocks[size] = arena_take(a, size);
        assert_non_null(blocks[size]);
        assert_true(arena_owns(a, blocks[size]));
        assert_int_equal((uintptr_t)blocks[size] % ARENA_UNIT, 0);
        memset(blocks[size], (int)size, size);
    }
    for (size_t size = 1; size <= 64; size++)
        for (size_t i = 0; i < size; i++)
            assert_int_equal(blocks[size][i], size);
}

static void what_was_given_back_is_taken_again(void **state)
{
    struct arena *a = arena_of(state);
    void *first = arena_take(a, 33), *second = arena_take(a, 40);
    uint16_t used = a->used;
    arena_give(a, first, 33);
    arena_give(a, second, 40);
    assert_ptr_equal(arena_take(a, 38), second);
    assert_ptr_equal(arena_take(a, 34), first);
    assert_int_equal(a->used, used);
    assert_ptr_not_equal(arena_take(a, 40), first);
}

static void large_blocks_are_for_the_c_library(void **state)
{
    struct arena *a = arena_of(state);
    assert_non_null(arena_take(a, ARENA_BLOCK_MAX));
    assert_null(arena_take(a, ARENA_BLOCK_MAX + 1));
    assert_false(arena_owns(a, NULL));
    assert_false(arena_owns(a, &a));
    assert_false(arena_owns(a, a->memory + ARENA_BYTES));
    assert_true(arena_owns(a, a->memory + ARENA_BYTES - 1));
}

static void a_full_one_takes_what_is_given_back(void **state)
{
    struct arena *a = arena_of(state);
    size_t taken = 0;
    void *last = NULL;
    for (void *p; (p = arena_take(a, 200)) != NULL; last = p) {
        assert_true(arena_owns(a, (char *)p + 199));
        taken++;
    }
    assert_int_equal(taken, (ARENA_BYTES - ARENA_UNIT) / 200);
    arena_give(a, last, 200);
    assert_ptr_equal(arena_take(a, 200), last);
    assert_null(arena_take(a, 200));
}

static void without_memory_every_block_is_for_the_c_library(void **state)
{
    (void)state;
    struct arena none = {0};
    int outside;
    assert_null(arena_take(&none, 8));
    assert_false(arena_owns(&none, &outside));
    assert_false(arena_owns(&none, NULL));
}

static void a_block_suits_sizes_of_as_many_units(void **state)
{
    (void)state;
    assert_true(arena_suits(33, 40));
    assert_true(arena_suits(40, 33));
    assert_false(arena_suits(40, 41));
    assert_false(arena_suits(40, 32));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(blocks_are_aligned_and_apart),
        TEST(what_was_given_back_is_taken_again),
        TEST(large_blocks_are_for_the_c_library),
        TEST(a_full_one_takes_what_is_given_back),
        TEST(without_memory_every_block_is_for_the_c_library),
        TEST(a_block_suits_sizes_of_as_many_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
