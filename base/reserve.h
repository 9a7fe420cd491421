/* Descriptors in reserve, for what the daemon itself has to open.
 *
 * Scripts, their C modules and clients may use up what the process is allowed to have
 * (RLIMIT_NOFILE). A script's source can still be read then, the log be rotated, the
 * configuration be read again and sessions be written: a few descriptors are held for
 * that, and given up one for one. All functions may be called from any thread. */
#ifndef LUAFCGID2_BASE_RESERVE_H
#define LUAFCGID2_BASE_RESERVE_H

#include <stdbool.h>
#include <sys/types.h>

/* Takes what is missing, as far as it is to be had: once at the start, then about once a
 * second. Does not block. */
void reserve_fill(void);

/* open(2), if need be with a descriptor of the reserve. */
int reserve_open(const char *path, int flags, mode_t mode);

/* close(2), but for what the reserve misses, which gets it. */
void reserve_close(int fd);

/* Whether the process can open some more files without touching what is left for the
 * daemon: for what scripts open. Errno says why not, EMFILE or ENFILE. */
bool reserve_spares(void);

/* How many descriptors the process may have. */
int reserve_limit(void);

#endif
