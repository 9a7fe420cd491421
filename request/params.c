/* The parameters of a request: parsed from FastCGI's pairs, and repaired where web
 * servers differ. Runs in the thread that works on the request; no lock. */
#include "request/params.h"

#include "base/ascii.h"
#include "fastcgi/record.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* -- Those that the daemon looks at -- */

/* Each with its second character and its last but two, */
#define EACH_NAME(X)                                                                     \
    X(HTTPS, 'T', 'T')                                                                   \
    X(HTTP_PROXY, 'T', 'O')                                                              \
    X(REQUEST_ID, 'E', '_')                                                              \
    X(SCRIPT_NAME, 'C', 'A')                                                             \
    X(REQUEST_URI, 'E', 'U')                                                             \
    X(SERVER_NAME, 'E', 'A')                                                             \
    X(REMOTE_USER, 'E', 'S')                                                             \
    X(HTTP_COOKIE, 'T', 'K')                                                             \
    X(REMOTE_ADDR, 'E', 'D')                                                             \
    X(HTTP_REFERER, 'T', 'R')                                                            \
    X(DOCUMENT_ROOT, 'O', 'O')                                                           \
    X(REQUEST_METHOD, 'E', 'H')                                                          \
    X(CONTENT_LENGTH, 'O', 'G')                                                          \
    X(REQUEST_SCHEME, 'E', 'E')                                                          \
    X(SCRIPT_FILENAME, 'C', 'A')                                                         \
    X(HTTP_USER_AGENT, 'T', 'E')                                                         \
    X(SERVER_PROTOCOL, 'E', 'C')                                                         \
    X(HTTP_ACCEPT_LANGUAGE, 'T', 'A')

/* which, with its length, tell it from all others of these. */
#define PLACE(len, second, last_but_two)                                                 \
    (((len) + 5 * (second) + 2 * (last_but_two)) % 64)

static const struct known {
    const char *name;
    size_t len;
} known[PARAM_NAMES] = {
#define KNOWN(name, second, last_but_two) [PARAM_##name] = {#name, sizeof #name - 1},
    EACH_NAME(KNOWN)
#undef KNOWN
};

