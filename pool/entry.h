/* An entry: what the pool knows of one script, that is of a path and a document root. It
 * owns what was compiled of the script, and it counts the script's states.
 *
 * The pool's lock guards all fields but those marked immutable. An entry lives as long as
 * it has a place (a state in memory or being made), a pin (a thread at work on it), a
 * state that is being closed, or something to remember. With only the last it is a ghost;
 * pool/table.h says how many ghosts there may be. */
#ifndef LUAFCGID2_POOL_ENTRY_H
#define LUAFCGID2_POOL_ENTRY_H

#include "base/hash.h"
#include "base/list.h"
#include "pool/lock.h"
#include "pool/version.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* What is told of a script to whoever asks. It lives as long as the entry. */
struct entry_figures {
    uint64_t hits;      /* checkouts */
    uint64_t loads;     /* states made, or tried to */
    uint64_t evictions; /* idle states that made room for those of other scripts */
    uint64_t errors;    /* requests that failed by the script's fault */
    uint64_t time;      /* ns that requests have taken, of those that were timed */
    size_t memory;      /* bytes of its states, each as at its last check-in */
    time_t error_time;
    char *error; /* the first line of the last one; NULL: none */
};

/* By this an entry is found. Both texts are borrowed. */
struct entry_key {
    const char *path, *root;
    size_t path_len, root_len;
    uint32_t hash;
};

struct entry {
    struct hash_link in_table;
    struct entry *next;      /* among the dead */
    struct link all;         /* the table's list of all entries */
    struct link order;       /* by rank while it has idle states, or among the ghosts */
    struct link idle;        /* its idle states, newest first */
    struct version *version; /* the place of pool/version.h */
    pthread_cond_t returned; /* a state became idle, or there is room for another */
    unsigned rank;           /* pool/rank.h */
    unsigned pins, waiters;
    unsigned examined; /* idle lists that the sweeper has taken out to look at */
    int kept, extra;   /* places */
    int aside;         /* states that are set aside (pool/stock.h) */
    int at_rest;       /* states that are idle, or that the sweeper looks at */
    int closing;       /* states that are being closed; */
    int charged;       /* those of them that requests left behind */
    bool ghost;
    uint32_t first_ids, *ids; /* bits of the ids in use */
    unsigned id_words;
    struct entry_figures figures;
    struct entry_key key; /* immutable; its texts are in `text` */
    char text[];
};

/* Without pins, places or version. NULL: out of memory. */
struct entry *entry_create(const struct entry_key *key);

/* No lock may be held, because this releases the version. Nothing may refer to the entry
 * any more. */
void entry_free(struct entry *e);

/* A request has failed. `error`, memory of malloc or NULL, becomes the entry's; what is
 * returned is to be freed, without the lock. */
char *entry_note_error_locked(struct entry *e, char *error);

/* Wakes one of those who wait for `returned`. */
void entry_wake_locked(struct entry *e);

/* The smallest free id, from 1. Without memory it may be an id that is in use already. */
int entry_take_id_locked(struct entry *e);
void entry_give_id_locked(struct entry *e, int id);

#endif
