/* store_digest.c - digests of files: those of the model and the data, so that a large one is read once, and those of the
 * artifacts, so that damage is noticed. A file is the one that was read as long as its device, inode, size, mtime and
 * ctime are: whoever writes into it changes the ctime, which nobody can set back. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/artifact.h"
#include "base/hash.h"
#include "base/mem.h"
#include "store_internal.h"

struct identity {
	int64_t size, device, inode, mtime_ns, ctime_ns;
};

static int64_t nanoseconds(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool identify(const char *path, struct identity *id)
{
	struct stat st;
	if (stat(path, &st) < 0)
		return false;
	*id = (struct identity){st.st_size, (int64_t)st.st_dev, (int64_t)st.st_ino, nanoseconds(st.st_mtim),
				nanoseconds(st.st_ctim)};
	return true;
}

bool store_digest_get(struct store *s, const char *path, char hex[HASH_HEX])
{
	struct identity id;
	struct err err = {0};
	if (!identify(path, &id))
		return false;
	sqlite3_stmt *q = store_ask(s, &err,
				    "SELECT sha256 FROM digests WHERE path = ?1 AND size = ?2 AND device = ?3 AND "
				    "inode = ?4 AND mtime_ns = ?5 AND ctime_ns = ?6",
				    "tiiiii", path, id.size, id.device, id.inode, id.mtime_ns, id.ctime_ns);
	if (!q)
		return false;
	bool found = store_step(s, q, &err) > 0 && sqlite3_column_bytes(q, 0) == HASH_HEX - 1;
	if (found)
		memcpy(hex, sqlite3_column_text(q, 0), HASH_HEX);
	sqlite3_reset(q);
	return found;
}

int store_digest_put(struct store *s, const char *path, const char *hex, struct err *err)
{
	struct identity id;
	if (!identify(path, &id))
		return err_errno(err, "cannot open %s", path);
	if (store_begin(s, STORE_LAZY, err) < 0)
		return -1;
	int result = store_do(s, err,
			      "INSERT OR REPLACE INTO digests(path, size, device, inode, mtime_ns, ctime_ns, sha256) "
			      "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
			      "tiiiiit", path, id.size, id.device, id.inode, id.mtime_ns, id.ctime_ns, hex);
	return store_finish(s, result, err);
}

static int put_file(struct store *s, int64_t artifact, const char *dir, const char *name, const char *sha256,
		    struct err *err)
{
	struct identity id = {0};
	char hex[HASH_HEX], *path = fs_join(dir, name);
	int result = identify(path, &id) ? 0 : err_errno(err, "cannot look at %s", path);
	if (result == 0 && !sha256[0])
		result = hash_file(path, hex, err);
	if (result == 0)
		result = store_do(s, err,
				  "INSERT INTO artifact_files(artifact_id, name, size, sha256, device, inode, "
				  "mtime_ns, ctime_ns) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
				  "ititiiii", artifact, name, id.size, sha256[0] ? sha256 : hex, id.device, id.inode,
				  id.mtime_ns, id.ctime_ns);
	free(path);
	return result;
}

int store_put_files(struct store *s, int64_t id, const struct artifact *artifact, const char *dir, struct err *err)
{
	if (store_do(s, err, "DELETE FROM artifact_files WHERE artifact_id = ?1", "i", id) < 0 ||
	    put_file(s, id, dir, ARTIFACT_CARD, "", err) < 0)
		return -1;
	for (size_t i = 0; i < artifact->n_files; i++)
		if (put_file(s, id, dir, artifact->files[i].name, artifact->files[i].sha256, err) < 0)
			return -1;
	return 0;
}

static bool same(const struct identity *a, const struct identity *b)
{
	return a->size == b->size && a->device == b->device && a->inode == b->inode && a->mtime_ns == b->mtime_ns &&
	       a->ctime_ns == b->ctime_ns;
}

/* One row of artifact_files, at which q stands. */
static int check_file(struct store *s, sqlite3_stmt *q, int64_t id, const char *dir, bool all, struct err *err)
{
	char *path = fs_join(dir, (const char *)sqlite3_column_text(q, 0)), hex[HASH_HEX];
	const char *name = (const char *)sqlite3_column_text(q, 0);
	const char *sha256 = (const char *)sqlite3_column_text(q, 2);
	struct identity then = {sqlite3_column_int64(q, 1), sqlite3_column_int64(q, 3), sqlite3_column_int64(q, 4),
				sqlite3_column_int64(q, 5), sqlite3_column_int64(q, 6)},
			now;
	int result = 0;
	if (!identify(path, &now))
		result = err_set(err, ERR_INPUT, "%s is missing", path);
	else if (now.size != then.size)
		result = err_set(err, ERR_INPUT, "%s has %lld bytes, it was made with %lld", path, (long long)now.size,
				 (long long)then.size);
	else if (all || !same(&now, &then)) {
		result = hash_file(path, hex, err);
		if (result == 0 && strcmp(hex, sha256) != 0)
			result = err_set(err, ERR_INPUT, "%s does not have the bytes that it was made with", path);
		else if (result == 0 && !same(&now, &then) && s->mode == STORE_WRITE)
			result = store_do(s, err,
					  "UPDATE artifact_files SET device = ?3, inode = ?4, mtime_ns = ?5, "
					  "ctime_ns = ?6 WHERE artifact_id = ?1 AND name = ?2",
					  "itiiii", id, name, now.device, now.inode, now.mtime_ns, now.ctime_ns);
	}
	free(path);
	return result;
}

int store_check_files(struct store *s, int64_t id, const char *dir, bool all, bool *known, struct err *err)
{
	sqlite3_stmt *q = store_ask(s, err,
				    "SELECT name, size, sha256, device, inode, mtime_ns, ctime_ns FROM artifact_files "
				    "WHERE artifact_id = ?1",
				    "i", id);
	int got = q ? 1 : -1, result = 0;
	*known = false;
	while (result == 0 && q && (got = store_step(s, q, err)) > 0) {
		*known = true;
		result = check_file(s, q, id, dir, all, err);
	}
	if (q)
		sqlite3_reset(q);
	return result < 0 || got < 0 ? -1 : 0;
}

bool store_card_is_known(struct store *s, int64_t id, const char *dir)
{
	struct identity now;
	struct err err = {0};
	int64_t one;
	char *path = fs_join(dir, ARTIFACT_CARD);
	bool there = identify(path, &now);
	free(path);
	return there && store_int(s, &err, &one,
				  "SELECT 1 FROM artifact_files WHERE artifact_id = ?1 AND name = '" ARTIFACT_CARD
				  "' AND size = ?2 AND device = ?3 AND inode = ?4 AND mtime_ns = ?5 AND ctime_ns = ?6",
				  "iiiiii", id, now.size, now.device, now.inode, now.mtime_ns, now.ctime_ns) > 0;
}
