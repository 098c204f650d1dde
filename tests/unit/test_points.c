/* test_points.c - grids multiplied out, duplicates, the limit, and random draws. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/mem.h"
#include "plan/points.h"
#include "plan/spec.h"

static char file[] = "/tmp/test_points.XXXXXX";

static void load(struct spec *spec, const char *text)
{
	struct err err = {0};
	assert_int_equal(fs_write_file(file, text, strlen(text), &err), 0);
	if (spec_load(spec, file, NULL, 0, &err) < 0)
		fail_msg("%s", err.text);
}

static void make(struct points *points, const char *text)
{
	struct spec spec;
	struct err err = {0};
	load(&spec, text);
	if (points_make(points, &spec, NULL, &err) < 0)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < points->n; i++)
		points->point[i].label = NULL; /* the spec goes */
	spec_release(&spec);
}

static void test_grid(void **state)
{
	(void)state;
	struct points points;
	make(&points, "parameters:\n  num_beams: [3, 5]\n  temperature: [0.2, 1.0, 2]\n  do_sample: true\n");
	assert_int_equal(points.n, 6);
	assert_int_equal(points.duplicates, 0);
	const double temperature[] = {0.2, 1, 2, 0.2, 1, 2}; /* the last one fastest */
	for (size_t i = 0; i < 6; i++) {
		const struct params *p = &points.point[i].params;
		assert_int_equal(PARAM_I(p, num_beams), i < 3 ? 3 : 5);
		assert_true(PARAM_F(p, temperature) == temperature[i]);
		assert_int_equal(PARAM_I(p, do_sample), 1);
		assert_int_equal(PARAM_I(p, seed), 42); /* a default */
	}
	points_release(&points);
	make(&points, "run_cap: 4\nparameters:\n  num_beams: [3, 5]\n  top_k: [0, 1, 2]\n");
	assert_int_equal(points.n, 4); /* the first four */
	assert_int_equal(PARAM_I(&points.point[3].params, num_beams), 5);
	points_release(&points);
}

static void test_duplicates(void **state)
{
	(void)state;
	struct points points;
	make(&points, "parameters:\n  num_beams: [3, 3, 5]\n  temperature: [1, 1.0, 1e0]\n");
	assert_int_equal(points.n, 2);
	assert_int_equal(points.duplicates, 7);
	points_release(&points);
	make(&points, "parameters:\n- {num_beams: [1, 2]}\n- {num_beams: [2, 3], seed: 42}\n");
	assert_int_equal(points.n, 3); /* the union; 42 is the default */
	assert_int_equal(points.duplicates, 1);
	points_release(&points);
	struct spec spec;
	struct err err = {0};
	load(&spec, "parameters:\n- {num_beams: [1, 2]}\n- {name: two, num_beams: 2}\n");
	assert_int_equal(points_make(&points, &spec, NULL, &err), 0);
	assert_int_equal(points.n, 2);
	assert_null(points.point[0].label);
	assert_string_equal(points.point[1].label, "two"); /* the name is not lost with the duplicate */
	points_release(&points);
	spec_release(&spec);
}

static void too_many(const char *text, const char *needle)
{
	struct spec spec;
	struct points points;
	struct err err = {0};
	load(&spec, text);
	assert_int_equal(points_make(&points, &spec, NULL, &err), -1);
	if (!strstr(err.text, needle))
		fail_msg("expected `%s`: %s", needle, err.text);
	assert_int_equal(err.kind, ERR_INPUT);
	assert_null(points.point);
	spec_release(&spec);
}

static void test_limit(void **state)
{
	(void)state;
	struct buf list = BUF_INIT, text = BUF_INIT;
	for (int i = 1; i <= 1000; i++)
		buf_printf(&list, "%s%d", i > 1 ? ", " : "", i);
	buf_printf(&text, "parameters:\n  top_k: [%s]\n  num_beams: [%s]\n", list.data, list.data);
	struct points points;
	make(&points, text.data); /* a million exactly */
	assert_int_equal(points.n, 1000000);
	points_release(&points);
	buf_adds(&text, "  seed: [1, 2]\n");
	too_many(text.data, "the grid has 2000000 points (1000 top_k x 1000 num_beams x 2 seed); at most 1000000");
	buf_printf(&text,
		   "  epochs: [%s]\n  batch_size: [%s]\n  warmup_steps: [%s]\n  train_limit: [%s]\n  max_new_tokens: "
		   "[%s]\n",
		   list.data, list.data, list.data, list.data, list.data);
	too_many(text.data, "the grid has 2.0e+21 points");
	buf_clear(&text);
	buf_printf(&text, "parameters:\n- {top_k: [%s], num_beams: [%s]}\n- {top_k: 5}\n", list.data, list.data);
	too_many(text.data, "the grid has 1000001 points; at most");
	buf_release(&text);
	buf_release(&list);
}

