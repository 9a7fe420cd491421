/* Serves requests while memory runs out at the 1st, 2nd, 3rd ... allocation, until a
 * request comes through without any having failed. Each failure must be clean: the answer
 * is whole and right, a whole error page, or the connection is closed before the end of
 * the response; and the next request, with memory to be had, is served as ever. Then the
 * same with no memory at all from that point on.
 *
 *     torture [KIND]...     all kinds without an argument
 *
 * The daemon's rooms run in this process, with one worker, a pool of one state, and the
 * smallest of buffers (see the Makefile); AddressSanitizer watches, and looks for leaks
 * at the end. This thread is the client. */
#include "base/log.h"
#include "config.h"
#include "daemon/worker.h"
#include "fastcgi/connection.h"
#include "fastcgi/jam.h"
#include "fastcgi/listener.h"
#include "fastcgi/record.h"
#include "faults.h"
#include "lua/limit.h"
#include "pool.h"
#include "store/session.h"
#include "store/store.h"
#include "tests/records.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE = 20000 /* ms until an answer is overdue */, MOST = 100000 };

static char directory[64];
static struct config *config;
static struct service service;

static _Noreturn void fail(const char *what)
{
    char command[128];
    fprintf(stderr, "torture: %s; last lines of the log:\n", what);
    snprintf(command, sizeof command, "tail -n 20 %s/log >&2", directory);
    if (system(command) != 0)
        fputs("(there is none)\n", stderr);
    abort();
}

static void check(bool ok, const char *what)
{
    if (!ok)
        fail(what);
}

/* -- The kinds of request -- */

struct kind {
    const char *name;
    const char *source;   /* of the script; NULL: there is no such file */
    const char *expected; /* the end of the whole response */
    const char *method, *body, *cookie;
    bool fresh; /* under a new name each time: the script is loaded for the request */
};

