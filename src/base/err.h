/* err.h - how every fallible function reports: it returns 0 or -1 and fills a struct err with one plain sentence.
 *
 *     int dataset_open(struct dataset *d, const char *path, struct err *err)
 *     {
 *             int fd = open(path, O_RDONLY | O_CLOEXEC);
 *             if (fd < 0)
 *                     return err_errno(err, "cannot open %s", path);
 *             ...
 *             return err_at(err, path, line, 0, "expected `table||text`");
 *     }
 *
 * The sentence says what was found, what was expected and, where that helps, what to do. No trailing full stop or
 * newline, no "error:" in front; main adds "sweep: ". Nothing is allocated: a struct err lives on the caller's stack,
 * starts as {0}, and is never NULL. */
#ifndef SWEEP_BASE_ERR_H
#define SWEEP_BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

enum err_kind {
	ERR_NONE = 0,
	ERR_USAGE,    /* the command line */
	ERR_INPUT,    /* a file or value that the user gave: retrying cannot help */
	ERR_SYSTEM,   /* the machine: disk full, no permission, fork failed */
	ERR_DATABASE, /* results.db itself: damaged, read-only, no database; never the fault of what it was to take in */
	ERR_INTERNAL, /* our mistake */
	ERR_ROOM,     /* results cannot be written: disk, quota or file size limit reached, or a read-only place */
	ERR_MOVED,    /* results.db is not where it was when the sweep began; the sentence says where what it held is */
	ERR_CHANGED,  /* a file that results depend on is not what it was when they were planned */
};

struct err {
	enum err_kind kind;
	char text[1200];
};

/* Each sets *err and returns -1, so that `return err_set(...)` is the idiom. */
int err_set(struct err *err, enum err_kind kind, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* ERR_INPUT with "file:line:column: " in front; line 0 or column 0 are left out. */
int err_at(struct err *err, const char *file, size_t line, size_t column, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
/* The message, then ": " and strerror(errno). A missing file, a folder, no permission: ERR_INPUT; no room: ERR_ROOM; else
 * ERR_SYSTEM. */
int err_errno(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same for what is to be written among the results: a read-only place or no permission is ERR_ROOM, too. */
int err_errno_writing(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* No fault of one job, and the next one would meet it as well: the whole sweep stops. */
bool err_stops_sweep(enum err_kind kind);
/* Puts context and ": " in front of what *err already says; keeps its kind. */
int err_prefix(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The nearest of n names to word by edit distance (case-insensitive, at most about a third of the letters wrong), or
 * NULL. For "unknown parameter `num_beam`; did you mean `num_beams`?" */
const char *err_nearest(const char *word, const char *const *names, size_t n);

/* A broken invariant of ours: says where and aborts (a worker that aborts is retried and its log kept). */
#define BUG(...)                                                                                                       \
	do {                                                                                                           \
		fprintf(stderr, "BUG at %s:%d: ", __FILE__, __LINE__);                                                 \
		fprintf(stderr, __VA_ARGS__);                                                                          \
		fputc('\n', stderr);                                                                                   \
		abort();                                                                                               \
	} while (0)

#endif
