/* What the text of an option may look like. Pure functions on strings; no state, nothing
 * blocks. Each returns whether `text` is good. */
#ifndef LUAFCGID2_CONFIG_TEXT_H
#define LUAFCGID2_CONFIG_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* At least one byte. */
bool text_filled(const char *text);

/* A unix socket path, "host:port", "[v6]:port", ":port", "*:port" or "fd:N". */
bool text_listen(const char *text);

/* The same, or "". */
bool text_listen_or_none(const char *text);

/* "" or what begins with a slash, printable ASCII without a space, '?' or '#'. */
bool text_request_path(const char *text);

/* Whether `text`, a good Listen, can be reached from other machines. */
bool text_listen_is_public(const char *text);

/* "NNN Reason": 100 to 599, a space, printable text (RFC 9110 section 15, RFC 9112
 * section 4). */
bool text_status(const char *text);

/* "404" becomes "404 Not Found". false: it is no status with a known reason. */
bool text_status_mend(const char *given, char *text, size_t size);

/* A media type with its parameters, printable (RFC 9110 section 8.3.1). */
bool text_content_type(const char *text);

/* Lines "Name: value", each ended by CRLF, LF or the end of the text: the name a token
 * (RFC 9110 section 5.6.2), no control character but the tab in the value. */
bool text_headers(const char *text);

/* The same lines, each ended by CRLF, without empty ones, in memory that the caller must
 * free; NULL: out of memory. */
char *text_headers_normal(const char *text);

/* A cookie's name: a token (RFC 6265 section 4.1.1). */
bool text_token(const char *text);

/* "" or a domain name as in a cookie's Domain (RFC 6265 section 4.1.2.3). */
bool text_domain(const char *text);

/* "" or a user, a group: a name of this system, or a number. */
bool text_user(const char *text);
bool text_group(const char *text);

/* An extension: a dot and something after it that is no slash. */
bool text_extension(const char *text);

/* Where a log may go: what log_open takes. Whether it is a file. */
bool text_log(const char *text);
bool text_log_file(const char *text);

/* "", the name of a header, or one with pairs "DIR=URI" behind a colon, separated by
 * commas; both absolute. X-Accel-Redirect cannot do without them. */
bool text_send_file(const char *text);

/* Octal digits, at most 0777, into `mode`. */
bool text_mode(const char *text, unsigned *mode);

/* Levenshtein distance; `most` + 1 if it is more than `most`, or if a name has more than
 * 63 characters. */
unsigned text_distance(const char *a, const char *b, unsigned most);

/* Equal but for case and underscores. */
bool text_similar(const char *a, const char *b);

#endif
