/* plan.c - points -> runs -> artifacts -> jobs, each artifact once; see plan.h.
 *
 * Fourth step of `sweep run`. Files are digested once; then each point is looked up by its effective values in hash
 * tables (an adapter by the values of training, a setting by its adapter and the values of decoding), and only what is
 * new is given a key. So a million points cost a few seconds, and equal points become one run by themselves. Jobs are
 * made from the artifacts that do not exist yet:
 *   - an adapter is trained only when texts are missing that need it;
 *   - missing texts of one adapter that differ only in split, max_new_tokens, length_penalty and early_stopping are one
 *     decode job, because one search answers them (REFERENCE §5.7; job.h).
 * Order: trainings, the one with the most work behind it first; then decodes, longest first.
 *
 * All texts and arrays live in one arena (struct plan_owned): a plan is released at once, never in parts. */
#include "plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "plan_notes.h"
#include "points.h"
#include "spec.h"

/* ------------------------------------------------------------------------------------------------ arena, tables */

struct plan_owned {
	struct plan_owned *next;
	size_t used, room;
	char bytes[];
};

static void *keep(struct plan *plan, size_t n)
{
	n = (n + 15) & ~(size_t)15;
	struct plan_owned *block = plan->owned;
	if (!block || block->room - block->used < n) {
		size_t room = n > 1 << 20 ? n : 1 << 20;
		block = mem_alloc(sizeof *block + room);
		*block = (struct plan_owned){.next = plan->owned, .room = room};
		plan->owned = block;
	}
	void *at = block->bytes + block->used;
	block->used += n;
	return at;
}

static char *keep_text(struct plan *plan, const char *text)
{
	size_t n = strlen(text) + 1;
	return memcpy(keep(plan, n), text, n);
}

/* Values of some parameters -> a number; open addressing, no removal. */
struct table {
	uint32_t *slot; /* number + 1; 0 is free */
	size_t mask, n;
};

struct build {
	struct plan *plan;
	const struct spec *spec;
	const struct plan_options *options;
	struct plan_notes *notes;
	char model[HASH_HEX], train[HASH_HEX];
	struct split_facts {
		char input[HASH_HEX], references[HASH_HEX];
		size_t same_as; /* the first split with equal files and limit: itself, mostly */
		double n_inputs;
	} * splits;
	double n_pairs;
	struct params defaults;
	struct table adapters, settings, searches;
	size_t *adapter_artifact; /* adapters' numbers -> artifacts */
	size_t n_adapters, room_adapters, room_artifacts, room_runs, room_jobs;
	size_t *search_job; /* searches' numbers -> the job that collects outputs now */
	size_t n_searches, room_searches;
};

/* The values that make two settings different at a stage, as words: word 0 is what they belong to (an adapter). */
struct identity {
	uint64_t word[PARAM_COUNT + 1];
	size_t n;
};

static struct identity identify(const struct params *e, enum param_stage stage, uint64_t owner, bool search_only)
{
	struct identity id = {.word = {owner}, .n = 1};
	for (int i = 0; i < PARAM_COUNT; i++) {
		if (!(param_table[i].stage & stage))
			continue;
		if (stage == PARAM_STAGE_DECODE && i == PARAM_seed && !PARAM_I(e, do_sample))
			continue;
		if (search_only &&
		    (i == PARAM_max_new_tokens || i == PARAM_length_penalty || i == PARAM_early_stopping))
			continue;
		id.word[id.n++] = (uint64_t)e->v[i].i;
	}
	return id;
}

static uint64_t identity_hash(const struct identity *id)
{
	uint64_t h = 0x9E3779B97F4A7C15u;
	for (size_t i = 0; i < id->n; i++) {
		h = (h ^ id->word[i]) * 0xBF58476D1CE4E5B9u;
		h ^= h >> 29;
	}
	return h;
}

typedef struct identity identity_of(const struct build *b, size_t number);

static void table_grow(struct table *t, const struct build *b, identity_of *of)
{
	size_t mask = t->mask ? 2 * t->mask + 1 : 1023;
	uint32_t *slot = mem_zero(mask + 1, sizeof *slot);
	for (size_t i = 0; i < t->n; i++) {
		struct identity id = of(b, i);
		size_t at = (size_t)identity_hash(&id) & mask;
		while (slot[at])
			at = (at + 1) & mask;
		slot[at] = (uint32_t)i + 1;
	}
	free(t->slot);
	t->slot = slot;
	t->mask = mask;
}

