/* oracle.h - GPT-2 behind a prefix as plain loops in double, forward and backward: one sequence at a time, every row of
 * every layer, nothing clever. What runner/gpt2.c is tested against; itself tested against finite differences.
 *
 *     double loss = oracle_loss(&model, pairs, n, v, table, NULL, dtable);
 *
 * table and dtable are double [v, 2LD]. Weights are the model's floats. With dropout it makes the same masks by the
 * definition in dropout.h. */
#ifndef TEST_ORACLE_H
#define TEST_ORACLE_H

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "dataset.h"
#include "dropout.h"
#include "gpt2.h"
#include "model.h"

/* What a layer remembers of its forward pass over one sequence of n rows. T = v + n columns. */
struct oracle_layer {
	double *in, *ln1, *qkv, *p, *mask, *att, *mid, *ln2, *fc, *act; /* p, mask: [H, n, T] */
};

static double *oracle_new(size_t n)
{
	return mem_zero(n, sizeof(double));
}

/* y[rows, out] = x[rows, in] w[in, out] + b */
static void oracle_linear(double *y, const double *x, const float *w, const float *b, size_t rows, size_t in,
			  size_t out)
{
	for (size_t i = 0; i < rows; i++)
		for (size_t o = 0; o < out; o++) {
			double sum = (double)b[o];
			for (size_t c = 0; c < in; c++)
				sum += x[i * in + c] * (double)w[c * out + o];
			y[i * out + o] = sum;
		}
}

/* dx = dy w^T */
static void oracle_linear_back(double *dx, const double *dy, const float *w, size_t rows, size_t in, size_t out)
{
	for (size_t i = 0; i < rows; i++)
		for (size_t c = 0; c < in; c++) {
			double sum = 0;
			for (size_t o = 0; o < out; o++)
				sum += dy[i * out + o] * (double)w[c * out + o];
			dx[i * in + c] = sum;
		}
}

static void oracle_moments(const double *x, double epsilon, size_t d, double *mean, double *inverse)
{
	double m = 0, var = 0;
	for (size_t c = 0; c < d; c++)
		m += x[c] / (double)d;
	for (size_t c = 0; c < d; c++)
		var += (x[c] - m) * (x[c] - m) / (double)d;
	*mean = m;
	*inverse = 1 / sqrt(var + epsilon);
}

static void oracle_norm(double *y, const double *x, const float *gain, const float *bias, double epsilon, size_t rows,
			size_t d)
{
	for (size_t i = 0; i < rows; i++) {
		double mean, inverse;
		oracle_moments(x + i * d, epsilon, d, &mean, &inverse);
		for (size_t c = 0; c < d; c++)
			y[i * d + c] = (x[i * d + c] - mean) * inverse * (double)gain[c] + (double)bias[c];
	}
}

/* dx += */
static void oracle_norm_back(double *dx, const double *dy, const double *x, const float *gain, double epsilon,
			     size_t rows, size_t d)
{
	for (size_t i = 0; i < rows; i++) {
		double mean, inverse, g1 = 0, g2 = 0;
		oracle_moments(x + i * d, epsilon, d, &mean, &inverse);
		for (size_t c = 0; c < d; c++) {
			double g = dy[i * d + c] * (double)gain[c];
			g1 += g / (double)d;
			g2 += g * (x[i * d + c] - mean) * inverse / (double)d;
		}
		for (size_t c = 0; c < d; c++)
			dx[i * d + c] +=
				inverse * (dy[i * d + c] * (double)gain[c] - g1 - (x[i * d + c] - mean) * inverse * g2);
	}
}

static double oracle_gelu(double z)
{
	return 0.5 * z * (1 + tanh(sqrt(2 / M_PI) * (z + 0.044715 * z * z * z)));
}

static double oracle_gelu_slope(double z)
{
	double t = tanh(sqrt(2 / M_PI) * (z + 0.044715 * z * z * z));
	return 0.5 * (1 + t) + 0.5 * z * (1 - t * t) * sqrt(2 / M_PI) * (1 + 3 * 0.044715 * z * z);
}

