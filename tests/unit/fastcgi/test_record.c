/* Records: all ways in which a head can be cut, split or broken. */
#include "fastcgi/record.h"
#include "tests/records.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_HEAD = 65536, WHOLE_HEAD = 262144 /* more than any head here has */ };

/* -- Building -- */

static struct message pairs, head; /* not freed: still reachable when the program ends */

static void usual_pairs(void)
{
    char value[300];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    pairs.len = 0;
    put_pair(&pairs, "SCRIPT_FILENAME", "/srv/www/a.lua", false);
    put_pair(&pairs, "QUERY_STRING", "", false);
    put_pair(&pairs, "LONG", value, false);
    put_pair(&pairs, "WIDE", "w", true);
    put_pair(&pairs, "A", "=", false);
    put_pair(&pairs, "REQUEST_METHOD", "GET", false);
}

/* A head whose parameters come in records of `chunk` bytes. */
static void usual_head(size_t chunk, unsigned padding)
{
    usual_pairs();
    head.len = 0;
    put_begin(&head, 1, 1, 1, padding);
    for (size_t at = 0; at < pairs.len; at += chunk) {
        size_t n = pairs.len - at < chunk ? pairs.len - at : chunk;
        put_record(&head, RECORD_PARAMS, 1, pairs.data + at, n, padding);
    }
    put_record(&head, RECORD_PARAMS, 1, "", 0, padding);
}

/* A head with this stream of pairs. */
static void head_of(const struct message *stream)
{
    head.len = 0;
    put_begin(&head, 1, 1, 0, 0);
    put_record(&head, RECORD_PARAMS, 1, stream->data, stream->len, 0);
    put_record(&head, RECORD_PARAMS, 1, "", 0, 0);
}

static enum record_verdict check_all(struct record_head *h)
{
    memset(h, 0, sizeof *h);
    return record_check(h, head.data, head.len, MAX_HEAD);
}

static enum record_verdict verdict_of_head(void)
{
    struct record_head h;
    return check_all(&h);
}

/* -- Whole heads -- */

static void whole_head_is_complete(void **state)
{
    (void)state;
    for (size_t chunk = 1; chunk < 600; chunk = chunk * 2 + 1) {
        for (unsigned padding = 0; padding < 255; padding += 127) {
            struct record_head h = {0};
            usual_head(chunk, padding);
            assert_int_equal(record_check(&h, head.data, head.len, WHOLE_HEAD),
                             RECORD_COMPLETE);
            assert_int_equal(h.start, 0);
            assert_int_equal(h.pos, head.len);
            assert_int_equal(h.end, head.len - padding);
            assert_int_equal(h.id, 1);
            assert_true(h.keep);
        }
    }
}

static void bytes_behind_the_head_are_not_looked_at(void **state)
{
    struct record_head h;
    (void)state;
    usual_head(100, 3);
    size_t len = head.len;
    put(&head, "garbage garbage", 15);
    assert_int_equal(check_all(&h), RECORD_COMPLETE);
    assert_int_equal(h.pos, len);
}

static void every_truncation_needs_more(void **state)
{
    (void)state;
    for (size_t chunk = 7; chunk < 600; chunk += 97) {
        usual_head(chunk, (unsigned)chunk % 5);
        for (size_t len = 0; len < head.len; len++) {
            struct record_head h = {0};
            uint8_t *exact = malloc(len + 1); /* an over-read would be seen */
            memcpy(exact, head.data, len);
            exact = realloc(exact, len ? len : 1);
            assert_int_equal(record_check(&h, exact, len, MAX_HEAD), RECORD_MORE);
            assert_true(h.pos <= len);
            free(exact);
        }
    }
}

