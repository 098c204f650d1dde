/* params.c - what params.def says, made into a table; see params.h. */
#include "params.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "mem.h"

const struct param_info param_table[PARAM_COUNT] = {
#define FROM  false
#define ABOVE true
#define PARAM(name_, aliases_, type_, from_, min_, max_, def_, stage_, choices_, help_)                                \
	[PARAM_##name_] = {.name = #name_,                                                                             \
			   .aliases = aliases_,                                                                        \
			   .default_text = def_,                                                                       \
			   .choices = choices_,                                                                        \
			   .help = help_,                                                                              \
			   .type = PARAM_TYPE_##type_,                                                                 \
			   .stage = PARAM_STAGE_##stage_,                                                              \
			   .above = from_,                                                                             \
			   .min = (double)(min_),                                                                      \
			   .max = (double)(max_),                                                                      \
			   .min_i = (int64_t)(min_),                                                                   \
			   .max_i = (int64_t)(max_)},
#include "params.def"
#undef PARAM
#undef ABOVE
#undef FROM
};

/* Is `word` one of the space-separated words of `list`? *index (or NULL) gets its number. */
static bool word_in_list(const char *list, const char *word, size_t length, int64_t *index)
{
	int64_t at = 0;
	for (const char *p = list; *p;) {
		size_t n = strcspn(p, " ");
		if (n == length && memcmp(p, word, n) == 0) {
			if (index)
				*index = at;
			return true;
		}
		p += n + (p[n] == ' ');
		at++;
	}
	return false;
}

int params_find(const char *name)
{
	for (int id = 0; id < PARAM_COUNT; id++)
		if (strcmp(param_table[id].name, name) == 0 ||
		    word_in_list(param_table[id].aliases, name, strlen(name), NULL))
			return id;
	return -1;
}

const char *params_nearest(const char *name)
{
	const char *names[PARAM_COUNT];
	for (int id = 0; id < PARAM_COUNT; id++)
		names[id] = param_table[id].name;
	const char *found = err_nearest(name, names, PARAM_COUNT);
	if (found)
		return found;
	/* `virtualtoken` is nearer to an alias than to any name */
	for (int id = 0; id < PARAM_COUNT; id++) {
		for (const char *p = param_table[id].aliases; *p;) {
			size_t n = strcspn(p, " ");
			char alias[64];
			if (n < sizeof alias) {
				memcpy(alias, p, n);
				alias[n] = '\0';
				const char *one = alias;
				if (err_nearest(name, &one, 1))
					return param_table[id].name;
			}
			p += n + (p[n] == ' ');
		}
	}
	return NULL;
}

void params_describe(int id, struct buf *out)
{
	const struct param_info *info = &param_table[id];
	switch (info->type) {
	case PARAM_TYPE_INT:
		if (info->max_i == INT64_MAX)
			buf_printf(out, "a whole number from %lld up", (long long)info->min_i);
		else
			buf_printf(out, "a whole number from %lld to %lld", (long long)info->min_i,
				   (long long)info->max_i);
		break;
	case PARAM_TYPE_FLOAT:
		if (info->above)
			buf_printf(out, "a number above %g, at most %g", info->min, info->max);
		else
			buf_printf(out, "a number from %.10g to %.10g", info->min, info->max);
		if (strcmp(info->default_text, "null") == 0)
			buf_adds(out, ", or null");
		break;
	case PARAM_TYPE_BOOL:
		buf_adds(out, "true or false");
		break;
	case PARAM_TYPE_CHOICE:
		buf_adds(out, "one of ");
		for (const char *p = info->choices; *p; p++) {
			if (*p == ' ')
				buf_adds(out, ", ");
			else
				buf_addc(out, *p);
		}
		break;
	}
}

static int params_refuse(int id, const char *found, struct err *err)
{
	struct buf what = BUF_INIT;
	params_describe(id, &what);
	err_set(err, ERR_INPUT, "%s: expected %s, found `%s`", param_table[id].name, what.data, found);
	buf_release(&what);
	return -1;
}

int params_check(int id, union param_value value, struct err *err)
{
	const struct param_info *info = &param_table[id];
	bool ok = true;
	if (info->type == PARAM_TYPE_INT || info->type == PARAM_TYPE_BOOL) {
		ok = value.i >= info->min_i && value.i <= info->max_i;
	} else if (info->type == PARAM_TYPE_FLOAT) {
		if (isnan(value.f))
			ok = strcmp(info->default_text, "null") == 0;
		else
			ok = value.f >= info->min && value.f <= info->max && !(info->above && value.f <= info->min);
	}
	if (ok)
		return 0;
	struct buf text = BUF_INIT;
	params_format(id, value, &text);
	params_refuse(id, text.data, err);
	buf_release(&text);
	return -1;
}

