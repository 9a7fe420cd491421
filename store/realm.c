/* The data of one session. The caller holds the lock of the session's shard, except for
 * realm_variable_create, realm_variable_drop and realms_free on data that no other thread
 * can reach. Realms are few and searched one by one. The variables of a realm are found
 * by binary search, so a script that keeps as much as it may cannot make a look-up
 * slow. */
#include "store/realm.h"

#include <stdlib.h>
#include <string.h>

struct bytes realm_name(const struct realm *r)
{
    return (struct bytes){r->name, r->name_len};
}

struct bytes realm_variable_name(const struct variable *v)
{
    return (struct bytes){v->bytes, v->name_len};
}

struct bytes realm_variable_value(const struct variable *v)
{
    return (struct bytes){v->bytes + v->name_len, v->value_len};
}

static uint64_t variable_size(const struct variable *v)
{
    return (uint64_t)VARIABLE_OVERHEAD + v->name_len + v->value_len;
}

struct variable *realm_variable_create(struct bytes name, struct bytes value)
{
    if (name.len > INT32_MAX || value.len > INT32_MAX - name.len)
        return NULL;
    struct variable *v = malloc(sizeof *v + name.len + value.len);
    if (v == NULL)
        return NULL;
    *v = (struct variable){1, (uint32_t)name.len, (uint32_t)value.len};
    if (name.len > 0)
        memcpy(v->bytes, name.data, name.len);
    if (value.len > 0)
        memcpy(v->bytes + name.len, value.data, value.len);
    return v;
}

void realm_variable_drop(struct variable *v)
{
    if (v != NULL && --v->owners == 0)
        free(v);
}

