/* table.c - see table.h. Open addressing, at most half full. */
#include "table.h"

#include <stdlib.h>

#include "mem.h"

uint64_t table_hash(const uint64_t *words, size_t n)
{
	uint64_t h = 0x9E3779B97F4A7C15u;
	for (size_t i = 0; i < n; i++) {
		h = (h ^ words[i]) * 0xBF58476D1CE4E5B9u;
		h ^= h >> 29;
	}
	return h;
}

static void grow(struct table *t)
{
	t->mask = t->mask ? 2 * t->mask + 1 : 63;
	free(t->slot);
	t->slot = mem_zero(t->mask + 1, sizeof *t->slot);
	for (size_t i = 0; i < t->n; i++) {
		size_t at = (size_t)t->hash[i] & t->mask;
		while (t->slot[at])
			at = (at + 1) & t->mask;
		t->slot[at] = (uint32_t)i + 1;
	}
}

size_t table_add(struct table *t, uint64_t hash, table_same *same, void *ctx, bool *added)
{
	if (2 * (t->n + 1) > t->mask)
		grow(t);
	for (size_t at = (size_t)hash & t->mask;; at = (at + 1) & t->mask) {
		*added = !t->slot[at];
		if (*added) {
			t->slot[at] = (uint32_t)t->n + 1;
			MEM_PUSH_ROOM(t->hash, t->n, t->room);
			t->hash[t->n] = hash;
			return t->n++;
		}
		size_t number = t->slot[at] - 1;
		if (t->hash[number] == hash && same(number, ctx))
			return number;
	}
}

void table_release(struct table *t)
{
	free(t->slot);
	free(t->hash);
	*t = (struct table){0};
}
