/* SipHash-2-4, after the paper "SipHash: a fast short-input PRF": two rounds for each
 * word of eight bytes, four at the end. Workers call it for each request that has a
 * session. Owns nothing, takes no lock. */
#include "base/siphash.h"

#include <string.h>

struct sip {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotl(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

/* Little-endian. Written out it is one instruction, where the machine has one. */
static uint64_t load(const unsigned char p[8])
{
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 |
           (uint64_t)p[3] << 24 | (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 |
           (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}

static void rounds(struct sip *s, int n)
{
    while (n-- > 0) {
        s->v0 += s->v1;
        s->v1 = rotl(s->v1, 13) ^ s->v0;
        s->v0 = rotl(s->v0, 32);
        s->v2 += s->v3;
        s->v3 = rotl(s->v3, 16) ^ s->v2;
        s->v0 += s->v3;
        s->v3 = rotl(s->v3, 21) ^ s->v0;
        s->v2 += s->v1;
        s->v1 = rotl(s->v1, 17) ^ s->v2;
        s->v2 = rotl(s->v2, 32);
    }
}

static void absorb(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    rounds(s, 2);
    s->v0 ^= word;
}

uint64_t siphash(const unsigned char secret[SIPHASH_SECRET_SIZE], const void *data,
                 size_t len)
{
    uint64_t k0 = load(secret), k1 = load(secret + 8);
    struct sip s = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d,
                    k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573};
    const unsigned char *p = data;
    size_t left = len;
    for (; left >= 8; p += 8, left -= 8)
        absorb(&s, load(p));
    unsigned char last[8] = {0};
    if (left > 0)
        memcpy(last, p, left);
    last[7] = (unsigned char)len;
    absorb(&s, load(last));
    s.v2 ^= 0xff;
    rounds(&s, 4);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
