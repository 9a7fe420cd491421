/* Conditional and range requests (RFC 9110 sections 13 and 14). Pure; nothing blocks. */
#ifndef LUAFCGID2_HTTP_CONDITION_H
#define LUAFCGID2_HTTP_CONDITION_H

#include <stdint.h>

/* The request's header fields; NULL: absent. */
struct condition {
    const char *if_match, *if_none_match, *if_modified_since, *if_unmodified_since;
    const char *if_range, *range;
};

/* What is there to be sent. */
struct condition_target {
    const char *etag; /* a strong one, with its quotes */
    int64_t modified; /* seconds since 1970 */
    int64_t size;     /* bytes */
};

/* The status of the answer to a GET or HEAD at the time `now`: 200; 206, and then
 * `length` bytes from `first` on are to be sent; 304; 412; 416. Several ranges in one
 * request count as none (section 14.2 allows that). */
int condition_check(const struct condition *c, const struct condition_target *target,
                    int64_t now, int64_t *first, int64_t *length);

#endif