static void every_split_gives_the_same(void **state)
{
    (void)state;
    for (size_t chunk = 7; chunk < 600; chunk += 97) {
        usual_head(chunk, (unsigned)chunk % 5);
        for (size_t len = 0; len < head.len; len++) {
            struct record_head h = {0};
            assert_int_equal(record_check(&h, head.data, len, MAX_HEAD), RECORD_MORE);
            assert_int_equal(record_check(&h, head.data, head.len, MAX_HEAD),
                             RECORD_COMPLETE);
            assert_int_equal(h.pos, head.len);
        }
    }
}

static void byte_by_byte_is_the_same(void **state)
{
    (void)state;
    for (size_t chunk = 1; chunk < 600; chunk = chunk * 2 + 1) {
        struct record_head h = {0};
        usual_head(chunk, 2);
        for (size_t len = 0; len < head.len; len++)
            assert_int_equal(record_check(&h, head.data, len, MAX_HEAD), RECORD_MORE);
        assert_int_equal(record_check(&h, head.data, head.len, MAX_HEAD),
                         RECORD_COMPLETE);
    }
}

/* The contents of the FCGI_PARAMS records in data[at, end), joined. */
static void join_params(const uint8_t *data, size_t at, size_t end,
                        struct message *joined)
{
    joined->len = 0;
    while (at < end) {
        struct record r = record_decode(data + at);
        assert_int_equal(r.type, RECORD_PARAMS);
        put(joined, data + at + RECORD_HEADER_SIZE, r.length);
        at += record_size(&r);
    }
    assert_int_equal(at, end);
}

static void packed_head_has_one_pair_with_all_in_it(void **state)
{
    static uint8_t memory[RECORD_PACK_ROOM + WHOLE_HEAD];
    static struct message joined;
    (void)state;
    for (size_t chunk = 1; chunk < 600; chunk = chunk * 2 + 1) {
        for (unsigned padding = 0; padding < 255; padding += 127) {
            struct record_head h = {.start = RECORD_PACK_ROOM, .pos = RECORD_PACK_ROOM};
            usual_head(chunk, padding);
            memcpy(memory + RECORD_PACK_ROOM, head.data, head.len);
            assert_int_equal(
                record_check(&h, memory, RECORD_PACK_ROOM + head.len, sizeof memory),
                RECORD_COMPLETE);
            assert_int_equal(h.params, pairs.len);
            record_pack(&h, memory);
            struct record r = record_decode(memory + h.start);
            assert_int_equal(r.type, RECORD_BEGIN_REQUEST);
            assert_int_equal(r.padding, 0);
            join_params(memory, h.start + 16, h.end, &joined);
            const uint8_t *at = joined.data;
            struct record_pair pair;
            assert_true(record_next_pair(&at, joined.data + joined.len, &pair));
            assert_ptr_equal(at, joined.data + joined.len);
            assert_int_equal(pair.name_len, 0);
            assert_int_equal(pair.value_len, pairs.len);
            assert_memory_equal(pair.value, pairs.data, pairs.len);
        }
    }
}

static void pairs_are_taken_apart_one_by_one(void **state)
{
    (void)state;
    usual_pairs();
    const uint8_t *at = pairs.data, *end = pairs.data + pairs.len;
    struct record_pair pair;
    for (int i = 0; i < 6; i++) {
        assert_true(record_next_pair(&at, end, &pair));
        assert_true(i != 3 || (pair.name_len == 4 && memcmp(pair.name, "WIDE", 4) == 0 &&
                               pair.value_len == 1 && pair.value[0] == 'w'));
    }
    assert_ptr_equal(at, end);
    assert_false(record_next_pair(&at, end, &pair));
    for (const uint8_t *cut = pairs.data; cut < end; cut++) {
        at = pairs.data;
        while (record_next_pair(&at, cut, &pair))
            assert_true(pair.value + pair.value_len == at && at <= cut);
    }
}

/* -- Broken fields -- */

