/* mem.h - small allocations that cannot fail, and checked size arithmetic.
 *
 *     char *copy = mem_strdup(name);          caller frees with free()
 *     struct run *runs = mem_array(n, sizeof *runs);
 *
 * A process that cannot get a few bytes ends here with one sentence and status 1. That is the one exit outside
 * main, and it is safe on purpose: it is the same path as kill -9, which must lose nothing anyway
 * (docs/ARCHITECTURE.md, invariant 10). Large blocks (weights, activations, files) are not taken here: they use malloc
 * or mmap and report failure through struct err. */
#ifndef SWEEP_BASE_MEM_H
#define SWEEP_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Never NULL; ends the process with a sentence when memory is out. Sizes of 0 give a valid pointer. */
void *mem_alloc(size_t size);
void *mem_zero(size_t count, size_t size);            /* zeroed; count * size is checked */
void *mem_array(size_t count, size_t size);           /* not zeroed; count * size is checked */
void *mem_grow(void *old, size_t count, size_t size); /* realloc to count elements */
char *mem_strdup(const char *text);
char *mem_strndup(const char *text, size_t n);
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Makes room for one more element in a doubling array: MEM_PUSH_ROOM(list, n, cap); list[n++] = x; */
#define MEM_PUSH_ROOM(list, n, cap)                                                                                    \
	do {                                                                                                           \
		if ((n) == (cap)) {                                                                                    \
			(cap) = (cap) ? 2 * (cap) : 8;                                                                 \
			(list) = mem_grow((list), (cap), sizeof *(list));                                              \
		}                                                                                                      \
	} while (0)

/* True when a * b overflows size_t; otherwise *out is the product. */
static inline bool mem_mul_overflows(size_t a, size_t b, size_t *out)
{
	return __builtin_mul_overflow(a, b, out);
}

#endif
