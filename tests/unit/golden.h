/* golden.h - what the tests of golden files share: files of tests/golden, tensors in them, and differences in words.
 * tools/make_goldens.py writes the files with the pinned versions of torch, transformers and PEFT. */
#ifndef SWEEP_TESTS_GOLDEN_H
#define SWEEP_TESTS_GOLDEN_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "safetensors.h"

#define GOLDEN SOURCE_DIR "/tests/golden"

__attribute__((unused)) static cJSON *golden_json(const char *path)
{
	struct err err = {0};
	cJSON *root = json_read_file(path, 1 << 24, &err);
	if (!root)
		fail_msg("%s", err.text);
	return root;
}

__attribute__((unused)) static const struct safetensors_tensor *golden_tensor(const struct safetensors *st,
									      const char *name)
{
	const struct safetensors_tensor *t = safetensors_find(st, name);
	if (!t)
		fail_msg("golden tensor `%s` is missing", name);
	return t;
}

/* A copy of a float tensor; the caller frees. */
__attribute__((unused)) static float *golden_floats(const struct safetensors *st, const char *name, size_t count)
{
	const struct safetensors_tensor *t = golden_tensor(st, name);
	if (t->count != count || !safetensors_is_float(t->type))
		fail_msg("golden tensor `%s` has %zu elements, expected %zu floats", name, t->count, count);
	float *out = mem_array(count, sizeof *out);
	safetensors_widen(t, out);
	return out;
}

/* The same for int32. */
__attribute__((unused)) static int32_t *golden_ints(const struct safetensors *st, const char *name, size_t *count)
{
	const struct safetensors_tensor *t = golden_tensor(st, name);
	assert_int_equal(t->type, SAFETENSORS_I32);
	*count = t->count;
	int32_t *out = mem_array(t->count, sizeof *out);
	memcpy(out, t->data, t->size);
	return out;
}

/* The largest difference of two arrays; NaN counts as infinite. */
__attribute__((unused)) static double golden_difference(const float *a, const float *b, size_t n)
{
	double worst = 0;
	for (size_t i = 0; i < n; i++) {
		double gap = fabs((double)a[i] - (double)b[i]);
		worst = gap <= worst ? worst : isnan(gap) ? INFINITY : gap;
	}
	return worst;
}

/* The largest magnitude of an array. */
__attribute__((unused)) static double golden_size(const float *a, size_t n)
{
	double worst = 0;
	for (size_t i = 0; i < n; i++)
		worst = fmax(worst, fabs((double)a[i]));
	return worst;
}

/* Fails, and says by how much, when a is not b: largest difference over b's largest magnitude. Returns it. */
__attribute__((unused)) static double golden_relative(const char *what, const float *a, const float *b, size_t n,
						      double most)
{
	double gap = golden_difference(a, b, n) / golden_size(b, n);
	if (!(gap <= most))
		fail_msg("%s: relative difference %.2e, at most %.0e is allowed", what, gap, most);
	return gap;
}

#endif