static void every_header_of_another_version_is_refused(void **state)
{
    (void)state;
    usual_head(100, 0);
    for (size_t at = 0; at < head.len;) {
        struct record r = record_decode(head.data + at);
        for (unsigned version = 0; version < 256; version++) {
            head.data[at] = (uint8_t)version;
            assert_int_equal(verdict_of_head(),
                             version == 1 ? RECORD_COMPLETE : RECORD_BAD_VERSION);
        }
        head.data[at] = 1;
        at += record_size(&r);
    }
}

/* Whatever the type of the second record, it is not taken for parameters. */
static void every_other_type_among_parameters_is_refused(void **state)
{
    (void)state;
    for (unsigned type = 0; type < 256; type++) {
        usual_pairs();
        head.len = 0;
        put_begin(&head, 1, 1, 1, 0);
        put_record(&head, type, 1, pairs.data, pairs.len, 0);
        put_record(&head, RECORD_PARAMS, 1, "", 0, 0);
        enum record_verdict expected = type == RECORD_PARAMS          ? RECORD_COMPLETE
                                       : type == RECORD_BEGIN_REQUEST ? RECORD_BAD_BEGIN
                                       : type == RECORD_ABORT_REQUEST ? RECORD_CUT_ABORT
                                                                      : RECORD_BAD_TYPE;
        assert_int_equal(verdict_of_head(), expected);
    }
}

static void begin_of_any_other_length_is_refused(void **state)
{
    (void)state;
    uint8_t body[300] = {0, 1};
    for (size_t len = 0; len < sizeof body; len++) {
        head.len = 0;
        put_record(&head, RECORD_BEGIN_REQUEST, 1, body, len, 0);
        assert_int_equal(verdict_of_head(), len == 8 ? RECORD_MORE : RECORD_BAD_BEGIN);
    }
}

static void begin_of_request_zero_is_refused(void **state)
{
    (void)state;
    head.len = 0;
    put_begin(&head, 0, 1, 0, 0);
    assert_int_equal(verdict_of_head(), RECORD_BAD_BEGIN);
}

static void second_begin_of_the_same_request_is_refused(void **state)
{
    (void)state;
    head.len = 0;
    put_begin(&head, 9, 1, 0, 0);
    put_begin(&head, 9, 1, 0, 0);
    assert_int_equal(verdict_of_head(), RECORD_BAD_BEGIN);
}

static void other_roles_are_cut_and_named(void **state)
{
    (void)state;
    static const unsigned roles[] = {0, 2, 3, 4, 256, 257, 65535};
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        for (unsigned flags = 0; flags < 2; flags++) {
            struct record_head h;
            head.len = 0;
            put_begin(&head, 7, roles[i], flags, 0);
            put_record(&head, RECORD_PARAMS, 7, "\1\1ab", 4, 0);
            assert_int_equal(check_all(&h), RECORD_CUT_ROLE);
            assert_int_equal(h.cut_id, 7);
            assert_int_equal(h.cut_keep, flags);
            size_t len = record_cut(&h, RECORD_CUT_ROLE, head.data, head.len);
            /* its parameters are of no active request then */
            assert_int_equal(record_check(&h, head.data, len, MAX_HEAD),
                             RECORD_CUT_SILENT);
        }
    }
}

static void stream_cut_inside_a_pair_is_refused(void **state)
{
    (void)state;
    usual_pairs();
    size_t whole = pairs.len, boundaries = 0;
    for (size_t len = 1; len < whole; len++) {
        struct message *cut = &pairs;
        cut->len = len;
        head_of(cut);
        enum record_verdict verdict = verdict_of_head();
        boundaries += verdict == RECORD_COMPLETE;
        assert_true(verdict == RECORD_COMPLETE || verdict == RECORD_BAD_PAIR);
    }
    assert_int_equal(boundaries, 5); /* between the six pairs */
}

