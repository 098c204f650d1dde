/* input.c - has a file changed?; see input.h. */
#include "input.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static int64_t nanoseconds(const struct timespec *t)
{
	return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

#define SECOND INT64_C(1000000000)

/* Until when a further change could carry the same time: the kernel stamps files with the clock of its last tick, and
 * where the nanoseconds are 0 the file system has none to keep (FAT counts by two seconds). */
static bool may_hide_a_change(const struct stat *st)
{
	struct timespec tick;
	clock_gettime(CLOCK_REALTIME_COARSE, &tick);
	int64_t now = nanoseconds(&tick), changed = nanoseconds(&st->st_ctim);
	if (changed > now + 2 * SECOND)
		return false; /* somebody else's clock: waiting brings nothing */
	return st->st_ctim.tv_nsec == 0 ? now < changed + 2 * SECOND : now <= changed;
}

int input_look(const char *path, char look[INPUT_LOOK], struct err *err)
{
	struct stat st;
	for (;;) {
		if (stat(path, &st) < 0) {
			look[0] = '\0';
			return errno == ENOENT || errno == ENOTDIR ? 0 : err_errno(err, "cannot look at %s", path);
		}
		if (!may_hide_a_change(&st))
			break;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	snprintf(look, INPUT_LOOK, "%llx %llx %llx %llx %llx", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino, (unsigned long long)st.st_size,
		 (unsigned long long)nanoseconds(&st.st_mtim), (unsigned long long)nanoseconds(&st.st_ctim));
	return 0;
}

static int changed(const struct input *in, const char *how, struct err *err)
{
	return err_set(err, ERR_CHANGED, "%s changed while the sweep ran (%s)", in->path, how);
}

int input_check(struct input *in, struct err *err)
{
	char look[INPUT_LOOK], again[INPUT_LOOK], digest[HASH_HEX], how[128];
	struct err why = {0};
	if (input_look(in->path, look, &why) < 0)
		return changed(in, why.text, err);
	if (!in->sha256[0])
		return look[0] ? changed(in, "it was not there before", err) : 0;
	if (!look[0])
		return changed(in, "it is gone", err);
	if (strcmp(look, in->seen) == 0)
		return 0;
	if (hash_file(in->path, digest, &why) < 0 || input_look(in->path, again, &why) < 0)
		return changed(in, why.text, err);
	if (strcmp(look, again) != 0)
		return changed(in, "somebody writes to it", err);
	if (strcmp(digest, in->sha256) != 0) {
		snprintf(how, sizeof how, "its digest was %.12s, now it is %.12s", in->sha256, digest);
		return changed(in, how, err);
	}
	memcpy(in->seen, look, sizeof look);
	return 0;
}

int input_check_all(struct input *inputs, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++)
		if (input_check(&inputs[i], err) < 0)
			return -1;
	return 0;
}
