/* What goes beyond a single option: options that must fit each other, and the warnings of
 * a whole file. A check of several options is one more function in rules_check; a warning
 * of one option is the `risk` of its row. Runs on the thread that loads; owns nothing, no
 * locks. */
#include "config/rules.h"

#include "config/report.h"
#include "config/text.h"
#include "http/accesslog.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG 511

/* Connections beside those of requests that wait, as the defaults have it. */
#define CONNECTIONS_BESIDE 1048

/* -- Options that must fit each other -- */

/* luafcgid allowed fewer states than workers. */
static void raise_states(struct loader *l)
{
    struct config *c = l->config;
    report_warn(l,
                "states: expected at least %s (%d), as each worker uses a state, got %d;"
                " %d is used",
                loader_called(l, "WorkerThreads"), c->worker_threads, c->lua_total_states,
                c->worker_threads);
    c->lua_total_states = c->worker_threads;
}

/* If two options do not fit, the one that was not set follows the other. */
static void check_total_states(struct loader *l)
{
    struct config *c = l->config;
    if (!loader_is_good(l, "LuaTotalStates") || !loader_is_good(l, "WorkerThreads") ||
        c->lua_total_states >= c->worker_threads)
        return;
    if (!loader_is_set(l, "LuaTotalStates"))
        c->lua_total_states = c->worker_threads;
    else if (!loader_is_set(l, "WorkerThreads"))
        c->worker_threads = c->lua_total_states;
    else if (strcmp(loader_called(l, "LuaTotalStates"), "states") == 0)
        raise_states(l);
    else
        report_complain(
            l, "%s: expected at least %s (%d), as each worker uses a state, got %d",
            loader_called(l, "LuaTotalStates"), loader_called(l, "WorkerThreads"),
            c->worker_threads, c->lua_total_states);
}

static void check_workers(struct loader *l)
{
    struct config *c = l->config;
    if (!loader_is_good(l, "WorkerThreadsMax") || !loader_is_good(l, "WorkerThreads") ||
        c->worker_threads_max >= c->worker_threads)
        return;
    if (!loader_is_set(l, "WorkerThreadsMax"))
        c->worker_threads_max = c->worker_threads;
    else if (!loader_is_set(l, "WorkerThreads"))
        c->worker_threads = c->worker_threads_max;
    else
        report_complain(l, "WorkerThreadsMax: expected at least %s (%d), got %d",
                        loader_called(l, "WorkerThreads"), c->worker_threads,
                        c->worker_threads_max);
}

/* Who waits keeps a connection, and others need one, too. */
static void check_waiting(struct loader *l)
{
    struct config *c = l->config;
    if (!loader_is_good(l, "MaxWaiting") || !loader_is_good(l, "MaxConnections") ||
        c->max_waiting < c->max_connections)
        return;
    if (!loader_is_set(l, "MaxConnections"))
        c->max_connections = c->max_waiting + CONNECTIONS_BESIDE;
    else if (!loader_is_set(l, "MaxWaiting"))
        c->max_waiting = c->max_connections > 1 ? c->max_connections - 1 : 1;
    else
        report_warn(l,
                    "MaxWaiting: %d requests that wait need more than %d connections; "
                    "raise MaxConnections",
                    c->max_waiting, c->max_connections);
}

/* The first luafcgid2 made as many states as it could, and said nothing. */
static void lower_states(struct loader *l)
{
    struct config *c = l->config;
    report_warn(l, "%s: expected at most %s (%d), got %d; %d is used",
                loader_called(l, "LuaStates"), loader_called(l, "LuaMaxStates"),
                c->lua_max_states, c->lua_states, c->lua_max_states);
    c->lua_states = c->lua_max_states;
}

static void check_states(struct loader *l)
{
    struct config *c = l->config;
    if (!loader_is_good(l, "LuaStates") || !loader_is_good(l, "LuaMaxStates") ||
        c->lua_states <= c->lua_max_states)
        return;
    if (!loader_is_set(l, "LuaMaxStates"))
        c->lua_max_states = c->lua_states;
    else
        lower_states(l);
}

/* A file that lets a session rest for a week does not mean it to end after a day. */
static void check_session_times(struct loader *l)
{
    struct config *c = l->config;
    if (loader_is_set(l, "SessionMaxAge") || !loader_is_good(l, "SessionTime"))
        return;
    if (c->session_time == 0 || c->session_time > c->session_max_age)
        c->session_max_age = 0;
}

static void check_backlog(struct loader *l)
{
    if (l->config->backlog < 0)
        l->config->backlog = BACKLOG;
}

static void check_headers(struct loader *l)
{
    if (!loader_is_good(l, "DefaultHeaders"))
        return;
    char *given = l->config->default_headers;
    l->config->default_headers = loader_need(l->L, text_headers_normal(given));
    free(given);
}

