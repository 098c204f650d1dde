/* test_bootstrap.c - bootstrap.c against numpy's generator and sacrebleu's bootstrap (docs/REFERENCE.md, 6.4). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bootstrap.h"
#include "base/fs.h"

#define E2E SOURCE_DIR "/../shared/e2e"

static void assert_draws(uint64_t seed, uint64_t n, const uint32_t *expected, size_t count)
{
	struct bootstrap_rng rng = bootstrap_rng(seed);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(bootstrap_below(&rng, n), expected[i]);
}

static void test_numpy(void **state)
{
	(void)state;
	struct bootstrap_rng rng = bootstrap_rng(12345);
	uint64_t first = bootstrap_u64(&rng);
	assert_true(first == 4193609425186963869u);
	assert_true((double)(first >> 11) * 0x1p-53 == 0.22733602246716966);
	assert_draws(12345, 10, (uint32_t[]){6, 2, 7, 3, 2, 7, 6, 6, 9, 3}, 10);
	assert_draws(12345, 547, (uint32_t[]){382, 124, 431, 173, 111, 436, 351, 369, 540, 213}, 10);
	assert_draws(12345, 630, (uint32_t[]){440, 143, 496, 199, 128, 502}, 6);
	assert_draws(12345, 1, (uint32_t[]){0, 0, 0}, 3);
	/* default_rng(s).integers(n, size=6), numpy 2: a seed of two words, and ranges where draws are rejected */
	assert_draws(0, 3000000000u,
		     (uint32_t[]){2551872677u, 1910885061u, 1533409439u, 809360140u, 923488268u, 122920571u, 225720425u,
				  49582906u, 525801878u, 2439810717u, 1948247248u, 2738266731u, 1510880916u,
				  1819907326u, 1896812393u, 1630874973u},
		     16);
	/* a range of one draws nothing: the next draw is the first */
	rng = bootstrap_rng(12345);
	assert_int_equal(bootstrap_below(&rng, 1), 0);
	assert_int_equal(bootstrap_below(&rng, 10), 6);
	assert_draws(0x123456789ABCDEFu, 1000, (uint32_t[]){195, 711, 531, 957, 426, 500}, 6);
	assert_draws(7, (uint64_t)1 << 32,
		     (uint32_t[]){4058335883u, 2684764585u, 2938530453u, 3853503932u, 2483747170u, 3331544671u}, 6);
}

/* Systems that are equal, and one that is plainly better. */
static void test_extremes(void **state)
{
	(void)state;
	struct bleu_stats good[40], bad[40];
	for (int i = 0; i < 40; i++) {
		good[i] = (struct bleu_stats){10, 10, {9, 8, 7, 6}, {10, 9, 8, 7}};
		bad[i] = (struct bleu_stats){10, 10, {5, 3, 2, 1 + i % 2}, {10, 9, 8, 7}};
	}
	struct bootstrap_result r;
	bootstrap_paired(good, good, 40, 200, 1, &r);
	assert_true(r.mean_difference == 0 && r.base == r.other && r.base_ci == 0);
	bootstrap_paired(good, bad, 40, 1000, BOOTSTRAP_SEED, &r);
	assert_true(r.p == 1.0 / 1001 && r.count == 0 && r.base > r.other);
	bootstrap_paired(good, bad, 1, 10, 1, &r);
	assert_true(r.base_ci == 0);
}

/* The end-to-end check of docs/REFERENCE.md, 6.4: the dev tables as they are against the same without their
 * punctuation. */
static void test_e2e(void **state)
{
	(void)state;
	if (!fs_is_dir(E2E)) {
		print_message("SKIPPED: %s is not there\n", E2E);
		skip();
	}
	struct err err = {0};
	struct buf inputs = BUF_INIT, references = BUF_INIT;
	static struct bleu_stats base[1000], other[1000];
	static const char *refs[64];
	assert_int_equal(buf_read_file(&inputs, E2E "/dev.txt", 1 << 24, &err), 0);
	assert_int_equal(buf_read_file(&references, E2E "/dev.out", 1 << 24, &err), 0);
	struct bleu *bleu = bleu_new();
	char *save, *save_ref, *line = strtok_r(references.data, "\n", &save_ref);
	size_t n = 0;
	for (char *in = strtok_r(inputs.data, "\n", &save); in; in = strtok_r(NULL, "\n", &save), n++) {
		size_t n_refs = 0;
		for (; line && strtoul(line, NULL, 10) == n; line = strtok_r(NULL, "\n", &save_ref))
			refs[n_refs++] = strstr(strstr(line, "||") + 2, "||") + 2;
		bleu_add(bleu, refs, n_refs);
		bleu_segment(bleu, n, in, strlen(in), &base[n]);
		char *to = in, *from = in;
		for (; *from; from++)
			if (*from != ':' && *from != '|')
				*to++ = *from;
		*to = '\0';
		for (from = to = in; *from; from++) {
			*to++ = *from;
			from += from[0] == ' ' && from[1] == ' ';
		}
		*to = '\0';
		bleu_segment(bleu, n, in, strlen(in), &other[n]);
	}
	struct bootstrap_result r;
	bootstrap_paired(base, other, n, BOOTSTRAP_RESAMPLES, BOOTSTRAP_SEED, &r);
	assert_int_equal(n, 547);
	assert_true(fabs(r.mean_difference - 8.251459455401033) < 1e-10);
	assert_true(fabs(r.other_mean - 16.332553946983435) < 1e-10);
	assert_true(fabs(r.other_ci - 0.956693315920738) < 1e-10);
	assert_true(r.count == 0 && r.p == 1.0 / 1001);
	bleu_free(bleu);
	buf_release(&inputs);
	buf_release(&references);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_numpy), cmocka_unit_test(test_extremes),
					   cmocka_unit_test(test_e2e)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
