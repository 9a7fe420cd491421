/* A shard: the hash table while it grows, the list by last use, and the walks over it
 * while sessions come, go and are used. One thread; the lock is not needed. */
#include "store/shard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MANY = 5000 };

static struct shard shard;
static struct session *sessions;

/* The number is in the bytes that choose the bucket, and in no others. */
static struct session_id id_of(uint32_t number)
{
    struct session_id id;
    memset(&id, 0, sizeof id);
    memcpy(id.hash, &number, sizeof number);
    return id;
}

static int set_up(void **state)
{
    (void)state;
    sessions = calloc(MANY, sizeof *sessions);
    assert_non_null(sessions);
    for (uint32_t i = 0; i < MANY; i++)
        sessions[i].id = id_of(i);
    return shard_init(&shard);
}

static int tear_down(void **state)
{
    (void)state;
    shard_destroy(&shard); /* the sessions are ours */
    free(sessions);
    return 0;
}

static void insert(uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++)
        shard_insert_locked(&shard, &sessions[i]);
}

static struct session *find(uint32_t number)
{
    struct session_id id = id_of(number);
    return shard_find_locked(&shard, &id);
}

static struct session *take(uint32_t number)
{
    struct session_id id = id_of(number);
    return shard_remove_locked(&shard, &id);
}

/* The list from the oldest on, as numbers; both directions agree. */
static const char *list(void)
{
    static char text[256];
    size_t len = 0;
    text[0] = '\0';
    for (struct session *s = shard_oldest_locked(&shard); s != NULL;
         s = shard_newer_locked(&shard, s)) {
        assert_ptr_equal(s->by_use.prev->next, &s->by_use);
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%td", len ? " " : "",
                                s - sessions);
        assert_true(len < sizeof text);
    }
    return text;
}

static void what_was_inserted_is_found_and_nothing_else(void **state)
{
    (void)state;
    assert_null(find(0));
    assert_null(take(0));
    insert(0, 3);
    assert_int_equal((int)shard.by_id.count, 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_ptr_equal(find(i), &sessions[i]);
    assert_null(find(3));
    assert_ptr_equal(take(1), &sessions[1]);
    assert_null(find(1));
    assert_null(take(1));
    assert_int_equal((int)shard.by_id.count, 2);
    assert_string_equal(list(), "0 2");
}

/* Ids that differ only where the bucket is not chosen, and in the last byte. */
static void ids_of_one_bucket_are_told_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < 40; i++) {
        sessions[i].id = id_of(7);
        sessions[i].id.hash[sizeof sessions[i].id.hash - 1] = (unsigned char)i;
        shard_insert_locked(&shard, &sessions[i]);
    }
    for (size_t i = 0; i < 40; i++)
        assert_ptr_equal(shard_find_locked(&shard, &sessions[i].id), &sessions[i]);
    for (size_t i = 0; i < 40; i += 2)
        assert_ptr_equal(shard_remove_locked(&shard, &sessions[i].id), &sessions[i]);
    for (size_t i = 0; i < 40; i++)
        assert_ptr_equal(shard_find_locked(&shard, &sessions[i].id),
                         i % 2 ? &sessions[i] : NULL);
}

/* At each moment of the moving from table to table. */
static void everything_is_found_while_the_table_grows(void **state)
{
    (void)state;
    bool grew = false;
    for (uint32_t n = 0; n < 600; n++) {
        insert(n, n + 1);
        grew |= shard.by_id.old.at != NULL;
        for (uint32_t i = n > 40 ? n - 40 : 0; i <= n; i++)
            assert_ptr_equal(find(i), &sessions[i]);
        assert_null(find(n + 1));
    }
    assert_true(grew);
    for (uint32_t i = 0; i < 600; i++)
        assert_ptr_equal(find(i), &sessions[i]);
    assert_true(shard.by_id.now.size >= 300); /* chains stay short */
    assert_int_equal((int)shard.by_id.count, 600);
}

