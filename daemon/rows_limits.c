/* Rows of the status about every configured maximum. Runs in whatever thread shows the
 * status. */
#include "daemon/rows_limits.h"

#include "daemon/figures.h"
#include "daemon/view.h"

/* One figure of the configuration. `X` is called with its option, its metric's name and
 * what that is; times are told in seconds, and 0 is no limit. */
#define COUNT(option, metric_, help_)                                                    \
    {                                                                                    \
        .key = option, .kind = FIGURES_GAUGE, .metric = "limit_" metric_,                \
        .help = option ": " help_ "."                                                    \
    }
#define BYTES(option, metric_, help_)                                                    \
    {                                                                                    \
        .key = option, .kind = FIGURES_GAUGE, .metric = "limit_" metric_ "_bytes",       \
        .unit = "bytes", .help = option ": " help_ "; 0 for no limit."                   \
    }
#define TIME(option, metric_, help_)                                                     \
    {                                                                                    \
        .key = option, .kind = FIGURES_GAUGE, .metric = "limit_" metric_ "_seconds",     \
        .unit = "seconds", .help = option ": " help_ "; 0 for no limit."                 \
    }

static const struct figures_row rows[] = {
    COUNT("WorkerThreads", "worker_threads", "how many requests compute at once"),
    COUNT("WorkerThreadsMax", "worker_threads_max", "as many workers while scripts wait"),
    COUNT("Backlog", "backlog", "connections that the system queues"),
    COUNT("MaxConnections", "connections", "open connections"),
    BYTES("MaxHeadSize", "head", "largest head of a request"),
    COUNT("LuaMaxStates", "lua_max_states", "states kept of one script"),
    COUNT("LuaTotalStates", "lua_total_states", "states kept of all scripts"),
    COUNT("LuaMaxRequests", "lua_max_requests",
          "requests after which a state is renewed; 0 for never"),
    COUNT("LuaMaxErrors", "lua_max_errors",
          "failed requests after which a state is renewed; 0 for never"),
    TIME("RequestTimeout", "request_time", "how long a script may run"),
    BYTES("ScriptMemoryLimit", "script_memory", "memory of one state"),
    BYTES("MaxPostSize", "post", "largest body of a request"),
    COUNT("MaxFormFields", "form_fields", "fields of a form; 0 for no limit"),
    TIME("KeepAliveTimeout", "keep_alive_time", "how long an idle connection is kept"),
    TIME("ReadTimeout", "read_time", "wait for the rest of a request"),
    TIME("WriteTimeout", "write_time", "wait for a web server that does not read"),
    TIME("RequestTimeoutMax", "request_time_max", "the most that TimeLimit may set"),
    TIME("EventKeepAlive", "event_keep_alive_time", "pause of a stream until a comment"),
    BYTES("MaxPendingOutput", "pending_output",
          "answers that wait for slow readers, together"),
    BYTES("MaxUploadSize", "upload", "largest body with uploaded files"),
    BYTES("SharedMaxSize", "shared", "shared values, together"),
    BYTES("SubscriptionMaxSize", "subscription",
          "messages that wait in one subscription"),
    COUNT("MaxWaiting", "waiting", "requests that wait without a worker"),
    COUNT("SessionMaxCount", "sessions", "sessions that are kept"),
    BYTES("SessionMaxSize", "session", "what one session may hold"),
    TIME("SessionTime", "session_time", "how long an unused session is kept"),
    TIME("SessionMaxAge", "session_age", "how long any session is kept"),
    TIME("Watchdog", "watchdog_time", "how long a worker may stay stuck"),
};

static void read_limits(struct figures *f)
{
    const struct config *c = f->view->config;
    figures_integer(f, c->worker_threads);
    figures_integer(f, c->worker_threads_max);
    figures_integer(f, c->backlog);
    figures_integer(f, c->max_connections);
    figures_integer(f, c->max_head_size);
    figures_integer(f, c->lua_max_states);
    figures_integer(f, c->lua_total_states);
    figures_integer(f, c->lua_max_requests);
    figures_integer(f, c->lua_max_errors);
    figures_real(f, (double)c->request_timeout / 1e3);
    figures_integer(f, c->script_memory_limit);
    figures_integer(f, c->max_post_size);
    figures_integer(f, c->max_form_fields);
    figures_real(f, (double)c->keep_alive_timeout / 1e3);
    figures_real(f, (double)c->read_timeout / 1e3);
    figures_real(f, (double)c->write_timeout / 1e3);
    figures_real(f, (double)c->request_timeout_max / 1e3);
    figures_real(f, (double)c->event_keep_alive / 1e3);
    figures_integer(f, c->max_pending_output);
    figures_integer(f, c->max_upload_size);
    figures_integer(f, c->shared_max_size);
    figures_integer(f, c->subscription_max_size);
    figures_integer(f, c->max_waiting);
    figures_integer(f, c->session_max_count);
    figures_integer(f, c->session_max_size);
    figures_real(f, (double)c->session_time / 1e3);
    figures_real(f, (double)c->session_max_age / 1e3);
    figures_real(f, (double)c->watchdog / 1e3);
}

static struct figures_group limits = {.name = "limits",
                                      .rows = rows,
                                      .count = sizeof rows / sizeof rows[0],
                                      .read = read_limits};

void rows_limits_register(void)
{
    figures_register(&limits);
}
