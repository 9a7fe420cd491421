/* The small blocks of one Lua state, side by side in one piece of memory.
 *
 * A fresh state is some 600 objects of 20 to 100 bytes, and the C library's allocator
 * needs 8 to 23 bytes more for each. Lua says how large a block is when it gives it back,
 * so here none needs more than itself. The piece has a fixed size: what does not fit, or
 * is large, is for the C library. So a state that was large once keeps nothing.
 *
 * Owned by the limit of a state (lua/limit.h), used by the thread that runs the state.
 * Nothing blocks. Blocks are aligned for pointers, integers and doubles, as Lua needs. */
#ifndef LUAFCGID2_LUA_ARENA_H
#define LUAFCGID2_LUA_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARENA_BYTES     (24u * 1024)
#define ARENA_BLOCK_MAX 256u
#define ARENA_UNIT      8u

struct arena {
    char *memory;  /* NULL: every block is for the C library */
    uint16_t used; /* units that have been blocks, or are */
    uint16_t spare[ARENA_BLOCK_MAX / ARENA_UNIT + 1]; /* blocks that were given back, by
                                                         their units; 0: none */
};

/* `a` is zeroed. When memory is short the arena is without any. */
void arena_open(struct arena *a);
void arena_close(struct arena *a);

/* Whether the block is from the arena. */
static inline bool arena_owns(const struct arena *a, const void *block)
{
    return a->memory != NULL && (uintptr_t)block - (uintptr_t)a->memory < ARENA_BYTES;
}

/* A block of `size` bytes, at least 1; NULL: it is for the C library. */
void *arena_take(struct arena *a, size_t size);

/* Gives one back. `size` is that of arena_take. */
void arena_give(struct arena *a, void *block, size_t size);

/* Whether a block that has room for `size` bytes has room for `wanted` as well, and is
 * not too large for them. */
static inline bool arena_suits(size_t size, size_t wanted)
{
    return (size + ARENA_UNIT - 1) / ARENA_UNIT == (wanted + ARENA_UNIT - 1) / ARENA_UNIT;
}

#endif
