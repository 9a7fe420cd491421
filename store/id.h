/* By what sessions are found: the store and SessionFile never have a key itself. */
#ifndef LUAFCGID2_STORE_ID_H
#define LUAFCGID2_STORE_ID_H

/* What a worker remembers of the session that its request's cookie names. */
struct session_id {
    unsigned char hash[32]; /* SHA-256 of the key */
};

#endif
