/* A circular list. A link lies inside the thing that is listed; the list itself is a link
 * of its own, the sentinel, from which the first and the last are reached.
 *
 * Nothing is allocated, nothing can fail, and every function takes constant time. A list
 * owns none of what is in it. Whoever owns the list says which lock guards it.
 *
 *     for (struct link *l = list.next; l != &list; l = l->next)
 *         visit(CONTAINER(struct thing, link, l)); */
#ifndef LUAFCGID2_BASE_LIST_H
#define LUAFCGID2_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct link {
    struct link *prev, *next;
};

/* The `type` whose field `member` is what `l` points to. */
#define CONTAINER(type, member, l) ((type *)(void *)((char *)(l)-offsetof(type, member)))

/* Makes an empty list, or a link that is in no list. */
void list_init(struct link *list);

/* Whether the list is empty, or the link is in no list. */
bool list_is_empty(const struct link *list);

/* Puts `l`, which is in no list, behind `at`: a link, or the list for its front. */
void list_insert_after(struct link *at, struct link *l);

/* Puts `l`, which is in no list, at the end. */
void list_append(struct link *list, struct link *l);

/* Takes `l` out; it is in no list then. Allowed for a link that is in none. */
void list_remove(struct link *l);

/* Moves everything in the list `from`, in the same order, to behind `at`. */
void list_splice(struct link *at, struct link *from);

#endif
