/* hub.c - which files make a model, at which commit, and what to tell a person when one cannot be had.
 *
 * The flow of `sweep fetch distilgpt2`: a HEAD for config.json at the revision gives the commit; every other file is
 * then asked for at that commit, so that all of them belong together even if somebody pushes meanwhile. The small files
 * come first (a repository that is no GPT-2 is found out before 353 MB are fetched), and refs/<revision> is written
 * last: until then a look-up finds the older, complete snapshot.
 *
 *     hub.c -> hub_transfer.c -> hub_http.c (curl)       hub_cache.c: folders      hub_env.c: environment
 *           -> hub_data.c: datasets with pinned hashes   hub_bar.c: what the user sees
 */
#include "hub.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "hub_cache.h"
#include "hub_data.h"
#include "hub_env.h"
#include "hub_http.h"
#include "hub_transfer.h"

#define MAIN      "main"
#define LIST_MAX  ((size_t)64 << 20) /* bytes of the API's list of files */
#define FILES_MAX 10000

static const char WEIGHTS[] = "model.safetensors", CONFIG[] = "config.json", TOKENIZER[] = "tokenizer.json",
		  VOCAB[] = "vocab.json", MERGES[] = "merges.txt";

/* One fetch in progress. */
struct fetch {
	const char *id, *revision;
	bool dataset;
	struct hub_options options;
	struct hub_env env;
	struct hub_cache repo;
	struct hub_http *http;
	char commit[HUB_COMMIT]; /* empty until the Hub has told */
	struct hub_answer answer;
};

bool hub_offline(void)
{
	return hub_env_offline();
}

char *hub_cache_dir(void)
{
	struct hub_env env;
	hub_env_folders(&env);
	char *dir = mem_strdup(env.model_cache);
	hub_env_release(&env);
	return dir;
}

bool hub_is_dataset(const char *name)
{
	return hub_data_is_name(name);
}

