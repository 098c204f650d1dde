/* cmd_generate.c - `sweep generate RUN [FILE]`: new tables, decoded with a run's adapter and settings.
 *
 * The run's row names model, templates, adapter and parameters; with --adapter and --model they come from a PEFT folder
 * and from --set instead, and no database is needed. Either way it is one decode job in a temporary folder, worked off
 * by the same scheduler, executor and runner as a sweep's, so that a text here is the text that a sweep would score.
 * Nothing is recorded. One text a line goes to stdout, in the order of the tables. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/columns.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/jsonl.h"
#include "base/mem.h"
#include "base/paths.h"
#include "base/utf8.h"
#include "cli.h"
#include "hub/hub.h"
#include "report/report.h"
#include "run/exec_local.h"
#include "run/sched.h"
#include "store/store.h"
#include "store/store_query.h"
#include "term/term.h"

struct generate {
	const char *db, *adapter, *model; /* of the command line */
	const char **overrides;
	size_t n_overrides;
	int64_t cores;
	char *dir;          /* temporary */
	const char *file;   /* as the user named it, NULL: standard input */
	const char *column; /* of the file, where the tables are; NULL: it has none */
	const char *copied; /* what a copy in dir stands for, NULL: nothing */
	struct job job;
	struct params params;
	bool live;
	struct err failure; /* why the worker failed */
	bool refused;       /* ... for bad input */
	char *log_tail;
};

/* ---- what to decode with ---- */

static int from_run(struct generate *g, const char *text, struct err *err)
{
	int64_t id;
	struct store *store = NULL;
	struct store_full_run run;
	if (report_run_id(text, &id, err) < 0 || store_open(&store, g->db, STORE_READ, err) < 0)
		return -1;
	int result = store_query_run(store, id, &run, err);
	if (result == 0) {
		g->params = run.run.params;
		g->job.model = run.setup.model_dir ? mem_strdup(run.setup.model_dir) : NULL;
		g->job.model_name = mem_strdup(run.setup.model ? run.setup.model : "");
		g->job.prompt = mem_strdup(run.setup.prompt);
		g->job.target = mem_strdup(run.setup.target);
		g->job.adapter = run.adapter_dir ? mem_strdup(run.adapter_dir) : NULL;
		store_full_run_release(&run);
		if (!g->job.model || !fs_is_dir(g->job.model))
			result = err_set(err, ERR_INPUT, "run %lld was made with a model that is no longer in %s",
					 (long long)id, g->job.model ? g->job.model : "place");
		else if (g->job.adapter && !fs_is_dir(g->job.adapter))
			result = err_set(err, ERR_INPUT, "run %lld has no adapter yet, or no longer: %s is missing",
					 (long long)id, g->job.adapter);
	}
	store_close(store);
	return result;
}

/* A model as the command line or an adapter's config names it: demo, a folder, or one of the Hub's in the cache. */
static char *find_model(const char *name, struct err *err)
{
	if (fs_is_dir(name))
		return fs_absolute(name);
	if (strcmp(name, "demo") == 0)
		return paths_bundled("runner/demo", err);
	if (!hub_is_id(name)) {
		err_set(err, ERR_INPUT, "--model: `%s` is no folder, and not the name of a model on the Hub", name);
		return NULL;
	}
	return hub_find(name, NULL, err);
}

/* What an adapter says of itself: its base model, and how long its prefix is. */
static int read_adapter_config(struct generate *g, char **base, struct err *err)
{
	char *path = fs_join(g->adapter, "adapter_config.json");
	cJSON *config = json_read_file(path, (size_t)1 << 20, err);
	int64_t n = 0;
	const char *type, *name;
	int result = config ? json_string(config, "peft_type", &type, err) : -1;
	if (result == 0 && strcmp(type, "PREFIX_TUNING") != 0)
		result = err_set(err, ERR_INPUT, "`peft_type` is `%.60s`; only PREFIX_TUNING is supported", type);
	if (result == 0)
		result = json_int(config, "num_virtual_tokens", 1, 1024, &n, err);
	if (config && result < 0)
		err_prefix(err, "%s", path);
	struct err none = {0};
	*base = result == 0 && json_string(config, "base_model_name_or_path", &name, &none) == 0 ? mem_strdup(name)
												 : NULL;
	PARAM_I(&g->params, num_virtual_tokens) = n;
	cJSON_Delete(config);
	free(path);
	return result;
}

