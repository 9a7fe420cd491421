/* What sessions are found by. The store and SessionFile never have the key itself. */
#ifndef LUAFCGID2_STORE_ID_H
#define LUAFCGID2_STORE_ID_H

/* The session that a request's cookie names. */
struct session_id {
    unsigned char hash[32]; /* SHA-256 of the key */
};

#endif
