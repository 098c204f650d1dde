/* prefix.c - see prefix.h. Two products forward, four backward, over v rows only; the cost is the size of
 * transform.2.weight [2LD, E]. torch's Linear stores [out, in], GPT-2's Conv1D [in, out]: hence the transposes here. */
#include "prefix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "gemm.h"
#include "ops.h"

static void add_tensor(struct prefix *p, const char *name, size_t rows, size_t columns)
{
	p->tensors[p->n_tensors++] = (struct prefix_tensor){.name = name, .rows = rows, .columns = columns};
	p->n_parameters += rows * columns;
}

/* The index of the tensor is its position in the stream RNG_INIT: part of results. */
static void set_initial(struct prefix *p, uint64_t seed)
{
	struct rng_key key = rng_key(seed, RNG_INIT);
	for (size_t t = 0; t < p->n_tensors; t++) {
		float *value = p->tensors[t].value;
		size_t n = p->tensors[t].rows * p->tensors[t].columns;
		if (t == 0) {
#pragma omp parallel for schedule(static)
			for (size_t i = 0; i < n; i++)
				value[i] = rng_normal(key, t, i);
			continue;
		}
		float bound = (float)(1 / sqrt((double)(t <= 2 ? p->width : p->hidden)));
#pragma omp parallel for schedule(static)
		for (size_t block = 0; block < (n + 3) / 4; block++) {
			uint32_t r[4];
			rng_block(key, t, block, r);
			for (size_t i = 4 * block; i < 4 * block + 4 && i < n; i++)
				value[i] = bound * (2 * rng_unit(r[i % 4]) - 1);
		}
	}
}

int prefix_init(struct prefix *p, const struct model *model, size_t n_virtual, bool projection, size_t hidden,
		uint64_t seed, struct err *err)
{
	*p = (struct prefix){.n_virtual = n_virtual,
			     .width = model->n_embd,
			     .hidden = hidden ? hidden : model->n_embd,
			     .out = 2 * model->n_layer * model->n_embd,
			     .projection = projection};
	if (projection) {
		add_tensor(p, "embedding.weight", n_virtual, p->width);
		add_tensor(p, "transform.0.weight", p->hidden, p->width);
		add_tensor(p, "transform.0.bias", 1, p->hidden);
		add_tensor(p, "transform.2.weight", p->out, p->hidden);
		add_tensor(p, "transform.2.bias", 1, p->out);
	} else {
		add_tensor(p, "embedding.weight", n_virtual, p->out);
	}
	size_t table = projection ? n_virtual * p->out : 0, state = projection ? n_virtual * p->hidden : 0;
	size_t floats = 2 * (p->n_parameters + table + state);
	float *next = p->memory = aligned_alloc(64, (floats * sizeof(float) + 63) / 64 * 64);
	if (!next)
		return err_set(err, ERR_SYSTEM,
			       "no memory for a prefix encoder of %zu parameters: lower encoder_hidden_size",
			       p->n_parameters);
	p->parameters = next;
	p->gradients = next + p->n_parameters;
	for (size_t t = 0; t < p->n_tensors; t++) {
		p->tensors[t].value = next;
		p->tensors[t].gradient = next + p->n_parameters;
		next += p->tensors[t].rows * p->tensors[t].columns;
	}
	next += p->n_parameters;
	p->table = projection ? next : p->parameters;
	p->dtable = projection ? next + table : p->gradients;
	p->state = next + 2 * table;
	p->dstate = p->state + state;
	set_initial(p, seed);
	return 0;
}

void prefix_release(struct prefix *p)
{
	free(p->memory);
	*p = (struct prefix){0};
}

void prefix_forward(struct prefix *p)
{
	if (!p->projection)
		return;
	const struct prefix_tensor *e = p->tensors, *w0 = e + 1, *b0 = e + 2, *w2 = e + 3, *b2 = e + 4;
	size_t v = p->n_virtual;
	gemm(v, p->hidden, p->width, e->value, p->width, 1, w0->value, 1, p->width, 0, p->state, p->hidden);
#pragma omp parallel for schedule(static)
	for (size_t j = 0; j < v; j++) {
		ops_add(p->state + j * p->hidden, b0->value, p->hidden);
		ops_tanh(p->state + j * p->hidden, p->hidden, p->state + j * p->hidden);
	}
	gemm(v, p->out, p->hidden, p->state, p->hidden, 1, w2->value, 1, p->hidden, 0, p->table, p->out);
#pragma omp parallel for schedule(static)
	for (size_t j = 0; j < v; j++)
		ops_add(p->table + j * p->out, b2->value, p->out);
}

static void sum_rows(const float *x, size_t rows, size_t n, float *out)
{
	memcpy(out, x, n * sizeof *out);
	for (size_t j = 1; j < rows; j++)
		ops_add(out, x + j * n, n);
}

void prefix_backward(struct prefix *p)
{
	if (!p->projection)
		return;
	const struct prefix_tensor *e = p->tensors, *w0 = e + 1, *b0 = e + 2, *w2 = e + 3, *b2 = e + 4;
	size_t v = p->n_virtual;
	sum_rows(p->dtable, v, p->out, b2->gradient);
	gemm(p->out, p->hidden, v, p->dtable, 1, p->out, p->state, p->hidden, 1, 0, w2->gradient, p->hidden);
	gemm(v, p->hidden, p->out, p->dtable, p->out, 1, w2->value, p->hidden, 1, 0, p->dstate, p->hidden);
#pragma omp parallel for schedule(static)
	for (size_t i = 0; i < v * p->hidden; i++)
		p->dstate[i] *= 1 - p->state[i] * p->state[i];
	sum_rows(p->dstate, v, p->hidden, b0->gradient);
	gemm(p->hidden, p->width, v, p->dstate, 1, p->hidden, e->value, p->width, 1, 0, w0->gradient, p->width);
	gemm(v, p->width, p->hidden, p->dstate, p->hidden, 1, w0->value, p->width, 1, 0, e->gradient, p->width);
}
