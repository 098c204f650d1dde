/* optim.h - AdamW exactly as torch.optim.AdamW computes it in float32, and the learning-rate schedule
 * (docs/REFERENCE.md, 4).
 *
 *     struct optim o;
 *     if (optim_init(&o, n, &(struct optim_settings){.beta1 = 0.9, ...}, err) < 0) return -1;
 *     for (int64_t s = 0; s < total; s++)
 *             optim_step(&o, parameters, gradients, optim_learning_rate(5e-5, LR_SCHEDULER_LINEAR, 0, s, total));
 *     optim_release(&o);
 */
#ifndef SWEEP_RUNNER_OPTIM_H
#define SWEEP_RUNNER_OPTIM_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct optim_settings {
	double beta1, beta2, epsilon, weight_decay;
};

struct optim {
	struct optim_settings settings;
	size_t n;
	int64_t t;              /* steps taken */
	float *moment, *square; /* [n] running means of the gradient and of its square */
};

int optim_init(struct optim *o, size_t n, const struct optim_settings *settings, struct err *err);
void optim_release(struct optim *o);
/* One step on parameters [n] with gradients [n]; decay is decoupled. */
void optim_step(struct optim *o, float *parameters, const float *gradients, double learning_rate);

/* The rate of step s (from 0) of total, for a kind of base/params.h. LINEAR and CONSTANT_WITH_WARMUP rise from 0 over
 * `warmup` steps, then the one falls to 0 at `total` and the other stays; CONSTANT is `base` from the first step on. */
double optim_learning_rate(double base, int64_t kind, int64_t warmup, int64_t s, int64_t total);

#endif
