/* The program: reads the command line and the configuration, starts the threads, then
 * waits for signals. Signals are blocked before the threads that stay are made, so
 * in all of them, and the main thread takes them by sigwait: none interrupts any code.
 *
 * The order of the start: first what may fail because a right is missing or an address is
 * taken, and the giving up of privileges, while the user's terminal is still there for
 * the message. Then the fork of Daemonize, then the threads. */
#include "main.h"

#include "base/account.h"
#include "base/chore.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/reserve.h"
#include "config.h"
#include "daemon/access.h"
#include "daemon/background.h"
#include "daemon/governor.h"
#include "daemon/heartbeat.h"
#include "daemon/history.h"
#include "daemon/hooks.h"
#include "daemon/loading.h"
#include "daemon/notify.h"
#include "daemon/offline.h"
#include "daemon/pidfile.h"
#include "daemon/rows.h"
#include "daemon/saver.h"
#include "daemon/slowlog.h"
#include "daemon/status_server.h"
#include "daemon/sweeper.h"
#include "daemon/view.h"
#include "daemon/worker.h"
#include "fastcgi/connection.h"
#include "fastcgi/fcgi.h"
#include "fastcgi/listener.h"
#include "lua/handle.h"
#include "lua/limit.h"
#include "pool.h"
#include "pool/closer.h"
#include "store/session.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* make hasty defines those that are within #ifndef, here and in other files. */
#ifndef SHUTDOWN_TIMEOUT
#define SHUTDOWN_TIMEOUT 30000 /* milliseconds that running requests have to finish */
#endif
#define LOG_TIMEOUT     1000 /* milliseconds that the last lines of the log have */
#define RELOAD_LOOK     20   /* between two looks for signals during a reload */
#define EVICTED_AT_ONCE 16   /* idle states that are closed when descriptors are short */

/* Milliseconds that the end waits for finalizers of states, for a look at a file, and for
 * the sessions. */
#define CLOSING_TIMEOUT 2000
#define SWEEPER_TIMEOUT 2000
#define HOOKS_TIMEOUT   5000 /* that it waits for OnStop, */
#define STATUS_TIMEOUT  2000 /* and for who asks for the status */
#ifndef SAVING_TIMEOUT
#define SAVING_TIMEOUT 5000
#endif

struct options {
    bool check;             /* -t */
    const char *file;       /* as given or found; NULL: built-in defaults */
    struct offline offline; /* -r; no `script`: the daemon is to run */
};

static _Noreturn void die(const char *message)
{
    log_flush(LOG_TIMEOUT);
    fprintf(stderr, "luafcgid2: %s\n", message);
    exit(EXIT_FAILURE);
}

/* -- The command line -- */

static void print_usage(FILE *out)
{
    fputs("usage: luafcgid2 [-t] [-c FILE | FILE]\n"
          "       luafcgid2 -r SCRIPT [-i] [-c FILE] [NAME=value ...]\n"
          "       luafcgid2 -h | -v\n",
          out);
}

static void print_help(void)
{
    print_usage(stdout);
    fputs("\nA FastCGI daemon that runs Lua scripts for web servers.\n\n"
          "  -c FILE  configuration; without it ./config.lua, then\n"
          "           " LUAFCGID2_CONFIG_FILE ", then built-in defaults\n"
          "  -t       check the configuration and exit\n"
          "  -r SCRIPT  run one request without a web server: CGI parameters from the\n"
          "           command line, the body from standard input\n"
          "  -i       with -r: print the response's headers, too\n"
          "  -h       this help; --help\n"
          "  -v       version; --version\n\n"
          "Options of the configuration file, see luafcgid2-config(5):\n\n",
          stdout);
    config_print_options(stdout);
}

static const char *default_file(void)
{
    static const char *const places[] = {"config.lua", LUAFCGID2_CONFIG_FILE};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (access(places[i], F_OK) == 0)
            return places[i];
    return NULL;
}

/* Turns --help and --version into -h and -v. getopt refuses other options with two
 * dashes. */
static void spell_short(int argc, char **argv)
{
    static char help[] = "-h", version[] = "-v";
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0)
            argv[i] = help;
        else if (strcmp(argv[i], "--version") == 0)
            argv[i] = version;
}

static _Noreturn void refuse_usage(void)
{
    print_usage(stderr);
    exit(EXIT_FAILURE);
}

