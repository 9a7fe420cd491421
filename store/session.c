/* How a client's key finds its session, and what a script may do with it. Called by
 * workers. Owns nothing itself; the store (store/store.c) does, and the lock of a
 * session's shard guards the session. Hashing, logging and copying in are done without
 * it. */
#include "store/session.h"

#include "base/ascii.h"
#include "base/log.h"
#include "base/random.h"
#include "base/sha256.h"
#include "store/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* -- Keys -- */

static const char key_characters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

#define KEY_CHARACTERS (sizeof key_characters - 1)

/* Each character is equally likely: a byte beyond the last multiple of 62 is not used. */
static bool make_key(size_t len, char key[SESSION_KEY_MAX + 1])
{
    const unsigned limit = 256 / KEY_CHARACTERS * KEY_CHARACTERS;
    unsigned char bytes[64];
    size_t made = 0;
    while (made < len) {
        if (!random_bytes(bytes, sizeof bytes)) {
            log_error("session: no random bytes: %s", strerror(errno));
            return false;
        }
        for (size_t i = 0; i < sizeof bytes && made < len; i++)
            if (bytes[i] < limit)
                key[made++] = key_characters[bytes[i] % KEY_CHARACTERS];
    }
    key[len] = '\0';
    explicit_bzero(bytes, sizeof bytes);
    return true;
}

/* Anything else than a key of the right shape is turned away before it is hashed. */
static bool is_key(const struct config *config, const char *key)
{
    size_t len = 0;
    if (key == NULL)
        return false;
    while (ascii_is_alnum(key[len]) && len <= SESSION_KEY_MAX)
        len++;
    return key[len] == '\0' && len == (size_t)config->session_key_len;
}

static void hash_key(const struct config *config, const char *key, struct session_id *id)
{
    sha256(key, (size_t)config->session_key_len, id->hash);
}

void session_tag(const struct session_id *id, char tag[SESSION_TAG_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < (SESSION_TAG_SIZE - 1) / 2; i++) {
        tag[2 * i] = digits[id->hash[i] >> 4];
        tag[2 * i + 1] = digits[id->hash[i] & 15];
    }
    tag[SESSION_TAG_SIZE - 1] = '\0';
}

/* -- The cookie's life -- */

/* What browsers cut a longer life down to: 400 days. */
#define COOKIE_LIFE_MAX (INT64_C(400) * 86400 * 1000)

/* A cookie is sent again when the one before is so old, or a share of its life, whatever
 * is less. So no visitor loses a session more than that early, a response that is lost on
 * its way does no harm, and few responses carry one. */
#define COOKIE_RENEWAL       60000
#define COOKIE_RENEWAL_SHARE 16

int64_t session_cookie_life(const struct config *config, int64_t age)
{
    int64_t life = COOKIE_LIFE_MAX;
    if (!config->session_cookie_persistent)
        return 0;
    if (config->session_time > 0 && config->session_time < life)
        life = config->session_time;
    if (config->session_max_age > 0 && config->session_max_age - age < life)
        life = config->session_max_age - age;
    return life > 1000 ? life : 1000;
}

static int64_t renewal_locked(struct session *s, const struct config *config, int64_t now)
{
    int64_t life = session_cookie_life(config, now - s->created);
    int64_t due = life / COOKIE_RENEWAL_SHARE;
    if (due > COOKIE_RENEWAL)
        due = COOKIE_RENEWAL;
    if (life == 0 || now - s->cookie < due)
        return 0;
    s->cookie = now;
    return life;
}

/* -- A client's session -- */

static uint64_t hash_text(const struct session_store *s, const char *text)
{
    return text == NULL ? siphash(s->secret, "", 0)
                        : siphash(s->secret, text, strlen(text));
}

static struct session_identity identify(const struct session_store *s,
                                        const struct session_client *c)
{
    return (struct session_identity){
        hash_text(s, c->address), hash_text(s, c->user_agent), hash_text(s, c->language)};
}

static int64_t score(const struct config *config, const struct session_identity *a,
                     const struct session_identity *b)
{
    int64_t sum = 0;
    if (a->address == b->address)
        sum += config->session_ip_score;
    if (a->user_agent == b->user_agent)
        sum += config->session_user_agent_score;
    if (a->language == b->language)
        sum += config->session_language_score;
    return sum;
}

static bool matches(const struct config *config, const struct session_identity *a,
                    const struct session_identity *b)
{
    return config->session_target_score <= 0 ||
           score(config, a, b) >= config->session_target_score;
}

static void log_stranger(const struct session_id *id)
{
    char tag[SESSION_TAG_SIZE];
    session_tag(id, tag);
    log_info("session %s: its key came from a client that does not match", tag);
}

