/* preload.c - faults from outside, for the trials in this folder: an LD_PRELOAD that counts some calls of the C library,
 * makes the n-th of one kind fail, and sets the wall clock wrong. Linux with glibc. Programs need not know of it.
 *
 *     FAULT_MAP=FILE      counters in a file of [5][CALLS] pairs of uint64: calls, failures. A process that dies in
 *                         any way has counted; trial.py reads them, and so knows whether a fault was met at all
 *     FAULT_WHERE=train   scheduler, check, train, decode: which process fails (a worker's kind stands in its job file)
 *     FAULT_CALL=malloc FAULT_N=17 FAULT_ERRNO=12 FAULT_STICKY=1
 *                         that call, from 1, counted over all processes of that kind; sticky: all later ones, too
 *     CLOCK_JUMPS=5:-3600,9:7200
 *                         from the 5th time that this process asks for the time of day it is an hour earlier, ...
 *
 * Nothing is counted before main(): what libraries allocate while they are loaded is not our code's to survive. vfork
 * becomes fork, because a function cannot return twice; sweep's child does nothing that would tell the difference. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum call { MALLOC, WRITE, FSYNC, RENAME, OPEN, MMAP, FORK, PIPE, EXEC, CALLS };
enum where { SCHEDULER, CHECK, TRAIN, DECODE, OTHER, PLACES };

static const char *const call_names[CALLS] = {"malloc", "write", "fsync", "rename", "open",
					      "mmap",   "fork",  "pipe",  "exec"};
static const char *const where_names[PLACES] = {"scheduler", "check", "train", "decode", "other"};

struct counter {
	uint64_t calls, failures;
};

static struct counter (*counters)[CALLS]; /* [PLACES][CALLS], shared by all processes; NULL: nothing is counted */
static enum where here = OTHER;
static int fault_call = -1, fault_errno;
static uint64_t fault_n;
static bool fault_sticky;

#define MAX_JUMPS 100
static struct {
	long at, seconds;
} jumps[MAX_JUMPS];
static int n_jumps;
static long clock_calls;

/* Called by every wrapper: is this the one that fails? Sets errno then. */
static bool fails(enum call call)
{
	if (!counters)
		return false;
	struct counter *c = &counters[here][call];
	uint64_t n = __atomic_add_fetch(&c->calls, 1, __ATOMIC_RELAXED);
	if ((int)call != fault_call || n < fault_n || (n > fault_n && !fault_sticky))
		return false;
	__atomic_add_fetch(&c->failures, 1, __ATOMIC_RELAXED);
	errno = fault_errno;
	return true;
}

#define REAL(name)                                                                                                     \
	static __typeof__(name) *real;                                                                                 \
	if (!real)                                                                                                     \
	real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

/* ---- memory ---- */

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

void *malloc(size_t n)
{
	return fails(MALLOC) ? NULL : __libc_malloc(n);
}

void *calloc(size_t count, size_t n)
{
	return fails(MALLOC) ? NULL : __libc_calloc(count, n);
}

void *realloc(void *old, size_t n)
{
	return fails(MALLOC) ? NULL : __libc_realloc(old, n);
}

void *memalign(size_t alignment, size_t n)
{
	return fails(MALLOC) ? NULL : __libc_memalign(alignment, n);
}

void *aligned_alloc(size_t alignment, size_t n)
{
	return fails(MALLOC) ? NULL : __libc_memalign(alignment, n);
}

int posix_memalign(void **out, size_t alignment, size_t n)
{
	int before = errno;
	if (fails(MALLOC)) {
		errno = before;
		return ENOMEM;
	}
	*out = __libc_memalign(alignment, n);
	return *out ? 0 : ENOMEM;
}

void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
	if (fails(MMAP))
		return MAP_FAILED;
	return (void *)syscall(SYS_mmap, at, n, protection, flags, fd, offset);
}

void *mmap64(void *at, size_t n, int protection, int flags, int fd, off64_t offset)
{
	return mmap(at, n, protection, flags, fd, offset);
}

/* ---- files ---- */

