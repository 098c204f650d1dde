/* test_spec.c - sweep files: what is accepted and what it becomes; what is refused, and with which sentence. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/job.h"
#include "base/mem.h"
#include "plan/points.h"
#include "plan/sources.h"
#include "plan/spec.h"

static char folder[] = "/tmp/test_spec.XXXXXX";

static void write_text(const char *name, const char *text)
{
	char *path = fs_join(folder, name);
	struct err err = {0};
	assert_int_equal(fs_write_file(path, text, strlen(text), &err), 0);
	free(path);
}

/* A cache that could have any model but a path, and has the dataset in data/cached, once there is such a folder. */
static bool is_model(const char *name)
{
	return name[0] != '.';
}

static char *no_model(const char *name)
{
	(void)name;
	return NULL;
}

static char *cached_dataset(const char *name)
{
	char *dir = mem_printf("%s/cached/%s", folder, name);
	if (fs_is_dir(dir))
		return dir;
	free(dir);
	return NULL;
}

static const struct sources_lookup cache = {is_model, no_model, cached_dataset};

static int load_with(struct spec *spec, const char *text, const char *const *sets, size_t n, struct err *err)
{
	write_text("s.yaml", text);
	char *path = fs_join(folder, "s.yaml");
	int result = spec_load(spec, path, sets, n, err);
	free(path);
	return result;
}

static void find(struct sources *sources, const struct spec *spec)
{
	struct err err = {0};
	if (sources_find(sources, spec, &cache, &err) < 0)
		fail_msg("not found: %s", err.text);
}

static void load(struct spec *spec, const char *text)
{
	struct err err = {0};
	if (load_with(spec, text, NULL, 0, &err) < 0)
		fail_msg("refused: %s\n%s", err.text, text);
}

/* The sentence must start with the file and `at` ("3:5: "), and hold needle. */
static void refused_with(const char *text, const char *const *sets, size_t n, const char *needle)
{
	struct spec spec;
	struct sources sources;
	struct err err = {0};
	if (load_with(&spec, text, sets, n, &err) == 0) {
		int found = sources_find(&sources, &spec, &cache, &err);
		spec_release(&spec);
		if (found == 0)
			fail_msg("accepted (expected `%s`):\n%s", needle, text);
	}
	if (!strstr(err.text, needle) || strchr(err.text, '\n'))
		fail_msg("expected `%s`, got: %s\n%s", needle, err.text, text);
	assert_true(err.kind == ERR_INPUT || err.kind == ERR_USAGE);
}

static void refused(const char *text, const char *needle)
{
	refused_with(text, NULL, 0, needle);
}

/* Refuses `parameters:\n  <line>` (line 2, keys at column 3). */
static void bad_param(const char *line, const char *needle)
{
	char *text = mem_printf("parameters:\n  %s\n", line);
	refused(text, needle);
	free(text);
}

static const struct spec_param *param(const struct spec *spec, size_t grid, int id)
{
	for (size_t i = 0; i < spec->grids[grid].n_params; i++)
		if (spec->grids[grid].params[i].id == id)
			return &spec->grids[grid].params[i];
	fail_msg("no %s", param_table[id].name);
	return NULL;
}

static bool has_notice(const struct spec *spec, const char *needle)
{
	for (size_t i = 0; i < spec->n_notices; i++)
		if (strstr(spec->notices[i], needle))
			return true;
	return false;
}

static void test_design_example(void **state)
{
	(void)state;
	struct spec spec;
	load(&spec, "name: beam_grid\nmodel: demo\ndataset: demo\nmethod: grid\n"
		    "metric: {name: dev_bleu, goal: maximize}\nparameters:\n  num_virtual_tokens: [5, 10, 20]\n"
		    "  prefix_projection: true\n  beams: [3, 5, 7]\n  max_new_tokens: [20, 50]\n"
		    "  temperature: [0.2, 1.0]\n  do_sample: true\n  lr: 1e-4\n  seed: 42\n");
	assert_string_equal(spec.name, "beam_grid");
	assert_string_equal(spec.model, "demo");
	assert_int_equal(spec.n_splits, 2);
	assert_string_equal(spec.splits[0].name, "dev");
	assert_string_equal(spec.splits[1].name, "small");
	struct sources sources;
	find(&sources, &spec);
	assert_true(fs_is_dir(sources.model) && fs_exists(sources.train));
	assert_true(fs_exists(sources.splits[0].references) && fs_exists(sources.splits[1].input));
	sources_release(&sources);
	assert_string_equal(spec.prompt, JOB_DEFAULT_PROMPT);
	assert_string_equal(spec.metric, "dev_bleu");
	assert_true(spec.maximize);
	assert_int_equal(spec.n_grids, 1);
	assert_int_equal(spec.grids[0].n_params, 8);
	assert_int_equal(param(&spec, 0, PARAM_num_beams)->n_values, 3);
	assert_int_equal(param(&spec, 0, PARAM_num_beams)->values[2].i, 7);
	assert_true(param(&spec, 0, PARAM_learning_rate)->values[0].f == 1e-4);
	assert_int_equal(param(&spec, 0, PARAM_prefix_projection)->values[0].i, 1);
	assert_int_equal(spec.n_notices, 0);
	spec_release(&spec);
	assert_null(spec.path);
}