/* x[i] *= the dropout's factors for row i of example b under head h. */
static void oracle_drop(const struct gpt2_dropout *dropout, double rate, size_t layer, enum dropout_site site, size_t b,
			size_t h, size_t i, size_t n, double *x)
{
	if (!dropout || rate <= 0)
		return;
	struct dropout d = dropout_at(dropout->key, rate, dropout->step, layer, site);
	float *factor = mem_array(n, sizeof *factor);
	for (size_t e = 0; e < n; e++)
		factor[e] = 1;
	dropout_row_plain(&d, dropout_row_id(b, h, i), n, factor);
	for (size_t e = 0; e < n; e++)
		x[e] *= (double)factor[e];
	free(factor);
}

/* Column t of head h in layer l: the prefix's key (what 0) or value (1), then the sequence's. */
static double oracle_column(const struct model *m, const double *table, const double *qkv, size_t v, size_t l, size_t h,
			    size_t t, size_t c, size_t what)
{
	size_t d = m->n_embd, at = h * m->head_size + c;
	if (t < v)
		return table[t * 2 * m->n_layer * d + (2 * l + what) * d + at];
	return qkv[(t - v) * 3 * d + (1 + what) * d + at];
}

static void oracle_attend(const struct model *m, struct oracle_layer *s, const double *table, size_t v, size_t l,
			  size_t n, size_t b, const struct gpt2_dropout *dropout)
{
	size_t d = m->n_embd, w = m->head_size, columns = v + n;
	for (size_t h = 0; h < m->n_head; h++)
		for (size_t i = 0; i < n; i++) {
			double *p = s->p + (h * n + i) * columns, *mask = s->mask + (h * n + i) * columns, sum = 0;
			size_t seen = v + i + 1;
			for (size_t t = 0; t < seen; t++) {
				double score = 0;
				for (size_t c = 0; c < w; c++)
					score += s->qkv[i * 3 * d + h * w + c] *
						 oracle_column(m, table, s->qkv, v, l, h, t, c, 0);
				p[t] = exp(score / sqrt((double)w));
				sum += p[t];
				mask[t] = 1;
			}
			oracle_drop(dropout, dropout ? dropout->attention : 0, l, DROPOUT_ATTENTION, b, h, i, seen,
				    mask);
			for (size_t t = 0; t < seen; t++)
				p[t] /= sum;
			for (size_t c = 0; c < w; c++) {
				double out = 0;
				for (size_t t = 0; t < seen; t++)
					out += p[t] * mask[t] * oracle_column(m, table, s->qkv, v, l, h, t, c, 1);
				s->att[i * d + h * w + c] = out;
			}
		}
}

/* datt [n, D] -> dqkv [n, 3D] (overwritten) and dtable (added). */
static void oracle_attend_back(const struct model *m, const struct oracle_layer *s, const double *table, size_t v,
			       size_t l, size_t n, const double *datt, double *dqkv, double *dtable)
{
	size_t d = m->n_embd, w = m->head_size, columns = v + n;
	memset(dqkv, 0, n * 3 * d * sizeof *dqkv);
	double *dp = oracle_new(columns);
	for (size_t h = 0; h < m->n_head; h++)
		for (size_t i = 0; i < n; i++) {
			const double *p = s->p + (h * n + i) * columns, *mask = s->mask + (h * n + i) * columns;
			const double *dout = datt + i * d + h * w;
			double sum = 0;
			for (size_t t = 0; t < v + i + 1; t++) {
				dp[t] = 0;
				for (size_t c = 0; c < w; c++)
					dp[t] += dout[c] * mask[t] * oracle_column(m, table, s->qkv, v, l, h, t, c, 1);
				sum += p[t] * dp[t];
			}
			for (size_t t = 0; t < v + i + 1; t++) {
				double ds = p[t] * (dp[t] - sum) / sqrt((double)w);
				for (size_t c = 0; c < w; c++) {
					size_t at = h * w + c;
					double *dk = t < v ? &dtable[t * 2 * m->n_layer * d + 2 * l * d + at]
							   : &dqkv[(t - v) * 3 * d + d + at];
					double *dv = t < v ? &dtable[t * 2 * m->n_layer * d + (2 * l + 1) * d + at]
							   : &dqkv[(t - v) * 3 * d + 2 * d + at];
					*dk += ds * s->qkv[i * 3 * d + at];
					*dv += p[t] * mask[t] * dout[c];
					dqkv[i * 3 * d + at] += ds * oracle_column(m, table, s->qkv, v, l, h, t, c, 0);
				}
			}
		}
	free(dp);
}

