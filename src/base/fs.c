/* fs.c - whole files or none; see fs.h. */
#include "fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mem.h"

char *fs_join(const char *dir, const char *name)
{
	if (name[0] == '/' || dir[0] == '\0')
		return mem_strdup(name);
	size_t n = strlen(dir);
	return mem_printf("%s%s%s", dir, dir[n - 1] == '/' ? "" : "/", name);
}

char *fs_absolute(const char *path)
{
	if (path[0] == '/')
		return mem_strdup(path);
	char *here = getcwd(NULL, 0);
	if (!here)
		return mem_strdup(path);
	char *whole = fs_join(here, strncmp(path, "./", 2) == 0 ? path + 2 : path);
	free(here);
	return whole;
}

bool fs_exists(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0;
}

bool fs_is_dir(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int fs_make_dirs(const char *path, struct err *err)
{
	if (!path[0])
		return err_set(err, ERR_INPUT, "a folder's name is empty");
	char *copy = mem_strdup(path);
	for (char *p = copy + 1;; p++) {
		if (*p != '/' && *p != '\0')
			continue;
		char keep = *p;
		*p = '\0';
		if (mkdir(copy, 0777) < 0 && errno != EEXIST) {
			err_errno_writing(err, "cannot make the folder %s", copy);
			free(copy);
			return -1;
		}
		*p = keep;
		if (!keep)
			break;
	}
	free(copy);
	if (!fs_is_dir(path))
		return err_set(err, ERR_INPUT, "%s is in the way: a folder is needed there", path);
	return 0;
}

void fs_remove_tree(const char *path)
{
	DIR *dir = opendir(path);
	if (!dir) {
		unlink(path);
		return;
	}
	for (struct dirent *e; (e = readdir(dir));) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		char *child = fs_join(path, e->d_name);
		struct stat st;
		if (lstat(child, &st) == 0 && S_ISDIR(st.st_mode))
			fs_remove_tree(child);
		else
			unlink(child);
		free(child);
	}
	closedir(dir);
	rmdir(path);
}

