/* SHA-256 (FIPS 180-4) and HMAC (RFC 2104) with it: for the keys of sessions, which are
 * kept as hashes only, for the integrity of SessionFile, and for scripts. No locks;
 * nothing fails. */
#ifndef LUAFCGID2_BASE_SHA256_H
#define LUAFCGID2_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE 32

struct sha256 {
    uint32_t state[8];
    uint64_t len; /* bytes so far */
    unsigned char block[64];
};

void sha256_init(struct sha256 *h);
void sha256_update(struct sha256 *h, const void *data, size_t len);

/* Writes the hash; `h` needs another sha256_init before it is used again. */
void sha256_final(struct sha256 *h, unsigned char hash[SHA256_SIZE]);

/* All three in one call. */
void sha256(const void *data, size_t len, unsigned char hash[SHA256_SIZE]);

struct hmac {
    struct sha256 inner, outer;
};

/* As their namesakes, with a key of any length. */
void sha256_hmac_init(struct hmac *h, const void *key, size_t len);
void sha256_hmac_update(struct hmac *h, const void *data, size_t len);
void sha256_hmac_final(struct hmac *h, unsigned char hash[SHA256_SIZE]);

#endif
