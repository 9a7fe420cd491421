/* Circular lists: what is in them, and in which order. */
#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct thing {
    int number;
    struct link link;
};

static struct link list;
static struct thing things[4];

static int set_up(void **state)
{
    (void)state;
    list_init(&list);
    for (int i = 0; i < 4; i++) {
        things[i].number = i;
        list_init(&things[i].link);
    }
    return 0;
}

/* The numbers of what is in the list, as decimal digits, read in both directions. */
static int read_forwards(const struct link *l)
{
    int digits = 0;
    for (const struct link *at = l->next; at != l; at = at->next)
        digits = digits * 10 + CONTAINER(struct thing, link, at)->number;
    return digits;
}

static int read_backwards(const struct link *l)
{
    int digits = 0;
    for (const struct link *at = l->prev; at != l; at = at->prev)
        digits = digits * 10 + CONTAINER(struct thing, link, at)->number;
    return digits;
}

static void a_new_list_is_empty(void **state)
{
    (void)state;
    assert_true(list_is_empty(&list));
    list_append(&list, &things[1].link);
    assert_false(list_is_empty(&list));
    assert_false(list_is_empty(&things[1].link));
}

static void what_is_appended_comes_last(void **state)
{
    (void)state;
    for (int i = 1; i < 4; i++)
        list_append(&list, &things[i].link);
    assert_int_equal(read_forwards(&list), 123);
    assert_int_equal(read_backwards(&list), 321);
}

static void what_is_inserted_comes_after(void **state)
{
    (void)state;
    list_insert_after(&list, &things[1].link);
    list_insert_after(&list, &things[2].link);
    list_insert_after(&things[2].link, &things[3].link);
    assert_int_equal(read_forwards(&list), 231);
    assert_int_equal(read_backwards(&list), 132);
}

static void what_is_removed_is_in_no_list(void **state)
{
    (void)state;
    for (int i = 1; i < 4; i++)
        list_append(&list, &things[i].link);
    list_remove(&things[2].link);
    assert_true(list_is_empty(&things[2].link));
    assert_int_equal(read_forwards(&list), 13);
    assert_int_equal(read_backwards(&list), 31);
    list_remove(&things[2].link); /* once more does nothing */
    assert_int_equal(read_forwards(&list), 13);
    list_remove(&things[1].link);
    list_remove(&things[3].link);
    assert_true(list_is_empty(&list));
}

static void a_list_is_spliced_in_its_order(void **state)
{
    (void)state;
    struct link other;
    list_init(&other);
    list_append(&list, &things[1].link);
    list_splice(&list, &other); /* empty */
    assert_int_equal(read_forwards(&list), 1);
    list_append(&other, &things[2].link);
    list_append(&other, &things[3].link);
    list_splice(&list, &other);
    assert_true(list_is_empty(&other));
    assert_int_equal(read_forwards(&list), 231);
    assert_int_equal(read_backwards(&list), 132);
    list_splice(other.prev, &list); /* to the end of an empty one */
    assert_true(list_is_empty(&list));
    assert_int_equal(read_forwards(&other), 231);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_new_list_is_empty, set_up),
        cmocka_unit_test_setup(what_is_appended_comes_last, set_up),
        cmocka_unit_test_setup(what_is_inserted_comes_after, set_up),
        cmocka_unit_test_setup(what_is_removed_is_in_no_list, set_up),
        cmocka_unit_test_setup(a_list_is_spliced_in_its_order, set_up),
    };
    return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
