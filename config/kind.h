/* The kinds of options: numbers, texts, lists and so on. For the files of this folder and
 * config.c only. Nothing blocks, but for look-ups of users and groups. */
#ifndef LUAFCGID2_CONFIG_KIND_H
#define LUAFCGID2_CONFIG_KIND_H

#include "config/loader.h"

/* Puts the value at `index` into the struct, which owns what it points to. false: it does
 * not fit, and no message was given yet. */
bool kind_store(struct loader *l, const struct option_row *o, int index);

/* Reports a mistake: the value at `index` does not fit the option. */
void kind_complain(struct loader *l, const struct option_row *o, int index);

/* Frees the memory that the option's field points to. The field may still be zero. */
void kind_free(struct config *c, const struct option_row *o);

/* Whether the option has the same value in both. Lists and tables count as equal: none of
 * them needs a restart. */
bool kind_equal(const struct config *a, const struct config *b,
                const struct option_row *o);

/* "an integer from 1 to 1024": for "expected ..."; may use `text`. */
const char *kind_expected(const struct option_row *o, char *text, size_t size);

/* The option's values in a few words, for -h; may use `text`. */
const char *kind_range(const struct option_row *o, char *text, size_t size);

#endif
