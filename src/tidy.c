/* tidy.c - see tidy.h. Everything here may be killed at any time: each thing that is removed was garbage before. */
#include "tidy.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/artifact.h"
#include "base/fs.h"
#include "base/mem.h"

#define KEY_LENGTH 64
#define LOG_PREFIX 16

void tidy_add(void *ctx, const char *key)
{
	struct tidy *t = ctx;
	MEM_PUSH_ROOM(t->keys, t->n_keys, t->room);
	t->keys[t->n_keys++] = mem_strdup(key);
}

void tidy_release(struct tidy *t)
{
	for (size_t i = 0; i < t->n_keys; i++)
		free(t->keys[i]);
	free(t->keys);
	t->keys = NULL;
	t->n_keys = t->room = 0;
}

/* Bytes of a file, or of all files in a folder. */
static int64_t size_of(const char *path)
{
	struct stat st;
	if (lstat(path, &st) < 0)
		return 0;
	if (!S_ISDIR(st.st_mode))
		return st.st_size;
	int64_t bytes = 0;
	DIR *d = opendir(path);
	struct dirent *entry;
	while (d && (entry = readdir(d))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		char *below = fs_join(path, entry->d_name);
		bytes += size_of(below);
		free(below);
	}
	if (d)
		closedir(d);
	return bytes;
}

static void take(struct tidy *t, const char *path, struct tidy_count *count)
{
	if (!fs_exists(path))
		return;
	int64_t bytes = size_of(path);
	if (!t->dry)
		fs_remove_tree(path);
	if (!t->dry && fs_exists(path)) /* no permission: it is not gone, and not counted */
		return;
	count->n++;
	count->bytes += bytes;
}

static bool is_key(const char *name)
{
	return strlen(name) == KEY_LENGTH && strspn(name, "0123456789abcdef") == KEY_LENGTH;
}

int tidy_garbage(struct tidy *t, struct err *err)
{
	for (size_t i = 0; i < t->n_keys; i++) {
		if (!is_key(t->keys[i]))
			continue;
		char *dir = fs_join(store_artifacts_dir(t->store), t->keys[i]);
		char *fresh = mem_printf("%s" FS_FRESH, dir), *aside = mem_printf("%s.unusable", dir);
		take(t, dir, &t->artifacts);
		take(t, fresh, &t->scratch);
		take(t, aside, &t->unusable);
		free(dir);
		free(fresh);
		free(aside);
	}
	return t->dry || !t->n_keys ? 0 : store_forget_garbage(t->store, err);
}

static bool ends(const char *name, const char *with)
{
	size_t n = strlen(name), k = strlen(with);
	return n > k && strcmp(name + n - k, with) == 0;
}

/* <key>.fresh is somebody's while what it is to replace waits for it. */
static bool fresh_is_needed(const struct tidy *t, const char *name)
{
	char *key = mem_strndup(name, strlen(name) - strlen(FS_FRESH));
	bool needed = is_key(key) && store_again_artifact(t->store, key, false);
	free(key);
	return needed;
}

static int by_key(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* store_remove tells them in order. */
static bool listed(const struct tidy *t, const char *key)
{
	return t->n_keys && bsearch(&key, t->keys, t->n_keys, sizeof *t->keys, by_key);
}

/* A folder without a row: whole, it is what a later sweep may adopt. */
static void look_at_folder(struct tidy *t, const char *key, const char *path)
{
	struct err why = {0};
	if (store_has_artifact(t->store, key) || listed(t, key))
		return;
	bool whole = artifact_look(path, key, JOB_TRAIN, ARTIFACT_SIZES, &why) == ARTIFACT_WHOLE ||
		     artifact_look(path, key, JOB_DECODE, ARTIFACT_SIZES, &why) == ARTIFACT_WHOLE ||
		     artifact_look(path, key, JOB_COMMAND, ARTIFACT_SIZES, &why) == ARTIFACT_WHOLE;
	if (whole && !t->all) {
		t->kept.n++;
		t->kept.bytes += size_of(path);
	} else {
		take(t, path, whole ? &t->artifacts : &t->unusable);
	}
}

/* Our own names only: what people put there is theirs. */
static void look_at(struct tidy *t, const char *name, const char *path)
{
	char key[KEY_LENGTH + 1] = "";
	if (strlen(name) > KEY_LENGTH)
		memcpy(key, name, KEY_LENGTH);
	const char *rest = is_key(key) ? name + KEY_LENGTH : "";
	if (is_key(name))
		look_at_folder(t, name, path);
	else if ((strcmp(rest, ".unusable") == 0 || strcmp(rest, FS_FRESH ".unusable") == 0) && !listed(t, key))
		take(t, path, &t->unusable);
	else if (strcmp(rest, FS_FRESH) == 0 && !listed(t, key) && !fresh_is_needed(t, name))
		take(t, path, &t->scratch);
	else if (strstr(rest, ".tmp."))
		take(t, path, &t->scratch);
}

/* <first digits of a job's key>.<attempt>.log: stays while its job is not done with, or what it made is there. */
static bool log_is_needed(const struct tidy *t, const char *name)
{
	char prefix[LOG_PREFIX + 1] = "";
	if (strcspn(name, ".") != LOG_PREFIX || strspn(name, "0123456789abcdef") != LOG_PREFIX || !ends(name, ".log"))
		return true; /* none of ours */
	memcpy(prefix, name, LOG_PREFIX);
	return store_needs_log(t->store, prefix);
}

static void look_at_job_file(struct tidy *t, const char *name, const char *path)
{
	if (ends(name, ".json"))
		take(t, path, &t->files);
}

static void look_at_log(struct tidy *t, const char *name, const char *path)
{
	if (!log_is_needed(t, name))
		take(t, path, &t->files);
}

/* Everything in a folder; a missing one is fine. */
static int each(struct tidy *t, const char *dir, void (*look)(struct tidy *t, const char *name, const char *path),
		struct err *err)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	if (!d)
		return errno == ENOENT ? 0 : err_errno(err, "cannot read the folder %s", dir);
	while ((entry = readdir(d))) {
		if (entry->d_name[0] == '.')
			continue;
		char *path = fs_join(dir, entry->d_name);
		look(t, entry->d_name, path);
		free(path);
	}
	closedir(d);
	return 0;
}

int tidy_folder(struct tidy *t, struct err *err)
{
	const char *dir = store_artifacts_dir(t->store);
	char *jobs = fs_join(dir, "jobs"), *logs = fs_join(dir, "logs");
	int result = each(t, dir, look_at, err) < 0 || each(t, jobs, look_at_job_file, err) < 0 ||
				     each(t, logs, look_at_log, err) < 0
			     ? -1
			     : 0;
	free(jobs);
	free(logs);
	return result;
}
