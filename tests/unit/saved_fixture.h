/* What the tests of SessionFile share: sessions of a store that is saved and made anew.
 * To be included after cmocka.h. */
#ifndef SAVED_FIXTURE_H
#define SAVED_FIXTURE_H

#include <sys/stat.h>

#include "store/store.h"
#include "tests/unit/session_fixture.h"

static inline int set_up_file(void **state)
{
    int result = set_up(state);
    config.session_file = file_path;
    return result;
}

/* As after `ms` milliseconds without the daemon: the machine's clock may begin anew. */
static inline void restart(int64_t ms)
{
    store_destroy(store);
    monotonic = 100;
    wall += ms;
    store = store_create(&config);
    assert_non_null(store);
}

static inline void save(void)
{
    assert_true(store_save(store, &config));
}

static inline bool exists(const char *suffix)
{
    char path[128];
    snprintf(path, sizeof path, "%s%s", file_path, suffix);
    return access(path, F_OK) == 0;
}

static inline void write_whole(const char *path, const void *data, size_t len)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

#endif