static const struct kind kinds[] = {
    {"hello", "function main() return 'hello' end", "\r\n\r\nhello", "GET", "", "",
     false},
    {"first load", "function main() return 'hello' end", "\r\n\r\nhello", "GET", "", "",
     true},
    {"v1",
     "function main(env, con) con:header('X-A', env.QUERY_STRING) con:puts('a1') end",
     "\r\n\r\na1", "GET", "", "a=b; c=\"d\"", false},
    {"POST", "function main() local a, b = Receive(10), Receive() Send(#a, ' ', #b) end",
     "\r\n\r\n10 40", "POST", "01234567890123456789012345678901234567890123456789", "",
     false},
    {"echo",
     "function main(env, con) for s in function() return con:gets(7) end do Send(s) end "
     "end",
     "\r\n\r\n01234567890123456789", "POST", "01234567890123456789", "", false},
    {"headers",
     "function main() for i = 1, 9 do Header('X-' .. i, ('v'):rep(i)) "
     "Header('Set-Cookie', "
     "'c=' .. i) end RespStatus(404) RespContentType('text/plain') return 'found' end",
     "\r\n\r\nfound", "GET", "", "", false},
    {"flush", "function main() for i = 1, 5 do Send('part', i) Flush() end end",
     "\r\n\r\npart1part2part3part4part5", "GET", "", "", false},
    {"session",
     "function main() assert(Session.SetVar('r', 'k', {1, 'two', {3}})) "
     "return Session.GetVar('r', 'k')[3][1] end",
     "\r\n\r\n3", "GET", "", "", false},
    {"unknown session", "function main() return tostring(Session.GetVar('r', 'k')) end",
     "\r\n\r\nnil", "GET", "", "XLuaSession=aaaaaaaaaaaaaaaaaaaaaaaa", false},
    {"module", "local word = require 'word' function main() return word.word end",
     "\r\n\r\nword", "GET", "", "", true},
    {"dofile",
     "function main() Send(dofile('word.lua').word, loadfile('word.lua')().word) end",
     "\r\n\r\nwordword", "GET", "", "", false},
    {"lf",
     "function main() return lf.serialize(lf.parse('a=1&b=%20&a=2')):len() > 9 and "
     "lf.urlencode(' ') end",
     "\r\n\r\n+", "GET", "", "", false},
    {"coroutines",
     "function main() local f = coroutine.wrap(function() for i = 1, 5 do "
     "coroutine.yield(i) "
     "end end) return (('xxx'):gsub('.', f)) end",
     "\r\n\r\n123", "GET", "", "", false},
    {"finalizers",
     "function main() for i = 1, 9 do setmetatable({}, {__gc = function() n = (n or 0) + "
     "1 end}) "
     "end collectgarbage() assert(n % 9 == 0) return 'collected' end",
     "\r\n\r\ncollected", "GET", "", "", false},
    {"output",
     "function main() print('a', 'line') io.write('another') return 'logged' end",
     "\r\n\r\nlogged", "GET", "", "", false},
    {"variables",
     "function main() local n = 0 for name in pairs(_G) do n = n + #name end "
     "for name, value in pairs(Env) do n = n + #tostring(value) end "
     "return n > 99 and Cookies.a .. Cookies.c .. Config.a.b[4] .. Info.Thread end",
     "\r\n\r\nbdx1", "GET", "", "a=b; c=\"d\"", false},
    {"child",
     "function main() local p = io.popen('echo child') local s = p:read() p:close() "
     "return s end",
     "\r\n\r\nchild", "GET", "", "", false},
    {"forgotten files",
     "function main() for i = 1, 40 do local f = io.open('word.lua') f:read('a') end "
     "io.input('word.lua') for line in io.lines('word.lua') do return 'read' end end",
     "\r\n\r\nread", "GET", "", "", false},
    {"forgotten child", "function main() return io.popen('echo child'):read() end",
     "\r\n\r\nchild", "GET", "", "", false},
    {"refused form", "function main() lf.parse(('a=1&'):rep(1001)) end", "</html>\n",
     "GET", "", "", false},
    {"late finalizer",
     "function main() local meta = {__gc = true} local t = setmetatable({}, meta) "
     "meta.__gc = function() late = true end t = nil collectgarbage() return late and "
     "'late' end",
     "\r\n\r\nlate", "GET", "", "", false},
    {"coroutine nest",
     "local function nest(n) return n == 0 and 'deep' or coroutine.wrap(nest)(n - 1) end "
     "function main() return nest(20) end",
     "\r\n\r\ndeep", "GET", "", "", false},
    {"long chunk",
     "local text = ('local a = {1, \"two\", x = 3} ; '):rep(30) .. 'return 5' "
     "local parts = {'return ', '6'} local i = 0 "
     "function main() i = 0 return load('do ' .. text:gsub('; ', 'end do ', 29) .. ' "
     "end "
     "return 5')() .. load(function() i = i + 1 return parts[i] end)() end",
     "\r\n\r\n56", "GET", "", "", false},
    {"chunk too long",
     "function main() local f, why = load('return ' .. ('('):rep(250)) "
     "return why:match('C levels') end",
     "\r\n\r\nC levels", "GET", "", "", false},
    {"text too long",
     "local t = {'text'} for i = 1, 20 do t = {t, t} end "
     "function main() if not warm then warm = true error('warm') end "
     "return lf.serialize(t) end",
     "</html>\n", "GET", "", "", false},
    {"serialize",
     "local t = {'text'} for i = 1, 4 do t = {t, t, x = 1.5} end "
     "function main() return #load('return ' .. lf.serialize(t))()[1][2][1] end",
     "\r\n\r\n2", "GET", "", "", false},
    {"hook",
     "function main() local n = 0 local function f() n = n + 1 end "
     "debug.sethook(f, '', 1) local x = 1 x = x + 1 debug.sethook() "
     "assert(n > 0 and debug.gethook() == nil) return 'hooked' end",
     "\r\n\r\nhooked", "GET", "", "", false},
    {"handler",
     "function main() local ok, why = xpcall(function() error('a') end, function(e) "
     "return e:upper() end) "
     "local _, two = xpcall(error, function(e) return tostring(e) .. 2 end) "
     "return why:sub(-1) .. two end",
     "\r\n\r\nAnil2", "GET", "", "", false},
    {"fences",
     "function main() local local_ = 1 debug.setlocal(1, 1, 'set') "
     "local m = getmetatable(io.stdout) m.twice = function(f, x) return x .. x end "
     "m.__gc = nil local f = io.open('word.lua') "
     "local ok = pcall(debug.setmetatable, f, nil) "
     "return local_ .. f:twice(2) .. tostring(ok) end",
     "\r\n\r\nset22false", "GET", "", "", false},
    {"nested finalizer",
     "function main() setmetatable({}, {__gc = function() "
     "pcall(coroutine.wrap(function() for i = 1, 5 do setmetatable({}, {__gc = "
     "function() inner = 'inner' end}) end error('in a finalizer') end)) end}) "
     "collectgarbage() collectgarbage() return inner end",
     "\r\n\r\ninner", "GET", "", "", false},
    {"wait",
     "function main() Send('a') Sleep(0) pcall(coroutine.wrap(function() Sleep(0.001) "
     "end)) local f = io.tmpfile() Send(Wait(f)) f:close() Sleep(0) return 'b' end",
     "\r\n\r\nar", "GET", "", "", false},
    {"wait after a flush",
     "function main() for i = 1, 3 do Send('part', i) Flush() Sleep(0) end end",
     "\r\n\r\npart1part2part3", "GET", "", "", false},
    {"thread data", "function main() return ThreadData()[Env.SCRIPT_FILENAME] end",
     "\r\n\r\n1", "GET", "", "", false},
    {"error", "function main() error({}) end", "</html>\n", "GET", "", "", false},
    {"error at load", "error('at load')", "</html>\n", "GET", "", "", true},
    {"syntax error", "function main( end", "</html>\n", "GET", "", "", true},
    {"os.exit", "function main() Send('so far') os.exit() end", "\r\n\r\nso far", "GET",
     "", "", false},
    {"memory",
     "function main() if not warm then warm = true error('warm') end "
     "local t = {} while true do t[#t + 1] = {} end end",
     "</html>\n", "GET", "", "", false},
    {"no such script", NULL, "</html>\n", "GET", "", "", false},
};

