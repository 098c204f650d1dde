/* table.h - which number does this thing have? A hash table that gives numbers 0, 1, 2 ... to different things, in the
 * order in which they come; the things themselves are the caller's.
 *
 *     struct table table = {0};
 *     bool added;
 *     size_t number = table_add(&table, table_hash(words, n), same_thing, &things, &added);
 *     if (added) keep the thing as things[number]
 *     table_release(&table);
 *
 * Nothing is ever taken out. Hashes are kept, so that things are compared only when theirs are equal. */
#ifndef SWEEP_BASE_TABLE_H
#define SWEEP_BASE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table {
	uint32_t *slot; /* number + 1; 0 is free */
	uint64_t *hash; /* of each number */
	size_t mask, n, room;
};

/* Is the thing at hand (the caller's, in ctx) the one that has this number? */
typedef bool table_same(size_t number, void *ctx);

/* The number of the same thing, or the next free one with *added. At most 2^32 - 2 things. */
size_t table_add(struct table *table, uint64_t hash, table_same *same, void *ctx, bool *added);
uint64_t table_hash(const uint64_t *words, size_t n);
void table_release(struct table *table);

#endif
