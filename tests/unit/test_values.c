/* test_values.c - numbers out of a program's words: JSON lines, patterns, what is no value, attempts joined. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "exec/values.h"

static char path[64];

static void assert_file(const char *name, const char *expected)
{
	struct buf text = BUF_INIT;
	struct err err = {0};
	assert_int_equal(buf_read_file(&text, name, 1 << 24, &err), 0);
	assert_string_equal(text.data ? text.data : "", expected);
	buf_release(&text);
}

static struct values *begin(const struct values_pattern *patterns, size_t n, bool json)
{
	struct values *v;
	struct err err = {0};
	struct values_options o = {.path = path, .patterns = patterns, .n_patterns = n, .json = json};
	if (values_open(&v, &o, &err) < 0)
		fail_msg("%s", err.text);
	return v;
}

/* Ends, and compares file and complaint (a part of it; NULL: none). */
static void end(struct values *v, const char *expected, const char *complaint)
{
	struct err err = {0};
	values_end_of_input(v);
	const char *said = values_complaint(v);
	if (complaint && (!said || !strstr(said, complaint)))
		fail_msg("expected a complaint with `%s`, found `%s`", complaint, said ? said : "none");
	if (!complaint && said)
		fail_msg("complaint: %s", said);
	assert_int_equal(values_close(v, &err), 0);
	assert_file(path, expected);
}

static void say(struct values *v, const char *text)
{
	values_output(v, text, strlen(text));
}

static void metric(struct values *v, const char *text)
{
	values_metrics(v, text, strlen(text));
}

static void test_json_lines(void **state)
{
	(void)state;
	struct values *v = begin(NULL, 0, false);
	metric(v, "{\"val_loss\":0.31,\"step\":100}\n{\"a\":1,\"_step\":7,\"_runtime\":3");
	metric(v, ".5,\"b\":{\"c\":2}}\r\n\n{\"val_loss\":0.3}\n{\"ok\":true,\"bad\":NaN,\"inf\":-Infinity}\n");
	metric(v, "{\"last\":1}"); /* no newline: the program ended */
	say(v, "{\"not\":1}\n");   /* output counts only where the sweep file says so */
	end(v,
	    "{\"name\":\"val_loss\",\"step\":100,\"value\":0.31}\n"
	    "{\"name\":\"a\",\"step\":7,\"value\":1}\n"
	    "{\"name\":\"b.c\",\"step\":7,\"value\":2}\n"
	    "{\"name\":\"val_loss\",\"step\":8,\"value\":0.3}\n"
	    "{\"name\":\"ok\",\"step\":9,\"value\":1}\n"
	    "{\"name\":\"bad\",\"step\":9,\"value\":\"nan\"}\n"
	    "{\"name\":\"inf\",\"step\":9,\"value\":\"-inf\"}\n"
	    "{\"name\":\"last\",\"step\":10,\"value\":1}\n",
	    NULL);
}

static void test_no_values(void **state)
{
	(void)state;
	struct values *v = begin(NULL, 0, false);
	metric(v, "{\"text\":\"hello\",\"x\":1}\n");
	end(v, "{\"name\":\"x\",\"step\":0,\"value\":1}\n", "`text` is no number");
	v = begin(NULL, 0, false);
	metric(v, "val_loss 3\n{\"x\":2}\n{\"x\":");
	end(v, "{\"name\":\"x\",\"step\":0,\"value\":2}\n", "is no JSON object: `val_loss 3`");
	v = begin(NULL, 0, false);
	metric(v, "{\"x\":2,\"step\":1.5}\n{\"\":1}\n");
	end(v, "{\"name\":\"x\",\"step\":0,\"value\":2}\n", "`step` must be a whole number");
}

static void test_json_output(void **state)
{
	(void)state;
	struct values *v = begin(NULL, 0, true);
	say(v, "epoch 1\n{\"loss\":2}\n{'python': 1}\n{\"loss\":1}\n");
	end(v, "{\"name\":\"loss\",\"step\":0,\"value\":2}\n{\"name\":\"loss\",\"step\":1,\"value\":1}\n", NULL);
}

