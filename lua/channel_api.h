/* Publish and Subscribe, con's methods of these names, and subscriptions. */
#ifndef LUAFCGID2_LUA_CHANNEL_API_H
#define LUAFCGID2_LUA_CHANNEL_API_H

#include "lua/facility.h"

extern const struct facility channel_api;

#endif
