/* safetensors.c - the safetensors format, both ways; see safetensors.h and docs/REFERENCE.md, 9.
 *
 * A file is 8 bytes of little-endian header length N, N bytes of JSON, then the tensors' bytes back to back. The header
 * comes from strangers, so nothing in it is believed: every number must be a whole one that fits, every product and sum
 * is checked for overflow, and sorted by offset the tensors must tile the data exactly, from 0 to the end of the file.
 * After that a tensor's pointer and size are safe to use without another check. */
#include "safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"

#define SAFETENSORS_MAX_HEADER 100000000u

static const struct {
	const char *name;
	size_t size;
} safetensors_types[SAFETENSORS_TYPE_COUNT] = {
	{"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1}, {"I16", 2}, {"U16", 2}, {"F16", 2},
	{"BF16", 2}, {"I32", 4}, {"U32", 4}, {"F32", 4},     {"F64", 8},     {"I64", 8}, {"U64", 8},
};

const char *safetensors_type_name(enum safetensors_type type)
{
	return safetensors_types[type].name;
}

void safetensors_format_shape(const size_t *shape, size_t rank, struct buf *out)
{
	buf_addc(out, '[');
	for (size_t i = 0; i < rank; i++)
		buf_printf(out, "%s%zu", i ? ", " : "", shape[i]);
	buf_addc(out, ']');
}

/* A whole number from 0 to 2^53, beyond which a double would not be exact. */
static bool read_size(const cJSON *item, size_t *value)
{
	double d = item->valuedouble;
	if (!cJSON_IsNumber(item) || !(d >= 0 && d <= 0x1p53) || d != (double)(uint64_t)d)
		return false;
	*value = (size_t)d;
	return true;
}

static int read_shape(struct safetensors_tensor *t, const cJSON *shape, const char *file, struct err *err)
{
	if (!cJSON_IsArray(shape))
		return err_at(err, file, 0, 0, "tensor `%.200s` has no `shape`", t->name);
	t->count = 1;
	bool overflow = false, zero = false;
	const cJSON *item;
	cJSON_ArrayForEach(item, shape)
	{
		size_t dim;
		if (t->rank == SAFETENSORS_MAX_RANK)
			return err_at(err, file, 0, 0, "tensor `%.200s` has more than %d dimensions", t->name,
				      SAFETENSORS_MAX_RANK);
		if (!read_size(item, &dim))
			return err_at(err, file, 0, 0, "tensor `%.200s`: a dimension is not a whole number", t->name);
		t->shape[t->rank++] = dim;
		zero |= dim == 0;
		overflow |= mem_mul_overflows(t->count, dim, &t->count);
	}
	overflow |= mem_mul_overflows(t->count, safetensors_types[t->type].size, &t->size);
	if (overflow && !zero)
		return err_at(err, file, 0, 0, "tensor `%.200s`: its shape has more elements than any file can hold",
			      t->name);
	if (zero)
		t->count = t->size = 0;
	return 0;
}

/* One member of the header; its bytes begin at *begin of the data. */
static int read_tensor(struct safetensors_tensor *t, const cJSON *item, size_t *begin, const char *file,
		       struct err *err)
{
	t->name = item->string;
	if (!cJSON_IsObject(item))
		return err_at(err, file, 0, 0, "tensor `%.200s` is not described by an object", t->name);
	const cJSON *type = cJSON_GetObjectItemCaseSensitive(item, "dtype");
	if (!cJSON_IsString(type))
		return err_at(err, file, 0, 0, "tensor `%.200s` has no `dtype`", t->name);
	size_t found = 0;
	while (found < SAFETENSORS_TYPE_COUNT && strcmp(safetensors_types[found].name, type->valuestring) != 0)
		found++;
	if (found == SAFETENSORS_TYPE_COUNT)
		return err_at(err, file, 0, 0, "tensor `%.200s` is of the unknown type `%.40s`", t->name,
			      type->valuestring);
	t->type = (enum safetensors_type)found;
	if (read_shape(t, cJSON_GetObjectItemCaseSensitive(item, "shape"), file, err) < 0)
		return -1;
	const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(item, "data_offsets");
	size_t end;
	if (!cJSON_IsArray(offsets) || cJSON_GetArraySize(offsets) != 2 || !read_size(offsets->child, begin) ||
	    !read_size(offsets->child->next, &end))
		return err_at(err, file, 0, 0, "tensor `%.200s`: `data_offsets` is not a pair of whole numbers",
			      t->name);
	if (end < *begin || end - *begin != t->size) {
		struct buf shape = BUF_INIT;
		safetensors_format_shape(t->shape, t->rank, &shape);
		err_at(err, file, 0, 0, "tensor `%.200s`: %s %s needs %zu bytes, but `data_offsets` is [%zu, %zu]",
		       t->name, safetensors_types[t->type].name, shape.data, t->size, *begin, end);
		buf_release(&shape);
		return -1;
	}
	return 0;
}

static int check_metadata(const cJSON *metadata, const char *file, struct err *err)
{
	const cJSON *item;
	if (!cJSON_IsObject(metadata))
		return err_at(err, file, 0, 0, "`__metadata__` is not an object");
	cJSON_ArrayForEach(item, metadata) if (!cJSON_IsString(item)) return err_at(
		err, file, 0, 0, "`__metadata__` holds something that is not a text");
	return 0;
}

struct span {
	size_t begin, size;
	const char *name;
};

static int compare_spans(const void *a, const void *b)
{
	const struct span *x = a, *y = b;
	if (x->begin != y->begin)
		return x->begin < y->begin ? -1 : 1;
	return x->size < y->size ? -1 : x->size > y->size;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct safetensors_tensor *)a)->name, ((const struct safetensors_tensor *)b)->name);
}

