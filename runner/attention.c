/* attention.c - see attention.h. One head's rows are copied once into a small, padded, contiguous workspace that stays
 * in the cache (q scaled and with its bias, k and v with the prefix in front); all products then run over it four rows
 * at a time, and only over the columns that those rows may see. The backward pass computes P again rather than keep it:
 * at most an eighth of the work, against n * (v + n) floats for each head and layer.
 *
 * Padding: a row of P or dS is zero for `slack` columns past its last visible one, because blocks of four rows
 * (columns) share the range of the longest. */
#include "attention.h"

#include <math.h>
#include <string.h>

#include "ops.h"
#include "simd.h"

enum { ROWS = 4, SLACK = 16 };

static size_t round8(size_t n)
{
	return (n + 7) / 8 * 8;
}

/* The workspace, in floats. T = v + first + n_query columns; a row of k, v, q has d rounded up to 8. */
struct work {
	size_t columns, width, stride; /* T; floats in a row of q, k, v; in a row of p and of transposed k, v */
	float *q, *k, *v;              /* [n_query, width], [T, width] */
	float *turned;                 /* [width, stride]: k or v transposed */
	float *p, *masked, *ds;        /* [n_query, stride] */
	float *dout;                   /* [n_query, width] */
	float *block;                  /* [ROWS, width] */
	float *factor;                 /* [stride] */
};

size_t attention_work(size_t n_virtual, size_t n, size_t head_size)
{
	size_t width = round8(head_size), columns = n_virtual + n, stride = round8(columns) + SLACK;
	return 2 * n * width + 2 * columns * width + width * stride + 3 * n * stride + ROWS * width + stride;
}

static struct work lay_out(const struct attention *a, float *memory)
{
	struct work w = {.columns = a->n_virtual + a->first + a->n_query, .width = round8(a->head_size)};
	w.stride = round8(w.columns) + SLACK;
	w.q = memory;
	w.k = w.q + a->n_query * w.width;
	w.v = w.k + w.columns * w.width;
	w.turned = w.v + w.columns * w.width;
	w.p = w.turned + w.width * w.stride;
	w.masked = w.p + a->n_query * w.stride;
	w.ds = w.masked + a->n_query * w.stride;
	w.dout = w.ds + a->n_query * w.stride;
	w.block = w.dout + a->n_query * w.width;
	w.factor = w.block + ROWS * w.width;
	return w;
}

/* C[rows, n] = A[rows, from .. to - 1] B[from .. to - 1, n]; rows is at most ROWS, n a multiple of 8. */
struct product {
	size_t rows, n, from, to;
	const float *a;
	size_t a_row, a_col;
	const float *b;
	size_t ldb;
	float *c;
	size_t ldc;
};

static void product_plain(const struct product *p)
{
	for (size_t r = 0; r < p->rows; r++) {
		float *c = p->c + r * p->ldc;
		memset(c, 0, p->n * sizeof *c);
		for (size_t k = p->from; k < p->to; k++)
			ops_axpy(c, p->a[r * p->a_row + k * p->a_col], p->b + k * p->ldb, p->n);
	}
}

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

/* By intrinsics, because GCC 12 makes eight insertions of the broadcast of a[k] in a function with target_clones. ROWS
 * x 16 sums stay in registers. A missing row repeats the last one and is not stored. */
__attribute__((target("avx2,fma"))) static void product_avx2(const struct product *p)
{
	const float *row[ROWS];
	for (size_t r = 0; r < ROWS; r++)
		row[r] = p->a + (r < p->rows ? r : p->rows - 1) * p->a_row + p->from * p->a_col;
	size_t steps = p->to - p->from, j = 0;
	for (; j + 16 <= p->n; j += 16) {
		const float *b = p->b + p->from * p->ldb + j;
		__m256 sum[ROWS][2];
		for (size_t r = 0; r < ROWS; r++)
			sum[r][0] = sum[r][1] = _mm256_setzero_ps();
		for (size_t k = 0, at = 0; k < steps; k++, at += p->a_col, b += p->ldb) {
			__m256 b0 = _mm256_loadu_ps(b), b1 = _mm256_loadu_ps(b + 8);
			for (size_t r = 0; r < ROWS; r++) {
				__m256 x = _mm256_broadcast_ss(row[r] + at);
				sum[r][0] = _mm256_fmadd_ps(x, b0, sum[r][0]);
				sum[r][1] = _mm256_fmadd_ps(x, b1, sum[r][1]);
			}
		}
		for (size_t r = 0; r < ROWS; r++) {
			if (r < p->rows) {
				_mm256_storeu_ps(p->c + r * p->ldc + j, sum[r][0]);
				_mm256_storeu_ps(p->c + r * p->ldc + j + 8, sum[r][1]);
			}
		}
	}
	if (j < p->n) {
		const float *b = p->b + p->from * p->ldb + j;
		__m256 sum[ROWS];
		for (size_t r = 0; r < ROWS; r++)
			sum[r] = _mm256_setzero_ps();
		for (size_t k = 0, at = 0; k < steps; k++, at += p->a_col, b += p->ldb)
			for (size_t r = 0; r < ROWS; r++)
				sum[r] = _mm256_fmadd_ps(_mm256_broadcast_ss(row[r] + at), _mm256_loadu_ps(b), sum[r]);
		for (size_t r = 0; r < ROWS; r++)
			if (r < p->rows)
				_mm256_storeu_ps(p->c + r * p->ldc + j, sum[r]);
	}
}

