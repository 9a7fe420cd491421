/* The rows of the table of options. An option is added here, and in struct config of
 * config/fields.h; loading, checking, -h and the tests of config.lua and of the man page
 * follow. Constant data, which any thread may read; no locks. */
#include "config/option.h"

#include "config/risk.h"
#include "config/text.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

_Static_assert(sizeof(enum log_level) == sizeof(int), "choices are stored as int");
_Static_assert(sizeof(enum config_same_site) == sizeof(int), "choices are stored as int");

static const struct option_choice log_levels[] = {{"error", LOG_LEVEL_ERROR},
                                                  {"warning", LOG_LEVEL_WARNING},
                                                  {"info", LOG_LEVEL_INFO},
                                                  {"debug", LOG_LEVEL_DEBUG},
                                                  {NULL, 0}};

static const struct option_choice log_formats[] = {
    {"text", LOG_FORMAT_TEXT}, {"json", LOG_FORMAT_JSON}, {NULL, 0}};

static const struct option_choice same_sites[] = {{"Lax", CONFIG_SAME_SITE_LAX},
                                                  {"Strict", CONFIG_SAME_SITE_STRICT},
                                                  {"None", CONFIG_SAME_SITE_NONE},
                                                  {"", CONFIG_SAME_SITE_OMIT},
                                                  {NULL, 0}};

#define SIZE_LIMIT  (INT64_C(1) << 40) /* 1 TiB */
#define DAY         INT64_C(86400)
#define YEARS       (INT64_C(3650) * DAY)
#define KEY_LEN_MIN 22 /* the least that gives KEY_BITS with 62 characters */
#define KEY_LEN_MAX 128
#define KEY_BITS    128
#define LISTEN_WANTS                                                                     \
    "a unix socket path, \"host:port\", \"[v6]:port\", \":port\", \"*:port\" or "        \
    "\"fd:N\""

/* log2(62) = 5.954; the sum is given in tenths, as a reader would check it. */
static void note_key_len(int64_t n, char *text, size_t size)
{
    if (n < KEY_LEN_MIN && n >= 0)
        snprintf(text, size,
                 " (%" PRId64 " characters x 5.95 bits = %.1f bits, and a key needs %d:"
                 " %d x 5.95 = %.1f)",
                 n, (double)n * 5.95, KEY_BITS, KEY_LEN_MIN, KEY_LEN_MIN * 5.95);
}

#define AT(member) .offset = offsetof(struct config, member)

