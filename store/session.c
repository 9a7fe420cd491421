/* How a client's key finds its session, and what a script may do with it. Called by
 * workers. Owns nothing and takes no lock: the store behind the operations does. */
#include "store/session.h"

#include "base/ascii.h"
#include "base/log.h"
#include "base/random.h"
#include "base/sha256.h"
#include "base/siphash.h"
#include "store/lease.h"
#include "store/operations.h"

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

/* A text of another shape than a key's is refused before it is hashed. */
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

/* -- A client's session -- */

static uint64_t hash_text(const struct session_store *s, const char *text)
{
    return text == NULL ? siphash(s->secret, "", 0)
                        : siphash(s->secret, text, strlen(text));
}

static struct lease_identity identify(const struct session_store *s,
                                      const struct session_client *c)
{
    return (struct lease_identity){hash_text(s, c->address), hash_text(s, c->user_agent),
                                   hash_text(s, c->language)};
}

static void log_stranger(const struct session_id *id)
{
    char tag[SESSION_TAG_SIZE];
    session_tag(id, tag);
    log_info("session %s: its key came from a client that does not match", tag);
}

bool session_find(struct session_store *s, const struct config *config, const char *key,
                  const struct session_client *client, struct session_id *id,
                  int64_t *renew)
{
    if (!is_key(config, key))
        return false;
    hash_key(config, key, id);
    struct lease_identity identity = identify(s, client);
    enum lease_verdict verdict = s->operations->find(s, config, id, &identity, renew);
    if (verdict == LEASE_STRANGER)
        log_stranger(id);
    return verdict == LEASE_GOOD;
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

bool session_create(struct session_store *s, const struct config *config,
                    const struct session_client *client, char key[SESSION_KEY_MAX + 1],
                    struct session_id *id)
{
    struct lease_identity identity = identify(s, client);
    if (!new_key(config, key, id))
        return false;
    if (s->operations->create(s, config, id, &identity))
        return true;
    log_error("session: out of memory");
    return false;
}

bool session_regenerate(struct session_store *s, const struct config *config,
                        struct session_id *id, char key[SESSION_KEY_MAX + 1],
                        int64_t *life)
{
    struct session_id new_id;
    int64_t age;
    if (!new_key(config, key, &new_id) || !s->operations->rename(s, id, &new_id, &age))
        return false;
    *id = new_id;
    if (life != NULL)
        *life = lease_cookie_life(config, age);
    return true;
}

bool session_delete(struct session_store *s, const struct session_id *id)
{
    return s->operations->delete (s, id);
}

int64_t session_cookie_life(const struct config *config, int64_t age)
{
    return lease_cookie_life(config, age);
}

/* Only Max-Age: Expires would be wrong where this machine's clock is wrong. */
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

bool session_set(struct session_store *s, const struct config *config,
                 const struct session_id *id, struct bytes realm, struct bytes name,
                 struct bytes value)
{
    if (value.data == NULL)
        return s->operations->unset(s, id, realm, name);
    enum realm_result result = REALM_FULL;
    /* A value that is too large by itself is not even copied. */
    if (config->session_max_size <= 0 || value.len <= (uint64_t)config->session_max_size)
        result = s->operations->set(s, config, id, realm, name, value);
    if (result != REALM_OK)
        log_refusal(id, result, config);
    return result == REALM_OK;
}

size_t session_copy(struct session_store *s, const struct session_id *id,
                    struct bytes realm, struct bytes name, void *data, size_t room)
{
    return s->operations->copy(s, id, realm, name, data, room);
}

bool session_get(struct session_store *s, const struct session_id *id, struct bytes realm,
                 struct bytes name, struct buffer *value)
{
    /* The store asks for no memory under a lock; so what does not fit is looked for again
     * with more room. */
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
    return s->operations->has_realm(s, id, realm);
}

bool session_clear(struct session_store *s, const struct session_id *id,
                   struct bytes realm)
{
    return s->operations->clear(s, id, realm);
}