#define KINDS (sizeof kinds / sizeof *kinds)

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    check(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0, "cannot write a file");
}

/* -- The client -- */

struct answer {
    uint8_t data[65536];
    size_t len;
};

static void make_request(struct message *out, const struct kind *k, const char *path)
{
    static struct message params;
    char length[24];
    params.len = out->len = 0;
    snprintf(length, sizeof length, "%zu", strlen(k->body));
    put_pair(&params, "SCRIPT_FILENAME", path, false);
    put_pair(&params, "SCRIPT_NAME", strrchr(path, '/'), false);
    put_pair(&params, "REQUEST_METHOD", k->method, false);
    put_pair(&params, "QUERY_STRING", "query", false);
    put_pair(&params, "CONTENT_LENGTH", length, false);
    put_pair(&params, "REMOTE_ADDR", "192.0.2.1", false);
    put_pair(&params, "HTTP_USER_AGENT", "torture", false);
    put_pair(&params, "HTTP_COOKIE", k->cookie, false);
    put_begin(out, 1, 1, 0, 0);
    put_stream(out, RECORD_PARAMS, 1, params.data, params.len, 65535);
    put_stream(out, RECORD_STDIN, 1, k->body, strlen(k->body), 65535);
}

static int connect_to_daemon(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/s", directory);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0,
          "cannot connect");
    return fd;
}

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Sends all at once, or byte by byte, each when the one before was taken, until the
 * answer begins. The daemon may close at any time. */
