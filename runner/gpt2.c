/* gpt2.c - see gpt2.h. The batch is N packed rows; a layer is four products by BLIS with row kernels (ops.h) and
 * attention (attention.h) between them, each parallel over rows or (part of the batch, head). Biases are never added in
 * a pass of their own: attention adds those of q, k, v, GELU that of c_fc, the residual connection the other two.
 *
 * Order of memory in a step: forward fills layers[], the head turns logits into dx, backward walks the layers down with
 * h, y, inner and dqkv as scratch. */
#include "gpt2.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "attention.h"
#include "base/mem.h"
#include "gemm.h"
#include "ops.h"

/* Logits are made for so many floats at a time: enough rows that BLIS packs the head's matrix seldom, few enough that
 * they need no great memory (distilgpt2: 238 rows, 48 MB). */
enum { LOGITS_FLOATS = 24000000 };
/* Prefix gradients are summed over sequences within a part, then over parts: fixed, so that threads do not matter, and
 * enough to give parts * n_head tasks to the threads. */
enum { PARTS = 8 };

/* Hands out pieces of one block; with memory NULL it only counts. */
struct carve {
	float *memory;
	size_t used; /* floats, SIZE_MAX once a size has overflowed */
};

static float *carve(struct carve *c, size_t rows, size_t columns)
{
	size_t floats, end;
	if (c->used == SIZE_MAX || mem_mul_overflows(rows, columns, &floats) ||
	    __builtin_add_overflow(c->used, floats, &end) || end > SIZE_MAX / 8) {
		c->used = SIZE_MAX;
		return NULL;
	}
	float *piece = c->memory ? c->memory + c->used : NULL;
	c->used = (end + 15) / 16 * 16;
	return piece;
}

static size_t lay_out(struct gpt2 *g, float *memory)
{
	const struct model *m = g->model;
	size_t n = g->limits.rows, r = g->limits.labels, d = m->n_embd;
	struct carve c = {.memory = memory};
	for (size_t l = 0; l < m->n_layer; l++) {
		size_t rows = l + 1 == m->n_layer ? r : n;
		g->layers[l].in = carve(&c, n, d);
		g->layers[l].qkv = carve(&c, n, 3 * d);
		g->layers[l].mid = carve(&c, rows, d);
		g->layers[l].fc = carve(&c, rows, m->n_inner);
	}
	g->x = carve(&c, r, d);
	g->last_q = carve(&c, r, d);
	g->h = carve(&c, n, d);
	g->y = carve(&c, n, d);
	g->inner = carve(&c, n, m->n_inner > d ? m->n_inner : d); /* also attention's output, [N, D] */
	g->dqkv = carve(&c, n, 3 * d);
	g->dx = carve(&c, n, d);
	g->logits = carve(&c, g->block_rows, m->n_vocab);
	g->row_loss = (double *)(void *)carve(&c, r, 2);
	g->prefix_parts = carve(&c, g->parts * g->limits.n_virtual, 2 * d);
	g->attention = carve(&c, g->threads, g->attention_floats);
	return c.used;
}

int gpt2_init(struct gpt2 *g, const struct model *model, const struct gpt2_limits *limits, struct err *err)
{
	*g = (struct gpt2){.model = model, .limits = *limits, .threads = (size_t)omp_get_max_threads()};
	g->block_rows = LOGITS_FLOATS / model->n_vocab;
	g->block_rows = g->block_rows < 16 ? 16 : g->block_rows;
	g->block_rows = g->block_rows > limits->labels ? limits->labels : g->block_rows;
	g->parts = limits->batch < PARTS ? limits->batch : PARTS;
	size_t floats = attention_work(limits->n_virtual, limits->longest, model->head_size);
	g->attention_floats = (floats + 15) / 16 * 16;
	g->layers = mem_zero(model->n_layer, sizeof *g->layers);
	g->sequence = mem_zero(limits->batch, sizeof *g->sequence);
	g->row = mem_zero(limits->rows, sizeof *g->row);
	g->label_row = mem_zero(limits->labels, sizeof *g->label_row);
	size_t total = lay_out(g, NULL);
	g->memory = total == SIZE_MAX ? NULL : aligned_alloc(64, total * sizeof(float) + 64);
	if (!g->memory) {
		double gib = (double)total * sizeof(float) / (1 << 30);
		gpt2_release(g);
		return err_set(err, ERR_SYSTEM,
			       "no memory for a training step of %zu tokens (%.1f GiB): lower batch_size", limits->rows,
			       gib);
	}
	lay_out(g, g->memory);
	return 0;
}

