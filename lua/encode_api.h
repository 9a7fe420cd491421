/* lf.escape, lf.escape_js, lf.base64, lf.base64url, lf.unbase64, lf.hex and lf.unhex. */
#ifndef LUAFCGID2_LUA_ENCODE_API_H
#define LUAFCGID2_LUA_ENCODE_API_H

#include "lua/facility.h"

extern const struct facility encode_api;

#endif
