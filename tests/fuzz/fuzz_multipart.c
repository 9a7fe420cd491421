/* libFuzzer: a body of type multipart/form-data.
 *
 * The first byte says how the body is cut into pieces, the second how long the boundary
 * is, which follows, and the body comes after it. Whatever the pieces, the events and the
 * data must be the same; and the data must be what stands between two delimiters. */
#include "http/multipart.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct outcome {
    char *text; /* events and data, one after the other */
    size_t len, cap;
    enum multipart_event last;
    bool whole;
};

static void demand(bool ok)
{
    if (!ok)
        abort();
}

static void note(struct outcome *o, const char *data, size_t len)
{
    if (o->len + len > o->cap) {
        o->cap = (o->len + len) * 2;
        o->text = realloc(o->text, o->cap);
        demand(o->text != NULL);
    }
    if (len > 0)
        memcpy(o->text + o->len, data, len);
    o->len += len;
}

static void note_event(struct outcome *o, enum multipart_event event,
                       const struct multipart_part *part)
{
    if (event == MULTIPART_DATA) {
        demand(part->data_len > 0);
        note(o, part->data, part->data_len);
        return;
    }
    note(o, (const char *)&event, sizeof event);
    if (event != MULTIPART_PART)
        return;
    demand(part->name != NULL && memchr(part->name, '\0', part->name_len) == NULL);
    note(o, part->name, part->name_len);
    note(o, part->type, part->type_len);
    if (part->file == NULL)
        return;
    demand(part->file_len == 0 || (memchr(part->file, '/', part->file_len) == NULL &&
                                   memchr(part->file, '\0', part->file_len) == NULL));
    note(o, part->file, part->file_len);
}

/* Whether `event` may come after `before`. */
static bool may_follow(enum multipart_event before, enum multipart_event event)
{
    switch (event) {
    case MULTIPART_PART:
    case MULTIPART_END:
        return before == MULTIPART_MORE || before == MULTIPART_PART_END;
    case MULTIPART_DATA:
    case MULTIPART_PART_END:
        return before == MULTIPART_PART || before == MULTIPART_DATA;
    default:
        return true;
    }
}

/* Feeds pieces of memory of their own, so that a look beyond one is seen. */
static struct outcome run(const char *type, const uint8_t *data, size_t size, size_t step)
{
    static struct multipart m;
    struct outcome o = {0};
    enum multipart_event before = MULTIPART_MORE;
    demand(multipart_begin(&m, type, strlen(type)));
    for (size_t at = 0; at < size && o.last != MULTIPART_MALFORMED; at += step) {
        size_t n = size - at < step ? size - at : step;
        char *piece = malloc(n);
        const char *in = piece;
        struct multipart_part part;
        demand(piece != NULL);
        memcpy(piece, data + at, n);
        while ((o.last = multipart_next(&m, &in, &n, &part)) != MULTIPART_MORE) {
            note_event(&o, o.last, &part);
            if (o.last == MULTIPART_MALFORMED)
                break;
            demand(may_follow(before, o.last));
            before = o.last;
        }
        demand(o.last == MULTIPART_MALFORMED || n == 0);
        free(piece);
    }
    o.whole = multipart_is_whole(&m);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char type[64 + MULTIPART_BOUNDARY_MAX];
    struct multipart m;
    if (size < 2)
        return 0;
    size_t step = (size_t)data[0] + 1, boundary = data[1] % MULTIPART_BOUNDARY_MAX + 1;
    data += 2;
    size -= 2;
    if (size < boundary || memchr(data, '\0', boundary) != NULL)
        return 0;
    snprintf(type, sizeof type, "multipart/form-data; boundary=%.*s", (int)boundary,
             (const char *)data);
    if (!multipart_begin(&m, type, strlen(type)))
        return 0;
    data += boundary;
    size -= boundary;
    struct outcome whole = run(type, data, size, size + 1);
    struct outcome parts = run(type, data, size, step);
    struct outcome single = run(type, data, size, 1);
    demand(whole.len == parts.len && whole.len == single.len);
    demand(whole.len == 0 || (memcmp(whole.text, parts.text, whole.len) == 0 &&
                              memcmp(whole.text, single.text, whole.len) == 0));
    demand(whole.whole == parts.whole && whole.whole == single.whole);
    free(whole.text);
    free(parts.text);
    free(single.text);
    return 0;
}
