/* Warnings of values that are legal and risky. Runs on the thread that loads; owns
 * nothing, no locks. */
#include "config/risk.h"

#include "config/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

__attribute__((format(printf, 3, 4))) static bool say(char *text, size_t size,
                                                      const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(text, size, format, args);
    va_end(args);
    return true;
}

bool risk_of_listen(const struct config *c, char *text, size_t size)
{
    return text_listen_is_public(c->listen) &&
           say(text, size,
               "FastCGI knows no passwords: whoever can connect to %s can run any"
               " script; use a firewall",
               c->listen);
}

bool risk_of_status_listen(const struct config *c, char *text, size_t size)
{
    return c->status_listen[0] != '\0' && text_listen_is_public(c->status_listen) &&
           say(text, size,
               "FastCGI knows no passwords: whoever can connect to %s can read the "
               "status;"
               " use a firewall",
               c->status_listen);
}

bool risk_of_listen_mode(const struct config *c, char *text, size_t size)
{
    return (c->listen_mode & 0002) != 0 &&
           say(text, size, "every user of this machine can have scripts run");
}

bool risk_of_extensions(const struct config *c, char *text, size_t size)
{
    return c->allowed_extensions[0] == NULL &&
           say(text, size, "{} lets every file be run as Lua, uploads too");
}

bool risk_of_file_info_time(const struct config *c, char *text, size_t size)
{
    return c->min_file_info_time < 10 &&
           say(text, size, "looking at files every %d ms keeps a processor busy",
               c->min_file_info_time);
}

bool risk_of_request_timeout(const struct config *c, char *text, size_t size)
{
    return c->request_timeout == 0 && say(text, size, "0 lets a script run for ever");
}

bool risk_of_memory_limit(const struct config *c, char *text, size_t size)
{
    if (c->script_memory_limit == 0)
        return say(text, size, "0 lets a script use all memory");
    return c->script_memory_limit < 256 * 1024 &&
           say(text, size, "%" PRId64 " bytes are hardly enough to load a script",
               c->script_memory_limit);
}

bool risk_of_show_errors(const struct config *c, char *text, size_t size)
{
    return c->show_errors &&
           say(text, size, "visitors see error messages and file names");
}

/* Of the first that is not there. It may come later. */
bool risk_of_error_page(const struct config *c, char *text, size_t size)
{
    for (const struct config_page *p = c->error_pages; p->status != 0; p++)
        if (access(p->path, R_OK) != 0)
            return say(text, size, "the page for %d, %s, cannot be read: %s", p->status,
                       p->path, strerror(errno));
    return false;
}

bool risk_of_script_cookies(const struct config *c, char *text, size_t size)
{
    return !c->session_cookie_http_only &&
           say(text, size, "false lets scripts in the browser read the key");
}

static int positive(int n)
{
    return n > 0 ? n : 0;
}

bool risk_of_target_score(const struct config *c, char *text, size_t size)
{
    int most = positive(c->session_ip_score) + positive(c->session_user_agent_score) +
               positive(c->session_language_score);
    return c->session_target_score > most &&
           say(text, size, "%d cannot be reached: all scores add up to %d",
               c->session_target_score, most);
}
