/* lf.serialize. */
#ifndef LUAFCGID2_LUA_SERIALIZE_API_H
#define LUAFCGID2_LUA_SERIALIZE_API_H

#include "lua/facility.h"

extern const struct facility serialize_api;

#endif