/* The number of an equal entry, or the next free number with *added. */
static size_t table_find(struct table *t, const struct build *b, const struct identity *id, identity_of *of,
			 bool *added)
{
	if (2 * (t->n + 1) > t->mask)
		table_grow(t, b, of);
	for (size_t at = (size_t)identity_hash(id) & t->mask;; at = (at + 1) & t->mask) {
		if (!t->slot[at]) {
			t->slot[at] = (uint32_t)t->n + 1;
			*added = true;
			return t->n++;
		}
		struct identity other = of(b, t->slot[at] - 1);
		if (other.n == id->n && memcmp(other.word, id->word, id->n * sizeof *id->word) == 0) {
			*added = false;
			return t->slot[at] - 1;
		}
	}
}

static struct identity adapter_identity(const struct build *b, size_t number)
{
	return identify(&b->plan->artifacts[b->adapter_artifact[number]].params, PARAM_STAGE_TRAIN, 0, false);
}

/* A setting's number is its run's: each new setting is a new run. */
static struct identity setting_identity(const struct build *b, size_t number)
{
	const struct plan_run *run = &b->plan->runs[number];
	return identify(&b->plan->artifacts[run->artifacts[0]].params, PARAM_STAGE_DECODE, run->adapter, false);
}

static struct identity search_identity(const struct build *b, size_t number)
{
	const struct plan_job *job = &b->plan->jobs[b->search_job[number]];
	const struct plan_artifact *first = &b->plan->artifacts[job->artifacts[0]];
	return identify(&first->params, PARAM_STAGE_DECODE, first->adapter, true);
}

/* ------------------------------------------------------------------------------------------------ digests */

static int digest_file(const struct build *b, const char *path, char hex[HASH_HEX], struct err *err)
{
	if (b->options->digest)
		return b->options->digest(path, hex, b->options->ctx, err);
	return hash_file(path, hex, err);
}

/* Everything of a model folder that can change a result: not its README. */
static int digest_model(struct build *b, struct err *err)
{
	static const char *const files[] = {
		"config.json",    "generation_config.json", "model.safetensors",       "vocab.json",       "merges.txt",
		"tokenizer.json", "tokenizer_config.json",  "special_tokens_map.json", "added_tokens.json"};
	struct buf text = BUF_INIT;
	int result = 0;
	for (size_t i = 0; i < sizeof files / sizeof *files && result == 0; i++) {
		char *path = fs_join(b->spec->model_dir, files[i]), hex[HASH_HEX];
		bool needed = i == 0 || i == 2;
		if (needed && !fs_exists(path))
			result = err_set(err, ERR_INPUT, "the model `%s` has no %s in %s", b->spec->model, files[i],
					 b->spec->model_dir);
		else if (fs_exists(path)) {
			result = digest_file(b, path, hex, err);
			buf_printf(&text, "%s %s\n", files[i], hex);
		}
		free(path);
	}
	hash_bytes(text.data ? text.data : "", text.size, b->model);
	buf_release(&text);
	return result;
}

/* Roughly how many lines: for costs only. Plain text is counted up to 64 MB, gzip guessed from its size. */
static double guess_lines(const char *path)
{
	struct buf text = BUF_INIT;
	struct err ignored = {0};
	struct stat st;
	size_t n = strlen(path), lines = 0;
	if (stat(path, &st) < 0)
		return 0;
	if ((n > 3 && strcmp(path + n - 3, ".gz") == 0))
		return (double)st.st_size / 30;
	if (st.st_size > 1 << 26 || buf_read_file(&text, path, 1 << 26, &ignored) < 0)
		return (double)st.st_size / 150;
	for (const char *p = text.data; p && (p = memchr(p, '\n', (size_t)(text.data + text.size - p))); p++)
		lines++;
	buf_release(&text);
	return (double)lines;
}