void gpt2_release(struct gpt2 *g)
{
	free(g->memory);
	free(g->layers);
	free(g->sequence);
	free(g->row);
	free(g->label_row);
	*g = (struct gpt2){0};
}

/* Packs the batch: who sits in which row. */
static void pack(struct gpt2 *g, const struct dataset_pair *const *pairs, size_t n)
{
	if (n > g->limits.batch)
		BUG("a batch of %zu, the limit is %zu", n, g->limits.batch);
	g->n_sequence = n;
	g->rows = g->labels = 0;
	for (size_t b = 0; b < n; b++) {
		size_t labels = gpt2_labels(pairs[b]);
		if (g->rows + pairs[b]->n > g->limits.rows || g->labels + labels > g->limits.labels ||
		    pairs[b]->n > g->limits.longest)
			BUG("a batch larger than its limits");
		g->sequence[b] = (struct gpt2_sequence){.pair = pairs[b],
							.begin = g->rows,
							.n = pairs[b]->n,
							.first = pairs[b]->n - labels - (labels > 0),
							.labels = labels,
							.label_begin = g->labels};
		for (size_t i = 0; i < pairs[b]->n; i++)
			g->row[g->rows++] = (struct gpt2_row){(uint32_t)b, (uint32_t)i};
		for (size_t i = 0; i < labels; i++)
			g->label_row[g->labels++] =
				(struct gpt2_row){(uint32_t)b, (uint32_t)(g->sequence[b].first + i)};
	}
}

/* Dropout of a site on one row, in place; nothing without dropout. */
static struct dropout dropout_of(const struct gpt2 *g, size_t layer, enum dropout_site site)
{
	const struct gpt2_dropout *d = g->dropout;
	if (!d)
		return (struct dropout){0};
	double rate = site == DROPOUT_EMBEDDING ? d->embedding : site == DROPOUT_ATTENTION ? d->attention : d->residual;
	return dropout_at(d->key, rate, d->step, layer, site);
}

static void drop(const struct dropout *d, struct gpt2_row row, size_t n, float *x)
{
	dropout_row(d, dropout_row_id(row.sequence, 0, row.index), n, x);
}

static bool is_last(const struct gpt2 *g, size_t l)
{
	return l + 1 == g->model->n_layer;
}

/* layers[0].in = dropout(wte[id] + wpe[v + pad + i]) */
static void embed(struct gpt2 *g)
{
	const struct model *m = g->model;
	size_t d = m->n_embd;
	const struct dropout site = dropout_of(g, 0, DROPOUT_EMBEDDING);
#pragma omp parallel for schedule(static)
	for (size_t i = 0; i < g->rows; i++) {
		struct gpt2_row row = g->row[i];
		const struct dataset_pair *pair = g->sequence[row.sequence].pair;
		size_t position = g->limits.n_virtual + pair->pad + row.index;
		float *x = g->layers[0].in + i * d;
		ops_sum(m->wte + (size_t)pair->ids[row.index] * d, m->wpe + position * d, d, x);
		drop(&site, row, d, x);
	}
}

