/* The kinds of options, a row for each in the table `kinds`: how a value of the kind gets
 * from the file into struct config, how it is freed and compared, and how messages and -h
 * describe it. A new kind is a row there and a name in enum option_kind.
 *
 * Runs on the thread that loads; freeing and comparing on any thread that has a
 * reference. Owns nothing; no locks. */
#include "config/kind.h"

#include "base/path.h"
#include "config/app.h"
#include "config/pages.h"
#include "config/report.h"
#include "config/text.h"

#include <inttypes.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct kind {
    bool (*store)(struct loader *l, const struct option_row *o, int index);
    void (*free)(void *field);                           /* NULL: owns no memory */
    bool (*equal)(const void *field, const void *other); /* NULL: no row is start-only */
    bool is_number;
    void (*describe)(const struct option_row *o, bool narrow, char *text, size_t size);
    const char *expected; /* without `describe`; NULL: as the option's row says */
    const char *range;    /* the same for the narrow column of -h */
    const char *unit;     /* NULL: as the option's row says */
};

static const struct kind kinds[OPTION_KINDS];

/* -- In words -- */

static void describe_integer(const struct option_row *o, bool narrow, char *text,
                             size_t size)
{
    const char *unit = kinds[o->kind].unit != NULL ? kinds[o->kind].unit : o->unit;
    if (narrow)
        snprintf(text, size, "%" PRId64 " to %" PRId64 "%s%s", o->min, o->max,
                 unit != NULL ? " " : "", unit != NULL ? unit : "");
    else
        snprintf(text, size, "an integer from %" PRId64 " to %" PRId64, o->min, o->max);
}

static void describe_seconds(const struct option_row *o, bool narrow, char *text,
                             size_t size)
{
    snprintf(text, size,
             narrow ? "%" PRId64 " to %" PRId64 " seconds"
                    : "a number of seconds from %" PRId64 " to %" PRId64,
             o->min, o->max);
}

/* `"a", "b" or "c"`, or `a, b, c` for a narrow column. */
static void describe_choices(const struct option_row *o, bool narrow, char *text,
                             size_t size)
{
    size_t len = 0;
    for (const struct option_choice *c = o->choices; c->text != NULL && len < size; c++) {
        const char *between = c == o->choices               ? ""
                              : narrow || c[1].text != NULL ? ", "
                                                            : " or ";
        const char *quote = narrow && c->text[0] != '\0' ? "" : "\"";
        len += (size_t)snprintf(text + len, size - len, "%s%s%s%s", between, quote,
                                c->text, quote);
    }
}

const char *kind_expected(const struct option_row *o, char *text, size_t size)
{
    const struct kind *kind = &kinds[o->kind];
    if (kind->describe != NULL) {
        kind->describe(o, false, text, size);
        return text;
    }
    if (kind->expected != NULL)
        return kind->expected;
    return o->expected != NULL ? o->expected : "a string";
}

const char *kind_range(const struct option_row *o, char *text, size_t size)
{
    const struct kind *kind = &kinds[o->kind];
    if (kind->describe == NULL)
        return kind->range;
    kind->describe(o, true, text, size);
    return text;
}

static void note_on(lua_State *L, const struct option_row *o, int index, char *text,
                    size_t size)
{
    text[0] = '\0';
    if (kinds[o->kind].is_number && lua_type(L, index) == LUA_TSTRING &&
        lua_isnumber(L, index))
        snprintf(text, size, " (a string: leave out the quotes)");
    else if (o->note != NULL && lua_isinteger(L, index))
        o->note((int64_t)lua_tointeger(L, index), text, size);
}

/* "expected ..., got ...", into `text`. */
static void describe_misfit(lua_State *L, const struct option_row *o, int index,
                            char *text, size_t size)
{
    char expected[256], got[128], note[160];
    note_on(L, o, index, note, sizeof note);
    snprintf(text, size, "expected %s, got %s%s",
             kind_expected(o, expected, sizeof expected),
             report_describe(L, index, got, sizeof got), note);
}

static void warn_of_bent(struct loader *l, const struct option_row *o, int index,
                         const char *used)
{
    char misfit[640];
    describe_misfit(l->L, o, index, misfit, sizeof misfit);
    report_warn(l, "%s: %s; %s is used", loader_name(l, o), misfit, used);
}

void kind_complain(struct loader *l, const struct option_row *o, int index)
{
    char misfit[640];
    describe_misfit(l->L, o, index, misfit, sizeof misfit);
    report_complain(l, "%s: %s", loader_name(l, o), misfit);
    l->bad[loader_row(o)] = true;
}

/* -- From Lua into the struct; false: the value does not fit -- */

/* The number at `index`. One in quotes counts as bent. false: it is no number that this
 * option takes. */
static bool number_at(lua_State *L, const struct option_row *o, int index, lua_Number *n,
                      bool *bent)
{
    int is_number;
    if (lua_type(L, index) != LUA_TNUMBER &&
        (!o->bends || lua_type(L, index) != LUA_TSTRING))
        return false;
    *n = lua_tonumberx(L, index, &is_number);
    *bent = lua_type(L, index) == LUA_TSTRING;
    return is_number;
}

