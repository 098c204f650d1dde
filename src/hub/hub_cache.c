/* hub_cache.c - the shared cache on disk; see hub_cache.h for the picture.
 *
 * Everything that a reader may look at appears by rename: refs, blobs and links. Names that a server chose (etags,
 * commits, file names) become parts of paths here, so each is checked before: hub_cache_is_hex, hub_cache_is_path. */
#include "hub_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"

#define BLOCK ((size_t)1 << 20)

void hub_cache_open(struct hub_cache *repo, const char *cache, bool dataset, const char *id)
{
	struct buf name = BUF_INIT;
	buf_adds(&name, dataset ? "datasets--" : "models--");
	for (const char *p = id; *p; p++) {
		if (*p == '/')
			buf_adds(&name, "--");
		else
			buf_addc(&name, *p);
	}
	repo->root = fs_join(cache, name.data);
	repo->locks = mem_printf("%s/.locks/%s", cache, name.data);
	buf_release(&name);
}

void hub_cache_close(struct hub_cache *repo)
{
	free(repo->root);
	free(repo->locks);
	*repo = (struct hub_cache){0};
}

bool hub_cache_is_hex(const char *text, size_t n)
{
	return strlen(text) == n && strspn(text, "0123456789abcdef") == n;
}

bool hub_cache_is_path(const char *text)
{
	size_t n = strlen(text);
	if (n == 0 || n > 1024 || text[n - 1] == '/')
		return false;
	for (const char *part = text; part;) {
		size_t length = strcspn(part, "/");
		if (length == 0 || length > 200 || (length == 1 && part[0] == '.') ||
		    (length == 2 && part[0] == '.' && part[1] == '.'))
			return false;
		part = part[length] ? part + length + 1 : NULL;
	}
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 127 || *p == '\\')
			return false;
	return true;
}

bool hub_cache_commit(const struct hub_cache *repo, const char *revision, char commit[HUB_COMMIT])
{
	if (hub_cache_is_hex(revision, HUB_COMMIT - 1)) {
		memcpy(commit, revision, HUB_COMMIT);
		return true;
	}
	char *path = mem_printf("%s/refs/%s", repo->root, revision);
	struct buf text = BUF_INIT;
	struct err ignored = {0};
	bool known = buf_read_file(&text, path, 256, &ignored) == 0 && text.data;
	if (known) {
		text.data[strcspn(text.data, " \r\n")] = '\0';
		known = hub_cache_is_hex(text.data, HUB_COMMIT - 1);
	}
	if (known)
		memcpy(commit, text.data, HUB_COMMIT);
	buf_release(&text);
	free(path);
	return known;
}

static int make_parent(const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/');
	char *parent = mem_strndup(path, (size_t)(slash - path));
	int result = fs_make_dirs(parent, err);
	free(parent);
	return result;
}

int hub_cache_write_ref(const struct hub_cache *repo, const char *revision, const char *commit, struct err *err)
{
	char known[HUB_COMMIT];
	if (hub_cache_commit(repo, revision, known) && strcmp(known, commit) == 0)
		return 0; /* nothing to write: the cache may be read-only */
	char *path = mem_printf("%s/refs/%s", repo->root, revision);
	int result = make_parent(path, err) < 0 ? -1 : fs_write_file(path, commit, strlen(commit), err);
	free(path);
	return result;
}

char *hub_cache_snapshot(const struct hub_cache *repo, const char *commit, const char *file)
{
	return mem_printf("%s/snapshots/%s%s%s", repo->root, commit, *file ? "/" : "", file);
}

char *hub_cache_blob(const struct hub_cache *repo, const char *etag)
{
	return mem_printf("%s/blobs/%s", repo->root, etag);
}

char *hub_cache_lock_path(const struct hub_cache *repo, const char *etag)
{
	return mem_printf("%s/%s.lock", repo->locks, etag);
}

bool hub_cache_is_missing(const struct hub_cache *repo, const char *commit, const char *file)
{
	char *path = mem_printf("%s/.no_exist/%s/%s", repo->root, commit, file);
	bool missing = fs_exists(path);
	free(path);
	return missing;
}

void hub_cache_mark_missing(const struct hub_cache *repo, const char *commit, const char *file)
{
	char *path = mem_printf("%s/.no_exist/%s/%s", repo->root, commit, file);
	struct err ignored = {0};
	if (make_parent(path, &ignored) == 0) {
		int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
		if (fd >= 0)
			close(fd);
	}
	free(path);
}

