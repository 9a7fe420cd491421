/* FastCGI records as bytes: what a connection checks before libfcgi sees it, and the
 * records it writes itself.
 *
 * Pure functions over memory: nothing here does I/O, allocates, logs or keeps anything
 * between calls but in the caller's structs. Any thread. "FastCGI n" is a section of the
 * FastCGI 1.0 specification. */
#ifndef LUAFCGID2_FASTCGI_RECORD_H
#define LUAFCGID2_FASTCGI_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RECORD_HEADER_SIZE = 8,
    RECORD_END_SIZE = 16,     /* an END_REQUEST or UNKNOWN_TYPE record */
    RECORD_CUT_SIZE = 8,      /* the record that ends a response which is not whole */
    RECORD_VALUES_SIZE = 104, /* the longest answer to GET_VALUES */
    RECORD_PACK_ROOM = 16,    /* bytes that record_pack needs before a head */
    RECORD_MAX_SIZE = 8 + 65535 + 255,
    RECORD_MAX_STDOUT =
        65528, /* content we put into one: a multiple of 8 needs no padding */
};

/* FastCGI 8 */
enum record_type {
    RECORD_BEGIN_REQUEST = 1,
    RECORD_ABORT_REQUEST,
    RECORD_END_REQUEST,
    RECORD_PARAMS,
    RECORD_STDIN,
    RECORD_STDOUT,
    RECORD_STDERR,
    RECORD_DATA,
    RECORD_GET_VALUES,
    RECORD_GET_VALUES_RESULT,
    RECORD_UNKNOWN_TYPE,
};

/* FastCGI 5.5 */
enum record_protocol_status {
    RECORD_REQUEST_COMPLETE,
    RECORD_CANT_MPX_CONN,
    RECORD_OVERLOADED,
    RECORD_UNKNOWN_ROLE,
};

/* A record's header, decoded (FastCGI 3.3). */
struct record {
    uint8_t version, type, padding;
    uint16_t id, length;
};

/* `p` has RECORD_HEADER_SIZE bytes. */
struct record record_decode(const uint8_t *p);

/* Header, content and padding. */
size_t record_size(const struct record *record);

/* -- The head: FCGI_BEGIN_REQUEST to the empty FCGI_PARAMS -- */

enum record_verdict {
    RECORD_MORE,     /* all good so far, not complete */
    RECORD_COMPLETE, /* data[start, pos) is a whole valid head */

    /* The record data[cut, cut + cut_size) is not part of the head: answer it as named,
     * then call record_cut and go on. */
    RECORD_CUT_SILENT,  /* of a request that is not active (FastCGI 3.3): no answer */
    RECORD_CUT_VALUES,  /* FCGI_GET_VALUES, well formed: record_put_values */
    RECORD_CUT_UNKNOWN, /* another management record: record_put_unknown with cut_type */
    RECORD_CUT_MPX,     /* a second request, cut_id: FCGI_CANT_MPX_CONN */
    RECORD_CUT_ROLE,    /* a request, cut_id, that asks for another role than responder:
                           FCGI_UNKNOWN_ROLE; the connection goes on if cut_keep */
    RECORD_CUT_ABORT,   /* FCGI_ABORT_REQUEST of cut_id: FCGI_REQUEST_COMPLETE; record_cut
                           drops the whole head; the connection goes on if cut_keep */

    /* The peer broke the rules: close. See record_fault. */
    RECORD_BAD_VERSION,
    RECORD_BAD_TYPE,
    RECORD_BAD_BEGIN,
    RECORD_BAD_PAIR,
    RECORD_BAD_NAME,
    RECORD_BAD_VALUE,
    RECORD_TOO_LONG,
    RECORD_TOO_MANY, /* more than 64 records that do not belong inside one head */
};

/* How far a check has come. Zeroed memory is the beginning. */
struct record_head {
    size_t start, pos; /* the head so far is data[start, pos) */
    uint16_t id;
    size_t params; /* bytes of name-value pairs so far */
    size_t end;    /* after RECORD_COMPLETE: of the last header, before its padding */
    bool begun;    /* FCGI_BEGIN_REQUEST was seen */
    bool keep;     /* it has FCGI_KEEP_CONN */