/* As W&B's documentation writes them: everything accepted, what only drives its agents reported as unused. */
static void test_wandb_file(void **state)
{
	(void)state;
	struct spec spec;
	load(&spec, "method: random\nproject: p\nentity: e\ndescription: d\nrun_cap: 7\n"
		    "metric:\n  name: dev_sentence_bleu\n  goal: minimize\n  target: 5\n"
		    "early_terminate:\n  type: hyperband\n  s: 2\n"
		    "parameters:\n"
		    "  epochs: {value: 2}\n"
		    "  batch_size: {values: [8, 16], probabilities: [0.25, 0.75]}\n"
		    "  num_beams: {min: 1, max: 8}\n"
		    "  learning_rate: {distribution: log_uniform_values, min: 1e-5, max: 1e-1}\n"
		    "  weight_decay: {min: 0, max: 1}\n"
		    "  dropout: {min: 0.0, max: 0.5}\n"
		    "  adam_epsilon: {distribution: log_uniform, min: -20, max: -10}\n"
		    "  max_new_tokens: {distribution: q_log_uniform_values, q: 5, min: 10, max: 60}\n"
		    "  temperature: {distribution: log_normal, mu: 0, sigma: 0.5}\n"
		    "  length_penalty: {distribution: normal}\n"
		    "  top_p: {distribution: q_uniform, q: 0.1, min: 0.1, max: 1}\n"
		    "  top_k: {distribution: int_uniform, min: 0, max: 100}\n"
		    "  early_stopping: {distribution: categorical, values: [false, true, never]}\n"
		    "  do_sample: {distribution: constant, value: true}\n");
	assert_int_equal(spec.method, SPEC_RANDOM);
	assert_int_equal(spec.run_cap, 7);
	assert_string_equal(spec.metric, "dev_sentence_bleu");
	assert_false(spec.maximize);
	assert_string_equal(spec.name, "s"); /* of the file */
	const char *unused[] = {"project", "entity", "description", "early_terminate", "metric.target"};
	for (size_t i = 0; i < sizeof unused / sizeof *unused; i++)
		assert_true(has_notice(&spec, unused[i]));
	assert_true(has_notice(&spec, "no `model:`") && has_notice(&spec, "no `dataset:`"));
	assert_int_equal(param(&spec, 0, PARAM_num_beams)->distribution, SPEC_INT_UNIFORM);
	assert_int_equal(param(&spec, 0, PARAM_weight_decay)->distribution, SPEC_UNIFORM);
	assert_int_equal(param(&spec, 0, PARAM_dropout)->distribution, SPEC_UNIFORM);
	assert_int_equal(param(&spec, 0, PARAM_learning_rate)->distribution, SPEC_LOG_UNIFORM_VALUES);
	assert_true(param(&spec, 0, PARAM_batch_size)->probabilities[1] == 0.75);
	assert_true(param(&spec, 0, PARAM_length_penalty)->sigma == 1);
	assert_int_equal(param(&spec, 0, PARAM_early_stopping)->values[2].i, EARLY_STOPPING_NEVER);
	spec_release(&spec);
}

