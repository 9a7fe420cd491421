/* The shapes of option texts. Runs on the thread that loads a configuration; owns
 * nothing, no locks. */
#include "config/text.h"

#include "base/account.h"
#include "base/ascii.h"
#include "base/log.h"
#include "base/number.h"
#include "http/status.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

/* Bytes of 0x80 and more are let through: a value may be UTF-8. */
static bool is_printable(char c)
{
    unsigned char u = (unsigned char)c;
    return u >= 0x20 && u != 0x7f;
}

static bool is_port(const char *text)
{
    return number_decimal(text, 65535) > 0;
}

bool text_filled(const char *text)
{
    return text[0] != '\0';
}

static bool is_v6_listen(const char *text)
{
    char address[INET6_ADDRSTRLEN + 1];
    const char *end = strchr(text, ']');
    if (end == NULL || end[1] != ':' || (size_t)(end - text) > sizeof address)
        return false;
    size_t len = (size_t)(end - text) - 1;
    memcpy(address, text + 1, len);
    address[len] = '\0';
    struct in6_addr parsed;
    return inet_pton(AF_INET6, address, &parsed) == 1 && is_port(end + 2);
}

/* `colon` is the last colon in `text`. A host with further colons needs brackets. */
static bool is_host_listen(const char *text, const char *colon)
{
    if (!is_port(colon + 1))
        return false;
    size_t len = (size_t)(colon - text);
    if (len == 0 || (len == 1 && text[0] == '*'))
        return true;
    for (const char *c = text; c < colon; c++)
        if (!ascii_is_alnum(*c) && *c != '.' && *c != '-')
            return false;
    return true;
}

/* Digits alone are refused: "9000" is meant as ":9000", not as a socket file. */
static bool is_path_listen(const char *text)
{
    struct sockaddr_un address;
    return text[0] != '\0' && strlen(text) < sizeof address.sun_path &&
           !number_is_decimal(text);
}

bool text_listen(const char *text)
{
    if (strncmp(text, "fd:", 3) == 0)
        return number_decimal(text + 3, 65535) >= 0;
    if (strncmp(text, "unix:", 5) == 0)
        return false; /* web servers write it so; it is not the name of a directory */
    if (strstr(text, "://") != NULL)
        return false; /* nor is tcp://127.0.0.1:9000 a file in a directory */
    if (text[0] == '[')
        return is_v6_listen(text);
    const char *colon = strrchr(text, ':');
    if (colon == NULL || strchr(text, '/') != NULL)
        return is_path_listen(text);
    return is_host_listen(text, colon);
}

bool text_listen_or_none(const char *text)
{
    return text[0] == '\0' || text_listen(text);
}

bool text_request_path(const char *text)
{
    for (const char *c = text; *c != '\0'; c++)
        if (*c <= ' ' || *c > '~' || *c == '?' || *c == '#')
            return false;
    return text[0] == '\0' || text[0] == '/';
}

bool text_listen_is_public(const char *text)
{
    if (strncmp(text, "fd:", 3) == 0 || strchr(text, '/') != NULL ||
        strchr(text, ':') == NULL || text[0] == ':')
        return false;
    return strncmp(text, "127.", 4) != 0 && strncmp(text, "localhost:", 10) != 0 &&
           strncmp(text, "[::1]:", 6) != 0;
}

bool text_status(const char *text)
{
    if (text[0] < '2' || text[0] > '5' || !ascii_is_digit(text[1]) ||
        !ascii_is_digit(text[2]) || text[3] != ' ' || text[4] == '\0' || text[4] == ' ')
        return false;
    for (const char *c = text + 4; *c != '\0'; c++)
        if (!is_printable(*c))
            return false;
    return true;
}

bool text_status_mend(const char *given, char *text, size_t size)
{
    int code = (int)number_decimal(given, 599);
    const char *reason = status_reason(code);
    if (code < 200 || reason == NULL)
        return false;
    snprintf(text, size, "%d %s", code, reason);
    return true;
}

bool text_content_type(const char *text)
{
    const char *c = text;
    while (ascii_is_token(*c))
        c++;
    if (c == text || *c != '/' || !ascii_is_token(c[1]))
        return false;
    for (; *c != '\0'; c++)
        if (!is_printable(*c))
            return false;
    return true;
}

/* Returns the length of the line at `text` without its end; `next` becomes the start of
 * the next line. */
static size_t header_line(const char *text, const char **next)
{
    size_t len = strcspn(text, "\n");
    *next = text + len + (text[len] == '\n');
    return len > 0 && text[len] == '\n' && text[len - 1] == '\r' ? len - 1 : len;
}

