/* lf.render and lf.watch. */
#ifndef LUAFCGID2_LUA_TEMPLATE_API_H
#define LUAFCGID2_LUA_TEMPLATE_API_H

#include "lua/facility.h"

extern const struct facility template_api;

#endif
