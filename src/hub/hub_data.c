/* hub_data.c - pinned datasets: a table of names, addresses, sizes and SHA-256, and two small loops over it.
 *
 * Pinned, because a score means nothing when the data may change under it. The token is never sent there: these are
 * public files on another host. SWEEP_E2E_ENDPOINT replaces the address up to the file's path (a mirror, a test). */
#include "hub_data.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/mem.h"
#include "hub_transfer.h"

struct pinned_file {
	const char *path; /* below the address */
	const char *name; /* in our folder */
	const char *sha256;
	int64_t size;
};

struct pinned {
	const char *name, *endpoint, *variable, *credit;
	struct pinned_file files[8]; /* ends with a NULL */
};

static const struct pinned datasets[] = {
	{"e2e",
	 "https://raw.githubusercontent.com/anoopsarkar/nlp-class-hw/0f9bf7fe56e013ba909d08e0e1a7cba83ef6d88b/"
	 "prefixtune/data",
	 "SWEEP_E2E_ENDPOINT",
	 "the E2E NLG challenge data (Novikova, Dusek, Rieser 2017; CC BY-SA 4.0)",
	 {{"train.txt.gz", "train.txt.gz", "b634e6e3bf27b21d2f74d291d40d4c882f6d390c9aaf9018abded88892d1c030", 1285680},
	  {"input/dev.txt", "dev.txt", "d84190f9ee6bdce7726e9e81810dc9fad2567906288ed449d0c7d858a57f7b25", 73533},
	  {"reference/dev.out", "dev.out", "831f7b2b4f882d0f8bdf0c6bb10fc6898ccc16e98e1b55907032e543d2e3386b", 1215840},
	  {"input/small.txt", "small.txt", "77dc905f80e6d754f6a9b39609fe7f069add2d53955dda66d668d87ba68180b9", 818},
	  {"reference/small.out", "small.out", "149395bffcfbc17320bf2252e4a184952557ed4449355e0b7b3177736b8d12d0",
	   22685},
	  {NULL, NULL, NULL, 0}}},
};

static const struct pinned *find_pinned(const char *name)
{
	for (size_t i = 0; i < sizeof datasets / sizeof *datasets; i++)
		if (strcmp(datasets[i].name, name) == 0)
			return &datasets[i];
	return NULL;
}

bool hub_data_is_name(const char *name)
{
	return find_pinned(name) != NULL;
}

static char *folder_of(const struct hub_env *env, const struct pinned *data)
{
	return mem_printf("%s/sweep/datasets/%s", env->assets, data->name);
}

char *hub_data_find(const struct hub_env *env, const char *name, struct err *err)
{
	const struct pinned *data = find_pinned(name);
	if (!data) {
		err_set(err, ERR_INPUT, "there is no dataset `%s`", name);
		return NULL;
	}
	char *dir = folder_of(env, data);
	for (const struct pinned_file *f = data->files; f->path; f++) {
		char *path = fs_join(dir, f->name);
		struct stat st;
		bool there = stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == f->size;
		free(path);
		if (!there) {
			err_set(err, ERR_INPUT,
				"the dataset `%s` is not complete in the cache (%s lacks %s); `sweep fetch %s` "
				"brings it",
				name, dir, f->name, name);
			free(dir);
			return NULL;
		}
	}
	return dir;
}

static int fetch_one(const struct pinned_file *file, const char *endpoint, const char *dir, struct hub_http *http,
		     struct err *err)
{
	struct hub_answer answer;
	char *url = mem_printf("%s/%s", endpoint, file->path), *place = fs_join(dir, file->name);
	char *lock = mem_printf("%s/.locks/%s.lock", dir, file->name);
	struct hub_transfer t = {.http = http,
				 .url = url,
				 .file = file->name,
				 .place = place,
				 .lock = lock,
				 .digest = file->sha256,
				 .size = file->size,
				 .verify = true};
	int result = hub_transfer_run(&t, &answer, err);
	if (result < 0 && answer.trouble == HUB_REFUSED)
		err_set(err, ERR_INPUT, "%s cannot be had from %s: the server answers %d", file->name, url,
			answer.status);
	free(lock);
	free(place);
	free(url);
	return result;
}

int hub_data_fetch(const struct hub_env *env, const char *name, struct hub_http *http, char **dir, struct err *err)
{
	const struct pinned *data = find_pinned(name);
	if (!data)
		return err_set(err, ERR_INPUT, "there is no dataset `%s`", name);
	const char *mirror = getenv(data->variable);
	char *endpoint = mem_strdup(mirror && *mirror ? mirror : data->endpoint);
	for (size_t n = strlen(endpoint); n && endpoint[n - 1] == '/'; n--)
		endpoint[n - 1] = '\0';
	char *place = folder_of(env, data);
	int result = 0;
	for (const struct pinned_file *f = data->files; f->path && result == 0; f++)
		result = fetch_one(f, endpoint, place, http, err);
	free(endpoint);
	if (result < 0) {
		free(place);
		return -1;
	}
	hub_http_notice(http, "%s: %s", name, data->credit);
	*dir = place;
	return 0;
}