int hub_cache_link(const struct hub_cache *repo, const char *commit, const char *file, const char *etag,
		   struct err *err)
{
	char *place = hub_cache_snapshot(repo, commit, file), *blob = hub_cache_blob(repo, etag);
	char *scratch = mem_printf("%s.tmp.%ld", place, (long)getpid());
	struct buf target = BUF_INIT;
	buf_adds(&target, "../../");
	for (const char *p = file; *p; p++)
		if (*p == '/')
			buf_adds(&target, "../");
	buf_printf(&target, "blobs/%s", etag);
	int result = make_parent(place, err);
	if (result == 0) {
		unlink(scratch);
		bool linked = symlink(target.data, scratch) == 0;
		bool cannot = !linked && (errno == EPERM || errno == ENOSYS || errno == EOPNOTSUPP || errno == EINVAL);
		if (!linked && !cannot)
			result = err_errno(err, "cannot make the link %s", place);
		else if (rename(linked ? scratch : blob, place) < 0)
			result = err_errno(err, "cannot make %s", place);
		if (result < 0)
			unlink(scratch);
	}
	buf_release(&target);
	free(scratch);
	free(blob);
	free(place);
	return result;
}

int hub_cache_try_lock(const char *path, struct err *err)
{
	if (make_parent(path, err) < 0)
		return -1;
	for (;;) {
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
		if (fd < 0)
			return err_errno(err, "cannot open the lock %s", path);
		struct stat ours, there;
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			if (errno == ENOSYS || errno == ENOLCK || errno == EOPNOTSUPP)
				return fd; /* no locks on this file system: the hash check still holds */
			int saved = errno;
			close(fd);
			errno = saved;
			return errno == EWOULDBLOCK || errno == EINTR ? HUB_CACHE_HELD
								      : err_errno(err, "cannot lock %s", path);
		}
		/* Python's filelock may remove the file as it lets go: then ours is a lock on nothing. */
		if (fstat(fd, &ours) == 0 && stat(path, &there) == 0 && ours.st_ino == there.st_ino &&
		    ours.st_dev == there.st_dev)
			return fd;
		close(fd);
	}
}

void hub_cache_unlock(int fd)
{
	if (fd >= 0)
		close(fd); /* and with it the lock; the file stays, as another may be waiting on it */
}

int hub_cache_verify(const char *path, const char *etag, bool *right, char found[65], struct err *err)
{
	bool git = strlen(etag) == 40;
	int fd = open(path, O_RDONLY | O_CLOEXEC), result = 0;
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0) {
		err_errno(err, "cannot read %s", path);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	if (!ctx || EVP_DigestInit_ex(ctx, git ? EVP_sha1() : EVP_sha256(), NULL) != 1)
		BUG("OpenSSL has no SHA");
	char head[48];
	if (git) /* the NUL belongs to it */
		EVP_DigestUpdate(ctx, head,
				 (size_t)snprintf(head, sizeof head, "blob %lld", (long long)st.st_size) + 1);
	char *block = mem_alloc(BLOCK);
	for (ssize_t n; (n = read(fd, block, BLOCK)) != 0;) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			result = err_errno(err, "cannot read %s", path);
			break;
		}
		EVP_DigestUpdate(ctx, block, (size_t)n);
	}
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	EVP_DigestFinal_ex(ctx, digest, &n);
	for (unsigned i = 0; i < n; i++)
		snprintf(found + 2 * i, 3, "%02x", digest[i]);
	*right = strcmp(found, etag) == 0;
	EVP_MD_CTX_free(ctx);
	free(block);
	close(fd);
	return result;
}

int hub_cache_drop_damaged(const char *path, bool *damaged)
{
	char target[1400], found[65];
	struct err ignored = {0};
	bool right = true;
	*damaged = false;
	ssize_t n = readlink(path, target, sizeof target - 1);
	if (n <= 0)
		return 0; /* a plain file: its name promises nothing */
	target[n] = '\0';
	const char *slash = strrchr(target, '/'), *name = slash ? slash + 1 : target;
	if (!hub_cache_is_hex(name, 64) && !hub_cache_is_hex(name, 40))
		return 0;
	if (hub_cache_verify(path, name, &right, found, &ignored) < 0)
		return -1;
	char *blob = realpath(path, NULL);
	if (!right) {
		*damaged = true;
		unlink(path);
		if (blob)
			unlink(blob);
	}
	free(blob);
	return 0;
}
