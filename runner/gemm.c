/* gemm.c - the loops around BLIS's micro-kernel; see gemm.h and docs/NUMERICS.md.
 *
 * BLIS's own sgemm packs both operands for every product. Weights do not change, so decoding packs them once
 * (gemm_pack) and a step of 320 rows has a tenth less to do; and where C is cut among threads, each block of BLIS's
 * packs its share anew. So the loops are ours: A is packed once by all threads together, then the threads take groups
 * of columns of C, packing their part of B if it is not packed yet. What runs inside is BLIS's micro-kernel for this
 * CPU, with BLIS's block sizes, over k in BLIS's order: the bits are those of BLIS's conventional path
 * (tests/unit/test_gemm.c compares). BLIS's small-matrix path, which picks kernels by shape and would make a row depend
 * on its batch, is never taken.
 *
 * Some micro-kernels want C by columns (`rows` is false): they compute C' = B' A', that is, A's and B's parts are
 * swapped.
 *
 *     one chunk of k (as much as the workspace holds):
 *       all threads        A -> panels of a_width rows, [block of k][panel][kc][a_ld]
 *       tasks, any order   columns x rows of C: for each block of k: B's panels; for `mc` rows: panel of B x panel of A
 *
 * Threads wait at OpenMP's barriers, which sleep after a while. BLIS's own spin without end: on a busy machine (two
 * workers of three threads on two cores, say) a product took ten times as long. */
#include "gemm.h"

#include <blis.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "simd.h"

/* Below so many multiplications a second thread costs more than it brings. */
#define GEMM_SMALL 400000
/* Floats of A that are packed at a time (16 MB), if one block of k does not need more: workspaces stay so small that
 * they may end the process when memory is out (base/mem.h) and products need no error path. */
#define GEMM_A_FLOATS 4000000
/* Panels of B in a task, at most: with kc = 256 and 16 columns a panel they are 256 KiB and stay in a core's L2. */
#define GEMM_GROUP 16
/* Lines ahead that packing asks memory for: they lie further apart than the CPU would look by itself. */
#define PACK_AHEAD 16
/* Tasks for each thread, at least: the last one that runs alone is then short. */
#define GEMM_TASKS 4

static struct {
	sgemm_ukr_ft run;
	cntx_t *cntx;
	bool rows;             /* wants C by rows: A is its left operand */
	size_t a_width, a_ld;  /* rows of A in a panel; floats from one k to the next */
	size_t b_width, b_ld;  /* columns of B likewise */
	size_t mc, kc, kc_max; /* rows of A at a time; a block of k; the last one may be so long */
} kernel;

/* Some micro-kernels (Haswell's, Zen's) load the next k's floats before they know that there are none. What they read
 * behind a panel's end is thrown away, but must be memory. */
#define READ_AHEAD 128

struct workspace {
	void *memory;
	size_t floats;
};

static int gemm_thread_count = 1;
static struct workspace shared_a, *own_b; /* own_b: [n_own_b], one for each thread */
static int n_own_b;

static size_t panels_of(size_t n, size_t width)
{
	return (n + width - 1) / width;
}

/* BLIS takes its generic kernels for a CPU that is newer than itself, although those for the CPU's forerunners run there:
 * four times faster, and with the bits of all machines of that family. The user's own BLIS_ARCH_TYPE wins. */
static void init_blis(void)
{
#ifdef __x86_64__
	if (!getenv("BLIS_ARCH_TYPE") && bli_cpuid_query_id() == BLIS_ARCH_GENERIC && __builtin_cpu_supports("avx2") &&
	    __builtin_cpu_supports("fma")) {
		bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
			      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
		int family = __builtin_cpu_is("amd") ? BLIS_ARCH_ZEN3 : avx512 ? BLIS_ARCH_SKX : BLIS_ARCH_HASWELL;
		char number[16];
		snprintf(number, sizeof number, "%d", family);
		setenv("BLIS_ARCH_TYPE", number, 1);
	}
#endif
	bli_init();
}

