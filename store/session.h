/* Sessions: a bounded store of values by session, realm and name, shared by all workers,
 * and the rules by which a cookie finds its session. No Lua here: values are bytes
 * (base/value.h). Any function may be called from any thread unless it says otherwise.
 * Locks are internal leaves, held for microseconds and never while a file is read or
 * written.
 *
 * A key (the cookie's value) is known to the client and, for the length of a request, to
 * the worker. The store and SessionFile only have its SHA-256, struct session_id. */
#ifndef LUAFCGID2_STORE_SESSION_H
#define LUAFCGID2_STORE_SESSION_H

#include "base/buffer.h"
#include "config.h"
#include "store/id.h"
#include "store/realm.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SESSION_KEY_MAX  128 /* longest SessionKeyLen, in characters */
#define SESSION_KEY_MIN  22  /* shortest: 62^22 > 2^128 */
#define SESSION_TAG_SIZE 17  /* of session_tag, with its NUL */

struct session_store;

/* Who asks, as the request says. Borrowed for the call; NULL is the same as "". */
struct session_client {
    const char *address, *user_agent, *language; /* REMOTE_ADDR, HTTP_USER_AGENT,
                                                    HTTP_ACCEPT_LANGUAGE */
};

/* -- A client's session -- */

/* Whether `key` (a cookie's value; NULL for none) names a live session of this client: if
 * so touches it, and its stored identity becomes this client's. `renew` may be NULL:
 * otherwise it says how long the client's cookie is to live from now on, in ms, if it is
 * time to send it again, and that counts as done; or it is 0. */
bool session_find(struct session_store *s, const struct config *config, const char *key,
                  const struct session_client *client, struct session_id *id,
                  int64_t *renew);

/* How long the cookie of a session of that age is to live, in ms: as long as the session
 * does if nobody uses it any more. 0: until the browser is closed. */
int64_t session_cookie_life(const struct config *config, int64_t age);

/* A new session; its key, NUL-terminated, into `key`. With SessionMaxCount sessions the
 * longest idle one goes. false, logged: out of memory or entropy. */
bool session_create(struct session_store *s, const struct config *config,
                    const struct session_client *client, char key[SESSION_KEY_MAX + 1],
                    struct session_id *id);

/* The same data, and the same age for SessionMaxAge, under a new key; the old one is dead
 * at once, in other requests too. `life` as of session_cookie_life,
 * or NULL. false: no such session
 * any more, or (logged) no entropy, and `id` is as it was. */
bool session_regenerate(struct session_store *s, const struct config *config,
                        struct session_id *id, char new_key[SESSION_KEY_MAX + 1],
                        int64_t *life);

/* false: no such session any more. */
bool session_delete(struct session_store *s, const struct session_id *id);

/* 16 hexadecimal digits for logs, the same for the life of the key, from which neither
 * the key nor its hash can be had. */
void session_tag(const struct session_id *id, char tag[SESSION_TAG_SIZE]);

/* Appends the value of a Set-Cookie header that gives the client `key` for `life` ms (0:
 * until the browser is closed), or takes its cookie away when that is NULL (RFC 6265
 * section 4.1). `https`: the request came by it.
 * SameSite=None is only ever written beside Secure, as browsers refuse it otherwise.
 * false: out of memory, `out` as it was. */
bool session_print_cookie(const struct config *config, bool https, const char *key,
                          int64_t life, struct buffer *out);

/* -- A session's data --
 *
 * Each call is atomic and counts as a use of the session. Realm "*" is every realm. A
 * realm exists from the first value stored in it until it is cleared. `name` is the
 * variable's; all three are any bytes. All are false when the session is gone (deleted,
 * regenerated or expired by another request meanwhile): nothing is made anew. */

/* Stores, or deletes when value.data is NULL; deleting what is not there is no failure.
 * "*": all realms or none. false also: over SessionMaxSize or out of memory, both logged;
 * "*" without any realm. What was stored before is then as it was. */
bool session_set(struct session_store *s, const struct config *config,
                 const struct session_id *id, struct bytes realm, struct bytes name,
                 struct bytes value);

/* Appends the value. "*": the first realm, in the order they were made, that has `name`.
 * false also: not there, or out of memory; `value` as it was. */
bool session_get(struct session_store *s, const struct session_id *id, struct bytes realm,
                 struct bytes name, struct buffer *value);

/* Copies the value to `data` if it fits into `room` bytes, else writes nothing. Returns
 * its length; SIZE_MAX: not there, or the session is gone. */
size_t session_copy(struct session_store *s, const struct session_id *id,
                    struct bytes realm, struct bytes name, void *data, size_t room);

/* "*": whether there is any. */
bool session_has_realm(struct session_store *s, const struct session_id *id,
                       struct bytes realm);

/* Removes the realm and all in it. false also: no such realm, but never for "*". */
bool session_clear(struct session_store *s, const struct session_id *id,
                   struct bytes realm);

#endif