/* fsync of the folder that holds path, so that a rename survives a power cut. */
static int sync_parent(const char *path, struct err *err)
{
	char *parent = mem_strdup(path);
	char *slash = strrchr(parent, '/');
	if (slash == parent)
		slash[1] = '\0';
	else if (slash)
		*slash = '\0';
	int fd = open(slash ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int bad = fd < 0 || fsync(fd) < 0;
	if (bad)
		err_errno_writing(err, "cannot sync the folder %s", slash ? parent : ".");
	if (fd >= 0)
		close(fd);
	free(parent);
	return bad ? -1 : 0;
}

static int write_and_sync(const char *path, const void *bytes, size_t n, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		return err_errno_writing(err, "cannot write %s", path);
	const char *p = bytes;
	while (n) {
		ssize_t done = write(fd, p, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0) {
			err_errno_writing(err, "cannot write %s", path);
			close(fd);
			return -1;
		}
		p += done;
		n -= (size_t)done;
	}
	int bad = fsync(fd) < 0;
	bad |= close(fd) < 0;
	return bad ? err_errno_writing(err, "cannot write %s", path) : 0;
}

int fs_write_file(const char *path, const void *bytes, size_t n, struct err *err)
{
	char *scratch = mem_printf("%s.tmp.%ld", path, (long)getpid());
	int result = write_and_sync(scratch, bytes, n, err);
	if (result == 0 && rename(scratch, path) < 0)
		result = err_errno_writing(err, "cannot rename %s", scratch);
	if (result < 0)
		unlink(scratch);
	else
		result = sync_parent(path, err);
	free(scratch);
	return result;
}

int fs_dir_begin(struct fs_dir *d, const char *place, struct err *err)
{
	*d = (struct fs_dir){.place = mem_strdup(place)};
	d->scratch = mem_printf("%s.tmp.%ld", place, (long)getpid());
	fs_remove_tree(d->scratch);
	if (fs_make_dirs(d->scratch, err) == 0)
		return 0;
	fs_dir_abandon(d);
	return -1;
}

int fs_dir_write(struct fs_dir *d, const char *name, const void *bytes, size_t n, struct err *err)
{
	char *path = fs_join(d->scratch, name);
	int result = write_and_sync(path, bytes, n, err);
	free(path);
	if (result < 0)
		return -1;
	MEM_PUSH_ROOM(d->files, d->n_files, d->files_room);
	struct fs_file *file = &d->files[d->n_files++];
	*file = (struct fs_file){.name = mem_strdup(name), .size = (int64_t)n};
	hash_bytes(bytes, n, file->sha256);
	return 0;
}

int fs_digest(const char *path, char hex[HASH_HEX], struct err *err)
{
	char to[4096];
	ssize_t n = readlink(path, to, sizeof to);
	if (n < 0)
		return errno == EINVAL ? hash_file(path, hex, err) : err_errno(err, "cannot read %s", path);
	hash_bytes(to, (size_t)n, hex);
	return 0;
}

static int note_file(struct fs_dir *d, const char *name, const char *path, const struct stat *st, struct err *err)
{
	if (d->n_files == FS_FILES_MAX)
		return err_set(err, ERR_INPUT, "%s holds more than %d files; pack them into an archive", d->scratch,
			       FS_FILES_MAX);
	MEM_PUSH_ROOM(d->files, d->n_files, d->files_room);
	struct fs_file *file = &d->files[d->n_files++];
	*file = (struct fs_file){.name = mem_strdup(name), .size = st->st_size};
	if (S_ISLNK(st->st_mode))
		return fs_digest(path, file->sha256, err);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int bad = fd < 0 || fsync(fd) < 0;
	if (bad)
		err_errno_writing(err, "cannot sync %s", path);
	if (fd >= 0)
		close(fd);
	return bad ? -1 : fs_digest(path, file->sha256, err);
}

static int name_order(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* What is in the scratch folder below `inside` ("" or "sub/"), in the order of names. */
static int note_tree(struct fs_dir *d, const char *inside, struct err *err)
{
	char *folder = mem_printf("%s/%s", d->scratch, inside);
	struct dirent **entries;
	int n = scandir(folder, &entries, NULL, name_order);
	int result = n < 0 ? err_errno(err, "cannot read the folder %s", folder) : 0;
	for (int i = 0; i < n; i++) {
		const char *name = entries[i]->d_name;
		char *path = mem_printf("%s%s", folder, name), *below = mem_printf("%s%s", inside, name);
		struct stat st;
		if (result < 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			;
		else if (lstat(path, &st) < 0)
			result = err_errno(err, "cannot look at %s", path);
		else if (S_ISDIR(st.st_mode)) {
			char *deeper = mem_printf("%s/", below);
			result = note_tree(d, deeper, err);
			free(deeper);
		} else if (S_ISREG(st.st_mode) || S_ISLNK(st.st_mode))
			result = note_file(d, below, path, &st, err);
		else
			result = err_set(err, ERR_INPUT, "%s is neither a file nor a folder: it cannot be kept", path);
		free(path);
		free(below);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	int fd = result == 0 && inside[0] ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (fd >= 0) { /* the outermost is synced when it is put in place */
		if (fsync(fd) < 0)
			result = err_errno_writing(err, "cannot sync %s", folder);
		close(fd);
	}
	free(folder);
	return result;
}

int fs_dir_adopt(struct fs_dir *d, const char *place, const char *folder, struct err *err)
{
	*d = (struct fs_dir){.place = mem_strdup(place), .scratch = mem_strdup(folder)};
	return note_tree(d, "", err);
}

void fs_dir_release(struct fs_dir *d)
{
	for (size_t i = 0; i < d->n_files; i++)
		free(d->files[i].name);
	free(d->files);
	free(d->place);
	free(d->scratch);
	*d = (struct fs_dir){0};
}

int fs_set_aside(const char *path, struct err *err)
{
	char *aside = mem_printf("%s.unusable", path);
	fs_remove_tree(aside);
	int result = 0;
	if (rename(path, aside) < 0 && errno != ENOENT)
		result = err_errno_writing(err, "cannot set %s aside", path);
	free(aside);
	return result;
}

int fs_exchange(const char *a, const char *b, struct err *err)
{
	int done = renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
	if (done < 0 && errno == ENOENT)
		done = rename(a, b);
	else if (done < 0 && (errno == EINVAL || errno == ENOSYS)) {
		char *aside = mem_printf("%s.unusable", b);
		if (fs_set_aside(b, err) < 0) {
			free(aside);
			return -1;
		}
		done = rename(a, b) < 0 ? -1 : rename(aside, a);
		free(aside);
	}
	if (done < 0)
		return err_errno_writing(err, "cannot put %s in the place of %s", a, b);
	return sync_parent(b, err);
}

int fs_dir_commit(struct fs_dir *d, bool (*keep)(const char *place, void *ctx), void *ctx, struct err *err)
{
	int fd = open(d->scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int bad = fd < 0 || fsync(fd) < 0;
	if (fd >= 0)
		close(fd);
	if (bad)
		return err_errno_writing(err, "cannot sync %s", d->scratch);
	bool kept = false;
	while (rename(d->scratch, d->place) < 0) {
		if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR)
			return err_errno_writing(err, "cannot rename %s", d->scratch);
		kept = keep && keep(d->place, ctx);
		if (kept)
			break;
		if (fs_set_aside(d->place, err) < 0)
			return -1;
	}
	if (kept)
		fs_remove_tree(d->scratch);
	if (sync_parent(d->place, err) < 0)
		return -1;
	fs_dir_release(d);
	return 0;
}

void fs_dir_abandon(struct fs_dir *d)
{
	if (d->scratch)
		fs_remove_tree(d->scratch);
	fs_dir_release(d);
}

/* Is it one of our names for what is not finished: something, ".tmp.", digits? */
static bool is_scratch(const char *name)
{
	const char *mark = strstr(name, ".tmp.");
	if (!mark || mark == name)
		return false;
	const char *pid = mark + strlen(".tmp.");
	return *pid && pid[strspn(pid, "0123456789")] == '\0';
}

static bool is_fresh(const char *name)
{
	size_t n = strlen(name), k = strlen(FS_FRESH);
	return n > k && strcmp(name + n - k, FS_FRESH) == 0;
}

static void remove_those(const char *dir, bool (*is)(const char *name))
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	while (d && (entry = readdir(d))) {
		if (!is(entry->d_name))
			continue;
		char *path = fs_join(dir, entry->d_name);
		fs_remove_tree(path);
		free(path);
	}
	if (d)
		closedir(d);
}

void fs_remove_scratch(const char *dir)
{
	remove_those(dir, is_scratch);
}

void fs_remove_fresh(const char *dir)
{
	remove_those(dir, is_fresh);
}
