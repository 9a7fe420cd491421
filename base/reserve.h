/* Descriptors in reserve, for files that the daemon itself opens.
 *
 * Scripts, their C modules and clients may use all descriptors that the process may have
 * (RLIMIT_NOFILE). A few are kept in reserve, so that the daemon can still read a
 * script's source, rotate the log, read the configuration again and save sessions. Any
 * thread may call these functions. */
#ifndef LUAFCGID2_BASE_RESERVE_H
#define LUAFCGID2_BASE_RESERVE_H

#include <stdbool.h>
#include <sys/types.h>

/* Fills the reserve as far as the limit allows: once at the start, then about once a
 * second. Does not block. */
void reserve_fill(void);

/* open(2), which takes a descriptor of the reserve if need be. */
int reserve_open(const char *path, int flags, mode_t mode);

/* close(2), but if the reserve is not full the descriptor goes there. */
void reserve_close(int fd);

/* Whether scripts may open more files: some descriptors are left for the daemon after
 * that. If not, errno is EMFILE or ENFILE. */
bool reserve_spares(void);

/* How many descriptors the process may have. */
int reserve_limit(void);

#endif
