/* SetCookie. */
#ifndef LUAFCGID2_LUA_COOKIE_API_H
#define LUAFCGID2_LUA_COOKIE_API_H

#include "lua/facility.h"

extern const struct facility cookie_api;

#endif
