/* What workers are doing, as readers see it while they do it. */
#include "daemon/activity.h"

#include "base/clock.h"
#include "daemon/counters.h"
#include "daemon/recent.h"

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

enum { THREADS = 4, ROUNDS = 5000 };

static struct activity_request request_of(const char *text)
{
    struct bytes bytes = {text, strlen(text)};
    return (struct activity_request){.method = {"GET", 3},
                                     .uri = bytes,
                                     .script = bytes,
                                     .content_length = 3,
                                     .begun = clock_nanoseconds()};
}

static int count_notes(void)
{
    int count;
    free(activity_read(&count));
    return count;
}

static struct activity_note note_of(int id)
{
    int count;
    struct activity_note found = {0}, *notes = activity_read(&count);
    for (int i = 0; i < count; i++)
        if (notes[i].id == id)
            found = notes[i];
    free(notes);
    return found;
}

static void a_request_is_told_while_it_lasts_and_after(void **state)
{
    (void)state;
    struct activity *a = activity_create(7, NULL);
    assert_non_null(a);
    assert_int_equal(note_of(7).state, ACTIVITY_IDLE);
    assert_true(note_of(7).thread > 0);
    struct activity_request r = request_of("/x");
    activity_begin(a, &r);
    struct activity_note n = note_of(7);
    assert_int_equal(n.state, ACTIVITY_COMPUTES); /* this thread does */
    assert_string_equal(n.uri, "/x");
    assert_string_equal(n.user, "");
    assert_int_equal(n.content_length, 3);
    assert_true(n.duration >= 0);
    assert_int_equal(n.requests, 0);
    activity_end(a, r.begun + 5000000, 4711);
    n = note_of(7);
    assert_int_equal(n.state, ACTIVITY_IDLE);
    assert_int_equal(n.requests, 1);
    assert_int_equal(n.duration, 5000000);
    assert_int_equal(n.memory, 4711);
    assert_string_equal(n.uri, "/x");
    assert_true(n.processor >= 0 && n.processor <= 1);
    activity_destroy(a);
}

static void a_request_that_rests_is_not_over(void **state)
{
    (void)state;
    struct activity *a = activity_create(8, NULL);
    struct activity_request r = request_of("/y");
    activity_begin(a, &r);
    activity_end(a, 0, 0);
    assert_int_equal(note_of(8).requests, 0);
    assert_int_equal(note_of(8).state, ACTIVITY_IDLE);
    activity_destroy(a);
}

static void one_that_is_stuck_is_until_it_ends(void **state)
{
    (void)state;
    struct activity *a = activity_create(9, NULL);
    activity_mark_stuck(9); /* it has no request */
    assert_int_equal(note_of(9).state, ACTIVITY_IDLE);
    struct activity_request r = request_of("/z");
    activity_begin(a, &r);
    activity_mark_stuck(9);
    assert_int_equal(note_of(9).state, ACTIVITY_STUCK);
    activity_end(a, clock_nanoseconds(), 0);
    assert_int_equal(note_of(9).state, ACTIVITY_IDLE);
    activity_destroy(a);
}

static void long_texts_are_cut(void **state)
{
    (void)state;
    char text[1000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    struct activity *a = activity_create(10, NULL);
    struct activity_request r = request_of(text);
    r.method = r.uri;
    activity_begin(a, &r);
    assert_int_equal(strlen(note_of(10).uri), ACTIVITY_TEXT - 1);
    assert_int_equal(strlen(note_of(10).method), ACTIVITY_METHOD - 1);
    activity_destroy(a);
}

static void the_memory_of_a_worker_that_ended_is_used_again(void **state)
{
    (void)state;
    int before = count_notes();
    struct activity *a = activity_create(11, NULL);
    assert_int_equal(count_notes(), before + 1);
    activity_destroy(a);
    activity_destroy(NULL);
    assert_int_equal(count_notes(), before);
    assert_ptr_equal(activity_create(12, NULL), a);
    assert_string_equal(note_of(12).uri, "");
    activity_destroy(a);
}

static void its_bytes_are_those_that_it_counts(void **state)
{
    (void)state;
    struct counters *counters = counters_create();
    struct activity *a = activity_create(13, counters);
    assert_non_null(a);
    assert_int_equal(note_of(13).received + note_of(13).sent, 0);
    counters_add(counters, COUNTER_RECEIVED, 5);
    counters_add(counters, COUNTER_SENT, 70);
    counters_add(counters, COUNTER_SENT, 7);
    assert_int_equal(note_of(13).received, 5);
    assert_int_equal(note_of(13).sent, 77);
    activity_destroy(a);
    counters_destroy(counters);
    assert_ptr_equal(activity_create(14, NULL), a);
    assert_int_equal(note_of(14).received + note_of(14).sent, 0);
    activity_destroy(a);
}

static atomic_int running;

/* Each text is one letter many times, so that a mixed one would be seen. */
static void *serve(void *arg)
{
    int id = *(int *)arg;
    char text[64];
    struct activity *a = activity_create(id, NULL);
    for (int i = 0; i < ROUNDS; i++) {
        memset(text, 'a' + (i + id) % 26, sizeof text - 1);
        text[sizeof text - 1] = '\0';
        struct activity_request r = request_of(text);
        activity_begin(a, &r);
        activity_end(a, clock_nanoseconds(), 1);
    }
    activity_destroy(a);
    atomic_fetch_sub(&running, 1);
    return NULL;
}

static void readers_see_whole_notes(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    int ids[THREADS];
    atomic_store(&running, THREADS);
    for (int i = 0; i < THREADS; i++) {
        ids[i] = 100 + i;
        assert_int_equal(pthread_create(&threads[i], NULL, serve, &ids[i]), 0);
    }
    while (atomic_load(&running) > 0) {
        int count;
        struct activity_note *notes = activity_read(&count);
        for (int i = 0; i < count; i++) {
            assert_int_equal(strspn(notes[i].uri, (char[]){notes[i].uri[0], '\0'}),
                             strlen(notes[i].uri));
            assert_string_equal(notes[i].uri, notes[i].script);
            assert_true(i == 0 || notes[i - 1].id <= notes[i].id);
        }
        free(notes);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void the_last_errors_come_newest_first(void **state)
{
    (void)state;
    struct recent_error errors[RECENT_MOST];
    char uri[32];
    assert_int_equal(recent_read(errors), 0);
    for (int i = 0; i < RECENT_MOST + 3; i++) {
        snprintf(uri, sizeof uri, "/%d", i);
        recent_note(500, "a.lua", uri, i == 0 ? NULL : "first line\nsecond line");
    }
    assert_int_equal(recent_read(errors), RECENT_MOST);
    snprintf(uri, sizeof uri, "/%d", RECENT_MOST + 2);
    assert_string_equal(errors[0].uri, uri);
    assert_string_equal(errors[RECENT_MOST - 1].uri, "/3");
    assert_string_equal(errors[0].message, "first line");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_told_while_it_lasts_and_after),
        cmocka_unit_test(a_request_that_rests_is_not_over),
        cmocka_unit_test(one_that_is_stuck_is_until_it_ends),
        cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test(the_memory_of_a_worker_that_ended_is_used_again),
        cmocka_unit_test(its_bytes_are_those_that_it_counts),
        cmocka_unit_test(readers_see_whole_notes),
        cmocka_unit_test(the_last_errors_come_newest_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
