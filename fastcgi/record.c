/* FastCGI records as bytes: the check of a request's head, the meaning of records in a
 * body, and the building of records.
 *
 * Runs in whichever thread holds the connection; owns nothing, locks nothing.
 *
 * The check walks two layers at once. Records are framed by their headers; the contents
 * of the FCGI_PARAMS records, joined, are a stream of name-value pairs, and a pair may
 * straddle records at any byte. Everything needed to go on at any byte is in struct
 * record_head, so bytes that trickle in one at a time are each looked at once. libfcgi
 * reads next what passes here, so anything that would break it must be refused. */
#include "fastcgi/record.h"

#include <stdio.h>
#include <string.h>

enum {
    MAX_CUTS = 64,
    ROLE_RESPONDER = 1,
    FLAG_KEEP_CONN = 1,
    BEGIN_LENGTH = 8,
    BEGIN_SIZE = RECORD_HEADER_SIZE + BEGIN_LENGTH,
};

struct record record_decode(const uint8_t *p)
{
    return (struct record){.version = p[0],
                           .type = p[1],
                           .id = (uint16_t)(p[2] << 8 | p[3]),
                           .length = (uint16_t)(p[4] << 8 | p[5]),
                           .padding = p[6]};
}

size_t record_size(const struct record *record)
{
    return (size_t)RECORD_HEADER_SIZE + record->length + record->padding;
}

static size_t put_header(uint8_t *out, enum record_type type, uint16_t id, size_t length,
                         size_t padding)
{
    out[0] = 1;
    out[1] = (uint8_t)type;
    out[2] = (uint8_t)(id >> 8);
    out[3] = (uint8_t)id;
    out[4] = (uint8_t)(length >> 8);
    out[5] = (uint8_t)length;
    out[6] = (uint8_t)padding;
    out[7] = 0;
    return RECORD_HEADER_SIZE;
}

/* -- Pairs -- */

/* Not zero when one of eight bytes is NUL. */
static inline uint64_t nul_in(uint64_t v)
{
    return (v - UINT64_C(0x0101010101010101)) & ~v & UINT64_C(0x8080808080808080);
}

static inline uint64_t found_in(const uint8_t *p, uint64_t pattern)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return nul_in(v) | nul_in(v ^ pattern);
}

/* Whether one of the `n` bytes is NUL or `c`. Eight at a time, because names and values
 * are short: a call of memchr for each costs more than the rest of the check. The last
 * eight may overlap those before. */
static inline bool has_nul_or(const uint8_t *p, size_t n, uint8_t c)
{
    uint64_t pattern = UINT64_C(0x0101010101010101) * c, found = 0;
    if (n >= 8) {
        const uint8_t *last = p + n - 8;
        for (; p < last; p += 8)
            found |= found_in(p, pattern);
        return (found | found_in(last, pattern)) != 0;
    }
    for (size_t i = 0; i < n; i++)
        found |= p[i] == 0 || p[i] == c;
    return found != 0;
}

/* A length of a name or value (FastCGI 3.4): one byte, or four with the top bit set. */
static inline size_t length_size(uint8_t first)
{
    return first & 0x80 ? 4 : 1;
}

static inline uint32_t length_value(const uint8_t *p)
{
    if (!(p[0] & 0x80))
        return p[0];
    return (uint32_t)(p[0] & 0x7f) << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 |
           p[3];
}

/* The pair's two lengths, from `have` bytes of them. 0: more bytes are needed. Nearly all
 * pairs have lengths of one byte: these come first, and cost least. */
static inline size_t pair_lengths(const uint8_t *p, size_t have, uint32_t *name,
                                  uint32_t *value)
{
    if (have >= 2 && !((p[0] | p[1]) & 0x80)) {
        *name = p[0];
        *value = p[1];
        return 2;
    }
    size_t n = have > 0 ? length_size(p[0]) : 1;
    if (have <= n || have < n + length_size(p[n]))
        return 0;
    *name = length_value(p);
    *value = length_value(p + n);
    return n + length_size(p[n]);
}

bool record_next_pair(const uint8_t **p, const uint8_t *end, struct record_pair *pair)
{
    uint32_t name, value;
    size_t used = pair_lengths(*p, (size_t)(end - *p), &name, &value);
    size_t left = (size_t)(end - *p) - used;
    if (used == 0 || left < name || left - name < value)
        return false;
    *pair = (struct record_pair){*p + used, *p + used + name, name, value};
    *p = pair->value + value;
    return true;
}

/* Reads lengths byte by byte when they straddle records or arrivals. */
static size_t collect_lengths(struct record_head *h, const uint8_t *p, size_t n)
{
    size_t used = 0;
    while (used < n) {
        h->lengths[h->have++] = p[used++];
        if (pair_lengths(h->lengths, h->have, &h->name, &h->value) > 0) {
            h->have = 0;
            break;
        }
    }
    return used;
}

