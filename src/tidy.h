/* tidy.h - what `sweep rm` and `sweep gc` take away beside a database: folders of artifacts whose rows are gone, and what
 * scheduler and workers left behind. The caller holds the writer's lock, so nobody makes anything there meanwhile.
 *
 *     struct tidy tidy = {.store = store, .dry = dry};
 *     if (store_remove(store, sweep, dry, &removed, tidy_add, &tidy, err) < 0) ...
 *     result = tidy_garbage(&tidy, err);
 *     tidy_release(&tidy); */
#ifndef SWEEP_TIDY_H
#define SWEEP_TIDY_H

#include "store/store.h"

struct tidy {
	struct store *store;
	bool dry;    /* only look, and count */
	bool all;    /* whole folders without rows, too */
	char **keys; /* of folders that are to go */
	size_t n_keys, room;
	/* what went, or would */
	struct tidy_count {
		int64_t n, bytes;
	} artifacts, unusable, scratch, files; /* files: of jobs, and logs */
	struct tidy_count kept;                /* whole folders without rows that stay */
};

void tidy_add(void *tidy, const char *key); /* for store_remove */
/* Removes the folders of its keys, then the list of them in the database. */
int tidy_garbage(struct tidy *tidy, struct err *err);
/* Looks through the artifacts folder for what nothing refers to. */
int tidy_folder(struct tidy *tidy, struct err *err);
void tidy_release(struct tidy *tidy);

#endif
