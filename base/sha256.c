/* SHA-256 as FIPS 180-4 describes it; the names of functions and constants are its own.
 * Called by workers (a block per request that has a session) and by whoever reads or
 * writes SessionFile. Owns nothing, takes no lock. */
#include "base/sha256.h"

#include <string.h>

/* Section 4.2.2. */
static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
    0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
    0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
    0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
    0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
    0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
    0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
    0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
    0xc67178f2};

static uint32_t rotr(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}

static uint32_t load32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void store32(unsigned char *p, uint32_t x)
{
    p[0] = (unsigned char)(x >> 24);
    p[1] = (unsigned char)(x >> 16);
    p[2] = (unsigned char)(x >> 8);
    p[3] = (unsigned char)x;
}

/* The message schedule (section 6.2.2, step 1). */
static void schedule(uint32_t w[64], const unsigned char block[64])
{
    for (unsigned t = 0; t < 16; t++)
        w[t] = load32(block + 4 * t);
    for (unsigned t = 16; t < 64; t++) {
        uint32_t w2 = w[t - 2], w15 = w[t - 15];
        uint32_t sigma1 = rotr(w2, 17) ^ rotr(w2, 19) ^ w2 >> 10;
        uint32_t sigma0 = rotr(w15, 7) ^ rotr(w15, 18) ^ w15 >> 3;
        w[t] = sigma1 + w[t - 7] + sigma0 + w[t - 16];
    }
}

/* One turn of step 3, for K[t] + W[t]. Of its last eight assignments only the two that
 * compute something are done, to `d` and `h`. The other six only rename words, which the
 * caller does by passing them in another order. Ch and Maj have one operation less than
 * in section 4.1.2. */
static inline void turn(uint32_t a, uint32_t b, uint32_t c, uint32_t *d, uint32_t e,
                        uint32_t f, uint32_t g, uint32_t *h, uint32_t kw)
{
    uint32_t sum1 = rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25);
    uint32_t sum0 = rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22);
    uint32_t ch = g ^ (e & (f ^ g));
    uint32_t maj = (a & b) | (c & (a | b));
    uint32_t t1 = *h + sum1 + ch + kw;
    *d += t1;
    *h = t1 + sum0 + maj;
}

/* Section 6.2.2, steps 2 to 4. */
static void compress(uint32_t state[8], const unsigned char block[64])
{
    uint32_t w[64];
    schedule(w, block);
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (unsigned t = 0; t < 64; t += 8) {
        turn(a, b, c, &d, e, f, g, &h, K[t] + w[t]);
        turn(h, a, b, &c, d, e, f, &g, K[t + 1] + w[t + 1]);
        turn(g, h, a, &b, c, d, e, &f, K[t + 2] + w[t + 2]);
        turn(f, g, h, &a, b, c, d, &e, K[t + 3] + w[t + 3]);
        turn(e, f, g, &h, a, b, c, &d, K[t + 4] + w[t + 4]);
        turn(d, e, f, &g, h, a, b, &c, K[t + 5] + w[t + 5]);
        turn(c, d, e, &f, g, h, a, &b, K[t + 6] + w[t + 6]);
        turn(b, c, d, &e, f, g, h, &a, K[t + 7] + w[t + 7]);
    }
    const uint32_t sums[8] = {a, b, c, d, e, f, g, h};
    for (unsigned i = 0; i < 8; i++)
        state[i] += sums[i];
}

void sha256_init(struct sha256 *h)
{
    static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(h->state, initial, sizeof initial);
    h->len = 0;
}

void sha256_update(struct sha256 *h, const void *data, size_t len)
{
    const unsigned char *p = data;
    size_t used = h->len % 64;
    h->len += len;
    if (used > 0 && len >= 64 - used) {
        memcpy(h->block + used, p, 64 - used);
        compress(h->state, h->block);
        p += 64 - used;
        len -= 64 - used;
        used = 0;
    }
    if (used == 0)
        for (; len >= 64; p += 64, len -= 64)
            compress(h->state, p);
    if (len > 0)
        memcpy(h->block + used, p, len);
}

void sha256_final(struct sha256 *h, unsigned char hash[SHA256_SIZE])
{
    uint64_t bits = h->len * 8;
    size_t used = h->len % 64;
    h->block[used++] = 0x80;
    if (used > 56) {
        memset(h->block + used, 0, 64 - used);
        compress(h->state, h->block);
        used = 0;
    }
    memset(h->block + used, 0, 56 - used);
    store32(h->block + 56, (uint32_t)(bits >> 32));
    store32(h->block + 60, (uint32_t)bits);
    compress(h->state, h->block);
    for (unsigned i = 0; i < 8; i++)
        store32(hash + 4 * i, h->state[i]);
}

void sha256(const void *data, size_t len, unsigned char hash[SHA256_SIZE])
{
    struct sha256 h;
    sha256_init(&h);
    sha256_update(&h, data, len);
    sha256_final(&h, hash);
}

void sha256_hmac_init(struct hmac *h, const void *key, size_t len)
{
    unsigned char block[64] = {0}, pad[64];
    if (len > sizeof block)
        sha256(key, len, block);
    else if (len > 0)
        memcpy(block, key, len);
    for (size_t i = 0; i < sizeof pad; i++)
        pad[i] = block[i] ^ 0x36;
    sha256_init(&h->inner);
    sha256_update(&h->inner, pad, sizeof pad);
    for (size_t i = 0; i < sizeof pad; i++)
        pad[i] = block[i] ^ 0x5c;
    sha256_init(&h->outer);
    sha256_update(&h->outer, pad, sizeof pad);
}

void sha256_hmac_update(struct hmac *h, const void *data, size_t len)
{
    sha256_update(&h->inner, data, len);
}

void sha256_hmac_final(struct hmac *h, unsigned char hash[SHA256_SIZE])
{
    unsigned char inner[SHA256_SIZE];
    sha256_final(&h->inner, inner);
    sha256_update(&h->outer, inner, sizeof inner);
    sha256_final(&h->outer, hash);
}
