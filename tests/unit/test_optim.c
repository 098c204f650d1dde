/* test_optim.c - AdamW against figures worked out by hand and against the formula in double; the schedule's corners. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "base/params.h"
#include "base/rng.h"
#include "optim.h"

static const struct optim_settings torch_defaults = {0.9, 0.999, 1e-8, 0.01};

static void close_to(double got, double want, double tolerance)
{
	if (!(fabs(got - want) <= tolerance))
		fail_msg("got %.10g, want %.10g", got, want);
}

/* p = 1, g = 0.5, lr = 0.1: the decay gives 0.999, the first step always has the size lr: 0.899. With the same gradient
 * again the bias-corrected moments are the same: 0.899 * 0.999 - 0.1. */
static void test_figures_by_hand(void **state)
{
	(void)state;
	struct err err = {0};
	struct optim o;
	assert_int_equal(optim_init(&o, 2, &torch_defaults, &err), 0);
	float p[2] = {1, -2}, g[2] = {0.5f, 0};
	optim_step(&o, p, g, 0.1);
	close_to((double)p[0], 0.899, 1e-6);
	close_to((double)p[1], -1.998, 1e-6); /* no gradient: decay alone */
	close_to((double)o.moment[0], 0.05, 1e-8);
	close_to((double)o.square[0], 0.00025, 1e-9);
	optim_step(&o, p, g, 0.1);
	close_to((double)p[0], 0.899 * 0.999 - 0.1, 1e-6);
	/* Gradient -1 at t = 3: m = 0.9 * 0.095 - 0.1 = -0.0145, s = 0.999 * 0.00049975 + 0.001 = 0.00149925025;
	 * corrections 0.271 and 0.002997001; step = 0.1 * (-0.0535055...) / sqrt(0.50025...) */
	g[0] = -1;
	double before = (double)p[0];
	optim_step(&o, p, g, 0.1);
	double m = -0.0145 / 0.271, s = 0.00149925025 / 0.002997001;
	close_to((double)p[0], before * 0.999 - 0.1 * m / (sqrt(s) + 1e-8), 1e-6);
	optim_release(&o);
}

static void test_follows_the_formula_in_double(void **state)
{
	(void)state;
	enum { N = 40000, STEPS = 30 };
	struct err err = {0};
	struct optim o;
	struct optim_settings set = {0.8, 0.95, 1e-6, 0.1};
	assert_int_equal(optim_init(&o, N, &set, &err), 0);
	float *p = malloc(N * sizeof *p), *g = malloc(N * sizeof *g);
	double *q = malloc(N * sizeof *q), *m = calloc(N, sizeof *m), *s = calloc(N, sizeof *s);
	struct rng_key key = rng_key(1, RNG_INIT);
	for (size_t i = 0; i < N; i++)
		q[i] = (double)(p[i] = rng_normal(key, 0, i));
	for (uint64_t t = 1; t <= STEPS; t++) {
		double lr = 0.01 / (double)t;
		for (size_t i = 0; i < N; i++) {
			g[i] = rng_normal(key, t, i);
			q[i] *= 1 - lr * set.weight_decay;
			m[i] = set.beta1 * m[i] + (1 - set.beta1) * (double)g[i];
			s[i] = set.beta2 * s[i] + (1 - set.beta2) * (double)g[i] * (double)g[i];
			q[i] -= lr / (1 - pow(set.beta1, (double)t)) * m[i] /
				(sqrt(s[i]) / sqrt(1 - pow(set.beta2, (double)t)) + set.epsilon);
		}
		optim_step(&o, p, g, lr);
	}
	for (size_t i = 0; i < N; i++)
		close_to((double)p[i], q[i], 3e-6);
	optim_release(&o);
	free(p);
	free(g);
	free(q);
	free(m);
	free(s);
}

static void test_schedule(void **state)
{
	(void)state;
	/* No warm-up: the first step has the full rate, the last one a T-th of it. */
	close_to(optim_learning_rate(5e-5, LR_SCHEDULER_LINEAR, 0, 0, 2629), 5e-5, 0);
	close_to(optim_learning_rate(5e-5, LR_SCHEDULER_LINEAR, 0, 2628, 2629), 5e-5 / 2629, 1e-18);
	close_to(optim_learning_rate(1, LR_SCHEDULER_LINEAR, 4, 0, 12), 0, 0);
	close_to(optim_learning_rate(1, LR_SCHEDULER_LINEAR, 4, 3, 12), 0.75, 0);
	close_to(optim_learning_rate(1, LR_SCHEDULER_LINEAR, 4, 4, 12), 1, 0);
	close_to(optim_learning_rate(1, LR_SCHEDULER_LINEAR, 4, 11, 12), 0.125, 0);
	close_to(optim_learning_rate(1, LR_SCHEDULER_LINEAR, 20, 11, 12), 0.55,
		 1e-15);                                                         /* a warm-up longer than the run */
	close_to(optim_learning_rate(1, LR_SCHEDULER_CONSTANT, 2, 0, 12), 1, 0); /* no warm-up, as in transformers */
	close_to(optim_learning_rate(1, LR_SCHEDULER_CONSTANT, 2, 11, 12), 1, 0);
	close_to(optim_learning_rate(1, LR_SCHEDULER_CONSTANT_WITH_WARMUP, 2, 1, 12), 0.5, 0);
	close_to(optim_learning_rate(1, LR_SCHEDULER_CONSTANT_WITH_WARMUP, 2, 2, 12), 1, 0);
	close_to(optim_learning_rate(1, LR_SCHEDULER_CONSTANT_WITH_WARMUP, 2, 11, 12), 1, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_figures_by_hand),
		cmocka_unit_test(test_follows_the_formula_in_double),
		cmocka_unit_test(test_schedule),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