static void names_with_equals_or_nul_are_refused(void **state)
{
    (void)state;
    for (size_t len = 1; len < 40; len++) {
        for (size_t at = 0; at < len; at++) {
            for (int nul = 0; nul < 2; nul++) {
                char name[41];
                memset(name, 'n', len);
                name[at] = nul ? '\0' : '=';
                pairs.len = 0;
                put_length(&pairs, len, false);
                put_length(&pairs, 1, false);
                put(&pairs, name, len);
                put(&pairs, "v", 1);
                head_of(&pairs);
                assert_int_equal(verdict_of_head(), RECORD_BAD_NAME);
            }
        }
    }
}

static void values_with_nul_are_refused(void **state)
{
    (void)state;
    for (size_t len = 1; len < 300; len += len < 40 ? 1 : 37) {
        for (size_t at = 0; at < len; at++) {
            char value[300];
            memset(value, '=', len);
            value[at] = '\0';
            pairs.len = 0;
            put_length(&pairs, 1, false);
            put_length(&pairs, len, false);
            put(&pairs, "n", 1);
            put(&pairs, value, len);
            head_of(&pairs);
            assert_int_equal(verdict_of_head(), RECORD_BAD_VALUE);
        }
    }
}

/* Bytes with the top bit, and those next to '=' and NUL, are ordinary. */
static void all_other_bytes_are_accepted(void **state)
{
    (void)state;
    for (unsigned byte = 1; byte < 256; byte++) {
        for (size_t len = 1; len < 20; len++) {
            char text[20];
            memset(text, (int)byte, sizeof text);
            pairs.len = 0;
            put_length(&pairs, byte == '=' ? 0 : len, false);
            put_length(&pairs, len, false);
            put(&pairs, text, byte == '=' ? 0 : len);
            put(&pairs, text, len);
            head_of(&pairs);
            assert_int_equal(verdict_of_head(), RECORD_COMPLETE);
        }
    }
}

