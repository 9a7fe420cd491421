/* The hooks of a configuration: OnStart, OnHeartbeat and OnStop. For the files of this
 * folder and config.c only. One thread at a time owns the hooks, and only it calls these
 * functions, except where another is allowed. */
#ifndef LUAFCGID2_CONFIG_HOOK_H
#define LUAFCGID2_CONFIG_HOOK_H

#include "base/buffer.h"
#include "config/engine.h"
#include "config/fields.h"

const char *hook_name(enum config_hook hook);

/* Takes over the engine of a load if the file has hooks; else it destroys it, and returns
 * NULL. Without memory there are none, which `out_of_memory` says. Hooks that are called
 * need a library. */
struct config_hooks *hook_take(struct engine *engine, const struct config *config,
                               const struct config_library *library, bool *out_of_memory);

/* As config_hooks_free, config_hooks_open, config_hooks_call and config_hooks_hurry. */
void hook_free(struct config_hooks *h);
bool hook_open(struct config_hooks *h, const struct config *config, struct buffer *error);
bool hook_call(struct config_hooks *h, enum config_hook hook, const char *why,
               int64_t timeout, struct buffer *error);
void hook_hurry(struct config_hooks *h, int64_t time);

#endif
