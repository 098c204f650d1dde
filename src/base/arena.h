/* arena.h - memory that lives as long as one thing (a plan, a parsed file) and is released at once, never in parts.
 *
 *     struct arena arena = {0};
 *     char *title = arena_printf(&arena, "train %d virtual tokens", 20);
 *     size_t *list = arena_array(&arena, n, sizeof *list);
 *     arena_release(&arena);                                         title and list are gone
 *
 * Pieces are aligned for every type and stay where they are. As in mem.h, there is no failure to handle. */
#ifndef SWEEP_BASE_ARENA_H
#define SWEEP_BASE_ARENA_H

#include <stddef.h>

struct arena {
	struct arena_block *newest; /* arena.c's */
};

void *arena_alloc(struct arena *arena, size_t size);               /* not zeroed */
void *arena_array(struct arena *arena, size_t count, size_t size); /* not zeroed; count * size is checked */
char *arena_strdup(struct arena *arena, const char *text);
char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
void arena_release(struct arena *arena);

#endif
