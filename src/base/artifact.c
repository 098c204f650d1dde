/* artifact.c - what a finished artifact looks like on disk; see artifact.h. Workers write these folders, the plan, the
 * scheduler, the store and `sweep check` ask about them, and all of them ask here: when each had an answer of its own,
 * one took a folder for finished that another would not use, and a finished training was thrown away for a broken
 * folder in its place. */
#include "artifact.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "buf.h"
#include "hash.h"
#include "mem.h"

#define CARD_MAX   ((size_t)1 << 26)
#define CONFIG_MAX ((size_t)1 << 22)
#define LINES_MAX  ((size_t)1 << 29)
#define HEADER_MAX ((uint64_t)1 << 26) /* of a safetensors file */
#define FILES_MAX  (FS_FILES_MAX + 100)

/* The files of each kind: what an older card does not say. */
static const char *const adapter_files[] = {"adapter_config.json", "adapter_model.safetensors", "losses.jsonl"};
static const char *const hypotheses_files[] = {"hypotheses.jsonl"};

const char *artifact_kind_name(enum job_kind kind)
{
	return kind == JOB_TRAIN ? "adapter" : kind == JOB_COMMAND ? "files" : "hypotheses";
}

/* A path that stays below the folder. */
static bool plain_name(const char *name)
{
	if (!name || !name[0] || strcmp(name, ARTIFACT_CARD) == 0)
		return false;
	for (const char *part = name;; part += strcspn(part, "/") + 1) {
		size_t n = strcspn(part, "/");
		if (n == 0 || (n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.'))
			return false;
		if (!part[n])
			return true;
	}
}

static int read_files(struct artifact *a, const cJSON *files, struct err *err)
{
	const cJSON *item;
	int n = cJSON_GetArraySize(files);
	if (!cJSON_IsObject(files) || n > FILES_MAX || (n < 1 && a->kind != JOB_COMMAND))
		return err_set(err, ERR_INPUT, "`files`: expected sizes and digests by name");
	a->listed = true;
	a->files = mem_zero((size_t)n, sizeof *a->files);
	cJSON_ArrayForEach(item, files)
	{
		struct fs_file *file = &a->files[a->n_files];
		const char *digest;
		if (!plain_name(item->string))
			return err_set(err, ERR_INPUT, "`files`: `%.80s` is no name of a file in it",
				       item->string ? item->string : "");
		if (json_int(item, "size", 0, INT64_MAX / 2, &file->size, err) < 0 ||
		    json_string(item, "sha256", &digest, err) < 0)
			return err_prefix(err, "`files`: `%.80s`", item->string);
		if (strlen(digest) != HASH_HEX - 1)
			return err_set(err, ERR_INPUT, "`files`: `%.80s`: `sha256` has %zu digits, not %d",
				       item->string, strlen(digest), HASH_HEX - 1);
		memcpy(file->sha256, digest, HASH_HEX);
		file->name = mem_strdup(item->string);
		a->n_files++;
	}
	return 0;
}

/* An older card: the files that are there. artifact_verify says whether they suffice. */
static void find_files(struct artifact *a, const char *dir)
{
	const char *const *names = a->kind == JOB_TRAIN ? adapter_files : hypotheses_files;
	size_t n = a->kind == JOB_TRAIN ? 3 : 1;
	a->files = mem_zero(n, sizeof *a->files);
	for (size_t i = 0; i < n; i++) {
		struct stat st;
		char *path = fs_join(dir, names[i]);
		if (stat(path, &st) == 0)
			a->files[a->n_files++] = (struct fs_file){.name = mem_strdup(names[i]), .size = st.st_size};
		free(path);
	}
}

static int read_card(struct artifact *a, const char *path, const char *key, struct err *err)
{
	const char *kind;
	a->card = json_read_file(path, CARD_MAX, err);
	if (!a->card)
		return -1; /* it names the file */
	if (json_string(a->card, "kind", &kind, err) < 0 || json_string(a->card, "key", &a->key, err) < 0)
		return err_prefix(err, "%s", path);
	if (strcmp(kind, "adapter") == 0)
		a->kind = JOB_TRAIN;
	else if (strcmp(kind, "hypotheses") == 0)
		a->kind = JOB_DECODE;
	else if (strcmp(kind, "files") == 0)
		a->kind = JOB_COMMAND;
	else
		return err_at(err, path, 0, 0, "`kind`: expected adapter, hypotheses or files, found `%.40s`", kind);
	if (key && strcmp(a->key, key) != 0)
		return err_at(err, path, 0, 0, "`key`: expected %s, found `%.80s`", key, a->key);
	const cJSON *files = cJSON_GetObjectItemCaseSensitive(a->card, "files");
	if (files && read_files(a, files, err) < 0)
		return err_prefix(err, "%s", path);
	return 0;
}

int artifact_read(struct artifact *a, const char *dir, const char *key, struct err *err)
{
	*a = (struct artifact){0};
	char *path = fs_join(dir, ARTIFACT_CARD);
	int result = read_card(a, path, key, err);
	if (result == 0 && !a->listed)
		find_files(a, dir);
	free(path);
	return result;
}

void artifact_release(struct artifact *a)
{
	for (size_t i = 0; i < a->n_files; i++)
		free(a->files[i].name);
	free(a->files);
	cJSON_Delete(a->card);
	*a = (struct artifact){0};
}

static int verify_file(const struct fs_file *file, const char *path, enum artifact_depth depth, struct err *err)
{
	struct stat st;
	char hex[HASH_HEX];
	if (lstat(path, &st) < 0)
		return errno == ENOENT ? err_set(err, ERR_INPUT, "%s is missing", path)
				       : err_errno(err, "cannot look at %s", path);
	if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
		return err_set(err, ERR_INPUT, "%s is not a plain file", path);
	if (st.st_size != file->size)
		return err_set(err, ERR_INPUT, "%s has %lld bytes, it was made with %lld", path, (long long)st.st_size,
			       (long long)file->size);
	if (depth == ARTIFACT_SIZES)
		return 0;
	if (fs_digest(path, hex, err) < 0)
		return -1;
	if (strcmp(hex, file->sha256) != 0)
		return err_set(err, ERR_INPUT, "%s does not have the bytes that it was made with", path);
	return 0;
}

/* The header of a safetensors file says where its last tensor ends. */
static int verify_weights(const char *path, struct err *err)
{
	struct buf header = BUF_INIT;
	unsigned char first[8] = {0};
	struct stat st = {0};
	uint64_t n = 0, last = 0;
	FILE *file = fopen(path, "rbe");
	if (!file || fstat(fileno(file), &st) < 0 || fread(first, 1, sizeof first, file) != sizeof first)
		goto damaged;
	for (int i = 7; i >= 0; i--)
		n = n << 8 | first[i];
	if (n > HEADER_MAX || n + 8 > (uint64_t)st.st_size)
		goto damaged;
	buf_reserve(&header, n + 1);
	if (fread(header.data, 1, n, file) != n)
		goto damaged;
	struct err ignored = {0};
	cJSON *all = json_parse(header.data, n, path, &ignored);
	const cJSON *item;
	cJSON_ArrayForEach(item, all)
	{
		const cJSON *end = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(item, "data_offsets"), 1);
		if (cJSON_IsNumber(end) && end->valuedouble > (double)last)
			last = (uint64_t)end->valuedouble;
	}
	bool whole = all && n + 8 + last == (uint64_t)st.st_size;
	cJSON_Delete(all);
	if (!whole)
		goto damaged;
	fclose(file);
	buf_release(&header);
	return 0;
damaged:
	if (file)
		fclose(file);
	buf_release(&header);
	return err_set(err, ERR_INPUT, "%s is missing or damaged", path);
}

static int verify_lines(const cJSON *card, const char *path, struct err *err)
{
	struct buf text = BUF_INIT;
	if (buf_read_file(&text, path, LINES_MAX, err) < 0) {
		buf_release(&text);
		return -1;
	}
	size_t n = 0;
	for (size_t i = 0; i < text.size; i++)
		n += text.data[i] == '\n' && i > 0 && text.data[i - 1] != '\n';
	bool ends = text.size == 0 || text.data[text.size - 1] == '\n';
	buf_release(&text);
	const cJSON *count = cJSON_GetObjectItemCaseSensitive(card, "count");
	if (cJSON_IsNumber(count) && (!ends || count->valuedouble != (double)n))
		return err_set(err, ERR_INPUT, "%s: expected %.0f lines as " ARTIFACT_CARD " says, found %zu%s", path,
			       count->valuedouble, n, ends ? "" : " and a part of one");
	return 0;
}

/* A folder whose card is older than digests. */
static int verify_unlisted(const struct artifact *a, const char *dir, struct err *err)
{
	if (a->kind == JOB_COMMAND)
		return err_set(err, ERR_INPUT, "%s/" ARTIFACT_CARD " does not name the files", dir);
	if (a->kind == JOB_DECODE) {
		char *path = fs_join(dir, "hypotheses.jsonl");
		int result = verify_lines(a->card, path, err);
		free(path);
		return result;
	}
	char *config = fs_join(dir, "adapter_config.json"), *weights = fs_join(dir, "adapter_model.safetensors");
	cJSON *object = json_read_file(config, CONFIG_MAX, err);
	int result = object ? verify_weights(weights, err) : -1;
	cJSON_Delete(object);
	free(config);
	free(weights);
	return result;
}

int artifact_verify(const struct artifact *a, const char *dir, enum artifact_depth depth, struct err *err)
{
	if (!a->listed)
		return verify_unlisted(a, dir, err);
	int result = 0;
	for (size_t i = 0; i < a->n_files && result == 0; i++) {
		char *path = fs_join(dir, a->files[i].name);
		result = verify_file(&a->files[i], path, depth, err);
		free(path);
	}
	return result;
}

enum artifact_state artifact_look(const char *dir, const char *key, enum job_kind kind, enum artifact_depth depth,
				  struct err *why)
{
	struct stat st;
	if (lstat(dir, &st) < 0 && errno == ENOENT)
		return ARTIFACT_ABSENT;
	struct artifact a;
	int result = artifact_read(&a, dir, key, why);
	if (result == 0 && a.kind != kind)
		result = err_set(why, ERR_INPUT, "%s holds %s, not %s", dir, artifact_kind_name(a.kind),
				 artifact_kind_name(kind));
	if (result == 0)
		result = artifact_verify(&a, dir, depth, why);
	artifact_release(&a);
	return result == 0 ? ARTIFACT_WHOLE : ARTIFACT_BROKEN;
}

struct commit {
	const char *key;
	enum job_kind kind;
};

/* Equal key, equal bytes: whoever came first has done the work, if what he left is whole. */
static bool stays(const char *place, void *ctx)
{
	const struct commit *c = ctx;
	struct err why = {0};
	return artifact_look(place, c->key, c->kind, ARTIFACT_BYTES, &why) == ARTIFACT_WHOLE;
}

int artifact_commit(struct fs_dir *d, const char *key, enum job_kind kind, const char *members, struct err *err)
{
	struct buf card = BUF_INIT;
	struct commit commit = {key, kind};
	buf_printf(&card, "{\"kind\":\"%s\",\"key\":", artifact_kind_name(kind));
	json_format_string(key, strlen(key), &card);
	if (members && members[0])
		buf_printf(&card, ",%s", members);
	buf_adds(&card, ",\"files\":{");
	size_t listed = 0;
	for (size_t i = 0; i < d->n_files; i++) {
		if (strcmp(d->files[i].name, "README.md") == 0)
			continue;
		if (listed++)
			buf_addc(&card, ',');
		json_format_string(d->files[i].name, strlen(d->files[i].name), &card);
		buf_printf(&card, ":{\"size\":%lld,\"sha256\":\"%s\"}", (long long)d->files[i].size,
			   d->files[i].sha256);
	}
	buf_adds(&card, "}}\n");
	int result = fs_dir_write(d, ARTIFACT_CARD, card.data, card.size, err);
	if (result == 0)
		result = fs_dir_commit(d, stays, &commit, err);
	buf_release(&card);
	return result;
}
