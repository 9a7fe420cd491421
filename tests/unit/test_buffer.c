/* Growable bytes, and where they have their memory from. */
#include "buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct account {
    size_t used, max;
};

static void *resize(void *data, void *block, size_t old_size, size_t size)
{
    struct account *a = data;
    if (size == 0) {
        free(block);
        a->used -= old_size;
        return NULL;
    }
    if (a->used - old_size + size > a->max)
        return NULL;
    a->used += size - old_size;
    return realloc(block, size);
}

static void what_memory_a_buffer_takes_is_counted_and_given_back(void **state)
{
    (void)state;
    struct account account = {0, 10000};
    struct buffer_memory memory = {resize, &account};
    struct buffer b = {.memory = &memory};
    for (int i = 0; i < 300; i++)
        assert_true(buffer_puts(&b, "ten bytes."));
    assert_int_equal(account.used, b.cap);
    assert_memory_equal(b.data + 2990, "ten bytes.", 10);
    buffer_clear(&b, 100);
    assert_int_equal(account.used, 0);
    assert_true(buffer_puts(&b, "again"));
    assert_true(account.used > 0);
    buffer_free(&b);
    assert_int_equal(account.used, 0);
}

static void every_byte_of_what_is_to_be_had_can_be_filled(void **state)
{
    (void)state;
    struct account account = {0, 10000};
    struct buffer_memory memory = {resize, &account};
    struct buffer b = {.memory = &memory};
    for (int i = 0; i < 1000; i++)
        assert_true(buffer_puts(&b, "ten bytes."));
    assert_false(buffer_append(&b, "x", 1));
    assert_int_equal(b.len, 10000);
    assert_memory_equal(b.data + 9990, "ten bytes.", 10);
    buffer_free(&b);
}

static void absurd_sizes_are_refused(void **state)
{
    (void)state;
    struct buffer b = {0};
    assert_true(buffer_puts(&b, "abc"));
    assert_false(buffer_reserve(&b, SIZE_MAX));
    assert_false(buffer_reserve(&b, SIZE_MAX - 3));
    assert_memory_equal(b.data, "abc", 3);
    buffer_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_memory_a_buffer_takes_is_counted_and_given_back),
        cmocka_unit_test(every_byte_of_what_is_to_be_had_can_be_filled),
        cmocka_unit_test(absurd_sizes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