/* NULL: not there, expired (then `*expired` is out of the shard) or not this client's. */
static struct session *admit_locked(struct shard *shard, const struct config *config,
                                    const struct session_id *id,
                                    const struct session_identity *identity,
                                    int64_t *renew, struct session **expired,
                                    bool *stranger)
{
    int64_t now = store_now();
    struct session *s = shard_find_locked(shard, id);
    if (s == NULL)
        return NULL;
    if (store_is_expired(s, config, now)) {
        *expired = shard_remove_locked(shard, id);
        return NULL;
    }
    *stranger = !matches(config, &s->identity, identity);
    if (*stranger)
        return NULL;
    s->identity = *identity;
    shard_touch_locked(shard, s, now);
    if (renew != NULL)
        *renew = renewal_locked(s, config, now);
    return s;
}

bool session_find(struct session_store *s, const struct config *config, const char *key,
                  const struct session_client *client, struct session_id *id,
                  int64_t *renew)
{
    if (!is_key(config, key))
        return false;
    hash_key(config, key, id);
    struct session_identity identity = identify(s, client);
    struct shard *shard = store_shard(s, id);
    struct session *expired = NULL;
    bool stranger = false;
    pthread_mutex_lock(&shard->lock);
    bool found =
        admit_locked(shard, config, id, &identity, renew, &expired, &stranger) != NULL;
    pthread_mutex_unlock(&shard->lock);
    store_discard(s, expired);
    if (stranger)
        log_stranger(id);
    return found;
}

/* A key that nobody has yet, and its hash. */
static bool new_key(const struct config *config, char key[SESSION_KEY_MAX + 1],
                    struct session_id *id)
{
    if (!make_key((size_t)config->session_key_len, key))
        return false;
    hash_key(config, key, id);
    return true;
}

static struct session *take_out(struct session_store *store, const struct session_id *id)
{
    struct shard *shard = store_shard(store, id);
    pthread_mutex_lock(&shard->lock);
    struct session *s = shard_remove_locked(shard, id);
    pthread_mutex_unlock(&shard->lock);
    return s;
}

static void put_in(struct session_store *store, struct session *s)
{
    struct shard *shard = store_shard(store, &s->id);
    pthread_mutex_lock(&shard->lock);
    shard_insert_locked(shard, s);
    pthread_mutex_unlock(&shard->lock);
}

bool session_create(struct session_store *s, const struct config *config,
                    const struct session_client *client, char key[SESSION_KEY_MAX + 1],
                    struct session_id *id)
{
    struct session *session = calloc(1, sizeof *session);
    if (session == NULL) {
        log_error("session: out of memory");
        return false;
    }
    if (!new_key(config, key, id)) {
        free(session);
        return false;
    }
    session->id = *id;
    session->identity = identify(s, client);
    session->created = session->used = session->cookie = store_now();
    store_make_room(s, config);
    put_in(s, session);
    return true;
}

bool session_regenerate(struct session_store *s, const struct config *config,
                        struct session_id *id, char key[SESSION_KEY_MAX + 1],
                        int64_t *life)
{
    struct session_id new_id;
    if (!new_key(config, key, &new_id))
        return false;
    atomic_fetch_add(&s->moving, 1);
    atomic_fetch_add(&s->moves, 1);
    struct session *session = take_out(s, id);
    if (session != NULL) {
        session->id = *id = new_id;
        session->used = session->cookie = store_now();
        if (life != NULL)
            *life = session_cookie_life(config, session->used - session->created);
        put_in(s, session);
    }
    atomic_fetch_sub(&s->moving, 1);
    return session != NULL;
}

bool session_delete(struct session_store *s, const struct session_id *id)
{
    struct session *session = take_out(s, id);
    bool found = session != NULL;
    store_discard(s, session);
    return found;
}

/* Max-Age alone: an Expires would be wrong wherever the clock of this machine is. */
static void print_life(const char *key, int64_t life, char text[32])
{
    text[0] = '\0';
    if (key == NULL)
        snprintf(text, 32, "; Max-Age=0");
    else if (life > 0)
        snprintf(text, 32, "; Max-Age=%" PRId64, (life + 999) / 1000);
}

bool session_print_cookie(const struct config *config, bool https, const char *key,
                          int64_t life, struct buffer *out)
{
    static const char *const same_site[] = {[CONFIG_SAME_SITE_NONE] = "None",
                                            [CONFIG_SAME_SITE_LAX] = "Lax",
                                            [CONFIG_SAME_SITE_STRICT] = "Strict",
                                            [CONFIG_SAME_SITE_OMIT] = ""};
    bool secure = config->session_cookie_secure == CONFIG_SECURE_YES ||
                  (config->session_cookie_secure == CONFIG_SECURE_AUTO && https);
    enum config_same_site site = config->session_cookie_same_site;
    if (site == CONFIG_SAME_SITE_NONE && !secure)
        site = CONFIG_SAME_SITE_LAX;
    const char *domain = config->session_cookie_domain;
    char max_age[32];
    print_life(key, life, max_age);
    return buffer_printf(
        out, "%s=%s; Path=/%s%s%s%s%s%s%s", config->session_name, key != NULL ? key : "",
        max_age, domain[0] != '\0' ? "; Domain=" : "", domain,
        config->session_cookie_http_only ? "; HttpOnly" : "", secure ? "; Secure" : "",
        site == CONFIG_SAME_SITE_OMIT ? "" : "; SameSite=", same_site[site]);
}

