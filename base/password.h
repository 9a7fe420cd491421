/* Hashes of passwords, as crypt(5) describes them: slow on purpose, a tenth of a second
 * on a PC, and each with a salt of its own. */
#ifndef LUAFCGID2_BASE_PASSWORD_H
#define LUAFCGID2_BASE_PASSWORD_H

#include <stdbool.h>
#include <stddef.h>

#define PASSWORD_SIZE      512 /* of a password, with its NUL */
#define PASSWORD_HASH_SIZE 384 /* of a hash, with its NUL */

/* Writes how a new password is to be hashed: yescrypt where the C library has it, else
 * SHA-512 with many rounds; with a new salt. false: no random bytes. Does not block. */
bool password_setting(char setting[PASSWORD_HASH_SIZE]);

/* Whether a hash or a setting is of a kind that is known, and costs no more than some
 * seconds: $y$, $gy$, $2a$ and its kin, $6$, $5$, $1$. */
bool password_is_known(const char *setting, size_t len);

/* Hashes; `setting` is one, or a hash, and password_is_known. Takes long, and for
 * yescrypt 16 MiB. false: out of memory, or the C library does not know the kind. */
bool password_hash(const char *password, const char *setting,
                   char hash[PASSWORD_HASH_SIZE]);

/* Whether two hashes are equal, in a time that does not tell where they differ. */
bool password_equal(const char *a, const char *b);

#endif