static void lengths_near_2_to_31_are_refused(void **state)
{
    (void)state;
    static const uint8_t wide[4] = {0xff, 0xff, 0xff, 0xff};
    static const uint8_t lengths[][8] = {
        {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
        {0xff, 0xff, 0xff, 0xfe, 0x80, 0, 0, 2},
        {0x80, 0, 0, 1, 0xff, 0xff, 0xff, 0xff},
        {0xc0, 0, 0, 0, 0xc0, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        head.len = 0;
        put_begin(&head, 1, 1, 0, 0);
        put_record(&head, RECORD_PARAMS, 1, lengths[i], 8, 0);
        assert_int_equal(verdict_of_head(), RECORD_TOO_LONG);
    }
    head.len = 0;
    put_begin(&head, 1, 1, 0, 0);
    put_record(&head, RECORD_PARAMS, 1, wide, 4, 0);
    put_record(&head, RECORD_PARAMS, 1, wide, 4, 0);
    assert_int_equal(verdict_of_head(), RECORD_TOO_LONG);
}

static void longest_head_is_exactly_max(void **state)
{
    struct record_head h;
    (void)state;
    usual_head(50, 1);
    for (size_t max = 1; max < head.len + 20; max++) {
        memset(&h, 0, sizeof h);
        assert_int_equal(record_check(&h, head.data, head.len, max),
                         max < head.len ? RECORD_TOO_LONG : RECORD_COMPLETE);
    }
}

/* The header is enough to refuse it: the 64 KiB need not come first. */
static void too_long_is_refused_at_the_header(void **state)
{
    (void)state;
    uint8_t header[8] = {1, RECORD_PARAMS, 0, 1, 0xff, 0xff, 255, 0};
    head.len = 0;
    put_begin(&head, 1, 1, 0, 0);
    put(&head, header, sizeof header);
    assert_int_equal(verdict_of_head(), RECORD_TOO_LONG);
}

/* -- Records that do not belong -- */

/* Runs a check to its end. Takes out the records that do not belong to the head, and
 * counts them. */
static enum record_verdict check_through(struct record_head *h, unsigned counts[16])
{
    enum record_verdict verdict;
    memset(h, 0, sizeof *h);
    for (;;) {
        verdict = record_check(h, head.data, head.len, MAX_HEAD);
        if (verdict < RECORD_CUT_SILENT || record_fault(verdict))
            return verdict;
        counts[verdict]++;
        head.len = record_cut(h, verdict, head.data, head.len);
    }
}

static void put_strays(struct message *b)
{
    put_record(b, RECORD_STDIN, 5, "stray", 5, 3);
    put_record(b, RECORD_GET_VALUES, 0, "\16\0FCGI_MAX_CONNS", 16, 1);
    put_record(b, 77, 0, "what", 4, 0);
    put_record(b, RECORD_UNKNOWN_TYPE, 0, "12345678", 8, 0);
    put_record(b, RECORD_GET_VALUES_RESULT, 0, "", 0, 0);
}

static void strays_are_taken_out_wherever_they_are(void **state)
{
    (void)state;
    for (int place = 0; place < 4; place++) {
        struct record_head h;
        unsigned counts[16] = {0};
        usual_pairs();
        head.len = 0;
        if (place == 0)
            put_strays(&head);
        size_t start = head.len;
        put_begin(&head, 1, 1, 1, 0);
        if (place == 1) {
            put_strays(&head);
            put_begin(&head, 2, 1, 1, 0);
        }
        put_record(&head, RECORD_PARAMS, 1, pairs.data, 20, 0);
        if (place == 2) {
            put_strays(&head);
            put_begin(&head, 2, 1, 1, 0);
        }
        put_record(&head, RECORD_PARAMS, 1, pairs.data + 20, pairs.len - 20, 0);
        if (place == 3) {
            put_strays(&head);
            put_begin(&head, 2, 1, 1, 0);
        }
        put_record(&head, RECORD_PARAMS, 1, "", 0, 0);
        assert_int_equal(check_through(&h, counts), RECORD_COMPLETE);
        assert_int_equal(counts[RECORD_CUT_SILENT], 3);
        assert_int_equal(counts[RECORD_CUT_VALUES], 1);
        assert_int_equal(counts[RECORD_CUT_UNKNOWN], 1);
        assert_int_equal(counts[RECORD_CUT_MPX], place > 0);
        assert_int_equal(h.start, place == 0 ? start : 0);
        assert_int_equal(h.pos, head.len);

        struct message clean = {0};
        put(&clean, head.data + h.start, h.pos - h.start);
        head.len = 0;
        put_begin(&head, 1, 1, 1, 0);
        put_record(&head, RECORD_PARAMS, 1, pairs.data, 20, 0);
        put_record(&head, RECORD_PARAMS, 1, pairs.data + 20, pairs.len - 20, 0);
        put_record(&head, RECORD_PARAMS, 1, "", 0, 0);
        assert_int_equal(clean.len, head.len);
        assert_memory_equal(clean.data, head.data, head.len);
        drop(&clean);
    }
}

static void too_many_strays_in_a_head_are_refused(void **state)
{
    (void)state;
    struct record_head h;
    unsigned counts[16] = {0};
    head.len = 0;
    put_begin(&head, 1, 1, 0, 0);
    for (int i = 0; i < 65; i++)
        put_record(&head, RECORD_STDIN, 2, "", 0, 0);
    assert_int_equal(check_through(&h, counts), RECORD_TOO_MANY);
}

static void any_number_of_strays_before_a_head_is_fine(void **state)
{
    (void)state;
    struct record_head h;
    unsigned counts[16] = {0};
    head.len = 0;
    for (int i = 0; i < 1000; i++)
        put_record(&head, RECORD_STDIN, 2, "x", 1, 0);
    assert_int_equal(check_through(&h, counts), RECORD_MORE);
    assert_int_equal(counts[RECORD_CUT_SILENT], 1000);
    assert_int_equal(h.start, head.len);
}

static void abort_drops_the_head(void **state)
{
    (void)state;
    struct record_head h;
    head.len = 0;
    put_begin(&head, 3, 1, 1, 0);
    put_record(&head, RECORD_PARAMS, 3, "\1\1ab", 4, 0);
    put_record(&head, RECORD_ABORT_REQUEST, 3, "", 0, 0);
    size_t before = head.len;
    assert_int_equal(check_all(&h), RECORD_CUT_ABORT);
    assert_int_equal(h.cut_id, 3);
    assert_true(h.cut_keep);
    head.len = record_cut(&h, RECORD_CUT_ABORT, head.data, head.len);
    assert_int_equal(h.start, before);
    assert_false(h.begun);
    put_begin(&head, 4, 1, 0, 0);
    put_record(&head, RECORD_PARAMS, 4, "", 0, 0);
    assert_int_equal(record_check(&h, head.data, head.len, MAX_HEAD), RECORD_COMPLETE);
    assert_int_equal(h.id, 4);
}

static void malformed_get_values_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *content;
        size_t len;
    } bad[] = {{"\16", 1},
               {"\16\0FCGI_MAX_CONN", 15},
               {"\1\1a", 3},
               {"\377\377\377", 3},
               {"\377\377\377\377\377\377\377\377", 8}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        head.len = 0;
        put_record(&head, RECORD_GET_VALUES, 0, bad[i].content, bad[i].len, 0);
        assert_int_equal(verdict_of_head(), RECORD_BAD_PAIR);
        uint8_t out[RECORD_VALUES_SIZE];
        assert_int_equal(
            record_put_values(out, (const uint8_t *)bad[i].content, bad[i].len, 1, 1), 0);
    }
}

