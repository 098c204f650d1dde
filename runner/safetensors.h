/* safetensors.h - reads and writes the safetensors format (docs/REFERENCE.md, 9).
 *
 *     struct safetensors st;
 *     if (safetensors_open(&st, "model.safetensors", err) < 0) return -1;
 *     const struct safetensors_tensor *t = safetensors_find(&st, "wte.weight");
 *     if (t && t->type == SAFETENSORS_F32) ... t->data ...
 *     safetensors_close(&st);
 *
 * A file is mmapped and every length in it is checked before anything is used: offsets that overlap, leave a gap, run
 * past the end or do not match the shape are refused with a sentence. Tensors point into the mapping, which may be
 * unaligned in old files: use safetensors_floats, or safetensors_widen. */
#ifndef SWEEP_RUNNER_SAFETENSORS_H
#define SWEEP_RUNNER_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* In the order in which a writer sorts them, largest alignment last (files have the reverse). */
enum safetensors_type {
	SAFETENSORS_BOOL,
	SAFETENSORS_U8,
	SAFETENSORS_I8,
	SAFETENSORS_F8_E5M2,
	SAFETENSORS_F8_E4M3,
	SAFETENSORS_I16,
	SAFETENSORS_U16,
	SAFETENSORS_F16,
	SAFETENSORS_BF16,
	SAFETENSORS_I32,
	SAFETENSORS_U32,
	SAFETENSORS_F32,
	SAFETENSORS_F64,
	SAFETENSORS_I64,
	SAFETENSORS_U64,
	SAFETENSORS_TYPE_COUNT
};

enum { SAFETENSORS_MAX_RANK = 16 };

struct safetensors_tensor {
	const char *name;
	enum safetensors_type type;
	size_t rank, shape[SAFETENSORS_MAX_RANK];
	size_t count; /* elements */
	size_t size;  /* bytes */
	const unsigned char *data;
};

struct safetensors {
	struct safetensors_tensor *tensors; /* sorted by name */
	size_t n;
	void *header; /* safetensors.c's: owns the names */
	void *map;    /* the mapping that safetensors_close ends, or NULL */
	size_t map_size;
	uint64_t identity; /* of the file as it is now: device, inode, size, time of change; 0 for one in memory */
};

int safetensors_open(struct safetensors *st, const char *path, struct err *err);
/* The same for a file already in memory, which stays the caller's and must outlive st; name is for messages. */
int safetensors_parse(struct safetensors *st, const void *bytes, size_t n, const char *name, struct err *err);
void safetensors_close(struct safetensors *st);
/* NULL when there is none. */
const struct safetensors_tensor *safetensors_find(const struct safetensors *st, const char *name);

const char *safetensors_type_name(enum safetensors_type type);
/* "[5, 9216]" */
void safetensors_format_shape(const size_t *shape, size_t rank, struct buf *out);
/* True for F32, F16, BF16: what safetensors_widen takes. */
bool safetensors_is_float(enum safetensors_type type);
/* The data of an F32 tensor that lies aligned in memory, else NULL: widen it. */
const float *safetensors_floats(const struct safetensors_tensor *t);
/* Writes count floats. Exact for all three types. */
void safetensors_widen(const struct safetensors_tensor *t, float *out);

/* A file of n tensors with metadata {"format":"pt"}, byte-identical to what the Rust writer makes; of each tensor name,
 * type, rank, shape and data are read. */
void safetensors_write(const struct safetensors_tensor *tensors, size_t n, struct buf *out);

#endif