#define RANDOM "method: random\nrun_cap: 2000\nseed: %d\nparameters:\n  seed: {min: 0, max: 9223372036854775807}\n"

/* Draws 2,000 values of one parameter. */
static void draw(struct points *points, int seed, const char *name, const char *how)
{
	char *text = mem_printf(RANDOM "  %s: %s\n", seed, name, how);
	make(points, text);
	assert_int_equal(points->n, 2000);
	free(text);
}

static double mean_of(const struct points *points, int id, double (*f)(double))
{
	double sum = 0;
	for (size_t i = 0; i < points->n; i++) {
		union param_value v = points->point[i].params.v[id];
		double x = param_table[id].type == PARAM_TYPE_FLOAT ? v.f : (double)v.i;
		sum += f ? f(x) : x;
	}
	return sum / (double)points->n;
}

static double square(double x)
{
	return x * x;
}

static void near(double found, double expected, double tolerance)
{
	if (!(fabs(found - expected) <= tolerance))
		fail_msg("found %g, expected %g +- %g", found, expected, tolerance);
}

static void test_distributions(void **state)
{
	(void)state;
	struct points points;
	/* tolerances: about four standard errors of 2,000 draws */
	draw(&points, 0, "top_p", "{min: 0.2, max: 0.8}");
	near(mean_of(&points, PARAM_top_p, NULL), 0.5, 0.016);
	near(mean_of(&points, PARAM_top_p, square), 0.28, 0.016);
	points_release(&points);
	draw(&points, 0, "num_beams", "{min: 1, max: 8}");
	near(mean_of(&points, PARAM_num_beams, NULL), 4.5, 0.21);
	size_t seen[9] = {0};
	for (size_t i = 0; i < points.n; i++)
		seen[PARAM_I(&points.point[i].params, num_beams)]++;
	for (size_t i = 1; i <= 8; i++)
		assert_in_range(seen[i], 190, 310);
	points_release(&points);
	draw(&points, 0, "learning_rate", "{distribution: log_uniform_values, min: 1e-5, max: 1e-1}");
	near(mean_of(&points, PARAM_learning_rate, log10), -3, 0.11);
	points_release(&points);
	draw(&points, 0, "learning_rate", "{distribution: log_uniform, min: -6, max: -2}");
	near(mean_of(&points, PARAM_learning_rate, log), -4, 0.11);
	points_release(&points);
	draw(&points, 0, "length_penalty", "{distribution: normal, mu: 1, sigma: 2}");
	near(mean_of(&points, PARAM_length_penalty, NULL), 1, 0.18);
	near(mean_of(&points, PARAM_length_penalty, square), 5, 0.6);
	points_release(&points);
	draw(&points, 0, "temperature", "{distribution: log_normal, mu: -1, sigma: 0.5}");
	near(mean_of(&points, PARAM_temperature, log), -1, 0.045);
	points_release(&points);
	draw(&points, 0, "top_p", "{distribution: q_uniform, q: 0.1, min: 0.1, max: 1}");
	for (size_t i = 0; i < points.n; i++) {
		char text[16];
		double p = PARAM_F(&points.point[i].params, top_p);
		snprintf(text, sizeof text, "%.1f", p);
		assert_true(strtod(text, NULL) == p); /* 0.3, not 0.30000000000000004 */
	}
	points_release(&points);
	draw(&points, 0, "max_new_tokens", "{distribution: q_log_uniform_values, q: 5, min: 10, max: 60}");
	for (size_t i = 0; i < points.n; i++)
		assert_int_equal(PARAM_I(&points.point[i].params, max_new_tokens) % 5, 0);
	points_release(&points);
	/* a normal's tail outside of the range is drawn again */
	draw(&points, 0, "top_p", "{distribution: normal, mu: 0, sigma: 1}");
	for (size_t i = 0; i < points.n; i++)
		assert_true(PARAM_F(&points.point[i].params, top_p) > 0 &&
			    PARAM_F(&points.point[i].params, top_p) <= 1);
	points_release(&points);
	draw(&points, 0, "num_beams", "{values: [1, 2, 3], probabilities: [0.7, 0, 0.3]}");
	memset(seen, 0, sizeof seen);
	for (size_t i = 0; i < points.n; i++)
		seen[PARAM_I(&points.point[i].params, num_beams)]++;
	assert_in_range(seen[1], 1320, 1480);
	assert_int_equal(seen[2], 0);
	points_release(&points);
}

