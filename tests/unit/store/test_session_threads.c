/* Sessions from many threads at once; to be run under ThreadSanitizer as well. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/file.h"
#include "tests/unit/session_fixture.h"

#define THREADS 12

/* cmocka's assertions belong to the main thread; the others count what is wrong. */
static atomic_uint wrong;
static atomic_bool stop;

static void expect(bool right)
{
    if (!right)
        atomic_fetch_add(&wrong, 1);
}

static void run(int count, void *(*body)(void *))
{
    pthread_t threads[THREADS];
    atomic_store(&wrong, 0);
    for (intptr_t i = 0; i < count; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, body, (void *)i), 0);
    for (int i = 0; i < count; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&wrong), 0);
}

static bool set_number(const struct session_id *id, const char *realm, int n, int value)
{
    char name[16], text[16];
    snprintf(name, sizeof name, "%d", n);
    snprintf(text, sizeof text, "%d", value);
    return session_set(store, &config, id, b(realm), b(name), b(text));
}

/* -1: there is none. */
static int get_number(const struct session_id *id, const char *realm, int n)
{
    char name[16];
    struct buffer value = {0};
    snprintf(name, sizeof name, "%d", n);
    int number = -1;
    if (session_get(store, id, b(realm), b(name), &value) && buffer_append(&value, "", 1))
        number = atoi(value.data);
    buffer_free(&value);
    return number;
}

/* -- One session, twelve writers -- */

static struct one shared;

enum { WRITES = 300 };

static void *write_own_names(void *arg)
{
    int me = (int)(intptr_t)arg;
    for (int i = 0; i < WRITES; i++) {
        struct session_id id;
        expect(session_find(store, &config, shared.key, &client, &id, NULL));
        expect(set_number(&id, "all", me * WRITES + i, i));
        expect(set_number(&id, i % 2 ? "odd" : "even", me, i));
        expect(get_number(&id, "all", me * WRITES + i) == i);
    }
    return NULL;
}

static void no_write_of_twelve_threads_is_lost(void **state)
{
    (void)state;
    config.session_max_size = 0;
    shared = start();
    run(THREADS, write_own_names);
    for (int n = 0; n < THREADS * WRITES; n++)
        assert_int_equal(get_number(&shared.id, "all", n), n % WRITES);
    for (int me = 0; me < THREADS; me++)
        assert_int_equal(get_number(&shared.id, "odd", me), WRITES - 1);
}

/* -- Whole values -- */

enum { LARGE = 20000 };

static void *write_or_read_whole_values(void *arg)
{
    int me = (int)(intptr_t)arg;
    char *text = malloc(LARGE);
    struct buffer value = {0};
    struct session_id id = shared.id;
    for (int i = 0; i < 200 && text != NULL; i++) {
        if (me % 2 == 0) {
            size_t len = 1 + (size_t)(me * 1000 + i * 7) % LARGE;
            memset(text, 'a' + me, len);
            struct bytes bytes = {text, len};
            expect(
                session_set(store, &config, &id, b(me % 4 ? "r" : "*"), b("k"), bytes));
        } else {
            buffer_clear(&value, (size_t)(i % 3) * LARGE);
            expect(session_get(store, &id, b(me % 4 == 1 ? "r" : "*"), b("k"), &value));
            for (size_t c = 1; c < value.len; c++)
                expect(value.data[c] == value.data[0]);
        }
    }
    buffer_free(&value);
    free(text);
    return NULL;
}

static void a_reader_sees_one_whole_value(void **state)
{
    (void)state;
    shared = start();
    assert_true(set(&shared, "q", "k", "q"));
    assert_true(set(&shared, "r", "k", "r"));
    run(THREADS, write_or_read_whole_values);
}

/* -- New keys against writes -- */

static pthread_mutex_t current_lock = PTHREAD_MUTEX_INITIALIZER;
static struct session_id current; /* guarded by it */
static atomic_int last_kept[THREADS];
static atomic_uint kept, refused;

static struct session_id current_id(void)
{
    pthread_mutex_lock(&current_lock);
    struct session_id id = current;
    pthread_mutex_unlock(&current_lock);
    return id;
}

static void *write_or_regenerate(void *arg)
{
    int me = (int)(intptr_t)arg;
    char key[SESSION_KEY_MAX + 1];
    if (me == 0) {
        /* Until both have happened: a write that was kept, one that was refused. */
        for (int i = 0; i < 2000 || atomic_load(&kept) == 0 || atomic_load(&refused) == 0;
             i++) {
            struct session_id id = current_id(), old = id;
            expect(session_regenerate(store, &config, &id, key, NULL));
            expect(!session_has_realm(store, &old, b("*")));
            pthread_mutex_lock(&current_lock);
            current = id;
            pthread_mutex_unlock(&current_lock);
        }
        atomic_store(&stop, true);
        return NULL;
    }
    for (int i = 0; !atomic_load(&stop); i++) {
        struct session_id id = current_id();
        if (set_number(&id, "r", me, i)) {
            atomic_store(&last_kept[me], i);
            atomic_fetch_add(&kept, 1);
        } else {
            atomic_fetch_add(&refused, 1);
        }
    }
    return NULL;
}

