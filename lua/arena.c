/* The small blocks of one Lua state. Runs in the thread that owns the state; no lock.
 *
 * A block is a number of units, and is named by the first of them. Blocks that were given
 * back are in a list for each size: the first two bytes of one name the next. */
#include "lua/arena.h"

#include <stdlib.h>
#include <string.h>

#define UNITS (ARENA_BYTES / ARENA_UNIT)

/* AddressSanitizer is to see each block by itself. */
#if defined(__SANITIZE_ADDRESS__)
#define EACH_BY_ITSELF
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EACH_BY_ITSELF
#endif
#endif

static size_t units_of(size_t size)
{
    return (size + ARENA_UNIT - 1) / ARENA_UNIT;
}

static char *at(const struct arena *a, uint16_t unit)
{
    return a->memory + (size_t)unit * ARENA_UNIT;
}

void arena_open(struct arena *a)
{
#ifndef EACH_BY_ITSELF
    a->memory = malloc(ARENA_BYTES);
#endif
    a->used = 1; /* 0 is no block */
}

void arena_close(struct arena *a)
{
    free(a->memory);
    *a = (struct arena){0};
}

void *arena_take(struct arena *a, size_t size)
{
    size_t units = units_of(size);
    if (size > ARENA_BLOCK_MAX || a->memory == NULL)
        return NULL;
    uint16_t unit = a->spare[units];
    if (unit != 0) {
        memcpy(&a->spare[units], at(a, unit), sizeof unit);
        return at(a, unit);
    }
    if (units > UNITS - a->used)
        return NULL;
    unit = a->used;
    a->used = (uint16_t)(a->used + units);
    return at(a, unit);
}

void arena_give(struct arena *a, void *block, size_t size)
{
    size_t units = units_of(size);
    uint16_t unit = (uint16_t)((size_t)((char *)block - a->memory) / ARENA_UNIT);
    memcpy(block, &a->spare[units], sizeof unit);
    a->spare[units] = unit;
}
