/* packed.c - see packed.h. */
#include "packed.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"

/* One matrix [k, n] with its strides, and where it goes. */
struct item {
	struct gemm_packed *to;
	const float *from;
	size_t n, k, row, column;
};

static struct item *items_of(const struct model *m, struct packed *packed, size_t *n)
{
	size_t d = m->n_embd, f = m->n_inner;
	struct item *items = mem_array(4 * m->n_layer + 1, sizeof *items), *next = items;
	for (size_t l = 0; l < m->n_layer; l++) {
		const struct model_layer *w = &m->layers[l];
		struct packed_layer *to = &packed->layers[l];
		*next++ = (struct item){&to->attn, w->attn_w, 3 * d, d, 3 * d, 1};
		*next++ = (struct item){&to->proj, w->proj_w, d, d, d, 1};
		*next++ = (struct item){&to->fc, w->fc_w, f, d, f, 1};
		*next++ = (struct item){&to->out, w->out_w, d, f, d, 1};
	}
	*next++ = (struct item){&packed->lm_head, m->lm_head, m->n_vocab, d, 1, d};
	*n = (size_t)(next - items);
	return items;
}

/* Floats of a packed matrix, rounded up so that the next one begins on a cache line. */
static size_t room_of(const struct item *item)
{
	return (gemm_packed_floats(item->n, item->k) + 15) / 16 * 16;
}

/* Whole pages inside a matrix that lies in a file: they can be read again, so their memory goes back. Private memory
 * (widened weights) is not ours to drop; the advice would zero it. */
static void give_back(const struct model *m, const struct item *item)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t begin = ((uintptr_t)item->from + page - 1) / page * page;
	uintptr_t end = (uintptr_t)(item->from + item->n * item->k) / page * page;
	if (model_in_file(m, item->from) && end > begin)
		madvise((void *)begin, end - begin, MADV_DONTNEED);
}

int packed_make(struct model *model, struct err *err)
{
	struct packed *packed = mem_zero(1, sizeof *packed);
	packed->layers = mem_zero(model->n_layer, sizeof *packed->layers);
	size_t n, floats = 0;
	struct item *items = items_of(model, packed, &n);
	for (size_t i = 0; i < n; i++)
		floats += room_of(&items[i]);
	packed->bytes = floats * sizeof(float);
	packed->memory = mmap(NULL, packed->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (packed->memory == MAP_FAILED) {
		packed->memory = NULL;
		err_set(err, ERR_SYSTEM, "no memory for %zu packed weights", floats);
		packed_release(packed);
		free(items);
		return -1;
	}
	madvise(packed->memory, packed->bytes, MADV_HUGEPAGE); /* every step walks through all of it */
	float *next = packed->memory;
	for (size_t i = 0; i < n; i++) {
		gemm_pack(items[i].to, items[i].n, items[i].k, items[i].from, items[i].row, items[i].column, next);
		next += room_of(&items[i]);
		give_back(model, &items[i]);
	}
	mprotect(packed->memory, packed->bytes, PROT_READ);
	model->packed = packed;
	free(items);
	return 0;
}

void packed_release(struct packed *packed)
{
	if (!packed)
		return;
	if (packed->memory)
		munmap(packed->memory, packed->bytes);
	free(packed->layers);
	free(packed);
}
