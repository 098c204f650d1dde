/* fs.h - files as docs/ARCHITECTURE.md, invariant 7 wants them: written beside their place, fsynced, renamed. A reader
 * sees all of an artifact or none of it.
 *
 *     struct fs_dir d;
 *     if (fs_dir_begin(&d, "results.artifacts/<key>", err) < 0) return -1;     makes <key>.tmp.<pid>/
 *     if (fs_dir_write(&d, "hypotheses.jsonl", bytes, n, err) < 0 || fs_dir_commit(&d, err) < 0)
 *             fs_dir_abandon(&d);                                               removes what was written
 */
#ifndef SWEEP_BASE_FS_H
#define SWEEP_BASE_FS_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"

struct fs_dir {
	char *place;   /* where the folder goes */
	char *scratch; /* where it is written */
};

int fs_dir_begin(struct fs_dir *d, const char *place, struct err *err);
/* Writes and fsyncs one file of the folder. */
int fs_dir_write(struct fs_dir *d, const char *name, const void *bytes, size_t n, struct err *err);
/* fsyncs the folder, renames it into place (if a complete one is there already, that one stays), fsyncs the parent,
 * frees d. */
int fs_dir_commit(struct fs_dir *d, struct err *err);
void fs_dir_abandon(struct fs_dir *d);

/* One file: written to path.tmp.<pid>, fsynced, renamed, parent fsynced. */
int fs_write_file(const char *path, const void *bytes, size_t n, struct err *err);
/* mkdir -p. */
int fs_make_dirs(const char *path, struct err *err);
bool fs_exists(const char *path);
bool fs_is_dir(const char *path);
/* Removes a folder and the plain files and folders in it; missing is fine. */
void fs_remove_tree(const char *path);
/* Removes what writers that were killed left in dir: every <name>.tmp.<pid>. The caller must know that nobody writes
 * there now. A missing dir is fine. */
void fs_remove_scratch(const char *dir);
/* "a/b" joined with "c": the caller frees. An absolute second part wins. */
char *fs_join(const char *dir, const char *name);
/* The absolute path (not resolving links) of a possibly missing file; the caller frees. */
char *fs_absolute(const char *path);

#endif