/* The tensors must tile the n bytes of data: no gap, no overlap, nothing left over. */
static int check_spans(struct span *spans, size_t count, size_t n, const char *file, struct err *err)
{
	qsort(spans, count, sizeof *spans, compare_spans);
	size_t at = 0;
	for (size_t i = 0; i < count; i++) {
		if (spans[i].begin != at)
			return err_at(err, file, 0, 0, "tensor `%.200s` starts at offset %zu, expected %zu: tensors %s",
				      spans[i].name, spans[i].begin, at,
				      spans[i].begin < at ? "overlap" : "leave a gap");
		if (spans[i].size > n - at)
			return err_at(err, file, 0, 0,
				      "tensor `%.200s` ends at offset %zu of %zu bytes of data: the file is cut short "
				      "or damaged",
				      spans[i].name, spans[i].begin + spans[i].size, n);
		at += spans[i].size;
	}
	if (at != n)
		return err_at(err, file, 0, 0, "%zu bytes follow the last tensor", n - at);
	return 0;
}

static int read_tensors(struct safetensors *st, const cJSON *root, const unsigned char *data, size_t n,
			const char *file, struct err *err)
{
	size_t room = (size_t)cJSON_GetArraySize(root);
	st->tensors = mem_zero(room, sizeof *st->tensors);
	struct span *spans = mem_array(room, sizeof *spans);
	bool metadata = false;
	int result = -1;
	const cJSON *item;
	cJSON_ArrayForEach(item, root)
	{
		if (strcmp(item->string, "__metadata__") == 0) {
			if (metadata) {
				err_at(err, file, 0, 0, "`__metadata__` is there twice");
				goto out;
			}
			metadata = true;
			if (check_metadata(item, file, err) < 0)
				goto out;
			continue;
		}
		struct safetensors_tensor *t = &st->tensors[st->n];
		size_t begin = 0;
		if (read_tensor(t, item, &begin, file, err) < 0)
			goto out;
		spans[st->n++] = (struct span){begin, t->size, t->name};
		/* Formed before it is checked, but never used unless check_spans agrees. */
		t->data = (const unsigned char *)((uintptr_t)data + begin);
	}
	if (check_spans(spans, st->n, n, file, err) < 0)
		goto out;
	qsort(st->tensors, st->n, sizeof *st->tensors, compare_names);
	for (size_t i = 1; i < st->n; i++) {
		if (strcmp(st->tensors[i - 1].name, st->tensors[i].name) == 0) {
			err_at(err, file, 0, 0, "tensor `%.200s` is there twice", st->tensors[i].name);
			goto out;
		}
	}
	result = 0;
out:
	free(spans);
	return result;
}

int safetensors_parse(struct safetensors *st, const void *bytes, size_t n, const char *name, struct err *err)
{
	*st = (struct safetensors){0};
	const unsigned char *p = bytes;
	if (n < 8)
		return err_at(err, name, 0, 0, "%zu bytes are too few for a safetensors file", n);
	uint64_t length = 0;
	for (int i = 7; i >= 0; i--)
		length = length << 8 | p[i];
	if (length > n - 8 || length > SAFETENSORS_MAX_HEADER)
		return err_at(err, name, 0, 0,
			      "not a safetensors file, or cut short: its header would be %llu bytes, the file has %zu",
			      (unsigned long long)length, n);
	const char *text = (const char *)p + 8;
	size_t header = (size_t)length;
	if (header < 2 || text[0] != '{' || memchr(text, '\0', header))
		return err_at(err, name, 0, 0, "not a safetensors file: its header is not a JSON object");
	cJSON *root = json_parse(text, header, name, err);
	if (!root)
		return err_prefix(err, "the header of a safetensors file");
	st->header = root;
	int result = cJSON_IsObject(root) ? read_tensors(st, root, p + 8 + header, n - 8 - header, name, err)
					  : err_at(err, name, 0, 0, "its header is not a JSON object");
	if (result < 0)
		safetensors_close(st);
	return result;
}

