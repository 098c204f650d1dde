/* test_base.c - buffers, JSON, hashes, randomness, parameters' text forms, job files, events, files. */
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/event.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/job.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/utf8.h"

static void test_buf(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	for (int i = 0; i < 1000; i++)
		buf_printf(&b, "%d,", i);
	assert_int_equal(strlen(b.data), b.size);
	assert_memory_equal(b.data, "0,1,2,", 6);
	struct err err = {0};
	assert_int_equal(buf_read_file(&b, "/nonexistent", 10, &err), -1);
	assert_int_equal(err.kind, ERR_INPUT);
	assert_int_equal(buf_read_file(&b, "/", 10, &err), -1);
	buf_release(&b);
	char *empty = buf_detach(&b);
	assert_string_equal(empty, "");
	free(empty);
}

static void test_err(void **state)
{
	(void)state;
	struct err err = {0};
	assert_int_equal(err_at(&err, "a.yaml", 3, 7, "expected %s", "this"), -1);
	assert_string_equal(err.text, "a.yaml:3:7: expected this");
	err_prefix(&err, "while %s", "reading");
	assert_string_equal(err.text, "while reading: a.yaml:3:7: expected this");
	static const char *const names[] = {"num_beams", "num_virtual_tokens", "temperature"};
	assert_string_equal(err_nearest("num_beam", names, 3), "num_beams");
	assert_string_equal(err_nearest("temprature", names, 3), "temperature");
	assert_string_equal(err_nearest("Temperature", names, 3), "temperature");
	assert_null(err_nearest("colour", names, 3));
}

static void test_hash(void **state)
{
	(void)state;
	char hex[HASH_HEX];
	hash_bytes("abc", 3, hex); /* FIPS 180-2's own example */
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_true(hash_u64("abc", 3) == 0xeacf018fbf1678baULL);
}

/* Known answers of the Random123 distribution's kat_vectors for philox4x32-10. */
static void test_philox(void **state)
{
	(void)state;
	uint32_t out[4];
	rng_block((struct rng_key){{0, 0}}, 0, 0, out);
	const uint32_t zeros[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
	assert_memory_equal(out, zeros, sizeof out);
	rng_block((struct rng_key){{0xffffffff, 0xffffffff}}, UINT64_MAX, UINT64_MAX, out);
	const uint32_t ones[4] = {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd};
	assert_memory_equal(out, ones, sizeof out);
	rng_block((struct rng_key){{0xa4093822, 0x299f31d0}}, 0x0370734413198a2e, 0x85a308d3243f6a88, out);
	const uint32_t pi[4] = {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1};
	assert_memory_equal(out, pi, sizeof out);
}

static void test_distributions(void **state)
{
	(void)state;
	struct rng_key key = rng_key(42, RNG_INIT);
	enum { N = 200000 };
	double sum = 0, squares = 0, units = 0;
	for (uint64_t i = 0; i < N; i++) {
		double x = rng_normal(key, 1, i);
		sum += x;
		squares += x * x;
		units += rng_unit(rng_u32(key, 2, i));
	}
	assert_true(fabs(sum / N) < 5 / sqrt(N));
	assert_true(fabs(squares / N - 1) < 5 * sqrt(2.0 / N));
	assert_true(fabs(units / N - 0.5) < 5 * sqrt(1.0 / 12 / N));
	assert_true(rng_unit(0) > 0 && rng_unit(UINT32_MAX) < 1);
	uint32_t order[100], seen[100] = {0};
	rng_shuffle(key, 3, order, 100);
	int moved = 0;
	for (uint32_t i = 0; i < 100; i++) {
		assert_true(order[i] < 100);
		seen[order[i]]++;
		moved += order[i] != i;
	}
	for (int i = 0; i < 100; i++)
		assert_int_equal(seen[i], 1);
	assert_true(moved > 80);
}

static void test_json(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	const double values[] = {5, 0.2, 1e-05, 1.0 / 3, 1e300, -0.1, 123456789012345678.0};
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		buf_clear(&b);
		json_format_double(values[i], &b);
		assert_true(strtod(b.data, NULL) == values[i]);
	}
	buf_clear(&b);
	json_format_double(0.1, &b);
	assert_string_equal(b.data, "0.1");
	buf_clear(&b);
	json_format_string("a\"b\\\n\t\x01", 7, &b);
	assert_string_equal(b.data, "\"a\\\"b\\\\\\n\\t\\u0001\"");
	buf_release(&b);
	struct err err = {0};
	assert_null(json_parse("{\n \"a\": }", 9, "x.json", &err));
	assert_non_null(strstr(err.text, "x.json:2:"));
	assert_null(json_parse("{} x", 4, "x.json", &err));
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they need the address space themselves */
/* A file that memory does not suffice for ends the process; it is not "not valid JSON". */
static void test_json_without_memory(void **state)
{
	(void)state;
	struct buf text = BUF_INIT;
	buf_addc(&text, '[');
	for (int i = 0; i < 1000000; i++)
		buf_adds(&text, "1,");
	buf_adds(&text, "1]");
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		struct err err = {0};
		struct rlimit small = {32 << 20, 32 << 20};
		setrlimit(RLIMIT_AS, &small);
		dup2(open("/dev/null", O_WRONLY), 2);
		_exit(json_parse(text.data, text.size, "x.json", &err) ? 3 : 4);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1); /* mem.c */
	buf_release(&text);
}
#endif

