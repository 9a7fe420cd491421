/* Log and con:log, and what else writes values as a line. */
#ifndef LUAFCGID2_LUA_LOG_API_H
#define LUAFCGID2_LUA_LOG_API_H

#include "base/log.h"
#include "lua/facility.h"

extern const struct facility log_api;

/* Writes the arguments from `first` on, of any type, as one line, with `separator`
 * between them. Raises Lua errors. */
void log_api_write(lua_State *L, enum log_level level, int first, const char *separator);

#endif
