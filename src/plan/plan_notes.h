/* plan_notes.h - the words of a plan, for plan.c: what collapsed and why (notices), what a job is called (title) and
 * why it runs (why). Nobody else includes this.
 *
 *     struct plan_notes *notes = plan_notes_new();
 *     plan_notes_point(notes, &point->params, &effective, NULL);          for each point, as it becomes a run
 *     plan_notes_finish(notes, plan, spec, points);                       fills plan->notices
 *     plan_notes_free(notes);
 */
#ifndef SWEEP_PLAN_NOTES_H
#define SWEEP_PLAN_NOTES_H

#include "plan.h"

struct plan_notes;
struct plan_notes *plan_notes_new(void);
void plan_notes_free(struct plan_notes *notes);
/* run: the values of the run that this point collapsed into; NULL when it is a new run. */
void plan_notes_point(struct plan_notes *notes, const struct params *point, const struct params *effective,
		      const struct params *run);
void plan_notes_finish(const struct plan_notes *notes, struct plan *plan, const struct spec *spec,
		       const struct points *points);

/* Fills title and why of every job. */
void plan_notes_titles(struct plan *plan);
/* The name of the work that makes an artifact: also for those that exist already. varies: plan_notes_varying. */
void plan_notes_name(const struct plan *plan, const size_t *artifacts, size_t n, const bool varies[PARAM_COUNT],
		     struct buf *out);
/* "s.yaml:7:3: run 5 of 36 (decode 5 virtual: 2000 tokens)" for the first run that needs the artifact with this key; the
 * place is that of the parameter that `reason` names. False when no run does. */
bool plan_notes_run(const struct plan *plan, const struct spec *spec, const char *key, const char *reason,
		    struct buf *out);
/* Which parameters differ between the plan's runs. */
void plan_notes_varying(const struct plan *plan, bool varies[PARAM_COUNT]);

#endif
