/* Sessions as scripts see them: the tables Session and con.session. */
#ifndef LUAFCGID2_LUA_SESSION_API_H
#define LUAFCGID2_LUA_SESSION_API_H

#include "lua/facility.h"

extern const struct facility session_api;

#endif
