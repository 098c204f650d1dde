/* test_arena.c - pieces of an arena: aligned, apart, where they were, and all released (the asan preset sees leaks). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"

static void test_pieces(void **state)
{
	(void)state;
	struct arena arena = {0};
	static const size_t sizes[] = {0, 1, 7, 8, 100, 5000, 1 << 19, 3, 1 << 22, 24};
	struct {
		unsigned char *at;
		size_t size;
	} piece[400];
	for (size_t i = 0; i < 400; i++) {
		piece[i].size = sizes[i % (i < 40 ? 10 : 6)];
		piece[i].at = arena_alloc(&arena, piece[i].size);
		assert_int_equal((uintptr_t)piece[i].at % sizeof(void *), 0);
		memset(piece[i].at, (int)(i % 251), piece[i].size);
	}
	for (size_t i = 0; i < 400; i++)
		for (size_t j = 0; j < piece[i].size; j++)
			if (piece[i].at[j] != i % 251)
				fail_msg("piece %zu was written over at %zu", i, j);
	char *text = arena_printf(&arena, "%s %d", "virtual tokens", 20), *copy = arena_strdup(&arena, text);
	assert_string_equal(text, "virtual tokens 20");
	assert_string_equal(copy, text);
	assert_ptr_not_equal(copy, text);
	arena_release(&arena);
	assert_null(arena.newest);
	arena_release(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_pieces)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