/* What follows the options: parameters of the request with -r, else a file. */
static void take_words(struct options *options, int count, char **words)
{
    if (options->offline.script == NULL) {
        if (options->offline.headers || count > (options->file == NULL))
            refuse_usage();
        if (count > 0)
            options->file = words[0];
        return;
    }
    for (int i = 0; i < count; i++)
        if (strchr(words[i], '=') == NULL || words[i][0] == '=')
            refuse_usage();
    options->offline.pairs = (const char *const *)words; /* NULL comes last */
}

static struct options parse_options(int argc, char **argv)
{
    struct options options = {0};
    spell_short(argc, argv);
    int c;
    while ((c = getopt(argc, argv, "tc:hvr:i")) != -1) {
        switch (c) {
        case 't':
            options.check = true;
            break;
        case 'c':
            options.file = optarg;
            break;
        case 'r':
            options.offline.script = optarg;
            break;
        case 'i':
            options.offline.headers = true;
            break;
        case 'h':
            print_help();
            exit(EXIT_SUCCESS);
        case 'v':
            puts("luafcgid2 " LUAFCGID2_RELEASE);
            exit(EXIT_SUCCESS);
        default:
            refuse_usage();
        }
    }
    if (options.check && options.offline.script != NULL)
        refuse_usage();
    take_words(&options, argc - optind, argv + optind);
    if (options.file == NULL)
        options.file = default_file();
    return options;
}

/* Ends the process without exit, which might wait for a stream that the configuration
 * still uses. `hooks` gets those of the file; NULL: they are not to run. */
static struct config *load_or_die(const char *file, struct config_hooks **hooks)
{
    char *errors;
    struct config *config = loading_run(file, &errors, hooks);
    if (config == NULL) {
        fputs(errors != NULL && errors[0] != '\0' ? errors : "out of memory\n", stderr);
        fflush(stderr);
        _exit(EXIT_FAILURE);
    }
    free(errors);
    return config;
}

static void check(const char *file)
{
    struct config *config = load_or_die(file, NULL);
    config_log_warnings(config);
    printf("%s: good: %d workers on %s, log to %s\n",
           file == NULL ? "built-in defaults" : file, config->worker_threads,
           config->listen,
           config->log_file_path[0] == '\0' ? "standard error" : config->log_file_path);
    config_unref(config);
    exit(EXIT_SUCCESS);
}

/* -- Start -- */

/* Descriptors 0 to 2 must be in use. Else a socket could become standard error. */
static void open_standard_descriptors(void)
{
    int fd;
    while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= 2)
        ;
    if (fd >= 0)
        close(fd);
}

/* A script that reads standard input must not wait for a terminal. To be called after
 * listening, because standard input may be the listening socket. */
static void close_standard_input(void)
{
    int fd = open("/dev/null", O_RDONLY);
    if (fd >= 0) {
        dup2(fd, STDIN_FILENO);
        close(fd);
    }
}

/* Becomes User and Group. The log and the pid file are given to them before, while this
 * is still allowed: both are written later. */
static void drop_privileges(const struct config *config)
{
    struct account user = {.uid = geteuid(), .gid = getegid()};
    if (config->user[0] != '\0' && !account_find_user(config->user, &user))
        die("User and Group: the change failed");
    gid_t gid = user.gid;
    if (config->group[0] != '\0' && !account_find_group(config->group, &gid))
        die("User and Group: the change failed");
    if (user.uid == geteuid() && gid == getegid())
        return;
    if (geteuid() != 0)
        die("User and Group: only root can become somebody else");
    log_chown(user.uid, gid);
    access_chown(user.uid, gid);
    slowlog_chown(user.uid, gid);
    pidfile_chown(user.uid, gid);
    if (!account_become(&user, gid))
        die("User and Group: the change failed");
}

static void block_signals(sigset_t *handled)
{
    static const int faults[] = {SIGSEGV, SIGBUS,  SIGFPE, SIGILL,
                                 SIGABRT, SIGTRAP, SIGSYS};
    sigset_t all;
    sigfillset(&all);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    sigemptyset(handled);
    sigaddset(handled, SIGTERM);
    sigaddset(handled, SIGINT);
    sigaddset(handled, SIGHUP);
    sigaddset(handled, SIGUSR1);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* if it were ignored, children could not be awaited */
}

/* -- Reload -- */

static void take_over(struct config *config, struct config_hooks *hooks)
{
    struct config *old = config_current();
    char names[512];
    if (config_needs_restart(old, config, names, sizeof names))
        log_warning("these changes need a restart: %s", names);
    log_set_format(config->log_format);
    log_open(config->log_file_path, config->log_level);
    access_open(config);
    slowlog_open(config);
    config_publish(config_ref(config));
    sweeper_wake(); /* it closes the idle states of the old configuration */
    log_info("configuration reloaded");
    hooks_start(config, hooks, "reload");
    config_unref(config);
    config_unref(old);
}