static void product(struct product p)
{
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		product_avx2(&p);
	else
		product_plain(&p);
}
#else
static void product(struct product p)
{
	product_plain(&p);
}
#endif

/* to[c, t] = from[t, c] for whole blocks of 8 x 8; from has round8(rows) rows' worth of readable memory. */
SIMD_CLONES static void transpose(const float *from, size_t rows, size_t width, float *to, size_t stride)
{
	for (size_t t = 0; t < rows; t += 8) {
		for (size_t c = 0; c < width; c += 8) {
			float tile[8][8];
			for (size_t i = 0; i < 8; i++)
				for (size_t j = 0; j < 8; j++)
					tile[j][i] = t + i < rows ? from[(t + i) * width + c + j] : 0;
			for (size_t j = 0; j < 8; j++)
				simd_store(to + (c + j) * stride + t, simd_load(tile[j]));
		}
	}
}

/* With f the dropout's factors (NULL: none): ds = p (dp f - sum(p dp f)), masked = p f. */
SIMD_CLONES static void softmax_backward(const float *p, float *ds, const float *f, float *masked, size_t n)
{
	v8 sums = simd_set(0);
	size_t i = 0;
	if (f) {
		for (; i + 8 <= n; i += 8) {
			simd_store(ds + i, simd_load(ds + i) * simd_load(f + i));
			simd_store(masked + i, simd_load(p + i) * simd_load(f + i));
		}
		for (; i < n; i++) {
			ds[i] *= f[i];
			masked[i] = p[i] * f[i];
		}
	}
	for (i = 0; i + 8 <= n; i += 8)
		sums += simd_load(p + i) * simd_load(ds + i);
	float sum = simd_sum(sums);
	for (size_t j = i; j < n; j++)
		sum += p[j] * ds[j];
	for (i = 0; i + 8 <= n; i += 8)
		simd_store(ds + i, simd_load(p + i) * (simd_load(ds + i) - sum));
	for (; i < n; i++)
		ds[i] = p[i] * (ds[i] - sum);
}

/* to[i, :] = (from[i, :] + bias) * scale, zeros up to width. bias may be NULL. */
static void copy_rows(size_t rows, size_t n, size_t width, const float *from, size_t stride, const float *bias,
		      float scale, float *to)
{
	for (size_t i = 0; i < rows; i++, to += width, from += stride) {
		memcpy(to, from, n * sizeof *to);
		if (bias)
			ops_add(to, bias, n);
		if (scale != 1)
			ops_scale(to, scale, n);
		for (size_t c = n; c < width; c++)
			to[c] = 0;
	}
}

/* k or v: the prefix rows, then the sequence's. */
static void copy_columns(const struct attention *a, const struct work *w, const float *prefix, const float *from,
			 const float *bias, float *to)
{
	copy_rows(a->n_virtual, a->head_size, w->width, prefix, a->prefix_stride, NULL, 1, to);
	copy_rows(w->columns - a->n_virtual, a->head_size, w->width, from, a->kv_stride, bias, 1,
		  to + a->n_virtual * w->width);
}

/* Columns that query i sees. */
static size_t visible(const struct attention *a, size_t i)
{
	return a->n_virtual + a->first + i + 1;
}

static size_t block_rows(size_t from, size_t end)
{
	return end - from < ROWS ? end - from : ROWS;
}

/* P = softmax(q k^T) into w->p, zeros behind what is visible. */
static void probabilities(const struct attention *a, const struct work *w)
{
	copy_rows(a->n_query, a->head_size, w->width, a->q, a->q_stride, a->q_bias, 1 / sqrtf((float)a->head_size),
		  w->q);
	copy_columns(a, w, a->prefix_k, a->k, a->k_bias, w->k);
	transpose(w->k, w->columns, w->width, w->turned, w->stride);
	for (size_t i = 0; i < a->n_query; i += ROWS) {
		size_t rows = block_rows(i, a->n_query);
		product((struct product){rows, round8(visible(a, i + rows - 1)), 0, w->width, w->q + i * w->width,
					 w->width, 1, w->turned, w->stride, w->p + i * w->stride, w->stride});
		for (size_t r = i; r < i + rows; r++) {
			float *p = w->p + r * w->stride;
			ops_softmax(p, visible(a, r));
			memset(p + visible(a, r), 0, (SLACK - 8) * sizeof *p);
		}
	}
}