static void kernel_find(void)
{
	if (kernel.run)
		return;
	init_blis();
	cntx_t *cntx = bli_gks_query_cntx();
	size_t mr = (size_t)bli_cntx_get_blksz_def_dt(BLIS_FLOAT, BLIS_MR, cntx);
	size_t nr = (size_t)bli_cntx_get_blksz_def_dt(BLIS_FLOAT, BLIS_NR, cntx);
	size_t pack_mr = (size_t)bli_cntx_get_blksz_max_dt(BLIS_FLOAT, BLIS_MR, cntx);
	size_t pack_nr = (size_t)bli_cntx_get_blksz_max_dt(BLIS_FLOAT, BLIS_NR, cntx);
	kernel.rows = bli_cntx_l3_nat_ukr_prefers_rows_dt(BLIS_FLOAT, BLIS_GEMM_UKR, cntx);
	kernel.a_width = kernel.rows ? mr : nr;
	kernel.a_ld = kernel.rows ? pack_mr : pack_nr;
	kernel.b_width = kernel.rows ? nr : mr;
	kernel.b_ld = kernel.rows ? pack_nr : pack_mr;
	kernel.mc = panels_of((size_t)bli_cntx_get_blksz_def_dt(BLIS_FLOAT, BLIS_MC, cntx), kernel.a_width) *
		    kernel.a_width;
	kernel.kc = (size_t)bli_cntx_get_blksz_def_dt(BLIS_FLOAT, BLIS_KC, cntx);
	kernel.kc_max = (size_t)bli_cntx_get_blksz_max_dt(BLIS_FLOAT, BLIS_KC, cntx);
	kernel.cntx = cntx;
	kernel.run = (sgemm_ukr_ft)bli_cntx_get_l3_nat_ukr_dt(BLIS_FLOAT, BLIS_GEMM_UKR, cntx);
}

void gemm_threads(int threads)
{
	gemm_thread_count = threads < 1 ? 1 : threads;
}

const char *gemm_arch(void)
{
	init_blis();
	return bli_arch_string(bli_arch_query_id());
}

static float *workspace_take(struct workspace *w, size_t floats)
{
	if (floats > w->floats) {
		free(w->memory);
		w->memory = mem_alloc((floats + READ_AHEAD) * sizeof(float) + 64);
		w->floats = floats;
	}
	return (float *)(((uintptr_t)w->memory + 63) / 64 * 64);
}

/* How much of the k that is left goes into the next block: as BLIS cuts it. */
static size_t next_block(size_t left)
{
	return left <= kernel.kc_max ? left : kernel.kc;
}

/* ---- packing ---- */

/* Two vectors at once: *a and *b become the lanes of both that low and high name. */
SIMD_INLINE void exchange(v8 *a, v8 *b, v8i low, v8i high)
{
	v8 x = *a, y = *b;
	*a = simd_shuffle(x, y, low);
	*b = simd_shuffle(x, y, high);
}

/* r[i] lane j -> r[j] lane i */
SIMD_INLINE void transpose8(v8 *r)
{
	const v8i pair_low = {0, 8, 1, 9, 4, 12, 5, 13}, pair_high = {2, 10, 3, 11, 6, 14, 7, 15};
	const v8i quad_low = {0, 1, 8, 9, 4, 5, 12, 13}, quad_high = {2, 3, 10, 11, 6, 7, 14, 15};
	const v8i half_low = {0, 1, 2, 3, 8, 9, 10, 11}, half_high = {4, 5, 6, 7, 12, 13, 14, 15};
	for (int i = 0; i < 8; i += 2)
		exchange(&r[i], &r[i + 1], pair_low, pair_high);
	for (int i = 0; i < 8; i += 4) {
		exchange(&r[i], &r[i + 2], quad_low, quad_high);
		exchange(&r[i + 1], &r[i + 3], quad_low, quad_high);
	}
	for (int i = 0; i < 4; i++)
		exchange(&r[i], &r[i + 4], half_low, half_high);
	/* The middle two of each half have changed places. */
	v8 t[8] = {r[0], r[2], r[1], r[3], r[4], r[6], r[5], r[7]};
	for (int i = 0; i < 8; i++)
		r[i] = t[i];
}