static struct loading *begin_reload(const char *file)
{
    notify_reloading();
    struct loading *l = loading_begin(file, true);
    if (l == NULL) {
        log_error("the configuration was not reloaded: out of memory");
        notify_tell("READY=1");
    }
    return l;
}

static void end_reload(struct loading *l)
{
    char *errors;
    struct config_hooks *hooks;
    struct config *config = loading_end(l, &errors, &hooks);
    if (config != NULL) {
        take_over(config, hooks);
    } else {
        log_lines(LOG_LEVEL_ERROR,
                  errors != NULL && errors[0] != '\0' ? errors : "out of memory");
        log_error("the configuration was not reloaded: the old one stays");
    }
    free(errors);
    notify_tell("READY=1");
}

/* The daemon ends. A load that is still under way ends with the process. */
static void drop_reload(struct loading *l)
{
    char *errors;
    config_unref(loading_end(l, &errors, NULL));
    free(errors);
}

/* The next signal. While a configuration is loaded, it waits for RELOAD_LOOK at most; 0:
 * none came. */
static int next_signal(const sigset_t *handled, struct loading *loading)
{
    static const struct timespec now = {0};
    int number;
    if (loading == NULL)
        return sigwait(handled, &number) == 0 ? number : 0;
    loading_wait(loading, RELOAD_LOOK);
    number = sigtimedwait(handled, NULL, &now);
    return number > 0 ? number : 0;
}

/* Returns when it is time to end. A reload that is asked for during another one comes
 * after it. */
static void wait_for_signals(const sigset_t *handled, const char *file)
{
    struct loading *loading = NULL;
    bool wanted = false;
    for (;;) {
        switch (next_signal(handled, loading)) {
        case SIGHUP:
            wanted = true;
            break;
        case SIGUSR1:
            log_reopen();
            access_reopen();
            slowlog_reopen();
            log_info("log reopened");
            break;
        case SIGTERM:
        case SIGINT:
            if (loading != NULL)
                drop_reload(loading);
            return;
        }
        if (loading != NULL && loading_wait(loading, 0)) {
            end_reload(loading);
            loading = NULL;
        }
        if (loading == NULL && wanted) {
            wanted = false;
            loading = begin_reload(file);
        }
    }
}

/* -- The whole -- */

struct listeners {
    int main, status; /* -1: none */
};

/* Takes what the system may refuse, while the user can still see the message. */
static struct listeners take_resources(const struct config *config)
{
    char error[512];
    log_set_format(config->log_format);
    log_open(config->log_file_path, config->log_level);
    access_open(config);
    slowlog_open(config);
    if (!pidfile_open(config->pid_file, error, sizeof error))
        die(error);
    struct listeners l = {listener_listen(config, error, sizeof error), -1};
    bool wanted = config->status_listen[0] != '\0';
    if (l.main >= 0 && wanted)
        l.status = listener_listen_status(config, error, sizeof error);
    if (l.main < 0 || (wanted && l.status < 0)) {
        listener_unlink();
        pidfile_remove();
        die(error);
    }
    return l;
}

/* Called when scripts have too many files open. true: some states are being closed. */
static bool evict_states(void *pool)
{
    struct config *config = config_current();
    int evicted = pool_evict(pool, config, EVICTED_AT_ONCE);
    config_unref(config);
    return evicted > 0 || pool_is_closing(pool);
}

static struct service *start(struct config *config, struct listeners listeners)
{
    static struct service service;
    service.connections = connections_create(listeners.main, config);
    service.pool = pool_create();
    handle_set_eviction(evict_states, service.pool);
    service.sessions = store_create(config);
    config_publish(config_ref(config));
    view_init(&service);
    rows_register();
    if (service.connections == NULL || service.pool == NULL || service.sessions == NULL ||
        !closers_start(config->worker_threads) ||
        !workers_start(&service, config->worker_threads) ||
        !sweeper_start(service.pool, config->worker_threads) ||
        !saver_start(service.sessions) ||
        !governor_start(&service, config->worker_threads) || !history_start(&service) ||
        !status_server_start(&service, listeners.status, config) ||
        !heartbeat_start(&service)) {
        listener_unlink();
        pidfile_remove();
        die("cannot start: out of memory, threads or descriptors");
    }
    log_info("luafcgid2 " LUAFCGID2_RELEASE " started: %d workers on %s",
             config->worker_threads, config->listen);
    return &service;
}