ssize_t write(int fd, const void *bytes, size_t n)
{
	return fails(WRITE) ? -1 : syscall(SYS_write, fd, bytes, n);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
	return fails(WRITE) ? -1 : syscall(SYS_pwrite64, fd, bytes, n, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at)
{
	return pwrite(fd, bytes, n, at);
}

ssize_t writev(int fd, const struct iovec *parts, int n)
{
	return fails(WRITE) ? -1 : syscall(SYS_writev, fd, parts, n);
}

int fsync(int fd)
{
	return fails(FSYNC) ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return fails(FSYNC) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int rename(const char *from, const char *to)
{
	return fails(RENAME) ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return fails(RENAME) ? -1 : (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, 0);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	return fails(RENAME) ? -1 : (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

int openat(int dir, const char *path, int flags, ...)
{
	va_list ap;
	va_start(ap, flags);
	int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, int) : 0;
	va_end(ap);
	return fails(OPEN) ? -1 : (int)syscall(SYS_openat, dir, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
	va_list ap;
	va_start(ap, flags);
	int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, int) : 0;
	va_end(ap);
	return openat(AT_FDCWD, path, flags, mode);
}

int openat64(int dir, const char *path, int flags, ...) __attribute__((alias("openat")));
int open64(const char *path, int flags, ...) __attribute__((alias("open")));

FILE *fopen(const char *path, const char *mode)
{
	REAL(fopen);
	return fails(OPEN) ? NULL : real(path, mode);
}

FILE *fopen64(const char *path, const char *mode)
{
	return fopen(path, mode);
}

/* ---- processes ---- */

pid_t fork(void)
{
	REAL(fork);
	return fails(FORK) ? -1 : real();
}

pid_t vfork(void)
{
	return fork();
}

int pipe2(int ends[2], int flags)
{
	return fails(PIPE) ? -1 : (int)syscall(SYS_pipe2, ends, flags);
}

int execve(const char *path, char *const argv[], char *const env[])
{
	return fails(EXEC) ? -1 : (int)syscall(SYS_execve, path, argv, env);
}

/* ---- the time of day ---- */

static long clock_wrong_by(void)
{
	long n = __atomic_add_fetch(&clock_calls, 1, __ATOMIC_RELAXED), seconds = 0;
	for (int i = 0; i < n_jumps; i++)
		if (n >= jumps[i].at)
			seconds = jumps[i].seconds;
	return seconds;
}

int clock_gettime(clockid_t id, struct timespec *t)
{
	int result = (int)syscall(SYS_clock_gettime, id, t);
	if (result == 0 && n_jumps && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		t->tv_sec += clock_wrong_by();
	return result;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
	int result = (int)syscall(SYS_gettimeofday, t, zone);
	if (result == 0 && n_jumps)
		t->tv_sec += clock_wrong_by();
	return result;
}

time_t time(time_t *out)
{
	struct timespec t = {0};
	clock_gettime(CLOCK_REALTIME, &t);
	if (out)
		*out = t.tv_sec;
	return t.tv_sec;
}

/* ---- the start ---- */

static enum where find_where(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
	if (strcmp(name, "sweep") == 0)
		return SCHEDULER;
	if (argc != 2 || !strstr(name, "runner"))
		return OTHER;
	char text[4096];
	int fd = (int)syscall(SYS_openat, AT_FDCWD, argv[1], O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	close(fd);
	if (n <= 0)
		return OTHER;
	text[n] = '\0';
	const char *kind = strstr(text, "\"kind\"");
	for (int i = CHECK; kind && i <= DECODE; i++) {
		const char *value = strchr(kind + strlen("\"kind\""), '"');
		if (value && strncmp(value + 1, where_names[i], strlen(where_names[i])) == 0)
			return (enum where)i;
	}
	return OTHER;
}

static void read_jumps(const char *text)
{
	while (text && *text && n_jumps < MAX_JUMPS) {
		char *end;
		jumps[n_jumps].at = strtol(text, &end, 10);
		jumps[n_jumps++].seconds = strtol(end + (*end == ':'), &end, 10);
		text = *end == ',' ? end + 1 : NULL;
	}
}

static void begin(int argc, char **argv)
{
	const char *path = getenv("FAULT_MAP"), *where = getenv("FAULT_WHERE"), *call = getenv("FAULT_CALL");
	const char *n = getenv("FAULT_N"), *code = getenv("FAULT_ERRNO");
	here = find_where(argc, argv);
	read_jumps(getenv("CLOCK_JUMPS"));
	if (!path)
		return;
	if (where && strcmp(where, where_names[here]) == 0)
		for (int i = 0; i < CALLS; i++)
			if (call && strcmp(call, call_names[i]) == 0)
				fault_call = i;
	fault_n = n ? strtoull(n, NULL, 10) : 0;
	fault_errno = code ? (int)strtol(code, NULL, 10) : EIO;
	fault_sticky = getenv("FAULT_STICKY") != NULL;
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
	void *map = fd < 0 ? MAP_FAILED
			   : (void *)syscall(SYS_mmap, NULL, sizeof *counters * PLACES, PROT_READ | PROT_WRITE,
					     MAP_SHARED, fd, 0);
	close(fd);
	if (map != MAP_FAILED)
		counters = map;
}

static int (*real_main)(int, char **, char **);

static int main_after_begin(int argc, char **argv, char **env)
{
	begin(argc, argv);
	return real_main(argc, argv, env);
}

/* What crt1.o calls with main: the one moment after every library's start and before the program's first line. */
int __libc_start_main(int (*main_)(int, char **, char **), int argc, char **argv, void (*init)(void),
		      void (*fini)(void), void (*rtld_fini)(void), void *stack_end);
int __libc_start_main(int (*main_)(int, char **, char **), int argc, char **argv, void (*init)(void),
		      void (*fini)(void), void (*rtld_fini)(void), void *stack_end)
{
	REAL(__libc_start_main);
	real_main = main_;
	return real(main_after_begin, argc, argv, init, fini, rtld_fini, stack_end);
}
