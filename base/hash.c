/* Hash tables with chains. Any thread that holds the lock of the table's owner. This file
 * owns the secret of hash_bytes, which is made once and never changes. */
#include "base/hash.h"

#include "base/clock.h"
#include "base/random.h"
#include "base/siphash.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_SLOTS = 16, MOVES = 2 /* chains moved with each new thing */ };

static struct hash_link **chain(struct hash *h, uint32_t hash)
{
    size_t i = hash & (h->old.size - 1);
    if (h->old.at != NULL && i >= h->moved)
        return &h->old.at[i];
    return h->now.at != NULL ? &h->now.at[hash & (h->now.size - 1)] : &h->first;
}

/* -- Finding -- */

static struct hash_link *same(struct hash_link *l, uint32_t hash)
{
    while (l != NULL && l->hash != hash)
        l = l->next;
    return l;
}

struct hash_link *hash_find(struct hash *h, uint32_t hash)
{
    return same(*chain(h, hash), hash);
}

struct hash_link *hash_next(const struct hash_link *l)
{
    return same(l->next, l->hash);
}

/* -- Growing -- */

static void put_in_chain(struct hash *h, struct hash_link *l)
{
    struct hash_link **first = chain(h, l->hash);
    l->next = *first;
    *first = l;
}

static void move_chain(struct hash *h, struct hash_link *l)
{
    while (l != NULL) {
        struct hash_link *next = l->next;
        put_in_chain(h, l);
        l = next;
    }
}

/* With two chains for each new thing all are moved before the table must grow again. */
static void move_some(struct hash *h)
{
    for (int i = 0; i < MOVES && h->old.at != NULL; i++) {
        struct hash_link *l = h->old.at[h->moved++];
        move_chain(h, l);
        if (h->moved == h->old.size) {
            free(h->old.at);
            h->old = (struct hash_slots){0};
        }
    }
}

static void grow(struct hash *h)
{
    size_t size = h->now.at == NULL ? FIRST_SLOTS : 2 * h->now.size;
    struct hash_link **at = calloc(size, sizeof(struct hash_link *));
    if (at == NULL)
        return;
    struct hash_link *first = h->first;
    h->first = NULL;
    h->old = h->now;
    h->moved = 0;
    h->now = (struct hash_slots){at, size};
    move_chain(h, first);
}

/* -- Changing -- */

void hash_insert(struct hash *h, struct hash_link *l, uint32_t hash)
{
    move_some(h);
    if (h->count >= h->now.size && h->old.at == NULL)
        grow(h);
    l->hash = hash;
    put_in_chain(h, l);
    h->count++;
}

void hash_remove(struct hash *h, struct hash_link *l)
{
    struct hash_link **at = chain(h, l->hash);
    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    h->count--;
}

void hash_free(struct hash *h)
{
    free(h->old.at);
    free(h->now.at);
    *h = (struct hash){0};
}

/* -- Hashing -- */

static unsigned char secret[SIPHASH_SECRET_SIZE];
static pthread_once_t secret_once = PTHREAD_ONCE_INIT;

/* Without random bytes the daemon still serves: the moment and the place in memory are
 * better than nothing. */
static void make_secret(void)
{
    if (random_bytes(secret, sizeof secret))
        return;
    uint64_t guess[2] = {(uint64_t)clock_nanoseconds(), (uint64_t)(uintptr_t)&guess};
    memcpy(secret, guess, sizeof secret);
}

uint32_t hash_bytes(const void *data, size_t len)
{
    pthread_once(&secret_once, make_secret);
    return (uint32_t)siphash(secret, data, len);
}
