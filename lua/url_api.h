/* lf.urlencode, lf.urldecode, lf.parse_pair, lf.parse and con:parse. */
#ifndef LUAFCGID2_LUA_URL_API_H
#define LUAFCGID2_LUA_URL_API_H

#include "lua/facility.h"

extern const struct facility url_api;

#endif