/* -- A session's data -- */

/* Locks the session's shard, which the caller unlocks whatever is returned. The session
 * is touched; NULL: it is gone. */
static struct session *lock_session(struct session_store *s, const struct session_id *id,
                                    struct shard **shard)
{
    int64_t now = store_now();
    *shard = store_shard(s, id);
    pthread_mutex_lock(&(*shard)->lock);
    struct session *session = shard_find_locked(*shard, id);
    if (session != NULL)
        shard_touch_locked(*shard, session, now);
    return session;
}

static void log_refusal(const struct session_id *id, enum realm_result why,
                        const struct config *config)
{
    char tag[SESSION_TAG_SIZE];
    session_tag(id, tag);
    if (why == REALM_FULL)
        log_warning("session %s: a value is refused: more than SessionMaxSize (%" PRId64
                    " bytes) in all",
                    tag, config->session_max_size);
    else if (why == REALM_NO_MEMORY)
        log_error("session %s: a value is refused: out of memory", tag);
}

static bool unset(struct session_store *s, const struct session_id *id,
                  struct bytes realm, struct bytes name)
{
    struct shard *shard;
    struct session *session = lock_session(s, id, &shard);
    if (session != NULL) {
        realms_unset(&session->data, realm, name);
        shard->changed = true;
    }
    pthread_mutex_unlock(&shard->lock);
    return session != NULL;
}

bool session_set(struct session_store *s, const struct config *config,
                 const struct session_id *id, struct bytes realm, struct bytes name,
                 struct bytes value)
{
    if (value.data == NULL)
        return unset(s, id, realm, name);
    enum realm_result result = REALM_NO_MEMORY;
    struct variable *v = NULL;
    if (config->session_max_size > 0 &&
        value.len > (uint64_t)config->session_max_size) /* not even copied */
        result = REALM_FULL;
    else
        v = realm_variable_create(name, value);
    if (v != NULL) {
        struct shard *shard;
        struct session *session = lock_session(s, id, &shard);
        result = REALM_ABSENT;
        if (session != NULL)
            result = realms_set(&session->data, realm, v, config->session_max_size);
        shard->changed |= result == REALM_OK;
        /* Other owners are realms of the session: so still under their lock. */
        realm_variable_drop(v);
        pthread_mutex_unlock(&shard->lock);
    }
    if (result != REALM_OK)
        log_refusal(id, result, config);
    return result == REALM_OK;
}

size_t session_copy(struct session_store *s, const struct session_id *id,
                    struct bytes realm, struct bytes name, void *data, size_t room)
{
    struct shard *shard;
    struct session *session = lock_session(s, id, &shard);
    const struct variable *v = NULL;
    size_t len = SIZE_MAX;
    if (session != NULL)
        v = realms_get(&session->data, realm, name);
    if (v != NULL) {
        len = v->value_len;
        if (len > 0 && len <= room)
            memcpy(data, realm_variable_value(v).data, len);
    }
    pthread_mutex_unlock(&shard->lock);
    return len;
}

bool session_get(struct session_store *s, const struct session_id *id, struct bytes realm,
                 struct bytes name, struct buffer *value)
{
    /* No memory is asked for under the lock; so what does not fit is looked for again. */
    for (;;) {
        size_t room = value->cap - value->len;
        char *end = room > 0 ? value->data + value->len : NULL;
        size_t len = session_copy(s, id, realm, name, end, room);
        if (len <= room) {
            value->len += len;
            return true;
        }
        if (len == SIZE_MAX || !buffer_reserve(value, len))
            return false;
    }
}

bool session_has_realm(struct session_store *s, const struct session_id *id,
                       struct bytes realm)
{
    struct shard *shard;
    struct session *session = lock_session(s, id, &shard);
    bool has = session != NULL && realms_has(&session->data, realm);
    pthread_mutex_unlock(&shard->lock);
    return has;
}

bool session_clear(struct session_store *s, const struct session_id *id,
                   struct bytes realm)
{
    struct realms removed = {0};
    struct shard *shard;
    struct session *session = lock_session(s, id, &shard);
    bool ok = session != NULL && realms_remove(&session->data, realm, &removed);
    shard->changed |= ok;
    pthread_mutex_unlock(&shard->lock);
    realms_free(&removed);
    return ok;
}
