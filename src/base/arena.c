/* arena.c - see arena.h. Blocks of a megabyte at most begin small and double, so that a plan of one run takes kilobytes;
 * a piece larger than a block gets a block of its own behind the newest one, whose room is not lost. */
#include "arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

#define FIRST_BLOCK ((size_t)1 << 12)
#define LAST_BLOCK  ((size_t)1 << 20)
#define ALIGNMENT   ((size_t)8) /* of every type that this program has */

struct arena_block {
	struct arena_block *next;
	size_t used, room;
	max_align_t bytes[];
};

static struct arena_block *new_block(size_t room, struct arena_block *next)
{
	struct arena_block *block = mem_alloc(sizeof *block + room);
	*block = (struct arena_block){.next = next, .room = room};
	return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	struct arena_block *block = arena->newest;
	size = (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
	if (block && block->room - block->used < size && size > LAST_BLOCK / 4) {
		block = block->next = new_block(size, block->next);
	} else if (!block || block->room - block->used < size) {
		size_t room = !block ? FIRST_BLOCK : block->room < LAST_BLOCK ? 2 * block->room : LAST_BLOCK;
		block = arena->newest = new_block(room < size ? size : room, block);
	}
	void *at = (char *)block->bytes + block->used;
	block->used += size;
	return at;
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
	size_t bytes;
	return arena_alloc(arena, mem_mul_overflows(count, size, &bytes) ? SIZE_MAX / 2 : bytes);
}

char *arena_strdup(struct arena *arena, const char *text)
{
	size_t n = strlen(text) + 1;
	return memcpy(arena_alloc(arena, n), text, n);
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
	va_list ap, again;
	va_start(ap, format);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, format, ap);
	va_end(ap);
	char *text = arena_alloc(arena, (size_t)n + 1);
	vsnprintf(text, (size_t)n + 1, format, again);
	va_end(again);
	return text;
}

void arena_release(struct arena *arena)
{
	for (struct arena_block *block = arena->newest, *next; block; block = next) {
		next = block->next;
		free(block);
	}
	*arena = (struct arena){0};
}
