/* test_prefix.c - the prefix encoder: torch's initial distributions, the table by plain loops, gradients by finite
 * differences. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "prefix.h"

static struct model sizes(size_t layers, size_t width)
{
	return (struct model){.n_layer = layers, .n_embd = width};
}

static void test_initial_values(void **state)
{
	(void)state;
	struct err err = {0};
	struct model model = sizes(3, 96);
	struct prefix p, again, other;
	assert_int_equal(prefix_init(&p, &model, 7, true, 150, 42, &err), 0);
	assert_int_equal(prefix_init(&again, &model, 7, true, 150, 42, &err), 0);
	assert_int_equal(prefix_init(&other, &model, 7, true, 150, 43, &err), 0);
	assert_int_equal(p.n_tensors, 5);
	assert_int_equal(p.n_parameters, 7 * 96 + 150 * 96 + 150 + 576 * 150 + 576);
	assert_string_equal(p.tensors[3].name, "transform.2.weight");
	assert_true(p.tensors[3].rows == 576 && p.tensors[3].columns == 150);
	assert_memory_equal(p.parameters, again.parameters, p.n_parameters * sizeof(float));
	assert_memory_not_equal(p.parameters, other.parameters, p.n_parameters * sizeof(float));
	for (size_t t = 0; t < 5; t++) {
		size_t n = p.tensors[t].rows * p.tensors[t].columns;
		double bound = 1 / sqrt(t <= 2 ? 96 : 150), mean = 0, square = 0, top = 0;
		for (size_t i = 0; i < n; i++) {
			double x = (double)p.tensors[t].value[i];
			mean += x / (double)n;
			square += x * x / (double)n;
			top = fmax(top, fabs(x));
		}
		double variance = t == 0 ? 1 : bound * bound / 3;
		assert_true(fabs(mean) < 5 * sqrt(variance / (double)n));
		assert_true(fabs(square / variance - 1) < 8 / sqrt((double)n));
		if (t > 0)
			assert_true(top <= bound && top > 0.9 * bound);
	}
	prefix_release(&p);
	prefix_release(&again);
	prefix_release(&other);
}

static void test_table_by_plain_loops(void **state)
{
	(void)state;
	struct err err = {0};
	struct model model = sizes(2, 13);
	struct prefix p;
	assert_int_equal(prefix_init(&p, &model, 3, true, 0, 1, &err), 0);
	assert_int_equal(p.hidden, 13);
	prefix_forward(&p);
	const struct prefix_tensor *t = p.tensors;
	for (size_t j = 0; j < 3; j++)
		for (size_t o = 0; o < p.out; o++) {
			double sum = (double)t[4].value[o];
			for (size_t h = 0; h < 13; h++) {
				double state1 = (double)t[2].value[h];
				for (size_t c = 0; c < 13; c++)
					state1 += (double)t[1].value[h * 13 + c] * (double)t[0].value[j * 13 + c];
				sum += tanh(state1) * (double)t[3].value[o * 13 + h];
			}
			assert_true(fabs((double)p.table[j * p.out + o] - sum) < 1e-6);
		}
	prefix_release(&p);
}

/* The function whose gradient is taken: a fixed random weight on each element of the table. */
static double weighted(struct prefix *p)
{
	double sum = 0;
	prefix_forward(p);
	for (size_t i = 0; i < p->n_virtual * p->out; i++)
		sum += (double)p->table[i] * (double)rng_normal(rng_key(9, RNG_INIT), 0, i);
	return sum;
}

static void test_gradients_by_finite_differences(void **state)
{
	(void)state;
	const struct {
		size_t v, layers, width, hidden;
		bool projection;
	} cases[] = {{1, 1, 5, 3, true}, {4, 2, 12, 0, true}, {6, 3, 10, 24, true}, {4, 2, 12, 0, false}};
	for (size_t k = 0; k < 4; k++) {
		struct err err = {0};
		struct model model = sizes(cases[k].layers, cases[k].width);
		struct prefix p;
		assert_int_equal(prefix_init(&p, &model, cases[k].v, cases[k].projection, cases[k].hidden, 5, &err), 0);
		weighted(&p);
		for (size_t i = 0; i < p.n_virtual * p.out; i++)
			p.dtable[i] = rng_normal(rng_key(9, RNG_INIT), 0, i);
		prefix_backward(&p);
		float *gradient = malloc(p.n_parameters * sizeof *gradient);
		memcpy(gradient, p.gradients, p.n_parameters * sizeof *gradient);
		for (size_t i = 0; i < p.n_parameters; i++) {
			float keep = p.parameters[i];
			p.parameters[i] = keep + 0.01f;
			double up = weighted(&p);
			p.parameters[i] = keep - 0.01f;
			double down = weighted(&p);
			p.parameters[i] = keep;
			double slope = (up - down) / 0.02;
			if (!(fabs(slope - (double)gradient[i]) < 2e-3 * (1 + fabs(slope))))
				fail_msg("case %zu, parameter %zu: slope %g, gradient %g", k, i, slope,
					 (double)gradient[i]);
		}
		free(gradient);
		prefix_release(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_initial_values),
		cmocka_unit_test(test_table_by_plain_loops),
		cmocka_unit_test(test_gradients_by_finite_differences),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