/* n lines of k floats each, `line` apart -> to[p * ld + i] = line i's float p, zero for i in n .. ld - 1. */
SIMD_CLONES static void pack_lines(const float *x, size_t line, size_t n, size_t k, size_t ld, float *to)
{
	/* From the last eight lines to the first: a store where ld has no eight left spills into the beginning of the
	 * next k, which is written later. The last k has no next one. */
	for (size_t i = (ld + 7) / 8 * 8; i > 0;) {
		i -= 8;
		size_t p = 0, lines = n > i ? n - i : 0, safe = ld - i >= 8 ? k : k - 1;
		for (; p + 8 <= safe; p += 8) {
			v8 r[8];
			for (size_t j = 0; j < 8; j++)
				r[j] = j < lines ? simd_load(x + (i + j) * line + p) : simd_set(0);
			transpose8(r);
			for (size_t j = 0; j < 8; j++)
				simd_store(to + (p + j) * ld + i, r[j]);
		}
		for (; p < k; p++)
			for (size_t j = i; j < ld && j < i + 8; j++)
				to[p * ld + j] = j < n ? x[j * line + p] : 0;
	}
}

/* n rows (columns), `across` apart, of k elements, `along` apart, as panels of `width`, one after the other. Elements
 * that lie side by side are copied one k for all panels at a time: memory likes long lines. */
SIMD_CLONES static void pack_panels(const float *x, size_t across, size_t along, size_t n, size_t k, size_t width,
				    size_t ld, float *to)
{
	if (along == 1 && across != 1) {
		for (size_t at = 0; at < n; at += width, to += k * ld)
			pack_lines(x + at * across, across, n - at < width ? n - at : width, k, ld, to);
		return;
	}
	for (size_t p = 0; p < k; p++)
		for (size_t at = 0; at < n; at += width) {
			size_t count = n - at < width ? n - at : width, i = 0;
			float *line = to + at / width * k * ld + p * ld;
			const float *from = x + p * along + at * across;
			__builtin_prefetch(from + PACK_AHEAD * along);
			for (; across == 1 && i + 8 <= count; i += 8)
				simd_store(line + i, simd_load(from + i));
			for (; i < count; i++)
				line[i] = from[i * across];
			for (; i < ld; i++)
				line[i] = 0;
		}
}

size_t gemm_packed_floats(size_t n, size_t k)
{
	kernel_find();
	return panels_of(n, kernel.b_width) * kernel.b_ld * k + READ_AHEAD;
}

void gemm_pack(struct gemm_packed *packed, size_t n, size_t k, const float *b, size_t b_row, size_t b_col,
	       float *memory)
{
	kernel_find();
	size_t panels = panels_of(n, kernel.b_width);
	*packed = (struct gemm_packed){.n = n, .k = k, .panels = memory};
	memset(memory + panels * kernel.b_ld * k, 0, READ_AHEAD * sizeof *memory);
	for (size_t at = 0, block; at < k; at += block) {
		block = next_block(k - at);
		size_t groups = panels_of(panels, GEMM_GROUP);
#pragma omp parallel for schedule(static) num_threads(gemm_thread_count)
		for (size_t g = 0; g < groups; g++) {
			size_t first = panels * g / groups, last = panels * (g + 1) / groups;
			size_t left = first * kernel.b_width, right = last * kernel.b_width;
			pack_panels(b + at * b_row + left * b_col, b_col, b_row, (right < n ? right : n) - left, block,
				    kernel.b_width, kernel.b_ld, memory + (at * panels + first * block) * kernel.b_ld);
		}
	}
}

/* ---- the product ---- */

struct product {
	size_t m, n, k, ldc;
	const float *a, *b; /* b NULL: packed */
	size_t a_row, a_col, b_row, b_col;
	const struct gemm_packed *packed;
	float *c;
	float beta;
	/* the chunk of k at hand, and the tasks */
	size_t from, to;
	float *a_panels;
	size_t groups, task_rows, row_tasks; /* groups of panels of B; rows of C in a task; such pieces of C */
};

