/* Warnings of limits that cost time. Runs in the heartbeat, which owns all of this. */
#include "daemon/warnings.h"

#include "base/alarm.h"
#include "base/clock.h"
#include "base/log.h"
#include "pool.h"

/* What is counted since the start, and told of as it grows. */
struct growth {
    struct alarm alarm;
    uint64_t seen;
};

static struct growth evictions, extras;

static enum alarm_news look(struct growth *g, uint64_t total, unsigned *count)
{
    alarm_note(&g->alarm, (unsigned)(total - g->seen));
    g->seen = total;
    return alarm_ask(&g->alarm, clock_ticks(), count);
}

static void look_at_evictions(uint64_t total, const struct config *config)
{
    unsigned count;
    enum alarm_news news = look(&evictions, total, &count);
    if (news == ALARM_SAY)
        log_warning("Lua states were closed to make room for those of other scripts: %u;"
                    " if memory allows, raise LuaTotalStates (%d)",
                    count, config->lua_total_states);
    else if (news == ALARM_OVER)
        log_warning("no more Lua states are closed to make room; %u were, since the last"
                    " word about it",
                    count);
}

static void look_at_extras(uint64_t total, const struct config *config)
{
    unsigned count;
    enum alarm_news news = look(&extras, total, &count);
    if (news == ALARM_SAY)
        log_warning(
            "Lua states were made for one request only, because all states of the"
            " script were busy: %u; raise LuaMaxStates (%d), or LuaTotalStates (%d)",
            count, config->lua_max_states, config->lua_total_states);
    else if (news == ALARM_OVER)
        log_warning("no more Lua states are made for one request only; %u were, since the"
                    " last word about it",
                    count);
}

void warnings_tick(const struct service *service, const struct config *config)
{
    struct pool_figures pool = pool_read(service->pool);
    look_at_evictions(pool.evictions, config);
    look_at_extras(pool.extras, config);
}