static void send_request(int fd, const struct message *out, bool bytewise)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int64_t until = now() + PATIENCE;
    for (size_t i = 0, step = 1; i < out->len; i += step) {
        step = bytewise && poll(&p, 1, 0) == 0 ? 1 : out->len - i;
        if (send(fd, out->data + i, step, MSG_NOSIGNAL) != (ssize_t)step)
            return;
        for (int unread = step == 1; unread > 0 && poll(&p, 1, 0) == 0;) {
            check(ioctl(fd, SIOCOUTQ, &unread) == 0, "cannot look at a socket's queue");
            check(now() < until, "a byte was not taken");
        }
    }
}

static void receive_all(int fd, struct answer *in)
{
    in->len = 0;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int events;
        do
            events = poll(&p, 1, PATIENCE);
        while (events < 0 && errno == EINTR);
        check(events == 1, "no answer");
        ssize_t n = recv(fd, in->data + in->len, sizeof in->data - in->len, 0);
        if (n <= 0)
            return;
        in->len += (size_t)n;
        check(in->len < sizeof in->data, "an answer is larger than expected");
    }
}

static void append(struct answer *a, const void *data, size_t len)
{
    check(len <= sizeof a->data - a->len, "an answer is larger than expected");
    memcpy(a->data + a->len, data, len);
    a->len += len;
}

/* What a response ends with that is not whole. */
static bool is_cut(const struct answer *in, size_t at)
{
    uint8_t record[RECORD_CUT_SIZE];
    size_t size = record_put_cut(record, 1);
    return in->len - at == size && memcmp(in->data + at, record, size) == 0;
}

/* Unpacks the records into `out`, a string. Whether the response was whole. */
static bool unpack(const struct answer *in, struct answer *out)
{
    bool whole = false, cut = false;
    size_t i = 0;
    out->len = 0;
    while (i + 8 <= in->len) {
        size_t len = (size_t)in->data[i + 4] << 8 | in->data[i + 5];
        size_t size = 8 + len + in->data[i + 6];
        if (i + size > in->len)
            break;
        check(!whole, "bytes after the end of a response");
        if (in->data[i + 1] == RECORD_STDOUT)
            append(out, in->data + i + 8, len);
        else if (is_cut(in, i))
            cut = true;
        else
            check(in->data[i + 1] == RECORD_END_REQUEST, "a record of another kind");
        whole = in->data[i + 1] == RECORD_END_REQUEST;
        i += size;
    }
    check(!whole || i == in->len, "bytes after the end of a response");
    check(whole || cut || in->len == 0, "a broken response that looks like a whole one");
    append(out, "", 1);
    return whole;
}

/* The worker still collects garbage and gives the state back after its response. Then it
 * waits for the next request. */
static void await_idle(void)
{
    for (int64_t until = now() + PATIENCE; jam_idle(service.connections) == 0;) {
        check(now() < until, "the worker did not come to an end");
        nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
    }
}

/* One request; its answer, unpacked, in `answer`. */
static bool ask(const struct kind *k, const char *path, bool bytewise,
                struct answer *answer)
{
    static struct message out;
    static struct answer in;
    make_request(&out, k, path);
    int fd = connect_to_daemon();
    send_request(fd, &out, bytewise);
    receive_all(fd, &in);
    close(fd);
    await_idle();
    return unpack(&in, answer);
}

/* -- Judging -- */

static bool ends_with(const struct answer *answer, const char *end)
{
    size_t len = strlen(end);
    return answer->len > len &&
           memcmp(answer->data + answer->len - 1 - len, end, len) == 0;
}

static bool starts_with(const struct answer *answer, const char *start)
{
    return strncmp((const char *)answer->data, start, strlen(start)) == 0;
}