static int digest_data(struct build *b, bool training, struct err *err)
{
	const struct spec *spec = b->spec;
	if (training) {
		if (digest_file(b, spec->train, b->train, err) < 0)
			return -1;
		b->n_pairs = guess_lines(spec->train);
	}
	for (size_t i = 0; i < spec->n_splits; i++) {
		struct split_facts *facts = &b->splits[i];
		const struct spec_split *split = &spec->splits[i];
		if (digest_file(b, split->input, facts->input, err) < 0 ||
		    (split->references && digest_file(b, split->references, facts->references, err) < 0))
			return -1;
		facts->n_inputs = guess_lines(split->input);
		if (split->limit && (double)split->limit < facts->n_inputs)
			facts->n_inputs = (double)split->limit;
		for (facts->same_as = 0; facts->same_as < i; facts->same_as++) {
			const struct split_facts *other = &b->splits[facts->same_as];
			if (strcmp(other->input, facts->input) == 0 &&
			    strcmp(other->references, facts->references) == 0 &&
			    spec->splits[facts->same_as].limit == split->limit)
				break;
		}
	}
	return 0;
}

/* ------------------------------------------------------------------------------------------------ keys */

static void add_member(struct buf *text, const char *name, const char *value)
{
	buf_printf(text, ",\"%s\":", name);
	if (value)
		json_format_string(value, strlen(value), text);
	else
		buf_adds(text, "null");
}

static void adapter_key(const struct build *b, const struct params *effective, char key[HASH_HEX])
{
	struct buf text = BUF_INIT;
	buf_printf(&text, "{\"artifact\":\"adapter\",\"numerics\":%d", NUMERICS_VERSION);
	add_member(&text, "model", b->model);
	add_member(&text, "train", b->train);
	add_member(&text, "prompt", b->spec->prompt);
	add_member(&text, "target", b->spec->target);
	buf_adds(&text, ",\"params\":");
	params_key(effective, PARAM_STAGE_TRAIN, &text);
	buf_addc(&text, '}');
	hash_bytes(text.data, text.size, key);
	buf_release(&text);
}

static void hypotheses_key(const struct build *b, const struct buf *params, const char *adapter, size_t split,
			   char key[HASH_HEX], struct buf *text)
{
	const struct split_facts *facts = &b->splits[split];
	buf_clear(text);
	buf_printf(text, "{\"artifact\":\"hypotheses\",\"numerics\":%d", NUMERICS_VERSION);
	add_member(text, "model", b->model);
	add_member(text, "adapter", adapter);
	add_member(text, "input", facts->input);
	add_member(text, "references", facts->references[0] ? facts->references : NULL);
	if (b->spec->splits[split].limit)
		buf_printf(text, ",\"limit\":%lld", (long long)b->spec->splits[split].limit);
	add_member(text, "prompt", b->spec->prompt);
	buf_adds(text, ",\"params\":");
	buf_add(text, params->data, params->size);
	buf_addc(text, '}');
	hash_bytes(text->data, text->size, key);
}

/* ------------------------------------------------------------------------------------------------ runs, artifacts */

static size_t add_artifact(struct build *b, const struct plan_artifact *artifact)
{
	struct plan *plan = b->plan;
	MEM_PUSH_ROOM(plan->artifacts, plan->n_artifacts, b->room_artifacts);
	struct plan_artifact *a = &plan->artifacts[plan->n_artifacts];
	*a = *artifact;
	a->job = PLAN_NONE;
	a->have = b->options->have && b->options->have(a->key, a->kind, b->options->ctx);
	size_t n = strlen(b->options->artifacts_dir);
	a->dir = keep(plan, n + 1 + HASH_HEX);
	memcpy(a->dir, b->options->artifacts_dir, n);
	a->dir[n] = '/';
	memcpy(a->dir + n + 1, a->key, HASH_HEX);
	return plan->n_artifacts++;
}

static size_t find_adapter(struct build *b, const struct params *effective)
{
	if (PARAM_I(effective, num_virtual_tokens) == 0)
		return PLAN_NONE;
	bool added;
	struct identity id = identify(effective, PARAM_STAGE_TRAIN, 0, false);
	size_t number = table_find(&b->adapters, b, &id, adapter_identity, &added);
	if (!added)
		return b->adapter_artifact[number];
	struct plan_artifact a = {.kind = JOB_TRAIN, .params = *effective, .adapter = PLAN_NONE};
	for (int i = 0; i < PARAM_COUNT; i++)
		if (!(param_table[i].stage & PARAM_STAGE_TRAIN))
			a.params.v[i] = b->defaults.v[i];
	adapter_key(b, effective, a.key);
	MEM_PUSH_ROOM(b->adapter_artifact, b->n_adapters, b->room_adapters);
	b->adapter_artifact[b->n_adapters++] = add_artifact(b, &a);
	return b->adapter_artifact[number];
}

