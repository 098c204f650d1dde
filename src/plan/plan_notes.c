/* plan_notes.c - the words of a plan; see plan_notes.h.
 *
 * Part of plan.c's step. Two things are said here. Before work: which values of the sweep file cannot matter
 * (`temperature` without `do_sample`), because a person who varied them believes otherwise
 * (docs/ARCHITECTURE.md, invariant 4). During work: what each job is called; a title names what a person would tell
 * jobs apart by, that is the prefix, the beams, the length, the temperature, and whatever else this sweep varies. */
#include "plan_notes.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "points.h"
#include "spec.h"

#define VALUES_MAX 64

struct plan_notes {
	struct note {
		const char *reason;
		size_t without_effect;                /* points that set it to no effect */
		size_t with_effect;                   /* points where a value other than the default counts */
		union param_value values[VALUES_MAX]; /* that collapsed: the distinct ones */
		size_t n_values;
	} note[PARAM_COUNT];
	struct params defaults;
};

struct plan_notes *plan_notes_new(void)
{
	struct plan_notes *notes = mem_zero(1, sizeof *notes);
	params_default(&notes->defaults);
	return notes;
}

void plan_notes_free(struct plan_notes *notes)
{
	free(notes);
}

/* Why params_effective puts the default in place of this point's value. */
static const char *reason_for(const struct params *p, int id)
{
	if (PARAM_I(p, num_virtual_tokens) == 0 && param_table[id].stage == PARAM_STAGE_TRAIN)
		return "with num_virtual_tokens 0 (no training)";
	if (id == PARAM_seed)
		return "with num_virtual_tokens 0 and without do_sample (nothing is drawn)";
	if (id == PARAM_warmup_steps)
		return "with lr_scheduler_type constant (constant_with_warmup has a warm-up)";
	if (id == PARAM_lr_scheduler_type)
		return "between constant and constant_with_warmup with warmup_steps 0";
	if (id == PARAM_encoder_hidden_size)
		return "without prefix_projection";
	if (id == PARAM_length_penalty || id == PARAM_early_stopping)
		return "with num_beams 1";
	return "without do_sample";
}

static void note_value(struct note *note, int id, union param_value value)
{
	for (size_t i = 0; i < note->n_values; i++)
		if (params_value_equal(id, note->values[i], value))
			return;
	if (note->n_values < VALUES_MAX)
		note->values[note->n_values++] = value;
}

void plan_notes_point(struct plan_notes *notes, const struct params *point, const struct params *effective,
		      const struct params *run)
{
	for (int id = 0; id < PARAM_COUNT; id++) {
		struct note *note = &notes->note[id];
		if (point->v[id].i == effective->v[id].i)
			note->with_effect += point->v[id].i != notes->defaults.v[id].i;
		else
			note->without_effect++;
		if (point->v[id].i != effective->v[id].i && !note->reason)
			note->reason = reason_for(point, id);
		if (run && run->v[id].i != point->v[id].i) {
			if (!note->reason)
				note->reason = reason_for(point, id);
			note_value(note, id, point->v[id]);
			note_value(note, id, run->v[id]);
		}
	}
}

static void add_notice(struct plan *plan, struct buf *text)
{
	plan->notices = mem_grow(plan->notices, plan->n_notices + 1, sizeof *plan->notices);
	plan->notices[plan->n_notices++] = buf_detach(text);
}

void plan_notes_finish(const struct plan_notes *notes, struct plan *plan, const struct spec *spec,
		       const struct points *points)
{
	struct buf text = BUF_INIT;
	size_t collapsed = 0;
	for (int id = 0; id < PARAM_COUNT; id++)
		collapsed += notes->note[id].n_values > 0;
	for (int id = 0; id < PARAM_COUNT; id++) {
		const struct note *note = &notes->note[id];
		if (!note->n_values && (!note->without_effect || note->with_effect))
			continue;
		buf_printf(&text, "%s has no effect %s", param_table[id].name, note->reason);
		if (note->n_values)
			buf_printf(&text, ": %s%zu values collapse", note->n_values == VALUES_MAX ? "more than " : "",
				   note->n_values);
		if (note->n_values && collapsed == 1)
			buf_printf(&text, ", %zu run%s instead of %zu", plan->n_runs, plan->n_runs == 1 ? "" : "s",
				   points->n);
		add_notice(plan, &text);
	}
	if (collapsed > 1) {
		buf_printf(&text, "values without effect collapse: %zu run%s instead of %zu", plan->n_runs,
			   plan->n_runs == 1 ? "" : "s", points->n);
		add_notice(plan, &text);
	}
	if (points->duplicates) {
		buf_printf(&text, "%zu point%s of the grid repeat%s another one and %s left out", points->duplicates,
			   points->duplicates == 1 ? "" : "s", points->duplicates == 1 ? "s" : "",
			   points->duplicates == 1 ? "is" : "are");
		add_notice(plan, &text);
	}
	if (spec->method == SPEC_RANDOM && points->n < (size_t)spec->run_cap) {
		buf_printf(&text, "only %zu different points were found for run_cap %lld", points->n,
			   (long long)spec->run_cap);
		add_notice(plan, &text);
	}
}

