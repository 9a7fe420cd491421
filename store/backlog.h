/* The messages of one channel that a subscription has still to read.
 *
 * A message is stored once, however many read it. Each reader has a position, and a
 * message counts the readers that stand at it: so appending one touches no reader, and a
 * message that nobody can read any more is known. For store/channel.c only. Plain memory
 * without a lock: whoever owns the channel guards it, and its readers. */
#ifndef LUAFCGID2_STORE_BACKLOG_H
#define LUAFCGID2_STORE_BACKLOG_H

#include "base/list.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct backlog;

struct message {
    struct link by_age; /* among those of all channels, or among the dropped */
    struct backlog *backlog;
    atomic_uint owners; /* the backlog, and readers that copy the text */
    unsigned readers;   /* that stand here */
    uint64_t order;     /* among the messages of all channels */
    uint64_t start;     /* bytes counted of the channel before this one */
    size_t len;
    char text[];
};

/* Zeroed memory is empty. */
struct backlog {
    struct message **ring; /* `size` of them, a power of two; NULL: none yet */
    size_t size, count;
    uint64_t head;   /* number of the first message in the ring: how many came before */
    uint64_t end;    /* bytes counted of the channel */
    unsigned at_end; /* readers that have read all */
};

struct backlog_reader {
    uint64_t at; /* number of the next message; less than `head`: that one was dropped */
};

/* Makes a message of a copy of the text; one reference is the caller's. NULL: out of
 * memory. Any thread. */
struct message *backlog_message(const char *text, size_t len);

/* Any thread, under no lock. NULL is allowed. */
void backlog_release(struct message *m);

/* Begins to read with the next message; ends to read. */
void backlog_join(struct backlog *b, struct backlog_reader *r);
void backlog_leave(struct backlog *b, struct backlog_reader *r, struct link *dropped);

/* Takes over the reference to the message. false: out of memory; nothing has changed. */
bool backlog_append(struct backlog *b, struct message *m);

/* Drops the oldest message, of which there must be one: it goes to the list `dropped`, to
 * be released when no lock is held. So does what nobody can read any more in each of
 * these functions. */
void backlog_drop(struct backlog *b, struct link *dropped);

/* The message that the reader stands at; NULL: it has read all. Adds to `missed` how many
 * were dropped before it could read them. */
struct message *backlog_look(struct backlog *b, struct backlog_reader *r,
                             uint64_t *missed);

/* Goes on from the message that backlog_look has just returned. */
void backlog_pass(struct backlog *b, struct backlog_reader *r, struct link *dropped);

/* Bytes counted that wait for the reader. */
uint64_t backlog_waiting(const struct backlog *b, const struct backlog_reader *r);

/* Bytes that a message counts beside its text. */
#define BACKLOG_OVERHEAD 100

/* Bytes counted of all that the backlog has. */
uint64_t backlog_size(const struct backlog *b);

/* How many subscriptions have not read the oldest message, of which there must be one. */
unsigned backlog_unread(const struct backlog *b);

/* Of an empty one that nobody reads. */
void backlog_free(struct backlog *b);

#endif