static const unsigned char places[64] = {
#define AT_ITS_PLACE(name, second, last_but_two)                                         \
    [PLACE(sizeof #name - 1, second, last_but_two)] = PARAM_##name,
    EACH_NAME(AT_ITS_PLACE)
#undef AT_ITS_PLACE
};

static void note_known(struct params *ps, const struct param *p)
{
    size_t len = p->name_len;
    const unsigned char *name = (const unsigned char *)p->name;
    if (len < 3)
        return;
    size_t i = places[PLACE(len, name[1], name[len - 3])];
    if (known[i].len == len && memcmp(known[i].name, name, len) == 0) {
        ps->values[i] = p->value;
        ps->lens[i] = p->value_len;
    }
}

/* -- The list -- */

static bool grow(struct params *ps)
{
    size_t cap = ps->cap == 0 ? 64 : ps->cap * 2;
    struct param *list = realloc(ps->list, cap * sizeof *list);
    if (list == NULL)
        return false;
    ps->list = list;
    ps->cap = cap;
    return true;
}

/* Inline: it is called some 25 times for a request. */
static inline struct param *add(struct params *ps)
{
    if (ps->count == ps->cap && !grow(ps))
        return NULL;
    return &ps->list[ps->count++];
}

/* The parameter from which note_known took a value; NULL: none. */
static struct param *source_of(struct params *ps, enum param_name name)
{
    for (size_t i = 0; i < ps->count; i++)
        if (ps->list[i].value == ps->values[name])
            return &ps->list[i];
    return NULL;
}

static void drop(struct params *ps, enum param_name name)
{
    struct param *p = source_of(ps, name);
    if (p != NULL)
        *p = ps->list[--ps->count];
}

/* libfcgi adds this one, and scripts find it. Web servers do not send it. */
static bool add_role(struct params *ps)
{
    struct param *p = add(ps);
    if (p != NULL)
        *p = (struct param){"FCGI_ROLE", "RESPONDER", 9, 9};
    return p != NULL;
}

/* A value ends where the lengths of the next pair begin. Once these lengths are read,
 * their place has room for the value's NUL. */
static bool add_pairs(struct params *ps, char *pairs, size_t len)
{
    const uint8_t *at = (uint8_t *)pairs, *end = at + len;
    while (at < end) {
        char *end_of_value = pairs + (at - (uint8_t *)pairs);
        struct record_pair pair;
        struct param *p = record_next_pair(&at, end, &pair) ? add(ps) : NULL;
        if (p == NULL)
            return false;
        *end_of_value = '\0';
        *p = (struct param){(const char *)pair.name, (const char *)pair.value,
                            pair.name_len, pair.value_len};
        note_known(ps, p);
    }
    pairs[len] = '\0';
    return true;
}

/* -- Repairs -- */

/* Apache's mod_proxy_fcgi sends "proxy:fcgi://host:port/path" or
 * "proxy:unix:/socket|fcgi://host/path", with the query behind it when a rewrite made
 * the address: cuts the value down to the path. */
static void strip_proxy(struct params *ps)
{
    const char *file = ps->values[PARAM_SCRIPT_FILENAME];
    if (strncmp(file, "proxy:", 6) != 0)
        return;
    const char *scheme = strstr(file, "fcgi://");
    const char *path = scheme == NULL ? NULL : strchr(scheme + 7, '/');
    struct param *p = source_of(ps, PARAM_SCRIPT_FILENAME);
    if (path == NULL || p == NULL)
        return;
    size_t len = strcspn(path, "?");
    char *value = (char *)p->value; /* in the memory that params_parse may change */
    memmove(value, path, len);
    value[len] = '\0';
    p->value_len = ps->lens[PARAM_SCRIPT_FILENAME] = len;
}

static int64_t parse_length(const char *text)
{
    if (!ascii_is_digit(text[0]))
        return -1; /* absent, or Caddy's -1 for a chunked upload */
    char *end;
    long long n = strtoll(text, &end, 10);
    return *end == '\0' ? (int64_t)n : -1;
}

static bool set_root(struct params *ps, const char *path, size_t len)
{
    ps->root = strndup(path, len);
    if (ps->root == NULL)
        return false;
    ps->values[PARAM_DOCUMENT_ROOT] = ps->root;
    ps->lens[PARAM_DOCUMENT_ROOT] = len;
    return true;
}

/* h2o sends no DOCUMENT_ROOT: it is SCRIPT_FILENAME without SCRIPT_NAME at its end. */
static bool derive_root(struct params *ps)
{
    const char *file = ps->values[PARAM_SCRIPT_FILENAME];
    const char *name = ps->values[PARAM_SCRIPT_NAME];
    size_t file_len = strlen(file), name_len = strlen(name);
    if (name_len == 0 || name_len >= file_len ||
        strcmp(file + file_len - name_len, name) != 0)
        return true;
    size_t len = file_len - name_len;
    struct param *p = set_root(ps, file, len) ? add(ps) : NULL;
    if (p == NULL)
        return false;
    *p = (struct param){"DOCUMENT_ROOT", ps->root, 13, len};
    return true;
}

static bool without_final_slash(struct params *ps)
{
    const char *root = ps->values[PARAM_DOCUMENT_ROOT];
    size_t len = strlen(root);
    return len <= 1 || root[len - 1] != '/' || set_root(ps, root, len - 1);
}

/* -- All of it -- */

static void forget(struct params *ps)
{
    for (size_t i = 0; i < PARAM_NAMES; i++)
        ps->values[i] = "";
    memset(ps->lens, 0, sizeof ps->lens);
    ps->count = 0;
    free(ps->root);
    free(ps->own);
    ps->root = ps->own = NULL;
}

bool params_parse(struct params *ps, char *pairs, size_t len)
{
    forget(ps);
    ps->pairs = pairs;
    ps->len = len + 1;
    if (!add_role(ps) || !add_pairs(ps, pairs, len))
        return false;
    const char *length = ps->values[PARAM_CONTENT_LENGTH];
    ps->content_length = parse_length(length);
    if (length[0] == '-')
        drop(ps, PARAM_CONTENT_LENGTH);
    /* A client's Proxy header arrives as HTTP_PROXY, which libraries that read the
     * environment take for a setting. */
    if (ps->values[PARAM_HTTP_PROXY][0] != '\0')
        drop(ps, PARAM_HTTP_PROXY);
    strip_proxy(ps);
    return ps->values[PARAM_DOCUMENT_ROOT][0] == '\0' ? derive_root(ps)
                                                      : without_final_slash(ps);
}

static void move(const struct params *ps, const char **text)
{
    uintptr_t offset = (uintptr_t)*text - (uintptr_t)ps->pairs;
    if (offset < ps->len)
        *text = ps->own + offset;
}

/* Gives back the room in which there are no parameters. */
static void shrink(struct params *ps)
{
    struct param *list =
        ps->count == 0 ? NULL : realloc(ps->list, ps->count * sizeof *list);
    if (list == NULL)
        return;
    ps->list = list;
    ps->cap = ps->count;
}

bool params_keep(struct params *ps)
{
    if (ps->own != NULL)
        return true;
    shrink(ps);
    ps->own = malloc(ps->len);
    if (ps->own == NULL)
        return false;
    memcpy(ps->own, ps->pairs, ps->len);
    for (size_t i = 0; i < ps->count; i++) {
        move(ps, &ps->list[i].name);
        move(ps, &ps->list[i].value);
    }
    for (size_t i = 0; i < PARAM_NAMES; i++)
        move(ps, &ps->values[i]);
    return true;
}

void params_free(struct params *ps)
{
    free(ps->list);
    free(ps->root);
    free(ps->own);
    *ps = (struct params){0};
}
