/* Shared: values and locks that all scripts of the daemon share. */
#ifndef LUAFCGID2_LUA_SHARED_API_H
#define LUAFCGID2_LUA_SHARED_API_H

#include "lua/facility.h"

extern const struct facility shared_api;

#endif
