/* hub.h - models and datasets from the Hugging Face Hub, through the standard cache that Python uses too
 * (docs/REFERENCE.md, 8, docs/HUB.md). hub*.c are the only files with curl.
 *
 *     char *dir = hub_find("distilgpt2", NULL, err);                 the cache only, never the network
 *     if (!dir) {
 *             struct hub_options options = {.progress = show, .ctx = &bar};
 *             if (hub_fetch_model("distilgpt2", &options, &dir, err) < 0) return -1;
 *     }
 *     free(dir);
 *
 * Nothing is printed here: what a person may want to see goes to the options' functions (hub_bar.h draws it).
 * Everything is read from the environment at each call (HF_HOME, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE and the rest);
 * nothing is kept between calls, and no descriptor stays open. */
#ifndef SWEEP_HUB_H
#define SWEEP_HUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* What a transfer looks like now. state goes BEGIN, MOVE..., END or FAIL for each file that the network is needed for.
 */
enum hub_state { HUB_BEGIN, HUB_MOVE, HUB_END, HUB_FAIL };
struct hub_progress {
	enum hub_state state;
	const char *file;    /* path in the repository; valid during the call */
	int64_t done, total; /* bytes, with what was there already */
	int64_t resumed;     /* bytes that an earlier, broken transfer had left */
};

struct hub_options {
	const char *revision; /* branch, tag or commit; NULL: main */
	/* Any of these may be NULL. progress is called some ten times a second at most. */
	void (*progress)(void *ctx, const struct hub_progress *progress);
	/* One sentence that is no error: a retry, a wait, a cached copy used because the network is down. */
	void (*notice)(void *ctx, const char *sentence);
	/* Asked often; true stops the fetch (err says so, ERR_SYSTEM); what was fetched stays and is resumed later. */
	bool (*cancelled)(void *ctx);
	void *ctx;
};

/* True for a name that can be a repository of the Hub: `name` or `owner/name`. Says nothing about its existence. */
bool hub_is_id(const char *id);
/* HF_HUB_OFFLINE, else TRANSFORMERS_OFFLINE, is 1, ON, YES or TRUE. */
bool hub_offline(void);
/* The folder of the cache: HF_HUB_CACHE, HF_HOME/hub ... (docs/REFERENCE.md, 8). Absolute; the caller frees. */
char *hub_cache_dir(void);

/* The absolute snapshot folder that holds a usable model (config.json, model.safetensors, a tokenizer). Looks into the
 * cache only. NULL and a sentence when something is missing. The caller frees. */
char *hub_find(const char *id, const char *revision /* or NULL = main */, struct err *err);
/* Fetches what is missing of a model and gives its snapshot folder; the caller frees *dir. Offline: hub_find. When the
 * Hub cannot be reached or is down, a complete cached copy is used, with a notice. */
int hub_fetch_model(const char *id, const struct hub_options *options /* or NULL */, char **dir, struct err *err);

/* Datasets that sweep itself knows, each file pinned by its SHA-256 ("e2e"). */
bool hub_is_dataset(const char *name);
/* The absolute folder of a pinned dataset when all its files are there (sizes are checked). The caller frees. */
char *hub_find_dataset(const char *name, struct err *err);
/* A pinned dataset, or every file of a dataset repository of the Hub. The caller frees *dir. */
int hub_fetch_dataset(const char *id, const struct hub_options *options /* or NULL */, char **dir, struct err *err);

#endif
