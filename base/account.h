/* Users and groups of this system, by name or number. A look-up may block, as it may ask
 * a server. It uses the C library's static memory, so only one thread may look up at a
 * time: the main thread, or the one that loads a configuration while the main thread
 * waits. */
#ifndef LUAFCGID2_BASE_ACCOUNT_H
#define LUAFCGID2_BASE_ACCOUNT_H

#include <stdbool.h>
#include <sys/types.h>

struct account {
    uid_t uid;
    gid_t gid;      /* the user's own; `uid` when no account has that number */
    char name[256]; /* "" when no account has that number */
};

/* A name, or a number of at most nine digits, which need not be of an account. false: it
 * is neither. */
bool account_find_user(const char *text, struct account *user);
bool account_find_group(const char *text, gid_t *gid);

/* Makes the process run as this user, with the group `gid` and the user's further groups.
 * Needs root, and cannot be undone. false: see errno; a part may have been done. */
bool account_become(const struct account *user, gid_t gid);

#endif
