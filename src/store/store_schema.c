/* store_schema.c - the tables of results.db, how an older file is brought forward, and the view `leaderboard`. Every
 * table and column is explained for users in docs/DATABASE.md: change both together.
 *
 * Version n of a file (PRAGMA user_version) is brought to n+1 by migrations[n], one transaction each, and steps that
 * were released never change. The hyperparameters' columns are not part of a version: whatever params.def has and
 * `runs` lacks is added with its default when a writer opens the file, so a new row of params.def needs nothing here.
 *
 * The view is made from what the file holds: a score column for each split, a parameter column for the classic four and
 * for every parameter in which runs differ. All the others would make it too wide to read; they are in `runs`. */
#include "store_internal.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/params.h"

static const char step_1[] =
	"CREATE TABLE setups("
	"  id INTEGER PRIMARY KEY,"
	"  key TEXT NOT NULL UNIQUE,"
	"  model TEXT NOT NULL,"
	"  model_dir TEXT,"
	"  model_digest TEXT,"
	"  dataset TEXT,"
	"  train TEXT,"
	"  prompt TEXT NOT NULL,"
	"  target TEXT NOT NULL"
	") STRICT;"
	"CREATE TABLE datasets("
	"  id INTEGER PRIMARY KEY,"
	"  digest TEXT NOT NULL UNIQUE,"
	"  input TEXT NOT NULL,"
	"  \"references\" TEXT,"
	"  \"limit\" INTEGER NOT NULL,"
	"  n_inputs INTEGER NOT NULL,"
	"  n_references INTEGER NOT NULL"
	") STRICT;"
	"CREATE TABLE inputs("
	"  dataset_id INTEGER NOT NULL REFERENCES datasets(id),"
	"  input INTEGER NOT NULL,"
	"  table_text TEXT NOT NULL,"
	"  PRIMARY KEY(dataset_id, input)"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE refs("
	"  dataset_id INTEGER NOT NULL REFERENCES datasets(id),"
	"  input INTEGER NOT NULL,"
	"  n INTEGER NOT NULL,"
	"  text TEXT NOT NULL,"
	"  PRIMARY KEY(dataset_id, input, n)"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE sweeps("
	"  id INTEGER PRIMARY KEY,"
	"  name TEXT NOT NULL UNIQUE,"
	"  path TEXT,"
	"  text TEXT,"
	"  setup_id INTEGER NOT NULL REFERENCES setups(id),"
	"  method TEXT NOT NULL,"
	"  metric TEXT NOT NULL,"
	"  goal TEXT NOT NULL CHECK(goal IN ('maximize', 'minimize')),"
	"  status TEXT NOT NULL CHECK(status IN ('running', 'done', 'failed', 'interrupted')),"
	"  created_at TEXT NOT NULL,"
	"  started_at TEXT NOT NULL,"
	"  finished_at TEXT"
	") STRICT;"
	"CREATE TABLE splits("
	"  sweep_id INTEGER NOT NULL REFERENCES sweeps(id),"
	"  position INTEGER NOT NULL,"
	"  name TEXT NOT NULL,"
	"  dataset_id INTEGER REFERENCES datasets(id),"
	"  PRIMARY KEY(sweep_id, name)"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE jobs("
	"  id INTEGER PRIMARY KEY,"
	"  key TEXT NOT NULL UNIQUE,"
	"  sweep_id INTEGER REFERENCES sweeps(id),"
	"  kind TEXT NOT NULL CHECK(kind IN ('check', 'train', 'decode')),"
	"  title TEXT NOT NULL,"
	"  why TEXT,"
	"  waits_for INTEGER REFERENCES jobs(id),"
	"  state TEXT NOT NULL CHECK(state IN ('pending', 'running', 'done', 'failed', 'dropped')),"
	"  reason TEXT,"
	"  cost REAL,"
	"  created_at TEXT NOT NULL"
	") STRICT;"
	"CREATE INDEX jobs_by_sweep ON jobs(sweep_id, state);"
	"CREATE TABLE attempts("
	"  id INTEGER PRIMARY KEY,"
	"  job_id INTEGER NOT NULL REFERENCES jobs(id),"
	"  attempt INTEGER NOT NULL,"
	"  worker INTEGER NOT NULL,"
	"  threads INTEGER NOT NULL,"
	"  pid INTEGER NOT NULL,"
	"  started_at TEXT NOT NULL,"
	"  ended_at TEXT,"
	"  outcome TEXT NOT NULL CHECK(outcome IN ('running', 'done', 'failed', 'retry', 'stopped', 'lost')),"
	"  reason TEXT,"
	"  log_tail TEXT,"
	"  seconds REAL,"
	"  tokens_per_second REAL,"
	"  peak_rss_kb INTEGER"
	") STRICT;"
	"CREATE INDEX attempts_by_job ON attempts(job_id);"
	"CREATE INDEX attempts_running ON attempts(outcome) WHERE outcome = 'running';"
	"CREATE TABLE artifacts("
	"  id INTEGER PRIMARY KEY,"
	"  key TEXT NOT NULL UNIQUE,"
	"  kind TEXT NOT NULL CHECK(kind IN ('adapter', 'hypotheses')),"
	"  split TEXT,"
	"  params TEXT,"
	"  dir TEXT NOT NULL,"
	"  state TEXT NOT NULL CHECK(state IN ('pending', 'done', 'failed')),"
	"  job_id INTEGER REFERENCES jobs(id),"
	"  adapter_id INTEGER REFERENCES artifacts(id),"
	"  setup_id INTEGER REFERENCES setups(id),"
	"  dataset_id INTEGER REFERENCES datasets(id),"
	"  arch TEXT,"
	"  count INTEGER,"
	"  seconds REAL,"
	"  created_at TEXT"
	") STRICT;"
	"CREATE INDEX artifacts_by_job ON artifacts(job_id);"
	"CREATE TABLE runs("
	"  id INTEGER PRIMARY KEY,"
	"  sweep_id INTEGER NOT NULL REFERENCES sweeps(id),"
	"  key TEXT NOT NULL,"
	"  label TEXT,"
	"  status TEXT NOT NULL CHECK(status IN ('pending', 'done', 'failed', 'dropped')),"
	"  reason TEXT,"
	"  score REAL,"
	"  rank REAL NOT NULL DEFAULT 9e999,"
	"  adapter_id INTEGER REFERENCES artifacts(id),"
	"  setup_id INTEGER NOT NULL REFERENCES setups(id),"
	"  created_at TEXT NOT NULL,"
	"  finished_at TEXT,"
	"  UNIQUE(sweep_id, key)"
	") STRICT;"
	"CREATE INDEX runs_by_rank ON runs(rank);"
	"CREATE INDEX runs_by_sweep ON runs(sweep_id, rank);"
	"CREATE INDEX runs_by_status ON runs(sweep_id, status);"
	"CREATE INDEX runs_by_adapter ON runs(adapter_id);"
	"CREATE TABLE run_artifacts("
	"  run_id INTEGER NOT NULL REFERENCES runs(id),"
	"  split TEXT NOT NULL,"
	"  artifact_id INTEGER NOT NULL REFERENCES artifacts(id),"
	"  PRIMARY KEY(run_id, split)"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX run_artifacts_by_artifact ON run_artifacts(artifact_id);"
	"CREATE TABLE scores("
	"  artifact_id INTEGER NOT NULL REFERENCES artifacts(id),"
	"  metric TEXT NOT NULL,"
	"  value REAL,"
	"  signature TEXT,"
	"  PRIMARY KEY(artifact_id, metric)"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE hypotheses("
	"  artifact_id INTEGER NOT NULL REFERENCES artifacts(id),"
	"  input INTEGER NOT NULL,"
	"  text TEXT NOT NULL,"
	"  score REAL,"
	"  tokens INTEGER,"
	"  sentence_bleu REAL,"
	"  PRIMARY KEY(artifact_id, input)"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE losses("
	"  adapter_id INTEGER NOT NULL REFERENCES artifacts(id),"
	"  step INTEGER NOT NULL,"
	"  loss REAL,"
	"  learning_rate REAL,"
	"  tokens_per_second REAL,"
	"  PRIMARY KEY(adapter_id, step)"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE events("
	"  id INTEGER PRIMARY KEY,"
	"  at TEXT NOT NULL,"
	"  sweep_id INTEGER REFERENCES sweeps(id),"
	"  job_id INTEGER REFERENCES jobs(id),"
	"  kind TEXT NOT NULL,"
	"  text TEXT NOT NULL"
	") STRICT;"
	"CREATE TABLE digests("
	"  path TEXT PRIMARY KEY,"
	"  size INTEGER NOT NULL,"
	"  mtime_ns INTEGER NOT NULL,"
	"  inode INTEGER NOT NULL,"
	"  sha256 TEXT NOT NULL"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE metrics("
	"  name TEXT PRIMARY KEY,"
	"  split TEXT NOT NULL,"
	"  metric TEXT NOT NULL"
	") STRICT;";

/* Published figures beside ours; each run's outputs with their tables, for people. */
static const char step_2[] =
	"CREATE TABLE expected("
	"  sweep_id INTEGER NOT NULL REFERENCES sweeps(id),"
	"  label TEXT NOT NULL,"
	"  metric TEXT NOT NULL,"
	"  value REAL NOT NULL,"
	"  PRIMARY KEY(sweep_id, label, metric)"
	") STRICT, WITHOUT ROWID;"
	"CREATE VIEW outputs AS"
	"  SELECT s.name AS sweep, r.id AS run, ra.split AS split, h.input AS input, i.table_text AS table_text,"
	"         h.text AS text, h.sentence_bleu AS sentence_bleu, h.score AS score, h.tokens AS tokens"
	"  FROM runs r JOIN sweeps s ON s.id = r.sweep_id JOIN run_artifacts ra ON ra.run_id = r.id"
	"  JOIN artifacts a ON a.id = ra.artifact_id JOIN hypotheses h ON h.artifact_id = a.id"
	"  LEFT JOIN inputs i ON i.dataset_id = a.dataset_id AND i.input = h.input;";

/* Which parameters differ between a sweep's runs, so that a report need not look at all of them. */
static const char step_3[] = "ALTER TABLE sweeps ADD COLUMN varies TEXT;";

/* What artifacts' files were when they were made, and the file that was last found to be that. A digest is remembered as
 * long as nothing about its file changes, a change that puts size and time back as they were included. */
static const char step_4[] = "CREATE TABLE artifact_files("
			     "  artifact_id INTEGER NOT NULL REFERENCES artifacts(id),"
			     "  name TEXT NOT NULL,"
			     "  size INTEGER NOT NULL,"
			     "  sha256 TEXT NOT NULL,"
			     "  device INTEGER,"
			     "  inode INTEGER,"
			     "  mtime_ns INTEGER,"
			     "  ctime_ns INTEGER,"
			     "  PRIMARY KEY(artifact_id, name)"
			     ") STRICT, WITHOUT ROWID;"
			     "DROP TABLE digests;"
			     "CREATE TABLE digests("
			     "  path TEXT PRIMARY KEY,"
			     "  size INTEGER NOT NULL,"
			     "  device INTEGER NOT NULL,"
			     "  inode INTEGER NOT NULL,"
			     "  mtime_ns INTEGER NOT NULL,"
			     "  ctime_ns INTEGER NOT NULL,"
			     "  sha256 TEXT NOT NULL"
			     ") STRICT, WITHOUT ROWID;";

/* Sweeps that were removed: their runs' numbers are not used again. Folders whose rows are gone, and which are to go. */
static const char step_5[] = "CREATE TABLE removed("
			     "  id INTEGER PRIMARY KEY,"
			     "  sweep TEXT NOT NULL,"
			     "  at TEXT NOT NULL,"
			     "  runs INTEGER NOT NULL,"
			     "  last_run INTEGER NOT NULL"
			     ") STRICT;"
			     "CREATE TABLE garbage("
			     "  key TEXT PRIMARY KEY"
			     ") STRICT, WITHOUT ROWID;";

/* What people want to remember of a run. */
static const char step_6[] = "ALTER TABLE runs ADD COLUMN note TEXT;";

static const char *const migrations[STORE_VERSION] = {step_1, step_2, step_3, step_4, step_5, step_6};

/* The columns that every leaderboard has, since the original experiment varies them. */
static const int classic[] = {PARAM_num_virtual_tokens, PARAM_num_beams, PARAM_max_new_tokens, PARAM_temperature};

void store_quote(const char *name, struct buf *out)
{
	buf_addc(out, '"');
	for (; *name; name++) {
		if (*name == '"')
			buf_addc(out, '"');
		buf_addc(out, *name);
	}
	buf_addc(out, '"');
}

void store_quote_text(const char *text, struct buf *out)
{
	buf_addc(out, '\'');
	for (; *text; text++) {
		if (*text == '\'')
			buf_addc(out, '\'');
		buf_addc(out, *text);
	}
	buf_addc(out, '\'');
}

/* Which parameters have a column in `runs`. */
static int param_columns(struct store *s, bool have[PARAM_COUNT], struct err *err)
{
	memset(have, 0, PARAM_COUNT * sizeof *have);
	sqlite3_stmt *q = store_ask(s, err, "SELECT name FROM pragma_table_info('runs')", "");
	if (!q)
		return -1;
	int got;
	while ((got = store_step(s, q, err)) > 0) {
		const char *name = (const char *)sqlite3_column_text(q, 0);
		for (int id = 0; id < PARAM_COUNT; id++)
			if (strcmp(name, param_table[id].name) == 0)
				have[id] = true;
	}
	return got;
}

static int add_param_columns(struct store *s, struct err *err)
{
	bool have[PARAM_COUNT];
	if (param_columns(s, have, err) < 0)
		return -1;
	struct params defaults;
	params_default(&defaults);
	struct buf sql = BUF_INIT;
	for (int id = 0; id < PARAM_COUNT; id++) {
		if (have[id])
			continue;
		const struct param_info *info = &param_table[id];
		bool nullable = strcmp(info->default_text, "null") == 0;
		struct buf value = BUF_INIT;
		if (info->type == PARAM_TYPE_BOOL)
			buf_adds(&value, defaults.v[id].i ? "1" : "0");
		else
			params_format(id, defaults.v[id], &value);
		buf_adds(&sql, "ALTER TABLE runs ADD COLUMN ");
		store_quote(info->name, &sql);
		buf_adds(&sql, info->type == PARAM_TYPE_FLOAT    ? " REAL"
			       : info->type == PARAM_TYPE_CHOICE ? " TEXT"
								 : " INTEGER");
		if (!nullable) {
			buf_adds(&sql, " NOT NULL DEFAULT ");
			if (info->type == PARAM_TYPE_CHOICE)
				store_quote_text(value.data, &sql);
			else
				buf_adds(&sql, value.data);
		}
		buf_adds(&sql, ";");
		buf_release(&value);
	}
	int result = 0;
	if (sql.size) {
		result = store_exec(s, sql.data, err);
		s->view_stale = true;
	}
	buf_release(&sql);
	return result;
}

static int pragma_int(struct store *s, const char *literal, int64_t *value, struct err *err)
{
	int got = store_int(s, err, value, literal, "");
	if (got == 0)
		return err_set(err, ERR_INTERNAL, "%s: no answer to %s", s->path, literal);
	return got < 0 ? -1 : 0;
}

/* Ours, empty, or somebody else's; and the version. */
static int look(struct store *s, int64_t *version, bool *empty, struct err *err)
{
	int64_t application, tables;
	if (pragma_int(s, "PRAGMA user_version", version, err) < 0 ||
	    pragma_int(s, "PRAGMA application_id", &application, err) < 0 ||
	    pragma_int(s, "SELECT count(*) FROM sqlite_schema", &tables, err) < 0)
		return -1;
	*empty = tables == 0 && *version == 0 && application == 0;
	if (!*empty && application != STORE_APPLICATION_ID)
		return err_set(err, ERR_INPUT,
			       "%s is a database of another program, not of sweep; give another name with --db",
			       s->path);
	if (*version > STORE_VERSION)
		return err_set(err, ERR_INPUT,
			       "%s is of version %lld, newer than this sweep knows (%d); use the sweep that made "
			       "it, or a newer one",
			       s->path, (long long)*version, STORE_VERSION);
	return 0;
}

int store_schema_check(struct store *s, bool *old, struct err *err)
{
	int64_t version;
	bool empty;
	if (look(s, &version, &empty, err) < 0)
		return -1;
	if (empty)
		return err_set(err, ERR_INPUT, "%s is empty; `sweep run FILE` fills it", s->path);
	*old = version < STORE_VERSION;
	bool have[PARAM_COUNT];
	if (!*old && param_columns(s, have, err) < 0)
		return -1;
	for (int id = 0; !*old && id < PARAM_COUNT; id++)
		*old = !have[id];
	return 0;
}

/* SQLite answers with the mode that it could have, and no failure. */
static int begin_log(struct store *s, struct err *err)
{
	sqlite3_stmt *q = store_ask(s, err, "PRAGMA journal_mode=WAL", "");
	if (!q || store_step(s, q, err) < 0)
		return -1;
	const char *mode = (const char *)sqlite3_column_text(q, 0);
	bool well = s->in_memory || (mode && strcmp(mode, "wal") == 0);
	sqlite3_reset(q);
	return well ? 0
		    : err_set(err, ERR_DATABASE,
			      "%s cannot have a write-ahead log where it is (a network file system, perhaps); give a "
			      "name on a local disk with --db",
			      s->path);
}

int store_schema_open(struct store *s, struct err *err)
{
	int64_t version;
	bool empty;
	/* The log is cut back to 64 MiB when a reader that kept it growing is gone. */
	if (look(s, &version, &empty, err) < 0 || begin_log(s, err) < 0 ||
	    store_exec(s,
		       "PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON; PRAGMA journal_size_limit=67108864; "
		       "PRAGMA cache_size=-65536; PRAGMA temp_store=MEMORY;",
		       err) < 0)
		return -1;
	for (; version < STORE_VERSION; version++) {
		if (store_begin(s, STORE_NOW, err) < 0)
			return -1;
		struct buf sql = BUF_INIT;
		buf_printf(&sql, "%s PRAGMA user_version=%lld; PRAGMA application_id=%d;", migrations[version],
			   (long long)version + 1, STORE_APPLICATION_ID);
		int result = store_exec(s, sql.data, err);
		buf_release(&sql);
		s->view_stale = false; /* once, below */
		if (store_finish(s, result, err) < 0)
			return err_prefix(err, "bringing it to version %lld", (long long)version + 1);
	}
	if (store_begin(s, STORE_NOW, err) < 0)
		return -1;
	int result = add_param_columns(s, err);
	if (empty)
		s->view_stale = true;
	return store_finish(s, result, err);
}

int store_schema_varying(struct store *s, int64_t sweep, bool varies[PARAM_COUNT], struct err *err)
{
	struct buf sql = BUF_INIT;
	buf_adds(&sql, "SELECT count(*)");
	for (int id = 0; id < PARAM_COUNT; id++) {
		const char *name = param_table[id].name;
		buf_printf(&sql, ", min(\"%s\") IS NOT max(\"%s\")", name, name);
		if (strcmp(param_table[id].default_text, "null") ==
		    0) /* NULL is a value, which min and max leave out */
			buf_printf(&sql, " OR count(\"%s\") NOT IN (0, count(*))", name);
	}
	buf_adds(&sql, " FROM runs WHERE status <> 'dropped'");
	if (sweep)
		buf_printf(&sql, " AND sweep_id = %lld", (long long)sweep);
	sqlite3_stmt *q = store_prepare(s, sql.data, err);
	buf_release(&sql);
	int result = q && store_step(s, q, err) > 0 ? 0 : -1;
	for (int id = 0; id < PARAM_COUNT && result == 0; id++)
		varies[id] = sqlite3_column_int(q, id + 1) != 0;
	sqlite3_finalize(q);
	return result;
}

static int view_scores(struct store *s, struct buf *sql, struct err *err)
{
	sqlite3_stmt *q = store_ask(s, err, "SELECT name, split, metric FROM metrics ORDER BY rowid", "");
	if (!q)
		return -1;
	int got;
	while ((got = store_step(s, q, err)) > 0) {
		buf_adds(
			sql,
			" (SELECT round(c.value, 2) FROM run_artifacts a JOIN scores c ON c.artifact_id = a.artifact_id"
			" WHERE a.run_id = r.id AND a.split = ");
		store_quote_text((const char *)sqlite3_column_text(q, 1), sql);
		buf_adds(sql, " AND c.metric = ");
		store_quote_text((const char *)sqlite3_column_text(q, 2), sql);
		buf_adds(sql, ") AS ");
		store_quote((const char *)sqlite3_column_text(q, 0), sql);
		buf_adds(sql, ",\n");
	}
	return got;
}

/* CROSS JOIN keeps runs the outer loop, read in the order of the index on rank: LIMIT 5 touches five runs. */
static int view_text(struct store *s, struct buf *sql, struct err *err)
{
	bool varies[PARAM_COUNT];
	if (store_schema_varying(s, 0, varies, err) < 0)
		return -1;
	for (size_t i = 0; i < sizeof classic / sizeof *classic; i++)
		varies[classic[i]] = true;
	int64_t labels = 0;
	if (store_int(s, err, &labels, "SELECT EXISTS(SELECT 1 FROM runs WHERE label IS NOT NULL)", "") < 0)
		return -1;
	buf_adds(sql, "CREATE VIEW leaderboard AS SELECT s.name AS sweep, r.id AS run,\n");
	if (labels)
		buf_adds(sql, " r.label AS label,\n");
	for (int id = 0; id < PARAM_COUNT; id++)
		if (varies[id])
			buf_printf(sql, " r.\"%s\" AS \"%s\",\n", param_table[id].name, param_table[id].name);
	if (view_scores(s, sql, err) < 0)
		return -1;
	buf_adds(sql, " r.status AS status,\n"
		      " (SELECT round(sum(t.seconds), 1) FROM artifacts t WHERE t.id = r.adapter_id OR t.id IN"
		      " (SELECT artifact_id FROM run_artifacts WHERE run_id = r.id)) AS seconds\n"
		      "FROM runs r CROSS JOIN sweeps s WHERE s.id = r.sweep_id AND r.status <> 'dropped' ORDER BY "
		      "r.rank, r.id");
	return 0;
}

int store_schema_view(struct store *s, struct err *err)
{
	struct buf sql = BUF_INIT;
	int result = view_text(s, &sql, err);
	int64_t same = 0;
	if (result == 0 && store_int(s, err, &same, "SELECT sql = ?1 FROM sqlite_schema WHERE name = 'leaderboard'",
				     "t", sql.data) < 0)
		result = -1;
	if (result == 0 && !same) {
		result = store_exec(s, "DROP VIEW IF EXISTS leaderboard", err);
		if (result == 0)
			result = store_exec(s, sql.data, err);
	}
	buf_release(&sql);
	return result;
}
