/* What the hooks of a configuration can call: Log, print, Publish and Shared, as scripts
 * have them; and the functions of the standard library that take long in C, replaced by
 * those that limits reach. Their state is no script's (config.h). */
#ifndef LUAFCGID2_LUA_HOOK_API_H
#define LUAFCGID2_LUA_HOOK_API_H

#include "config.h"

extern const struct config_library hook_api;

#endif
