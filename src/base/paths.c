/* paths.c - where the runner and the bundled files are; see paths.h.
 *
 * Everything is found from /proc/self/exe (Linux), so that an installed tree can be moved and a build tree works
 * without being installed:
 *
 *     build/<preset>/sweep     runner beside it; bundled files in the source tree, two or more folders above
 *     <prefix>/bin/sweep       runner in ../libexec/sweep/; bundled files in ../share/sweep/
 *
 * SWEEP_RUNNER and SWEEP_HOME win over both: for tests, and for people who know better. */
#include "paths.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs.h"
#include "mem.h"

/* The folder of the running executable. NULL and a sentence when /proc is not there. */
static char *own_folder(struct err *err)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
	if (n <= 0) {
		err_errno(err, "cannot find where `sweep` itself lies (/proc/self/exe)");
		return NULL;
	}
	path[n] = '\0';
	char *slash = strrchr(path, '/');
	slash[slash == path] = '\0';
	return mem_strdup(path);
}

static char *take_if(char *path, bool good)
{
	if (good)
		return path;
	free(path);
	return NULL;
}

static char *executable(char *path)
{
	return take_if(path, !fs_is_dir(path) && access(path, X_OK) == 0);
}

char *paths_runner(struct err *err)
{
	const char *named = getenv("SWEEP_RUNNER");
	if (named && *named) {
		char *path = executable(fs_absolute(named));
		if (!path)
			err_set(err, ERR_INPUT, "SWEEP_RUNNER names %s, which is not an executable file", named);
		return path;
	}
	char *folder = own_folder(err);
	if (!folder)
		return NULL;
	char *path = executable(fs_join(folder, "sweep-runner"));
	if (!path)
		path = executable(mem_printf("%s/../libexec/sweep/sweep-runner", folder));
	if (!path)
		err_set(err, ERR_INPUT,
			"the program sweep-runner is missing: it belongs into %s or %s/../libexec/sweep; build or "
			"install it, "
			"or name it in SWEEP_RUNNER",
			folder, folder);
	free(folder);
	return path;
}

char *paths_bundled(const char *name, struct err *err)
{
	const char *home = getenv("SWEEP_HOME");
	if (home && *home) {
		char *root = fs_absolute(home), *path = fs_join(root, name);
		free(root);
		path = take_if(path, fs_exists(path));
		if (!path)
			err_set(err, ERR_INPUT, "SWEEP_HOME names %s, which has no %s", home, name);
		return path;
	}
	char *folder = own_folder(err);
	if (!folder)
		return NULL;
	/* The installed place first: /usr/local/runner/demo is nobody's. Then upwards through the build tree. */
	char *path = mem_printf("%s/../share/sweep/%s", folder, name);
	path = take_if(path, fs_exists(path));
	char *up = mem_strdup(folder);
	for (char *slash; !path && (slash = strrchr(up, '/')) && slash != up;) {
		*slash = '\0';
		path = mem_printf("%s/%s", up, name);
		path = take_if(path, fs_exists(path));
	}
	free(up);
	if (!path)
		err_set(err, ERR_INPUT,
			"the bundled %s is missing: it was looked for above %s and in %s/../share/sweep", name, folder,
			folder);
	free(folder);
	char *real = path ? realpath(path, NULL) : NULL; /* without "bin/../share" in every message */
	if (!real)
		return path;
	free(path);
	return real;
}