/* Reports a mistake if there is nothing of that type, or it cannot be read. */
static void check_place(struct loader *l, const char *name, const char *path, mode_t type,
                        const char *expected)
{
    struct stat st;
    if (!loader_is_good(l, name) || path[0] == '\0')
        return;
    bool there = stat(path, &st) == 0 && (type != S_IFREG || access(path, R_OK) == 0);
    int error = there ? 0 : errno;
    if (error == 0 && (st.st_mode & S_IFMT) != type)
        error = type == S_IFDIR ? ENOTDIR : S_ISDIR(st.st_mode) ? EISDIR : ENOTSUP;
    if (error != 0)
        report_complain(l, "%s: expected %s, got \"%s\": %s", loader_called(l, name),
                        expected, path, strerror(error));
}

/* If one of these is not there, no request can be served. */
static void check_places(struct loader *l)
{
    check_place(l, "ScriptRoot", l->config->script_root, S_IFDIR, "a directory");
    check_place(l, "StartupScript", l->config->startup_script, S_IFREG,
                "a file that can be read");
}

/* RFC 6265bis section 4.1.2.7. Some browsers compare the prefix without case, so it
 * is compared without case here. */
static void check_cookie_prefix(struct loader *l)
{
    struct config *c = l->config;
    if (!loader_is_good(l, "SessionName") || !loader_is_good(l, "SessionCookieSecure"))
        return;
    bool host = strncasecmp(c->session_name, "__Host-", 7) == 0;
    if (!host && strncasecmp(c->session_name, "__Secure-", 9) != 0)
        return;
    const char *prefix = host ? "__Host-" : "__Secure-";
    if (c->session_cookie_secure == CONFIG_SECURE_NO)
        report_complain(
            l,
            "SessionName: a name that begins with %s needs SessionCookieSecure ="
            " true, got false: browsers drop the cookie otherwise",
            prefix);
    if (host && loader_is_good(l, "SessionCookieDomain") &&
        c->session_cookie_domain[0] != '\0')
        report_complain(l,
                        "SessionName: a name that begins with __Host- allows no"
                        " SessionCookieDomain, got \"%s\"",
                        c->session_cookie_domain);
    if (c->session_cookie_secure == CONFIG_SECURE_AUTO)
        c->session_cookie_secure = CONFIG_SECURE_YES;
}

static void check_same_site(struct loader *l)
{
    struct config *c = l->config;
    if (loader_is_good(l, "SessionCookieSameSite") &&
        loader_is_good(l, "SessionCookieSecure") &&
        c->session_cookie_same_site == CONFIG_SAME_SITE_NONE &&
        c->session_cookie_secure != CONFIG_SECURE_YES)
        report_complain(
            l,
            "SessionCookieSameSite: \"None\" needs SessionCookieSecure = true, got"
            " %s: browsers drop such a cookie without Secure%s",
            c->session_cookie_secure == CONFIG_SECURE_NO ? "false" : "\"auto\"",
            c->session_cookie_secure == CONFIG_SECURE_NO
                ? ""
                : ", and \"auto\" leaves Secure out over http");
}

static void check_access_log(struct loader *l)
{
    char wrong[128];
    struct config *c = l->config;
    if (!loader_is_good(l, "AccessLogFormat"))
        return;
    c->access_log_lines = accesslog_compile(c->access_log_format, wrong, sizeof wrong);
    if (c->access_log_lines == NULL)
        report_complain(l, "%s: %s", loader_called(l, "AccessLogFormat"), wrong);
}

void rules_check(struct loader *l)
{
    static void (*const checks[])(struct loader *) = {
        check_total_states,  check_workers,    check_states,        check_backlog,
        check_headers,       check_places,     check_cookie_prefix, check_same_site,
        check_session_times, check_access_log, check_waiting,
    };
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++)
        checks[i](l);
}

/* -- Values that are legal and risky -- */

static void warn_of_rows(struct loader *l)
{
    char text[512];
    for (const struct option_row *o = option_rows; o < option_rows + option_count; o++)
        if (o->risk != NULL && o->risk(l->config, text, sizeof text))
            report_warn(l, "%s: %s", loader_name(l, o), text);
}

/* Warnings of two options together. */
static void warn_of_sums(struct loader *l)
{
    const struct config *c = l->config;
    if ((int64_t)c->body_size * c->body_sectors > 16 * 1024 * 1024)
        report_warn(l, "BodySize x BodySectors: %" PRId64 " bytes for each worker",
                    (int64_t)c->body_size * c->body_sectors);
    if (c->session_time == 0 && c->session_max_age == 0)
        report_warn(
            l, "SessionTime and SessionMaxAge: both 0, so that no session ever ends");
}

void rules_warn(struct loader *l)
{
    warn_of_rows(l);
    warn_of_sums(l);
}
