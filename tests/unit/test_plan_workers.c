/* test_plan_workers.c - plans played through by hand: when many workers win, when few do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "base/mem.h"
#include "plan/plan_workers.h"

enum { MOST = 40 };

static struct plan_job jobs[MOST];
static struct plan plan = {.jobs = jobs};

static size_t add(double cost, size_t waits_for)
{
	jobs[plan.n_jobs] = (struct plan_job){.cost = cost, .waits_for = waits_for};
	return plan.n_jobs++;
}

static int reset(void **state)
{
	(void)state;
	plan.n_jobs = 0;
	return 0;
}

static const double two = 1.8025; /* 2^0.85 */

static void test_ends(void **state)
{
	(void)state;
	size_t a = add(10, PLAN_NONE), b = add(6, PLAN_NONE);
	add(4, a);
	add(1, b);
	/* one worker: everything in turn, on both cores */
	assert_true(fabs(plan_workers_end(&plan, 1, 2) - 21 / two) < 0.01);
	/* two: a 0..10; b 0..6, its child 6..7; then a's child alone, with the one core that is free and a's own */
	assert_true(fabs(plan_workers_end(&plan, 2, 2) - (10 + 4 / two)) < 0.01);
	/* a lone job has all cores, whatever the number of workers */
	plan.n_jobs = 1;
	assert_true(fabs(plan_workers_end(&plan, 2, 2) - 10 / two) < 0.01);
}

static void test_choice(void **state)
{
	(void)state;
	assert_int_equal(plan_workers(&plan, 4), 4); /* nothing to do */
	/* the original experiment: three long trainings, short decodings */
	for (int i = 0; i < 3; i++)
		add(0.5, add(100, PLAN_NONE));
	assert_int_equal(plan_workers(&plan, 2), 1);
	/* a fourth training: two and two, nobody waits */
	add(0.5, add(100, PLAN_NONE));
	assert_int_equal(plan_workers(&plan, 2), 2);
	/* three trainings, but enough to decode beside the third */
	plan.n_jobs = 6;
	for (int i = 0; i < 12; i++)
		add(8, 0);
	assert_int_equal(plan_workers(&plan, 2), 2);
	/* many equal jobs */
	plan.n_jobs = 0;
	for (int i = 0; i < 32; i++)
		add(1, PLAN_NONE);
	assert_int_equal(plan_workers(&plan, 16), 16);
	assert_int_equal(plan_workers(&plan, 1), 1);
	/* a job that costs nothing is no trouble */
	plan.n_jobs = 0;
	add(0, PLAN_NONE);
	add(0, 0);
	assert_int_equal(plan_workers(&plan, 3), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_ends, reset),
		cmocka_unit_test_setup(test_choice, reset),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
