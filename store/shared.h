/* Shared values: one table of keys and values for all scripts of the process.
 *
 * A value is a boolean, an integer, a float or a string of any bytes; a key is any bytes.
 * There is no Lua here. Any thread may call any function; each call is atomic. The table
 * is divided into shards, each with a lock of its own, a leaf that is held for
 * microseconds; values are allocated and freed when none is. */
#ifndef LUAFCGID2_STORE_SHARED_H
#define LUAFCGID2_STORE_SHARED_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that a value counts beside key and text, for SharedMaxSize. */
#define SHARED_OVERHEAD 120

enum shared_type {
    SHARED_NIL, /* there is none */
    SHARED_BOOLEAN,
    SHARED_INTEGER,
    SHARED_FLOAT,
    SHARED_STRING,
};

struct shared_value {
    enum shared_type type;
    union {
        bool boolean;
        int64_t integer;
        double number;
        struct bytes text; /* borrowed */
    };
};

enum shared_result {
    SHARED_DONE,
    SHARED_REFUSED,   /* it is there already, or is another one */
    SHARED_NO_NUMBER, /* to add to */
    SHARED_TOO_LARGE, /* larger than SharedMaxSize on its own */
    SHARED_NO_MEMORY,
};

/* What is common to all that store a value: `life` is how long it is there, ms; 0: for
 * ever. `max` is SharedMaxSize; 0: no limit. When all values together are larger, those
 * go first that were not used for longest. Whatever fails changes nothing. */
struct shared_terms {
    int64_t life, max;
};

/* A value of type SHARED_NIL deletes. */
enum shared_result shared_set(struct bytes key, const struct shared_value *value,
                              struct shared_terms terms);

/* Only if there is none. */
enum shared_result shared_add(struct bytes key, const struct shared_value *value,
                              struct shared_terms terms);

/* Only if the present value equals `old`, as Lua compares: 1 equals 1.0. SHARED_NIL means
 * that there is none. What was there keeps its time. */
enum shared_result shared_swap(struct bytes key, const struct shared_value *old,
                               const struct shared_value *value,
                               struct shared_terms terms);

/* Adds `by` to the number that is there, or to `init` if there is none: both numbers.
 * `result` becomes the new one. Integers wrap around; what was there keeps its time. */
enum shared_result shared_increase(struct bytes key, const struct shared_value *by,
                                   const struct shared_value *init,
                                   struct shared_terms terms,
                                   struct shared_value *result);

/* Returns whether it was there. */
bool shared_delete(struct bytes key);

/* The value; type SHARED_NIL: there is none. A text goes to `data` if it fits into `room`
 * bytes, else nothing is written; its length is there in any case. */
struct shared_value shared_get(struct bytes key, void *data, size_t room);

/* -- The keys -- */

/* Shards, which are asked one after the other: what comes or goes meanwhile may be listed
 * or not. */
#define SHARED_SHARDS 16

/* Writes the keys of that shard which begin with `prefix`: each as its length, a size_t,
 * and its bytes. Returns the bytes needed; nothing is written when `room` is less. */
size_t shared_keys(unsigned shard, struct bytes prefix, char *data, size_t room);

/* Heartbeat, about once a second: drops a bounded share of what has expired. */
void shared_tick(void);

/* How many values there are, and how large they are. */
size_t shared_count(void);
uint64_t shared_size(void);

/* Deletes all. */
void shared_clear(void);

#endif