/* clang-format off */
const struct option_row option_rows[] = {
    {.section = "Listening and running", .name = "Listen", .older = "listen",
     .also = "listen",     .kind = OPTION_TEXT, .restart = true, AT(listen),
     .fallback = "\"/var/tmp/luafcgid2.sock\"", .check = text_listen,
     .expected = LISTEN_WANTS,
     .risk = risk_of_listen,
     .help = "where the web server finds the daemon"},
    {.name = "WorkerThreads", .older = "workers", .early = "threads",
     .kind = OPTION_INTEGER, .restart = true, .min = 1, .max = 1024, AT(worker_threads),
     .fallback = "4",
     .bends = true,
     .help = "how many requests compute at once"},
    {.name = "WorkerThreadsMax", .kind = OPTION_INTEGER, .min = 1, .max = 1024,
     AT(worker_threads_max), .fallback = "64",
     .help = "as many workers while scripts wait; at least WorkerThreads"},
    {.name = "Backlog", .older = "backlog", .kind = OPTION_INTEGER, .restart = true,
     .min = -1, .max = 65535, AT(backlog), .fallback = "511",
     .bends = true, .highest = INT32_MAX,
     .help = "connections the system queues for us; -1 means the default"},
    {.name = "MaxConnections", .kind = OPTION_INTEGER, .restart = true, .min = 1,
     .max = 1000000, AT(max_connections), .fallback = "1024",
     .help = "open connections; the longest idle one makes room"},
    {.name = "MaxHeadSize", .kind = OPTION_INTEGER, .restart = true, .min = 1024,
     .max = 1048576, AT(max_head_size), .fallback = "65536", .unit = "bytes",
     .help = "largest request head: all its parameters together"},
    {.name = "ListenMode", .kind = OPTION_MODE, .restart = true, AT(listen_mode),
     .fallback = "\"0660\"",
     .risk = risk_of_listen_mode,
     .help = "permissions of the unix socket"},
    {.name = "ListenOwner", .kind = OPTION_TEXT, .restart = true, AT(listen_owner),
     .fallback = "\"\"", .check = text_user,
     .expected = "the name or number of a user of this system",
     .help = "owner of the unix socket; \"\" leaves it as created"},
    {.name = "ListenGroup", .kind = OPTION_TEXT, .restart = true, AT(listen_group),
     .fallback = "\"\"", .check = text_group,
     .expected = "the name or number of a group of this system",
     .help = "group of the unix socket; \"\" leaves it as created"},
    {.name = "User", .kind = OPTION_TEXT, .restart = true, AT(user), .fallback = "\"\"",
     .check = text_user,
     .expected = "the name or number of a user of this system",
     .help = "become this user once listening; \"\" stays as started"},
    {.name = "Group", .kind = OPTION_TEXT, .restart = true, AT(group), .fallback = "\"\"",
     .check = text_group,
     .expected = "the name or number of a group of this system",
     .help = "become this group; \"\" is the group of User"},
    {.name = "PidFile", .kind = OPTION_PATH, .restart = true, AT(pid_file),
     .fallback = "\"\"",
     .help = "file with the daemon's process id, locked; \"\" for none"},
    {.name = "Daemonize", .older = "daemonize", .kind = OPTION_BOOLEAN, .restart = true,
     AT(daemonize), .fallback = "false",
     .help = "go to the background"},

    {.section = "Scripts and their Lua states", .name = "LuaStates", .early = "states",
     .kind = OPTION_INTEGER, .min = 1, .max = 1024, AT(lua_states), .fallback = "1",
     .bends = true, .highest = INT32_MAX,
     .help = "states made when a script is first asked for"},
    {.name = "LuaMaxStates", .older = "clones", .early = "maxstates",
     .kind = OPTION_INTEGER, .min = 1, .max = 65536, AT(lua_max_states), .fallback = "6",
     .bends = true, .highest = INT32_MAX,
     .help = "states kept of one script; at least LuaStates"},
    {.name = "LuaTotalStates", .older = "states", .kind = OPTION_INTEGER, .min = 1,
     .max = 1000000, AT(lua_total_states), .fallback = "256",
     .bends = true, .highest = INT32_MAX,
     .help = "states kept of all scripts together; at least WorkerThreads"},
    {.name = "LuaMaxSearchRetries", .older = "retries", .kind = OPTION_INTEGER, .min = 0,
     .max = 1000, AT(lua_max_search_retries), .fallback = "3",
     .bends = true, .highest = INT32_MAX,
     .help = "waits for a free state before an extra one is made"},
    {.name = "LuaMaxRequests", .older = "maxcount", .kind = OPTION_INTEGER, .min = 0,
     .max = INT32_MAX, AT(lua_max_requests), .fallback = "0",
     .bends = true,
     .help = "requests after which a state is renewed; 0 means never"},
    {.name = "LuaMaxErrors", .kind = OPTION_INTEGER, .min = 0, .max = INT32_MAX,
     AT(lua_max_errors), .fallback = "3",
     .help = "failed requests in a row after which a state is renewed; 0 never"},
    {.name = "MinFileInfoTime", .older = "sweep", .kind = OPTION_INTEGER, .min = 1,
     .max = 3600000, AT(min_file_info_time), .fallback = "1000", .unit = "ms",
     .bends = true, .highest = INT32_MAX,
     .risk = risk_of_file_info_time,
     .help = "how often files are checked for changes"},
    {.name = "UseFileChecksum", .kind = OPTION_BOOLEAN, AT(use_file_checksum),
     .fallback = "true",
     .help = "a file whose content is unchanged is not loaded again"},
    {.name = "StartupScript", .kind = OPTION_PATH, .early = "script", AT(startup_script),
     .fallback = "\"\"",
     .help = "a Lua file run in every new state before the script; \"\" for none"},
    {.name = "Entrypoint", .older = "handler", .also = "entrypoint", .kind = OPTION_TEXT,
     AT(entrypoint), .fallback = "\"main\"", .check = text_filled,
     .expected = "the name of a function",
     .help = "the function called; while not set, handler if there is no main"},
    {.name = "AllowedExtensions", .kind = OPTION_LIST, AT(allowed_extensions),
     .fallback = "{\".lua\"}", .check = text_extension,
     .expected = "an extension such as \".lua\"",
     .risk = risk_of_extensions,
     .help = "endings of files that may run; {} lets every file run"},
    {.name = "ScriptRoot", .kind = OPTION_PATH, AT(script_root), .fallback = "\"\"",
     .help = "directory that scripts may not be outside of; \"\" for none"},

    {.section = "Limits", .name = "RequestTimeout", .kind = OPTION_SECONDS, .max = DAY,
     AT(request_timeout), .fallback = "30",
     .risk = risk_of_request_timeout,
     .help = "time a script may take to load and run; 0 for ever"},
    {.name = "RequestTimeoutMax", .kind = OPTION_SECONDS, .max = DAY,
     AT(request_timeout_max), .fallback = "600",
     .help = "most that a script may ask for with TimeLimit; 0 for any time"},
    {.name = "ScriptMemoryLimit", .kind = OPTION_BYTES, .max = SIZE_LIMIT,
     AT(script_memory_limit), .fallback = "64 * 1024 * 1024",
     .risk = risk_of_memory_limit,
     .help = "memory one state may use; 0 for no limit"},
    {.name = "MaxPostSize", .older = "maxpost", .kind = OPTION_BYTES, .max = SIZE_LIMIT,
     AT(max_post_size), .fallback = "1048576",
     .bends = true,
     .help = "largest request body; 0 for no limit"},
    {.name = "MaxFormFields", .kind = OPTION_INTEGER, .max = 1000000, AT(max_form_fields),
     .fallback = "1000",
     .help = "fields of a form or query; 0 for no limit"},
    {.name = "SubscriptionMaxSize", .kind = OPTION_BYTES, .max = SIZE_LIMIT,
     AT(subscription_max_size), .fallback = "1048576",
     .help = "what may wait for a slow subscription; 0 for no limit"},
    {.name = "KeepAliveTimeout", .kind = OPTION_SECONDS, .max = DAY,
     AT(keep_alive_timeout), .fallback = "60",
     .help = "how long an idle connection is kept; 0 for ever"},
    {.name = "ReadTimeout", .kind = OPTION_SECONDS, .max = DAY, AT(read_timeout),
     .fallback = "10",
     .help = "wait for the rest of a request; 0 for ever"},
    {.name = "WriteTimeout", .kind = OPTION_SECONDS, .max = DAY, AT(write_timeout),
     .fallback = "120",
     .help = "wait for a web server that does not read; 0 for ever"},
    {.name = "EventKeepAlive", .kind = OPTION_SECONDS, .max = DAY, AT(event_keep_alive),
     .fallback = "15",
     .help = "how often a stream of events that waits sends a comment; 0 never"},
    {.name = "MaxPendingOutput", .kind = OPTION_BYTES, .max = SIZE_LIMIT,
     AT(max_pending_output), .fallback = "64 * 1024 * 1024",
     .help = "memory of responses still to be read; 0 for no limit"},
    {.name = "Watchdog", .older = "watchdog", .kind = OPTION_SECONDS, .max = DAY,
     AT(watchdog), .fallback = "60",
     .bends = true,
     .help = "time past RequestTimeout after which a worker is replaced; 0 never"},

    {.section = "Responses", .name = "DefaultHeaders", .older = "headers",
     .kind = OPTION_TEXT, AT(default_headers),
     .fallback = "\"X-Powered-By: luafcgid2\\r\\n\"", .check = text_headers,
     .expected = "lines \"Name: value\" without control characters",
     .help = "header lines of every response"},
    {.name = "DefaultHttpStatus", .older = "httpstatus", .kind = OPTION_TEXT,
     AT(default_http_status), .fallback = "\"200 OK\"", .check = text_status,
     .expected = "a status such as \"200 OK\"",
     .mend = text_status_mend,
     .help = "status of a response that sets none"},
    {.name = "DefaultContentType", .older = "contenttype", .kind = OPTION_TEXT,
     AT(default_content_type), .fallback = "\"text/html\"",
     .check = text_content_type,
     .expected = "a media type such as \"text/html\"",
     .help = "type of a response that sets none"},
    {.name = "Buffering", .older = "buffering", .kind = OPTION_BOOLEAN, AT(buffering),
     .fallback = "true",
     .help = "collect the response; false sends every piece at once"},
    {.name = "SendFileHeader", .kind = OPTION_TEXT, AT(send_file_header),
     .fallback = "\"\"", .check = text_send_file,
     .expected = "\"X-Sendfile\" or \"X-Accel-Redirect: DIR=URI, ...\"",
     .help = "header by which the web server sends a SendFile; \"\" for none"},
    {.name = "HeadersSize", .older = "headersize", .kind = OPTION_INTEGER, .max = 1048576,
     AT(headers_size), .fallback = "128", .unit = "bytes",
     .bends = true, .highest = INT32_MAX,
     .help = "first size of the buffer for headers"},
    {.name = "BodySize", .older = "bodysize", .kind = OPTION_INTEGER, .max = 1048576,
     AT(body_size), .fallback = "2048", .unit = "bytes",
     .bends = true, .highest = INT32_MAX,
     .help = "first size of a part of the buffer for the body"},
    {.name = "BodySectors", .also = "bodysectors", .kind = OPTION_INTEGER, .max = 1024, AT(body_sectors),
     .fallback = "4",
     .bends = true, .highest = INT32_MAX,
     .help = "how many such parts the buffer has at first"},
    {.name = "ShowErrors", .older = "showerrors", .kind = OPTION_BOOLEAN, AT(show_errors),
     .fallback = "false",
     .risk = risk_of_show_errors,
     .help = "error pages show message and traceback"},

    {.section = "Log", .name = "LogFilePath", .older = "logfile", .kind = OPTION_PATH,
     AT(log_file_path), .fallback = "\"/var/log/luafcgid2/luafcgid2.log\"",
     .is_path = text_log_file, .check = text_log,
     .expected = "a path, \"\", or \"syslog:\" and daemon, user or local0 to local7",
     .help = "the log; \"\" or what cannot be written: standard error"},
    {.name = "LogLevel", .kind = OPTION_CHOICE, .choices = log_levels, AT(log_level),
     .fallback = "\"info\"",
     .help = "the least important lines that are written"},
    {.name = "LogFormat", .kind = OPTION_CHOICE, .choices = log_formats, AT(log_format),
     .fallback = "\"text\"",
     .help = "\"json\" makes every line of the log an object"},
    {.name = "LogToWebServer", .kind = OPTION_BOOLEAN, AT(log_to_web_server),
     .fallback = "false",
     .help = "the web server's log gets the messages of errors, too"},

    {.section = "Sessions", .name = "SessionName", .kind = OPTION_TEXT, AT(session_name),
     .fallback = "\"XLuaSession\"", .check = text_token,
     .expected = "a cookie name: letters, digits and !#$%&'*+-.^_`|~",
     .help = "name of the cookie"},
    {.name = "SessionTime", .kind = OPTION_SECONDS, .max = YEARS, AT(session_time),
     .fallback = "3600",
     .bends = true, .highest = INT32_MAX,
     .help = "a session ends so long after its last use; 0 never"},
    {.name = "SessionMaxAge", .kind = OPTION_SECONDS, .max = YEARS, AT(session_max_age),
     .fallback = "86400",
     .help = "a session ends so long after its start; 0 never"},
    {.name = "SessionKeyLen", .kind = OPTION_INTEGER, .min = KEY_LEN_MIN,
     .max = KEY_LEN_MAX, AT(session_key_len), .fallback = "24", .unit = "characters",
     .note = note_key_len,
     .bends = true, .lowest = 1,
     .help = "length of a session's key"},
    {.name = "SessionCookieSecure", .kind = OPTION_SECURE, AT(session_cookie_secure),
     .fallback = "\"auto\"",
     .help = "cookie over https only; \"auto\" when the request came so"},
    {.name = "SessionCookieHttpOnly", .kind = OPTION_BOOLEAN,
     AT(session_cookie_http_only), .fallback = "true",
     .risk = risk_of_script_cookies,
     .help = "hide the cookie from scripts in the browser"},
    {.name = "SessionCookieSameSite", .kind = OPTION_CHOICE, .choices = same_sites,
     AT(session_cookie_same_site), .fallback = "\"Lax\"",
     .help = "when other sites' links bring the cookie; \"\" says nothing"},
    {.name = "SessionCookieDomain", .kind = OPTION_TEXT, AT(session_cookie_domain),
     .fallback = "\"\"", .check = text_domain,
     .expected = "a domain name such as \"example.org\"",
     .help = "share the cookie with the hosts below it; \"\" for none"},
    {.name = "SessionCookiePersistent", .kind = OPTION_BOOLEAN,
     AT(session_cookie_persistent), .fallback = "true",
     .help = "the cookie outlives the browser's window"},
    {.name = "SessionTargetScore", .kind = OPTION_INTEGER, .min = -1000, .max = 1000,
     AT(session_target_score), .fallback = "3",
     .bends = true,
     .risk = risk_of_target_score,
     .help = "score a client must reach; 0 or less switches it off"},
    {.name = "SessionIpScore", .kind = OPTION_INTEGER, .min = -1000, .max = 1000,
     AT(session_ip_score), .fallback = "3",
     .bends = true,
     .help = "score of the same address"},
    {.name = "SessionUserAgentScore", .kind = OPTION_INTEGER, .min = -1000, .max = 1000,
     AT(session_user_agent_score), .fallback = "2",
     .bends = true,
     .help = "score of the same browser"},
    {.name = "SessionLanguageScore", .kind = OPTION_INTEGER, .min = -1000, .max = 1000,
     AT(session_language_score), .fallback = "1",
     .bends = true,
     .help = "score of the same language"},
    {.name = "SessionMaxCount", .kind = OPTION_INTEGER, .min = 1, .max = 10000000,
     AT(session_max_count), .fallback = "10000",
     .help = "sessions kept; the longest idle one makes room"},
    {.name = "SessionMaxSize", .kind = OPTION_BYTES, .max = SIZE_LIMIT,
     AT(session_max_size), .fallback = "65536",
     .help = "what one session may hold; 0 for no limit"},
    {.name = "SessionFile", .kind = OPTION_PATH, AT(session_file), .fallback = "\"\"",
     .help = "keeps sessions over a restart; \"\" for none"},

    {.section = "Your own", .name = "Config", .kind = OPTION_TABLE, AT(app),
     .fallback = "{}",
     .help = "values for your scripts, which get a copy of their own"},
};
/* clang-format on */

const size_t option_count = sizeof option_rows / sizeof option_rows[0];

_Static_assert(sizeof option_rows / sizeof option_rows[0] <= OPTIONS_MAX,
               "arrays have room for every row");

const struct option_row *option_named(const char *name)
{
    for (size_t i = 0; i < option_count; i++)
        if (strcmp(option_rows[i].name, name) == 0)
            return &option_rows[i];
    return NULL;
}
