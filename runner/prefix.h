/* prefix.h - what prefix tuning trains: PEFT's PrefixEncoder, from its parameters to the table of keys and values that
 * adapter.h describes, and back (docs/REFERENCE.md, 3.1, 3.2).
 *
 *     struct prefix p;
 *     if (prefix_init(&p, &model, 20, true, 0, seed, err) < 0) return -1;
 *     prefix_forward(&p);                       p.table [v, 2LD]
 *     ... fill p.dtable ...
 *     prefix_backward(&p);                      p.gradients, laid out as p.parameters
 *     prefix_release(&p);
 *
 * Without projection the table is embedding.weight itself (table and parameters are the same memory). With it,
 * table = W2 tanh(W0 e + b0) + b2 for each row e of embedding.weight. */
#ifndef SWEEP_RUNNER_PREFIX_H
#define SWEEP_RUNNER_PREFIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "model.h"

struct prefix_tensor {
	const char *name; /* as PEFT calls it under prompt_encoder.default */
	size_t rows, columns;
	float *value, *gradient;
};

struct prefix {
	size_t n_virtual, width /* D */, hidden /* E */, out /* 2LD */;
	bool projection;
	struct prefix_tensor tensors[5]; /* embedding.weight; transform.0.weight, .bias; transform.2.weight, .bias */
	size_t n_tensors;
	size_t n_parameters;
	float *parameters, *gradients; /* all tensors, one after the other */
	float *table, *dtable;         /* [v, 2LD] */
	float *state, *dstate;         /* [v, E] tanh's output */
	void *memory;
};

/* hidden 0 is the model's width. Initial values are torch's: N(0, 1) for the embedding, U(-1/sqrt(fan_in),
 * 1/sqrt(fan_in)) for the linear layers; counter-based, so each is a function of the seed and its place. */
int prefix_init(struct prefix *p, const struct model *model, size_t n_virtual, bool projection, size_t hidden,
		uint64_t seed, struct err *err);
void prefix_release(struct prefix *p);
void prefix_forward(struct prefix *p);
/* Overwrites all gradients. */
void prefix_backward(struct prefix *p);

#endif
