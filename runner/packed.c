/* packed.c - see packed.h.
 *
 * The shared file is a page with a header and the matrices behind it. The header is written last, so a file whose
 * packer was killed looks empty and the next worker packs again. Its lock is one of fcntl's: those belong to a process,
 * while flock's would belong to the descriptor that all workers have in common. */
#include "packed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"

#define HEADER_BYTES 4096

/* What the shared file holds. */
struct header {
	char magic[8], arch[24]; /* BLIS's kernels decide the order */
	uint64_t identity, bytes;
};

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

/* Packs all matrices into memory, or finds them there. */
static void lay_out(const struct model *m, const struct item *items, size_t n, float *memory, bool pack)
{
	for (size_t i = 0; i < n; i++) {
		const struct item *item = &items[i];
		if (pack) {
			gemm_pack(item->to, item->n, item->k, item->from, item->row, item->column, memory);
			give_back(m, item);
		} else {
			*item->to = (struct gemm_packed){.n = item->n, .k = item->k, .panels = memory};
		}
		memory += room_of(item);
	}
}

static int lock(int fd, short type)
{
	struct flock all = {.l_type = type, .l_whence = SEEK_SET};
	int result;
	do
		result = fcntl(fd, F_SETLKW, &all);
	while (result < 0 && errno == EINTR);
	return result;
}

/* Maps the shared file, which is made when it is empty. 0: done; -1: it cannot be used. The lock is held. */
static int use_shared(struct packed *packed, const struct model *m, const struct item *items, size_t n, int fd,
		      const struct header *want)
{
	struct header have = {0};
	if (pread(fd, &have, sizeof have, 0) < 0)
		return -1;
	bool there = memcmp(&have, want, sizeof have) == 0, empty = have.magic[0] == '\0';
	size_t bytes = HEADER_BYTES + want->bytes;
	if (!there && (!empty || ftruncate(fd, (off_t)bytes) < 0 || fallocate(fd, 0, 0, (off_t)bytes) < 0))
		return -1;
	void *map = mmap(NULL, bytes, there ? PROT_READ : PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -1;
	lay_out(m, items, n, (float *)(void *)((char *)map + HEADER_BYTES), !there);
	if (!there) {
		mprotect(map, bytes, PROT_READ);
		(void)!pwrite(fd, want, sizeof *want, 0); /* failed: the next worker packs again, the same bytes */
	}
	packed->map = map;
	packed->map_bytes = bytes;
	packed->shared = true;
	return 0;
}

static int use_own(struct packed *packed, const struct model *m, const struct item *items, size_t n, size_t bytes)
{
	void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		return -1;
	packed->map = map;
	packed->map_bytes = bytes;
	lay_out(m, items, n, map, true);
	mprotect(map, bytes, PROT_READ);
	return 0;
}

int packed_inherited(void)
{
	const char *text = getenv("SWEEP_WEIGHTS_FD");
	char *end;
	long fd = text ? strtol(text, &end, 10) : -1;
	return fd > 2 && fd < 1 << 20 && *end == '\0' && fcntl((int)fd, F_GETFD) >= 0 ? (int)fd : -1;
}

struct packed *packed_make(const struct model *model, int shared, struct err *err)
{
	struct packed *packed = mem_zero(1, sizeof *packed);
	packed->layers = mem_zero(model->n_layer, sizeof *packed->layers);
	size_t n, floats = 0;
	struct item *items = items_of(model, packed, &n);
	for (size_t i = 0; i < n; i++)
		floats += room_of(&items[i]);
	struct header header = {.magic = "sweeppk", .identity = model_identity(model), .bytes = floats * sizeof(float)};
	snprintf(header.arch, sizeof header.arch, "%s", gemm_arch());
	int result = -1;
	if (shared >= 0 && header.identity && lock(shared, F_WRLCK) == 0) {
		result = use_shared(packed, model, items, n, shared, &header);
		lock(shared, F_UNLCK);
	}
	if (result < 0)
		result = use_own(packed, model, items, n, header.bytes);
	free(items);
	if (result < 0) {
		packed_release(packed);
		err_set(err, ERR_SYSTEM, "no memory for %zu packed weights", floats);
		return NULL;
	}
	return packed;
}

void packed_release(struct packed *packed)
{
	if (!packed)
		return;
	if (packed->map)
		munmap(packed->map, packed->map_bytes);
	free(packed->layers);
	free(packed);
}
