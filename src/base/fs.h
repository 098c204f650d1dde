/* fs.h - files as docs/ARCHITECTURE.md, invariant 7 wants them: written beside their place, fsynced, renamed. A reader
 * sees all of an artifact or none of it.
 *
 *     struct fs_dir d;
 *     if (fs_dir_begin(&d, "results.artifacts/<key>", err) < 0) return -1;     makes <key>.tmp.<pid>/
 *     if (fs_dir_write(&d, "hypotheses.jsonl", bytes, n, err) < 0 || fs_dir_commit(&d, NULL, NULL, err) < 0)
 *             fs_dir_abandon(&d);                                               removes what was written
 */
#ifndef SWEEP_BASE_FS_H
#define SWEEP_BASE_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "hash.h"

struct fs_file {
	char *name;
	int64_t size;
	char sha256[HASH_HEX];
};

#define FS_FILES_MAX 20000 /* of a folder that is adopted */

struct fs_dir {
	char *place;   /* where the folder goes */
	char *scratch; /* where it is written */
	struct fs_file *files;
	size_t n_files, files_room; /* what was written, in that order */
};

int fs_dir_begin(struct fs_dir *d, const char *place, struct err *err);
/* Writes and fsyncs one file of the folder. */
int fs_dir_write(struct fs_dir *d, const char *name, const void *bytes, size_t n, struct err *err);
/* The same for a folder that somebody else has written: `folder` becomes the scratch. Every file in it is fsynced and
 * noted with its path below the folder; a symbolic link is noted with the digest of where it points. -1, with ERR_INPUT
 * when it holds more than FS_FILES_MAX files or what is neither file, folder nor link. */
int fs_dir_adopt(struct fs_dir *d, const char *place, const char *folder, struct err *err);
/* fsyncs the folder, renames it into place, fsyncs the parent, frees d. What is in its place already stays, and the new
 * folder goes, when keep says so; else (or without keep) it is set aside. */
int fs_dir_commit(struct fs_dir *d, bool (*keep)(const char *place, void *ctx), void *ctx, struct err *err);
/* Frees d; the folder stays, or goes. */
void fs_dir_release(struct fs_dir *d);
void fs_dir_abandon(struct fs_dir *d);

/* SHA-256 of a file's bytes, of a symbolic link the digest of where it points. */
int fs_digest(const char *path, char hex[HASH_HEX], struct err *err);
/* One file: written to path.tmp.<pid>, fsynced, renamed, parent fsynced. */
int fs_write_file(const char *path, const void *bytes, size_t n, struct err *err);
/* mkdir -p. */
int fs_make_dirs(const char *path, struct err *err);
bool fs_exists(const char *path);
bool fs_is_dir(const char *path);
/* Renames a broken file or folder to <path>.unusable, in the place of what was set aside there before. Missing is fine.
 */
int fs_set_aside(const char *path, struct err *err);
/* Folders a and b change places, in one step where the file system can (elsewhere b is set aside for a moment); without
 * b, a is moved there. fsyncs the parent. */
int fs_exchange(const char *a, const char *b, struct err *err);
#define FS_FRESH ".fresh" /* behind the name of a folder: it is to take the place of that one */
/* Removes a folder and the plain files and folders in it; missing is fine. */
void fs_remove_tree(const char *path);
/* Removes what writers that were killed left in dir: every <name>.tmp.<pid>. The caller must know that nobody writes
 * there now. A missing dir is fine. */
void fs_remove_scratch(const char *dir);
/* Removes every <name>.fresh in dir. */
void fs_remove_fresh(const char *dir);
/* "a/b" joined with "c": the caller frees. An absolute second part wins. */
char *fs_join(const char *dir, const char *name);
/* The absolute path (not resolving links) of a possibly missing file; the caller frees. When the working directory was
 * deleted it is the path as it is. */
char *fs_absolute(const char *path);

#endif