/* ------------------------------------------------------------------------------------------------ titles */

void plan_notes_varying(const struct plan *plan, bool varies[PARAM_COUNT])
{
	for (int id = 0; id < PARAM_COUNT; id++) {
		varies[id] = false;
		for (size_t i = 1; i < plan->n_runs && !varies[id]; i++)
			varies[id] = plan->runs[i].params.v[id].i != plan->runs[0].params.v[id].i;
	}
}

/* "20/50", "0.6/1/2", "10/20/.../100": the distinct values of one parameter among some artifacts. */
static void put_values(const struct plan *plan, const size_t *artifacts, size_t n, int id, struct buf *out)
{
	union param_value shown[3], last = plan->artifacts[artifacts[0]].params.v[id];
	size_t n_shown = 0;
	bool more = false;
	for (size_t i = 0; i < n; i++) {
		union param_value value = plan->artifacts[artifacts[i]].params.v[id];
		bool known = false;
		for (size_t j = 0; j < n_shown && !known; j++)
			known = shown[j].i == value.i;
		if (known)
			continue;
		if (n_shown < 3)
			shown[n_shown++] = value;
		else
			more = true;
		last = value;
	}
	for (size_t j = 0; j < n_shown; j++) {
		buf_adds(out, j ? "/" : "");
		params_format_short(id, shown[j], 4, out);
	}
	if (more) {
		buf_adds(out, "/.../");
		params_format_short(id, last, 4, out);
	}
}

static bool same_value(const struct plan *plan, const size_t *artifacts, size_t n, int id)
{
	for (size_t i = 1; i < n; i++)
		if (plan->artifacts[artifacts[i]].params.v[id].i != plan->artifacts[artifacts[0]].params.v[id].i)
			return false;
	return true;
}

static void put_others(const struct plan *plan, const size_t *artifacts, size_t n, const bool varies[PARAM_COUNT],
		       const struct params *p, enum param_stage stage, struct buf *out)
{
	for (int id = 0; id < PARAM_COUNT; id++) {
		if (!varies[id] || !(param_table[id].stage & stage) || id == PARAM_num_virtual_tokens ||
		    id == PARAM_num_beams || id == PARAM_max_new_tokens || id == PARAM_temperature ||
		    id == PARAM_do_sample)
			continue;
		bool unsampled = stage == PARAM_STAGE_DECODE && !PARAM_I(p, do_sample);
		if (unsampled && (id == PARAM_seed || id == PARAM_top_k || id == PARAM_top_p))
			continue;
		bool one_beam = PARAM_I(p, num_beams) == 1;
		if (stage == PARAM_STAGE_DECODE && one_beam &&
		    (id == PARAM_length_penalty || id == PARAM_early_stopping))
			continue;
		buf_printf(out, ", %s ", param_table[id].name);
		put_values(plan, artifacts, n, id, out);
	}
}

void plan_notes_name(const struct plan *plan, const size_t *artifacts, size_t n, const bool varies[PARAM_COUNT],
		     struct buf *out)
{
	const struct plan_artifact *a = &plan->artifacts[artifacts[0]];
	const struct params *p = &a->params;
	long long v = (long long)PARAM_I(p, num_virtual_tokens), beams = (long long)PARAM_I(p, num_beams);
	if (a->kind == JOB_TRAIN) {
		buf_printf(out, "train %lld virtual token%s", v, v == 1 ? "" : "s");
		put_others(plan, artifacts, n, varies, p, PARAM_STAGE_TRAIN, out);
		return;
	}
	if (v == 0)
		buf_adds(out, "decode base model: ");
	else
		buf_printf(out, "decode %lld virtual: ", v);
	if (v && a->adapter != PLAN_NONE) { /* what else its adapter differs by */
		struct buf of = BUF_INIT;
		put_others(plan, &a->adapter, 1, varies, &plan->artifacts[a->adapter].params, PARAM_STAGE_TRAIN, &of);
		if (of.size) {
			out->size -= 2; /* the colon goes behind */
			buf_printf(out, "%s: ", of.data);
		}
		buf_release(&of);
	}
	bool one_width = same_value(plan, artifacts, n, PARAM_num_beams);
	if (beams > 1 || !one_width) {
		put_values(plan, artifacts, n, PARAM_num_beams, out);
		buf_adds(out, " beams, ");
	} else
		buf_adds(out, PARAM_I(p, do_sample) ? "sampling, " : "greedy, ");
	put_values(plan, artifacts, n, PARAM_max_new_tokens, out);
	buf_adds(out, " tokens");
	if (PARAM_I(p, do_sample)) {
		buf_adds(out, ", T ");
		put_values(plan, artifacts, n, PARAM_temperature, out);
	} else if (varies[PARAM_do_sample] && beams > 1) {
		buf_adds(out, ", no sampling");
	}
	put_others(plan, artifacts, n, varies, p, PARAM_STAGE_DECODE, out);
}

