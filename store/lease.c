/* The rules by which a session lives and a client is admitted to it. Workers, the
 * heartbeat and main call this for leases that they own or have locked. No state. */
#include "store/lease.h"

#include "store/moment.h"

#include <stddef.h>

/* What browsers cut a longer life down to: 400 days. */
#define COOKIE_LIFE_MAX (INT64_C(400) * 86400 * 1000)

/* A cookie is sent again when the last one is a minute old, or a sixteenth of its life if
 * that is less. So no visitor loses a session more than that early, a response that is
 * lost on its way does no harm, and few responses carry one. */
#define COOKIE_RENEWAL       60000
#define COOKIE_RENEWAL_SHARE 16

struct lease lease_begin(const struct lease_identity *identity)
{
    int64_t now = moment_now();
    return (struct lease){now, now, now, *identity};
}

bool lease_is_expired(const struct lease *l, const struct config *config, int64_t now)
{
    return (config->session_time > 0 && now - l->used >= config->session_time) ||
           (config->session_max_age > 0 && now - l->created >= config->session_max_age);
}

int64_t lease_cookie_life(const struct config *config, int64_t age)
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

static int64_t renew_cookie(struct lease *l, const struct config *config, int64_t now)
{
    int64_t life = lease_cookie_life(config, now - l->created);
    int64_t due = life / COOKIE_RENEWAL_SHARE;
    if (due > COOKIE_RENEWAL)
        due = COOKIE_RENEWAL;
    if (life == 0 || now - l->cookie < due)
        return 0;
    l->cookie = now;
    return life;
}

static int64_t score(const struct config *config, const struct lease_identity *a,
                     const struct lease_identity *b)
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

static bool matches(const struct config *config, const struct lease_identity *a,
                    const struct lease_identity *b)
{
    return config->session_target_score <= 0 ||
           score(config, a, b) >= config->session_target_score;
}

enum lease_verdict lease_admit(struct lease *l, const struct config *config,
                               const struct lease_identity *identity, int64_t now,
                               int64_t *renew)
{
    if (lease_is_expired(l, config, now))
        return LEASE_EXPIRED;
    if (!matches(config, &l->identity, identity))
        return LEASE_STRANGER;
    l->identity = *identity;
    if (renew != NULL)
        *renew = renew_cookie(l, config, now);
    return LEASE_GOOD;
}
