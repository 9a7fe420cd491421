/* Sessions in the memory of this process, with SessionFile; shared by all workers. The
 * functions of store/operations.h take microseconds, except that saving and loading block
 * on the disk. */
#ifndef LUAFCGID2_STORE_LOCAL_H
#define LUAFCGID2_STORE_LOCAL_H

#include "config.h"
#include "store/operations.h"

/* As store_create. */
struct session_store *local_create(const struct config *config);

#endif
