/* Circular lists. Any thread that holds the lock of the list's owner. Owns nothing. */
#include "base/list.h"

void list_init(struct link *list)
{
    list->prev = list->next = list;
}

bool list_is_empty(const struct link *list)
{
    return list->next == list;
}

void list_insert_after(struct link *at, struct link *l)
{
    l->prev = at;
    l->next = at->next;
    at->next->prev = l;
    at->next = l;
}

void list_append(struct link *list, struct link *l)
{
    list_insert_after(list->prev, l);
}

void list_remove(struct link *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    list_init(l);
}

void list_splice(struct link *at, struct link *from)
{
    if (list_is_empty(from))
        return;
    from->next->prev = at;
    from->prev->next = at->next;
    at->next->prev = from->prev;
    at->next = from->next;
    list_init(from);
}
