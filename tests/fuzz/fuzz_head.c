/* libFuzzer: the check of a request's head.
 *
 *     clang -std=c11 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined -I. \
 *         tests/fuzz/fuzz_head.c fastcgi/record.c -o fuzz_head
 *     ./fuzz_head -max_len=4096 tests/fuzz/corpus/head
 *
 * The first two bytes say how the rest is cut. Whatever the cut, the verdict must be the
 * same; and what is found complete must be what a second, plain parser reads. */
#include "fastcgi/record.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_HEAD = 2048 };

struct outcome {
    enum record_verdict verdict;
    struct record_head head;
    unsigned cuts;
    uint8_t *data;
    size_t len;
};

static void demand(bool ok)
{
    if (!ok)
        abort();
}

/* Checks with `first` bytes there, then `step` more each time. */
static struct outcome run(const uint8_t *data, size_t len, size_t first, size_t step)
{
    struct outcome o = {.verdict = RECORD_MORE, .data = malloc(len + 1)};
    size_t arrived = first < len ? first : len;
    demand(o.data != NULL);
    memcpy(o.data, data, arrived);
    o.len = arrived;
    for (;;) {
        o.verdict = record_check(&o.head, o.data, o.len, MAX_HEAD);
        demand(o.head.start <= o.head.pos && o.head.pos <= o.len);
        if (o.verdict >= RECORD_CUT_SILENT && !record_fault(o.verdict)) {
            demand(o.head.cut + o.head.cut_size <= o.len);
            o.len = record_cut(&o.head, o.verdict, o.data, o.len);
            o.cuts++;
            continue;
        }
        if (o.verdict != RECORD_MORE || arrived == len)
            return o;
        size_t n = len - arrived < step ? len - arrived : step;
        memcpy(o.data + o.len, data + arrived, n);
        o.len += n;
        arrived += n;
    }
}

/* All is in one pair without a name. */
static void read_pairs(const uint8_t *p, size_t len, size_t expected)
{
    const uint8_t *end = p + len;
    struct record_pair pair;
    demand(record_next_pair(&p, end, &pair) && p == end);
    demand(pair.name_len == 0 && pair.value_len == expected);
    p = pair.value;
    while (p < end) {
        demand(record_next_pair(&p, end, &pair) && p <= end);
        demand(pair.value == pair.name + pair.name_len &&
               pair.value + pair.value_len == p);
        demand(!memchr(pair.name, '=', pair.name_len));
        demand(!memchr(pair.name, 0, pair.name_len + pair.value_len));
    }
}

/* The head as libfcgi will read it: one BEGIN_REQUEST without padding, and parameters. */
static void read_head(struct outcome *o)
{
    static uint8_t stream[MAX_HEAD + RECORD_PACK_ROOM];
    size_t len = 0;
    demand(o->head.pos - o->head.start <= MAX_HEAD);
    uint8_t *moved = malloc(RECORD_PACK_ROOM + o->len);
    demand(moved != NULL);
    memcpy(moved + RECORD_PACK_ROOM, o->data, o->len);
    free(o->data);
    o->data = moved;
    o->head.start += RECORD_PACK_ROOM;
    o->head.pos += RECORD_PACK_ROOM;
    o->head.end += RECORD_PACK_ROOM;
    record_pack(&o->head, o->data);
    size_t at = o->head.start;
    struct record r = record_decode(o->data + at);
    demand(r.version == 1 && r.type == RECORD_BEGIN_REQUEST && r.length == 8 &&
           r.padding == 0 && r.id != 0 && r.id == o->head.id);
    demand(o->data[at + 8] == 0 && o->data[at + 9] == 1);
    at += record_size(&r);
    do {
        demand(o->head.end - at >= RECORD_HEADER_SIZE);
        r = record_decode(o->data + at);
        demand(r.version == 1 && r.type == RECORD_PARAMS && r.id == o->head.id);
        demand(record_size(&r) <= o->head.end - at);
        memcpy(stream + len, o->data + at + RECORD_HEADER_SIZE, r.length);
        len += r.length;
        at += record_size(&r);
    } while (r.length > 0);
    demand(at == o->head.end && o->head.end <= o->head.pos);
    read_pairs(stream, len, o->head.params);
}

static void answer(const struct outcome *o)
{
    uint8_t out[RECORD_VALUES_SIZE];
    if (o->len >= RECORD_HEADER_SIZE) {
        size_t n = record_put_values(out, o->data + RECORD_HEADER_SIZE,
                                     o->len - RECORD_HEADER_SIZE, UINT32_MAX, 4);
        demand(n <= sizeof out && n % 8 == 0);
        struct record r = record_decode(o->data);
        record_body(&r, 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t first = data[0], step = (size_t)data[1] + 1;
    data += 2;
    size -= 2;
    struct outcome whole = run(data, size, size, 1);
    struct outcome parts = run(data, size, first, step);
    struct outcome single = run(data, size, 0, 1);
    demand(whole.verdict == parts.verdict && whole.verdict == single.verdict);
    demand(whole.cuts == parts.cuts && whole.cuts == single.cuts);
    answer(&whole);
    if (whole.verdict == RECORD_COMPLETE) {
        demand(whole.head.pos == single.head.pos && whole.head.pos == parts.head.pos);
        read_head(&whole);
    }
    free(whole.data);
    free(parts.data);
    free(single.data);
    return 0;
}
