/* hub_cache.h - the folder layout that huggingface_hub, transformers and sweep share (docs/REFERENCE.md, 8):
 *
 *     <cache>/models--owner--name/refs/<revision>            the commit, 40 hex digits
 *                                /snapshots/<commit>/<file>  a relative link to ../../blobs/<etag>
 *                                /blobs/<etag>               <etag>.incomplete while it comes
 *                                /.no_exist/<commit>/<file>  an empty file: the Hub has no such file
 *     <cache>/.locks/models--owner--name/<etag>.lock         flock, one process a file
 *
 *     struct hub_cache repo;
 *     hub_cache_open(&repo, env.model_cache, false, "distilgpt2");
 *     if (hub_cache_commit(&repo, "main", commit)) path = hub_cache_snapshot(&repo, commit, "config.json");
 *     hub_cache_close(&repo);
 */
#ifndef SWEEP_HUB_CACHE_H
#define SWEEP_HUB_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define HUB_COMMIT 41 /* 40 hex digits and NUL */

struct hub_cache {
	char *root;  /* <cache>/models--owner--name */
	char *locks; /* <cache>/.locks/models--owner--name */
};

void hub_cache_open(struct hub_cache *repo, const char *cache, bool dataset, const char *id);
void hub_cache_close(struct hub_cache *repo);

/* Lower-case hex digits, exactly n of them. */
bool hub_cache_is_hex(const char *text, size_t n);
/* A name from outside that may become a path below a folder of ours: no "..", no empty part, no control characters. */
bool hub_cache_is_path(const char *text);

/* The commit a revision stands for: itself when it is one, else what refs/ says. False when nothing is known. */
bool hub_cache_commit(const struct hub_cache *repo, const char *revision, char commit[HUB_COMMIT]);
int hub_cache_write_ref(const struct hub_cache *repo, const char *revision, const char *commit, struct err *err);

/* The caller frees what these return. The paths need not exist. file may be "": the folder. */
char *hub_cache_snapshot(const struct hub_cache *repo, const char *commit, const char *file);
char *hub_cache_blob(const struct hub_cache *repo, const char *etag);
char *hub_cache_lock_path(const struct hub_cache *repo, const char *etag);

/* The marker of a file that the Hub does not have at that commit. Failing to write it costs only a request later. */
bool hub_cache_is_missing(const struct hub_cache *repo, const char *commit, const char *file);
void hub_cache_mark_missing(const struct hub_cache *repo, const char *commit, const char *file);

/* Makes snapshots/<commit>/<file> point to the blob; where links are impossible the blob moves there. */
int hub_cache_link(const struct hub_cache *repo, const char *commit, const char *file, const char *etag,
		   struct err *err);

/* The lock: a descriptor, -1 with err, or HUB_CACHE_HELD when another process has it. */
#define HUB_CACHE_HELD (-2)
int hub_cache_try_lock(const char *path, struct err *err);
void hub_cache_unlock(int fd);

/* True when the file's content has that name: 64 hex digits are its SHA-256, 40 the SHA-1 of it as a git blob. *found
 * gets what it has. -1 and err when it cannot be read. */
int hub_cache_verify(const char *path, const char *etag, bool *right, char found[65], struct err *err);

/* Checks a file of a snapshot against the name of the blob that it links to, and removes both when they disagree. 0
 * also when there is no such name to check; -1 when it cannot be read. */
int hub_cache_drop_damaged(const char *path, bool *damaged);

#endif