/* For a default header "Status": with this one no request could be begun. */
static bool is_status_value(const char *text, size_t len)
{
    while (len > 0 && (*text == ' ' || *text == '\t')) {
        text++;
        len--;
    }
    return len >= 3 && len < 128 && text[0] >= '2' && text[0] <= '5' &&
           ascii_is_digit(text[1]) && ascii_is_digit(text[2]) &&
           (len == 3 || text[3] == ' ');
}

static bool is_header(const char *line, size_t len)
{
    size_t name = 0;
    while (name < len && ascii_is_token(line[name]))
        name++;
    if (name == 0 || name == len || line[name] != ':')
        return false;
    for (size_t i = name + 1; i < len; i++)
        if (!is_printable(line[i]) && line[i] != '\t')
            return false;
    return name != 6 || strncasecmp(line, "Status", 6) != 0 ||
           is_status_value(line + name + 1, len - name - 1);
}

bool text_headers(const char *text)
{
    while (*text != '\0') {
        const char *next;
        size_t len = header_line(text, &next);
        if (len > 0 && !is_header(text, len))
            return false;
        text = next;
    }
    return true;
}

char *text_headers_normal(const char *text)
{
    char *normal = malloc(2 * strlen(text) + 3), *at = normal;
    while (normal != NULL && *text != '\0') {
        const char *next;
        size_t len = header_line(text, &next);
        if (len > 0) {
            memcpy(at, text, len);
            memcpy(at + len, "\r\n", 2);
            at += len + 2;
        }
        text = next;
    }
    if (normal != NULL)
        *at = '\0';
    return normal;
}

bool text_token(const char *text)
{
    const char *c = text;
    while (ascii_is_token(*c))
        c++;
    return c != text && *c == '\0';
}

bool text_log(const char *text)
{
    bool known;
    return !log_is_syslog(text, &known) || known;
}

bool text_log_file(const char *text)
{
    bool known;
    return !log_is_syslog(text, &known);
}

static bool is_pair(const char *pair, size_t len)
{
    const char *equals = memchr(pair, '=', len);
    return len > 0 && pair[0] == '/' && equals != NULL && equals + 1 < pair + len &&
           equals[1] == '/';
}

bool text_send_file(const char *text)
{
    size_t name = 0;
    while (ascii_is_token(text[name]))
        name++;
    if (text[name] == '\0')
        return strcasecmp(text, "X-Accel-Redirect") != 0;
    if (name == 0 || text[name] != ':')
        return false;
    const char *pair = text + name + 1;
    for (;;) {
        pair += strspn(pair, " \t");
        size_t len = strcspn(pair, ",");
        if (!is_pair(pair, len))
            return false;
        if (pair[len] == '\0')
            return true;
        pair += len + 1;
    }
}

bool text_domain(const char *text)
{
    if (text[0] == '\0')
        return true;
    const char *c = text[0] == '.' ? text + 1 : text;
    if (!ascii_is_alnum(*c) || strlen(c) > 253)
        return false;
    for (; *c != '\0'; c++)
        if (!ascii_is_alnum(*c) && *c != '-' &&
            (*c != '.' || c[1] == '.' || c[1] == '\0'))
            return false;
    return true;
}

bool text_user(const char *text)
{
    struct account user;
    return text[0] == '\0' || account_find_user(text, &user);
}

bool text_group(const char *text)
{
    gid_t group;
    return text[0] == '\0' || account_find_group(text, &group);
}

bool text_extension(const char *text)
{
    return text[0] == '.' && text[1] != '\0' && strchr(text, '/') == NULL;
}

bool text_mode(const char *text, unsigned *mode)
{
    size_t len = strspn(text, "01234567");
    if (len < 3 || len > 4 || text[len] != '\0' || (len == 4 && text[0] != '0'))
        return false;
    *mode = (unsigned)strtoul(text, NULL, 8);
    return true;
}

unsigned text_distance(const char *a, const char *b, unsigned most)
{
    enum { NAME_MAX_LENGTH = 63 };
    size_t n = strlen(a), m = strlen(b);
    if (n > NAME_MAX_LENGTH || m > NAME_MAX_LENGTH)
        return most + 1;
    unsigned row[NAME_MAX_LENGTH + 1];
    for (unsigned j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[m] <= most ? row[m] : most + 1;
}

bool text_similar(const char *a, const char *b)
{
    for (;;) {
        a += strspn(a, "_");
        b += strspn(b, "_");
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b))
            return false;
        if (*a == '\0')
            return true;
        a++;
        b++;
    }
}