/* What a W&B user would be misled by: another program than ours, another default, exponents. */
static void test_wandb_misunderstood(void **state)
{
	(void)state;
	struct spec spec;
	refused("method: grid\nprogram: train.py\nparameters: {epochs: 2}\n",
		"s.yaml:2:1: `program`: `sweep` cannot run programs of your own");
	refused("command: [python3, x.py]\nparameters: {epochs: 2}\n", "s.yaml:1:1: `command`: `sweep` cannot run");
	load(&spec, "metric: {name: dev_bleu, goal: minimize}\nparameters: {epochs: 2}\n");
	assert_true(has_notice(&spec, "warning: `goal: minimize` makes the run with the worst dev_bleu the best one"));
	spec_release(&spec);
	load(&spec, "metric: {name: dev_bleu}\nparameters: {epochs: 2}\n");
	assert_true(spec.maximize && has_notice(&spec, "note: no `goal:` for dev_bleu, so it is maximized"));
	spec_release(&spec);
	load(&spec, "metric: {name: dev_bleu, goal: maximize}\nparameters: {epochs: 2}\n");
	assert_false(has_notice(&spec, "goal"));
	spec_release(&spec);
	load(&spec, "metric: dev_bleu\nparameters: {epochs: 2}\n"); /* ours: W&B has no such form */
	assert_false(has_notice(&spec, "goal"));
	spec_release(&spec);
	static const char range[] =
		"method: random\nrun_cap: 2\nparameters:\n  lr: {distribution: log_uniform, min: %s, "
		"max: %s}\n";
	static const struct {
		const char *min, *max;
		bool warned;
	} ranges[] = {{"1e-5", "1e-2", true},
		      {"0.5", "1", true},
		      {"-11", "-4", false},
		      {"-3", "0.5", false},
		      {"1", "4", false}};
	for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
		char *text = mem_printf(range, ranges[i].min, ranges[i].max);
		load(&spec, text);
		assert_int_equal(has_notice(&spec, "warning: learning_rate: log_uniform takes exponents"),
				 ranges[i].warned);
		assert_int_equal(has_notice(&spec, "log_uniform_values takes the values themselves"), ranges[i].warned);
		free(text);
		spec_release(&spec);
	}
	bad_param("lr: {distribution: loguniform, min: 1e-5, max: 1e-2}",
		  "did you mean `log_uniform_values`? (its min");
	bad_param("lr: {distribution: LogUniform, min: 1e-5, max: 1e-2}", "did you mean `log_uniform_values`?");
	bad_param("lr: {distribution: qloguniform, min: 1e-5, max: 1e-2}", "did you mean `q_log_uniform_values`?");
	bad_param("lr: {distribution: choice, values: [1]}", "did you mean `categorical`?");
}

/* Parameters that others have: no nearest name that misleads, and nothing said against a value that changes nothing. */
static void test_foreign_parameters(void **state)
{
	(void)state;
	struct spec spec;
	load(&spec,
	     "parameters:\n  num_beams: 2\n  repetition_penalty: 1.0\n  use_cache: True\n  min_new_tokens: [0, null]\n"
	     "  eval_batch_size: {values: [8, 16]}\n  no_repeat_ngram_size: {value: 0}\n  min_length:\n"
	     "  logging_steps: {min: 1, max: 5}\n");
	assert_int_equal(spec.grids[0].n_params, 1);
	const char *unused[] = {"repetition_penalty",   "use_cache",  "min_new_tokens", "eval_batch_size",
				"no_repeat_ngram_size", "min_length", "logging_steps"};
	for (size_t i = 0; i < sizeof unused / sizeof *unused; i++)
		assert_true(has_notice(&spec, unused[i]));
	assert_true(has_notice(&spec, "`repetition_penalty` (line 3) is not used"));
	spec_release(&spec);
	/* said once, though the map that holds it is merged three times */
	load(&spec,
	     "model: demo\ndataset: demo\nx-a: &a {use_cache: true}\nparameters:\n- {<<: *a, num_beams: 1}\n- {<<: *a, "
	     "num_beams: 2}\n- {<<: *a, num_beams: 3}\n");
	assert_int_equal(spec.n_notices, 1);
	spec_release(&spec);
	bad_param("min_new_tokens: 5",
		  "s.yaml:2:19: min_new_tokens: generate() has this parameter, `sweep` does not; accepted "
		  "is only what changes nothing: 0 or null");
	bad_param("min_length: [0, 5]", "2:19: min_length: generate() has this");
	bad_param("repetition_penalty: {values: [1.0, 1.2]}", "repetition_penalty: generate() has this");
	bad_param("repetition_penalty: {min: 1, max: 2}", "repetition_penalty: generate() has this");
	bad_param("max_length: [40, 60]",
		  "max_length: generate() has this parameter, `sweep` does not; say max_new_tokens for "
		  "the texts that are written, pad_to_length for training pairs");
	bad_param("lora_alpha: 16", "lora_alpha: PEFT has this parameter, `sweep` does not; it belongs to LoRA");
	bad_param("warmup_ratio: 0.1", "say warmup_steps");
	const char *set[] = {"min_new_tokens=3"};
	refused_with("parameters: {num_beams: 1}\n", set, 1, "--set min_new_tokens: generate() has this parameter");
}

