/* adapter.h - a trained prefix in PEFT's own files (docs/REFERENCE.md, 7): adapter_config.json and
 * adapter_model.safetensors with one tensor `prompt_embeddings`, F32 [v, 2 * L * D] (docs/REFERENCE.md, 3.2), always
 * the final keys and values (after any projection).
 *
 *     struct adapter a;
 *     if (adapter_load(&a, dir, &model, err) < 0) ...
 *     a.table[j * 2*L*D + (2*l + 0) * D + h * d + c]    key   of virtual token j, layer l, head h
 *     a.table[j * 2*L*D + (2*l + 1) * D + h * d + c]    value
 */
#ifndef SWEEP_RUNNER_ADAPTER_H
#define SWEEP_RUNNER_ADAPTER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/fs.h"
#include "model.h"

struct adapter {
	size_t n_virtual; /* v */
	float *table;     /* [v, 2 * L * D], malloc'd */
};

/* Reads a folder that we or PEFT wrote; refuses one whose sizes are not the model's. */
int adapter_load(struct adapter *adapter, const char *dir, const struct model *model, struct err *err);
void adapter_release(struct adapter *adapter);
/* Writes adapter_config.json, adapter_model.safetensors and README.md into a folder that is being made. */
int adapter_write(struct fs_dir *dir, const float *table, size_t n_virtual, const struct model *model,
		  const char *base_model_name, size_t encoder_hidden_size, bool prefix_projection, struct err *err);

#endif