/* -- Bodies -- */

static void records_in_a_body(void **state)
{
    (void)state;
    static const struct {
        uint8_t version, type;
        uint16_t id, length;
        enum record_body expected;
    } rows[] = {
        {1, RECORD_STDIN, 5, 1, RECORD_BODY_DATA},
        {1, RECORD_STDIN, 5, 0, RECORD_BODY_END},
        {2, RECORD_STDIN, 5, 0, RECORD_BODY_BAD},
        {1, RECORD_STDIN, 6, 1, RECORD_BODY_SILENT},
        {1, RECORD_PARAMS, 5, 1, RECORD_BODY_BAD},
        {1, RECORD_PARAMS, 6, 1, RECORD_BODY_SILENT},
        {1, RECORD_DATA, 5, 1, RECORD_BODY_BAD},
        {1, RECORD_ABORT_REQUEST, 5, 0, RECORD_BODY_ABORT},
        {1, RECORD_ABORT_REQUEST, 6, 0, RECORD_BODY_SILENT},
        {1, RECORD_BEGIN_REQUEST, 5, 8, RECORD_BODY_BAD},
        {1, RECORD_BEGIN_REQUEST, 6, 8, RECORD_BODY_MPX},
        {1, RECORD_BEGIN_REQUEST, 6, 7, RECORD_BODY_BAD},
        {1, RECORD_BEGIN_REQUEST, 0, 8, RECORD_BODY_BAD},
        {1, RECORD_GET_VALUES, 0, 0, RECORD_BODY_VALUES},
        {1, RECORD_GET_VALUES_RESULT, 0, 0, RECORD_BODY_SILENT},
        {1, RECORD_UNKNOWN_TYPE, 0, 8, RECORD_BODY_SILENT},
        {1, 12, 0, 0, RECORD_BODY_UNKNOWN},
        {1, 255, 5, 0, RECORD_BODY_BAD},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct record r = {rows[i].version, rows[i].type, 0, rows[i].id, rows[i].length};
        assert_int_equal(record_body(&r, 5), rows[i].expected);
    }
}

/* -- Built records -- */

static void end_and_unknown_records(void **state)
{
    (void)state;
    uint8_t out[RECORD_END_SIZE];
    static const uint8_t end[] = {1, 3, 1, 2, 0, 8, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0};
    static const uint8_t unknown[] = {1, 11, 0, 0, 0, 8, 0, 0, 99, 0, 0, 0, 0, 0, 0, 0};
    assert_int_equal(record_put_end(out, 0x102, RECORD_CANT_MPX_CONN), sizeof end);
    assert_memory_equal(out, end, sizeof end);
    assert_int_equal(record_put_unknown(out, 99), sizeof unknown);
    assert_memory_equal(out, unknown, sizeof unknown);
}

