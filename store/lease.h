/* The lease of a session: how long it lives, to which client it belongs, and when its
 * cookie is due again. The rules are the same wherever sessions are kept. Plain memory;
 * whoever owns the session guards it. Nothing here blocks or fails. */
#ifndef LUAFCGID2_STORE_LEASE_H
#define LUAFCGID2_STORE_LEASE_H

#include "config.h"
#include <stdbool.h>
#include <stdint.h>

/* Hashes of what a client says of itself. They have one size whatever is sent, and
 * neither memory nor SessionFile say who the visitors were. */
struct lease_identity {
    uint64_t address, user_agent, language;
};

struct lease {
    int64_t created, used; /* as moment_now says */
    int64_t cookie;        /* when the client was last given its cookie */
    struct lease_identity identity;
};

/* A lease that begins now. */
struct lease lease_begin(const struct lease_identity *identity);

/* Whether SessionTime or SessionMaxAge is over. */
bool lease_is_expired(const struct lease *l, const struct config *config, int64_t now);

enum lease_verdict {
    LEASE_GOOD,
    LEASE_NONE,    /* there is no such session */
    LEASE_EXPIRED, /* it is to be deleted */
    LEASE_STRANGER /* it belongs to another client, and is left alone */
};

/* Whether this client may use the session now. If so, its identity becomes the lease's,
 * and `renew`, which may be NULL, says how long the client's cookie is to live from now
 * on, in ms, if it is time to send it again; that counts as done. Otherwise it is 0. */
enum lease_verdict lease_admit(struct lease *l, const struct config *config,
                               const struct lease_identity *identity, int64_t now,
                               int64_t *renew);

/* How long the cookie of a session of that age is to live, in ms: as long as the session
 * does if nobody uses it any more. 0: until the browser is closed. */
int64_t lease_cookie_life(const struct config *config, int64_t age);

#endif
