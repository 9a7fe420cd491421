/* lf.json, lf.json_encode and lf.null: JSON, through a library that is installed. */
#ifndef LUAFCGID2_LUA_JSON_API_H
#define LUAFCGID2_LUA_JSON_API_H

#include "lua/facility.h"

extern const struct facility json_api;

#endif