/* A header block, and a body of the length that it tells, if it does. */
static bool is_well_formed(const struct answer *answer)
{
    const char *text = (const char *)answer->data, *body = strstr(text, "\r\n\r\n");
    if (body == NULL || !starts_with(answer, "Status: "))
        return false;
    const char *length = strstr(text, "\r\nContent-Length: ");
    return length == NULL || length > body ||
           strtoul(length + 18, NULL, 10) == strlen(body + 4);
}

/* For want of memory the page of an error may be empty. */
static bool is_page(const struct answer *answer)
{
    return ends_with(answer, "\r\n\r\n") ||
           (strstr((const char *)answer->data, "\r\n\r\n<!DOCTYPE html>\n") != NULL &&
            ends_with(answer, "</html>\n"));
}

static void check_answer(const struct kind *k, const struct answer *answer, bool whole,
                         bool faulty)
{
    bool well_formed = is_well_formed(answer), page = is_page(answer);
    bool right =
        strstr(k->expected, "html") != NULL ? page : ends_with(answer, k->expected);
    if (whole && well_formed && right)
        return;
    if (faulty &&
        (!whole || (well_formed && page && starts_with(answer, "Status: 500 "))))
        return;
    fprintf(stderr, "%s answer of %zu bytes: %s\n", whole ? "whole" : "broken",
            answer->len - 1, (char *)answer->data);
    fail(faulty ? "wrong answer to a request that ran out of memory"
                : "wrong answer to a healthy request");
}

static void path_of(char *path, size_t size, const struct kind *k, unsigned n)
{
    snprintf(path, size, "%s/%zu-%u.lua", directory, (size_t)(k - kinds),
             k->fresh ? n : 0);
    if (k->source != NULL && access(path, F_OK) != 0)
        write_file(path, k->source);
}

/* With the n-th allocation failing, and `all` after it. Whether it came to that. A state
 * that is not to be loaded for the request is loaded by one before, and a script that
 * uses up its state lets that one pass. */
static bool one_round(const struct kind *k, unsigned n, bool all)
{
    static struct answer answer;
    char path[128], healthy[128];
    path_of(path, sizeof path, k, 2 * n + all);
    path_of(healthy, sizeof healthy, &kinds[0], 0);
    if (!k->fresh)
        check_answer(k, &answer, ask(k, path, false, &answer), false);
    faults_arm(n, all);
    bool whole = ask(k, path, false, &answer);
    bool fired = faults_disarm();
    check_answer(k, &answer, whole, fired);
    if (k->fresh)
        unlink(path);
    whole = ask(&kinds[0], healthy, false, &answer);
    check_answer(&kinds[0], &answer, whole, false);
    return fired;
}

/* A script of many allocations is not made to fail at each of the later ones. */
static unsigned next(unsigned n)
{
    return n < 1000 ? n + 1 : n + 1 + n / 100;
}

static void torture(const struct kind *k)
{
    static struct answer answer;
    char path[128];
    unsigned rounds = 0;
    for (int bytewise = 0; bytewise < 2; bytewise++) {
        path_of(path, sizeof path, k, 1);
        bool whole = ask(k, path, bytewise, &answer);
        check_answer(k, &answer, whole, false);
    }
    for (int all = 0; all < 2; all++) {
        unsigned n = 1;
        for (; one_round(k, n, all); n = next(n), rounds++)
            check(n < MOST, "there is no end to the allocations");
    }
    printf("%-16s %5u failures, all clean\n", k->name, rounds);
    fflush(stdout);
}

/* -- Start and end, which run out of memory too -- */

