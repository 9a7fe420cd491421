/* Users and groups of this system, by name or number. A look-up may block: it may ask a
 * server. It uses the C library's static memory, so that only one thread at a time may
 * look up: the main thread, or the one that loads a configuration while main waits. */
#ifndef LUAFCGID2_BASE_ACCOUNT_H
#define LUAFCGID2_BASE_ACCOUNT_H

#include <stdbool.h>
#include <sys/types.h>

struct account {
    uid_t uid;
    gid_t gid; /* the user's own; the number of `uid` when no account has that number */
    char name[256]; /* "" when no account has that number */
};

/* A name, or a number of at most nine digits, which need not be of an account. false: it
 * is neither. */
bool account_find_user(const char *text, struct account *user);
bool account_find_group(const char *text, gid_t *gid);

/* Makes the process this user, with the group `gid` and the user's further groups; for
 * root only, and for good. false: see errno; a part may have been done. */
bool account_become(const struct account *user, gid_t gid);

#endif