static int from_folders(struct generate *g, struct err *err)
{
	char *base = NULL;
	params_default(&g->params);
	PARAM_I(&g->params, num_virtual_tokens) = 0;
	if (g->adapter && read_adapter_config(g, &base, err) < 0) {
		free(base);
		return -1;
	}
	const char *name = g->model ? g->model : base;
	if (name) {
		g->job.model = find_model(name, err);
		g->job.model_name = mem_strdup(name);
	} else {
		err_set(err, ERR_USAGE, "which model? %s/adapter_config.json does not say; add --model DIR",
			g->adapter);
	}
	free(base);
	g->job.prompt = mem_strdup(JOB_DEFAULT_PROMPT);
	g->job.target = mem_strdup(JOB_DEFAULT_TARGET);
	g->job.adapter = g->adapter ? fs_absolute(g->adapter) : NULL;
	return g->job.model ? 0 : -1;
}

static int override(struct generate *g, const char *text, struct err *err)
{
	const char *equals = strchr(text, '=');
	if (!equals)
		return err_set(err, ERR_USAGE, "--set: expected key=value, found `%s`", text);
	char *name = mem_strndup(text, (size_t)(equals - text));
	int id = params_find(name), result = -1;
	const char *near = params_nearest(name);
	if (id < 0)
		err_set(err, ERR_USAGE, "--set: unknown parameter `%s`%s%s%s", name, near ? "; did you mean `" : "",
			near ? near : "", near ? "`?" : "");
	else if (!(param_table[id].stage & PARAM_STAGE_DECODE))
		err_set(err, ERR_USAGE, "--set: `%s` belongs to training, and the adapter is trained already", name);
	else
		result = params_parse(&g->params, id, equals + 1, err);
	free(name);
	return result;
}

/* ---- the tables ---- */

/* Standard input, or a pipe that the user named (`<(head tables)`), becomes a file: the worker opens it by its name. */
static int copy_input(int from, const char *name, const char *path, struct err *err)
{
	if (isatty(from))
		fprintf(stderr, "tables from the terminal, one a line; Ctrl-D ends\n");
	FILE *to = fopen(path, "we");
	if (!to)
		return err_errno(err, "cannot write %s", path);
	char block[65536];
	ssize_t n;
	while ((n = read(from, block, sizeof block)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || fwrite(block, 1, (size_t)n, to) != (size_t)n)
			break;
	}
	int result = n < 0 ? err_errno(err, "cannot read %s", name) : 0;
	if (fclose(to) < 0 && result == 0)
		result = err_errno(err, "cannot write %s", path);
	return result;
}

static int check_column(const struct generate *g, struct err *err)
{
	enum columns_format format = g->file ? columns_format_of(g->file) : COLUMNS_NONE;
	if (format == COLUMNS_PARQUET)
		return err_at(err, g->file, 0, 0, COLUMNS_PARQUET_HELP);
	if (g->column && format == COLUMNS_NONE)
		return err_set(err, ERR_USAGE,
			       "--column is for a file whose name ends in .csv, .tsv or .jsonl, with .gz or without");
	if (!g->column && format != COLUMNS_NONE)
		return err_at(err, g->file, 0, 0, "has columns; say where the tables are with --column NAME");
	return 0;
}

/* The file that the worker reads: the user's own where it is one. */
static int find_input(struct generate *g, struct err *err)
{
	struct stat st;
	int fd = g->file ? open(g->file, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	if (fd < 0)
		return err_errno(err, "cannot open %s", g->file);
	bool plain = g->file && fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode));
	char **input = &g->job.splits[0].input;
	if (g->column)
		g->job.splits[0].columns =
			(struct columns_map){columns_format_of(g->file), mem_strdup(g->column), NULL};
	*input = plain ? fs_absolute(g->file) : fs_join(g->dir, "input.txt");
	g->copied = plain ? NULL : g->file ? g->file : "standard input";
	int result = g->copied ? copy_input(fd, g->copied, *input, err) : 0;
	if (g->file)
		close(fd);
	return result;
}

static int make_job(struct generate *g, struct err *err)
{
	struct job *job = &g->job;
	job->kind = JOB_DECODE;
	job->splits = mem_zero(1, sizeof *job->splits);
	job->n_splits = 1;
	job->splits[0] = (struct job_split){.name = mem_strdup("input")};
	job->outputs = mem_zero(1, sizeof *job->outputs);
	job->n_outputs = 1;
	hash_bytes("generate", 8, job->key);
	memcpy(job->outputs[0].key, job->key, sizeof job->key);
	job->outputs[0].dir = fs_join(g->dir, "texts");
	job->outputs[0].params = g->params;
	return check_column(g, err) < 0 ? -1 : find_input(g, err);
}

