/* What the tests of daemon/ share: a service of real connections, scripts and sessions,
 * scripts in a directory, and a log that can be read. */
#ifndef DAEMON_FIXTURE_H
#define DAEMON_FIXTURE_H

#include "tests/unit/connection_fixture.h"

#include "daemon/service.h"
#include "lua/limit.h"
#include "store/store.h"
#include "tests/unit/files.h"

static char directory[64]; /* of scripts and the log */
static struct service service;

/* The built-in configuration, for a test to change before it is published. */
static inline struct config *new_config(void)
{
    struct config *c = config_load(NULL, stderr);
    assert_non_null(c);
    return c;
}

static inline int open_service(void **state)
{
    (void)state;
    char path[96];
    strcpy(directory, "/tmp/test_daemon.XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/log", directory);
    assert_true(log_open(path, LOG_LEVEL_DEBUG));
    limit_init();
    struct config *c = new_config();
    service.connections = connections_create(-1, c);
    service.pool = pool_create();
    service.sessions = store_create(c);
    assert_non_null(service.connections);
    assert_non_null(service.pool);
    assert_non_null(service.sessions);
    config_publish(c);
    return 0;
}

static inline int close_service(void **state)
{
    (void)state;
    char command[96];
    pool_destroy(service.pool);
    connections_destroy(service.connections);
    store_destroy(service.sessions);
    config_publish(NULL);
    assert_true(log_open("/dev/null", LOG_LEVEL_INFO));
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

/* The path of a new file, until the eighth call from now. */
static inline const char *write_file(const char *name, const char *text)
{
    static char paths[8][128];
    static unsigned last;
    char *path = paths[last = (last + 1) % 8];
    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    files_write(path, text);
    return path;
}

/* How many lines of the log have `part` in them. */
static inline unsigned count_logged(const char *part)
{
    char path[96], line[4096];
    unsigned count = 0;
    snprintf(path, sizeof path, "%s/log", directory);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL)
        count += strstr(line, part) != NULL;
    fclose(f);
    return count;
}

/* A web server's end of a connection. */
static inline int connect_client(void)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    assert_true(connections_adopt(service.connections, ends[1]));
    return ends[0];
}

/* What a response ends with: its body. */
static inline void assert_body(const struct response *r, const char *body)
{
    size_t len = strlen(body);
    assert_true(r->ended);
    assert_true(r->out.len >= len);
    if (memcmp(r->out.data + r->out.len - len, body, len) != 0)
        fail_msg("\"%.*s\" does not end with \"%s\"", (int)r->out.len, r->out.data, body);
}

#endif
