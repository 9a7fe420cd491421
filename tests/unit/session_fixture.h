/* What the tests of sessions share: a configuration, clocks that stand still until they
 * are told, a store, a log that can be read. To be included after cmocka.h. */
#ifndef SESSION_FIXTURE_H
#define SESSION_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "store/moment.h"
#include "store/session.h"
#include "store/store.h"

#define HOUR ((int64_t)3600000)

static struct config config;
static struct session_store *store;
static int64_t monotonic, wall; /* milliseconds */
static char directory[64], log_path[96], file_path[96];

static const struct session_client client = {"192.0.2.1", "Browser/1.0 (test)", "en,de"};

static int64_t fake_monotonic(void)
{
    return monotonic;
}

static int64_t fake_wall(void)
{
    return wall;
}

static inline void pass(int64_t ms)
{
    monotonic += ms;
    wall += ms;
}

static inline int set_up(void **state)
{
    (void)state;
    config = (struct config){
        .session_name = "XLuaSession",
        .session_time = HOUR,
        .session_max_age = 24 * HOUR,
        .session_key_len = 24,
        .session_cookie_secure = CONFIG_SECURE_AUTO,
        .session_cookie_http_only = true,
        .session_cookie_same_site = CONFIG_SAME_SITE_LAX,
        .session_cookie_domain = "",
        .session_target_score = 3,
        .session_ip_score = 3,
        .session_user_agent_score = 2,
        .session_language_score = 1,
        .session_max_count = 10000,
        .session_max_size = 65536,
        .session_file = "",
    };
    monotonic = 5000;
    wall = (int64_t)1700000000 * 1000;
    moment_set_clocks(fake_monotonic, fake_wall);
    snprintf(directory, sizeof directory, "/tmp/session.XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(log_path, sizeof log_path, "%s/log", directory);
    snprintf(file_path, sizeof file_path, "%s/sessions", directory);
    assert_true(log_open(log_path, LOG_LEVEL_INFO));
    store = store_create(&config);
    assert_non_null(store);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    store_destroy(store);
    moment_set_clocks(NULL, NULL);
    assert_true(log_open("/dev/null", LOG_LEVEL_INFO));
    static const char *const names[] = {"", ".new", ".damaged", ".other"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s%s", file_path, names[i]);
        unlink(path);
    }
    unlink(log_path);
    return rmdir(directory);
}

/* A file's content, terminated by a NUL, for free(). */
static inline char *read_whole(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    *len = (size_t)ftell(f);
    rewind(f);
    char *data = malloc(*len + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, *len, f), *len);
    data[*len] = '\0';
    fclose(f);
    return data;
}

/* How many lines of the log have the text. */
static inline int logged(const char *text)
{
    size_t len;
    int count = 0;
    char *log = read_whole(log_path, &len);
    for (char *at = log; (at = strstr(at, text)) != NULL; at++)
        count++;
    free(log);
    return count;
}

static inline struct bytes b(const char *text)
{
    return (struct bytes){text, strlen(text)};
}

struct one {
    char key[SESSION_KEY_MAX + 1];
    struct session_id id;
};

static inline struct one start(void)
{
    struct one s;
    assert_true(session_create(store, &config, &client, s.key, &s.id));
    return s;
}

static inline bool alive(const struct one *s)
{
    struct session_id id;
    bool found = session_find(store, &config, s->key, &client, &id, NULL);
    if (found)
        assert_memory_equal(&id, &s->id, sizeof id);
    return found;
}

static inline bool set(const struct one *s, const char *realm, const char *name,
                       const char *value)
{
    struct bytes none = {NULL, 0};
    return session_set(store, &config, &s->id, b(realm), b(name),
                       value == NULL ? none : b(value));
}

/* The value as text that lasts until the next call; NULL: there is none. */
static inline const char *get(const struct one *s, const char *realm, const char *name)
{
    static struct buffer value; /* not freed: still reachable when the program ends */
    buffer_clear(&value, SIZE_MAX);
    if (!session_get(store, &s->id, b(realm), b(name), &value))
        return NULL;
    assert_true(buffer_append(&value, "", 1));
    return value.data;
}

#endif