static void test_patterns(void **state)
{
	(void)state;
	static const struct values_pattern p[] = {
		{"val_loss", "val_loss[=:]\\s*([-+.0-9eEnaif]+)"}, {"step", "step (\\d+)"}, {"word", "word=(\\S+)"}};
	struct values *v = begin(p, 1, false);
	say(v, "val_loss=0.5\r10%\rval_loss: 4e-1\r\nnothing\nval_loss=nan\n");
	end(v,
	    "{\"name\":\"val_loss\",\"step\":0,\"value\":0.5}\n{\"name\":\"val_loss\",\"step\":1,\"value\":0.4}\n"
	    "{\"name\":\"val_loss\",\"step\":2,\"value\":\"nan\"}\n",
	    NULL);
	v = begin(p, 2, false);
	say(v, "val_loss=3 at step 20\nval_loss=2\n");
	end(v, "{\"name\":\"val_loss\",\"step\":20,\"value\":3}\n{\"name\":\"val_loss\",\"step\":20,\"value\":2}\n",
	    NULL);
	v = begin(p, 3, false);
	say(v, "word=abc\n");
	end(v, "", "pattern of `word` matched what is no number");
}

static void test_bad_patterns(void **state)
{
	(void)state;
	struct values *v;
	struct err err = {0};
	struct values_pattern p = {"loss", "loss=([0-9"};
	struct values_options o = {.path = path, .patterns = &p, .n_patterns = 1};
	assert_int_equal(values_open(&v, &o, &err), -1);
	assert_int_equal(err.kind, ERR_INPUT);
	assert_non_null(strstr(err.text, "values.loss: `loss=([0-9` is no regular expression"));
	p.regex = "loss=[0-9]+";
	assert_int_equal(values_open(&v, &o, &err), -1);
	assert_non_null(strstr(err.text, "has no group"));
	/* exponential time: given up on that line, told once, and the rest is read */
	p.regex = "^(a+)+b|x=([0-9]+)";
	v = begin(&p, 1, false);
	say(v, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac\n");
	end(v, "", "takes too long");
}

static void test_long_lines(void **state)
{
	(void)state;
	static const struct values_pattern p = {"x", "x=([0-9]+)"};
	struct values *v = begin(&p, 1, false);
	char block[4096];
	memset(block, 'z', sizeof block);
	say(v, "x=1 ");
	for (int i = 0; i < 1000; i++)
		values_output(v, block, sizeof block);
	say(v, " x=2\nx=3\n");
	end(v, "{\"name\":\"x\",\"step\":0,\"value\":1}\n{\"name\":\"x\",\"step\":1,\"value\":3}\n", NULL);
}

/* However the stream is cut, the values are the same. */
static void test_any_cut(void **state)
{
	(void)state;
	static const char text[] = "{\"a\":1,\"step\":3}\n\n{\"b\":[1],\"c\":2}\nx=5\r\n";
	static const struct values_pattern p = {"x", "x=([0-9]+)"};
	for (size_t cut = 0; cut < sizeof text; cut++) {
		struct values *v = begin(&p, 1, true);
		values_output(v, text, cut);
		values_output(v, text + cut, sizeof text - 1 - cut);
		end(v,
		    "{\"name\":\"a\",\"step\":3,\"value\":1}\n{\"name\":\"c\",\"step\":4,\"value\":2}\n"
		    "{\"name\":\"x\",\"step\":0,\"value\":5}\n",
		    "`b` is no number");
	}
}

static void test_many_names(void **state)
{
	(void)state;
	struct values *v = begin(NULL, 0, false);
	for (int i = 0; i <= VALUES_NAMES_MAX; i++) {
		char line[64];
		snprintf(line, sizeof line, "{\"n%d\":1}\n", i);
		metric(v, line);
	}
	values_end_of_input(v);
	assert_non_null(strstr(values_complaint(v), "more than 10000 names"));
	struct err err = {0};
	assert_int_equal(values_close(v, &err), 0);
}

static struct values_summary seen[8];
static char seen_names[8][32];
static size_t n_seen;

static void see(void *ctx, const struct values_summary *s)
{
	(void)ctx;
	snprintf(seen_names[n_seen], sizeof seen_names[0], "%s", s->name);
	seen[n_seen++] = *s;
}

static void test_summaries(void **state)
{
	(void)state;
	struct values *v = begin(NULL, 0, false);
	n_seen = 0;
	metric(v, "{\"l\":3,\"k\":NaN}\n{\"l\":1}\n");
	values_fresh(v, see, NULL);
	assert_int_equal(n_seen, 2);
	assert_true(seen[0].last == 1);
	n_seen = 0;
	metric(v, "{\"l\":NaN}\n{\"l\":5,\"step\":9}\n");
	values_fresh(v, see, NULL);
	assert_int_equal(n_seen, 1);
	struct err err = {0};
	assert_int_equal(values_close(v, &err), 0);
	n_seen = 0;
	assert_int_equal(values_read(path, see, NULL, &err), 0);
	assert_int_equal(n_seen, 2);
	assert_string_equal(seen_names[0], "l");
	assert_true(seen[0].n == 4 && seen[0].last == 5 && seen[0].last_step == 9 && seen[0].min == 1 &&
		    seen[0].max == 5 && seen[0].mean == 3);
	assert_true(isnan(seen[1].last) && isnan(seen[1].min) && isnan(seen[1].mean));
}

static void test_which_value(void **state)
{
	(void)state;
	struct err err = {0};
	struct values *v = begin(NULL, 0, false);
	metric(v, "{\"_summary\":{\"l\":\"min\",\"only.spoken.of\":\"max\"}}\n{\"l\":3}\n{\"l\":1}\n{\"l\":2}\n");
	end(v,
	    "{\"name\":\"l\",\"summary\":\"min\"}\n{\"name\":\"only.spoken.of\",\"summary\":\"max\"}\n"
	    "{\"name\":\"l\",\"step\":0,\"value\":3}\n{\"name\":\"l\",\"step\":1,\"value\":1}\n"
	    "{\"name\":\"l\",\"step\":2,\"value\":2}\n",
	    NULL);
	n_seen = 0;
	assert_int_equal(values_read(path, see, NULL, &err), 0);
	assert_int_equal(n_seen, 1);
	assert_true(seen[0].how == VALUES_MIN && seen[0].last == 2 && values_result(&seen[0]) == 1);
	v = begin(NULL, 0, false);
	metric(v, "{\"_summary\":{\"l\":\"median\"}}\n");
	end(v, "", "expected last, min, max or mean, found `median`");
}

static void put(const char *name, const char *text)
{
	FILE *f = fopen(name, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

#define LINE(name, step, value) "{\"name\":\"" name "\",\"step\":" #step ",\"value\":" #value "}\n"

static void test_join(void **state)
{
	(void)state;
	char before[80];
	struct err err = {0};
	snprintf(before, sizeof before, "%s.before", path);
	/* gone on from step 2; begun again; only said at the start; a line that a kill cut */
	put(before, LINE("ckpt", 0, 9) LINE("ckpt", 1, 8) LINE("ckpt", 2, 7) LINE("ckpt", 3, 6) LINE("anew", 0, 1)
			    LINE("anew", 1, 2) LINE("size", 0, 12) "{\"name\":\"ckpt\",\"st");
	put(path, LINE("ckpt", 2, 70) LINE("anew", 0, 10));
	assert_int_equal(values_join(before, path, &err), 0);
	assert_file(path,
		    LINE("ckpt", 0, 9) LINE("ckpt", 1, 8) LINE("size", 0, 12) LINE("ckpt", 2, 70) LINE("anew", 0, 10));
	assert_int_equal(access(before, F_OK), -1);
	assert_int_equal(values_join(before, path, &err), 0); /* nothing there: fine */
}

static int make_path(void **state)
{
	(void)state;
	snprintf(path, sizeof path, "/tmp/test_values.%ld", (long)getpid());
	return 0;
}

static int remove_path(void **state)
{
	(void)state;
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_lines),   cmocka_unit_test(test_no_values),
		cmocka_unit_test(test_json_output),  cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_bad_patterns), cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_any_cut),      cmocka_unit_test(test_many_names),
		cmocka_unit_test(test_summaries),    cmocka_unit_test(test_which_value),
		cmocka_unit_test(test_join),
	};
	return cmocka_run_group_tests(tests, make_path, remove_path);
}