/* Blocks of k in this chunk: at most GEMM_A_FLOATS of A, at least one. */
static size_t chunk_end(const struct product *p, size_t from)
{
	size_t rows = panels_of(p->m, kernel.a_width) * kernel.a_ld, to = from;
	do
		to += next_block(p->k - to);
	while (to < p->k && rows * (to - from + next_block(p->k - to)) <= GEMM_A_FLOATS);
	return to;
}

/* Enough tasks to keep the threads evenly busy, but groups of columns as wide as a core's cache likes; and only if C
 * has too few columns is it cut into rows too, because then B is packed more than once. */
static void choose_tasks(struct product *p, size_t threads)
{
	size_t panels = panels_of(p->n, kernel.b_width), rows = panels_of(p->m, kernel.a_width);
	size_t want = threads > 1 ? threads * GEMM_TASKS : 1;
	p->groups = panels_of(panels, GEMM_GROUP) > want ? panels_of(panels, GEMM_GROUP) : want;
	p->groups = panels_of(p->groups, threads) * threads; /* the same work for each */
	p->groups = p->groups > panels ? panels : p->groups;
	p->row_tasks = threads > 1 && p->groups < 2 * threads ? panels_of(2 * threads, p->groups) : 1;
	p->row_tasks = p->row_tasks > rows ? rows : p->row_tasks;
	p->task_rows = panels_of(rows, p->row_tasks) * kernel.a_width;
	p->row_tasks = panels_of(p->m, p->task_rows);
}

static void pack_a(const struct product *p, size_t panel)
{
	size_t panels = panels_of(p->m, kernel.a_width), top = panel * kernel.a_width;
	size_t height = p->m - top < kernel.a_width ? p->m - top : kernel.a_width;
	for (size_t at = p->from, block; at < p->to; at += block) {
		block = next_block(p->k - at);
		pack_panels(p->a + top * p->a_row + at * p->a_col, p->a_row, p->a_col, height, block, kernel.a_width,
			    kernel.a_ld, p->a_panels + ((at - p->from) * panels + panel * block) * kernel.a_ld);
	}
}

/* Brings a share of what the next panel will need from memory, while this one computes. */
static void prefetch(const float *panel, size_t floats, size_t share, size_t shares)
{
	size_t lines = floats / 16;
	for (size_t i = lines * share / shares; i < lines * (share + 1) / shares; i++)
		__builtin_prefetch(panel + 16 * i, 0, 2);
}

/* C[top .. bottom, panel j of B] (+)= a block of A times a panel of B. next: what to prefetch, or NULL. */
static void run_panel(const struct product *p, const float *a_block, size_t block, const float *b_panel, size_t j,
		      size_t top, size_t bottom, float beta, const float *next)
{
	float one = 1;
	size_t left = j * kernel.b_width, width = p->n - left < kernel.b_width ? p->n - left : kernel.b_width;
	size_t count = panels_of(bottom - top, kernel.a_width);
	auxinfo_t aux = {0};
	bli_auxinfo_set_next_b((void *)b_panel, &aux);
	for (size_t i = 0; i < count; i++) {
		size_t row = top + i * kernel.a_width;
		size_t height = bottom - row < kernel.a_width ? bottom - row : kernel.a_width;
		float *a_panel = (float *)a_block + row / kernel.a_width * block * kernel.a_ld;
		float *c = p->c + row * p->ldc + left;
		bli_auxinfo_set_next_a(i + 1 < count ? a_panel + block * kernel.a_ld : a_panel, &aux);
		if (next)
			prefetch(next, block * kernel.b_ld, i, count);
		if (kernel.rows)
			kernel.run((dim_t)height, (dim_t)width, (dim_t)block, &one, a_panel, (float *)b_panel, &beta, c,
				   (inc_t)p->ldc, 1, &aux, kernel.cntx);
		else
			kernel.run((dim_t)width, (dim_t)height, (dim_t)block, &one, (float *)b_panel, a_panel, &beta, c,
				   1, (inc_t)p->ldc, &aux, kernel.cntx);
	}
}

