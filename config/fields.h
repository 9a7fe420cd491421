/* What a configuration holds: struct config, filled by one load and never changed after
 * it. The rows of config/option.c say where each option goes. Readers include config.h.
 */
#ifndef LUAFCGID2_CONFIG_FIELDS_H
#define LUAFCGID2_CONFIG_FIELDS_H

#include "base/log.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct accesslog; /* http/accesslog.h */

enum config_secure { CONFIG_SECURE_NO, CONFIG_SECURE_YES, CONFIG_SECURE_AUTO };
enum config_same_site {
    CONFIG_SAME_SITE_NONE, /* SameSite=None */
    CONFIG_SAME_SITE_LAX,
    CONFIG_SAME_SITE_STRICT,
    CONFIG_SAME_SITE_OMIT, /* "": the cookie says nothing about it */
};

/* The site's own page for an error. */
struct config_page {
    int status; /* from 400 to 599; 0 ends a list */
    char *path; /* absolute */
};

struct config {
    char *file; /* where it came from, as given; NULL: built-in defaults */

    /* Start only: a reload that changes these says that it needs a restart. */
    char *listen; /* its syntax checked; a relative path as given */
    int worker_threads;
    int backlog; /* never negative */
    bool daemonize;
    char *user, *group;                /* "" keeps the one the daemon was started as */
    char *listen_owner, *listen_group; /* "" leaves the socket's as created */
    unsigned listen_mode;              /* permission bits */
    char *pid_file;                    /* absolute, "" for none */
    int max_connections;
    int max_head_size; /* bytes */

    int worker_threads_max; /* at least worker_threads */
    int max_waiting;

    /* Lua states */
    int lua_states, lua_max_states, lua_total_states;
    int lua_max_search_retries;
    int lua_max_requests;   /* 0: never renewed */
    int lua_max_errors;     /* in a row; 0: never renewed for them */
    int min_file_info_time; /* milliseconds */
    bool use_file_checksum;
    char *startup_script; /* absolute, "" for none */
    char *entrypoint;
    char *on_state_start, *on_state_stop; /* names of global functions, "" for none */
    bool on_start, on_heartbeat, on_stop; /* whether the file has such a function */
    bool entrypoint_set;                  /* false: main, then handler */
    char **allowed_extensions; /* NULL-terminated; {} (empty) allows every file */
    bool allow_bytecode;
    char *data_dir;    /* absolute, "" for none; it need not exist */
    char *script_root; /* absolute, its links to be resolved at use; "" for none */

    /* Limits. 0 switches one off. */
    int64_t event_keep_alive, request_timeout_max;        /* milliseconds */
    int64_t request_timeout, read_timeout, write_timeout; /* milliseconds */
    int64_t max_pending_output;                           /* bytes */
    int64_t keep_alive_timeout, watchdog;                 /* milliseconds */
    int64_t script_memory_limit;                          /* bytes */
    int64_t max_post_size;                                /* bytes */
    int64_t shared_max_size;                              /* bytes */
    int64_t subscription_max_size;                        /* bytes */
    int64_t max_upload_size;                              /* bytes, of a whole body */
    int max_form_fields;
    char *upload_dir; /* absolute */

    /* Responses */
    int headers_size, body_size, body_sectors; /* first buffer sizes, bytes */
    char *default_headers;                     /* "Name: value\r\n" lines, checked */
    char *default_http_status;                 /* "200 OK" */
    char *default_content_type;
    bool buffering;
    char *send_file_header; /* "", "X-Sendfile" or "X-Accel-Redirect: DIR=URI, ..." */
    bool show_errors;
    struct config_page *error_pages; /* by status; 0 ends them. See config_error_page */

    /* Log */
    char *log_file_path; /* absolute or "syslog:...", "" for standard error */
    enum log_level log_level;
    enum log_format log_format;
    bool log_to_web_server;
    char *access_log_path;   /* as the log's, "" for none */
    char *access_log_format; /* and compiled: */
    struct accesslog *access_log_lines;
    int64_t slow_log_time; /* milliseconds; 0: no slow log */
    char *slow_log_path;   /* absolute, "" for the log */

    /* Status */
    char *status_path, *ping_path; /* "" for none */
    char *status_listen;           /* "" for none */
    char *ping_response;

    /* Sessions */
    char *session_name;
    int64_t session_time, session_max_age; /* milliseconds; 0: no such limit */
    int session_key_len;
    enum config_secure session_cookie_secure; /* YES for a __Host- or __Secure- name */
    bool session_cookie_http_only;
    enum config_same_site session_cookie_same_site;
    char *session_cookie_domain; /* "" for none */
    bool session_cookie_persistent;
    int session_target_score, session_ip_score, session_user_agent_score;
    int session_language_score;
    int session_max_count;
    int64_t session_max_size; /* bytes; 0: no limit */
    char *session_file;       /* absolute, "" for none */

    char *app; /* the table `Config`, encoded by base/value.h */
    size_t app_len;

    char *warnings; /* of this file, lines; NULL: none. See config_log_warnings */
};

struct lua_State;
struct buffer;
struct config_hooks; /* config.h */

enum config_hook { CONFIG_ON_START, CONFIG_ON_HEARTBEAT, CONFIG_ON_STOP };

/* What hooks can call beside the standard library. All may raise errors of Lua. */
struct config_library {
    /* Before the file runs. What it puts in place of functions of the standard library
     * does the same, and calls config_hooks_check. */
    void (*prepare)(struct lua_State *L);

    void (*open)(struct lua_State *L, const struct config *config); /* once */
    void (*end)(struct lua_State *L); /* after each hook, however it ended */
};

enum { CONFIG_LOAD_TIME = 10000 }; /* milliseconds that a file may take to load */

#endif
