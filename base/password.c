/* Hashes of passwords by crypt_r(3). Any thread; no state. Where there is no crypt_r,
 * `lock` guards the one result of crypt(3). */
#include "base/password.h"

#include "base/ascii.h"
#include "base/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if __has_include(<crypt.h>)
#include <crypt.h>
#else
#include <pthread.h>
#endif

#define SHA512_ROUNDS 300000 /* where there is no yescrypt: some 0.1 s on a PC */
#define ROUNDS_MAX    2000000
#define BCRYPT_MAX    14

/* -- New ones -- */

static bool print_sha512(char setting[PASSWORD_HASH_SIZE])
{
    static const char digits[] =
        "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    unsigned char salt[16];
    if (!random_bytes(salt, sizeof salt))
        return false;
    int n = snprintf(setting, PASSWORD_HASH_SIZE, "$6$rounds=%d$", SHA512_ROUNDS);
    for (size_t i = 0; i < sizeof salt; i++)
        setting[n++] = digits[salt[i] & 63];
    strcpy(setting + n, "$");
    return true;
}

bool password_setting(char setting[PASSWORD_HASH_SIZE])
{
#ifdef CRYPT_GENSALT_OUTPUT_SIZE
    if (crypt_gensalt_rn("$y$", 0, NULL, 0, setting, PASSWORD_HASH_SIZE) != NULL)
        return true;
#endif
    return print_sha512(setting);
}

/* -- Those that scripts have -- */

static bool begins(const char *s, const char *what)
{
    return strncmp(s, what, strlen(what)) == 0;
}

/* Whether the digits at `s` are at most `max`, with `end` behind them. */
static bool is_at_most(const char *s, long max, char end)
{
    long n = 0;
    const char *p = s;
    for (; ascii_is_digit(*p) && n <= max; p++)
        n = n * 10 + (*p - '0');
    return p > s && n <= max && *p == end;
}

/* Whether the two parameters of yescrypt, in its own digits, make no more than 2^16
 * blocks of 4 KiB; more parameters than these two nobody uses. */
static bool is_cheap_yescrypt(const char *s)
{
    static const char digits[] = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    if (s[0] != 'j' || s[1] == '\0' || s[2] == '\0' || s[3] != '$')
        return false;
    const char *blocks = strchr(digits, s[1]), *size = strchr(digits, s[2]);
    return blocks != NULL && blocks - digits <= 15 && size != NULL && size - digits <= 31;
}

bool password_is_known(const char *s, size_t len)
{
    if (len >= PASSWORD_HASH_SIZE || memchr(s, '\0', len) != NULL)
        return false;
    if (begins(s, "$6$rounds=") || begins(s, "$5$rounds="))
        return is_at_most(s + 10, ROUNDS_MAX, '$');
    if (begins(s, "$6$") || begins(s, "$5$") || begins(s, "$1$"))
        return true;
    if (begins(s, "$2a$") || begins(s, "$2b$") || begins(s, "$2x$") || begins(s, "$2y$"))
        return is_at_most(s + 4, BCRYPT_MAX, '$');
    return (begins(s, "$y$") && is_cheap_yescrypt(s + 3)) ||
           (begins(s, "$gy$") && is_cheap_yescrypt(s + 4));
}

#if __has_include(<crypt.h>) || !defined(__linux__)
/* A failure is a NULL or a text that begins with '*'. */
static bool take_result(const char *result, char hash[PASSWORD_HASH_SIZE])
{
    bool ok = result != NULL && result[0] != '*' && strlen(result) < PASSWORD_HASH_SIZE;
    if (ok)
        strcpy(hash, result);
    return ok;
}
#endif

#if __has_include(<crypt.h>)
/* The memory is erased, since it has the password. */
bool password_hash(const char *password, const char *setting,
                   char hash[PASSWORD_HASH_SIZE])
{
    struct crypt_data *data = calloc(1, sizeof *data);
    if (data == NULL)
        return false;
    bool ok = take_result(crypt_r(password, setting, data), hash);
    explicit_bzero(data, sizeof *data);
    free(data);
    return ok;
}
#elif defined(__linux__)
/* Debian's musl has no crypt(3). */
bool password_hash(const char *password, const char *setting,
                   char hash[PASSWORD_HASH_SIZE])
{
    (void)password;
    (void)setting;
    (void)hash;
    return false;
}
#else
bool password_hash(const char *password, const char *setting,
                   char hash[PASSWORD_HASH_SIZE])
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    bool ok = take_result(crypt(password, setting), hash);
    pthread_mutex_unlock(&lock);
    return ok;
}
#endif

bool password_equal(const char *a, const char *b)
{
    size_t len = strlen(a);
    volatile unsigned char different = 0;
    if (len != strlen(b))
        return false;
    for (size_t i = 0; i < len; i++)
        different = (unsigned char)(different | (a[i] ^ b[i]));
    return different == 0;
}