static void write_config(char *path, size_t size)
{
    char text[1024];
    snprintf(path, size, "%s/config.lua", directory);
    snprintf(
        text, sizeof text,
        "Listen = '%s/s' LogFilePath = '%s/log' WorkerThreads = 1 LuaStates = 1 "
        "LuaMaxStates = 1 LuaTotalStates = 1 LuaMaxSearchRetries = 0 HeadersSize = 0 "
        "BodySize = 0 BodySectors = 0 SessionMaxCount = 1 MaxConnections = 4 "
        "RequestTimeout = 0 ScriptMemoryLimit = 1048576 DefaultHeaders = '' "
        "Config = {a = {b = {1, 2.5, true, 'x'}}}",
        directory, directory);
    write_file(path, text);
}

static bool load_config(const char *path)
{
    FILE *errors = fopen("/dev/null", "w");
    config = config_load(path, errors);
    fclose(errors);
    return config != NULL;
}

/* `make` until it succeeds with memory to be had. */
static void torture_start(const char *name, bool (*make)(const char *), const char *arg,
                          void (*undo)(void))
{
    unsigned n = 1, failures = 0;
    for (;; n++) {
        faults_arm(n, false);
        bool ok = make(arg);
        bool fired = faults_disarm();
        check(ok || fired, "a start failed that need not have");
        failures += !ok;
        if (!fired)
            break;
        if (ok)
            undo();
    }
    printf("%-16s %5u failures, all clean\n", name, n - 1);
}

static void undo_config(void)
{
    config_unref(config);
}

static bool make_pool(const char *arg)
{
    (void)arg;
    return (service.pool = pool_create()) != NULL;
}

static void undo_pool(void)
{
    pool_destroy(service.pool);
}

static bool make_sessions(const char *arg)
{
    (void)arg;
    return (service.sessions = store_create(config)) != NULL;
}

static void undo_sessions(void)
{
    store_destroy(service.sessions);
}

static bool make_connections(const char *arg)
{
    (void)arg;
    return (service.connections = connections_create(-1, config)) != NULL;
}

static void undo_connections(void)
{
    connections_destroy(service.connections);
}

static void start(void)
{
    char path[128], error[512];
    write_config(path, sizeof path);
    torture_start("configuration", load_config, path, undo_config);
    log_open(config->log_file_path, LOG_LEVEL_DEBUG);
    torture_start("pool", make_pool, NULL, undo_pool);
    torture_start("session store", make_sessions, NULL, undo_sessions);
    torture_start("connections", make_connections, NULL, undo_connections);
    connections_destroy(service.connections);
    int listener = listener_listen(config, error, sizeof error);
    check(listener >= 0, "cannot listen");
    service.connections = connections_create(listener, config);
    check(service.connections != NULL, "no connections");
    limit_init();
    config_publish(config_ref(config));
    check(workers_start(&service, 1), "no worker");
}

static void stop(void)
{
    char command[128];
    connections_stop(service.connections);
    check(workers_wait(PATIENCE), "the worker did not leave");
    listener_unlink();
    pool_destroy(service.pool);
    connections_destroy(service.connections);
    store_destroy(service.sessions);
    config_publish(NULL);
    config_unref(config);
    snprintf(command, sizeof command, "rm -rf %s", directory);
    check(system(command) == 0, "cannot clean up");
}

static bool wanted(const struct kind *k, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], k->name) == 0)
            return true;
    return argc == 1;
}

int main(int argc, char **argv)
{
    sigset_t all;
    char path[128];
    sigfillset(&all);
    sigdelset(&all, SIGINT);
    sigdelset(&all, SIGTERM);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    signal(SIGPIPE, SIG_IGN);
    snprintf(directory, sizeof directory, "/tmp/torture.XXXXXX");
    check(mkdtemp(directory) != NULL, "cannot make a directory");
    snprintf(path, sizeof path, "%s/word.lua", directory);
    write_file(path, "return {word = 'word'}");
    start();
    signal(SIGTERM, SIG_DFL); /* libfcgi has put a handler there, which ends nothing */
    for (size_t i = 0; i < KINDS; i++)
        if (wanted(&kinds[i], argc, argv))
            torture(&kinds[i]);
    stop();
    puts("done");
    return 0;
}
