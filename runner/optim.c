/* optim.c - see optim.h. torch keeps the scalars in double and rounds each to float where it meets a tensor; so does
 * this. Element by element, so threads cannot matter. */
#include "optim.h"

#include <math.h>
#include <stdlib.h>

#include "base/params.h"
#include "simd.h"

int optim_init(struct optim *o, size_t n, const struct optim_settings *settings, struct err *err)
{
	*o = (struct optim){.settings = *settings, .n = n};
	o->moment = calloc(n ? n : 1, sizeof(float));
	o->square = calloc(n ? n : 1, sizeof(float));
	if (o->moment && o->square)
		return 0;
	optim_release(o);
	return err_set(err, ERR_SYSTEM, "no memory for the optimizer's state of %zu parameters", n);
}

void optim_release(struct optim *o)
{
	free(o->moment);
	free(o->square);
	o->moment = o->square = NULL;
}

struct scalars {
	float keep, blend, beta2, rest2, root, epsilon, step;
};

/* p keep; m += (g - m) blend; s = s beta2 + rest2 g g; p -= step * m / (sqrt(s) / root + epsilon) */
SIMD_CLONES static void update(float *restrict p, const float *restrict g, float *restrict m, float *restrict s,
			       size_t n, const struct scalars *with)
{
	const struct scalars c = *with;
	for (size_t i = 0; i < n; i++) {
		float moment = m[i] + (g[i] - m[i]) * c.blend;
		float square = s[i] * c.beta2 + c.rest2 * g[i] * g[i];
		m[i] = moment;
		s[i] = square;
		p[i] = p[i] * c.keep - c.step * (moment / (sqrtf(square) / c.root + c.epsilon));
	}
}

void optim_step(struct optim *o, float *parameters, const float *gradients, double learning_rate)
{
	const struct optim_settings *set = &o->settings;
	o->t++;
	double correction1 = 1 - pow(set->beta1, (double)o->t), correction2 = 1 - pow(set->beta2, (double)o->t);
	const struct scalars c = {
		.keep = (float)(1 - learning_rate * set->weight_decay),
		.blend = (float)(1 - set->beta1),
		.beta2 = (float)set->beta2,
		.rest2 = (float)(1 - set->beta2),
		.root = (float)sqrt(correction2),
		.epsilon = (float)set->epsilon,
		.step = (float)(learning_rate / correction1),
	};
	enum { CHUNK = 16384 };
	size_t chunks = (o->n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static)
	for (size_t chunk = 0; chunk < chunks; chunk++) {
		size_t at = chunk * CHUNK, n = o->n - at < CHUNK ? o->n - at : CHUNK;
		update(parameters + at, gradients + at, o->moment + at, o->square + at, n, &c);
	}
}

double optim_learning_rate(double base, int64_t kind, int64_t warmup, int64_t s, int64_t total)
{
	if (kind == LR_SCHEDULER_CONSTANT)
		return base;
	if (s < warmup)
		return base * ((double)s / (double)warmup);
	if (kind == LR_SCHEDULER_CONSTANT_WITH_WARMUP)
		return base;
	double left = (double)(total - s) / (double)(total - warmup > 1 ? total - warmup : 1);
	return base * (left > 0 ? left : 0);
}