static void test_union_and_expected(void **state)
{
	(void)state;
	struct spec spec;
	load(&spec,
	     "x-base: &base {max_new_tokens: 50, do_sample: true}\n"
	     "parameters:\n"
	     "- {name: base model, num_virtual_tokens: 0, <<: *base}\n"
	     "- {<<: *base, name: five, num_virtual_tokens: 5, expected: {dev_bleu: 12.3, small_sentence_bleu: ~}}\n"
	     "- num_virtual_tokens: [10, 20]\n  num_beams: [3, 5]\n");
	assert_int_equal(spec.n_grids, 3);
	assert_string_equal(spec.grids[0].label, "base model");
	assert_string_equal(spec.grids[1].label, "five");
	assert_null(spec.grids[2].label);
	assert_int_equal(param(&spec, 1, PARAM_max_new_tokens)->values[0].i, 50);
	assert_int_equal(spec.n_expected, 1);
	assert_string_equal(spec.expected[0].label, "five");
	assert_string_equal(spec.expected[0].metric, "dev_bleu");
	assert_true(spec.expected[0].value == 12.3);
	spec_release(&spec);
	refused("parameters:\n- {num_beams: 5, expected: {dev_bleu: 1}}\n", "3:27: expected: needs a `name`" + 5);
	refused("parameters:\n- {name: a, num_beams: [5, 6], expected: {dev_bleu: 1}}\n", "belongs to one setting");
	refused("parameters:\n- {name: a, num_beams: 5, expected: {dev_blue: 1}}\n", "did you mean `dev_bleu`?");
	refused("parameters:\n- {name: a, num_beams: 5, expected: {dev_bleu: high}}\n",
		"expected a number, found `high`");
	refused("parameters:\n- {name: a, num_beams: 5, expected: 7}\n", "expected a map of scores");
	refused("parameters:\n- {name: a, num_beams: 5}\n- {name: a, num_beams: 6}\n", "another entry is called `a`");
	refused("parameters: []\n", "empty list");
	refused("parameters: [5]\n", "1:14: parameters: expected a map of parameters, found `5`");
	refused("parameters: {name: x, num_beams: 5}\n", "`name` stands in an entry only where");
}

static void test_paths(void **state)
{
	(void)state;
	struct spec spec;
	char *model = fs_join(folder, "models/tiny"), *sub = fs_join(folder, "data"),
	     *none = fs_join(folder, "models/none");
	struct err err = {0};
	assert_int_equal(fs_make_dirs(model, &err) | fs_make_dirs(sub, &err) | fs_make_dirs(none, &err), 0);
	write_text("models/tiny/config.json", "{}");
	write_text("data/t.txt", "a : b||c\n");
	write_text("data/in.txt", "a : b\n");
	write_text("data/refs.txt", "0||a : b||c\n");
	load(&spec,
	     "model: models/tiny\n"
	     "dataset: {train: data/t.txt, eval: {dev: {input: ./data/../data/in.txt, references: data/refs.txt, "
	     "limit: 3}, plain: data/in.txt}}\n"
	     "prompt: 'Say: {table} {other braces} {} {eos} '\ntarget: '{text}'\nparameters: {num_beams: 5}\n");
	assert_string_equal(spec.train.path, "data/t.txt"); /* as written, and where */
	assert_int_equal(spec.train.at.line, 2);
	assert_int_equal(spec.train.at.column, 18);
	struct sources sources;
	find(&sources, &spec);
	assert_string_equal(sources.model, model);
	char *in = fs_join(folder, "data/in.txt");
	assert_string_equal(sources.splits[0].input, in);
	free(in);
	assert_int_equal(sources.splits[0].limit, 3);
	assert_true(spec.splits[0].scored && !spec.splits[1].scored);
	assert_null(sources.splits[1].references);
	sources_release(&sources);
	assert_string_equal(spec.metric, "dev_bleu");
	assert_null(spec.dataset);
	spec_release(&spec);
	load(&spec, "dataset: {eval: {alpha: data/in.txt, beta: {input: data/in.txt, references: data/refs.txt}}}\n"
		    "parameters: {num_virtual_tokens: 0}\n");
	assert_string_equal(spec.metric, "beta_bleu"); /* the first with references */
	assert_null(spec.train.path);
	find(&sources, &spec);
	assert_null(sources.train);
	sources_release(&sources);
	spec_release(&spec);
	load(&spec, "dataset: {eval: {alpha: data/in.txt}}\nparameters: {num_virtual_tokens: 0}\n");
	assert_string_equal(spec.metric, "alpha_bleu");
	assert_true(has_notice(&spec, "no split has references"));
	spec_release(&spec);
	load(&spec, "model: distilgpt2\nparameters: {num_beams: 5}\n"); /* a hub id: fetched later */
	assert_string_equal(spec.model, "distilgpt2");
	find(&sources, &spec);
	assert_null(sources.model);
	sources_release(&sources);
	spec_release(&spec);
	refused("model: models/none\nparameters: {num_beams: 5}\n", "s.yaml:1:8: model: ");
	refused("model: models/none\nparameters: {num_beams: 5}\n", "has no config.json");
	refused("model: ./models/absent\nparameters: {num_beams: 5}\n", "is no folder");
	refused("model: [a]\n", "1:8: model: expected a text, found a list");
	refused("dataset: demos\nparameters: {}\n", "did you mean `demo`?");
	refused("dataset: wikipedia\nparameters: {}\n", "expected demo, e2e, or a map");
	refused("dataset: {train: data/absent.txt, eval: {dev: data/in.txt}}\nparameters: {num_beams: 5}\n",
		"s.yaml:1:18: dataset.train: cannot open");
	refused("dataset: {train: data, eval: {dev: data/in.txt}}\nparameters: {num_beams: 5}\n",
		"is not a plain file");
	refused("dataset: {eval: {dev: {input: data/absent}}}\nparameters: {num_beams: 5}\n",
		"1:31: dataset.eval.dev.input: cannot open");
	refused("dataset: {eval: {dev: {references: data/refs.txt}}}\n", "dataset.eval.dev.input is missing");
	refused("dataset: {eval: {dev: {input: data/in.txt, reference: x}}}\n", "did you mean `references`?");
	refused("dataset: {eval: {dev: {input: data/in.txt, limit: -1}}}\n",
		"dataset.eval.dev.limit: expected a whole number");
	refused("dataset: {eval: {Dev: data/in.txt}}\n", "no name for a split");
	refused("dataset: {eval: {x_sentence: data/in.txt}}\n", "no name for a split");
	refused("dataset: {train: data/t.txt}\n", "dataset.eval: expected a map of splits");
	refused("dataset: {train: data/t.txt, eval: {}}\n", "dataset.eval: expected a map of splits");
	refused("dataset: {trian: data/t.txt}\n", "did you mean `train`?");
	refused("dataset: {eval: {dev: data/in.txt}}\nmetric: dev_bleu\n", "the split `dev` has no references");
	refused("prompt: hello\n", "1:9: prompt: must contain {table}");
	refused("prompt: '{table} {txt}'\n", "unknown placeholder `{txt}`");
	refused("target: '{table}'\n", "unknown placeholder `{table}`; known are {text} and {eos}");
	free(model);
	free(sub);
	free(none);
}

