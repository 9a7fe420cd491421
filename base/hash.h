/* A hash table. A link lies inside the thing that is found. The owner of the table
 * computes the hashes, compares the keys, and says which lock guards the table.
 *
 * The table owns its slots and none of the things. A zeroed struct hash is an empty
 * table. No operation can fail: without memory for more slots the chains get longer. Each
 * takes a bounded time, however many things there are: a table that grows moves two
 * chains with each new thing.
 *
 *     for (struct hash_link *l = hash_find(&h, hash); l != NULL; l = hash_next(l))
 *         if (is_same(CONTAINER(struct thing, link, l), key))
 *             return CONTAINER(struct thing, link, l); */
#ifndef LUAFCGID2_BASE_HASH_H
#define LUAFCGID2_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash_link {
    struct hash_link *next; /* in its chain */
    uint32_t hash;
};

struct hash_slots {
    struct hash_link **at; /* a power of two of them; NULL: there are none yet */
    size_t size;
};

struct hash {
    struct hash_slots now,
        old; /* while a grown table is moved to: `old` from `moved` on is in use */
    struct hash_link *first; /* the only chain before there are slots */
    size_t moved, count;     /* count: for reading */
};

/* The first thing with that hash, then the next one; NULL: there is none. Between the two
 * calls the table must not change. */
struct hash_link *hash_find(struct hash *h, uint32_t hash);
struct hash_link *hash_next(const struct hash_link *l);

/* Adds `l`, which is in no table. */
void hash_insert(struct hash *h, struct hash_link *l, uint32_t hash);

/* Takes out `l`, which is in the table. */
void hash_remove(struct hash *h, struct hash_link *l);

/* Frees the slots; what remains is an empty table. What was in it is left as it is. */
void hash_free(struct hash *h);

/* A hash of any bytes: SipHash with a secret of this process, so that nobody outside can
 * choose texts which meet in one chain. Any thread. */
uint32_t hash_bytes(const void *data, size_t len);

#endif
