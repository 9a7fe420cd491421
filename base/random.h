/* Random bytes that nobody can guess, from the kernel. */
#ifndef LUAFCGID2_BASE_RANDOM_H
#define LUAFCGID2_BASE_RANDOM_H

#include <stdbool.h>
#include <stddef.h>

/* Fills `data` with at most 256 bytes. false with errno. Blocks only before the kernel
 * has gathered its first randomness, at the start of the machine. Any thread. */
bool random_bytes(void *data, size_t len);

#endif
