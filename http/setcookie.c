/* The Set-Cookie header. Pure functions, for any thread. */
#include "http/setcookie.h"

#include "base/ascii.h"
#include "http/date.h"

#include <string.h>
#include <strings.h>

static bool is(const struct setcookie_text *t, const char *what)
{
    return t->data != NULL && t->len == strlen(what) &&
           strncasecmp(t->data, what, t->len) == 0;
}

static bool begins(const struct setcookie_text *t, const char *what)
{
    return t->len >= strlen(what) && strncasecmp(t->data, what, strlen(what)) == 0;
}

/* -- Checking -- */

static bool is_name(const struct setcookie_text *t)
{
    for (size_t i = 0; i < t->len; i++)
        if (!ascii_is_token(t->data[i]))
            return false;
    return t->len > 0;
}

/* Characters that would end the attribute, or the header. */
static bool is_path(const struct setcookie_text *t)
{
    for (size_t i = 0; i < t->len; i++)
        if ((unsigned char)t->data[i] < 0x20 || t->data[i] == 0x7f || t->data[i] == ';')
            return false;
    return t->len == 0 || t->data[0] == '/';
}

static bool is_domain(const struct setcookie_text *t)
{
    for (size_t i = 0; i < t->len; i++)
        if (!ascii_is_alnum(t->data[i]) && t->data[i] != '-' && t->data[i] != '.')
            return false;
    return t->len > 0;
}

/* Browsers give the names with these prefixes to cookies that keep a promise. */
static const char *check_prefix(const struct setcookie *c)
{
    if (begins(&c->name, "__Secure-") && !c->secure)
        return "secure: a name that begins with __Secure- needs it";
    if (begins(&c->name, "__Host-") &&
        (!c->secure || c->domain.data != NULL || !is(&c->path, "/")))
        return "a name that begins with __Host- needs secure, the path \"/\" and no "
               "domain";
    return NULL;
}

const char *setcookie_check(const struct setcookie *c)
{
    if (!is_name(&c->name))
        return "name: letters, digits and !#$%&'*+-.^_`|~ expected";
    if (c->path.data != NULL && !is_path(&c->path))
        return "path: expected to begin with '/', without ';' and control characters";
    if (c->domain.data != NULL && !is_domain(&c->domain))
        return "domain: letters, digits, '-' and '.' expected";
    if (c->same_site.data != NULL && !is(&c->same_site, "Strict") &&
        !is(&c->same_site, "Lax") && !is(&c->same_site, "None"))
        return "samesite: \"Strict\", \"Lax\" or \"None\" expected";
    if (is(&c->same_site, "None") && !c->secure)
        return "samesite: \"None\" needs secure";
    if (c->has_expires && (c->expires < DATE_MIN || c->expires > DATE_MAX))
        return "expires: a time of the years 1 to 9999 expected";
    return check_prefix(c);
}

/* -- Writing -- */

/* cookie-octet of RFC 6265 section 4.1.1, without '%' and '+'. */
static bool stands_for_itself(char c)
{
    return c > 0x20 && c < 0x7f && strchr("\",;\\%+", c) == NULL;
}

static bool write_value(const struct setcookie_text *v, struct buffer *out)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t plain = 0;
    while (plain < v->len && stands_for_itself(v->data[plain]))
        plain++;
    if (plain == v->len)
        return buffer_append(out, v->data, v->len);
    for (size_t i = 0; i < v->len; i++) {
        unsigned char c = (unsigned char)v->data[i];
        char encoded[3] = {'%', hex[c >> 4], hex[c & 15]};
        bool ok = ascii_is_alnum(v->data[i]) ? buffer_append(out, v->data + i, 1)
                  : c == ' '                 ? buffer_append(out, "+", 1)
                                             : buffer_append(out, encoded, 3);
        if (!ok)
            return false;
    }
    return true;
}

static bool write_text(const char *attribute, const struct setcookie_text *t,
                       struct buffer *out)
{
    return t->data == NULL || t->len == 0 ||
           (buffer_puts(out, attribute) && buffer_append(out, t->data, t->len));
}

static bool write_same_site(const struct setcookie *c, struct buffer *out)
{
    return c->same_site.data == NULL ||
           buffer_puts(out, is(&c->same_site, "Strict") ? "; SameSite=Strict"
                            : is(&c->same_site, "Lax")  ? "; SameSite=Lax"
                                                        : "; SameSite=None");
}

bool setcookie_write(const struct setcookie *c, struct buffer *out)
{
    char date[DATE_SIZE];
    if (!buffer_append(out, c->name.data, c->name.len) || !buffer_puts(out, "=") ||
        !write_value(&c->value, out))
        return false;
    if (c->has_expires && date_print(c->expires, date) &&
        !buffer_printf(out, "; Expires=%s", date))
        return false;
    if (c->has_max_age && !buffer_printf(out, "; Max-Age=%lld", (long long)c->max_age))
        return false;
    return write_text("; Path=", &c->path, out) &&
           write_text("; Domain=", &c->domain, out) &&
           (!c->secure || buffer_puts(out, "; Secure")) &&
           (!c->http_only || buffer_puts(out, "; HttpOnly")) && write_same_site(c, out);
}