/* ---- the work ---- */

static int on_event(void *ctx, size_t job, int worker, const struct event *event, struct err *err)
{
	struct generate *g = ctx;
	(void)job;
	(void)worker;
	(void)err;
	if (event->kind == EVENT_ERROR)
		g->refused = event->error_kind == ERR_INPUT || event->error_kind == ERR_USAGE;
	if (g->live && event->kind == EVENT_PROGRESS && event->total > 0)
		fprintf(stderr, "\r%lld/%lld tables\033[K", (long long)event->done, (long long)event->total);
	return 0;
}

static int on_ended(void *ctx, size_t job, int worker, enum attempt_outcome outcome, const char *reason,
		    const char *log_tail, struct err *err)
{
	struct generate *g = ctx;
	(void)job;
	(void)worker;
	(void)err;
	if (outcome != ATTEMPT_FAILED)
		return 0;
	g->log_tail = log_tail ? mem_strdup(log_tail) : NULL;
	/* The copy in our own folder is nobody's file. */
	const char *input = g->job.splits[0].input, *found = g->copied ? strstr(reason, input) : NULL;
	if (found)
		err_set(&g->failure, g->refused ? ERR_INPUT : ERR_SYSTEM, "%.*s%s%s", (int)(found - reason), reason,
			g->copied, found + strlen(input));
	else
		err_set(&g->failure, g->refused ? ERR_INPUT : ERR_SYSTEM, "%s", reason);
	return 0;
}

/* 0, 130 or -1. */
static int work(struct generate *g, struct err *err)
{
	static const struct sched_listener listener = {.event = on_event, .ended = on_ended};
	size_t index = 0;
	char *dir = g->job.outputs[0].dir;
	struct plan_artifact artifact = {.kind = JOB_DECODE, .split = "input", .dir = dir, .made_at = dir};
	memcpy(artifact.key, g->job.key, sizeof artifact.key);
	struct plan_job job = {.job = g->job,
			       .title = (char *)"decode",
			       .waits_for = PLAN_NONE,
			       .artifacts = &index,
			       .n_artifacts = 1};
	struct plan plan = {.jobs = &job, .n_jobs = 1, .artifacts = &artifact, .n_artifacts = 1};
	char *runner = paths_runner(err);
	if (!runner)
		return -1;
	int cores = g->cores ? (int)g->cores : exec_local_cores();
	struct exec_local_options local = {.runner = runner, .dir = g->dir, .workers = 1, .cores = cores};
	struct executor *executor = exec_local_new(&local, err);
	free(runner);
	if (!executor)
		return -1;
	struct sched_options options = {.jobs = 1, .cores = cores, .listener = &listener, .ctx = g};
	struct sched_result result = {0};
	int status = sched_run(&plan, executor, &options, &result, err);
	executor->ops->free(executor);
	if (g->live)
		fputs(TERM_CLEAR_LINE, stderr);
	if (status == 0 && result.failed) {
		if (!g->refused && g->log_tail)
			fprintf(stderr, "%s\n", g->log_tail);
		*err = g->failure;
		return -1;
	}
	return status == 0 && !result.done ? 130 : status;
}

/* The texts, each as it is shown and with a newline behind, and where each of them ends. */
struct texts {
	struct buf all;
	size_t *end, n, room;
};

/* Line ends inside a text become spaces. */
static int read_texts(const struct generate *g, struct texts *texts, struct err *err)
{
	char *path = fs_join(g->job.outputs[0].dir, "hypotheses.jsonl");
	struct buf file = BUF_INIT;
	bool screen = isatty(STDOUT_FILENO);
	struct jsonl_value text = {.name = "text"};
	int result = buf_read_file(&file, path, (size_t)1 << 32, err);
	size_t column;
	for (const char *at = file.data, *end = at + file.size; result == 0 && at < end;) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		stop = stop ? stop : end;
		if (jsonl_parse(at, (size_t)(stop - at), &text, 1, &column) < 0 || text.kind != JSONL_TEXT) {
			result = err_at(err, path, texts->n + 1, 0, "expected a JSON object with `text`");
			break;
		}
		for (size_t i = 0; i < text.text.size; i++)
			if (text.text.data[i] == '\n' || text.text.data[i] == '\r')
				text.text.data[i] = ' ';
		if (screen) /* elsewhere a text is what the model wrote */
			utf8_clean(text.text.data, text.text.size, &texts->all);
		else
			buf_add(&texts->all, text.text.data, text.text.size);
		buf_addc(&texts->all, '\n');
		MEM_PUSH_ROOM(texts->end, texts->n, texts->room);
		texts->end[texts->n++] = texts->all.size;
		at = stop + 1;
	}
	jsonl_release(&text, 1);
	buf_release(&file);
	free(path);
	return result;
}