/* The texts of a new setting, one artifact for each split, and its run. */
static void add_run(struct build *b, const struct point *point, const struct params *effective, size_t adapter)
{
	struct plan *plan = b->plan;
	struct buf params = BUF_INIT, text = BUF_INIT;
	MEM_PUSH_ROOM(plan->runs, plan->n_runs, b->room_runs);
	struct plan_run *run = &plan->runs[plan->n_runs];
	*run = (struct plan_run){.params = point->params, .label = point->label, .adapter = adapter};
	run->artifacts = keep(plan, plan->n_splits * sizeof *run->artifacts);
	params_key(effective, PARAM_STAGE_DECODE, &params);
	for (size_t i = 0; i < plan->n_splits; i++) {
		if (b->splits[i].same_as < i) {
			run->artifacts[i] = run->artifacts[b->splits[i].same_as];
			continue;
		}
		struct plan_artifact a = {.kind = JOB_DECODE, .params = *effective, .adapter = adapter};
		a.split = b->spec->splits[i].name;
		hypotheses_key(b, &params, adapter == PLAN_NONE ? NULL : plan->artifacts[adapter].key, i, a.key, &text);
		run->artifacts[i] = add_artifact(b, &a);
	}
	buf_clear(&text);
	for (size_t i = 0; i < plan->n_splits; i++)
		buf_add(&text, plan->artifacts[run->artifacts[i]].key, HASH_HEX - 1);
	hash_bytes(text.data, text.size, run->key);
	buf_release(&params);
	buf_release(&text);
	plan->n_runs++;
}

static void add_point(struct build *b, const struct point *point)
{
	struct params effective = params_effective(&point->params);
	size_t adapter = find_adapter(b, &effective);
	struct identity id = identify(&effective, PARAM_STAGE_DECODE, adapter, false);
	bool added;
	size_t number = table_find(&b->settings, b, &id, setting_identity, &added);
	if (added) {
		add_run(b, point, &effective, adapter);
	} else if (!b->plan->runs[number].label) {
		b->plan->runs[number].label = point->label;
	}
	plan_notes_point(b->notes, &point->params, &effective, added ? NULL : &b->plan->runs[number].params);
}

/* ------------------------------------------------------------------------------------------------ jobs */

/* Rough work in passes of one token through the model; what counts is the order. A training step costs a forward and
 * about as much backward (frozen weights have no gradients of their own); a decoded token moves all weights for few
 * rows. Texts rarely reach a long limit. */
static double train_cost(const struct build *b, const struct params *p)
{
	double pairs = b->n_pairs, limit = (double)PARAM_I(p, train_limit);
	if (limit > 0 && limit < pairs)
		pairs = limit;
	return pairs * (double)PARAM_I(p, epochs) * (70 + (double)PARAM_I(p, num_virtual_tokens)) * 2.2;
}

static double decode_cost(const struct build *b, const struct params *p, double inputs)
{
	double tokens = (double)PARAM_I(p, max_new_tokens);
	tokens = tokens < 40 ? tokens : 40 + (tokens - 40) / 8;
	(void)b;
	return inputs * (30 + tokens * (double)PARAM_I(p, num_beams) * 2);
}

static size_t add_job(struct build *b, enum job_kind kind)
{
	struct plan *plan = b->plan;
	MEM_PUSH_ROOM(plan->jobs, plan->n_jobs, b->room_jobs);
	struct plan_job *job = &plan->jobs[plan->n_jobs];
	*job = (struct plan_job){.waits_for = PLAN_NONE, .job = {.kind = kind}};
	job->job.model = plan->check.model;
	job->job.model_name = plan->check.model_name;
	job->job.prompt = plan->check.prompt;
	job->job.target = plan->check.target;
	return plan->n_jobs++;
}