static void test_job_round_trip(void **state)
{
	(void)state;
	char path[] = "/tmp/sweep-test-job-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	char name[] = "dev", input[] = "/d/dev.txt", references[] = "/d/dev.out", dir[] = "/a/b", model[] = "/m";
	char model_name[] = "demo", prompt[] = "p {table}", target[] = "{text}";
	struct columns_map columns = {COLUMNS_CSV, (char *)"the \"mr\"", (char *)"ref"};
	struct job_split split = {
		.name = name, .input = input, .references = references, .limit = 100, .columns = columns};
	struct job_output output = {.dir = dir, .split = 0};
	params_default(&output.params);
	PARAM_F(&output.params, temperature) = 0.1;
	PARAM_I(&output.params, seed) = INT64_MAX;
	PARAM_I(&output.params, early_stopping) = EARLY_STOPPING_NEVER;
	memset(output.key, 'e', 64);
	struct input inputs[] = {{.path = input, .sha256 = "12ab", .seen = "1 2 3 4 5"}, {.path = model}};
	struct job job = {.kind = JOB_DECODE,
			  .inputs = inputs,
			  .n_inputs = 2,
			  .model = model,
			  .model_name = model_name,
			  .train_columns = {COLUMNS_JSONL, (char *)"in", (char *)"out"},
			  .prompt = prompt,
			  .target = target,
			  .splits = &split,
			  .n_splits = 1,
			  .outputs = &output,
			  .n_outputs = 1};
	memset(job.key, 'a', 64);
	struct buf text = BUF_INIT, again = BUF_INIT;
	struct err err = {0};
	job_format(&job, &text);
	assert_int_equal(fs_write_file(path, text.data, text.size, &err), 0);
	struct job back;
	if (job_read(&back, path, &err) < 0)
		fail_msg("%s", err.text);
	job_format(&back, &again);
	assert_string_equal(text.data, again.data);
	assert_int_equal(back.splits[0].columns.format, COLUMNS_CSV);
	assert_string_equal(back.splits[0].columns.input, "the \"mr\"");
	assert_string_equal(back.train_columns.target, "out");
	assert_int_equal(back.n_inputs, 2);
	assert_string_equal(back.inputs[0].seen, "1 2 3 4 5");
	assert_string_equal(back.inputs[1].sha256, "");
	assert_true(PARAM_I(&back.outputs[0].params, seed) == INT64_MAX);
	assert_true(isnan(PARAM_F(&back.outputs[0].params, dropout)));
	assert_true(PARAM_F(&back.outputs[0].params, temperature) == 0.1);
	job_release(&back);
	/* hostile: a split that does not exist, an unknown kind, no JSON */
	static const char *const bad[] = {
		"{\"sweep_job\":1,\"kind\":\"decode\",\"key\":\"k\",\"model\":\"m\","
		"\"prompt\":\"\",\"target\":\"\",\"splits\":[],"
		"\"outputs\":[{\"key\":\"k\",\"dir\":\"d\",\"split\":3}]}",
		"{\"sweep_job\":1,\"kind\":\"train\",\"key\":\"k\",\"model\":\"m\",\"prompt\":\"\","
		"\"target\":\"\",\"train_columns\":{\"format\":\"csv\",\"input\":\"a\"}}",
		"{\"sweep_job\":1,\"kind\":\"dance\",\"key\":\"k\"}",
		"{\"sweep_job\":2}",
		"[1",
		""};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(fs_write_file(path, bad[i], strlen(bad[i]), &err), 0);
		err = (struct err){0};
		assert_int_equal(job_read(&back, path, &err), -1);
		assert_int_equal(err.kind, ERR_INPUT);
		assert_non_null(strstr(err.text, path));
	}
	/* a job that asks for nothing, a training without data: said here, not first when the worker looks for them */
	static const char *const lacking[][2] = {
		{"decode\",\"outputs\":[]}", "`outputs` is empty"},
		{"train\",\"outputs\":[{\"key\":\"k\",\"dir\":\"d\",\"split\":0,\"params\":{}}]}",
		 "`train` is missing"}};
	for (size_t i = 0; i < 2; i++) {
		char *json =
			mem_printf("{\"sweep_job\":1,\"key\":\"k\",\"model\":\"m\",\"prompt\":\"\",\"target\":\"\","
				   "\"splits\":[],\"kind\":\"%s",
				   lacking[i][0]);
		assert_int_equal(fs_write_file(path, json, strlen(json), &err), 0);
		err = (struct err){0};
		assert_int_equal(job_read(&back, path, &err), -1);
		assert_non_null(strstr(err.text, lacking[i][1]));
		free(json);
	}
	buf_release(&text);
	buf_release(&again);
	unlink(path);
}