/* YAML 1.1's and 1.2's spellings of truth, since people arrive with both. */
static int parse_bool(const char *text)
{
	static const char *const yes[] = {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"};
	static const char *const no[] = {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"};
	for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
		if (strcmp(text, yes[i]) == 0)
			return 1;
		if (strcmp(text, no[i]) == 0)
			return 0;
	}
	return -1;
}

static bool parse_number(const char *text, double *value)
{
	const char *digits = *text == '-' || *text == '+' ? text + 1 : text;
	if (!isdigit((unsigned char)*digits) && *digits != '.')
		return false; /* no " 1", "nan", "inf" */
	if (digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X'))
		return false;
	char *end;
	errno = 0;
	*value = strtod(text, &end);
	return *end == '\0' && end != text && isfinite(*value);
}

int params_parse(struct params *p, int id, const char *text, struct err *err)
{
	const struct param_info *info = &param_table[id];
	union param_value value = {0};
	if (info->type == PARAM_TYPE_INT) {
		char *end;
		errno = 0;
		long long n = strtoll(text, &end, 10);
		if (*text == '\0' || isspace((unsigned char)*text) || *end != '\0' || errno == ERANGE) {
			double real; /* `16.0` and `1e3` are whole numbers too */
			if (!parse_number(text, &real) || real != floor(real) || fabs(real) > 9007199254740992.0)
				return params_refuse(id, text, err);
			n = (long long)real;
		}
		value.i = n;
	} else if (info->type == PARAM_TYPE_FLOAT) {
		if (strcmp(text, "null") == 0 || strcmp(text, "~") == 0 || text[0] == '\0')
			value.f = (double)NAN;
		else if (!parse_number(text, &value.f))
			return params_refuse(id, text, err);
		if (value.f == 0)
			value.f = 0; /* no minus zero in keys */
	} else if (info->type == PARAM_TYPE_BOOL) {
		int truth = parse_bool(text);
		if (truth < 0)
			return params_refuse(id, text, err);
		value.i = truth;
	} else {
		const char *word = text;
		int truth = parse_bool(text);
		if (truth >= 0 && word_in_list(info->choices, "true", 4, NULL))
			word = truth ? "true" : "false";
		if (!word_in_list(info->choices, word, strlen(word), &value.i))
			return params_refuse(id, text, err);
	}
	struct err why = {0};
	if (params_check(id, value, &why) < 0)
		return params_refuse(id, text, err);
	p->v[id] = value;
	return 0;
}

void params_format(int id, union param_value value, struct buf *out)
{
	const struct param_info *info = &param_table[id];
	switch (info->type) {
	case PARAM_TYPE_INT:
		buf_printf(out, "%lld", (long long)value.i);
		break;
	case PARAM_TYPE_FLOAT:
		json_format_double(value.f, out);
		break;
	case PARAM_TYPE_BOOL:
		buf_adds(out, value.i ? "true" : "false");
		break;
	case PARAM_TYPE_CHOICE: {
		const char *p = info->choices;
		for (int64_t i = 0; i < value.i; i++)
			p += strcspn(p, " ") + 1;
		buf_add(out, p, strcspn(p, " "));
		break;
	}
	}
}

void params_format_short(int id, union param_value value, int digits, struct buf *out)
{
	struct buf exact = BUF_INIT;
	params_format(id, value, &exact);
	if (param_table[id].type == PARAM_TYPE_FLOAT && !isnan(value.f) && exact.size > 6)
		buf_printf(out, "%.*g", digits, value.f);
	else
		buf_add(out, exact.data, exact.size);
	buf_release(&exact);
}

bool params_value_equal(int id, union param_value a, union param_value b)
{
	if (param_table[id].type == PARAM_TYPE_FLOAT)
		return a.f == b.f || (isnan(a.f) && isnan(b.f));
	return a.i == b.i;
}

static struct params defaults_parsed;
static pthread_once_t defaults_once = PTHREAD_ONCE_INIT;

static void parse_defaults(void)
{
	struct params *p = &defaults_parsed;
	for (int id = 0; id < PARAM_COUNT; id++) {
		struct err err = {0};
		if (params_parse(p, id, param_table[id].default_text, &err) < 0)
			BUG("default of %s: %s", param_table[id].name, err.text);
	}
}

/* Parsed once: a plan of a million runs asks for them millions of times. */
void params_default(struct params *p)
{
	pthread_once(&defaults_once, parse_defaults);
	*p = defaults_parsed;
}

bool params_is_default(int id, union param_value value)
{
	struct params defaults;
	params_default(&defaults);
	return params_value_equal(id, value, defaults.v[id]);
}

struct params params_effective(const struct params *p)
{
	struct params e = *p, d;
	params_default(&d);
	if (!PARAM_I(p, do_sample)) {
		e.v[PARAM_temperature] = d.v[PARAM_temperature];
		e.v[PARAM_top_k] = d.v[PARAM_top_k];
		e.v[PARAM_top_p] = d.v[PARAM_top_p];
	}
	if (PARAM_I(p, num_beams) == 1) {
		e.v[PARAM_length_penalty] = d.v[PARAM_length_penalty];
		e.v[PARAM_early_stopping] = d.v[PARAM_early_stopping];
	}
	if (PARAM_I(p, lr_scheduler_type) == LR_SCHEDULER_CONSTANT)
		e.v[PARAM_warmup_steps] = d.v[PARAM_warmup_steps];
	if (PARAM_I(p, lr_scheduler_type) == LR_SCHEDULER_CONSTANT_WITH_WARMUP && PARAM_I(p, warmup_steps) == 0)
		PARAM_I(&e, lr_scheduler_type) = LR_SCHEDULER_CONSTANT;
	if (!PARAM_I(p, prefix_projection))
		e.v[PARAM_encoder_hidden_size] = d.v[PARAM_encoder_hidden_size];
	if (PARAM_I(p, num_virtual_tokens) == 0) {
		for (int id = 0; id < PARAM_COUNT; id++)
			if (param_table[id].stage == PARAM_STAGE_TRAIN && id != PARAM_num_virtual_tokens)
				e.v[id] = d.v[id];
		if (!PARAM_I(p, do_sample))
			e.v[PARAM_seed] = d.v[PARAM_seed];
	}
	return e;
}

void params_key(const struct params *p, enum param_stage stage, struct buf *out)
{
	struct params e = params_effective(p), d;
	params_default(&d);
	bool first = true;
	buf_addc(out, '{');
	for (int id = 0; id < PARAM_COUNT; id++) {
		if (!(param_table[id].stage & stage))
			continue;
		if (id == PARAM_seed && stage == PARAM_STAGE_DECODE && !PARAM_I(p, do_sample))
			continue;
		bool always = id == PARAM_num_virtual_tokens;
		if (!always && params_value_equal(id, e.v[id], d.v[id]))
			continue;
		buf_printf(out, "%s\"%s\":", first ? "" : ",", param_table[id].name);
		first = false;
		bool quoted = param_table[id].type == PARAM_TYPE_CHOICE;
		if (quoted)
			buf_addc(out, '"');
		params_format(id, e.v[id], out);
		if (quoted)
			buf_addc(out, '"');
	}
	buf_addc(out, '}');
}

cJSON *params_to_json(const struct params *p)
{
	cJSON *object = cJSON_CreateObject();
	for (int id = 0; id < PARAM_COUNT; id++) {
		struct buf text = BUF_INIT;
		params_format(id, p->v[id], &text);
		bool beyond_double = param_table[id].type == PARAM_TYPE_INT &&
				     (p->v[id].i > (1LL << 53) || p->v[id].i < -(1LL << 53));
		if (param_table[id].type == PARAM_TYPE_CHOICE || beyond_double)
			cJSON_AddStringToObject(object, param_table[id].name, text.data);
		else /* the shortest text that reads back exactly, as it is */
			cJSON_AddRawToObject(object, param_table[id].name, text.data);
		buf_release(&text);
	}
	return object;
}

int params_from_json(struct params *p, const cJSON *object, struct err *err)
{
	params_default(p);
	const cJSON *item;
	cJSON_ArrayForEach(item, object)
	{
		int id = params_find(item->string);
		if (id < 0)
			return err_set(err, ERR_INPUT, "unknown parameter `%s`", item->string);
		struct buf text = BUF_INIT;
		if (cJSON_IsString(item))
			buf_adds(&text, item->valuestring);
		else if (cJSON_IsBool(item))
			buf_adds(&text, cJSON_IsTrue(item) ? "true" : "false");
		else if (cJSON_IsNull(item))
			buf_adds(&text, "null");
		else if (param_table[id].type == PARAM_TYPE_INT && fabs(item->valuedouble) < 9007199254740992.0)
			buf_printf(&text, "%.0f", item->valuedouble);
		else
			buf_printf(&text, "%.17g", item->valuedouble);
		int bad = params_parse(p, id, text.data, err);
		buf_release(&text);
		if (bad)
			return -1;
	}
	return 0;
}