/* An array of a job in the arena, grown by doubling from 1 (most jobs make one or two things). */
static void push_artifact(struct plan *plan, struct plan_job *job, size_t artifact)
{
	size_t n = job->n_artifacts;
	if ((n & (n - 1)) == 0) {
		size_t *more = keep(plan, (n ? 2 * n : 1) * sizeof *more);
		if (n)
			memcpy(more, job->artifacts, n * sizeof *more);
		job->artifacts = more;
	}
	job->artifacts[job->n_artifacts++] = artifact;
	plan->artifacts[artifact].job = (size_t)(job - plan->jobs);
}

static size_t need_adapter(struct build *b, size_t adapter)
{
	struct plan_artifact *a = &b->plan->artifacts[adapter];
	if (a->have || a->job != PLAN_NONE)
		return a->job;
	size_t number = add_job(b, JOB_TRAIN);
	struct plan_job *job = &b->plan->jobs[number];
	push_artifact(b->plan, job, adapter);
	job->job.train = b->plan->check.train;
	job->cost = train_cost(b, &a->params);
	return number;
}

static void need_texts(struct build *b, size_t artifact, size_t split)
{
	const struct plan_artifact *a = &b->plan->artifacts[artifact];
	size_t adapter_job = a->adapter == PLAN_NONE ? PLAN_NONE : need_adapter(b, a->adapter);
	struct identity id = identify(&a->params, PARAM_STAGE_DECODE, a->adapter, true);
	bool added;
	size_t number = table_find(&b->searches, b, &id, search_identity, &added);
	if (added) {
		MEM_PUSH_ROOM(b->search_job, b->n_searches, b->room_searches);
		b->n_searches++;
	}
	if (added || b->plan->jobs[b->search_job[number]].n_artifacts == PLAN_OUTPUTS_MAX) {
		b->search_job[number] = add_job(b, JOB_DECODE);
		struct plan_job *made = &b->plan->jobs[b->search_job[number]];
		made->waits_for = adapter_job;
		if (a->adapter != PLAN_NONE)
			made->job.adapter = b->plan->artifacts[a->adapter].dir;
	}
	struct plan_job *job = &b->plan->jobs[b->search_job[number]];
	push_artifact(b->plan, job, artifact);
	/* one search for a split, as long as its longest output */
	double cost = decode_cost(b, &a->params, b->splits[split].n_inputs);
	job->cost = job->cost > cost ? job->cost + 0.02 * cost : cost + 0.02 * job->cost;
}

static void make_jobs(struct build *b)
{
	struct plan *plan = b->plan;
	for (size_t r = 0; r < plan->n_runs; r++) {
		for (size_t s = 0; s < plan->n_splits; s++) {
			const struct plan_artifact *a = &plan->artifacts[plan->runs[r].artifacts[s]];
			if (!a->have && a->job == PLAN_NONE)
				need_texts(b, plan->runs[r].artifacts[s], b->splits[s].same_as);
		}
	}
}

struct rank {
	size_t job;
	bool decode;
	double cost;
};

static int by_rank(const void *a, const void *b)
{
	const struct rank *x = a, *y = b;
	if (x->decode != y->decode)
		return x->decode - y->decode;
	if (x->cost != y->cost)
		return x->cost < y->cost ? 1 : -1;
	return x->job < y->job ? -1 : x->job > y->job;
}

static void order_jobs(struct plan *plan)
{
	size_t n = plan->n_jobs;
	struct rank *rank = mem_array(n, sizeof *rank);
	size_t *place = mem_array(n, sizeof *place);
	struct plan_job *ordered = mem_array(n, sizeof *ordered);
	for (size_t i = 0; i < n; i++)
		rank[i] = (struct rank){i, plan->jobs[i].job.kind == JOB_DECODE, plan->jobs[i].cost};
	for (size_t i = 0; i < n; i++) /* a training counts with what waits for it */
		if (plan->jobs[i].waits_for != PLAN_NONE)
			rank[plan->jobs[i].waits_for].cost += plan->jobs[i].cost;
	qsort(rank, n, sizeof *rank, by_rank);
	for (size_t i = 0; i < n; i++)
		place[rank[i].job] = i;
	for (size_t i = 0; i < n; i++) {
		ordered[i] = plan->jobs[rank[i].job];
		if (ordered[i].waits_for != PLAN_NONE)
			ordered[i].waits_for = place[ordered[i].waits_for];
		for (size_t j = 0; j < ordered[i].n_artifacts; j++)
			plan->artifacts[ordered[i].artifacts[j]].job = i;
	}
	free(plan->jobs);
	plan->jobs = ordered;
	free(rank);
	free(place);
}