/* The attention of head `head` of sequence b in layer l; *row is where its queries stand in [N or R, ..] arrays. */
static struct attention attention_of(const struct gpt2 *g, size_t l, size_t b, size_t head, const float *table,
				     size_t *row)
{
	const struct model *m = g->model;
	const struct gpt2_sequence *s = &g->sequence[b];
	const struct gpt2_layer *layer = &g->layers[l];
	const float *bias = m->layers[l].attn_b;
	size_t d = m->n_embd, at = head * m->head_size;
	bool last = is_last(g, l);
	*row = last ? s->label_begin : s->begin;
	return (struct attention){
		.n_virtual = g->limits.n_virtual,
		.n = s->n,
		.first = last ? s->first : 0,
		.n_query = last ? s->labels : s->n,
		.head_size = m->head_size,
		.prefix_k = table + 2 * l * d + at,
		.prefix_v = table + (2 * l + 1) * d + at,
		.prefix_stride = 2 * m->n_layer * d,
		.q = last ? g->last_q + *row * d + at : layer->qkv + *row * 3 * d + at,
		.k = layer->qkv + s->begin * 3 * d + d + at,
		.v = layer->qkv + s->begin * 3 * d + 2 * d + at,
		.q_stride = last ? d : 3 * d,
		.kv_stride = 3 * d,
		.q_bias = bias + at,
		.k_bias = bias + d + at,
		.v_bias = bias + 2 * d + at,
		.dropout = dropout_of(g, l, DROPOUT_ATTENTION),
		.example = b,
		.head = head,
	};
}

/* g->h = LN1(in); the last layer's queries are made of the label rows alone, gathered in g->y. */
static void project_qkv(struct gpt2 *g, size_t l)
{
	const struct model *m = g->model;
	const struct model_layer *w = &m->layers[l];
	struct gpt2_layer *layer = &g->layers[l];
	size_t d = m->n_embd;
	if (!is_last(g, l)) {
		gemm(g->rows, 3 * d, d, g->h, d, 1, w->attn_w, 3 * d, 1, 0, layer->qkv, 3 * d);
		return;
	}
	gemm(g->rows, 2 * d, d, g->h, d, 1, w->attn_w + d, 3 * d, 1, 0, layer->qkv + d, 3 * d);
	for (size_t b = 0; b < g->n_sequence; b++) {
		const struct gpt2_sequence *s = &g->sequence[b];
		memcpy(g->y + s->label_begin * d, g->h + (s->begin + s->first) * d, s->labels * d * sizeof(float));
		memcpy(layer->mid + s->label_begin * d, layer->in + (s->begin + s->first) * d,
		       s->labels * d * sizeof(float));
	}
	gemm(g->labels, d, d, g->y, d, 1, w->attn_w, 3 * d, 1, 0, g->last_q, d);
}

/* x = from + dropout(y + bias), then h = LayerNorm(x): a residual connection and the norm behind it. from may be x;
 * gain NULL: no norm. */
static void residual_norm(struct gpt2 *g, const struct gpt2_row *rows, size_t n, const float *from, const float *bias,
			  struct dropout site, float *x, const float *gain, const float *gain_bias)
{
	size_t d = g->model->n_embd;
	float epsilon = g->model->layer_norm_epsilon;
#pragma omp parallel for schedule(static)
	for (size_t i = 0; i < n; i++) {
		float *y = g->y + i * d, *to = x + i * d;
		ops_add(y, bias, d);
		drop(&site, rows[i], d, y);
		ops_sum(from + i * d, y, d, to);
		if (gain)
			ops_layernorm(to, gain, gain_bias, epsilon, d, g->h + i * d);
	}
}

static void norm(struct gpt2 *g, const float *x, size_t n, const float *gain, const float *bias)
{
	size_t d = g->model->n_embd;
	float epsilon = g->model->layer_norm_epsilon;
#pragma omp parallel for schedule(static)
	for (size_t i = 0; i < n; i++)
		ops_layernorm(x + i * d, gain, bias, epsilon, d, g->h + i * d);
}

static void gelu(struct gpt2 *g, size_t l, size_t n)
{
	size_t f = g->model->n_inner;
	const float *bias = g->model->layers[l].fc_b, *fc = g->layers[l].fc;
#pragma omp parallel for schedule(static)
	for (size_t i = 0; i < n; i++)
		ops_bias_gelu(fc + i * f, bias, f, g->inner + i * f);
}

