/* Sessions: a bounded store of values by session, realm and name, shared by all workers,
 * and the rules by which a cookie finds its session. There is no Lua here: values are
 * bytes (base/value.h). Any thread may call any function, unless it says otherwise. Locks
 * are internal leaves; they are held for microseconds, and never while a file is read or
 * written.
 *
 * Only the client knows the key (the cookie's value), and the worker for the length of a
 * request. The store and SessionFile have its SHA-256, struct session_id. */
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

/* The client, as the request describes it. Borrowed for the call; NULL is the
 * same as "". */
struct session_client {
    const char *address, *user_agent, *language; /* REMOTE_ADDR, HTTP_USER_AGENT,
                                                    HTTP_ACCEPT_LANGUAGE */
};

/* -- A client's session -- */

/* Whether `key` (a cookie's value; NULL: none) names a live session of this client. If
 * so, that counts as a use, and the client's identity replaces the stored one. `renew`
 * may be NULL; otherwise it becomes the time in ms that the cookie is to live from now
 * on, if the cookie is due to be sent again, and else 0. */
bool session_find(struct session_store *s, const struct config *config, const char *key,
                  const struct session_client *client, struct session_id *id,
                  int64_t *renew);

/* How long the cookie of a session of that age is to live, in ms: as long as the session
 * does if nobody uses it. 0: until the browser is closed. */
int64_t session_cookie_life(const struct config *config, int64_t age);

/* Makes a session; its key, NUL-terminated, goes into `key`. If there are SessionMaxCount
 * sessions, the longest idle one is deleted. false, logged: out of memory or entropy. */
bool session_create(struct session_store *s, const struct config *config,
                    const struct session_client *client, char key[SESSION_KEY_MAX + 1],
                    struct session_id *id);

/* Gives the session a new key; its data, and its age for SessionMaxAge, stay. The old key
 * is dead at once, in other requests too. `life`, which may be NULL, becomes what
 * session_cookie_life says. false: the session is gone, or (logged) there is no entropy;
 * `id` is as it was. */
bool session_regenerate(struct session_store *s, const struct config *config,
                        struct session_id *id, char new_key[SESSION_KEY_MAX + 1],
                        int64_t *life);

/* false: the session is gone already. */
bool session_delete(struct session_store *s, const struct session_id *id);

/* 16 hexadecimal digits for logs, which stay the same for the life of the key. Neither
 * the key nor its hash can be found from them. */
void session_tag(const struct session_id *id, char tag[SESSION_TAG_SIZE]);

/* Appends the value of a Set-Cookie header that gives the client `key` for `life` ms (0:
 * until the browser is closed), or, if `key` is NULL, takes its cookie away (RFC 6265
 * section 4.1). `https`: the request came by https. SameSite=None is written only
 * together with Secure, as browsers refuse it otherwise. false: out of memory, `out` as
 * it was. */
bool session_print_cookie(const struct config *config, bool https, const char *key,
                          int64_t life, struct buffer *out);

/* -- A session's data --
 *
 * Each call is atomic and counts as a use of the session. Realm "*" is every realm. A
 * realm exists from the first value stored in it until it is cleared. `name` is the
 * variable's; all three are any bytes. All are false when the session is gone (deleted,
 * regenerated or expired by another request meanwhile): nothing is made anew. */

/* Stores the value; if value.data is NULL, deletes it, and it need not be there. "*": in
 * all realms or in none. false also: over SessionMaxSize or out of memory, both logged;
 * "*" without any realm. Then nothing has changed. */
bool session_set(struct session_store *s, const struct config *config,
                 const struct session_id *id, struct bytes realm, struct bytes name,
                 struct bytes value);

/* Appends the value to `value`. "*": of the first realm that has `name`, in the order in
 * which they were made. false also: it is not there, or out of memory; `value` is as it
 * was. */
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