/* Bends `n` into the option's range. false: it is too far outside, or it is a NaN. */
static bool fit_range(const struct option_row *o, lua_Number *n, bool *bent)
{
    if (*n >= (lua_Number)o->min && *n <= (lua_Number)o->max)
        return true;
    if (!o->bends)
        return false;
    bool low = *n < (lua_Number)o->min && *n >= (lua_Number)o->lowest;
    if (!low && !(*n > (lua_Number)o->max && *n <= (lua_Number)o->highest))
        return false;
    *n = (lua_Number)(low ? o->min : o->max);
    *bent = true;
    return true;
}

/* Rounds to the nearest integer; a half is rounded down. */
static void round_number(lua_Number *n, bool *bent)
{
    lua_Number whole = (lua_Number)(int64_t)*n, fraction = *n - whole;
    if (fraction == 0)
        return;
    *n = fraction > 0.5 ? whole + 1 : fraction <= -0.5 ? whole - 1 : whole;
    *bent = true;
}

/* What a process cannot address must not become a small number in a size_t. */
static int64_t addressable(int64_t bytes)
{
    return bytes < PTRDIFF_MAX ? bytes : PTRDIFF_MAX;
}

/* A float without a fraction is an integer: 64 * 2^10 is a float to Lua. */
static bool store_integer(struct loader *l, const struct option_row *o, int index)
{
    lua_Number n;
    bool bent, rounded = false;
    char used[32];
    if (!number_at(l->L, o, index, &n, &bent) || !fit_range(o, &n, &bent))
        return false;
    round_number(&n, &rounded);
    if (rounded && !o->bends)
        return false;
    if (o->kind == OPTION_BYTES)
        *(int64_t *)loader_field(l->config, o) = addressable((int64_t)n);
    else
        *(int *)loader_field(l->config, o) = (int)n;
    snprintf(used, sizeof used, "%.0f", n);
    if (bent || rounded)
        warn_of_bent(l, o, index, used);
    return true;
}

/* A time of less than a millisecond becomes one: 0 would switch the limit off. */
static bool store_seconds(struct loader *l, const struct option_row *o, int index)
{
    lua_Number seconds;
    bool bent;
    char used[32];
    if (!number_at(l->L, o, index, &seconds, &bent) || !fit_range(o, &seconds, &bent))
        return false;
    int64_t milliseconds = (int64_t)(seconds * 1000 + 0.5);
    *(int64_t *)loader_field(l->config, o) =
        milliseconds == 0 && seconds > 0 ? 1 : milliseconds;
    snprintf(used, sizeof used, "%.14g", seconds);
    if (bent)
        warn_of_bent(l, o, index, used);
    return true;
}

static bool store_boolean(struct loader *l, const struct option_row *o, int index)
{
    if (!lua_isboolean(l->L, index))
        return false;
    *(bool *)loader_field(l->config, o) = lua_toboolean(l->L, index);
    return true;
}

/* Makes a good text of the value at `index`, which may be a number, by the option's
 * `mend`, and warns of it. */
static bool mend_text(struct loader *l, const struct option_row *o, int index, char *text,
                      size_t size)
{
    char given[32];
    const char *value = loader_text_at(l->L, index);
    if (o->mend == NULL)
        return false;
    if (value == NULL) {
        int exact;
        lua_Integer n = lua_tointegerx(l->L, index, &exact);
        if (!exact)
            return false;
        snprintf(given, sizeof given, LUA_INTEGER_FMT, n);
        value = given;
    }
    if (!o->mend(value, text, size))
        return false;
    char used[160];
    snprintf(used, sizeof used, "\"%s\"", text);
    warn_of_bent(l, o, index, used);
    return true;
}

static bool store_text(struct loader *l, const struct option_row *o, int index)
{
    char mended[128];
    const char *text = loader_text_at(l->L, index);
    if (text == NULL || (o->check != NULL && !o->check(text))) {
        if (!mend_text(l, o, index, mended, sizeof mended))
            return false;
        text = mended;
    }
    *(char **)loader_field(l->config, o) = loader_need(l->L, strdup(text));
    return true;
}

static bool store_path(struct loader *l, const struct option_row *o, int index)
{
    const char *text = loader_text_at(l->L, index), *directory = loader_directory();
    if (text == NULL)
        return false;
    if (text[0] == '\0' || directory[0] == '\0' ||
        (o->is_path != NULL && !o->is_path(text)))
        return store_text(l, o, index);
    *(char **)loader_field(l->config, o) = loader_need(l->L, path_join(directory, text));
    return true;
}

static void complain_of_element(struct loader *l, const struct option_row *o, int index,
                                size_t number)
{
    char got[128];
    report_complain(l, "%s[%zu]: expected %s, got %s", loader_name(l, o), number,
                    o->expected, report_describe(l->L, index, got, sizeof got));
    l->bad[loader_row(o)] = true;
}

static size_t count_keys(lua_State *L, int table)
{
    size_t count = 0;
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1))
        count++;
    return count;
}

