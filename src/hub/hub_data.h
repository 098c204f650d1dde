/* hub_data.h - the datasets that sweep knows by name, file by file with their SHA-256. They lie where huggingface_hub
 * puts what libraries keep of their own: $HF_ASSETS_CACHE/sweep/datasets/<name>/ (default $HF_HOME/assets).
 *
 *     if (hub_data_is_name("e2e")) dir = hub_data_find(&env, "e2e", err);
 */
#ifndef SWEEP_HUB_DATA_H
#define SWEEP_HUB_DATA_H

#include <stdbool.h>

#include "base/err.h"
#include "hub_env.h"
#include "hub_http.h"

bool hub_data_is_name(const char *name);
/* The folder when every file is there with its size; NULL and a sentence otherwise. The caller frees. */
char *hub_data_find(const struct hub_env *env, const char *name, struct err *err);
/* Fetches what is missing or altered. */
int hub_data_fetch(const struct hub_env *env, const char *name, struct hub_http *http, char **dir, struct err *err);

#endif