int safetensors_open(struct safetensors *st, const char *path, struct err *err)
{
	*st = (struct safetensors){0};
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, "cannot open %s", path);
	struct stat info;
	void *map = MAP_FAILED;
	size_t size = 0;
	if (fstat(fd, &info) < 0) {
		err_errno(err, "cannot read %s", path);
	} else if (!S_ISREG(info.st_mode)) {
		err_at(err, path, 0, 0, "expected a plain file");
	} else if (info.st_size < 8) {
		err_at(err, path, 0, 0, "%lld bytes are too few for a safetensors file", (long long)info.st_size);
	} else {
		size = (size_t)info.st_size;
		map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
		if (map == MAP_FAILED)
			err_errno(err, "cannot map %s into memory", path);
	}
	close(fd);
	if (map == MAP_FAILED)
		return -1;
	if (safetensors_parse(st, map, size, path, err) < 0) {
		munmap(map, size);
		return -1;
	}
	st->map = map;
	st->map_size = size;
	int64_t facts[] = {(int64_t)info.st_dev, (int64_t)info.st_ino, info.st_size, info.st_mtim.tv_sec,
			   info.st_mtim.tv_nsec};
	st->identity = hash_u64(facts, sizeof facts);
	return 0;
}

void safetensors_close(struct safetensors *st)
{
	free(st->tensors);
	cJSON_Delete(st->header);
	if (st->map)
		munmap(st->map, st->map_size);
	*st = (struct safetensors){0};
}

const struct safetensors_tensor *safetensors_find(const struct safetensors *st, const char *name)
{
	struct safetensors_tensor key = {.name = name};
	return st->n ? bsearch(&key, st->tensors, st->n, sizeof key, compare_names) : NULL;
}

bool safetensors_is_float(enum safetensors_type type)
{
	return type == SAFETENSORS_F32 || type == SAFETENSORS_F16 || type == SAFETENSORS_BF16;
}

const float *safetensors_floats(const struct safetensors_tensor *t)
{
	if (t->type != SAFETENSORS_F32 || (uintptr_t)t->data % _Alignof(float) != 0)
		return NULL;
	return (const float *)(const void *)t->data;
}

/* IEEE half to single: a subnormal half is mantissa * 2^-24, exact in float. */
static float half_to_float(uint16_t half)
{
	uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = half >> 10 & 31u, mantissa = half & 0x3ffu;
	uint32_t bits;
	float value;
	if (exponent == 0) {
		value = (float)mantissa * 0x1p-24f;
		return sign ? -value : value;
	}
	bits = sign | (exponent == 31 ? 255u : exponent + 112u) << 23 | mantissa << 13;
	memcpy(&value, &bits, sizeof value);
	return value;
}

void safetensors_widen(const struct safetensors_tensor *t, float *out)
{
	if (t->type == SAFETENSORS_F32) {
		if (t->size)
			memcpy(out, t->data, t->size);
		return;
	}
	for (size_t i = 0; i < t->count; i++) {
		uint16_t narrow = (uint16_t)(t->data[2 * i] | t->data[2 * i + 1] << 8);
		if (t->type == SAFETENSORS_F16) {
			out[i] = half_to_float(narrow);
		} else {
			uint32_t bits = (uint32_t)narrow << 16;
			memcpy(&out[i], &bits, sizeof bits);
		}
	}
}

static int compare_for_writing(const void *a, const void *b)
{
	const struct safetensors_tensor *x = *(const struct safetensors_tensor *const *)a;
	const struct safetensors_tensor *y = *(const struct safetensors_tensor *const *)b;
	if (x->type != y->type)
		return x->type > y->type ? -1 : 1;
	return strcmp(x->name, y->name);
}

void safetensors_write(const struct safetensors_tensor *tensors, size_t n, struct buf *out)
{
	const struct safetensors_tensor **order = mem_array(n, sizeof *order);
	struct buf header = BUF_INIT;
	for (size_t i = 0; i < n; i++)
		order[i] = &tensors[i];
	qsort(order, n, sizeof *order, compare_for_writing);
	buf_adds(&header, "{\"__metadata__\":{\"format\":\"pt\"}");
	size_t at = 0;
	for (size_t i = 0; i < n; i++) {
		size_t bytes = safetensors_types[order[i]->type].size;
		buf_addc(&header, ',');
		json_format_string(order[i]->name, strlen(order[i]->name), &header);
		buf_printf(&header, ":{\"dtype\":\"%s\",\"shape\":[", safetensors_types[order[i]->type].name);
		for (size_t d = 0; d < order[i]->rank; d++) {
			buf_printf(&header, "%s%zu", d ? "," : "", order[i]->shape[d]);
			bytes *= order[i]->shape[d];
		}
		buf_printf(&header, "],\"data_offsets\":[%zu,%zu]}", at, at + bytes);
		at += bytes;
	}
	buf_addc(&header, '}');
	while (header.size % 8)
		buf_addc(&header, ' ');
	for (int i = 0; i < 8; i++)
		buf_addc(out, (char)(header.size >> 8 * i));
	buf_add(out, header.data, header.size);
	buf_reserve(out, at);
	for (size_t i = 0; i < n; i++) {
		size_t bytes = safetensors_types[order[i]->type].size;
		for (size_t d = 0; d < order[i]->rank; d++)
			bytes *= order[i]->shape[d];
		buf_add(out, order[i]->data, bytes);
	}
	buf_release(&header);
	free(order);
}
