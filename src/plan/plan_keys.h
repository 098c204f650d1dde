/* plan_keys.h - what determines an artifact's bytes, made into its key (docs/ARCHITECTURE.md, invariant 4), for plan.c.
 * Nobody else includes this.
 *
 *     struct plan_keys keys;
 *     if (plan_keys_init(&keys, spec, sources, options, training, err) < 0) return -1;      digests model and data
 *     plan_keys_adapter(&keys, &effective, adapter_key);
 *     plan_keys_setting(&keys, &effective, adapter_key);                           then for each split
 *     plan_keys_hypotheses(&keys, split, key);
 *     plan_keys_release(&keys);
 *
 * A key is the SHA-256 of a JSON text in a fixed order:
 *   {"artifact":"adapter","numerics":N,"model":DIGEST,"train":DIGEST,[COLUMNS,]"prompt":..,"target":..,"params":{..}}
 *   {"artifact":"hypotheses","numerics":N,"model":DIGEST,"adapter":KEY or null,"input":DIGEST,
 *    "references":DIGEST or null,[COLUMNS,]["limit":N,]"prompt":..,"params":{..}}
 * where COLUMNS is "columns":{"format":..,"input":..,"target":..} of a file that has some, and params is params_key of the stage: effective values that are not the default. */
#ifndef SWEEP_PLAN_KEYS_H
#define SWEEP_PLAN_KEYS_H

#include "base/buf.h"
#include "base/input.h"
#include "plan.h"
#include "sources.h"
#include "spec.h"

struct plan_keys {
	const struct spec *spec;
	const struct sources *sources;
	char model[HASH_HEX], train[HASH_HEX];
	double n_pairs; /* roughly: for costs */
	struct plan_keys_split *splits;
	struct arena *arena; /* the plan's: of the names below */
	struct plan_keys_file *files;
	size_t n_files, files_room;
	bool *lent_to; /* [n_splits + 1] of the list that was asked for last: its splits, and the training file */
	struct input *lent;
	size_t n_lent;
	struct buf adapter, params, text; /* of the setting at hand */
};

struct plan_keys_split {
	char input[HASH_HEX], references[HASH_HEX];
	size_t same_as;          /* the first split with equal files and limit: itself, mostly */
	double n_inputs;         /* roughly */
	struct buf head, middle; /* of the key's text, around the adapter */
};

/* A file that was digested, and whose it is: a split's number, or one of these. */
#define PLAN_KEYS_MODEL ((size_t)-1)
#define PLAN_KEYS_TRAIN ((size_t)-2)

struct plan_keys_file {
	struct input input;
	size_t of;
};

/* training: the train file is needed. arena: lives as long as what plan_keys_inputs gives. */
int plan_keys_init(struct plan_keys *keys, const struct spec *spec, const struct sources *sources,
		   const struct plan_options *options, bool training, struct arena *arena, struct err *err);
/* Names a job's files (job.h): the model's, the training file for wanted[n_splits], and for each wanted[i] those of
 * split i. Jobs that want the same share one list. */
void plan_keys_inputs(struct plan_keys *keys, const bool *wanted, struct job *job);
void plan_keys_release(struct plan_keys *keys);
void plan_keys_adapter(const struct plan_keys *keys, const struct params *effective, char key[HASH_HEX]);
/* adapter: its key, or NULL for the base model. */
void plan_keys_setting(struct plan_keys *keys, const struct params *effective, const char *adapter);
void plan_keys_hypotheses(struct plan_keys *keys, size_t split, char key[HASH_HEX]);

/* Rough work in passes of one token through the model; what counts is the order. */
double plan_keys_train_cost(const struct plan_keys *keys, const struct params *params);
double plan_keys_decode_cost(const struct plan_keys *keys, const struct params *params, size_t split);

#endif