void plan_notes_titles(struct plan *plan)
{
	bool varies[PARAM_COUNT];
	size_t *waiting = mem_zero(plan->n_jobs, sizeof *waiting);
	struct buf text = BUF_INIT;
	plan_notes_varying(plan, varies);
	for (size_t i = 0; i < plan->n_jobs; i++)
		if (plan->jobs[i].waits_for != PLAN_NONE)
			waiting[plan->jobs[i].waits_for]++;
	for (size_t i = 0; i < plan->n_jobs; i++) {
		struct plan_job *job = &plan->jobs[i];
		buf_clear(&text);
		plan_notes_name(plan, job->artifacts, job->n_artifacts, varies, &text);
		job->title = arena_strdup(&plan->arena, text.data);
		buf_clear(&text);
		const struct plan_artifact *first = &plan->artifacts[job->artifacts[0]];
		if (first->made_at != first->dir)
			buf_printf(&text, "what is there is made again");
		else if (job->job.kind == JOB_TRAIN)
			buf_printf(&text, "no adapter for these parameters yet; %zu decode%s for it", waiting[i],
				   waiting[i] == 1 ? " waits" : "s wait");
		else if (job->n_artifacts == 1)
			buf_printf(&text, "no texts for %s with these parameters yet",
				   plan->artifacts[job->artifacts[0]].split);
		else
			buf_printf(&text, "no texts for these parameters yet (%zu outputs of %zu search%s)",
				   job->n_artifacts, job->n_searches, job->n_searches == 1 ? "" : "es");
		job->why = arena_strdup(&plan->arena, text.data);
	}
	free(waiting);
	buf_release(&text);
}

/* ------------------------------------------------------------------------------------------------ runs */

static bool has_value(const struct spec_param *param, union param_value value)
{
	for (size_t i = 0; i < param->n_values; i++)
		if (params_value_equal(param->id, param->values[i], value))
			return true;
	return param->distribution != SPEC_VALUES;
}

/* Where the sweep file gives a run its value of a parameter; NULL: nowhere, it is the default. */
static const struct spec_param *place_of(const struct spec *spec, const struct params *run, int id)
{
	for (size_t i = 0; i < spec->n_grids; i++) {
		const struct spec_param *found = NULL;
		bool fits = true;
		for (size_t j = 0; j < spec->grids[i].n_params; j++) {
			const struct spec_param *param = &spec->grids[i].params[j];
			fits = fits && has_value(param, run->v[param->id]);
			found = param->id == id ? param : found;
		}
		if (fits && found)
			return found;
	}
	return NULL;
}

bool plan_notes_run(const struct plan *plan, const struct spec *spec, const char *key, const char *reason,
		    struct buf *out)
{
	static const int ids[] = {PARAM_max_new_tokens, PARAM_pad_to_length, PARAM_num_virtual_tokens};
	size_t artifact = 0, r = 0;
	while (artifact < plan->n_artifacts && strcmp(plan->artifacts[artifact].key, key) != 0)
		artifact++;
	for (bool found = false; r < plan->n_runs && !found; r += !found) {
		found = plan->runs[r].adapter == artifact;
		for (size_t i = 0; i < plan->n_splits && !found; i++)
			found = plan->runs[r].artifacts[i] == artifact;
	}
	if (artifact == plan->n_artifacts || r == plan->n_runs)
		return false;
	const struct spec_param *place = NULL;
	for (size_t i = 0; i < sizeof ids / sizeof *ids && !place; i++)
		if (strstr(reason, param_table[ids[i]].name))
			place = place_of(spec, &plan->runs[r].params, ids[i]);
	bool varies[PARAM_COUNT];
	plan_notes_varying(plan, varies);
	buf_adds(out, spec->path);
	if (place && place->line)
		buf_printf(out, ":%zu:%zu", place->line, place->column);
	buf_printf(out, ": run %zu of %zu (", r + 1, plan->n_runs);
	plan_notes_name(plan, &artifact, 1, varies, out);
	buf_adds(out, ")");
	return true;
}
