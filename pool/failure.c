/* Fills in why a checkout failed. Runs in workers, each with an error of its own; no
 * lock. */
#include "pool/failure.h"

#include <stddef.h>
#include <string.h>

void failure_set(struct script_error *error, int status, const char *message)
{
    error->status = status;
    error->message = message == NULL ? NULL : strdup(message);
}

void failure_copy(struct script_error *error, const struct script_error *from)
{
    failure_set(error, from->status, from->message);
    error->file = from->file == NULL ? NULL : strdup(from->file);
    error->line = error->file == NULL ? 0 : from->line;
}

void failure_no_memory(struct script_error *error)
{
    failure_set(error, 500, "out of memory");
}
