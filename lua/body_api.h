/* Receive and con:gets: the body that the client sent. */
#ifndef LUAFCGID2_LUA_BODY_API_H
#define LUAFCGID2_LUA_BODY_API_H

#include "lua/facility.h"

extern const struct facility body_api;

#endif
