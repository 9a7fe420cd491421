/* SipHash-2-4 (Aumasson and Bernstein, 2012): a fast 64-bit hash of any bytes. Without
 * the secret of 16 bytes nobody can find two inputs with the same hash. */
#ifndef LUAFCGID2_BASE_SIPHASH_H
#define LUAFCGID2_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

#define SIPHASH_SECRET_SIZE 16

uint64_t siphash(const unsigned char secret[SIPHASH_SECRET_SIZE], const void *data,
                 size_t len);

#endif
