/* cmd_params.c - `sweep params`: every hyperparameter, straight from params.def (docs/ARCHITECTURE.md, invariant 8).
 *
 * Three forms of the same rows: a table for people, JSON for programs, and the Markdown table of
 * docs/SWEEP_FILE.md, which a test compares with this output so that the page cannot go stale. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/params.h"
#include "cli.h"
#include "term/term.h"
#include "term/text.h"

#define NAME_WIDTH    21
#define DEFAULT_WIDTH 8
#define STAGE_WIDTH   7
#define TEXT_AT       (NAME_WIDTH + DEFAULT_WIDTH + STAGE_WIDTH)

static const char *stage_name(enum param_stage stage)
{
	return stage == PARAM_STAGE_TRAIN ? "train" : stage == PARAM_STAGE_DECODE ? "decode" : "both";
}

/* Words wrapped into the last column; the cursor stands in it, and ends on a new line. */
static void put_text(const char *text, struct buf *out)
{
	int columns = term_columns(STDOUT_FILENO);
	text_wrap(text, TEXT_AT, TEXT_AT, columns > TEXT_AT + 20 ? (size_t)columns : TEXT_AT + 20, out);
	buf_addc(out, '\n');
}

static void describe(int id, struct buf *out)
{
	buf_clear(out);
	params_describe(id, out);
}

static int print_table(bool colour, struct err *err)
{
	const char *bold = paint(colour, PAINT_BOLD), *dim = paint(colour, PAINT_DIM),
		   *plain = paint(colour, PAINT_PLAIN);
	struct buf text = BUF_INIT, out = BUF_INIT;
	buf_printf(&out, "%s%-*s%-*s%-*s%s%s\n", bold, NAME_WIDTH, "parameter", DEFAULT_WIDTH, "default", STAGE_WIDTH,
		   "stage", "what it does; which values it takes", plain);
	for (int id = 0; id < PARAM_COUNT; id++) {
		const struct param_info *info = &param_table[id];
		buf_printf(&out, "%s%-*s%s%-*s%-*s", bold, NAME_WIDTH, info->name, plain, DEFAULT_WIDTH,
			   info->default_text, STAGE_WIDTH, stage_name(info->stage));
		put_text(info->help, &out);
		describe(id, &text);
		if (info->aliases[0])
			buf_printf(&text, "; also written %s", info->aliases);
		buf_printf(&out, "%*s%s", TEXT_AT, "", dim);
		put_text(text.data, &out);
		buf_adds(&out, plain);
	}
	int result = term_print(&out, err);
	buf_release(&text);
	buf_release(&out);
	return result;
}

static void print_markdown(void)
{
	struct buf text = BUF_INIT;
	puts("| parameter | values | default | stage | what it does |\n| --- | --- | --- | --- | --- |");
	for (int id = 0; id < PARAM_COUNT; id++) {
		const struct param_info *info = &param_table[id];
		describe(id, &text);
		printf("| `%s`", info->name);
		for (const char *p = info->aliases; *p;) {
			size_t n = strcspn(p, " ");
			printf("%s`%.*s`", p == info->aliases ? " (" : ", ", (int)n, p);
			p += n;
			if (*p)
				p++;
			else
				putchar(')');
		}
		printf(" | %s | `%s` | %s | %s |\n", text.data, info->default_text, stage_name(info->stage),
		       info->help);
	}
	buf_release(&text);
}

static void add_words(cJSON *object, const char *name, const char *words)
{
	cJSON *list = cJSON_AddArrayToObject(object, name);
	for (const char *p = words; *p;) {
		char word[64];
		size_t n = strcspn(p, " ");
		snprintf(word, sizeof word, "%.*s", (int)n, p);
		cJSON_AddItemToArray(list, cJSON_CreateString(word));
		p += n + (p[n] == ' ');
	}
}

static void print_json(void)
{
	static const char *const types[] = {"int", "float", "bool", "choice"};
	cJSON *list = cJSON_CreateArray();
	struct params defaults;
	params_default(&defaults);
	cJSON *values = params_to_json(&defaults);
	for (int id = 0; id < PARAM_COUNT; id++) {
		const struct param_info *info = &param_table[id];
		struct buf text = BUF_INIT;
		describe(id, &text);
		cJSON *row = cJSON_CreateObject();
		cJSON_AddStringToObject(row, "name", info->name);
		add_words(row, "aliases", info->aliases);
		cJSON_AddStringToObject(row, "type", types[info->type]);
		cJSON_AddStringToObject(row, "values", text.data);
		if (info->type == PARAM_TYPE_INT || info->type == PARAM_TYPE_FLOAT) {
			buf_clear(&text); /* exact: 2^63 - 1 is no double */
			if (info->type == PARAM_TYPE_INT)
				buf_printf(&text, "%lld", (long long)info->min_i);
			else
				json_format_double(info->min, &text);
			cJSON_AddRawToObject(row, "min", text.data);
			buf_clear(&text);
			if (info->type == PARAM_TYPE_INT)
				buf_printf(&text, "%lld", (long long)info->max_i);
			else
				json_format_double(info->max, &text);
			cJSON_AddRawToObject(row, "max", text.data);
		}
		if (info->type == PARAM_TYPE_CHOICE)
			add_words(row, "choices", info->choices);
		cJSON_AddItemToObject(row, "default", cJSON_DetachItemFromObject(values, info->name));
		cJSON_AddStringToObject(row, "stage", stage_name(info->stage));
		cJSON_AddStringToObject(row, "help", info->help);
		cJSON_AddItemToArray(list, row);
		buf_release(&text);
	}
	char *text = cJSON_Print(list);
	puts(text);
	cJSON_free(text);
	cJSON_Delete(values);
	cJSON_Delete(list);
}

int cmd_params(int argc, char **argv, struct err *err)
{
	const char *format = "table";
	bool helped;
	const struct cli_option options[] = {
		{.name = "format", .type = CLI_TEXT, .text = &format, .help = "table (default), json or markdown"},
	};
	int n = cli_parse(argc, argv, options, sizeof options / sizeof *options, &helped, err);
	if (n < 0 || helped)
		return n;
	if (n > 0)
		return err_set(err, ERR_USAGE, "params: takes no arguments, found `%s`", argv[1]);
	if (strcmp(format, "table") == 0)
		return print_table(term_colour(STDOUT_FILENO), err);
	if (strcmp(format, "json") == 0)
		print_json();
	else if (strcmp(format, "markdown") == 0)
		print_markdown();
	else
		return err_set(err, ERR_USAGE, "params: --format: expected table, json or markdown, found `%s`",
			       format);
	return 0;
}
