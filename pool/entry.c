/* Entries: their life, and the ids of their states. Workers, the sweeper and the closers
 * call this; the pool's lock guards every entry that is in the table. An entry that is
 * not in the table belongs to the thread that made it or took it out. */
#include "pool/entry.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

/* Copies the texts behind the entry. */
static void set_key(struct entry *e, const struct entry_key *key)
{
    char *root = e->text + key->path_len + 1;
    memcpy(e->text, key->path, key->path_len + 1);
    memcpy(root, key->root, key->root_len + 1);
    e->key = *key;
    e->key.path = e->text;
    e->key.root = root;
}

struct entry *entry_create(const struct entry_key *key)
{
    struct entry *e = calloc(1, sizeof *e + key->path_len + key->root_len + 2);
    if (e == NULL || !clock_init_condition(&e->returned)) {
        free(e);
        return NULL;
    }
    list_init(&e->all);
    list_init(&e->order);
    list_init(&e->idle);
    e->ids = &e->first_ids;
    e->id_words = 1;
    set_key(e, key);
    return e;
}

void entry_free(struct entry *e)
{
    version_unref(e->version);
    pthread_cond_destroy(&e->returned);
    if (e->ids != &e->first_ids)
        free(e->ids);
    free(e->figures.error);
    free(e);
}

char *entry_note_error_locked(struct entry *e, char *error)
{
    char *before = e->figures.error;
    e->figures.errors++;
    e->figures.error_time = time(NULL);
    e->figures.error = error;
    return before;
}

void entry_wake_locked(struct entry *e)
{
    if (e->waiters > 0)
        pthread_cond_signal(&e->returned);
}

static bool double_ids_locked(struct entry *e)
{
    uint32_t *ids = malloc(2 * e->id_words * sizeof *ids);
    if (ids == NULL)
        return false;
    memcpy(ids, e->ids, e->id_words * sizeof *ids);
    memset(ids + e->id_words, 0, e->id_words * sizeof *ids);
    if (e->ids != &e->first_ids)
        free(e->ids);
    e->ids = ids;
    e->id_words *= 2;
    return true;
}

int entry_take_id_locked(struct entry *e)
{
    for (unsigned i = 0; i < e->id_words; i++) {
        for (unsigned bit = 0; e->ids[i] != UINT32_MAX && bit < 32; bit++) {
            if ((e->ids[i] >> bit & 1) == 0) {
                e->ids[i] |= UINT32_C(1) << bit;
                return (int)(i * 32 + bit + 1);
            }
        }
    }
    if (!double_ids_locked(e))
        return (int)(e->id_words * 32 + 1);
    return entry_take_id_locked(e);
}

void entry_give_id_locked(struct entry *e, int id)
{
    unsigned i = (unsigned)(id - 1);
    if (i / 32 < e->id_words)
        e->ids[i / 32] &= ~(UINT32_C(1) << i % 32);
}
