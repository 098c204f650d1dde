/* hub_transfer.c - lock, resume, verify, rename; between the protocol (hub_http.c) and the folders (hub_cache.c).
 *
 * The bytes go to <place>.incomplete, the name that huggingface_hub uses, so that either side resumes what the other
 * left. Whatever the network did, only bytes with the announced hash get the final name; wrong ones are thrown away and
 * fetched once more from the start (a broken part may be left over from another day), then given up. */
#include "hub_transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "hub_cache.h"

#define LOCK_POLL_MS 100

/* The descriptor of the lock, or -1 with answer->trouble. */
static int take_lock(const struct hub_transfer *t, struct hub_answer *answer, struct err *err)
{
	bool told = false;
	answer->trouble = HUB_LOCAL;
	for (;;) {
		int fd = hub_cache_try_lock(t->lock, err);
		if (fd != HUB_CACHE_HELD)
			return fd;
		if (!told)
			hub_http_notice(t->http, "another process is fetching %s; waiting for it", t->file);
		told = true;
		if (hub_http_sleep(t->http, LOCK_POLL_MS) < 0) {
			answer->trouble = HUB_CANCELLED;
			return err_set(err, ERR_SYSTEM, "interrupted while another process was fetching %s", t->file);
		}
	}
}

static bool in_place(const struct hub_transfer *t)
{
	struct stat st;
	char found[65];
	bool right = true;
	struct err ignored = {0};
	if (stat(t->place, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size != t->size)
		return false;
	return !t->verify || (hub_cache_verify(t->place, t->digest, &right, found, &ignored) == 0 && right);
}

static int check_room(const struct hub_transfer *t, int fd, struct err *err)
{
	struct stat st;
	struct statvfs fs;
	if (fstat(fd, &st) < 0 || fstatvfs(fd, &fs) < 0 || fs.f_blocks == 0 || st.st_size >= t->size)
		return 0; /* not known: the write will tell */
	double need = (double)(t->size - st.st_size), room = (double)fs.f_bavail * (double)fs.f_frsize;
	if (need <= room)
		return 0;
	return err_set(err, ERR_SYSTEM, "no room on the disk: %s needs %.1f MB more at %s, and %.1f MB are free",
		       t->file, need / 1e6, t->place, room / 1e6);
}

/* One try: the bytes into .incomplete, checked and renamed. */
static int try_once(const struct hub_transfer *t, const char *scratch, struct hub_answer *answer, struct err *err)
{
	struct hub_progress end = {.state = HUB_END, .file = t->file, .done = t->size, .total = t->size};
	char found[65];
	bool right = false;
	answer->trouble = HUB_LOCAL;
	int fd = open(scratch, O_WRONLY | O_CREAT | O_CLOEXEC, 0666), result = -1;
	if (fd < 0)
		return err_errno(err, "cannot write %s", scratch);
	if (check_room(t, fd, err) < 0 ||
	    hub_http_get(t->http, t->url, t->with_token, t->file, fd, t->size, answer, err) < 0)
		goto out;
	answer->trouble = HUB_LOCAL;
	if (fsync(fd) < 0) {
		err_errno(err, "cannot write %s", scratch);
		goto out;
	}
	if (hub_cache_verify(scratch, t->digest, &right, found, err) < 0)
		goto out;
	if (!right) {
		answer->trouble = HUB_DAMAGED;
		err_set(err, ERR_SYSTEM, "%s: the %s of what came is %s, and %s was announced", t->file,
			strlen(t->digest) == 64 ? "SHA-256" : "git SHA-1", found, t->digest);
		goto out;
	}
	if (rename(scratch, t->place) < 0) {
		err_errno(err, "cannot rename %s", scratch);
		goto out;
	}
	answer->trouble = HUB_FINE;
	result = 0;
out:
	if (result < 0) /* whatever it was: a bar that was drawn is wiped */
		end.state = HUB_FAIL;
	end.resumed = answer->resumed;
	hub_http_show(t->http, &end);
	close(fd);
	return result;
}

int hub_transfer_run(const struct hub_transfer *t, struct hub_answer *answer, struct err *err)
{
	*answer = (struct hub_answer){.trouble = HUB_LOCAL, .size = -1};
	char *scratch = mem_printf("%s.incomplete", t->place);
	char *parent = mem_strndup(t->place, (size_t)(strrchr(t->place, '/') - t->place));
	int result = fs_make_dirs(parent, err), lock = -1;
	if (result == 0)
		result = lock = take_lock(t, answer, err);
	if (lock >= 0) {
		result = 0;
		if (in_place(t)) {
			answer->trouble = HUB_FINE;
			goto out;
		}
		result = try_once(t, scratch, answer, err);
		if (result < 0 && answer->trouble == HUB_DAMAGED) {
			hub_http_notice(t->http, "%s; fetching it once more from the start", err->text);
			unlink(scratch);
			*err = (struct err){0};
			result = try_once(t, scratch, answer, err);
			if (result < 0 && answer->trouble == HUB_DAMAGED) {
				unlink(scratch);
				char said[sizeof err->text];
				memcpy(said, err->text, sizeof said);
				err_set(err, ERR_SYSTEM,
					"%.1000s; twice, so nothing of it was kept: try again later, or "
					"another HF_ENDPOINT",
					said);
			}
		}
	}
out:
	if (result == 0) {
		int folder = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* the rename survives a power cut */
		if (folder >= 0) {
			fsync(folder);
			close(folder);
		}
	}
	hub_cache_unlock(lock);
	free(parent);
	free(scratch);
	return result;
}