/* A dataset that has a name: looked for in the cache, again after it was fetched, without reading the file twice. */
static void test_named_dataset(void **state)
{
	(void)state;
	struct spec spec;
	struct sources sources;
	struct err err = {0};
	load(&spec, "dataset: e2e\nparameters: {num_beams: 5}\n");
	assert_string_equal(spec.dataset, "e2e");
	assert_int_equal(spec.n_splits, 2);
	find(&sources, &spec);
	assert_true(sources.dataset_missing);
	assert_null(sources.train);
	sources_release(&sources);
	char *dir = fs_join(folder, "cached/e2e"), *train = fs_join(dir, "train.txt.gz"),
	     *dev = fs_join(dir, "dev.txt"), *small = fs_join(dir, "small.out");
	assert_int_equal(fs_make_dirs(dir, &err), 0);
	find(&sources, &spec);
	assert_false(sources.dataset_missing);
	assert_string_equal(sources.train, train);
	assert_string_equal(sources.splits[0].input, dev);
	assert_string_equal(sources.splits[1].references, small);
	sources_release(&sources);
	spec_release(&spec);
	/* some of its splits, and not all of them */
	load(&spec, "dataset: {name: e2e, eval: {small: , dev: {limit: 100}}}\nparameters: {num_beams: 5}\n");
	assert_string_equal(spec.metric, "dev_bleu");
	find(&sources, &spec);
	assert_string_equal(sources.train, train);
	assert_string_equal(sources.splits[0].references, small);
	assert_int_equal(sources.splits[0].limit, 0);
	assert_string_equal(sources.splits[1].input, dev);
	assert_int_equal(sources.splits[1].limit, 100);
	sources_release(&sources);
	spec_release(&spec);
	load(&spec, "dataset: {name: e2e, eval: {small: }}\nparameters: {num_beams: 5}\n");
	assert_int_equal(spec.n_splits, 1);
	assert_string_equal(spec.metric, "small_bleu");
	spec_release(&spec);
	load(&spec, "dataset: {name: demo}\nparameters: {num_beams: 5}\n");
	assert_int_equal(spec.n_splits, 2);
	spec_release(&spec);
	refused("dataset: {name: e3e}\n", "dataset: unknown name `e3e`; did you mean `e2e`?");
	refused("dataset: {name: [e2e]}\n", "dataset.name: expected a text");
	refused("dataset: {name: e2e, train: t.txt}\n",
		"1:29: dataset: give the `name` of a dataset or files of your own");
	refused("dataset: {name: e2e, eval: {}}\n",
		"dataset.eval: expected a map of splits, such as {dev: {limit: 100}}");
	refused("dataset: {name: e2e, eval: {test: }}\n",
		"1:29: dataset.eval: the dataset `e2e` has the splits dev and small");
	refused("dataset: {name: e2e, eval: {dev: 100}}\n", "dataset.eval.dev: expected a map");
	refused("dataset: {name: e2e, eval: {dev: {input: x}}}\n", "unknown key `input` in dataset.eval.dev");
	refused("dataset: {name: e2e, eval: {dev: {limit: many}}}\n",
		"dataset.eval.dev.limit: expected a whole number");
	free(dir);
	free(train);
	free(dev);
	free(small);
}

