/* A response as records: the same bytes, wherever it is gone on with. */
#include "fastcgi/frames.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 3 << 20, ID = 7 };

static uint8_t content[MOST], expected[MOST + 1000], got[MOST + 1000];

/* The bytes of `f` from f->sent on, put together from as many batches as it takes. */
static size_t flatten(struct frames f, uint8_t *out)
{
    size_t n = 0;
    while (frames_left(&f) > 0) {
        struct frames_batch b;
        frames_fill(&b, &f);
        assert_in_range(b.count, 1, FRAMES_BATCH);
        for (int i = 0; i < b.count; i++) {
            memcpy(out + n, b.parts[i].iov_base, b.parts[i].iov_len);
            n += b.parts[i].iov_len;
            f.sent += b.parts[i].iov_len;
        }
    }
    return n;
}

/* Takes the records apart. Returns the bytes of their content. */
static size_t check_records(const uint8_t *p, size_t len, bool closes)
{
    size_t at = 0, n = 0;
    bool over = false, ended = false;
    while (at < len) {
        struct record r = record_decode(p + at);
        assert_int_equal(r.version, 1);
        assert_int_equal(r.id, ID);
        assert_false(ended);
        if (r.type == RECORD_END_REQUEST) {
            ended = true;
        } else {
            assert_int_equal(r.type, RECORD_STDOUT);
            assert_false(over);
            over = r.length == 0;
            assert_memory_equal(p + at + RECORD_HEADER_SIZE, content + n, r.length);
            n += r.length;
        }
        at += record_size(&r);
    }
    assert_int_equal(at, len);
    assert_true(over == closes && ended == closes);
    return n;
}

/* What frames_open should say. */
static size_t rest_of_record(const uint8_t *p, size_t len, size_t sent, size_t stdouts)
{
    size_t at = 0;
    while (at < sent && at < stdouts) {
        struct record r = record_decode(p + at);
        at += record_size(&r);
    }
    return sent <= at ? at - sent : len - sent; /* those at the end are as one */
}

static void go_on_at(struct frames f, size_t len, size_t sent, size_t stdouts)
{
    f.sent = sent;
    assert_int_equal(frames_left(&f), len - sent);
    assert_int_equal(flatten(f, got), len - sent);
    assert_memory_equal(got, expected + sent, len - sent);
    size_t open = rest_of_record(expected, len, sent, stdouts);
    assert_int_equal(frames_open(&f), open);
    memset(got, 0, open);
    frames_copy_open(&f, got);
    assert_memory_equal(got, expected + sent, open);
    if (len - sent > FRAMES_FULL)
        return;
    memset(got, 0, len - sent);
    frames_copy_left(&f, got);
    assert_memory_equal(got, expected + sent, len - sent);
}

static void check(size_t size, size_t first, bool closes)
{
    const struct iovec parts[] = {
        {content, first}, {content, 0}, {content + first, size - first}, {content, 0}};
    struct frames f = frames_of(parts, 4, ID, closes);
    size_t len = flatten(f, expected), stdouts = len - (closes ? FRAMES_CLOSING : 0);
    assert_int_equal(check_records(expected, len, closes), size);
    for (size_t sent = 0; sent <= len; sent++) {
        size_t of_record = sent % FRAMES_FULL;
        bool near = of_record < 10 || of_record > FRAMES_FULL - 10 || len - sent < 50 ||
                    (sent > first && sent < first + 10);
        if (near || rand() % 50000 == 0)
            go_on_at(f, len, sent, stdouts);
    }
}

static void it_goes_on_wherever_it_stopped(void **state)
{
    (void)state;
    static const size_t sizes[] = {0,     1,     100,    65519,  65520,    65527,
                                   65528, 65529, 131056, 200000, 65528 * 3};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int closes = 0; closes < 2; closes++)
            for (int of = 0; of < 4; of++)
                check(sizes[i], sizes[i] * (size_t)of / 3, closes);
}

static void more_than_one_batch_holds_is_sent_in_several(void **state)
{
    (void)state;
    const struct iovec part = {content, MOST};
    struct frames f = frames_of(&part, 1, ID, true);
    size_t len = flatten(f, expected);
    assert_int_equal(check_records(expected, len, true), MOST);
    for (size_t sent = 0; sent < len; sent += 65536 * 7 + 1)
        go_on_at(f, len, sent, len - FRAMES_CLOSING);
}

static void content_may_be_in_many_parts(void **state)
{
    (void)state;
    struct iovec parts[FRAMES_PARTS];
    for (size_t i = 0; i < FRAMES_PARTS; i++)
        parts[i] = (struct iovec){content + i * 40000, 40000};
    struct frames f = frames_of(parts, FRAMES_PARTS, ID, false);
    size_t len = flatten(f, expected);
    assert_int_equal(check_records(expected, len, false), FRAMES_PARTS * 40000);
}

static void what_is_sent_of_the_content_is_told(void **state)
{
    (void)state;
    const struct iovec part = {content, 70000};
    struct frames f = frames_of(&part, 1, ID, true);
    static const size_t sent[][2] = {{0, 0},         {8, 0},         {9, 1},
                                     {65536, 65528}, {65544, 65528}, {65545, 65529},
                                     {70016, 70000}, {70030, 70000}};
    for (size_t i = 0; i < sizeof sent / sizeof *sent; i++) {
        f.sent = sent[i][0];
        assert_int_equal(frames_content_sent(&f), sent[i][1]);
    }
}

int main(void)
{
    for (size_t i = 0; i < MOST; i++)
        content[i] = (uint8_t)(i * 7 + i / 251);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_goes_on_wherever_it_stopped),
        cmocka_unit_test(more_than_one_batch_holds_is_sent_in_several),
        cmocka_unit_test(content_may_be_in_many_parts),
        cmocka_unit_test(what_is_sent_of_the_content_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