static size_t split_number(const struct spec *spec, const char *name)
{
	size_t i = 0;
	while (spec->splits[i].name != name)
		i++;
	return i;
}

/* Outputs, the splits they name and no others, and the key of one job. */
static void finish_job(struct build *b, struct plan_job *job)
{
	struct plan *plan = b->plan;
	size_t *number = mem_array(plan->n_splits, sizeof *number);
	memset(number, 0xff, plan->n_splits * sizeof *number);
	job->job.n_outputs = job->n_artifacts;
	job->job.outputs = keep(plan, job->n_artifacts * sizeof *job->job.outputs);
	if (job->job.kind == JOB_DECODE)
		job->job.splits = keep(plan, plan->n_splits * sizeof *job->job.splits);
	struct hash *hash = hash_new();
	for (size_t i = 0; i < job->n_artifacts; i++) {
		const struct plan_artifact *a = &plan->artifacts[job->artifacts[i]];
		struct job_output *output = &job->job.outputs[i];
		*output = (struct job_output){.dir = a->dir, .params = a->params};
		memcpy(output->key, a->key, HASH_HEX);
		hash_add(hash, a->key, HASH_HEX - 1);
		if (!a->split)
			continue;
		size_t split = split_number(b->spec, a->split);
		if (number[split] == PLAN_NONE) {
			number[split] = job->job.n_splits;
			job->job.splits[job->job.n_splits++] = plan->check.splits[split];
		}
		output->split = number[split];
	}
	hash_end(hash, job->job.key);
	if (job->job.kind == JOB_TRAIN)
		memcpy(job->job.key, job->job.outputs[0].key, HASH_HEX);
	free(number);
}

/* ------------------------------------------------------------------------------------------------ check, build */

/* The texts that all jobs share, in the check job. */
static void begin_check(struct build *b)
{
	struct plan *plan = b->plan;
	const struct spec *spec = b->spec;
	struct job *check = &plan->check;
	check->kind = JOB_CHECK;
	check->model = keep_text(plan, spec->model_dir);
	check->model_name = keep_text(plan, spec->model);
	check->prompt = keep_text(plan, spec->prompt);
	check->target = keep_text(plan, spec->target);
	check->train = spec->train ? keep_text(plan, spec->train) : NULL;
	check->n_splits = spec->n_splits;
	check->splits = keep(plan, spec->n_splits * sizeof *check->splits);
	for (size_t i = 0; i < spec->n_splits; i++) {
		const struct spec_split *split = &spec->splits[i];
		check->splits[i] =
			(struct job_split){keep_text(plan, split->name), keep_text(plan, split->input),
					   split->references ? keep_text(plan, split->references) : NULL, split->limit};
	}
}

/* What fits for the longest output fits for the shorter ones of the same prefix and split. */
static void add_check(struct build *b, struct job *check, size_t *room, const struct plan_artifact *a)
{
	size_t split = a->split ? split_number(b->spec, a->split) : b->plan->n_splits;
	for (size_t i = 0; i < check->n_outputs; i++) {
		struct job_output *o = &check->outputs[i];
		if (o->split != split ||
		    PARAM_I(&o->params, num_virtual_tokens) != PARAM_I(&a->params, num_virtual_tokens))
			continue;
		if (!a->split && (PARAM_I(&o->params, pad_to_length) != PARAM_I(&a->params, pad_to_length) ||
				  PARAM_I(&o->params, train_limit) != PARAM_I(&a->params, train_limit)))
			continue;
		if (a->split && PARAM_I(&o->params, max_new_tokens) < PARAM_I(&a->params, max_new_tokens)) {
			*o = (struct job_output){.dir = a->dir, .split = split, .params = a->params};
			memcpy(o->key, a->key, HASH_HEX);
		}
		return;
	}
	if (check->n_outputs >= PLAN_OUTPUTS_MAX)
		return; /* a sample is enough: each worker looks for itself too */
	MEM_PUSH_ROOM(check->outputs, check->n_outputs, *room);
	struct job_output *o = &check->outputs[check->n_outputs++];
	*o = (struct job_output){.dir = a->dir, .split = split, .params = a->params};
	memcpy(o->key, a->key, HASH_HEX);
}