/* Asking for one name many times is what overflows other servers. */
static void values_are_answered_once_each(void **state)
{
    (void)state;
    uint8_t out[RECORD_VALUES_SIZE + 64];
    memset(out, 0xee, sizeof out);
    pairs.len = 0;
    for (int i = 0; i < 50; i++) {
        put_pair(&pairs, "FCGI_MAX_REQS", "", i % 2);
        put_pair(&pairs, "FCGI_MPXS_CONNS", "x", false);
        put_pair(&pairs, "FCGI_MAX_CONNS", "", false);
        put_pair(&pairs, "FCGI_OTHER", "", false);
    }
    size_t n = record_put_values(out, pairs.data, pairs.len, 4294967295u, 4294967295u);
    assert_true(n <= RECORD_VALUES_SIZE);
    struct record r = record_decode(out);
    assert_int_equal(r.type, RECORD_GET_VALUES_RESULT);
    assert_int_equal(r.id, 0);
    assert_int_equal(record_size(&r), n);
    static const char expected[] = "\16\12FCGI_MAX_CONNS4294967295"
                                   "\15\12FCGI_MAX_REQS4294967295"
                                   "\17\1FCGI_MPXS_CONNS0";
    assert_int_equal(r.length, sizeof expected - 1);
    assert_memory_equal(out + 8, expected, sizeof expected - 1);
    assert_int_equal(out[n], 0xee);
}

static void faults_have_a_text_and_others_none(void **state)
{
    (void)state;
    for (int v = RECORD_MORE; v <= RECORD_TOO_MANY; v++) {
        assert_int_equal(record_fault((enum record_verdict)v) != NULL,
                         v >= RECORD_BAD_VERSION);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_head_is_complete),
        cmocka_unit_test(bytes_behind_the_head_are_not_looked_at),
        cmocka_unit_test(every_truncation_needs_more),
        cmocka_unit_test(every_split_gives_the_same),
        cmocka_unit_test(byte_by_byte_is_the_same),
        cmocka_unit_test(packed_head_has_one_pair_with_all_in_it),
        cmocka_unit_test(pairs_are_taken_apart_one_by_one),
        cmocka_unit_test(every_header_of_another_version_is_refused),
        cmocka_unit_test(every_other_type_among_parameters_is_refused),
        cmocka_unit_test(begin_of_any_other_length_is_refused),
        cmocka_unit_test(begin_of_request_zero_is_refused),
        cmocka_unit_test(second_begin_of_the_same_request_is_refused),
        cmocka_unit_test(other_roles_are_cut_and_named),
        cmocka_unit_test(stream_cut_inside_a_pair_is_refused),
        cmocka_unit_test(names_with_equals_or_nul_are_refused),
        cmocka_unit_test(values_with_nul_are_refused),
        cmocka_unit_test(all_other_bytes_are_accepted),
        cmocka_unit_test(lengths_near_2_to_31_are_refused),
        cmocka_unit_test(longest_head_is_exactly_max),
        cmocka_unit_test(too_long_is_refused_at_the_header),
        cmocka_unit_test(strays_are_taken_out_wherever_they_are),
        cmocka_unit_test(too_many_strays_in_a_head_are_refused),
        cmocka_unit_test(any_number_of_strays_before_a_head_is_fine),
        cmocka_unit_test(abort_drops_the_head),
        cmocka_unit_test(malformed_get_values_is_refused),
        cmocka_unit_test(records_in_a_body),
        cmocka_unit_test(end_and_unknown_records),
        cmocka_unit_test(values_are_answered_once_each),
        cmocka_unit_test(faults_have_a_text_and_others_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
