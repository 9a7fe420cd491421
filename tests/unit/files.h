/* Small files as tests write and read them. To be included after cmocka.h. */
#ifndef FILES_H
#define FILES_H

#include <stdio.h>

static inline void files_write(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* The first 64 KiB of it, until the next call. */
static inline const char *files_read(const char *path)
{
    static char text[65536];
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    return text;
}

#endif
