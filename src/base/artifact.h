/* artifact.h - the folder of an artifact (job.h has its files): the one answer to "is it there and whole?", its card
 * artifact.json read and written, and the commit that puts it in place.
 *
 *     struct err why = {0};
 *     if (artifact_look(dir, key, JOB_TRAIN, ARTIFACT_SIZES, &why) != ARTIFACT_WHOLE) make it again
 *
 *     struct fs_dir d;
 *     if (fs_dir_begin(&d, dir, err) < 0) return -1;
 *     if (fs_dir_write(&d, "hypotheses.jsonl", bytes, n, err) < 0 ||
 *         artifact_commit(&d, key, JOB_DECODE, "\"split\":\"dev\",\"count\":12", err) < 0)
 *             fs_dir_abandon(&d);
 *
 * The card names every file of the folder with size and SHA-256, so a folder can be verified by itself; README.md is
 * left out, which is for people, who may change it. Cards of before version 4 of the database name no files: such a
 * folder is whole when what its kind needs is there and agrees with itself (the weights' header with their size, the
 * lines of hypotheses with the card's count). */
#ifndef SWEEP_BASE_ARTIFACT_H
#define SWEEP_BASE_ARTIFACT_H

#include <stdbool.h>
#include <stdint.h>

#include "fs.h"
#include "job.h"
#include "json.h"

#define ARTIFACT_CARD "artifact.json"

enum artifact_state { ARTIFACT_ABSENT, ARTIFACT_BROKEN, ARTIFACT_WHOLE };

/* How closely: by what costs no reading but the card's (where thousands are asked for), or every byte. */
enum artifact_depth { ARTIFACT_SIZES, ARTIFACT_BYTES };

struct artifact {
	cJSON *card;
	enum job_kind kind; /* JOB_TRAIN: an adapter; JOB_DECODE: hypotheses */
	const char *key;    /* the card's */
	bool listed;        /* the card names the files */
	struct fs_file *files;
	size_t n_files; /* without the card itself; of an older card what is there of the kind's own files */
};

/* Reads the card of the folder. key: the one that it must have, or NULL. Whatever is wrong is ERR_INPUT and names the
 * file. artifact_release is right after a failure, too. */
int artifact_read(struct artifact *a, const char *dir, const char *key, struct err *err);
/* Compares the folder with the card. */
int artifact_verify(const struct artifact *a, const char *dir, enum artifact_depth depth, struct err *err);
void artifact_release(struct artifact *a);

/* Both. *why is set when it is broken, and says which file is, and how. key may be NULL: any. */
enum artifact_state artifact_look(const char *dir, const char *key, enum job_kind kind, enum artifact_depth depth,
				  struct err *why);

/* Writes the card ({"kind", "key", what members says, "files"}) and puts the folder in place. A whole folder that is
 * there already stays (equal key, equal bytes), a broken one is set aside as <dir>.unusable. Frees d when it succeeds.
 */
int artifact_commit(struct fs_dir *d, const char *key, enum job_kind kind, const char *members, struct err *err);

const char *artifact_kind_name(enum job_kind kind); /* "adapter", "hypotheses" */

#endif