/* One layer: in -> the next layer's in (g->x after the last), with that one's LN1 (LN_f) in g->h. */
static void forward_layer(struct gpt2 *g, size_t l, const float *table)
{
	const struct model *m = g->model;
	const struct model_layer *w = &m->layers[l];
	struct gpt2_layer *layer = &g->layers[l];
	bool last = is_last(g, l);
	size_t d = m->n_embd, f = m->n_inner, n = last ? g->labels : g->rows;
	const struct gpt2_row *rows = last ? g->label_row : g->row;
	project_qkv(g, l);
#pragma omp parallel for schedule(dynamic, 1) collapse(2)
	for (size_t b = 0; b < g->n_sequence; b++) {
		for (size_t head = 0; head < m->n_head; head++) {
			size_t row;
			struct attention a = attention_of(g, l, b, head, table, &row);
			attention_forward(&a, g->attention + (size_t)omp_get_thread_num() * g->attention_floats,
					  g->inner + row * d + head * m->head_size, d);
		}
	}
	gemm(n, d, d, g->inner, d, 1, w->proj_w, d, 1, 0, g->y, d);
	residual_norm(g, rows, n, last ? layer->mid : layer->in, w->proj_b, dropout_of(g, l, DROPOUT_PROJECTION),
		      layer->mid, w->ln2_gain, w->ln2_bias);
	gemm(n, f, d, g->h, d, 1, w->fc_w, f, 1, 0, layer->fc, f);
	gelu(g, l, n);
	gemm(n, d, f, g->inner, f, 1, w->out_w, d, 1, 0, g->y, d);
	const float *gain = last ? m->lnf_gain : m->layers[l + 1].ln1_gain;
	const float *bias = last ? m->lnf_bias : m->layers[l + 1].ln1_bias;
	residual_norm(g, rows, n, layer->mid, w->out_b, dropout_of(g, l, DROPOUT_MLP),
		      last ? g->x : g->layers[l + 1].in, gain, bias);
}

/* Token that row `r` of R predicts. */
static size_t label_of(const struct gpt2 *g, size_t r)
{
	struct gpt2_row row = g->label_row[r];
	return (size_t)g->sequence[row.sequence].pair->ids[row.index + 1];
}

/* Cross-entropy of g->h through the head, a block of rows at a time; the gradient with respect to g->h goes to g->y. */
static double head(struct gpt2 *g, bool want_gradient)
{
	const struct model *m = g->model;
	size_t d = m->n_embd, vocab = m->n_vocab;
	size_t n_blocks = (g->labels + g->block_rows - 1) / (g->block_rows ? g->block_rows : 1);
	float scale = 1.0f / (float)g->labels;
	for (size_t block = 0; block < n_blocks; block++) {
		size_t from = g->labels * block / n_blocks, n = g->labels * (block + 1) / n_blocks - from;
		gemm(n, vocab, d, g->h + from * d, d, 1, m->lm_head, 1, d, 0, g->logits, vocab);
#pragma omp parallel for schedule(static)
		for (size_t i = 0; i < n; i++) {
			float *x = g->logits + i * vocab;
			size_t label = label_of(g, from + i);
			float of_label = x[label], top = ops_max(x, vocab);
			float sum = ops_exp_sum(x, top, vocab);
			g->row_loss[from + i] = (double)top + log((double)sum) - (double)of_label;
			ops_scale(x, scale / sum, vocab);
			x[label] -= scale;
		}
		if (want_gradient)
			gemm(n, d, vocab, g->logits, vocab, 1, m->lm_head, d, 1, 0, g->y + from * d, d);
	}
	double sum = 0;
	for (size_t i = 0; i < g->labels; i++)
		sum += g->row_loss[i];
	return sum / (double)g->labels;
}

