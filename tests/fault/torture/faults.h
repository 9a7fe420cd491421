/* Included before every file of the torture build: memory that runs out on demand, and
 * sockets that take one byte at a time.
 *
 * Only the daemon's own calls are redirected, Lua's allocator (lua/limit.c) among them;
 * not those of the C library or libfcgi. */
#ifndef LUAFCGID2_FAULTS_H
#define LUAFCGID2_FAULTS_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* From now on the `n`th allocation fails (1 is the next one), and with `all` every one
 * after it. Any thread. */
void faults_arm(unsigned n, bool all);

/* Nothing fails any more. Whether anything did since faults_arm. */
bool faults_disarm(void);

void *faults_malloc(size_t size);
void *faults_calloc(size_t count, size_t size);
void *faults_realloc(void *block, size_t size);
char *faults_strdup(const char *s);
char *faults_strndup(const char *s, size_t len);
ssize_t faults_sendmsg(int fd, const struct msghdr *message, int flags);

#ifndef FAULTS_NONE /* the torture's own files */
#undef strdup
#undef strndup
#define malloc(size)                faults_malloc(size)
#define calloc(count, size)         faults_calloc(count, size)
#define realloc(block, size)        faults_realloc(block, size)
#define strdup(s)                   faults_strdup(s)
#define strndup(s, len)             faults_strndup(s, len)
#define sendmsg(fd, message, flags) faults_sendmsg(fd, message, flags)
#endif

#endif
