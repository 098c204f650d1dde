/* job.h - the job file: everything one worker needs, and nothing else. The plan makes it, `sweep-runner JOBFILE` reads
 * it. A worker is a pure function of this file and of the files whose digests it names.
 *
 *     struct job job;
 *     if (job_read(&job, path, err) < 0) return -1;
 *     if (input_check_all(job.inputs, job.n_inputs, err) < 0) return -1;     again when all is read, and before a result
 *     ...                                                                    is put in place
 *     job_release(&job);
 *
 * Kinds:
 *   check   load model, tokenizer and data, verify that every sequence fits; computes nothing, makes nothing; outputs:
 *           those whose lengths can differ, trainings have split == n_splits (plan.h)
 *   train   makes the adapter folder outputs[0].dir with outputs[0].params
 *   decode  makes one hypotheses folder for each output; outputs whose decode parameters differ only in
 *           max_new_tokens, length_penalty and early_stopping are answered by one search (docs/REFERENCE.md, 5.7)
 * Files of an adapter folder: adapter_config.json, adapter_model.safetensors, README.md (PEFT's own), losses.jsonl
 * ({"step","loss","learning_rate"} a line), artifact.json. Files of a hypotheses folder: hypotheses.jsonl
 * ({"id","text","score","tokens","sentence_bleu"} a line, in input order; score is the beam score or null),
 * artifact.json: {"kind":"adapter"|"hypotheses", "key", "split", "count", "scores": {"bleu": .., "sentence_bleu": ..},
 * "signatures": {"bleu": "..", ..}, "arch": bli_arch_string, ...}; `scores` is absent without references. */
#ifndef SWEEP_BASE_JOB_H
#define SWEEP_BASE_JOB_H

#include <stddef.h>
#include <stdint.h>

#include "columns.h"
#include "hash.h"
#include "input.h"
#include "params.h"

#define JOB_DEFAULT_PROMPT "Convert the following table into English text: {table} {eos} "
#define JOB_DEFAULT_TARGET "{text} {eos}"

/* How an attempt at a job ended: RETRY and STOPPED leave the job pending. */
enum attempt_outcome { ATTEMPT_DONE, ATTEMPT_FAILED, ATTEMPT_RETRY, ATTEMPT_STOPPED };

enum job_kind { JOB_CHECK, JOB_TRAIN, JOB_DECODE, JOB_COMMAND /* command.h */ };

/* A set of tables to decode. */
struct job_split {
	char *name;       /* dev, small, ... */
	char *input;      /* one table a line, or a file with columns */
	char *references; /* id||table||text lines, or the same file with columns; NULL: no scores */
	int64_t limit;    /* the first so many tables; 0 is all */
	struct columns_map columns;
};

struct job_output {
	char key[HASH_HEX];
	char *dir;    /* absolute place of the artifact's folder */
	size_t split; /* index into splits; decode only */
	struct params params;
};

struct job {
	enum job_kind kind;
	char key[HASH_HEX]; /* names the job: of train the adapter's key, of decode made from its outputs' keys */
	char *model;        /* absolute folder in Hugging Face format */
	char *model_name;   /* adapter_config.json's base_model_name_or_path: its name on the Hub, or the folder */
	char *train;        /* table||text lines or a file with columns, plain or gzip; NULL when nothing is trained */
	struct columns_map train_columns;
	char *prompt;         /* template with {table} and {eos} */
	char *target;         /* template with {text} and {eos}; the eos token follows it */
	char *adapter;        /* decode: the adapter's folder, or NULL for the base model */
	struct input *inputs; /* the files that the above and the splits name, as the plan saw them (input.h) */
	size_t n_inputs;
	struct job_split *splits;
	size_t n_splits;
	struct job_output *outputs; /* train: one; decode: one or more; check: every one that will be made */
	size_t n_outputs;
};

const char *job_kind_name(enum job_kind kind);
int job_read(struct job *job, const char *path, struct err *err);
/* The file's text, as canonical JSON; same job, same bytes. */
void job_format(const struct job *job, struct buf *out);
void job_release(struct job *job);

#endif