    /* of a RECORD_CUT_* */
    size_t cut, cut_size;
    uint16_t cut_id;
    uint8_t cut_type;
    bool cut_keep;

    /* private */
    uint32_t cuts;
    uint32_t content, padding; /* still to come of the FCGI_PARAMS record at pos */
    uint32_t name, value;      /* still to come of the pair at pos */
    uint8_t lengths[8], have;  /* the pair's length bytes, as far as they have come */
};

/* Goes on with the check of data[0, len), of which an earlier call has seen the first
 * head->pos bytes. A head has at most `max` bytes. After RECORD_COMPLETE or a fault no
 * more calls may follow. Bytes that were seen before are not looked at again. */
enum record_verdict record_check(struct record_head *head, const uint8_t *data,
                                 size_t len, size_t max);

/* Takes the record of a RECORD_CUT_* verdict out. Returns the new length of data. */
size_t record_cut(struct record_head *head, enum record_verdict verdict, uint8_t *data,
                  size_t len);

/* After RECORD_COMPLETE: makes data[head->start, head->end) a head that libfcgi can read,
 * and read cheaply. libfcgi takes the padding of an FCGI_BEGIN_REQUEST for the next
 * header, so the padding is taken out. It allocates memory for each pair, so all pairs
 * become the value of a single one that has no name. The value has head->params bytes;
 * record_next_pair takes them apart. head->start moves back, by RECORD_PACK_ROOM bytes at
 * most. */
void record_pack(struct record_head *head, uint8_t *data);

/* A name-value pair (FastCGI 3.4), in the memory it was found in. */
struct record_pair {
    const uint8_t *name, *value;
    size_t name_len, value_len;
};

/* Takes the pair at `*p` and moves `*p` behind it. false: there is no whole one before
 * `end`. */
bool record_next_pair(const uint8_t **p, const uint8_t *end, struct record_pair *pair);

/* What is wrong, for the log. NULL when `verdict` is no fault. */
const char *record_fault(enum record_verdict verdict);

/* -- The body: FCGI_STDIN -- */

enum record_body {
    RECORD_BODY_DATA,    /* record->length bytes of the body follow */
    RECORD_BODY_END,     /* the empty FCGI_STDIN */
    RECORD_BODY_SILENT,  /* as RECORD_CUT_SILENT */
    RECORD_BODY_VALUES,  /* as RECORD_CUT_VALUES, content not yet checked */
    RECORD_BODY_UNKNOWN, /* as RECORD_CUT_UNKNOWN */
    RECORD_BODY_MPX,     /* as RECORD_CUT_MPX */
    RECORD_BODY_ABORT,   /* FCGI_ABORT_REQUEST of this request */
    RECORD_BODY_BAD,     /* the peer broke the rules */
};

/* What a record in the body of request `id` means. */
enum record_body record_body(const struct record *record, uint16_t id);

/* -- Records to send. Each returns the bytes written to `out`. -- */

size_t record_put_header(uint8_t *out, enum record_type type, uint16_t id, size_t length);

/* RECORD_END_SIZE bytes, application status 0. */
size_t record_put_end(uint8_t *out, uint16_t id, enum record_protocol_status status);

/* RECORD_CUT_SIZE bytes: a record of a version and a type that do not exist, in which a
 * web server sees an error. The close alone looks to some like the end of a whole
 * response. It is empty, because some would pass its content on. It is of no known type,
 * because some take an empty FCGI_STDOUT for an end. */
size_t record_put_cut(uint8_t *out, uint16_t id);

/* RECORD_END_SIZE bytes. */
size_t record_put_unknown(uint8_t *out, uint8_t type);

/* The answer to the FCGI_GET_VALUES with this content (FastCGI 4.1): each name that is
 * known and asked for, once; at most RECORD_VALUES_SIZE bytes. 0: content is malformed.
 */
size_t record_put_values(uint8_t *out, const uint8_t *content, size_t len,
                         unsigned max_conns, unsigned max_reqs);

#endif