static void test_top_level(void **state)
{
	(void)state;
	struct spec spec;
	load(&spec, "metric: small_bleu\nseed: 9\nx-mine: {any: [thing]}\nparameters: {num_beams: 5}\n");
	assert_string_equal(spec.metric, "small_bleu");
	assert_int_equal(spec.seed, 9);
	spec_release(&spec);
	refused("[1, 2]\n", "expected a sweep file (a map with `parameters:`), found a list");
	refused("nam: x\nparameters: {}\n", "s.yaml:1:1: unknown key `nam`; did you mean `name`?");
	refused("parameter: {}\n", "did you mean `parameters`?");
	refused("num_beams: 5\n", "a parameter belongs under `parameters:`");
	refused("zzzzzz: 5\n", "unknown key `zzzzzz`; known are");
	refused("\"a\\nb\": 5\n", "unknown key `a...`");
	refused("name: x\n", "`parameters:` is missing");
	refused("name: [x]\nparameters: {}\n", "name: expected a text, found a list");
	refused("name:\nparameters: {}\n", "name: expected a text, found nothing");
	refused("name: \"a\\tb\"\nparameters: {}\n", "control character");
	refused("method: bayes\nparameters: {}\n", "s.yaml:1:9: method: `bayes` is not one of grid, random");
	refused("method: [grid]\nparameters: {}\n", "method: a list is not one of");
	refused("method: random\nparameters: {num_beams: 5}\n", "random needs `run_cap:`");
	refused("run_cap: 0\n", "run_cap: expected a whole number from 1 to 1000000, found `0`");
	refused("run_cap: many\n", "found `many`");
	refused("seed: -1\n", "seed: expected a whole number from 0 up");
	refused("metric: {name: dev_blue}\nparameters: {}\n",
		"1:16: metric.name: unknown metric `dev_blue`; did you mean `dev_bleu`?");
	refused("metric: {name: loss}\n", "known are dev_bleu, dev_sentence_bleu, small_bleu");
	refused("metric: {goal: maximise}\n", "metric.goal: `maximise` is not one of");
	refused("metric: {nam: x}\n", "unknown key `nam` in metric; did you mean `name`?");
	refused("metric: [x]\n", "metric.name: expected a text");
}

static void test_parameters(void **state)
{
	(void)state;
	bad_param("num_beam: 5", "s.yaml:2:3: unknown parameter `num_beam`; did you mean `num_beams`?");
	bad_param("virtualtoken: 5", "did you mean `num_virtual_tokens`?");
	bad_param("wibble: 5", "`sweep params` lists them");
	bad_param("num_beams: many", "s.yaml:2:14: num_beams: expected a whole number from 1 to 1024, found `many`");
	bad_param("num_beams: 0", "found `0`");
	bad_param("num_beams: [5, 0]", "2:18: num_beams: expected");
	bad_param("num_beams: 2.5", "found `2.5`");
	bad_param("num_beams: 99999999999999999999", "found `99999999999999999999`");
	bad_param("num_beams: true", "found `true`");
	bad_param("num_beams:", "found nothing");
	bad_param("num_beams: ''", "found an empty text");
	bad_param("num_beams: []", "2:14: num_beams: an empty list");
	bad_param("num_beams: [[5]]", "2:15: num_beams: expected a whole number from 1 to 1024, found a list");
	bad_param("num_beams: [{a: 1}]", "found a map");
	bad_param("num_beams: \"5\\n6\"", "found `5...`");
	bad_param("temperature: 0", "temperature: expected a number above 0");
	bad_param("temperature: nan", "found `nan`");
	bad_param("temperature: .inf", "found `.inf`");
	bad_param("temperature: 0x10", "found `0x10`");
	bad_param("temperature: 1.0.0", "found `1.0.0`");
	bad_param("top_p: 1.5", "found `1.5`");
	bad_param("do_sample: maybe", "expected true or false, found `maybe`");
	bad_param("early_stopping: always", "one of false, true, never, found `always`");
	bad_param("learning_rate: null", "found `null`");
	bad_param("beams: 5\n  num_beams: 3",
		  "3:3: num_beams is given twice (`num_beams` is the same parameter); the first is on line 2");
	bad_param("num_beams: 5\n  num_beams: 3", "3:3: `num_beams` is given twice");
	refused("parameters: {}\n", "an empty map");
	refused("parameters:\n", "expected a map of parameters, found nothing");
	refused("parameters: 5\n", "found `5`");
	struct spec spec;
	load(&spec, "parameters: {dropout: [null, ~, 0.1], max_new_tokens: [\"20\", 3e1], early_stopping: yes, seed: "
		    "9223372036854775807}\n");
	assert_true(isnan(param(&spec, 0, PARAM_dropout)->values[0].f) &&
		    isnan(param(&spec, 0, PARAM_dropout)->values[1].f));
	assert_int_equal(param(&spec, 0, PARAM_max_new_tokens)->values[0].i, 20);
	assert_int_equal(param(&spec, 0, PARAM_max_new_tokens)->values[1].i, 30);
	assert_int_equal(param(&spec, 0, PARAM_early_stopping)->values[0].i, EARLY_STOPPING_TRUE);
	assert_true(param(&spec, 0, PARAM_seed)->values[0].i == INT64_MAX);
	spec_release(&spec);
}

