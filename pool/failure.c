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

void failure_no_memory(struct script_error *error)
{
    failure_set(error, 500, "out of memory");
}
