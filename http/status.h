/* HTTP statuses. Constant data; nothing blocks. */
#ifndef LUAFCGID2_HTTP_STATUS_H
#define LUAFCGID2_HTTP_STATUS_H

/* The reason phrase of an HTTP status (IANA's list), or NULL. */
const char *status_reason(int status);

/* Calls visit(code, reason) for every status known. */
void status_visit(void (*visit)(int code, const char *reason, void *arg), void *arg);

#endif