static void what_was_kept_moves_to_the_new_key(void **state)
{
    (void)state;
    atomic_store(&stop, false);
    for (int i = 0; i < THREADS; i++)
        atomic_store(&last_kept[i], -1);
    shared = start();
    assert_true(set(&shared, "r", "k", "v"));
    current = shared.id;
    run(THREADS, write_or_regenerate);
    assert_int_equal(store_count(store), 1);
    assert_false(alive(&shared));
    for (int i = 1; i < THREADS; i++)
        assert_int_equal(get_number(&current, "r", i), atomic_load(&last_kept[i]));
}

static atomic_uint winners;

static void *regenerate_once(void *arg)
{
    (void)arg;
    struct session_id id = shared.id;
    char key[SESSION_KEY_MAX + 1];
    if (session_regenerate(store, &config, &id, key, NULL)) {
        atomic_fetch_add(&winners, 1);
        struct session_id found;
        expect(session_find(store, &config, key, &client, &found, NULL));
    }
    return NULL;
}

static void of_two_new_keys_one_wins(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        atomic_store(&winners, 0);
        shared = start();
        run(4, regenerate_once);
        assert_int_equal(atomic_load(&winners), 1);
        assert_int_equal(store_count(store), i + 1);
    }
}

/* -- Everything at once -- */

static void *come_and_go(void *arg)
{
    unsigned seed = (unsigned)(intptr_t)arg;
    struct one own[8];
    bool have[8] = {false};
    for (int i = 0; i < 3000; i++) {
        int n = rand_r(&seed) % 8;
        struct one *s = &own[n];
        if (!have[n]) {
            have[n] = session_create(store, &config, &client, s->key, &s->id);
            expect(have[n]);
            continue;
        }
        switch (rand_r(&seed) % 8) {
        case 0:
            session_delete(store, &s->id);
            have[n] = false;
            break;
        case 1:
            session_regenerate(store, &config, &s->id, s->key, NULL);
            break;
        case 2:
            session_clear(store, &s->id, b("*"));
            break;
        case 3:
            store_tick(store, &config);
            break;
        default:
            if (!session_find(store, &config, s->key, &client, &s->id, NULL))
                have[n] = false; /* evicted */
            else
                set_number(&s->id, i % 2 ? "x" : "y", i % 20, i);
        }
    }
    return NULL;
}

static void the_bound_holds_while_sessions_come_and_go(void **state)
{
    (void)state;
    config.session_max_count = 50;
    run(THREADS, come_and_go);
    assert_true(store_count(store) <= 50 + THREADS);
    config.session_max_count = 20;
    store_tick(store, &config);
    assert_int_equal(store_count(store), 20);
}

/* -- Saving meanwhile -- */

enum { MOVERS = 200, LAST = 4 };

static struct one movers[MOVERS];
static int seen[MOVERS]; /* how often each is in the file */

/* Gives the first sessions ever new keys, makes and deletes others. */
static void *disturb(void *arg)
{
    int me = (int)(intptr_t)arg;
    unsigned seed = (unsigned)me;
    while (!atomic_load(&stop)) {
        if (me == LAST) {
            expect(store_save(store, &config));
            continue;
        }
        struct one other;
        expect(session_create(store, &config, &client, other.key, &other.id));
        for (int n = me; n < MOVERS; n += LAST) {
            struct one *s = &movers[n];
            if (rand_r(&seed) % 2 == 0)
                expect(session_regenerate(store, &config, &s->id, s->key, NULL));
            else
                expect(set_number(&s->id, "r", 1 + rand_r(&seed) % 5, n));
        }
        expect(session_delete(store, &other.id));
    }
    return NULL;
}

static bool count_record(struct session_record *record, void *arg)
{
    (void)arg;
    struct bytes name = {"0", 1};
    const struct variable *v = realms_get(&record->data, b("r"), name);
    char text[16] = "";
    if (v != NULL && v->value_len < sizeof text) {
        memcpy(text, realm_variable_value(v).data, v->value_len);
        seen[atoi(text)]++;
    }
    return true;
}

static void a_save_has_every_session_once_whatever_moves(void **state)
{
    (void)state;
    config.session_file = file_path;
    for (int n = 0; n < MOVERS; n++) {
        movers[n] = start();
        assert_true(set_number(&movers[n].id, "r", 0, n));
    }
    assert_true(store_save(store, &config));
    atomic_store(&stop, false);
    atomic_store(&wrong, 0);
    pthread_t threads[LAST + 1];
    for (intptr_t i = 0; i <= LAST; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, disturb, (void *)i), 0);
    for (int i = 0; i < 100; i++) {
        struct session_head head;
        memset(seen, 0, sizeof seen);
        expect(file_read(file_path, &head, count_record, NULL));
        for (int n = 0; n < MOVERS; n++)
            expect(seen[n] == 1);
    }
    atomic_store(&stop, true);
    for (int i = 0; i <= LAST; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&wrong), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(no_write_of_twelve_threads_is_lost),
        TEST(a_reader_sees_one_whole_value),
        TEST(what_was_kept_moves_to_the_new_key),
        TEST(of_two_new_keys_one_wins),
        TEST(the_bound_holds_while_sessions_come_and_go),
        TEST(a_save_has_every_session_once_whatever_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
