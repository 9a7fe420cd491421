/* What every store of sessions can do, wherever it keeps them: store/local.h in this
 * process, with SessionFile. store/session.h and store/store.h go through this table.
 *
 * Any function may be called from any thread unless it says otherwise. Those of a
 * session's data count as a use of the session; they fail when the session is gone, and
 * make nothing anew. Realm "*" is every realm. */
#ifndef LUAFCGID2_STORE_OPERATIONS_H
#define LUAFCGID2_STORE_OPERATIONS_H

#include "base/siphash.h"
#include "config.h"
#include "store/id.h"
#include "store/lease.h"
#include "store/realm.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first thing in the struct of each kind of store. */
struct session_store {
    const struct store_operations *operations;
    unsigned char secret[SIPHASH_SECRET_SIZE]; /* of clients' hashes; immutable */
};

struct store_operations {
    /* As store/store.h says of each. */
    void (*destroy)(struct session_store *s);
    void (*tick)(struct session_store *s, const struct config *config);
    bool (*save)(struct session_store *s, const struct config *config);
    bool (*autosave)(struct session_store *s, const struct config *config);
    size_t (*count)(const struct session_store *s);
    uint64_t (*evictions)(const struct session_store *s);

    /* Looks for the session, and touches it if this client may use it. `renew` as of
     * lease_admit. */
    enum lease_verdict (*find)(struct session_store *s, const struct config *config,
                               const struct session_id *id,
                               const struct lease_identity *identity, int64_t *renew);

    /* A new session under an id that nobody has. With SessionMaxCount sessions the
     * longest idle one goes. false: out of memory. */
    bool (*create)(struct session_store *s, const struct config *config,
                   const struct session_id *id, const struct lease_identity *identity);

    /* The same session under another id. `age` becomes its age in ms. false: it is gone.
     */
    bool (*rename)(struct session_store *s, const struct session_id *id,
                   const struct session_id *new_id, int64_t *age);

    /* false: it is gone. */
    bool (*delete)(struct session_store *s, const struct session_id *id);

    /* Stores a value. REALM_ABSENT: the session is gone, or "*" without any realm. */
    enum realm_result (*set)(struct session_store *s, const struct config *config,
                             const struct session_id *id, struct bytes realm,
                             struct bytes name, struct bytes value);

    /* Deletes a value, if it is there. false: the session is gone. */
    bool (*unset)(struct session_store *s, const struct session_id *id,
                  struct bytes realm, struct bytes name);

    /* Copies the value to `data` if it fits into `room` bytes, else writes nothing.
     * Returns its length; SIZE_MAX: not there, or the session is gone. */
    size_t (*copy)(struct session_store *s, const struct session_id *id,
                   struct bytes realm, struct bytes name, void *data, size_t room);

    bool (*has_realm)(struct session_store *s, const struct session_id *id,
                      struct bytes realm);

    /* Removes the realm and all in it. false also: no such realm, but never for "*". */
    bool (*clear)(struct session_store *s, const struct session_id *id,
                  struct bytes realm);
};

#endif
