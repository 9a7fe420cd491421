/* Sleep, Wait, TimeLimit and Finish, and con's methods of these names. */
#ifndef LUAFCGID2_LUA_WAIT_API_H
#define LUAFCGID2_LUA_WAIT_API_H

#include "lua/facility.h"

extern const struct facility wait_api;

#endif
