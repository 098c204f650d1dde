/* test_packed.c - the matrices of the bundled model packed in private memory and in a file that processes share: the
 * same floats, packed once; and every way in which the file can turn out to be of no use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "packed.h"

/* A model and its packed matrices. */
struct pair {
	struct model model;
	struct packed *packed;
};

static void load(struct pair *p, int shared)
{
	struct err err = {0};
	if (model_load(&p->model, SOURCE_DIR "/runner/demo", &err) < 0 ||
	    !(p->packed = packed_make(&p->model, shared, &err)))
		fail_msg("%s", err.text);
}

static void release(struct pair *p)
{
	packed_release(p->packed);
	model_release(&p->model);
}

static void assert_same(const struct gemm_packed *a, const struct gemm_packed *b)
{
	assert_int_equal(a->n, b->n);
	assert_int_equal(a->k, b->k);
	assert_int_equal((uintptr_t)a->panels % 64, 0);
	assert_memory_equal(a->panels, b->panels, gemm_packed_floats(a->n, a->k) * sizeof(float));
}

static void assert_same_model(const struct pair *a, const struct pair *b)
{
	for (size_t l = 0; l < a->model.n_layer; l++) {
		const struct packed_layer *x = &a->packed->layers[l], *y = &b->packed->layers[l];
		assert_same(&x->attn, &y->attn);
		assert_same(&x->proj, &y->proj);
		assert_same(&x->fc, &y->fc);
		assert_same(&x->out, &y->out);
	}
	assert_same(&a->packed->lm_head, &b->packed->lm_head);
}

static void test_shared(void **state)
{
	(void)state;
	struct pair own, first, second;
	int fd = memfd_create("test", MFD_CLOEXEC);
	load(&own, -1);
	assert_false(own.packed->shared);
	load(&first, fd);
	load(&second, fd);
	assert_true(first.packed->shared);
	assert_true(second.packed->shared);
	assert_same_model(&own, &first);
	assert_same_model(&own, &second);
	/* the second has mapped what the first packed: a mark in the file is seen by both */
	float mark = 12345, *last = (float *)first.packed->lm_head.panels;
	off_t at = (char *)last - (char *)first.packed->map;
	assert_int_equal(pwrite(fd, &mark, sizeof mark, at), sizeof mark);
	assert_true(first.packed->lm_head.panels[0] == mark);
	assert_true(second.packed->lm_head.panels[0] == mark);
	release(&first);
	release(&second);
	release(&own);
	close(fd);
}

/* Another model's weights in the file: they are left alone. */
static void test_other_model(void **state)
{
	(void)state;
	struct pair own, other;
	int fd = memfd_create("test", MFD_CLOEXEC);
	char header[64] = "sweeppk";
	assert_int_equal(pwrite(fd, header, sizeof header, 0), sizeof header);
	load(&own, -1);
	load(&other, fd);
	assert_false(other.packed->shared);
	assert_same_model(&own, &other);
	release(&own);
	release(&other);
	close(fd);
	/* no file at all behind the descriptor */
	load(&own, fd);
	assert_false(own.packed->shared);
	release(&own);
	/* a file that cannot grow */
	fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), 0);
	load(&own, fd);
	assert_false(own.packed->shared);
	release(&own);
	close(fd);
}

/* A worker that is killed before the header is written: the next one packs again, over what is there. */
static void test_packer_killed(void **state)
{
	(void)state;
	struct pair own, next;
	int fd = memfd_create("test", MFD_CLOEXEC);
	load(&own, fd);
	size_t bytes = own.packed->map_bytes;
	release(&own);
	char *rubbish = mem_alloc(bytes);
	memset(rubbish, 0x55, bytes);
	memset(rubbish, 0, 4096);
	assert_int_equal(pwrite(fd, rubbish, bytes, 0), (ssize_t)bytes);
	free(rubbish);
	load(&own, -1);
	load(&next, fd);
	assert_true(next.packed->shared);
	assert_same_model(&own, &next);
	release(&own);
	release(&next);
	close(fd);
}

/* Several processes at once: each ends up with the right floats in the shared file. */
static void test_processes(void **state)
{
	(void)state;
	int fd = memfd_create("test", MFD_CLOEXEC);
	enum { WORKERS = 4 };
	pid_t pid[WORKERS];
	gemm_threads(1);
	for (int i = 0; i < WORKERS; i++) {
		pid[i] = fork();
		if (pid[i] == 0) {
			struct pair own, shared;
			struct err err = {0};
			bool good = model_load(&shared.model, SOURCE_DIR "/runner/demo", &err) == 0 &&
				    (shared.packed = packed_make(&shared.model, fd, &err)) && shared.packed->shared &&
				    model_load(&own.model, SOURCE_DIR "/runner/demo", &err) == 0 &&
				    (own.packed = packed_make(&own.model, -1, &err));
			const struct gemm_packed *a = good ? &own.packed->lm_head : NULL;
			good = good && memcmp(a->panels, shared.packed->lm_head.panels,
					      gemm_packed_floats(a->n, a->k) * sizeof(float)) == 0;
			_exit(good ? 0 : 1);
		}
	}
	for (int i = 0; i < WORKERS; i++) {
		int status;
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_int_equal(status, 0);
	}
	close(fd);
}

static void test_inherited(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "x", "-1", "0", "9x", "999999", "99999999999999999999"};
	unsetenv("SWEEP_WEIGHTS_FD");
	assert_int_equal(packed_inherited(), -1);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		setenv("SWEEP_WEIGHTS_FD", bad[i], 1);
		assert_int_equal(packed_inherited(), -1);
	}
	int fd = memfd_create("test", MFD_CLOEXEC);
	char *text = mem_printf("%d", fd);
	setenv("SWEEP_WEIGHTS_FD", text, 1);
	assert_int_equal(packed_inherited(), fd);
	free(text);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_processes), /* forks: before OpenMP has threads */
		cmocka_unit_test(test_shared),        cmocka_unit_test(test_other_model),
		cmocka_unit_test(test_packer_killed), cmocka_unit_test(test_inherited),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