static void test_event_round_trip(void **state)
{
	(void)state;
	struct event e = {.kind = EVENT_LOSS, .step = 7, .total = 250, .loss = 3.25, .learning_rate = 5e-5}, back;
	snprintf(e.text, sizeof e.text, "quote \" and \\ line");
	struct buf b = BUF_INIT;
	event_format(&e, &b);
	assert_int_equal(b.data[b.size - 1], '\n');
	assert_ptr_equal(strchr(b.data, '\n'), b.data + b.size - 1);
	assert_int_equal(event_parse(b.data, b.size, &back), 0);
	assert_memory_equal(&e, &back, sizeof e);
	buf_release(&b);
	assert_int_equal(event_parse("not an event", 12, &back), -1);
	assert_int_equal(event_parse("{\"x\":1}", 7, &back), -1);
	assert_int_equal(event_parse("{\"event\":\"future\",\"loss\":\"text\"}", 32, &back), 0);
	assert_int_equal(back.kind, EVENT_UNKNOWN);
}

static bool always(const char *place, void *ctx)
{
	(void)place;
	(void)ctx;
	return true;
}

static void test_fs(void **state)
{
	(void)state;
	char base[] = "/tmp/sweep-test-fs-XXXXXX";
	assert_non_null(mkdtemp(base));
	char *place = fs_join(base, "deep/er/artifact");
	struct err err = {0};
	struct fs_dir d;
	assert_int_equal(fs_dir_begin(&d, place, &err), 0);
	assert_int_equal(fs_dir_write(&d, "one", "1", 1, &err), 0);
	assert_false(fs_exists(place)); /* nothing before the commit */
	assert_int_equal(fs_dir_commit(&d, NULL, NULL, &err), 0);
	assert_true(fs_is_dir(place));
	/* a second writer changes nothing where what is there is to stay, and leaves nothing behind */
	char *two = fs_join(place, "two"), *aside = mem_printf("%s.unusable", place);
	for (int keep = 1; keep >= 0; keep--) {
		assert_int_equal(fs_dir_begin(&d, place, &err), 0);
		assert_int_equal(fs_dir_write(&d, "two", "2", 1, &err), 0);
		char *left = mem_strdup(d.scratch);
		assert_int_equal(fs_dir_commit(&d, keep ? always : NULL, NULL, &err), 0);
		assert_int_equal(fs_exists(two), !keep);
		assert_int_equal(fs_exists(aside), !keep); /* else the old one is set aside */
		assert_false(fs_exists(left));
		free(left);
	}
	free(aside);
	assert_int_equal(fs_make_dirs("", &err), -1);
	assert_int_equal(fs_set_aside("/no/such/thing", &err), 0);
	assert_int_equal(fs_dir_begin(&d, place, &err), 0);
	char *scratch = mem_strdup(d.scratch);
	fs_dir_abandon(&d);
	assert_false(fs_exists(scratch));
	assert_int_equal(fs_dir_begin(&d, "/proc/nothing/here", &err), -1);
	/* what a killed writer left goes; what only looks like it, and what is whole, stays */
	static const char *const left[] = {"key.tmp.1234", "key.tmp.", "key.tmp.12x", ".tmp.12", "key"};
	char *near = fs_join(base, "near");
	for (int i = 0; i < 5; i++) {
		char *path = fs_join(near, left[i]);
		assert_int_equal(fs_make_dirs(path, &err), 0);
		free(path);
	}
	fs_remove_scratch(near);
	for (int i = 0; i < 5; i++) {
		char *path = fs_join(near, left[i]);
		assert_int_equal(fs_exists(path), i > 0);
		free(path);
	}
	fs_remove_scratch(place); /* nothing there */
	fs_remove_scratch(two);   /* no such folder */
	free(near);
	free(scratch);
	free(two);
	free(place);
	fs_remove_tree(base);
	assert_false(fs_exists(base));
}

/* Python's str.isspace() and re's \s, which sacrebleu's tokenizer follows: these 29 and no others. */
static void test_spaces(void **state)
{
	(void)state;
	static const uint32_t spaces[] = {0x09,   0x0A,   0x0B,   0x0C,   0x0D,   0x1C,   0x1D,   0x1E,
					  0x1F,   0x20,   0x85,   0xA0,   0x1680, 0x2000, 0x2001, 0x2002,
					  0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200A,
					  0x2028, 0x2029, 0x202F, 0x205F, 0x3000};
	size_t next = 0, n = sizeof spaces / sizeof *spaces;
	for (uint32_t c = 0; c < 0x110000; c++) {
		bool expected = next < n && spaces[next] == c;
		if (utf8_is_space(c) != expected)
			fail_msg("U+%04X", c);
		next += expected;
	}
	assert_int_equal(next, n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buf),
		cmocka_unit_test(test_err),
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_philox),
		cmocka_unit_test(test_distributions),
		cmocka_unit_test(test_json),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
		cmocka_unit_test(test_json_without_memory),
#endif
		cmocka_unit_test(test_job_round_trip),
		cmocka_unit_test(test_spaces),
		cmocka_unit_test(test_event_round_trip),
		cmocka_unit_test(test_fs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