static void run_task(const struct product *p, size_t task, float *b_room)
{
	size_t all = panels_of(p->n, kernel.b_width), a_panels = panels_of(p->m, kernel.a_width);
	size_t group = task / p->row_tasks, first = all * group / p->groups, last = all * (group + 1) / p->groups;
	size_t left = first * kernel.b_width, right = last * kernel.b_width < p->n ? last * kernel.b_width : p->n;
	size_t top = task % p->row_tasks * p->task_rows, bottom = top + p->task_rows < p->m ? top + p->task_rows : p->m;
	for (size_t at = p->from, block; at < p->to; at += block) {
		block = next_block(p->k - at);
		float beta = at == 0 ? p->beta : 1;
		const float *a_block = p->a_panels + (at - p->from) * a_panels * kernel.a_ld, *b = b_room;
		size_t panel = block * kernel.b_ld;
		if (p->packed)
			b = p->packed->panels + at * all * kernel.b_ld + first * panel;
		else
			pack_panels(p->b + at * p->b_row + left * p->b_col, p->b_col, p->b_row, right - left, block,
				    kernel.b_width, kernel.b_ld, b_room);
		for (size_t row = top; row < bottom; row += kernel.mc) {
			size_t end = row + kernel.mc < bottom ? row + kernel.mc : bottom;
			for (size_t j = first; j < last; j++) {
				float *here = (float *)b + (j - first) * panel;
				bool more = row == top && p->packed && j + 1 < last;
				run_panel(p, a_block, block, here, j, row, end, beta, more ? here + panel : NULL);
			}
		}
	}
}

static void run(struct product *p)
{
	bool alone = gemm_thread_count == 1 || (double)p->m * (double)p->n * (double)p->k < GEMM_SMALL;
	int threads = alone ? 1 : gemm_thread_count;
	kernel_find();
	size_t a_panels = panels_of(p->m, kernel.a_width), room = 0;
	if (p->m == 0 || p->n == 0)
		return;
	if (p->k == 0)
		BUG("a product over nothing");
	choose_tasks(p, (size_t)threads);
	if (n_own_b < threads) {
		own_b = mem_grow(own_b, (size_t)threads, sizeof *own_b);
		for (; n_own_b < threads; n_own_b++)
			own_b[n_own_b] = (struct workspace){0};
	}
	if (!p->packed)
		room = (panels_of(panels_of(p->n, kernel.b_width), p->groups)) * kernel.b_ld *
		       (kernel.kc_max > kernel.kc ? kernel.kc_max : kernel.kc);
	for (int i = 0; i < threads; i++)
		workspace_take(&own_b[i], room);
	for (p->from = 0; p->from < p->k; p->from = p->to) {
		p->to = chunk_end(p, p->from);
		p->a_panels = workspace_take(&shared_a, a_panels * kernel.a_ld * (p->to - p->from));
#pragma omp parallel num_threads(threads) if (threads > 1)
		{
			float *b_room = workspace_take(&own_b[omp_get_thread_num()], 0);
#pragma omp for schedule(static)
			for (size_t i = 0; i < a_panels; i++)
				pack_a(p, i);
#pragma omp for schedule(dynamic, 1) nowait
			for (size_t task = 0; task < p->groups * p->row_tasks; task++)
				run_task(p, task, b_room);
		}
	}
}

void gemm(size_t m, size_t n, size_t k, const float *a, size_t a_row, size_t a_col, const float *b, size_t b_row,
	  size_t b_col, float beta, float *c, size_t ldc)
{
	struct product p = {.m = m,
			    .n = n,
			    .k = k,
			    .a = a,
			    .a_row = a_row,
			    .a_col = a_col,
			    .b = b,
			    .b_row = b_row,
			    .b_col = b_col,
			    .beta = beta,
			    .c = c,
			    .ldc = ldc};
	run(&p);
}

void gemm_with(size_t m, const float *a, size_t lda, const struct gemm_packed *b, float *c, size_t ldc)
{
	struct product p = {
		.m = m, .n = b->n, .k = b->k, .a = a, .a_row = lda, .a_col = 1, .packed = b, .c = c, .ldc = ldc};
	run(&p);
}