/* out = from + dropout(y) */
static void oracle_residual(const struct model *m, double *out, const double *from, double *y, size_t n, size_t l,
			    enum dropout_site site, size_t b, const struct gpt2_dropout *dropout)
{
	size_t d = m->n_embd;
	for (size_t i = 0; i < n; i++)
		oracle_drop(dropout, dropout ? dropout->residual : 0, l, site, b, 0, i, d, y + i * d);
	for (size_t i = 0; i < n * d; i++)
		out[i] = from[i] + y[i];
}

static void oracle_forward_layer(const struct model *m, struct oracle_layer *s, const double *table, size_t v, size_t l,
				 size_t n, size_t b, const struct gpt2_dropout *dropout, double *out)
{
	const struct model_layer *w = &m->layers[l];
	size_t d = m->n_embd, f = m->n_inner;
	double eps = (double)m->layer_norm_epsilon, *y = oracle_new(n * d);
	oracle_norm(s->ln1, s->in, w->ln1_gain, w->ln1_bias, eps, n, d);
	oracle_linear(s->qkv, s->ln1, w->attn_w, w->attn_b, n, d, 3 * d);
	oracle_attend(m, s, table, v, l, n, b, dropout);
	oracle_linear(y, s->att, w->proj_w, w->proj_b, n, d, d);
	oracle_residual(m, s->mid, s->in, y, n, l, DROPOUT_PROJECTION, b, dropout);
	oracle_norm(s->ln2, s->mid, w->ln2_gain, w->ln2_bias, eps, n, d);
	oracle_linear(s->fc, s->ln2, w->fc_w, w->fc_b, n, d, f);
	for (size_t i = 0; i < n * f; i++)
		s->act[i] = oracle_gelu(s->fc[i]);
	oracle_linear(y, s->act, w->out_w, w->out_b, n, f, d);
	oracle_residual(m, out, s->mid, y, n, l, DROPOUT_MLP, b, dropout);
	free(y);
}

/* dx: gradient behind the layer -> in front of it. */
static void oracle_backward_layer(const struct model *m, const struct oracle_layer *s, const double *table, size_t v,
				  size_t l, size_t n, size_t b, const struct gpt2_dropout *dropout, double *dx,
				  double *dtable)
{
	const struct model_layer *w = &m->layers[l];
	size_t d = m->n_embd, f = m->n_inner;
	double eps = (double)m->layer_norm_epsilon;
	double *dy = oracle_new(n * d), *dh = oracle_new(n * d), *df = oracle_new(n * f), *dqkv = oracle_new(n * 3 * d);
	memcpy(dy, dx, n * d * sizeof *dy);
	for (size_t i = 0; i < n; i++)
		oracle_drop(dropout, dropout ? dropout->residual : 0, l, DROPOUT_MLP, b, 0, i, d, dy + i * d);
	oracle_linear_back(df, dy, w->out_w, n, f, d);
	for (size_t i = 0; i < n * f; i++)
		df[i] *= oracle_gelu_slope(s->fc[i]);
	oracle_linear_back(dh, df, w->fc_w, n, d, f);
	oracle_norm_back(dx, dh, s->mid, w->ln2_gain, eps, n, d);
	memcpy(dy, dx, n * d * sizeof *dy);
	for (size_t i = 0; i < n; i++)
		oracle_drop(dropout, dropout ? dropout->residual : 0, l, DROPOUT_PROJECTION, b, 0, i, d, dy + i * d);
	oracle_linear_back(dh, dy, w->proj_w, n, d, d);
	oracle_attend_back(m, s, table, v, l, n, dh, dqkv, dtable);
	oracle_linear_back(dh, dqkv, w->attn_w, n, d, 3 * d);
	oracle_norm_back(dx, dh, s->in, w->ln1_gain, eps, n, d);
	free(dy);
	free(dh);
	free(df);
	free(dqkv);
}

