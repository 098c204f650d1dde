/* hub_env.h - what the environment says about the Hub (docs/REFERENCE.md, 8): where the cache is, which server, which
 * token.
 *
 *     struct hub_env env;
 *     if (hub_env_read(&env, err) < 0) return -1;
 *     hub_env_release(&env);
 *
 * Read at each use, so that a test or a long-lived caller sees changes. */
#ifndef SWEEP_HUB_ENV_H
#define SWEEP_HUB_ENV_H

#include <stdbool.h>

#include "base/err.h"

struct hub_env {
	char *home;  /* HF_HOME */
	char *cache; /* of datasets, and of models unless a TRANSFORMERS_CACHE is set */
	char *model_cache;
	char *assets;   /* HF_ASSETS_CACHE: where pinned datasets go */
	char *endpoint; /* without a trailing slash */
	char *token;    /* or NULL */
	bool offline;
	int head_timeout, get_timeout; /* seconds without an answer or a byte, >= 1 */
};

/* Folders are absolute. Fails for an endpoint that is no http(s) URL and a token that cannot stand in a header. */
int hub_env_read(struct hub_env *env, struct err *err);
/* The folders alone; cannot fail. */
void hub_env_folders(struct hub_env *env);
bool hub_env_offline(void);
void hub_env_release(struct hub_env *env);

#endif
