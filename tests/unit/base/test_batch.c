/* Lines of many threads that one thread writes: which of them are written, and lost. */
#include "base/batch.h"

#include "base/buffer.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { THREADS = 4, LINES = 5000, PATIENCE = 60000 };

/* Where lines go: the batch's thread writes it, and a test reads it after a flush, whose
 * lock is between the two. */
struct sink {
    struct buffer text;
    int begins;
    int error; /* 0: lines are not lost */
};

static void begin(void *of)
{
    struct sink *sink = of;
    sink->begins++;
}

static size_t write_lines(void *of, const char *lines, size_t len, int *error)
{
    struct sink *sink = of;
    size_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += lines[i] == '\n';
    *error = sink->error;
    if (sink->error != 0)
        return count;
    return buffer_append(&sink->text, lines, len) ? 0 : count;
}

static const struct batch_writer writer = {begin, write_lines};

/* Terminated, for the test that has flushed. */
static const char *text_of(struct sink *sink)
{
    assert_true(buffer_append(&sink->text, "", 1));
    sink->text.len--;
    return sink->text.data;
}

static void nothing_is_written_before_the_thread_is_there(void **state)
{
    (void)state;
    struct sink sink = {.error = 0};
    struct batch *b = batch_create(&writer, &sink);
    assert_non_null(b);
    batch_add(b, NULL, "one\n", 4);
    struct batch_share *s = batch_join(b);
    batch_add(b, s, "two\n", 4);
    assert_true(batch_flush(b, PATIENCE));
    assert_int_equal(sink.begins, 0);
    assert_true(batch_start(b));
    assert_true(batch_flush(b, PATIENCE));
    assert_true(strcmp(text_of(&sink), "one\ntwo\n") == 0 ||
                strcmp(text_of(&sink), "two\none\n") == 0);
    assert_true(sink.begins > 0);
    assert_false(batch_is_flushing(b));
    buffer_free(&sink.text);
}

static void a_share_that_was_left_is_used_again_and_its_lines_are_written(void **state)
{
    (void)state;
    struct sink sink = {.error = 0};
    struct batch *b = batch_create(&writer, &sink);
    struct batch_share *s = batch_join(b), *other = batch_join(b);
    assert_ptr_not_equal(s, other);
    batch_add(b, s, "one\n", 4);
    batch_leave(s);
    batch_leave(NULL);
    assert_ptr_equal(batch_join(b), s);
    batch_add(b, s, "two\n", 4);
    assert_true(batch_start(b));
    assert_true(batch_flush(b, PATIENCE));
    assert_string_equal(text_of(&sink), "one\ntwo\n");
    buffer_free(&sink.text);
}

static void what_has_no_room_is_lost_and_counted(void **state)
{
    (void)state;
    struct sink sink = {.error = 0};
    struct batch *b = batch_create(&writer, &sink);
    struct batch_share *s = batch_join(b);
    char line[8192];
    int error = 0, added = 0;
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = '\n';
    for (; batch_lost(b, &error) < 3; added++) {
        assert_in_range(added, 0, 10000);
        batch_add(b, s, line, sizeof line);
    }
    assert_int_equal(error, EAGAIN);
    batch_add(b, NULL, "another\n", 8); /* has room of its own */
    assert_int_equal(batch_lost(b, &error), 3);
    assert_true(batch_start(b));
    assert_true(batch_flush(b, PATIENCE));
    assert_int_equal(sink.text.len, (size_t)(added - 3) * sizeof line + 8);
    batch_add(b, s, "short\n", 6);
    assert_true(batch_flush(b, PATIENCE));
    assert_int_equal(sink.text.len, (size_t)(added - 3) * sizeof line + 14);
    assert_int_equal(batch_lost(b, &error), 3);
    buffer_free(&sink.text);
}

static void what_cannot_be_written_is_counted_with_the_reason(void **state)
{
    (void)state;
    struct sink sink = {.error = ENOSPC};
    int error = 0;
    struct batch *b = batch_create(&writer, &sink);
    batch_add(b, NULL, "one\n", 4);
    batch_add(b, NULL, "two\n", 4);
    assert_true(batch_start(b));
    assert_true(batch_flush(b, PATIENCE));
    assert_int_equal(batch_lost(b, &error), 2);
    assert_int_equal(error, ENOSPC);
}

struct thread {
    struct batch *batch;
    int number;
    pthread_t thread;
};

static void *add_many(void *arg)
{
    const struct thread *t = arg;
    struct batch_share *s = batch_join(t->batch);
    for (int i = 0; i < LINES; i++) {
        char line[64];
        int len = snprintf(line, sizeof line, "%d %d\n", t->number, i);
        batch_add(t->batch, s, line, (size_t)len);
    }
    batch_leave(s);
    return NULL;
}

static void each_line_is_written_whole_and_each_threads_in_their_order(void **state)
{
    (void)state;
    struct sink sink = {.error = 0};
    struct thread threads[THREADS];
    int next[THREADS] = {0}, error;
    struct batch *b = batch_create(&writer, &sink);
    assert_true(b != NULL && batch_start(b));
    for (int i = 0; i < THREADS; i++) {
        threads[i] = (struct thread){.batch = b, .number = i};
        assert_int_equal(pthread_create(&threads[i].thread, NULL, add_many, &threads[i]),
                         0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i].thread, NULL);
    assert_true(batch_flush(b, PATIENCE));
    assert_int_equal(batch_lost(b, &error), 0);
    for (const char *at = text_of(&sink); *at != '\0'; at = strchr(at, '\n') + 1) {
        char *end;
        long thread = strtol(at, &end, 10);
        assert_in_range(thread, 0, THREADS - 1);
        assert_int_equal(strtol(end, &end, 10), next[thread]++);
        assert_int_equal(*end, '\n');
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(next[i], LINES);
    buffer_free(&sink.text);
}

/* There is no flush: the thread comes by itself. */
static void lines_are_written_without_being_asked_for(void **state)
{
    (void)state;
    struct sink sink = {.error = ENOSPC};
    int error;
    struct batch *b = batch_create(&writer, &sink);
    assert_true(b != NULL && batch_start(b));
    for (uint64_t i = 1; i <= 3; i++) {
        batch_add(b, NULL, "lost\n", 5);
        while (batch_lost(b, &error) < i) /* for ever, if it does not come */
            sched_yield();
    }
    assert_int_equal(error, ENOSPC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_written_before_the_thread_is_there),
        cmocka_unit_test(a_share_that_was_left_is_used_again_and_its_lines_are_written),
        cmocka_unit_test(what_has_no_room_is_lost_and_counted),
        cmocka_unit_test(what_cannot_be_written_is_counted_with_the_reason),
        cmocka_unit_test(each_line_is_written_whole_and_each_threads_in_their_order),
        cmocka_unit_test(lines_are_written_without_being_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