static void test_maps(void **state)
{
	(void)state;
	bad_param("num_beams: {}", "expected `value`, `values`, or `min` and `max`");
	bad_param("num_beams: {value: 5, values: [5]}", "both `value` and `values`");
	bad_param("num_beams: {value: [5]}", "`value` must be one value, found a list");
	bad_param("num_beams: {values: 5}", "`values` must be a list, found `5`");
	bad_param("num_beams: {values: []}", "an empty list");
	bad_param("num_beams: {valeus: [5]}", "unknown key `valeus` in num_beams; did you mean `values`?");
	bad_param("num_beams: {parameters: {a: {value: 5}}}", "nested `parameters:` are not supported");
	bad_param("num_beams: {min: 1, max: 5}", "2:14: num_beams: a range needs method random");
	bad_param("num_beams: {distribution: int_uniform, min: 1, max: 5}", "a range needs method random");
	bad_param("num_beams: {values: [1, 2], probabilities: [0.5, 0.5]}", "`probabilities` need method random");
	bad_param("num_beams: {distribution: catgorical, values: [1]}", "did you mean `categorical`?");
	bad_param("num_beams: {distribution: inv_zipf, values: [1]}", "unknown distribution `inv_zipf`");
	bad_param("num_beams: {values: [1], q: 2}", "`q` and a list of values exclude each other");
	struct {
		const char *map, *needle;
	} const random[] = {
		{"num_beams: {min: 1}", "expected both `min` and `max`"},
		{"num_beams: {min: 5, max: 1}", "`min` 5 is above `max` 1"},
		{"num_beams: {min: 0, max: 5}", "from 1 to 1024, found `0`"},
		{"num_beams: {min: 1, max: 5000}", "found `5000`"},
		{"num_beams: {min: 1.5, max: 5}", "takes whole numbers"},
		{"num_beams: {distribution: uniform, min: 1, max: 5}", "takes whole numbers; use int_uniform"},
		{"num_beams: {distribution: q_uniform, q: 0.5, min: 1, max: 5}", "so `q` must be one"},
		{"num_beams: {min: a, max: 5}", "expected a number, found `a`"},
		{"do_sample: {min: 0, max: 1}", "has no range; list its `values`"},
		{"learning_rate: {distribution: log_uniform_values, min: 0, max: 1}", "needs a `min` above 0"},
		{"learning_rate: {distribution: log_uniform, min: 0, max: 900}", "log_uniform takes exponents"},
		{"learning_rate: {distribution: normal, min: 0}", "no min or max"},
		{"learning_rate: {distribution: normal, sigma: 0}", "`sigma` must be above 0"},
		{"learning_rate: {distribution: uniform, min: 0, max: 1, mu: 2}", "belong to normal distributions"},
		{"learning_rate: {distribution: uniform, min: 0, max: 1, q: 2}",
		 "belongs to the distributions that start with q_"},
		{"learning_rate: {distribution: q_uniform, min: 0, max: 1, q: 0}", "`q` must be above 0"},
		{"learning_rate: {distribution: uniform, values: [1]}", "exclude each other"},
		{"num_beams: {values: [1, 2], probabilities: [1]}", "expected 2 probabilities"},
		{"num_beams: {values: [1, 2], probabilities: [0.5, 0.6]}", "add up to 1.1, expected 1"},
		{"num_beams: {values: [1, 2], probabilities: [-1, 2]}", "a probability below 0"},
	};
	for (size_t i = 0; i < sizeof random / sizeof *random; i++) {
		char *text = mem_printf("method: random\nrun_cap: 3\nparameters:\n  %s\n", random[i].map);
		refused(text, random[i].needle);
		free(text);
	}
}

