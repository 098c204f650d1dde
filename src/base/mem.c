/* mem.c - small allocations that cannot fail; see mem.h for why ending the process is right. */
#include "mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void mem_out(size_t size)
{
	fprintf(stderr, "sweep: out of memory (%zu bytes wanted); finished work is kept, run the same command again\n",
		size);
	exit(1);
}

void *mem_alloc(size_t size)
{
	void *p = malloc(size ? size : 1);
	if (!p)
		mem_out(size);
	return p;
}

void *mem_zero(size_t count, size_t size)
{
	void *p = calloc(count ? count : 1, size ? size : 1);
	if (!p)
		mem_out(count);
	return p;
}

void *mem_array(size_t count, size_t size)
{
	size_t bytes;
	if (mem_mul_overflows(count, size, &bytes))
		mem_out(count);
	return mem_alloc(bytes);
}

void *mem_grow(void *old, size_t count, size_t size)
{
	size_t bytes;
	if (mem_mul_overflows(count, size, &bytes))
		mem_out(count);
	void *p = realloc(old, bytes ? bytes : 1);
	if (!p)
		mem_out(bytes);
	return p;
}

char *mem_strndup(const char *text, size_t n)
{
	char *p = mem_alloc(n + 1);
	memcpy(p, text, n);
	p[n] = '\0';
	return p;
}

char *mem_strdup(const char *text)
{
	return mem_strndup(text, strlen(text));
}

char *mem_printf(const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	int n = vsnprintf(NULL, 0, format, ap);
	va_end(ap);
	if (n < 0)
		mem_out(0);
	char *p = mem_alloc((size_t)n + 1);
	va_start(ap, format);
	vsnprintf(p, (size_t)n + 1, format, ap);
	va_end(ap);
	return p;
}