/* Sum of the cross-entropies of one row's label; dhidden (added) is scaled by `scale`. */
static double oracle_row_loss(const struct model *m, const double *h, size_t label, double scale, double *dh)
{
	double *p = oracle_new(m->n_vocab), top = -INFINITY, sum = 0, loss;
	for (size_t t = 0; t < m->n_vocab; t++) {
		for (size_t c = 0; c < m->n_embd; c++)
			p[t] += h[c] * (double)m->lm_head[t * m->n_embd + c];
		top = fmax(top, p[t]);
	}
	for (size_t t = 0; t < m->n_vocab; t++)
		sum += exp(p[t] - top);
	loss = top + log(sum) - p[label];
	for (size_t t = 0; t < m->n_vocab; t++) {
		double dlogit = scale * (exp(p[t] - top) / sum - (t == label));
		for (size_t c = 0; c < m->n_embd; c++)
			dh[c] += dlogit * (double)m->lm_head[t * m->n_embd + c];
	}
	free(p);
	return loss;
}

/* The summed loss of example b; its gradient, scaled, is added to dtable. */
static double oracle_sequence(const struct model *m, const struct dataset_pair *pair, size_t v, size_t b,
			      const double *table, const struct gpt2_dropout *dropout, double scale, double *dtable)
{
	size_t n = pair->n, d = m->n_embd, f = m->n_inner, columns = v + n, n_layer = m->n_layer;
	double eps = (double)m->layer_norm_epsilon, loss = 0;
	struct oracle_layer *s = mem_zero(n_layer, sizeof *s);
	double *x = oracle_new(n * d), *h = oracle_new(n * d), *dh = oracle_new(n * d), *dx = oracle_new(n * d);
	for (size_t i = 0; i < n; i++) {
		for (size_t c = 0; c < d; c++)
			x[i * d + c] = (double)m->wte[(size_t)pair->ids[i] * d + c] +
				       (double)m->wpe[(v + pair->pad + i) * d + c];
		oracle_drop(dropout, dropout ? dropout->embedding : 0, 0, DROPOUT_EMBEDDING, b, 0, i, d, x + i * d);
	}
	for (size_t l = 0; l < n_layer; l++) {
		size_t sizes[] = {
			n * d, n * d, n * 3 * d, m->n_head * n * columns, m->n_head * n * columns, n * d, n * d,
			n * d, n * f, n * f};
		double **to[] = {&s[l].in,  &s[l].ln1, &s[l].qkv, &s[l].p,  &s[l].mask,
				 &s[l].att, &s[l].mid, &s[l].ln2, &s[l].fc, &s[l].act};
		for (size_t i = 0; i < 10; i++)
			*to[i] = oracle_new(sizes[i]);
		memcpy(s[l].in, x, n * d * sizeof *x);
		oracle_forward_layer(m, &s[l], table, v, l, n, b, dropout, x);
	}
	oracle_norm(h, x, m->lnf_gain, m->lnf_bias, eps, n, d);
	for (size_t i = 0; i + 1 < n; i++)
		if (i + 1 >= pair->n_prompt)
			loss += oracle_row_loss(m, h + i * d, (size_t)pair->ids[i + 1], scale, dh + i * d);
	oracle_norm_back(dx, dh, x, m->lnf_gain, eps, n, d);
	for (size_t l = n_layer; l-- > 0 && dtable;)
		oracle_backward_layer(m, &s[l], table, v, l, n, b, dropout, dx, dtable);
	for (size_t l = 0; l < n_layer; l++) {
		double *all[] = {s[l].in,  s[l].ln1, s[l].qkv, s[l].p,  s[l].mask,
				 s[l].att, s[l].mid, s[l].ln2, s[l].fc, s[l].act};
		for (size_t i = 0; i < 10; i++)
			free(all[i]);
	}
	free(s);
	free(x);
	free(h);
	free(dh);
	free(dx);
	return loss;
}

/* The mean loss over the labels of a batch. dtable is overwritten, or NULL. */
static double oracle_loss(const struct model *m, const struct dataset_pair *const *pairs, size_t n, size_t v,
			  const double *table, const struct gpt2_dropout *dropout, double *dtable)
{
	size_t labels = 0;
	double loss = 0;
	for (size_t b = 0; b < n; b++)
		labels += gpt2_labels(pairs[b]);
	if (dtable)
		memset(dtable, 0, v * 2 * m->n_layer * m->n_embd * sizeof *dtable);
	for (size_t b = 0; b < n; b++)
		loss += oracle_sequence(m, pairs[b], v, b, table, dropout, 1.0 / (double)labels, dtable);
	return loss / (double)labels;
}

#endif
