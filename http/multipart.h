/* A body of type multipart/form-data (RFC 7578, RFC 2046 section 5.1), read in whatever
 * pieces it comes: an iterator that is given the pieces, and tells the parts and their
 * data as they pass. Its memory does not grow. Pure; owned by whoever declared it. */
#ifndef LUAFCGID2_HTTP_MULTIPART_H
#define LUAFCGID2_HTTP_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>

#define MULTIPART_BOUNDARY_MAX 70   /* RFC 2046 section 5.1.1 */
#define MULTIPART_HEAD_MAX     8192 /* bytes of the header fields of one part */

/* What a part says of itself, or a piece of its data; memory of the iterator or of its
 * input, until the next call. */
struct multipart_part {
    const char *name; /* of the field */
    size_t name_len;
    const char *file; /* its name, without a path; NULL: the part is no file */
    size_t file_len;
    const char *type; /* media type, "" when the part names none */
    size_t type_len;
    const char *data;
    size_t data_len;
};

enum multipart_event {
    MULTIPART_MORE,      /* the input is used up: go on with the next piece */
    MULTIPART_PART,      /* a part begins: name, file and type are set */
    MULTIPART_DATA,      /* some of its data; as often as there is some */
    MULTIPART_PART_END,  /* it is over */
    MULTIPART_END,       /* the last part is over. What follows is MULTIPART_MORE */
    MULTIPART_MALFORMED, /* see `why`. Nothing else follows */
};

enum multipart_state {
    MULTIPART_IN_PREAMBLE,
    MULTIPART_IN_DATA,
    MULTIPART_AFTER_DELIMITER,
    MULTIPART_IN_CLOSE,   /* behind the first '-' of the final "--" */
    MULTIPART_IN_PADDING, /* white space behind a delimiter */
    MULTIPART_BEFORE_LF,  /* of the delimiter's line */
    MULTIPART_IN_HEAD,
    MULTIPART_IN_EPILOGUE,
    MULTIPART_FAILED,
};

struct multipart {
    enum multipart_state state;
    const char *why;                            /* a literal */
    char delimiter[4 + MULTIPART_BOUNDARY_MAX]; /* CR LF "--" boundary */
    size_t delimiter_len, matched;              /* `matched` bytes of it have passed */
    char head[MULTIPART_HEAD_MAX];
    size_t head_len;
};

/* Whether a Content-Type is that of such a body. */
bool multipart_is_type(const char *type, size_t len);

/* Begins with a body of this Content-Type. false: it names no boundary that may be one.
 */
bool multipart_begin(struct multipart *m, const char *type, size_t len);

/* The next event in the `*len` bytes at `*in`, of which it takes off what it has used. */
enum multipart_event multipart_next(struct multipart *m, const char **in, size_t *len,
                                    struct multipart_part *part);

/* Whether MULTIPART_END has come: a body that stops before is cut. */
bool multipart_is_whole(const struct multipart *m);

#endif