/* The rules of huggingface_hub: letters, digits and -_. in one or two parts, no "--" or "..", 96 characters. */
bool hub_is_id(const char *id)
{
	size_t n = strlen(id);
	const char *slash = strchr(id, '/');
	if (n == 0 || n > 96 || strstr(id, "--") || strstr(id, "..") || (n >= 4 && strcmp(id + n - 4, ".git") == 0))
		return false;
	if (slash && (slash == id || !slash[1] || strchr(slash + 1, '/')))
		return false;
	for (const char *p = id; *p; p++) {
		bool edge = p == id || !p[1] || p[1] == '/' || p[-1] == '/';
		bool word =
			(*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '_';
		if (!word && *p != '/' && (edge || (*p != '-' && *p != '.')))
			return false;
	}
	return true;
}

static int check_names(const char *id, const char *revision, struct err *err)
{
	if (!hub_is_id(id))
		return err_set(err, ERR_INPUT,
			       "`%.200s` is no name on the Hub: `name` or `owner/name` was expected, of letters, "
			       "digits, `-`, `_` and `.`",
			       id);
	if (!hub_cache_is_path(revision))
		return err_set(err, ERR_INPUT, "`%.200s` is no revision: a branch, a tag or a commit was expected",
			       revision);
	return 0;
}

/* ---- the cache alone */

static bool has(const struct hub_cache *repo, const char *commit, const char *file)
{
	char *path = hub_cache_snapshot(repo, commit, file);
	struct stat st;
	bool there = stat(path, &st) == 0 && S_ISREG(st.st_mode);
	free(path);
	return there;
}

/* The first file that a usable model lacks, or NULL. */
static const char *lacks(const struct hub_cache *repo, const char *commit)
{
	if (!has(repo, commit, CONFIG))
		return CONFIG;
	if (!has(repo, commit, TOKENIZER) && (!has(repo, commit, VOCAB) || !has(repo, commit, MERGES)))
		return TOKENIZER;
	return has(repo, commit, WEIGHTS) ? NULL : WEIGHTS;
}

static char *find_in(const struct hub_cache *repo, const char *cache, const char *id, const char *revision,
		     struct err *err)
{
	char commit[HUB_COMMIT];
	if (!fs_is_dir(repo->root)) {
		err_set(err, ERR_INPUT, "the model `%s` is not in the cache (%s); `sweep fetch %s` brings it", id,
			cache, id);
		return NULL;
	}
	if (!hub_cache_commit(repo, revision, commit)) {
		err_set(err, ERR_INPUT,
			"the cache (%s) has no revision `%s` of `%s`; `sweep fetch %s --revision %s` brings it", cache,
			revision, id, id, revision);
		return NULL;
	}
	char *dir = hub_cache_snapshot(repo, commit, "");
	const char *file = lacks(repo, commit);
	if (!file)
		return dir;
	if (file == WEIGHTS && has(repo, commit, "pytorch_model.bin"))
		err_set(err, ERR_INPUT,
			"`%s` is in the cache with pytorch_model.bin only, and sweep reads model.safetensors; "
			"`sweep fetch %s` looks for it",
			id, id);
	else
		err_set(err, ERR_INPUT,
			"`%s` is not complete in the cache (%s lacks %s); `sweep fetch %s` brings the rest", id, dir,
			file, id);
	free(dir);
	return NULL;
}

char *hub_find(const char *id, const char *revision, struct err *err)
{
	revision = revision ? revision : MAIN;
	if (check_names(id, revision, err) < 0)
		return NULL;
	struct hub_cache repo;
	char *cache = hub_cache_dir();
	hub_cache_open(&repo, cache, false, id);
	char *dir = find_in(&repo, cache, id, revision, err);
	hub_cache_close(&repo);
	free(cache);
	return dir;
}

char *hub_find_dataset(const char *name, struct err *err)
{
	struct hub_env env;
	hub_env_folders(&env);
	char *dir = hub_data_find(&env, name, err);
	hub_env_release(&env);
	return dir;
}

/* ---- what the Hub refuses, in words */

static int explain(const struct fetch *f, const char *file, struct err *err)
{
	const struct hub_answer *a = &f->answer;
	const char *kind = f->dataset ? "dataset" : "model", *at = f->env.endpoint, *id = f->id;
	const char *folder = f->dataset ? "datasets/" : "";
	if (strcmp(a->error_code, "GatedRepo") == 0)
		return err_set(err, ERR_INPUT,
			       "the %s `%s` is gated: accept its conditions at %s/%s%s, then set HF_TOKEN to a "
			       "token of that account%s",
			       kind, id, at, folder, id, a->sent_token ? " (the present token has no access)" : "");
	if (strcmp(a->error_code, "RevisionNotFound") == 0)
		return err_set(err, ERR_INPUT, "the %s `%s` has no revision `%s` at %s", kind, id, f->revision, at);
	if (strcmp(a->error_code, "EntryNotFound") == 0)
		return err_set(err, ERR_INPUT, "the %s `%s` has no file %s at revision `%s`", kind, id, file,
			       f->revision);
	if (a->status == 401 && a->sent_token && strcasestr(a->error_message, "credentials"))
		return err_set(err, ERR_INPUT,
			       "the Hub does not accept the token (HF_TOKEN or the file of `hf auth login`): "
			       "it is wrong or has expired; a public %s needs none",
			       kind);
	if (a->status == 401 || strcmp(a->error_code, "RepoNotFound") == 0)
		return err_set(err, ERR_INPUT, "the Hub (%s) shows no %s `%s`: the name is wrong, or it is private%s",
			       at, kind, id,
			       a->sent_token ? " and the token has no access" : " and needs a token in HF_TOKEN");
	if (a->status == 403)
		return err_set(err, ERR_INPUT, "the Hub refuses access to the %s `%s` (403%s%s)", kind, id,
			       a->error_message[0] ? ": " : "", a->error_message);
	return err_set(err, ERR_INPUT, "%s answers %d for %s of `%s`%s%s; is HF_ENDPOINT a Hugging Face Hub?", at,
		       a->status, file, id, a->error_message[0] ? ": " : "", a->error_message);
}

/* ---- one file */

static char *resolve_url(const struct fetch *f, const char *revision, const char *file)
{
	char *where = hub_http_quote(revision, false), *path = hub_http_quote(file, true);
	char *url =
		mem_printf("%s/%s%s/resolve/%s/%s", f->env.endpoint, f->dataset ? "datasets/" : "", f->id, where, path);
	free(path);
	free(where);
	return url;
}

/* The metadata of a HEAD answer, checked: from here on they are parts of paths. */
static int check_answer(struct fetch *f, const char *file, struct err *err)
{
	struct hub_answer *a = &f->answer;
	a->trouble = HUB_UNREACHABLE; /* what answers is no Hub: as good as no network */
	if (!hub_cache_is_hex(a->commit, HUB_COMMIT - 1))
		return err_set(err, ERR_SYSTEM,
			       "the answer of %s for %s names no commit: a proxy or a login page may be in the "
			       "way, or HF_ENDPOINT is no Hugging Face Hub",
			       f->env.endpoint, file);
	if (f->commit[0] && strcmp(f->commit, a->commit) != 0)
		return err_set(err, ERR_SYSTEM, "%s: the Hub answers for commit %s when asked for %s", file, a->commit,
			       f->commit);
	if (!hub_cache_is_hex(a->etag, 64) && !hub_cache_is_hex(a->etag, 40))
		return err_set(err, ERR_SYSTEM,
			       "%s: the Hub announces no hash (its ETag is `%s`), so that it could not be checked",
			       file, a->etag);
	if (a->size < 0)
		return err_set(err, ERR_SYSTEM, "%s: the Hub announces no size", file);
	a->trouble = HUB_FINE;
	return 0;
}

static int fetch_blob(struct fetch *f, const char *file, struct err *err)
{
	struct hub_answer head = f->answer;
	char *blob = hub_cache_blob(&f->repo, head.etag), *lock = hub_cache_lock_path(&f->repo, head.etag);
	char *url = resolve_url(f, f->commit, file);
	struct hub_transfer t = {.http = f->http,
				 .url = url,
				 .with_token = true,
				 .file = file,
				 .place = blob,
				 .lock = lock,
				 .digest = head.etag,
				 .size = head.size};
	int result = hub_transfer_run(&t, &f->answer, err);
	if (result < 0 && f->answer.trouble == HUB_REFUSED)
		explain(f, file, err);
	if (result == 0)
		result = hub_cache_link(&f->repo, f->commit, file, head.etag, err);
	free(url);
	free(lock);
	free(blob);
	return result;
}

/* True when the snapshot has the file and its bytes are those that the blob's name promises. A damaged one (a disk that
 * was full, a power cut) is removed, so that it is fetched again. */
static bool is_there(struct fetch *f, const char *file)
{
	char *path = hub_cache_snapshot(&f->repo, f->commit, file);
	bool there = has(&f->repo, f->commit, file), damaged = false;
	if (there && hub_cache_drop_damaged(path, &damaged) < 0)
		there = false;
	if (damaged && f->http)
		hub_http_notice(f->http, "%s of `%s` in the cache is damaged; fetching it again", file, f->id);
	free(path);
	return there && !damaged;
}

/* Brings one file into the snapshot. *missing: the Hub has no such file (no error here). */
static int fetch_file(struct fetch *f, const char *file, bool *missing, struct err *err)
{
	*missing = f->commit[0] && hub_cache_is_missing(&f->repo, f->commit, file);
	if (*missing || (f->commit[0] && is_there(f, file)))
		return 0;
	char *url = resolve_url(f, f->commit[0] ? f->commit : f->revision, file);
	int result = hub_http_head(f->http, url, &f->answer, err);
	free(url);
	if (result < 0)
		return -1;
	struct hub_answer *a = &f->answer;
	if (a->status == 404 && strcmp(a->error_code, "EntryNotFound") == 0) {
		if (hub_cache_is_hex(a->commit, HUB_COMMIT - 1))
			hub_cache_mark_missing(&f->repo, a->commit, file);
		*missing = true;
		return 0;
	}
	if (a->status >= 400) {
		a->trouble = HUB_REFUSED;
		return explain(f, file, err);
	}
	if (check_answer(f, file, err) < 0)
		return -1;
	memcpy(f->commit, a->commit, HUB_COMMIT);
	return is_there(f, file) ? 0 : fetch_blob(f, file, err);
}

/* ---- a model */

static int no_weights(struct fetch *f, struct err *err)
{
	bool no_index = true;
	struct err ignored = {0};
	char *url = resolve_url(f, f->commit, "model.safetensors.index.json");
	if (hub_http_head(f->http, url, &f->answer, &ignored) == 0)
		no_index = f->answer.status >= 400;
	free(url);
	f->answer.trouble = HUB_REFUSED;
	if (no_index)
		return err_set(err, ERR_INPUT,
			       "the model `%s` has no model.safetensors at revision `%s`, and sweep reads no "
			       "other format of weights",
			       f->id, f->revision);
	return err_set(err, ERR_INPUT,
		       "the model `%s` keeps its weights in several files (model.safetensors.index.json); "
		       "sweep reads a single model.safetensors",
		       f->id);
}

static const char *const optional[] = {"generation_config.json", "tokenizer_config.json", TOKENIZER, VOCAB, MERGES};
#define N_OPTIONAL (sizeof optional / sizeof *optional)

static int fetch_files(struct fetch *f, struct err *err)
{
	bool missing;
	if (fetch_file(f, CONFIG, &missing, err) < 0)
		return -1;
	if (missing) {
		f->answer.trouble = HUB_REFUSED;
		return err_set(err, ERR_INPUT,
			       "`%s` has no config.json at revision `%s`: it is no model for transformers", f->id,
			       f->revision);
	}
	for (size_t i = 0; i < N_OPTIONAL; i++)
		if (fetch_file(f, optional[i], &missing, err) < 0)
			return -1;
	const char *file = lacks(&f->repo, f->commit);
	if (file == TOKENIZER) {
		f->answer.trouble = HUB_REFUSED;
		return err_set(err, ERR_INPUT,
			       "the model `%s` has neither tokenizer.json nor vocab.json with merges.txt", f->id);
	}
	if (fetch_file(f, WEIGHTS, &missing, err) < 0)
		return -1;
	return missing ? no_weights(f, err) : 0;
}

static void close_fetch(struct fetch *f)
{
	hub_http_close(f->http);
	hub_cache_close(&f->repo);
	hub_env_release(&f->env);
}

static int open_fetch(struct fetch *f, const char *id, bool dataset, const struct hub_options *options, struct err *err)
{
	*f = (struct fetch){.id = id, .dataset = dataset};
	if (options)
		f->options = *options;
	f->revision = f->options.revision ? f->options.revision : MAIN;
	if (check_names(id, f->revision, err) < 0 || hub_env_read(&f->env, err) < 0)
		return -1;
	hub_cache_open(&f->repo, dataset ? f->env.cache : f->env.model_cache, dataset, id);
	if (f->env.offline)
		return 0;
	f->http = hub_http_open(&f->env, id, &f->options, err);
	if (!f->http)
		close_fetch(f);
	return f->http ? 0 : -1;
}

/* A commit never changes: when it is here and undamaged, nothing needs to be asked. */
static bool is_pinned(struct fetch *f)
{
	if (!hub_cache_is_hex(f->revision, HUB_COMMIT - 1))
		return false;
	memcpy(f->commit, f->revision, HUB_COMMIT);
	bool whole = is_there(f, CONFIG) && is_there(f, WEIGHTS);
	for (size_t i = 0; i < N_OPTIONAL && whole; i++) {
		char *path = hub_cache_snapshot(&f->repo, f->commit, optional[i]);
		struct stat st;
		whole = lstat(path, &st) < 0 || is_there(f, optional[i]); /* a link to nothing is a loss */
		free(path);
	}
	f->commit[0] = '\0';
	return whole;
}

int hub_fetch_model(const char *id, const struct hub_options *options, char **dir, struct err *err)
{
	struct fetch f;
	*dir = NULL;
	if (open_fetch(&f, id, false, options, err) < 0)
		return -1;
	struct err why_not = {0};
	if (f.env.offline || is_pinned(&f))
		*dir = find_in(&f.repo, f.env.model_cache, id, f.revision, &why_not);
	if (!*dir && f.env.offline)
		err_set(err, why_not.kind, "%s; HF_HUB_OFFLINE forbids the network", why_not.text);
	else if (!*dir && fetch_files(&f, err) == 0 &&
		 (strcmp(f.revision, f.commit) == 0 || hub_cache_write_ref(&f.repo, f.revision, f.commit, err) == 0))
		*dir = hub_cache_snapshot(&f.repo, f.commit, "");
	else if (!*dir && f.answer.trouble == HUB_UNREACHABLE) {
		*dir = find_in(&f.repo, f.env.model_cache, id, f.revision, &why_not);
		if (*dir)
			hub_http_notice(f.http, "%s; the copy of `%s` in the cache is used", err->text, id);
	}
	close_fetch(&f);
	return *dir ? 0 : -1;
}

/* ---- a dataset repository: every file of it */

static cJSON *list_files(struct fetch *f, struct err *err)
{
	struct buf text = BUF_INIT;
	char *where = hub_http_quote(f->revision, false);
	char *url = mem_printf("%s/api/datasets/%s/revision/%s", f->env.endpoint, f->id, where);
	cJSON *list = NULL;
	if (hub_http_text(f->http, url, LIST_MAX, &text, &f->answer, err) == 0)
		list = json_parse(text.data ? text.data : "", text.size, url, err);
	else if (f->answer.trouble == HUB_REFUSED)
		explain(f, "the list of files", err);
	free(url);
	free(where);
	buf_release(&text);
	return list;
}

static int fetch_list(struct fetch *f, struct err *err)
{
	const char *sha, *name;
	int result = -1, n = 0;
	cJSON *list = list_files(f, err);
	if (!list)
		return -1;
	const cJSON *files = cJSON_GetObjectItemCaseSensitive(list, "siblings"), *entry;
	if (json_string(list, "sha", &sha, err) < 0 || !hub_cache_is_hex(sha, HUB_COMMIT - 1) ||
	    !cJSON_IsArray(files)) {
		err_set(err, ERR_SYSTEM, "%s gives no list of files for the dataset `%s`", f->env.endpoint, f->id);
		goto out;
	}
	memcpy(f->commit, sha, HUB_COMMIT);
	cJSON_ArrayForEach(entry, files)
	{
		bool missing;
		if (json_string(entry, "rfilename", &name, err) < 0 || !hub_cache_is_path(name) || ++n > FILES_MAX) {
			err_set(err, ERR_INPUT, "the dataset `%s` has %s", f->id,
				n > FILES_MAX ? "more than 10000 files" : "a file whose name cannot be used here");
			goto out;
		}
		if (fetch_file(f, name, &missing, err) < 0)
			goto out;
		if (missing) {
			err_set(err, ERR_SYSTEM, "the Hub lists %s of `%s` and does not have it", name, f->id);
			goto out;
		}
	}
	result = strcmp(f->revision, f->commit) == 0 ? 0 : hub_cache_write_ref(&f->repo, f->revision, f->commit, err);
out:
	cJSON_Delete(list);
	return result;
}

int hub_fetch_dataset(const char *id, const struct hub_options *options, char **dir, struct err *err)
{
	struct fetch f;
	char commit[HUB_COMMIT];
	*dir = NULL;
	if (open_fetch(&f, id, true, options, err) < 0)
		return -1;
	if (hub_data_is_name(id) && f.env.offline) {
		*dir = hub_data_find(&f.env, id, err);
	} else if (hub_data_is_name(id)) {
		hub_data_fetch(&f.env, id, f.http, dir, err);
	} else if (f.env.offline) {
		if (hub_cache_commit(&f.repo, f.revision, commit))
			*dir = hub_cache_snapshot(&f.repo, commit, "");
		if (!*dir || !fs_is_dir(*dir)) {
			free(*dir);
			*dir = NULL;
			err_set(err, ERR_INPUT,
				"the dataset `%s` is not in the cache (%s); HF_HUB_OFFLINE forbids the network", id,
				f.env.cache);
		}
	} else if (fetch_list(&f, err) == 0) {
		*dir = hub_cache_snapshot(&f.repo, f.commit, "");
	}
	close_fetch(&f);
	return *dir ? 0 : -1;
}
