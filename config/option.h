/* The table of options, for the config room only: how each is called, what it may be, and
 * where it goes in struct config. Immutable; nothing blocks. */
#ifndef LUAFCGID2_CONFIG_OPTION_H
#define LUAFCGID2_CONFIG_OPTION_H

#include "config.h"

enum kind {
    KIND_INTEGER, /* int */
    KIND_BYTES,   /* int64_t */
    KIND_SECONDS, /* a number in the file, int64_t milliseconds in the struct */
    KIND_BOOLEAN,
    KIND_TEXT,   /* char * */
    KIND_PATH,   /* char *, made absolute unless "" */
    KIND_LIST,   /* char **, NULL-terminated */
    KIND_MODE,   /* unsigned */
    KIND_CHOICE, /* an enum */
    KIND_SECURE, /* enum config_secure */
    KIND_TABLE,  /* the encoded table: app, app_len */
};

struct choice {
    const char *text; /* NULL ends the list */
    int value;
};

struct option {
    const char *section; /* a heading before this row; NULL: none */
    const char *name;
    const char *older; /* its name in luafcgid */
    const char *also;  /* another spelling of today's name */
    const char *early; /* its name in the first luafcgid2, see uses_early_names */
    enum kind kind;
    bool restart;         /* a reload cannot change it */
    int64_t min, max;     /* of numbers; seconds for KIND_SECONDS */
    size_t offset;        /* in struct config */
    const char *fallback; /* the default, as Lua */
    const char *unit;     /* NULL: none, or said by the kind */
    const char *help;     /* at most 72 characters */
    const char *expected; /* of texts; NULL: any string */
    bool (*check)(const char *text);
    const struct choice *choices;
    void (*note)(int64_t n, char *text, size_t size); /* after "got N" */

    /* What earlier members of the family took, and lived with, is bent to the nearest
     * value that works, with a warning. */
    bool bends;              /* numbers in quotes, fractions, and ... */
    int64_t lowest, highest; /* ... what is outside of min to max but within these */
    bool (*mend)(const char *given, char *text, size_t size); /* texts that `check`
                                                               refuses */
};

enum { CONFIG_OPTIONS_MAX = 64 }; /* for arrays with an element for each row */

extern const struct option config_options[];
extern const size_t config_option_count;

/* The row of that name, NULL: none. */
const struct option *config_option_named(const char *name);

/* "an integer from 1 to 1024": for "expected ..."; may use `text`. */
const char *config_option_expected(const struct option *o, char *text, size_t size);

#endif
