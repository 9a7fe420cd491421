/* SendFile. */
#ifndef LUAFCGID2_LUA_SENDFILE_API_H
#define LUAFCGID2_LUA_SENDFILE_API_H

#include "lua/facility.h"

extern const struct facility sendfile_api;

#endif