/* A rounded distribution draws what the plain one draws, and rounds it. */
static void test_rounded_draws(void **state)
{
	(void)state;
	static const struct {
		int id;
		const char *name, *how, *range;
	} rows[] = {
		{PARAM_top_p, "top_p", "uniform", "min: 0.25, max: 0.75"},
		{PARAM_temperature, "temperature", "log_uniform", "min: -1, max: 1"},
		{PARAM_temperature, "temperature", "log_uniform_values", "min: 0.5, max: 3"},
		{PARAM_length_penalty, "length_penalty", "normal", "mu: 1, sigma: 0.5"},
		{PARAM_temperature, "temperature", "log_normal", "mu: 1, sigma: 0.5"},
	};
	for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
		struct points plain, rounded;
		char *how = mem_printf("{distribution: %s, %s}", rows[k].how, rows[k].range);
		draw(&plain, 7, rows[k].name, how);
		free(how);
		how = mem_printf("{distribution: q_%s, q: 0.0001, %s}", rows[k].how, rows[k].range);
		draw(&rounded, 7, rows[k].name, how);
		free(how);
		for (size_t i = 0; i < plain.n; i++)
			near(rounded.point[i].params.v[rows[k].id].f, plain.point[i].params.v[rows[k].id].f, 0.00006);
		points_release(&plain);
		points_release(&rounded);
	}
}

static void test_random_is_stable(void **state)
{
	(void)state;
	struct points a, b;
	static const char beams[] = "  num_beams: {min: 1, max: 100}\n", top[] = "  top_k: {min: 0, max: 1000000}\n";
	char *text = mem_printf("method: random\nrun_cap: 20\nparameters:\n%s%s", beams, top);
	make(&a, text);
	free(text);
	text = mem_printf("method: random\nrun_cap: 50\nparameters:\n%s  top_p: {min: 0.5, max: 1}\n%s", top, beams);
	make(&b, text); /* another order, one more, more draws */
	free(text);
	for (size_t i = 0; i < 20; i++) {
		assert_int_equal(PARAM_I(&a.point[i].params, num_beams), PARAM_I(&b.point[i].params, num_beams));
		assert_int_equal(PARAM_I(&a.point[i].params, top_k), PARAM_I(&b.point[i].params, top_k));
	}
	points_release(&b);
	text = mem_printf("method: random\nseed: 1\nrun_cap: 20\nparameters:\n%s%s", beams, top);
	make(&b, text);
	free(text);
	assert_int_not_equal(PARAM_I(&a.point[0].params, top_k), PARAM_I(&b.point[0].params, top_k));
	points_release(&a);
	points_release(&b);
	make(&a, "method: random\nrun_cap: 100\nparameters:\n  num_beams: [1, 2, 3]\n  top_k: [1, 2]\n");
	assert_int_equal(a.n, 6); /* there are no more */
	points_release(&a);
	make(&a, "method: random\nrun_cap: 30\nparameters:\n- {num_beams: 1, top_k: {min: 1, max: 1000}}\n"
		 "- {num_beams: 2, top_k: {min: 1, max: 1000}}\n");
	double share = mean_of(&a, PARAM_num_beams, NULL) - 1; /* both entries are drawn from */
	assert_true(share > 0.1 && share < 0.9);
	points_release(&a);
	struct spec spec;
	struct err err = {0};
	load(&spec,
	     "method: random\nrun_cap: 3\nparameters:\n  top_p: {distribution: normal, mu: 500, sigma: 0.001}\n");
	assert_int_equal(points_make(&a, &spec, NULL, &err), -1);
	assert_non_null(strstr(err.text, ":4:3: top_p: 1,000 draws"));
	spec_release(&spec);
}

static int setup(void **state)
{
	(void)state;
	setenv("SWEEP_HOME", SOURCE_DIR, 1);
	int fd = mkstemp(file);
	close(fd);
	return fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	return unlink(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grid),          cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_limit),         cmocka_unit_test(test_distributions),
		cmocka_unit_test(test_rounded_draws), cmocka_unit_test(test_random_is_stable),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
