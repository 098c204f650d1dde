/* test_table.c - numbers of different things, in order, with hashes that are equal too often. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/table.h"

#define THINGS 5000

struct things {
	uint64_t thing[THINGS], wanted;
};

static bool same(size_t number, void *ctx)
{
	const struct things *t = ctx;
	return t->thing[number] == t->wanted;
}

static void fill(uint64_t hashes)
{
	static struct things t;
	struct table table = {0};
	for (size_t i = 0; i < 3 * THINGS; i++) {
		bool added;
		t.wanted = (i * 7919) % THINGS; /* each of them three times */
		uint64_t hash = table_hash(&t.wanted, 1) % hashes;
		size_t number = table_add(&table, hash, same, &t, &added);
		assert_int_equal(added, i < THINGS);
		assert_int_equal(number, i % THINGS);
		t.thing[number] = t.wanted;
	}
	assert_int_equal(table.n, THINGS);
	table_release(&table);
	assert_null(table.slot);
}

static void test_numbers(void **state)
{
	(void)state;
	fill(UINT64_MAX);
	fill(3000); /* different things with equal hashes */
	fill(7);
}

static void test_hash(void **state)
{
	(void)state;
	uint64_t a[] = {1, 2}, b[] = {2, 1}, c[] = {1, 2, 0};
	assert_true(table_hash(a, 2) == table_hash(c, 2));
	assert_true(table_hash(a, 2) != table_hash(b, 2));
	assert_true(table_hash(a, 2) != table_hash(c, 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_numbers), cmocka_unit_test(test_hash)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
