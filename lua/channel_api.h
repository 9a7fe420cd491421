/* Publish and Subscribe, con's methods of these names, and subscriptions. */
#ifndef LUAFCGID2_LUA_CHANNEL_API_H
#define LUAFCGID2_LUA_CHANNEL_API_H

#include "lua/facility.h"

#include <stdint.h>

/* Publish, with arguments from `first` on, as a lua_CFunction in a state of any kind.
 * `max` is SubscriptionMaxSize. */
int channel_api_publish(lua_State *L, int first, int64_t max);

extern const struct facility channel_api;

#endif
