/* sources.c - names and paths of a sweep file, found on this machine; see sources.h.
 *
 * Between spec.c and plan.c. Paths are relative to the sweep file's folder, because a sweep file is moved together with
 * its data; a model folder is also looked for from where the person stands. What is not on this machine yet is no
 * error here: `sweep run` may fetch it, and asks again. */
#include "sources.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/paths.h"
#include "spec.h"

/* An absolute path with "a/../" and "./" taken out by name alone, for messages and keys of job files that people read.
 */
static char *tidy(struct sources *sources, char *path)
{
	char *out = arena_alloc(&sources->arena, strlen(path) + 2);
	size_t n = 0;
	for (const char *p = path; *p;) {
		size_t slashes = strspn(p, "/"), length = strcspn(p + slashes, "/");
		const char *part = p + slashes;
		if (length == 2 && memcmp(part, "..", 2) == 0) {
			while (n > 0 && out[--n] != '/')
				;
		} else if (length && !(length == 1 && *part == '.')) {
			out[n++] = '/';
			memcpy(out + n, part, length);
			n += length;
		}
		p = part + length;
	}
	if (n == 0)
		out[n++] = '/';
	out[n] = '\0';
	/* a link on the way makes the two differ: then the path stays as it was */
	struct stat a, b;
	if (stat(path, &a) == 0 && (stat(out, &b) < 0 || a.st_ino != b.st_ino || a.st_dev != b.st_dev))
		out = arena_strdup(&sources->arena, path);
	free(path);
	return out;
}

static int find_file(struct sources *sources, const struct spec *spec, const struct spec_file *file, const char *what,
		     char **found, struct err *err)
{
	if (!file->path)
		return 0;
	const struct spec_at *at = &file->at;
	*found = tidy(sources, fs_join(spec->folder, file->path));
	int fd = open(*found, O_RDONLY | O_CLOEXEC | O_NONBLOCK), result = 0;
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		result = err_at(err, at->file, at->line, at->column, "%s: cannot open %s: %s", what, *found,
				strerror(errno));
	else if (!S_ISREG(st.st_mode))
		result = err_at(err, at->file, at->line, at->column, "%s: %s is not a plain file", what, *found);
	char magic[4];
	if (result == 0 && pread(fd, magic, 4, 0) == 4 && memcmp(magic, COLUMNS_PARQUET_MAGIC, 4) == 0)
		result =
			err_at(err, at->file, at->line, at->column, "%s: %s is %s", what, *found, COLUMNS_PARQUET_HELP);
	if (fd >= 0)
		close(fd);
	return result;
}

static struct columns_map columns_of(const struct spec *spec, const struct spec_file *file)
{
	struct columns_map columns = spec->columns;
	columns.format = columns.input && file->path ? columns_format_of(file->path) : COLUMNS_NONE;
	return columns.format ? columns : (struct columns_map){0};
}

/* ------------------------------------------------------------------------------------------------ model */

/* 1: it is a model folder; 0: no such folder; -1: a folder, but no model. */
static int try_folder(struct sources *sources, const struct spec *spec, char *dir, struct err *err)
{
	if (!fs_is_dir(dir)) {
		free(dir);
		return 0;
	}
	const struct spec_at *at = &spec->model_at;
	char *tidied = tidy(sources, dir), *config = fs_join(tidied, "config.json");
	bool there = fs_exists(config);
	free(config);
	if (!there)
		return err_at(err, at->file, at->line, at->column,
			      "model: %s has no config.json; expected a folder in Hugging Face format", tidied);
	sources->model = tidied;
	return 1;
}

static char *take(struct sources *sources, char *text)
{
	char *taken = text ? arena_strdup(&sources->arena, text) : NULL;
	free(text);
	return taken;
}

static int find_model(struct sources *sources, const struct spec *spec, const struct sources_lookup *cache,
		      struct err *err)
{
	if (strcmp(spec->model, "demo") == 0) {
		sources->model = take(sources, paths_bundled("runner/demo", err));
		return sources->model ? 0 : -1;
	}
	int here = try_folder(sources, spec, fs_join(spec->folder, spec->model), err);
	if (here == 0)
		here = try_folder(sources, spec, fs_absolute(spec->model), err);
	if (here)
		return here < 0 ? -1 : 0;
	if (!cache->is_model(spec->model))
		return err_at(err, spec->model_at.file, spec->model_at.line, spec->model_at.column,
			      "model: `%s` is no folder, and not the name of a model on the Hub", spec->model);
	sources->model = take(sources, cache->model(spec->model));
	sources->model_of_hub = true;
	return 0;
}

/* ------------------------------------------------------------------------------------------------ dataset */

static int find_named(struct sources *sources, const struct spec *spec, const struct sources_lookup *cache,
		      struct err *err)
{
	bool bundled = strcmp(spec->dataset, "demo") == 0;
	char *folder = take(sources, bundled ? paths_bundled("sweeps/data", err) : cache->dataset(spec->dataset));
	if (!folder) {
		sources->dataset_missing = !bundled;
		return bundled ? -1 : 0;
	}
	sources->train = arena_printf(&sources->arena, "%s/%s", folder, bundled ? "train.txt" : "train.txt.gz");
	for (size_t i = 0; i < spec->n_splits; i++) {
		struct job_split *split = &sources->splits[i];
		split->input = arena_printf(&sources->arena, "%s/%s.txt", folder, split->name);
		split->references = arena_printf(&sources->arena, "%s/%s.out", folder, split->name);
	}
	return 0;
}

static int find_dataset(struct sources *sources, const struct spec *spec, const struct sources_lookup *cache,
			struct err *err)
{
	if (spec->dataset)
		return find_named(sources, spec, cache, err);
	int result = find_file(sources, spec, &spec->train, "dataset.train", &sources->train, err);
	sources->train_columns = columns_of(spec, &spec->train);
	for (size_t i = 0; i < spec->n_splits && result == 0; i++) {
		const struct spec_split *split = &spec->splits[i];
		char *input = mem_printf("dataset.eval.%s.input", split->name),
		     *references = mem_printf("dataset.eval.%s.references", split->name);
		if (find_file(sources, spec, &split->input, input, &sources->splits[i].input, err) < 0 ||
		    find_file(sources, spec, &split->references, references, &sources->splits[i].references, err) < 0)
			result = -1;
		struct job_split *to = &sources->splits[i];
		to->columns = columns_of(spec, &split->input);
		if (to->columns.format && split->scored)
			to->references = to->input;
		else
			to->columns.target = NULL;
		free(input);
		free(references);
	}
	return result;
}

int sources_find(struct sources *sources, const struct spec *spec, const struct sources_lookup *cache, struct err *err)
{
	*sources = (struct sources){0};
	sources->splits = arena_array(&sources->arena, spec->n_splits, sizeof *sources->splits);
	for (size_t i = 0; i < spec->n_splits; i++)
		sources->splits[i] = (struct job_split){.name = spec->splits[i].name, .limit = spec->splits[i].limit};
	if (find_model(sources, spec, cache, err) == 0 && find_dataset(sources, spec, cache, err) == 0)
		return 0;
	sources_release(sources);
	return -1;
}

void sources_release(struct sources *sources)
{
	arena_release(&sources->arena);
	*sources = (struct sources){0};
}