void attention_forward(const struct attention *a, float *memory, float *out, size_t out_stride)
{
	struct work w = lay_out(a, memory);
	probabilities(a, &w);
	copy_columns(a, &w, a->prefix_v, a->v, a->v_bias, w.v);
	for (size_t i = 0; i < a->n_query; i += ROWS) {
		size_t rows = block_rows(i, a->n_query);
		for (size_t r = i; r < i + rows; r++)
			dropout_row(&a->dropout, dropout_row_id(a->example, a->head, a->first + r), visible(a, r),
				    w.p + r * w.stride);
		product((struct product){rows, w.width, 0, visible(a, i + rows - 1), w.p + i * w.stride, w.stride, 1,
					 w.v, w.width, w.block, w.width});
		for (size_t r = 0; r < rows; r++)
			memcpy(out + (i + r) * out_stride, w.block + r * w.width, a->head_size * sizeof *out);
	}
}

/* dS into w->ds and dropout(P) into w->masked (or w->p itself without dropout). */
static void score_gradients(const struct attention *a, struct work *w, const float *dout, size_t dout_stride)
{
	probabilities(a, w);
	copy_columns(a, w, a->prefix_v, a->v, a->v_bias, w->v);
	transpose(w->v, w->columns, w->width, w->turned, w->stride);
	copy_rows(a->n_query, a->head_size, w->width, dout, dout_stride, NULL, 1, w->dout);
	if (!a->dropout.threshold)
		w->masked = w->p;
	for (size_t i = 0; i < a->n_query; i += ROWS) {
		size_t rows = block_rows(i, a->n_query);
		product((struct product){rows, round8(visible(a, i + rows - 1)), 0, w->width, w->dout + i * w->width,
					 w->width, 1, w->turned, w->stride, w->ds + i * w->stride, w->stride});
		for (size_t r = i; r < i + rows; r++) {
			size_t n = visible(a, r);
			float *ds = w->ds + r * w->stride, *masked = w->masked + r * w->stride;
			if (a->dropout.threshold) {
				for (size_t j = 0; j < n; j++)
					w->factor[j] = 1;
				dropout_row(&a->dropout, dropout_row_id(a->example, a->head, a->first + r), n,
					    w->factor);
				memset(masked + n, 0, (SLACK - 8) * sizeof *masked);
			}
			softmax_backward(w->p + r * w->stride, ds, a->dropout.threshold ? w->factor : NULL, masked, n);
			memset(ds + n, 0, (SLACK - 8) * sizeof *ds);
		}
	}
}

/* Rows 0 .. end - 1 of weights^T x, where weights [n_query, T] and x [n_query, width]: the gradient of k (weights dS, x
 * the scaled q) or v (dropout(P), dout). Rows of the prefix are added, the sequence's are written. */
static void column_gradients(const struct attention *a, const struct work *w, const float *weights, const float *x,
			     size_t end, float *prefix, size_t prefix_stride, float *rows_out, size_t rows_stride)
{
	for (size_t t = 0; t < end; t += ROWS) {
		size_t rows = block_rows(t, end), before = a->n_virtual + a->first;
		product((struct product){rows, w->width, t > before ? t - before : 0, a->n_query, weights + t, 1,
					 w->stride, x, w->width, w->block, w->width});
		for (size_t r = 0; r < rows; r++) {
			const float *from = w->block + r * w->width;
			if (t + r < a->n_virtual)
				ops_add(prefix + (t + r) * prefix_stride, from, a->head_size);
			else
				memcpy(rows_out + (t + r - a->n_virtual) * rows_stride, from,
				       a->head_size * sizeof *from);
		}
	}
}

void attention_backward(const struct attention *a, float *memory, const float *dout, size_t dout_stride,
			const struct attention_gradient *g)
{
	struct work w = lay_out(a, memory);
	score_gradients(a, &w, dout, dout_stride);
	size_t end = g->prefix_only ? a->n_virtual : w.columns;
	column_gradients(a, &w, w.masked, w.dout, end, g->prefix_v, g->prefix_stride, g->v, g->kv_stride);
	column_gradients(a, &w, w.ds, w.q, end, g->prefix_k, g->prefix_stride, g->k, g->kv_stride);
	if (g->prefix_only)
		return;
	for (size_t i = a->first + a->n_query; i < a->n; i++) { /* rows that no query of this call sees */
		memset(g->k + i * g->kv_stride, 0, a->head_size * sizeof *g->k);
		memset(g->v + i * g->kv_stride, 0, a->head_size * sizeof *g->v);
	}
	float scale = 1 / sqrtf((float)a->head_size);
	for (size_t i = 0; i < a->n_query; i += ROWS) {
		size_t rows = block_rows(i, a->n_query);
		product((struct product){rows, w.width, 0, visible(a, i + rows - 1), w.ds + i * w.stride, w.stride, 1,
					 w.k, w.width, w.block, w.width});
		for (size_t r = 0; r < rows; r++) {
			ops_scale(w.block + r * w.width, scale, a->head_size);
			memcpy(g->q + (i + r) * g->q_stride, w.block + r * w.width, a->head_size * sizeof *g->q);
		}
	}
}