static void finish_check(struct build *b)
{
	struct job *check = &b->plan->check;
	size_t room = 0;
	bool training = false;
	for (size_t i = 0; i < b->plan->n_jobs; i++) {
		training = training || b->plan->jobs[i].job.kind == JOB_TRAIN;
		for (size_t j = 0; j < b->plan->jobs[i].n_artifacts; j++)
			add_check(b, check, &room, &b->plan->artifacts[b->plan->jobs[i].artifacts[j]]);
	}
	struct job_output *kept = keep(b->plan, check->n_outputs * sizeof *kept);
	if (check->n_outputs)
		memcpy(kept, check->outputs, check->n_outputs * sizeof *kept);
	free(check->outputs);
	check->outputs = kept;
	if (!training)
		check->train = NULL; /* nothing to look at there */
	struct hash *hash = hash_new();
	hash_add(hash, "check", 5);
	for (size_t i = 0; i < check->n_outputs; i++)
		hash_add(hash, check->outputs[i].key, HASH_HEX - 1);
	hash_end(hash, check->key);
}

/* What only a person can mend is found before files are digested. */
static int check_spec(const struct spec *spec, const struct points *points, bool *training, struct err *err)
{
	*training = false;
	for (size_t i = 0; i < points->n && !*training; i++)
		*training = PARAM_I(&points->point[i].params, num_virtual_tokens) > 0;
	if (!spec->model_dir)
		return err_set(
			err, ERR_INPUT,
			"the model `%s` is neither a folder nor in the Hugging Face cache; run `sweep fetch %s` first",
			spec->model, spec->model);
	if (spec->dataset_missing)
		return err_set(err, ERR_INPUT, "the dataset `%s` is not in the cache; run `sweep fetch %s` first",
			       spec->dataset, spec->dataset);
	if (*training && !spec->train)
		return err_set(
			err, ERR_INPUT,
			"%s: dataset.train is missing, but a prefix must be trained (num_virtual_tokens: 0 alone needs "
			"no training)",
			spec->path);
	return 0;
}

int plan_build(struct plan *plan, const struct spec *spec, const struct points *points,
	       const struct plan_options *options, struct err *err)
{
	*plan = (struct plan){.n_splits = spec->n_splits, .n_points = points->n};
	struct build b = {.plan = plan, .spec = spec, .options = options, .notes = plan_notes_new()};
	bool training;
	int result = -1;
	params_default(&b.defaults);
	b.splits = mem_zero(spec->n_splits, sizeof *b.splits);
	if (check_spec(spec, points, &training, err) < 0 || digest_model(&b, err) < 0 ||
	    digest_data(&b, training, err) < 0)
		goto out;
	begin_check(&b);
	for (size_t i = 0; i < points->n; i++)
		add_point(&b, &points->point[i]);
	make_jobs(&b);
	order_jobs(plan);
	for (size_t i = 0; i < plan->n_jobs; i++)
		finish_job(&b, &plan->jobs[i]);
	plan_notes_titles(plan, keep);
	finish_check(&b);
	plan_notes_finish(b.notes, plan, spec, points);
	result = 0;
out:
	plan_notes_free(b.notes);
	free(b.splits);
	free(b.adapters.slot);
	free(b.settings.slot);
	free(b.searches.slot);
	free(b.adapter_artifact);
	free(b.search_job);
	if (result < 0)
		plan_release(plan);
	return result;
}

void plan_release(struct plan *plan)
{
	free(plan->runs);
	free(plan->artifacts);
	free(plan->jobs);
	for (size_t i = 0; i < plan->n_notices; i++)
		free(plan->notices[i]);
	free(plan->notices);
	for (struct plan_owned *block = plan->owned, *next; block; block = next) {
		next = block->next;
		free(block);
	}
	*plan = (struct plan){0};
}