/* Starts the next pair. Returns how many of the `n` bytes were its lengths. */
static inline size_t start_pair(struct record_head *h, const uint8_t *p, size_t n)
{
    size_t used = h->have > 0 ? 0 : pair_lengths(p, n, &h->name, &h->value);
    return used > 0 ? used : collect_lengths(h, p, n);
}

/* Passes over the pairs that are wholly there and have lengths of one byte, as nearly all
 * have. Stops at the first that is different or wrong: check_pairs deals with it. */
static const uint8_t *pass_short_pairs(const uint8_t *p, const uint8_t *end)
{
    while (end - p >= 2 && !((p[0] | p[1]) & 0x80)) {
        size_t name = p[0], value = p[1];
        const uint8_t *text = p + 2;
        if ((size_t)(end - text) < name + value || has_nul_or(text, name, '=') ||
            has_nul_or(text + name, value, 0))
            break;
        p = text + name + value;
    }
    return p;
}

/* Checks `n` more bytes of the stream of pairs. */
static enum record_verdict check_pairs(struct record_head *h, const uint8_t *p, size_t n,
                                       size_t max)
{
    const uint8_t *end = p + n;
    while (p < end) {
        if (h->name == 0 && h->value == 0) {
            if (h->have == 0 && (p = pass_short_pairs(p, end)) == end)
                break;
            p += start_pair(h, p, (size_t)(end - p));
            /* Both are below 2^31: the sum cannot wrap. */
            if (h->name + h->value > max)
                return RECORD_TOO_LONG;
        }
        size_t part = (size_t)(end - p) < h->name ? (size_t)(end - p) : h->name;
        if (has_nul_or(p, part, '='))
            return RECORD_BAD_NAME;
        p += part;
        h->name -= (uint32_t)part;
        part = (size_t)(end - p) < h->value ? (size_t)(end - p) : h->value;
        if (h->name > 0)
            break; /* a value comes after its whole name */
        if (has_nul_or(p, part, 0))
            return RECORD_BAD_VALUE;
        p += part;
        h->value -= (uint32_t)part;
    }
    return RECORD_MORE;
}

/* -- Values -- */

static const char *const value_names[] = {"FCGI_MAX_CONNS", "FCGI_MAX_REQS",
                                          "FCGI_MPXS_CONNS"};
enum { VALUE_NAMES = 3 };

static unsigned value_bit(const uint8_t *name, size_t len)
{
    for (unsigned i = 0; i < VALUE_NAMES; i++)
        if (strlen(value_names[i]) == len && memcmp(value_names[i], name, len) == 0)
            return 1u << i;
    return 0;
}

/* Which known values the content of an FCGI_GET_VALUES asks for. false: malformed. */
static bool values_asked(const uint8_t *p, size_t len, unsigned *asked)
{
    const uint8_t *end = p + len;
    *asked = 0;
    struct record_pair pair;
    while (p < end) {
        if (!record_next_pair(&p, end, &pair))
            return false;
        *asked |= value_bit(pair.name, pair.name_len);
    }
    return true;
}

/* -- The head -- */

static enum record_verdict cut(struct record_head *h, const struct record *r,
                               enum record_verdict verdict)
{
    if (h->begun && ++h->cuts > MAX_CUTS)
        return RECORD_TOO_MANY; /* each costs a move of what follows */
    h->cut = h->pos;
    h->cut_size = record_size(r);
    h->cut_id = r->id;
    h->cut_type = r->type;
    h->cut_keep = h->keep;
    return verdict;
}

/* A management record (FastCGI 4), all of it at `p`. Results are answers themselves: an
 * answer to them could go back and forth for ever. */
static enum record_verdict check_management(struct record_head *h, const struct record *r,
                                            const uint8_t *p)
{
    unsigned asked;
    switch (r->type) {
    case RECORD_BEGIN_REQUEST:
        return RECORD_BAD_BEGIN;
    case RECORD_GET_VALUES:
        return values_asked(p + RECORD_HEADER_SIZE, r->length, &asked)
                   ? cut(h, r, RECORD_CUT_VALUES)
                   : RECORD_BAD_PAIR;
    case RECORD_GET_VALUES_RESULT:
    case RECORD_UNKNOWN_TYPE:
        return cut(h, r, RECORD_CUT_SILENT);
    default:
        return cut(h, r, RECORD_CUT_UNKNOWN);
    }
}

