/* The table of options, for the config room only: how each is called, what it may be, and
 * where it goes in struct config. Immutable; nothing blocks. */
#ifndef LUAFCGID2_CONFIG_OPTION_H
#define LUAFCGID2_CONFIG_OPTION_H

#include "config/fields.h"

enum option_kind {
    OPTION_INTEGER, /* int */
    OPTION_BYTES,   /* int64_t */
    OPTION_SECONDS, /* a number in the file, int64_t milliseconds in the struct */
    OPTION_BOOLEAN,
    OPTION_TEXT,   /* char * */
    OPTION_PATH,   /* char *, made absolute unless "" */
    OPTION_LIST,   /* char **, NULL-terminated */
    OPTION_MODE,   /* unsigned */
    OPTION_CHOICE, /* an enum */
    OPTION_SECURE, /* enum config_secure */
    OPTION_TABLE,  /* the encoded table: app, app_len */
    OPTION_PAGES,  /* struct config_page *, ended by status 0 */
    OPTION_HOOK,   /* a function, which stays in Lua: bool, whether there is one */
    OPTION_KINDS,  /* how many there are */
};

struct option_choice {
    const char *text; /* NULL ends the list */
    int value;
};

struct option_row {
    const char *section; /* a heading before this row; NULL: none */
    const char *name;
    const char *older; /* its name in luafcgid */
    const char *also;  /* another spelling of today's name */
    const char *early; /* its name in the first luafcgid2, see names_are_early */
    enum option_kind kind;
    bool restart;         /* a reload cannot change it */
    int64_t min, max;     /* of numbers; seconds for OPTION_SECONDS */
    size_t offset;        /* in struct config */
    const char *fallback; /* the default, as Lua */
    const char *unit;     /* NULL: none, or said by the kind */
    const char *help;     /* at most 72 characters */
    const char *expected; /* of texts; NULL: any string */
    bool (*check)(const char *text);
    bool (*is_path)(const char *text); /* of OPTION_PATH: false leaves it as it is */
    const struct option_choice *choices;
    void (*note)(int64_t n, char *text, size_t size);              /* after "got N" */
    bool (*risk)(const struct config *c, char *text, size_t size); /* config/risk.h */

    /* Earlier programs of the family took values that we do not take. Such a value is
     * bent: the nearest good one is used, with a warning. */
    bool bends;              /* numbers in quotes, and fractions, ... */
    int64_t lowest, highest; /* ... and numbers outside of min to max but within these */
    bool (*mend)(const char *given, char *text, size_t size); /* texts that `check`
                                                               refuses */
};

enum { OPTIONS_MAX = 128 }; /* for arrays with an element for each row */

extern const struct option_row option_rows[];
extern const size_t option_count;

/* The row of that name, NULL: none. */
const struct option_row *option_named(const char *name);

#endif