/* to = dropout's backward of from, row by row; from itself when there is no dropout. */
static const float *undrop(const struct gpt2 *g, const struct gpt2_row *rows, size_t n, struct dropout site,
			   const float *from, float *to)
{
	size_t d = g->model->n_embd;
	if (!site.threshold)
		return from;
#pragma omp parallel for schedule(static)
	for (size_t i = 0; i < n; i++) {
		memcpy(to + i * d, from + i * d, d * sizeof *to);
		drop(&site, rows[i], d, to + i * d);
	}
	return to;
}

/* dx through the MLP and its residual connection, to dx between attention and MLP. */
static void backward_mlp(struct gpt2 *g, size_t l, const struct gpt2_row *rows, size_t n)
{
	const struct model *m = g->model;
	const struct model_layer *w = &m->layers[l];
	const struct gpt2_layer *layer = &g->layers[l];
	size_t d = m->n_embd, f = m->n_inner;
	const float *dy = undrop(g, rows, n, dropout_of(g, l, DROPOUT_MLP), g->dx, g->y);
	gemm(n, f, d, dy, d, 1, w->out_w, 1, d, 0, g->inner, f);
#pragma omp parallel for schedule(static)
	for (size_t i = 0; i < n; i++)
		ops_bias_gelu_backward(layer->fc + i * f, w->fc_b, g->inner + i * f, f, g->inner + i * f);
	gemm(n, d, f, g->inner, f, 1, w->fc_w, 1, f, 0, g->h, d);
#pragma omp parallel for schedule(static)
	for (size_t i = 0; i < n; i++)
		ops_layernorm_backward(layer->mid + i * d, w->ln2_gain, m->layer_norm_epsilon, g->h + i * d, d,
				       g->dx + i * d);
}

/* The prefix's gradient of layer l: parts in order. */
static void add_parts(const struct gpt2 *g, size_t l, size_t parts, float *dtable)
{
	size_t d = g->model->n_embd, v = g->limits.n_virtual;
#pragma omp parallel for schedule(static)
	for (size_t j = 0; j < v; j++) {
		float *to = dtable + j * 2 * g->model->n_layer * d + 2 * l * d;
		memcpy(to, g->prefix_parts + j * 2 * d, 2 * d * sizeof *to);
		for (size_t part = 1; part < parts; part++)
			ops_add(to, g->prefix_parts + (part * v + j) * 2 * d, 2 * d);
	}
}

/* Attention's gradient: dout [n, D] -> g->dqkv (the last layer's queries: g->last_q) and the layer's part of dtable. */
static void backward_attention(struct gpt2 *g, size_t l, const float *table, const float *dout, float *dtable)
{
	const struct model *m = g->model;
	size_t d = m->n_embd, v = g->limits.n_virtual;
	size_t parts = g->parts < g->n_sequence ? g->parts : g->n_sequence;
	bool last = is_last(g, l);
#pragma omp parallel for schedule(dynamic, 1) collapse(2)
	for (size_t part = 0; part < parts; part++) {
		for (size_t h = 0; h < m->n_head; h++) {
			float *work = g->attention + (size_t)omp_get_thread_num() * g->attention_floats;
			float *prefix = g->prefix_parts + part * v * 2 * d + h * m->head_size;
			for (size_t j = 0; j < v; j++) {
				memset(prefix + j * 2 * d, 0, m->head_size * sizeof *prefix);
				memset(prefix + j * 2 * d + d, 0, m->head_size * sizeof *prefix);
			}
			for (size_t b = g->n_sequence * part / parts; b < g->n_sequence * (part + 1) / parts; b++) {
				size_t row, at = h * m->head_size;
				struct attention a = attention_of(g, l, b, h, table, &row);
				float *dkv = g->dqkv + g->sequence[b].begin * 3 * d + at;
				struct attention_gradient to = {
					.prefix_k = prefix,
					.prefix_v = prefix + d,
					.prefix_stride = 2 * d,
					.prefix_only = l == 0,
					.q = last ? g->last_q + row * d + at : dkv,
					.k = dkv + d,
					.v = dkv + 2 * d,
					.q_stride = last ? d : 3 * d,
					.kv_stride = 3 * d,
				};
				attention_backward(&a, work, dout + row * d + at, d, &to);
			}
		}
	}
	add_parts(g, l, parts, dtable);
}