/* FCGI_BEGIN_REQUEST (FastCGI 5.1), all of it at `p`. */
static enum record_verdict check_begin(struct record_head *h, const struct record *r,
                                       const uint8_t *p, size_t max)
{
    if (r->length != BEGIN_LENGTH || (h->begun && r->id == h->id))
        return RECORD_BAD_BEGIN;
    if (h->begun)
        return cut(h, r, RECORD_CUT_MPX);
    const uint8_t *body = p + RECORD_HEADER_SIZE;
    bool keep = body[2] & FLAG_KEEP_CONN;
    if ((body[0] << 8 | body[1]) != ROLE_RESPONDER) {
        enum record_verdict verdict = cut(h, r, RECORD_CUT_ROLE);
        h->cut_keep = keep;
        return verdict;
    }
    if (record_size(r) > max)
        return RECORD_TOO_LONG;
    h->start = h->pos;
    h->begun = true;
    h->keep = keep;
    h->id = r->id;
    h->pos += record_size(r);
    return RECORD_MORE;
}

/* The header of an FCGI_PARAMS record of this request; its content is checked as it
 * comes. The empty one ends the head; its padding is part of it. */
static enum record_verdict check_params(struct record_head *h, const struct record *r,
                                        size_t len, size_t max)
{
    if (h->pos - h->start + record_size(r) > max)
        return RECORD_TOO_LONG;
    if (r->length > 0) {
        h->pos += RECORD_HEADER_SIZE;
        h->params += r->length;
        h->content = r->length;
        h->padding = r->padding;
        return RECORD_MORE;
    }
    if (h->name > 0 || h->value > 0 || h->have > 0)
        return RECORD_BAD_PAIR; /* cut short inside a pair */
    if (len - h->pos < record_size(r))
        return RECORD_MORE;
    h->end = h->pos + RECORD_HEADER_SIZE;
    h->pos += record_size(r);
    return RECORD_COMPLETE;
}

/* Any other record, which is looked at when all of it is there. */
static enum record_verdict check_other(struct record_head *h, const struct record *r,
                                       const uint8_t *data, size_t len, size_t max)
{
    if (len - h->pos < record_size(r))
        return RECORD_MORE;
    if (r->id == 0)
        return check_management(h, r, data + h->pos);
    if (r->type == RECORD_BEGIN_REQUEST)
        return check_begin(h, r, data + h->pos, max);
    if (!h->begun || r->id != h->id)
        return cut(h, r, RECORD_CUT_SILENT);
    return r->type == RECORD_ABORT_REQUEST ? cut(h, r, RECORD_CUT_ABORT)
                                           : RECORD_BAD_TYPE;
}

/* Passes over what is there of the current FCGI_PARAMS record. */
static enum record_verdict pass_content(struct record_head *h, const uint8_t *data,
                                        size_t len, size_t max)
{
    size_t n = len - h->pos < h->content ? len - h->pos : h->content;
    enum record_verdict verdict = check_pairs(h, data + h->pos, n, max);
    h->pos += n;
    h->content -= (uint32_t)n;
    if (h->content == 0) {
        n = len - h->pos < h->padding ? len - h->pos : h->padding;
        h->pos += n;
        h->padding -= (uint32_t)n;
    }
    return verdict;
}

enum record_verdict record_check(struct record_head *h, const uint8_t *data, size_t len,
                                 size_t max)
{
    for (;;) {
        if (h->content > 0 || h->padding > 0) {
            enum record_verdict verdict = pass_content(h, data, len, max);
            if (verdict != RECORD_MORE)
                return verdict;
        }
        if (len > h->pos && data[h->pos] != 1 && h->content == 0 && h->padding == 0)
            return RECORD_BAD_VERSION;
        if (len - h->pos < RECORD_HEADER_SIZE || h->content > 0 || h->padding > 0)
            return RECORD_MORE;
        struct record r = record_decode(data + h->pos);
        size_t before = h->pos;
        enum record_verdict verdict = r.type == RECORD_PARAMS && h->begun && r.id == h->id
                                          ? check_params(h, &r, len, max)
                                          : check_other(h, &r, data, len, max);
        if (verdict != RECORD_MORE || h->pos == before)
            return verdict;
    }
}

size_t record_cut(struct record_head *h, enum record_verdict verdict, uint8_t *data,
                  size_t len)
{
    size_t end = h->cut + h->cut_size;
    if (verdict == RECORD_CUT_ABORT || !h->begun) {
        *h = (struct record_head){.start = end, .pos = end};
        return len;
    }
    memmove(data + h->cut, data + end, len - end);
    return len - h->cut_size;
}

/* The empty name and the length of the value, in five bytes of a record of their own. */
static void put_pack(uint8_t *out, uint16_t id, size_t len)
{
    out +=
        put_header(out, RECORD_PARAMS, id, 5, RECORD_PACK_ROOM - RECORD_HEADER_SIZE - 5);
    memset(out, 0, RECORD_PACK_ROOM - RECORD_HEADER_SIZE);
    out[1] = (uint8_t)(len >> 24 | 0x80);
    out[2] = (uint8_t)(len >> 16);
    out[3] = (uint8_t)(len >> 8);
    out[4] = (uint8_t)len;
}

