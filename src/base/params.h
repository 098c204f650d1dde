/* params.h - the hyperparameters of params.def as C: names, types, defaults, text forms.
 *
 *     struct params p;
 *     params_default(&p);
 *     if (params_parse(&p, params_find("beams"), "5", err) < 0) ...
 *     printf("%lld\n", (long long)PARAM_I(&p, num_beams));
 *
 * struct params is a plain value: copy and compare freely. One value is {i} for INT, BOOL (0/1) and CHOICE (index) and
 * {f} for FLOAT, where NaN stands for null. */
#ifndef SWEEP_BASE_PARAMS_H
#define SWEEP_BASE_PARAMS_H

#include "json.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "err.h"

enum param_id {
#define PARAM(name, aliases, type, from, min, max, def, stage, choices, help) PARAM_##name,
#include "params.def"
#undef PARAM
	PARAM_COUNT
};

enum param_type { PARAM_TYPE_INT, PARAM_TYPE_FLOAT, PARAM_TYPE_BOOL, PARAM_TYPE_CHOICE };
enum param_stage { PARAM_STAGE_TRAIN = 1, PARAM_STAGE_DECODE = 2, PARAM_STAGE_BOTH = 3 };

struct param_info {
	const char *name, *aliases, *default_text, *choices, *help;
	enum param_type type;
	enum param_stage stage;
	bool above; /* min itself is refused; FLOAT only */
	double min, max;
	int64_t min_i, max_i; /* the same ends, exact, for INT */
};

extern const struct param_info param_table[PARAM_COUNT];

union param_value {
	int64_t i;
	double f;
};

struct params {
	union param_value v[PARAM_COUNT];
};

#define PARAM_I(p, name) ((p)->v[PARAM_##name].i)
#define PARAM_F(p, name) ((p)->v[PARAM_##name].f)

enum { EARLY_STOPPING_FALSE, EARLY_STOPPING_TRUE, EARLY_STOPPING_NEVER };
enum { LR_SCHEDULER_LINEAR, LR_SCHEDULER_CONSTANT, LR_SCHEDULER_CONSTANT_WITH_WARMUP };

void params_default(struct params *p);
/* The id for a name or alias (case-sensitive), or -1. */
int params_find(const char *name);
/* The nearest known name or alias, as its canonical name, or NULL. */
const char *params_nearest(const char *name);
/* Sets one value from its YAML text, checking type and range; the sentence names the parameter, what was found and
 * what is accepted: "num_beams: expected a whole number from 1 to 1024, found `many`". */
int params_parse(struct params *p, int id, const char *text, struct err *err);
/* Checks a value that did not come from text (a random draw). Same sentence. */
int params_check(int id, union param_value value, struct err *err);
/* The canonical text of one value: "5", "0.2", "1e-05" (shortest that reads back the same), "true", "never", "null". */
void params_format(int id, union param_value value, struct buf *out);
/* The same for a table: a FLOAT whose exact text is long is rounded to so many significant digits. */
void params_format_short(int id, union param_value value, int digits, struct buf *out);
bool params_value_equal(int id, union param_value a, union param_value b);
bool params_is_default(int id, union param_value value);
/* "a whole number from 1 to 1024", "true or false", "one of false, true, never": for help and messages. */
void params_describe(int id, struct buf *out);

/* A copy in which every parameter that cannot matter has its default: without do_sample temperature, top_k, top_p;
 * with one beam length_penalty and early_stopping; with a constant learning rate warmup_steps (and a constant one with
 * a warm-up of no steps is a constant one); without a prefix everything of the TRAIN stage. `seed` of a decode stays
 * when do_sample is on; see params_key for stages. */
struct params params_effective(const struct params *p);
/* Canonical JSON object, keys in params.def order, of the effective non-default values of a stage (TRAIN or DECODE):
 * what goes into a key. `seed` enters DECODE only with do_sample. num_virtual_tokens is always written in TRAIN. */
void params_key(const struct params *p, enum param_stage stage, struct buf *out);

/* All values as a JSON object (the job file, the database), and back. Missing names keep their defaults. */
cJSON *params_to_json(const struct params *p);
int params_from_json(struct params *p, const cJSON *object, struct err *err);

#endif