static bool store_list(struct loader *l, const struct option_row *o, int index)
{
    lua_State *L = l->L;
    if (!lua_istable(L, index))
        return false;
    size_t count = lua_rawlen(L, index);
    if (count_keys(L, index) != count)
        return false;
    char **list = loader_need(L, calloc(count + 1, sizeof *list));
    *(char ***)loader_field(l->config, o) = list;
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, index, (lua_Integer)i + 1);
        const char *text = loader_text_at(L, lua_gettop(L));
        if (text == NULL || !o->check(text))
            complain_of_element(l, o, lua_gettop(L), i + 1);
        list[i] = loader_need(L, strdup(text != NULL ? text : ""));
        lua_pop(L, 1);
    }
    return true;
}

static bool store_mode(struct loader *l, const struct option_row *o, int index)
{
    const char *text = loader_text_at(l->L, index);
    return text != NULL && text_mode(text, loader_field(l->config, o));
}

static bool store_choice(struct loader *l, const struct option_row *o, int index)
{
    const char *text = loader_text_at(l->L, index);
    for (const struct option_choice *c = o->choices; text != NULL && c->text != NULL;
         c++) {
        if (strcasecmp(c->text, text) == 0) {
            *(int *)loader_field(l->config, o) = c->value;
            return true;
        }
    }
    return false;
}

static bool store_secure(struct loader *l, const struct option_row *o, int index)
{
    enum config_secure *secure = loader_field(l->config, o);
    const char *text = loader_text_at(l->L, index);
    if (lua_isboolean(l->L, index))
        *secure = lua_toboolean(l->L, index) ? CONFIG_SECURE_YES : CONFIG_SECURE_NO;
    else if (text != NULL && strcasecmp(text, "auto") == 0)
        *secure = CONFIG_SECURE_AUTO;
    else
        return false;
    return true;
}

/* The function itself is looked up by its name, config/hook.c. */
static bool store_hook(struct loader *l, const struct option_row *o, int index)
{
    *(bool *)loader_field(l->config, o) = lua_isfunction(l->L, index);
    return lua_isfunction(l->L, index) || lua_isnil(l->L, index);
}

/* -- Freeing and comparing -- */

static void free_text(void *field)
{
    free(*(char **)field);
}

static void free_list(void *field)
{
    char **list = *(char ***)field;
    for (char **at = list; at != NULL && *at != NULL; at++)
        free(*at);
    free(list);
}

static bool equal_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b) == 0;
}

static bool equal_bool(const void *a, const void *b)
{
    return *(const bool *)a == *(const bool *)b;
}

static bool equal_int(const void *a, const void *b)
{
    return *(const int *)a == *(const int *)b;
}

static bool equal_int64(const void *a, const void *b)
{
    return *(const int64_t *)a == *(const int64_t *)b;
}

/* -- The table -- */

static const struct kind kinds[OPTION_KINDS] = {
    [OPTION_INTEGER] = {store_integer, NULL, equal_int, true, describe_integer,
                        .unit = NULL},
    [OPTION_BYTES] = {store_integer, NULL, equal_int64, true, describe_integer,
                      .unit = "bytes"},
    [OPTION_SECONDS] = {store_seconds, NULL, equal_int64, true, describe_seconds,
                        .unit = NULL},
    [OPTION_BOOLEAN] = {store_boolean, NULL, equal_bool, .expected = "true or false",
                        .range = "true or false"},
    [OPTION_TEXT] = {store_text, free_text, equal_text, .range = "string"},
    [OPTION_PATH] = {store_path, free_text, equal_text, .range = "string"},
    [OPTION_LIST] = {store_list, free_list, NULL,
                     .expected = "a list of extensions such as {\".lua\"}",
                     .range = "list of strings"},
    [OPTION_MODE] = {store_mode, NULL, equal_int,
                     .expected = "octal permissions in quotes such as \"0660\"",
                     .range = "octal permissions"},
    [OPTION_CHOICE] = {store_choice, NULL, equal_int, .describe = describe_choices},
    [OPTION_SECURE] = {store_secure, NULL, equal_int,
                       .expected = "true, false or \"auto\"",
                       .range = "true, false or \"auto\""},
    [OPTION_HOOK] = {store_hook, NULL, equal_bool, .expected = "a function",
                     .range = "function"},
    [OPTION_TABLE] = {app_store, free_text, NULL, .expected = "a table",
                      .range = "table"},
    [OPTION_PAGES] = {pages_store, pages_free, NULL,
                      .expected = "a table of paths by status",
                      .range = "table of strings"},
};

bool kind_store(struct loader *l, const struct option_row *o, int index)
{
    return kinds[o->kind].store(l, o, index);
}

void kind_free(struct config *c, const struct option_row *o)
{
    if (kinds[o->kind].free != NULL)
        kinds[o->kind].free(loader_field(c, o));
}

bool kind_equal(const struct config *a, const struct config *b,
                const struct option_row *o)
{
    bool (*equal)(const void *, const void *) = kinds[o->kind].equal;
    return equal == NULL || equal(loader_field(a, o), loader_field(b, o));
}