void record_pack(struct record_head *h, uint8_t *data)
{
    uint8_t *begin = data + h->start;
    uint8_t *params = begin + BEGIN_SIZE + begin[6];
    uint8_t *pack = params - RECORD_PACK_ROOM;
    memmove(pack - BEGIN_SIZE, begin, BEGIN_SIZE);
    pack[6 - BEGIN_SIZE] = 0;
    put_pack(pack, h->id, h->params);
    data[h->end - 2] = 0;
    h->start = (size_t)(pack - BEGIN_SIZE - data);
}

const char *record_fault(enum record_verdict verdict)
{
    static const char *const faults[] = {
        [RECORD_BAD_VERSION] = "a record is not of FastCGI version 1",
        [RECORD_BAD_TYPE] = "a record of another type is among the parameters",
        [RECORD_BAD_BEGIN] = "an FCGI_BEGIN_REQUEST record is malformed",
        [RECORD_BAD_PAIR] = "a parameter is cut short",
        [RECORD_BAD_NAME] = "the name of a parameter contains '=' or NUL",
        [RECORD_BAD_VALUE] = "the value of a parameter contains NUL",
        [RECORD_TOO_LONG] = "the parameters are longer than MaxHeadSize",
        [RECORD_TOO_MANY] = "too many records of other requests are among the parameters",
    };
    return (size_t)verdict < sizeof faults / sizeof *faults ? faults[verdict] : NULL;
}

/* -- The body -- */

enum record_body record_body(const struct record *r, uint16_t id)
{
    if (r->version != 1)
        return RECORD_BODY_BAD;
    if (r->id == id) {
        return r->type == RECORD_STDIN
                   ? (r->length > 0 ? RECORD_BODY_DATA : RECORD_BODY_END)
               : r->type == RECORD_ABORT_REQUEST ? RECORD_BODY_ABORT
                                                 : RECORD_BODY_BAD;
    }
    if (r->type == RECORD_BEGIN_REQUEST) {
        return r->id != 0 && r->length == BEGIN_LENGTH ? RECORD_BODY_MPX
                                                       : RECORD_BODY_BAD;
    }
    if (r->id != 0 || r->type == RECORD_GET_VALUES_RESULT ||
        r->type == RECORD_UNKNOWN_TYPE)
        return RECORD_BODY_SILENT;
    return r->type == RECORD_GET_VALUES ? RECORD_BODY_VALUES : RECORD_BODY_UNKNOWN;
}

/* -- Records to send -- */

size_t record_put_header(uint8_t *out, enum record_type type, uint16_t id, size_t length)
{
    return put_header(out, type, id, length, 0);
}

size_t record_put_end(uint8_t *out, uint16_t id, enum record_protocol_status status)
{
    put_header(out, RECORD_END_REQUEST, id, 8, 0);
    memset(out + RECORD_HEADER_SIZE, 0, 8);
    out[RECORD_HEADER_SIZE + 4] = (uint8_t)status;
    return RECORD_END_SIZE;
}

size_t record_put_cut(uint8_t *out, uint16_t id)
{
    put_header(out, (enum record_type)0, id, 0, 0);
    out[0] = 0;
    return RECORD_CUT_SIZE;
}

size_t record_put_unknown(uint8_t *out, uint8_t type)
{
    put_header(out, RECORD_UNKNOWN_TYPE, 0, 8, 0);
    memset(out + RECORD_HEADER_SIZE, 0, 8);
    out[RECORD_HEADER_SIZE] = type;
    return RECORD_END_SIZE;
}

size_t record_put_values(uint8_t *out, const uint8_t *content, size_t len,
                         unsigned max_conns, unsigned max_reqs)
{
    const unsigned numbers[VALUE_NAMES] = {max_conns, max_reqs, 0};
    unsigned asked;
    if (!values_asked(content, len, &asked))
        return 0;
    uint8_t *p = out + RECORD_HEADER_SIZE;
    for (unsigned i = 0; i < VALUE_NAMES; i++) {
        if (asked & 1u << i) {
            char text[16];
            int digits = snprintf(text, sizeof text, "%u", numbers[i]);
            size_t name = strlen(value_names[i]);
            *p++ = (uint8_t)name;
            *p++ = (uint8_t)digits;
            memcpy(p, value_names[i], name);
            memcpy(p + name, text, (size_t)digits);
            p += name + (size_t)digits;
        }
    }
    size_t length = (size_t)(p - out) - RECORD_HEADER_SIZE;
    size_t padding = (8 - length % 8) % 8;
    memset(p, 0, padding);
    put_header(out, RECORD_GET_VALUES_RESULT, 0, length, padding);
    return RECORD_HEADER_SIZE + length + padding;
}