static void sessions_are_taken_while_the_table_grows(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < MANY; n++) {
        insert(n, n + 1);
        if (n % 3 == 2)
            assert_ptr_equal(take(n / 3), &sessions[n / 3]);
    }
    for (uint32_t i = 0; i < MANY; i++)
        assert_ptr_equal(find(i), i < MANY / 3 ? NULL : &sessions[i]);
    assert_int_equal((int)shard.by_id.count, MANY - MANY / 3);
    for (uint32_t i = MANY / 3; i < MANY; i++)
        assert_ptr_equal(take(i), &sessions[i]);
    assert_int_equal((int)shard.by_id.count, 0);
    assert_null(shard_oldest_locked(&shard));
}

static void the_list_is_by_last_use(void **state)
{
    (void)state;
    insert(0, 5);
    assert_string_equal(list(), "0 1 2 3 4");
    shard_touch_locked(&shard, &sessions[0], 100);
    assert_string_equal(list(), "1 2 3 4 0");
    assert_int_equal(sessions[0].lease.used, 100);
    shard_touch_locked(&shard, &sessions[3], 101);
    assert_string_equal(list(), "1 2 4 0 3");
    shard_touch_locked(&shard, &sessions[3], 102);
    assert_string_equal(list(), "1 2 4 0 3");
    assert_int_equal(sessions[3].lease.used, 102);
    take(1);
    take(3);
    take(4);
    assert_string_equal(list(), "2 0");
}

static void changes_and_uses_are_noted(void **state)
{
    (void)state;
    insert(0, 1);
    assert_true(shard.changed);
    assert_false(shard.touched);
    shard.changed = false;
    find(0);
    take(1);
    assert_false(shard.changed || shard.touched);
    shard_touch_locked(&shard, &sessions[0], 1);
    assert_true(shard.touched);
    assert_false(shard.changed);
    take(0);
    assert_true(shard.changed);
}

/* One step of the walk. */
static struct session *step(enum shard_cursor which)
{
    struct session *s = shard.cursor[which];
    if (s != NULL)
        shard.cursor[which] = shard_newer_locked(&shard, s);
    return s;
}

/* Whatever is done to sessions between two steps, each that was there when the walk began
 * and still is is seen. */
static void a_walk_sees_every_session_that_stays(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 200; seed++) {
        unsigned random = seed;
        bool seen[40] = {false}, gone[40] = {false};
        struct session *s;
        insert(0, 40);
        shard.cursor[SHARD_CURSOR_SAVE] = shard_oldest_locked(&shard);
        while ((s = step(SHARD_CURSOR_SAVE)) != NULL) {
            seen[s - sessions] = true;
            random = random * 1103515245u + 12345u;
            uint32_t other = (random >> 8) % 40;
            if (gone[other])
                continue;
            if (random >> 16 & 1) {
                shard_touch_locked(&shard, &sessions[other], 0);
            } else {
                gone[other] = true;
                assert_ptr_equal(take(other), &sessions[other]);
            }
            assert_true((int)shard.by_id.count <= 40);
        }
        for (uint32_t i = 0; i < 40; i++) {
            assert_true(seen[i] || gone[i]);
            take(i);
        }
    }
}

static void walks_do_not_disturb_each_other(void **state)
{
    (void)state;
    insert(0, 4);
    shard.cursor[SHARD_CURSOR_SWEEP] = shard.cursor[SHARD_CURSOR_SAVE] =
        shard_oldest_locked(&shard);
    assert_ptr_equal(step(SHARD_CURSOR_SAVE), &sessions[0]);
    assert_ptr_equal(step(SHARD_CURSOR_SAVE), &sessions[1]);
    take(0);
    take(2);
    assert_ptr_equal(step(SHARD_CURSOR_SWEEP), &sessions[1]);
    assert_ptr_equal(step(SHARD_CURSOR_SAVE), &sessions[3]);
    assert_ptr_equal(step(SHARD_CURSOR_SWEEP), &sessions[3]);
    assert_null(step(SHARD_CURSOR_SAVE));
    assert_null(step(SHARD_CURSOR_SWEEP));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_inserted_is_found_and_nothing_else),
        TEST(ids_of_one_bucket_are_told_apart),
        TEST(everything_is_found_while_the_table_grows),
        TEST(sessions_are_taken_while_the_table_grows),
        TEST(the_list_is_by_last_use),
        TEST(changes_and_uses_are_noted),
        TEST(a_walk_sees_every_session_that_stays),
        TEST(walks_do_not_disturb_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
