/* The store of sessions. This file chooses where sessions are kept and passes calls on;
 * main, the heartbeat and the saver call it. It owns nothing. */
#include "store/store.h"

#include "store/local.h"
#include "store/operations.h"

struct session_store *store_create(const struct config *config)
{
    return local_create(config);
}

void store_destroy(struct session_store *s)
{
    if (s != NULL)
        s->operations->destroy(s);
}

void store_tick(struct session_store *s, const struct config *config)
{
    s->operations->tick(s, config);
}

bool store_save(struct session_store *s, const struct config *config)
{
    return s->operations->save(s, config);
}

bool store_autosave(struct session_store *s, const struct config *config)
{
    return s->operations->autosave(s, config);
}

size_t store_count(const struct session_store *s)
{
    return s->operations->count(s);
}

uint64_t store_evictions(const struct session_store *s)
{
    return s->operations->evictions(s);
}
