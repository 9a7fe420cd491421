/* lf.csrf and lf.csrf_ok. */
#ifndef LUAFCGID2_LUA_CSRF_API_H
#define LUAFCGID2_LUA_CSRF_API_H

#include "lua/facility.h"

extern const struct facility csrf_api;

#endif
