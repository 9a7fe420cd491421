/* The last errors of requests, for the status. */
#ifndef LUAFCGID2_DAEMON_RECENT_H
#define LUAFCGID2_DAEMON_RECENT_H

#include <time.h>

enum {
    RECENT_MOST = 20,
    RECENT_TEXT = 256, /* bytes that are kept of each text, with a NUL */
};

struct recent_error {
    time_t moment;
    int status;
    char script[RECENT_TEXT], uri[RECENT_TEXT];
    char message[RECENT_TEXT]; /* its first line */
};

/* Keeps an error in the place of the oldest. The texts are copied. Any thread. */
void recent_note(int status, const char *script, const char *uri, const char *message);

/* Copies them, the newest first. Returns how many. Any thread. */
int recent_read(struct recent_error errors[RECENT_MOST]);

#endif
