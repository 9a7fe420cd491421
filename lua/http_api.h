/* lf.http_date, lf.parse_http_date and lf.mime. */
#ifndef LUAFCGID2_LUA_HTTP_API_H
#define LUAFCGID2_LUA_HTTP_API_H

#include "lua/facility.h"

extern const struct facility http_api;

#endif
