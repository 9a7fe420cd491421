/* What the daemon tells of itself: ThreadData, Dir, LUAFCGID, LUAFCGID_VERSION. The table
 * Info is lua/env.c's, as it is made when a script asks for it. */
#ifndef LUAFCGID2_LUA_INFO_API_H
#define LUAFCGID2_LUA_INFO_API_H

#include "lua/facility.h"

extern const struct facility info_api;

#endif