/* dqkv through c_attn and LN1, added to dx [N, D]; the last layer's dx has only label rows and is spread out first. */
static void backward_qkv(struct gpt2 *g, size_t l)
{
	const struct model *m = g->model;
	const struct model_layer *w = &m->layers[l];
	size_t d = m->n_embd;
	if (!is_last(g, l)) {
		gemm(g->rows, d, 3 * d, g->dqkv, 3 * d, 1, w->attn_w, 1, 3 * d, 0, g->h, d);
	} else {
		gemm(g->rows, d, 2 * d, g->dqkv + d, 3 * d, 1, w->attn_w + d, 1, 3 * d, 0, g->h, d);
		gemm(g->labels, d, d, g->last_q, d, 1, w->attn_w, 1, 3 * d, 0, g->y, d);
		/* From the last sequence down, so that no row is overwritten before it has moved. */
		for (size_t b = g->n_sequence; b-- > 0;) {
			const struct gpt2_sequence *s = &g->sequence[b];
			float *to = g->dx + s->begin * d;
			for (size_t i = 0; i < s->labels; i++)
				ops_add(g->h + (s->begin + s->first + i) * d, g->y + (s->label_begin + i) * d, d);
			memmove(to + s->first * d, g->dx + s->label_begin * d, s->labels * d * sizeof *to);
			memset(to, 0, s->first * d * sizeof *to);
			memset(to + (s->first + s->labels) * d, 0, (s->n - s->first - s->labels) * d * sizeof *to);
		}
	}
	const float *in = g->layers[l].in;
#pragma omp parallel for schedule(static)
	for (size_t i = 0; i < g->rows; i++)
		ops_layernorm_backward(in + i * d, w->ln1_gain, m->layer_norm_epsilon, g->h + i * d, d, g->dx + i * d);
}

/* g->y has the gradient behind LN_f. */
static void backward(struct gpt2 *g, const float *table, float *dtable)
{
	const struct model *m = g->model;
	size_t d = m->n_embd;
	memset(g->dx, 0, g->labels * d * sizeof *g->dx);
#pragma omp parallel for schedule(static)
	for (size_t i = 0; i < g->labels; i++)
		ops_layernorm_backward(g->x + i * d, m->lnf_gain, m->layer_norm_epsilon, g->y + i * d, d,
				       g->dx + i * d);
	for (size_t l = m->n_layer; l-- > 0;) {
		const struct gpt2_row *rows = is_last(g, l) ? g->label_row : g->row;
		size_t n = is_last(g, l) ? g->labels : g->rows;
		backward_mlp(g, l, rows, n);
		const float *dy = undrop(g, rows, n, dropout_of(g, l, DROPOUT_PROJECTION), g->dx, g->y);
		gemm(n, d, d, dy, d, 1, m->layers[l].proj_w, 1, d, 0, g->inner, d);
		backward_attention(g, l, table, g->inner, dtable);
		if (l > 0)
			backward_qkv(g, l);
	}
}

double gpt2_step(struct gpt2 *g, const struct dataset_pair *const *pairs, size_t n, const float *table,
		 const struct gpt2_dropout *dropout, float *dtable)
{
	g->dropout = dropout;
	pack(g, pairs, n);
	if (g->labels == 0)
		return (double)NAN;
	embed(g);
	norm(g, g->layers[0].in, g->rows, g->model->layers[0].ln1_gain, g->model->layers[0].ln1_bias);
	for (size_t l = 0; l < g->model->n_layer; l++)
		forward_layer(g, l, table);
	double loss = head(g, dtable != NULL);
	if (dtable)
		backward(g, table, dtable);
	return loss;
}