static int compare(struct bytes a, struct bytes b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len == 0 ? 0 : memcmp(a.data, b.data, len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static bool is_every(struct bytes realm)
{
    return realm.len == 1 && realm.data[0] == '*';
}

/* -- One realm -- */

/* Whether `name` is there. `at` becomes its index, or the index that it would get. */
static bool search(const struct realm *r, struct bytes name, size_t *at)
{
    size_t low = 0, high = r->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare(realm_variable_name(r->variables[middle]), name);
        if (order == 0) {
            *at = middle;
            return true;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *at = low;
    return false;
}

/* Makes room for one more variable. */
static bool reserve(struct realm *r)
{
    if (r->count < r->cap)
        return true;
    size_t cap = r->cap == 0 ? 4 : r->cap * 2;
    struct variable **variables = realloc(r->variables, cap * sizeof(struct variable *));
    if (variables == NULL)
        return false;
    r->variables = variables;
    r->cap = cap;
    return true;
}

/* There must be room, see `reserve`. */
static void put(struct realm *r, struct variable *v)
{
    size_t at;
    v->owners++;
    if (search(r, realm_variable_name(v), &at)) {
        realm_variable_drop(r->variables[at]);
    } else {
        memmove(r->variables + at + 1, r->variables + at,
                (r->count - at) * sizeof *r->variables);
        r->count++;
    }
    r->variables[at] = v;
}

/* The bytes that a variable of that name counts now. */
static uint64_t size_of(const struct realm *r, struct bytes name)
{
    size_t at;
    return search(r, name, &at) ? variable_size(r->variables[at]) : 0;
}

static void unset(struct realm *r, struct bytes name)
{
    size_t at;
    if (!search(r, name, &at))
        return;
    realm_variable_drop(r->variables[at]);
    r->count--;
    memmove(r->variables + at, r->variables + at + 1,
            (r->count - at) * sizeof *r->variables);
}

static uint64_t size_of_all(const struct realm *r)
{
    uint64_t size = (uint64_t)REALM_OVERHEAD + r->name_len;
    for (size_t i = 0; i < r->count; i++)
        size += variable_size(r->variables[i]);
    return size;
}

static void free_realm(struct realm *r)
{
    for (size_t i = 0; i < r->count; i++)
        realm_variable_drop(r->variables[i]);
    free(r->variables);
    free(r->name);
}

/* -- All realms -- */

static struct realm *find(const struct realms *r, struct bytes name)
{
    for (size_t i = 0; i < r->count; i++) {
        struct realm *realm = &r->list[i];
        if (realm->name_len == name.len && compare(realm_name(realm), name) == 0)
            return realm;
    }
    return NULL;
}

/* Makes room for one more realm. */
static bool reserve_realm(struct realms *r)
{
    if (r->count < r->cap)
        return true;
    size_t cap = r->cap == 0 ? 2 : r->cap * 2;
    struct realm *list = realloc(r->list, cap * sizeof *list);
    if (list == NULL)
        return false;
    r->list = list;
    r->cap = cap;
    return true;
}

static struct realm *append_realm(struct realms *r, struct bytes name)
{
    struct realm realm = {.name = malloc(name.len + 1), .name_len = name.len};
    if (realm.name == NULL || !reserve(&realm) || !reserve_realm(r)) {
        free_realm(&realm);
        return NULL;
    }
    if (name.len > 0)
        memcpy(realm.name, name.data, name.len);
    r->list[r->count] = realm;
    return &r->list[r->count++];
}

static bool fits(const struct realms *r, uint64_t added, uint64_t replaced, int64_t max)
{
    if (max <= 0 || added <= replaced)
        return true;
    return r->size - replaced + added <= (uint64_t)max;
}

static enum realm_result set_one(struct realms *r, struct bytes name, struct variable *v,
                                 int64_t max)
{
    struct realm *realm = find(r, name);
    uint64_t replaced = realm == NULL ? 0 : size_of(realm, realm_variable_name(v));
    uint64_t added = variable_size(v);
    if (realm == NULL)
        added += (uint64_t)REALM_OVERHEAD + name.len;
    if (!fits(r, added, replaced, max))
        return REALM_FULL;
    if (realm == NULL)
        realm = append_realm(r, name);
    if (realm == NULL || !reserve(realm))
        return REALM_NO_MEMORY;
    put(realm, v);
    r->size += added - replaced;
    return REALM_OK;
}

/* Everything that can fail comes before the first change. */
static enum realm_result set_every(struct realms *r, struct variable *v, int64_t max)
{
    if (r->count == 0)
        return REALM_ABSENT;
    uint64_t replaced = 0, added = r->count * variable_size(v);
    for (size_t i = 0; i < r->count; i++)
        replaced += size_of(&r->list[i], realm_variable_name(v));
    if (!fits(r, added, replaced, max))
        return REALM_FULL;
    for (size_t i = 0; i < r->count; i++)
        if (!reserve(&r->list[i]))
            return REALM_NO_MEMORY;
    for (size_t i = 0; i < r->count; i++)
        put(&r->list[i], v);
    r->size += added - replaced;
    return REALM_OK;
}

enum realm_result realms_set(struct realms *r, struct bytes realm, struct variable *v,
                             int64_t max)
{
    return is_every(realm) ? set_every(r, v, max) : set_one(r, realm, v, max);
}

enum realm_result realms_add(struct realms *r, struct bytes realm)
{
    if (find(r, realm) != NULL)
        return REALM_OK;
    if (append_realm(r, realm) == NULL)
        return REALM_NO_MEMORY;
    r->size += (uint64_t)REALM_OVERHEAD + realm.len;
    return REALM_OK;
}

void realms_unset(struct realms *r, struct bytes realm, struct bytes name)
{
    bool every = is_every(realm);
    for (size_t i = 0; i < r->count; i++) {
        if (every || compare(realm_name(&r->list[i]), realm) == 0) {
            r->size -= size_of(&r->list[i], name);
            unset(&r->list[i], name);
        }
    }
}

static const struct variable *get(const struct realm *r, struct bytes name)
{
    size_t at;
    return r != NULL && search(r, name, &at) ? r->variables[at] : NULL;
}

const struct variable *realms_get(const struct realms *r, struct bytes realm,
                                  struct bytes name)
{
    if (!is_every(realm))
        return get(find(r, realm), name);
    const struct variable *v = NULL;
    for (size_t i = 0; i < r->count && v == NULL; i++)
        v = get(&r->list[i], name);
    return v;
}

bool realms_has(const struct realms *r, struct bytes realm)
{
    return is_every(realm) ? r->count > 0 : find(r, realm) != NULL;
}

bool realms_remove(struct realms *r, struct bytes name, struct realms *removed)
{
    if (is_every(name)) {
        *removed = *r;
        *r = (struct realms){0};
        return true;
    }
    struct realm *realm = find(r, name);
    if (realm == NULL)
        return false;
    r->size -= size_of_all(realm);
    if (reserve_realm(removed))
        removed->list[removed->count++] = *realm;
    else
        free_realm(realm);
    r->count--;
    size_t at = (size_t)(realm - r->list);
    memmove(realm, realm + 1, (r->count - at) * sizeof *realm);
    return true;
}

void realms_free(struct realms *r)
{
    for (size_t i = 0; i < r->count; i++)
        free_realm(&r->list[i]);
    free(r->list);
    *r = (struct realms){0};
}