static void test_overrides(void **state)
{
	(void)state;
	static const char base[] = "name: a\nmodel: demo\nparameters:\n  beams: [3, 5]\n  max_new_tokens: 20\n";
	struct spec spec;
	struct err err = {0};
	const char *sets[] = {"num_beams=[1, 2, 4]",
			      "lr=1e-3",
			      "name=b",
			      "seed=7",
			      "run_cap=5",
			      "dropout=~",
			      "metric={name: small_bleu, goal: minimize}"};
	assert_int_equal(load_with(&spec, base, sets, 7, &err), 0);
	assert_string_equal(spec.name, "b");
	assert_int_equal(param(&spec, 0, PARAM_num_beams)->n_values, 3); /* in place of its alias */
	assert_int_equal(spec.grids[0].n_params, 5);
	assert_true(param(&spec, 0, PARAM_learning_rate)->values[0].f == 1e-3);
	assert_int_equal(param(&spec, 0, PARAM_seed)->values[0].i, 7); /* the parameter, not the top-level seed */
	assert_int_equal(spec.seed, 0);
	assert_int_equal(spec.run_cap, 5);
	assert_string_equal(spec.metric, "small_bleu");
	assert_non_null(strstr(spec.text, "# --set num_beams=[1, 2, 4]\n"));
	spec_release(&spec);
	const char *both[] = {"num_virtual_tokens=0"};
	assert_int_equal(
		load_with(&spec, "parameters:\n- {num_beams: 1}\n- {num_beams: 2, virtual_tokens: 5}\n", both, 1, &err),
		0);
	assert_int_equal(param(&spec, 0, PARAM_num_virtual_tokens)->values[0].i, 0);
	assert_int_equal(param(&spec, 1, PARAM_num_virtual_tokens)->values[0].i, 0);
	spec_release(&spec);
	struct {
		const char *set, *needle;
	} const bad[] = {
		{"num_beams", "expected key=value"},
		{"=5", "expected key=value"},
		{"num_beams=", "no value"},
		{"num_beam=5", "did you mean `num_beams`?"},
		{"modle=x", "did you mean `model`?"},
		{"qqqqqqqq=x", "`sweep params` lists"},
		{"parameters={}", "no such parameter or key"},
		{"num_beams=many", "--set num_beams:1:1: num_beams: expected a whole number"},
		{"num_beams=[1,", "--set num_beams:"},
		{"[a]=5", "expected the name of a parameter"},
		{"method=bayes", "--set method:1:1: method: `bayes` is not one of"},
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		refused_with(base, &bad[i].set, 1, bad[i].needle);
	const char *lonely[] = {"num_beams=5"};
	refused_with("name: x\n", lonely, 1, "no `parameters:`");
	refused_with("parameters: 5\n", lonely, 1, "expected a map");
	refused_with("parameters: [5]\n", lonely, 1, "expected a map of parameters");
	refused_with("[1]\n", lonely, 1, "no `parameters:`");
}

static void test_files(void **state)
{
	(void)state;
	struct spec spec;
	struct err err = {0};
	assert_int_equal(spec_load(&spec, "/nonexistent/x.yaml", NULL, 0, &err), -1);
	assert_non_null(strstr(err.text, "/nonexistent/x.yaml"));
	assert_int_equal(err.kind, ERR_INPUT);
	assert_int_equal(spec_load(&spec, "/", NULL, 0, &err), -1);
	assert_int_equal(err.kind, ERR_INPUT);
	refused("", "the file is empty");
	refused("name: [a\nmodel: }\n", "s.yaml:2:");
	/* the committed ones */
	static const char *const files[] = {"sweeps/beam_grid.yaml", "sweeps/e2e_small.yaml", "sweeps/prefixtune.yaml"};
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		char *path = fs_join(SOURCE_DIR, files[i]);
		if (spec_load(&spec, path, NULL, 0, &err) < 0) {
			fail_msg("%s", err.text);
		} else {
			struct points points;
			assert_int_equal(points_make(&points, &spec, NULL, &err), 0);
			if (i == 0)
				assert_int_equal(points.n, 36);
			if (i == 2) {
				assert_int_equal(points.n, 8);
				assert_int_equal(spec.n_grids, 8);
				assert_int_equal(spec.n_expected, 14);
				for (size_t j = 0; j < 8; j++)
					assert_non_null(points.point[j].label);
			}
			points_release(&points);
			spec_release(&spec);
		}
		free(path);
	}
}

static int setup(void **state)
{
	(void)state;
	setenv("SWEEP_HOME", SOURCE_DIR, 1);
	setenv("HF_HOME", "/nonexistent/hf", 1);
	return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	fs_remove_tree(folder);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_design_example),      cmocka_unit_test(test_wandb_file),
		cmocka_unit_test(test_wandb_misunderstood), cmocka_unit_test(test_foreign_parameters),
		cmocka_unit_test(test_union_and_expected),  cmocka_unit_test(test_paths),
		cmocka_unit_test(test_named_dataset),       cmocka_unit_test(test_top_level),
		cmocka_unit_test(test_parameters),          cmocka_unit_test(test_maps),
		cmocka_unit_test(test_overrides),           cmocka_unit_test(test_files),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