static void on_alarm(int number)
{
    (void)number;
    _exit(EXIT_SUCCESS);
}

/* The process ends even if a finalizer holds up a thread for which stop waits. */
static void set_last_alarm(void)
{
    sigset_t set;
    signal(SIGALRM, on_alarm);
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    alarm((SHUTDOWN_TIMEOUT + HOOKS_TIMEOUT + STATUS_TIMEOUT + CLOSING_TIMEOUT +
           SWEEPER_TIMEOUT + SAVING_TIMEOUT) /
              1000 +
          3); /* before TimeoutStopSec of the systemd unit is over */
}

static bool close_scripts(struct service *service)
{
    pool_close_idle(service->pool);
    bool closed = closers_stop(CLOSING_TIMEOUT);
    if (!closed)
        log_warning(
            "the closing of scripts was cut off: a finalizer (__gc) took too long");
    return closed;
}

/* Ends everything in the order in which it depends on each other. A thread that has not
 * ended in its time may still use what would be freed, so then nothing is freed. */
static void stop(struct service *service)
{
    log_info("stopping");
    notify_tell("STOPPING=1");
    set_last_alarm();
    connections_stop(service->connections);
    governor_stop();
    bool all = workers_wait(SHUTDOWN_TIMEOUT);
    listener_unlink();
    if (!all)
        log_warning("requests still running after %d s were cut off",
                    SHUTDOWN_TIMEOUT / 1000);
    bool unused = hooks_stop(HOOKS_TIMEOUT);
    unused &= status_server_stop(STATUS_TIMEOUT);
    heartbeat_stop();
    history_stop();
    unused &= saver_stop(SAVING_TIMEOUT);
    unused &= sweeper_stop(SWEEPER_TIMEOUT);
    unused &= close_scripts(service);
    unused &= loading_is_over();
    chores_stop();
    pidfile_remove();
    if (!all)
        connections_cut_all(service->connections);
    if (!all || !unused) {
        access_flush(LOG_TIMEOUT);
        slowlog_flush(LOG_TIMEOUT);
        log_flush(LOG_TIMEOUT);
        _exit(EXIT_SUCCESS);
    }
    status_server_destroy();
    pool_destroy(service->pool);
    connections_destroy(service->connections);
    store_destroy(service->sessions);
    config_publish(NULL);
    access_flush(LOG_TIMEOUT);
    slowlog_flush(LOG_TIMEOUT);
    log_info("stopped");
    log_flush(LOG_TIMEOUT);
}

/* For a reload, when the working directory may be another one. */
static char *absolute(const char *file)
{
    char *path = path_absolute(file);
    if (path == NULL)
        die(errno == ENOMEM ? "out of memory" : strerror(errno));
    return path;
}

static int run_offline(const struct options *options)
{
    struct config *config = load_or_die(options->file, NULL);
    int status = offline_run(config, &options->offline);
    config_unref(config);
    return status;
}

int main(int argc, char **argv)
{
    struct options options = parse_options(argc, argv);
    if (options.check)
        check(options.file);
    open_standard_descriptors();
    if (options.offline.script != NULL)
        return run_offline(&options);
    char *path = options.file == NULL ? NULL : absolute(options.file);
    memory_init();
    reserve_fill();
    struct config_hooks *hooks;
    struct config *config = load_or_die(options.file, &hooks);
    /* What the load has freed. So the log's queue takes untouched pages. */
    memory_give_back();
    sigset_t handled;
    /* Before a client can connect and take the daemon for ready. */
    block_signals(&handled);
    struct listeners listeners = take_resources(config);
    close_standard_input();
    drop_privileges(config);
    if (config->daemonize && !background_enter())
        die(strerror(errno));
    if (!pidfile_write()) {
        log_error("PidFile: %s: %s", config->pid_file, strerror(errno));
        listener_unlink();
        pidfile_remove();
        die("the PidFile cannot be written");
    }
    background_detach();
    if (!log_start())
        log_warning("the log has no thread of its own: %s", strerror(errno));
    log_hurry();
    access_start();
    slowlog_start();
    notify_start();
    fcgi_start();
    if (!limit_init())
        log_warning(
            "loops in finalizers (__gc) cannot be ended: Lua is not built as usual");
    memory_give_back(); /* the table of connections takes untouched pages, too */
    struct service *service = start(config, listeners);
    hooks_start(config, hooks, "start");
    config_unref(config);
    notify_tell("READY=1");
    wait_for_signals(&handled, path);
    stop(service);
    free(path);
    return EXIT_SUCCESS;
}
