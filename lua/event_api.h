/* Event and con:event: server-sent events (HTML standard, section 9.2). */
#ifndef LUAFCGID2_LUA_EVENT_API_H
#define LUAFCGID2_LUA_EVENT_API_H

#include "lua/facility.h"

extern const struct facility event_api;

#endif