/* Rows with the same input were one input, and each of them gets its text. */
static int print_rows(const struct generate *g, const struct texts *texts, struct err *err)
{
	const struct job_split *split = &g->job.splits[0];
	struct columns_file t;
	if (columns_open(&t, split->input, &split->columns, 0, err) < 0)
		return -1;
	columns_group(&t);
	int result = t.n_inputs == texts->n ? 0 : err_at(err, g->file, 0, 0, "the file changed meanwhile");
	for (size_t i = 0; i < t.n && result == 0; i++) {
		size_t number = t.rows[i].number, from = number ? texts->end[number - 1] : 0;
		fwrite(texts->all.data + from, 1, texts->end[number] - from, stdout);
	}
	columns_close(&t);
	return result;
}

static int print_texts(const struct generate *g, struct err *err)
{
	struct texts texts = {0};
	int result = read_texts(g, &texts, err);
	if (result == 0 && g->column)
		result = print_rows(g, &texts, err);
	else if (texts.n)
		fwrite(texts.all.data, 1, texts.all.size, stdout);
	buf_release(&texts.all);
	free(texts.end);
	return result;
}

static int generate(struct generate *g, int n, char **argv, struct err *err)
{
	bool folders = g->adapter || g->model;
	int most = folders ? 1 : 2;
	if (!folders && n == 0)
		return err_set(err, ERR_USAGE, "which run? sweep generate RUN [FILE], or --adapter DIR [FILE]");
	if (n > most)
		return err_set(err, ERR_USAGE, "one file at a time, found `%s` too", argv[most + 1]);
	g->file = n == most && strcmp(argv[most], "-") != 0 ? argv[most] : NULL;
	if ((folders ? from_folders(g, err) : from_run(g, argv[1], err)) < 0)
		return -1;
	for (size_t i = 0; i < g->n_overrides; i++)
		if (override(g, g->overrides[i], err) < 0)
			return -1;
	const char *tmp = getenv("TMPDIR");
	g->dir = mem_printf("%s/sweep-generate.XXXXXX", tmp && tmp[0] == '/' ? tmp : "/tmp");
	if (!mkdtemp(g->dir)) {
		err_errno(err, "cannot make a folder like %s", g->dir);
		free(g->dir);
		g->dir = NULL;
		return -1;
	}
	if (make_job(g, err) < 0)
		return -1;
	int status = work(g, err);
	return status == 0 ? print_texts(g, err) : status;
}

int cmd_generate(int argc, char **argv, struct err *err)
{
	struct generate g = {.db = "results.db"};
	const struct cli_option options[] = {
		{.name = "db", .type = CLI_TEXT, .text = &g.db, .help = "where the run is (results.db)"},
		{.name = "adapter",
		 .type = CLI_TEXT,
		 .text = &g.adapter,
		 .help = "a PEFT adapter folder in the place of a run"},
		{.name = "model",
		 .type = CLI_TEXT,
		 .text = &g.model,
		 .help = "its model: demo, a folder, a name on the Hub"},
		{.name = "column",
		 .type = CLI_TEXT,
		 .text = &g.column,
		 .help = "where the tables are in a CSV, TSV or JSON lines FILE; a text a row"},
		{.name = "threads",
		 .type = CLI_INT,
		 .number = &g.cores,
		 .min = 1,
		 .max = 4096,
		 .help = "cores to use (all)"},
		{.name = "set",
		 .type = CLI_LIST,
		 .list = &g.overrides,
		 .n_list = &g.n_overrides,
		 .help = "a decoding parameter, KEY=VALUE"},
	};
	bool helped = false;
	int n = cli_parse(argc, argv, options, sizeof options / sizeof *options, &helped, err);
	int status = n < 0 ? -1 : 0;
	g.live = term_live(STDERR_FILENO);
	if (n >= 0 && !helped)
		status = generate(&g, n, argv, err);
	if (g.dir)
		fs_remove_tree(g.dir);
	free(g.dir);
	free(g.log_tail);
	job_release(&g.job);
	free(g.overrides);
	return status;
}
