/* Log and con:log. */
#ifndef LUAFCGID2_LUA_LOG_API_H
#define LUAFCGID2_LUA_LOG_API_H

#include "lua/facility.h"

extern const struct facility log_api;

#endif
