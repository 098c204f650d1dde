/* plan.c - points -> runs -> artifacts -> jobs, each artifact once; see plan.h.
 *
 * Fourth step of `sweep run`. Files are digested once; then each point is looked up by its effective values in hash
 * tables (an adapter by the values of training, a setting by its adapter and the values of decoding), and only what is
 * new is given a key. So a million points cost a few seconds, and equal points become one run by themselves. Jobs are
 * made from the artifacts that do not exist yet:
 *   - an adapter is trained only when texts are missing that need it;
 *   - missing texts of one adapter that differ only in split, max_new_tokens, length_penalty and early_stopping are one
 *     decode job, because one search answers them (docs/REFERENCE.md, 5.7; job.h); searches of one adapter may share a
 *     job (plan_merge.c).
 * Order: trainings, the one with the most work behind it first; then decodes, longest first.
 */
#include "plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/table.h"
#include "plan_keys.h"
#include "plan_merge.h"
#include "plan_notes.h"
#include "points.h"
#include "sources.h"
#include "spec.h"

struct build {
	struct plan *plan;
	const struct spec *spec;
	const struct plan_options *options;
	struct plan_notes *notes;
	struct plan_keys keys;
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

typedef struct identity identity_of(const struct build *b, size_t number);

struct wanted {
	const struct build *b;
	const struct identity *id;
	identity_of *of; /* makes the identity of a number again */
};

static bool same_identity(size_t number, void *ctx)
{
	const struct wanted *wanted = ctx;
	struct identity other = wanted->of(wanted->b, number);
	return other.n == wanted->id->n && memcmp(other.word, wanted->id->word, other.n * sizeof *other.word) == 0;
}

static size_t find(struct table *t, const struct build *b, const struct identity *id, identity_of *of, bool *added)
{
	struct wanted wanted = {b, id, of};
	return table_add(t, table_hash(id->word, id->n), same_identity, &wanted, added);
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
	a->dir = arena_alloc(&plan->arena, n + 1 + HASH_HEX);
	memcpy(a->dir, b->options->artifacts_dir, n);
	a->dir[n] = '/';
	memcpy(a->dir + n + 1, a->key, HASH_HEX);
	a->made_at = a->dir;
	if (!a->have && b->options->again && b->options->again(a->key, b->options->ctx)) {
		a->made_at = arena_alloc(&plan->arena, strlen(a->dir) + sizeof FS_FRESH);
		memcpy(a->made_at, a->dir, strlen(a->dir));
		memcpy(a->made_at + strlen(a->dir), FS_FRESH, sizeof FS_FRESH);
	}
	return plan->n_artifacts++;
}

static size_t find_adapter(struct build *b, const struct params *effective)
{
	if (PARAM_I(effective, num_virtual_tokens) == 0)
		return PLAN_NONE;
	bool added;
	struct identity id = identify(effective, PARAM_STAGE_TRAIN, 0, false);
	size_t number = find(&b->adapters, b, &id, adapter_identity, &added);
	if (!added)
		return b->adapter_artifact[number];
	struct plan_artifact a = {.kind = JOB_TRAIN, .params = *effective, .adapter = PLAN_NONE};
	for (int i = 0; i < PARAM_COUNT; i++)
		if (!(param_table[i].stage & PARAM_STAGE_TRAIN))
			a.params.v[i] = b->defaults.v[i];
	plan_keys_adapter(&b->keys, effective, a.key);
	MEM_PUSH_ROOM(b->adapter_artifact, b->n_adapters, b->room_adapters);
	b->adapter_artifact[b->n_adapters++] = add_artifact(b, &a);
	return b->adapter_artifact[number];
}

/* The texts of a new setting, one artifact for each split, and its run. */
static void add_run(struct build *b, const struct point *point, const struct params *effective, size_t adapter)
{
	struct plan *plan = b->plan;
	MEM_PUSH_ROOM(plan->runs, plan->n_runs, b->room_runs);
	struct plan_run *run = &plan->runs[plan->n_runs];
	*run = (struct plan_run){.params = point->params, .label = point->label, .adapter = adapter};
	run->artifacts = arena_array(&plan->arena, plan->n_splits, sizeof *run->artifacts);
	plan_keys_setting(&b->keys, effective, adapter == PLAN_NONE ? NULL : plan->artifacts[adapter].key);
	for (size_t i = 0; i < plan->n_splits; i++) {
		if (b->keys.splits[i].same_as < i) {
			run->artifacts[i] = run->artifacts[b->keys.splits[i].same_as];
			continue;
		}
		struct plan_artifact a = {.kind = JOB_DECODE, .params = *effective, .adapter = adapter};
		a.split = b->spec->splits[i].name;
		plan_keys_hypotheses(&b->keys, i, a.key);
		run->artifacts[i] = add_artifact(b, &a);
	}
	struct hash *hash = hash_new();
	for (size_t i = 0; i < plan->n_splits; i++)
		hash_add(hash, plan->artifacts[run->artifacts[i]].key, HASH_HEX - 1);
	hash_end(hash, run->key);
	plan->n_runs++;
}

static void add_point(struct build *b, const struct point *point)
{
	struct params effective = params_effective(&point->params);
	size_t adapter = find_adapter(b, &effective);
	struct identity id = identify(&effective, PARAM_STAGE_DECODE, adapter, false);
	bool added;
	size_t number = find(&b->settings, b, &id, setting_identity, &added);
	if (added) {
		add_run(b, point, &effective, adapter);
	} else if (!b->plan->runs[number].label) {
		b->plan->runs[number].label = point->label;
	}
	plan_notes_point(b->notes, &point->params, &effective, added ? NULL : &b->plan->runs[number].params);
}

/* ------------------------------------------------------------------------------------------------ jobs */

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

static void push_artifact(struct plan *plan, struct plan_job *job, size_t artifact)
{
	plan_merge_push(plan, job, artifact);
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
	job->job.train_columns = b->plan->check.train_columns;
	job->cost = plan_keys_train_cost(&b->keys, &a->params);
	return number;
}

static void need_texts(struct build *b, size_t artifact, size_t split)
{
	const struct plan_artifact *a = &b->plan->artifacts[artifact];
	size_t adapter_job = a->adapter == PLAN_NONE ? PLAN_NONE : need_adapter(b, a->adapter);
	struct identity id = identify(&a->params, PARAM_STAGE_DECODE, a->adapter, true);
	bool added;
	size_t number = find(&b->searches, b, &id, search_identity, &added);
	if (added) {
		MEM_PUSH_ROOM(b->search_job, b->n_searches, b->room_searches);
		b->n_searches++;
	}
	if (added || b->plan->jobs[b->search_job[number]].n_artifacts == PLAN_OUTPUTS_MAX) {
		b->search_job[number] = add_job(b, JOB_DECODE);
		struct plan_job *made = &b->plan->jobs[b->search_job[number]];
		made->waits_for = adapter_job;
		made->n_searches = 1;
		if (a->adapter != PLAN_NONE)
			made->job.adapter = b->plan->artifacts[a->adapter].dir;
	}
	struct plan_job *job = &b->plan->jobs[b->search_job[number]];
	push_artifact(b->plan, job, artifact);
	/* one search for a split, as long as its longest output */
	double cost = plan_keys_decode_cost(&b->keys, &a->params, split);
	job->cost = job->cost > cost ? job->cost + 0.02 * cost : cost + 0.02 * job->cost;
}

static void make_jobs(struct build *b)
{
	struct plan *plan = b->plan;
	for (size_t r = 0; r < plan->n_runs; r++) {
		for (size_t s = 0; s < plan->n_splits; s++) {
			const struct plan_artifact *a = &plan->artifacts[plan->runs[r].artifacts[s]];
			if (!a->have && a->job == PLAN_NONE)
				need_texts(b, plan->runs[r].artifacts[s], b->keys.splits[s].same_as);
		}
	}
	for (size_t i = 0; b->options->lost && i < plan->n_artifacts; i++) {
		const struct plan_artifact *a = &plan->artifacts[i];
		if (a->kind == JOB_TRAIN && !a->have && a->job == PLAN_NONE &&
		    b->options->lost(a->key, b->options->ctx))
			need_adapter(b, i);
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

/* The splits that a job's outputs name and no others, and its key. The outputs themselves are made when the job starts
 * (plan_output): a million of them are half a gigabyte. */
static void finish_job(struct build *b, struct plan_job *job)
{
	struct plan *plan = b->plan;
	bool *wanted = mem_zero(plan->n_splits + 1, sizeof *wanted);
	if (job->job.kind == JOB_DECODE)
		job->job.splits = arena_array(&plan->arena, plan->n_splits, sizeof *job->job.splits);
	struct hash *hash = hash_new();
	for (size_t i = 0; i < job->n_artifacts; i++) {
		const struct plan_artifact *a = &plan->artifacts[job->artifacts[i]];
		hash_add(hash, a->key, HASH_HEX - 1);
		if (!a->split)
			continue;
		size_t split = split_number(b->spec, a->split);
		if (!wanted[split])
			job->job.splits[job->job.n_splits++] = plan->check.splits[split];
		wanted[split] = true;
	}
	hash_end(hash, job->job.key);
	if (job->job.kind == JOB_TRAIN)
		memcpy(job->job.key, plan->artifacts[job->artifacts[0]].key, HASH_HEX);
	wanted[plan->n_splits] = job->job.kind == JOB_TRAIN;
	plan_keys_inputs(&b->keys, wanted, &job->job);
	free(wanted);
}

struct job_output plan_output(const struct plan *plan, const struct plan_job *job, size_t i)
{
	if (job->job.outputs)
		return job->job.outputs[i];
	const struct plan_artifact *a = &plan->artifacts[job->artifacts[i]];
	struct job_output output = {.dir = a->made_at, .params = a->params};
	memcpy(output.key, a->key, HASH_HEX);
	while (a->split && job->job.splits[output.split].name != a->split)
		output.split++;
	return output;
}

/* ------------------------------------------------------------------------------------------------ check, build */

/* The texts that all jobs share, in the check job. */
static void begin_check(struct build *b)
{
	struct plan *plan = b->plan;
	plan->check = (struct job){.kind = JOB_CHECK,
				   .model = plan->sources->model,
				   .model_name = plan->sources->model_of_hub ? b->spec->model : plan->sources->model,
				   .prompt = b->spec->prompt,
				   .target = b->spec->target,
				   .train = plan->sources->train,
				   .train_columns = plan->sources->train_columns,
				   .n_splits = plan->n_splits,
				   .splits = plan->sources->splits};
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
	struct job_output *kept = arena_array(&b->plan->arena, check->n_outputs, sizeof *kept);
	if (check->n_outputs)
		memcpy(kept, check->outputs, check->n_outputs * sizeof *kept);
	free(check->outputs);
	check->outputs = kept;
	if (!training)
		check->train = NULL, check->train_columns = (struct columns_map){0}; /* nothing to look at there */
	bool *wanted = mem_array(b->plan->n_splits + 1, sizeof *wanted);
	memset(wanted, true, b->plan->n_splits);
	wanted[b->plan->n_splits] = training;
	plan_keys_inputs(&b->keys, wanted, check);
	free(wanted);
	struct hash *hash = hash_new();
	hash_add(hash, "check", 5);
	for (size_t i = 0; i < check->n_outputs; i++)
		hash_add(hash, check->outputs[i].key, HASH_HEX - 1);
	hash_end(hash, check->key);
}

/* What only a person can mend is found before files are digested. */
static int check_sources(const struct spec *spec, const struct sources *sources, const struct points *points,
			 bool *training, struct err *err)
{
	*training = false;
	for (size_t i = 0; i < points->n && !*training; i++)
		*training = PARAM_I(&points->point[i].params, num_virtual_tokens) > 0;
	if (!sources->model)
		return err_set(
			err, ERR_INPUT,
			"the model `%s` is neither a folder nor in the Hugging Face cache; run `sweep fetch %s` first",
			spec->model, spec->model);
	if (sources->dataset_missing)
		return err_set(err, ERR_INPUT, "the dataset `%s` is not in the cache; run `sweep fetch %s` first",
			       spec->dataset, spec->dataset);
	if (*training && !sources->train)
		return err_set(
			err, ERR_INPUT,
			"%s: dataset.train is missing, but a prefix must be trained (num_virtual_tokens: 0 alone needs "
			"no training)",
			spec->path);
	return 0;
}

int plan_build(struct plan *plan, const struct spec *spec, const struct sources *sources, const struct points *points,
	       const struct plan_options *options, struct err *err)
{
	*plan = (struct plan){.n_splits = spec->n_splits, .n_points = points->n, .sources = sources};
	struct build b = {.plan = plan, .spec = spec, .options = options, .notes = plan_notes_new()};
	bool training;
	int result = -1;
	params_default(&b.defaults);
	if (check_sources(spec, sources, points, &training, err) < 0 ||
	    plan_keys_init(&b.keys, spec, sources, options, training, &plan->arena, err) < 0)
		goto out;
	begin_check(&b);
	for (size_t i = 0; i < points->n; i++)
		add_point(&b, &points->point[i]);
	make_jobs(&b);
	plan_merge(plan, options->workers);
	order_jobs(plan);
	for (size_t i = 0; i < plan->n_jobs; i++)
		finish_job(&b, &plan->jobs[i]);
	plan_notes_titles(plan);
	finish_check(&b);
	plan_notes_finish(b.notes, plan, spec, points);
	result = 0;
out:
	plan_notes_free(b.notes);
	plan_keys_release(&b.keys);
	table_release(&b.adapters);
	table_release(&b.settings);
	table_release(&b.searches);
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
	arena_release(&plan->arena);
	*plan = (struct plan){0};
}
