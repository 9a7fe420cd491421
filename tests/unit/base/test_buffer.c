/* Growable bytes, and where they have their memory from. */
#include "base/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_holds(const struct buffer *b, const char *text)
{
    assert_int_equal(b->len, strlen(text));
    assert_memory_equal(b->data, text, b->len);
    assert_true(b->cap >= b->len);
}

static void zeroed_memory_is_an_empty_buffer(void **state)
{
    (void)state;
    struct buffer b = {0};
    assert_true(buffer_append(&b, NULL, 0));
    assert_true(buffer_puts(&b, ""));
    assert_true(buffer_reserve(&b, 0));
    assert_null(b.data);
    assert_int_equal(b.len, 0);
    buffer_clear(&b, 0);
    buffer_free(&b);
}

static void pieces_add_up(void **state)
{
    (void)state;
    struct buffer b = {0};
    assert_true(buffer_puts(&b, "one"));
    assert_true(buffer_append(&b, ", two", 5));
    assert_true(buffer_printf(&b, ", %s %d", "three", 4));
    assert_true(buffer_append(&b, "", 0));
    assert_holds(&b, "one, two, three 4");
    assert_true(buffer_append(&b, "\0x", 2)); /* any byte */
    assert_int_equal(b.len, 19);
    assert_memory_equal(b.data + 16, "4\0x", 3);
    buffer_free(&b);
}

static void growth_doubles(void **state)
{
    (void)state;
    struct buffer b = {0};
    unsigned moves = 0;
    size_t cap = 0;
    for (int i = 0; i < 1 << 20; i++) {
        char c = (char)(i * 7);
        assert_true(buffer_append(&b, &c, 1));
        moves += b.cap != cap;
        cap = b.cap;
    }
    assert_int_equal(b.len, 1 << 20);
    assert_true(moves <= 21);
    for (int i = 0; i < 1 << 20; i++)
        if (b.data[i] != (char)(i * 7))
            fail_msg("byte %d", i);
    buffer_free(&b);
}

static void reserved_room_is_not_moved(void **state)
{
    (void)state;
    struct buffer b = {0};
    assert_true(buffer_puts(&b, "x"));
    assert_true(buffer_reserve(&b, 5000));
    assert_int_equal(b.len, 1);
    const char *data = b.data;
    for (int i = 0; i < 5000; i++)
        assert_true(buffer_append(&b, "y", 1));
    assert_ptr_equal(b.data, data);
    buffer_free(&b);
}

/* An exact fit included, where the NUL that vsnprintf writes needs one byte more. */
static void formatted_text_of_every_length(void **state)
{
    (void)state;
    static const char text[] = "0123456789012345678901234567890123456789"
                               "0123456789012345678901234567890123456789";
    for (int len = 0; len < 80; len++) {
        struct buffer b = {0};
        assert_true(buffer_printf(&b, "%.*s", len, text));
        assert_true(buffer_printf(&b, "%s", ""));
        assert_int_equal(b.len, len);
        assert_true(len == 0 || memcmp(b.data, text, (size_t)len) == 0);
        buffer_free(&b);
    }
}

static void a_size_that_cannot_be_is_refused_and_nothing_changes(void **state)
{
    (void)state;
    static const size_t sizes[] = {SIZE_MAX,         SIZE_MAX - 1, SIZE_MAX / 2,
                                   SIZE_MAX / 2 + 1, SIZE_MAX - 3, SIZE_MAX - 4};
    struct buffer b = {0};
    assert_true(buffer_puts(&b, "kept"));
    const struct buffer before = b;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_false(buffer_reserve(&b, sizes[i]));
        assert_false(buffer_append(&b, "", sizes[i]));
        assert_memory_equal(&b, &before, sizeof b);
    }
    assert_holds(&b, "kept");
    buffer_free(&b);
}

static void clearing_keeps_as_much_as_told(void **state)
{
    (void)state;
    struct buffer b = {0};
    assert_true(buffer_puts(&b, "text"));
    assert_true(buffer_reserve(&b, 1000));
    size_t cap = b.cap;
    buffer_clear(&b, cap);
    assert_int_equal(b.len, 0);
    assert_int_equal(b.cap, cap);
    assert_true(buffer_puts(&b, "again"));
    assert_holds(&b, "again");
    buffer_clear(&b, cap - 1);
    assert_int_equal(b.len, 0);
    assert_int_equal(b.cap, 0);
    assert_null(b.data);
    assert_true(buffer_puts(&b, "anew"));
    assert_holds(&b, "anew");
    buffer_free(&b);
    assert_null(b.data);
    assert_int_equal(b.len, 0);
    assert_int_equal(b.cap, 0);
}

/* -- Memory that is somebody's, who counts it -- */

struct account {
    size_t used, max;
    int calls;
};

static void *resize(void *data, void *block, size_t old_size, size_t size)
{
    struct account *a = data;
    a->calls++;
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
    struct account account = {0, 10000, 0};
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
    struct account account = {0, 10000, 0};
    struct buffer_memory memory = {resize, &account};
    struct buffer b = {.memory = &memory};
    for (int i = 0; i < 1000; i++)
        assert_true(buffer_puts(&b, "ten bytes."));
    assert_true(account.calls < 200); /* each may copy all that is there */
    assert_false(buffer_append(&b, "x", 1));
    assert_int_equal(b.len, 10000);
    assert_memory_equal(b.data + 9990, "ten bytes.", 10);
    buffer_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeroed_memory_is_an_empty_buffer),
        cmocka_unit_test(pieces_add_up),
        cmocka_unit_test(growth_doubles),
        cmocka_unit_test(reserved_room_is_not_moved),
        cmocka_unit_test(formatted_text_of_every_length),
        cmocka_unit_test(a_size_that_cannot_be_is_refused_and_nothing_changes),
        cmocka_unit_test(clearing_keeps_as_much_as_told),
        cmocka_unit_test(what_memory_a_buffer_takes_is_counted_and_given_back),
        cmocka_unit_test(every_byte_of_what_is_to_be_had_can_be_filled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
