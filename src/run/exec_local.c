/* exec_local.c - workers as processes of this machine; the only file that forks (docs/ARCHITECTURE.md, invariant 1).
 * Linux.
 *
 * Flow:   sched.c -> start(): job file, log, pipe, vfork + exec     wait(): ppoll on all pipes, events, ends
 *
 * A child gets /dev/null, the event pipe and the pipe of its log as descriptors 0, 1, 2, the file of shared weights, and
 * nothing else; a process group of its own, so that the terminal's Ctrl-C reaches only the scheduler; its threads and
 * cores; and it dies with us (PR_SET_PDEATHSIG). vfork, because a fork copies the page tables of a large scheduler and
 * 10,000 starts should not pay for that: between vfork and exec the child shares our memory, so it calls only
 * async-signal-safe functions, writes to nothing of ours, and cannot return; and no signal may come between, whose
 * handler would be ours, or which would stop the child while we wait for it. Whether exec worked comes back through a
 * close-on-exec pipe.
 *
 * The log is a pipe, too, and the file behind it is made by the first byte: most workers say nothing, and pay for no
 * file; and one that says a gigabyte fills no disk (base/logfile.h).
 *
 * A worker has ended when it has been waited for and its pipes are drained, in this order: what it wrote last is never
 * lost, and a grandchild that holds a pipe open cannot keep us. Nothing can hang: SIGTERM is followed by SIGKILL
 * after a grace, and a worker that closed its pipe but lives is asked to end after the same grace. */
#include "exec_local.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/logfile.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "loop.h"

#define LINE_ROOM   65536 /* longest event line; longer ones go to the log, cut */
#define TAIL_BYTES  4096
#define TAIL_LINES  15
#define KEY_PREFIX  16 /* hex digits of the key in file names */
#define PIPE_ROUNDS 64 /* reads that empty any pipe; a grandchild may go on writing for ever */

extern char **environ;

/* What happens when a slot's deadline passes. */
enum deadline { DEADLINE_NONE, DEADLINE_ASK, DEADLINE_KILL };

struct slot {
	pid_t pid;          /* 0: free */
	bool dead;          /* waited for; status is valid */
	int status;         /* of waitpid */
	int events, said;   /* read ends of its pipes (standard output and error); -1: closed */
	struct logfile log; /* made when there is something to write */
	bool log_made;
	char *job_path, *log_path;
	char *spare_job; /* the file of an earlier worker that nobody needs: renamed for the next one */
	char *line;      /* [LINE_ROOM] bytes begin..end are not parsed yet */
	size_t begin, end;
	bool overlong; /* inside a line that is too long: skip to its newline */
	enum deadline deadline;
	int64_t deadline_at;
};

struct exec_local {
	struct executor base; /* first: struct executor * is a struct exec_local * */
	struct loop loop;
	char *runner, *dir, *jobs_dir, *logs_dir;
	int weights; /* a file in memory that all workers inherit and share (runner/packed.h), -1 without */
	int null;    /* /dev/null: every worker's standard input */
	int grace_ms;
	struct slot *slots;
	struct pollfd *fds;  /* [2 * n_slots] */
	int *fd_slot;        /* [2 * n_slots]: whose descriptor fds[i] is */
	struct rlimit files; /* as it was: workers get it back */
	int n_slots, next;   /* next: where the round robin over slots goes on */
	int interrupts;      /* not reported yet */
	int *core,
		*core_slot; /* [n_cores] usable CPU numbers and the slot each is lent to, -1: free; NULL: no pinning */
	int n_cores;
	bool overcommit; /* more workers than cores */
};

static const struct executor_ops exec_local_ops;

/* ---- cores ---- */

/* CPUs' worth of time that the container's quota allows (cgroup v2, then v1), rounded up; 0: no limit. */
static int cores_quota(void)
{
	static const char *const files[] = {"/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us"};
	for (int i = 0; i < 2; i++) {
		FILE *f = fopen(files[i], "re");
		if (!f)
			continue;
		long long quota = 0, period = 0;
		int n = fscanf(f, "%lld %lld", &quota, &period);
		fclose(f);
		if (i == 1 && n == 1 && (f = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "re"))) {
			n += fscanf(f, "%lld", &period);
			fclose(f);
		}
		if (n == 2 && quota > 0 && period > 0)
			return (int)((quota + period - 1) / period);
	}
	return 0;
}

int exec_local_cores(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : (int)sysconf(_SC_NPROCESSORS_ONLN);
	int quota = cores_quota();
	if (quota && quota < n)
		n = quota;
	return n > 1 ? n : 1;
}

/* Pinning needs the machine to ourselves: with only a part of its cores to use, which part is the kernel's choice. */
static void cores_init(struct exec_local *e, int cores, int workers)
{
	cpu_set_t set;
	if (workers < 2 || workers > cores || sched_getaffinity(0, sizeof set, &set) < 0 || CPU_COUNT(&set) != cores)
		return;
	e->core = mem_array((size_t)cores, sizeof *e->core);
	e->core_slot = mem_array((size_t)cores, sizeof *e->core_slot);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &set))
			continue;
		e->core[e->n_cores] = cpu;
		e->core_slot[e->n_cores++] = -1;
	}
}

/* Lends n free cores to a slot. False: there are not so many, or no pinning at all. */
static bool cores_take(struct exec_local *e, int slot, int n, cpu_set_t *set)
{
	int available = 0;
	for (int i = 0; i < e->n_cores; i++)
		available += e->core_slot[i] < 0;
	if (n > available || n < 1)
		return false;
	CPU_ZERO(set);
	for (int i = 0; i < e->n_cores && n > 0; i++) {
		if (e->core_slot[i] >= 0)
			continue;
		e->core_slot[i] = slot;
		CPU_SET(e->core[i], set);
		n--;
	}
	return true;
}

static void cores_give_back(struct exec_local *e, int slot)
{
	for (int i = 0; i < e->n_cores; i++)
		if (e->core_slot[i] == slot)
			e->core_slot[i] = -1;
}

/* ---- starting ---- */

struct launch {
	const struct exec_local *e;
	char *const *argv;
	char *const *env;
	int null, events, said, weights, report;
	pid_t parent;
	const cpu_set_t *cores; /* NULL: all */
};

/* The child between vfork and exec. Shares our memory: async-signal-safe calls only, and no write to what is ours. */
static _Noreturn __attribute__((noinline)) void launch_child(const struct launch *l)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != l->parent)
		_exit(127); /* we died before prctl could help */
	setpgid(0, 0);
	if (l->cores)
		sched_setaffinity(0, sizeof *l->cores, l->cores);
	if (dup2(l->null, 0) >= 0 && dup2(l->events, 1) >= 0 && dup2(l->said, 2) >= 0) {
		close_range(3, ~0U, CLOSE_RANGE_CLOEXEC); /* what others left open, too */
		if (l->weights >= 0)
			fcntl(l->weights, F_SETFD, 0);
		setrlimit(RLIMIT_NOFILE, &l->e->files);
		loop_child(&l->e->loop);
		execve(l->argv[0], l->argv, l->env);
	}
	int code = errno;
	(void)!write(l->report, &code, sizeof code);
	_exit(127);
}

#define N_OURS 4 /* variables that we set; the user's are replaced */

/* A copy of the environment with the worker's threads. The caller frees the list and its first N_OURS texts.
 *
 * libgomp's threads spin for milliseconds at a barrier before they sleep, which costs a busy machine most of its time
 * (measured on a training step: four times the CPU time); a short spin was never slower. With more workers than cores a
 * thread that spins takes the core from one that computes, so there they do not spin at all. The user's own words win.
 */
static char **launch_environment(const struct exec_local *e, int threads)
{
	static const char *const ours[N_OURS] = {
		"OMP_NUM_THREADS=", "BLIS_NUM_THREADS=", "OMP_DYNAMIC=", "SWEEP_WEIGHTS_FD="};
	size_t n = 0, out = 0;
	while (environ && environ[n])
		n++;
	char **list = mem_array(n + N_OURS + 2, sizeof *list);
	list[out++] = mem_printf("%s%d", ours[0], threads);
	list[out++] = mem_printf("%s%d", ours[1], threads);
	list[out++] = mem_printf("%sfalse", ours[2]);
	list[out++] = mem_printf("%s%d", ours[3], e->weights);
	bool spin_said = false;
	for (size_t i = 0; i < n; i++) {
		bool skip = false;
		for (size_t k = 0; k < N_OURS; k++)
			skip |= strncmp(environ[i], ours[k], strlen(ours[k])) == 0;
		spin_said |= strncmp(environ[i], "OMP_WAIT_POLICY=", 16) == 0 ||
			     strncmp(environ[i], "GOMP_SPINCOUNT=", 15) == 0;
		if (!skip)
			list[out++] = environ[i];
	}
	if (!spin_said)
		list[out++] = e->overcommit ? (char *)"OMP_WAIT_POLICY=passive" : (char *)"GOMP_SPINCOUNT=2000";
	list[out] = NULL;
	return list;
}

/* vfork and exec; 0 with the pid, or an errno. */
static int launch(const struct launch *l, int report_read, pid_t *pid)
{
	sigset_t all, before;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid_t child = vfork();
	if (child == 0)
		launch_child(l);
	int code = child < 0 ? errno : 0;
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(l->report);
	if (child < 0)
		return code;
	ssize_t n;
	do
		n = read(report_read, &code, sizeof code); /* nothing: exec closed it */
	while (n < 0 && errno == EINTR);
	if (n <= 0) {
		*pid = child;
		return 0;
	}
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	return code;
}

/* Gives an unneeded file the name of one that is needed, unless that exists. Making and removing a file for each of
 * thousands of short jobs is slow: ext4 looks through the inodes deleted lately each time it makes one (measured: half
 * of the scheduler's time). */
static void reuse_file(char **spare, const char *path)
{
	if (!*spare)
		return;
	if (access(path, F_OK) == 0 || rename(*spare, path) < 0)
		unlink(*spare);
	free(*spare);
	*spare = NULL;
}

/* Not synced: it can be made again, and a start should not wait for the disk. */
static int write_job_file(const char *path, const char *text, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		return err_errno(err, "cannot write %s", path);
	size_t left = strlen(text);
	while (left) {
		ssize_t n = write(fd, text, left);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			err_errno(err, "cannot write %s", path);
			close(fd);
			unlink(path);
			return -1;
		}
		text += n;
		left -= (size_t)n;
	}
	if (close(fd) < 0)
		return err_errno(err, "cannot write %s", path);
	return 0;
}

char *exec_local_log(const char *dir, const char *job_key, int attempt)
{
	return mem_printf("%s/logs/%.*s.%d.log", dir, KEY_PREFIX, job_key, attempt);
}

static void slot_release(struct slot *s)
{
	if (s->events >= 0)
		close(s->events);
	if (s->said >= 0)
		close(s->said);
	logfile_close(&s->log);
	free(s->job_path);
	free(s->log_path);
	*s = (struct slot){.events = -1, .said = -1, .log.fd = -1, .line = s->line, .spare_job = s->spare_job};
}

static int local_start(struct executor *base, const struct executor_request *r, int64_t *pid, struct err *err)
{
	struct exec_local *e = (struct exec_local *)base;
	if (r->worker < 0 || r->worker >= e->n_slots || e->slots[r->worker].pid)
		BUG("worker slot %d is not free", r->worker);
	struct slot *s = &e->slots[r->worker];
	int pipe_events[2] = {-1, -1}, pipe_said[2] = {-1, -1}, pipe_report[2] = {-1, -1};
	char **env = NULL;
	int result = -1;
	if (!s->line)
		s->line = mem_alloc(LINE_ROOM);
	s->job_path = mem_printf("%s/%.*s.%d.json", e->jobs_dir, KEY_PREFIX, r->job_key, r->attempt);
	s->log_path = exec_local_log(e->dir, r->job_key, r->attempt);
	reuse_file(&s->spare_job, s->job_path);
	if (write_job_file(s->job_path, r->job_text, err) < 0)
		goto out;
	if (pipe2(pipe_events, O_CLOEXEC) < 0 || pipe2(pipe_said, O_CLOEXEC) < 0 || pipe2(pipe_report, O_CLOEXEC) < 0) {
		err_errno(err, "cannot make a pipe for a worker");
		goto out;
	}
	fcntl(pipe_events[0], F_SETFL, O_NONBLOCK);
	fcntl(pipe_said[0], F_SETFL, O_NONBLOCK);
	env = launch_environment(e, r->threads);
	char *argv[] = {e->runner, s->job_path, NULL};
	cpu_set_t set;
	struct launch l = {e,          argv,           env,      e->null, pipe_events[1], pipe_said[1],
			   e->weights, pipe_report[1], getpid(), NULL};
	if (cores_take(e, r->worker, r->threads, &set))
		l.cores = &set;
	int code = launch(&l, pipe_report[0], &s->pid);
	pipe_report[1] = -1;
	if (code) {
		errno = code;
		err_errno(err, "cannot start the worker %s", e->runner);
		cores_give_back(e, r->worker);
		goto out;
	}
	s->events = pipe_events[0];
	s->said = pipe_said[0];
	pipe_events[0] = pipe_said[0] = -1;
	*pid = s->pid;
	result = 0;
out:
	for (int i = 0; i < 2; i++) {
		if (pipe_events[i] >= 0)
			close(pipe_events[i]);
		if (pipe_said[i] >= 0)
			close(pipe_said[i]);
		if (pipe_report[i] >= 0)
			close(pipe_report[i]);
	}
	for (int i = 0; env && i < N_OURS; i++)
		free(env[i]);
	free(env);
	if (result < 0) {
		if (s->job_path)
			unlink(s->job_path);
		slot_release(s);
	}
	return result;
}

/* ---- events ---- */

static void slot_log(struct slot *s, const char *text, size_t n)
{
	struct err ignored = {0};
	if (!s->log_made && logfile_open(&s->log, s->log_path, &ignored) < 0)
		s->log.fd = -1;
	s->log_made = true;
	logfile_add(&s->log, text, n);
}

/* A line that is no event is kept in the log. */
static void slot_stray(struct slot *s, const char *text, size_t n, bool newline)
{
	slot_log(s, text, n);
	if (newline)
		slot_log(s, "\n", 1);
}

/* What it says for people. True when bytes came. */
static bool slot_listen(struct slot *s)
{
	char text[16384];
	if (s->said < 0)
		return false;
	ssize_t n;
	do
		n = read(s->said, text, sizeof text);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		slot_log(s, text, (size_t)n);
		return true;
	}
	if (n == 0 || errno != EAGAIN || s->dead) {
		close(s->said);
		s->said = -1;
	}
	return false;
}

/* Parses the next whole line, if there is one, or at the end of the stream what is left. */
static bool slot_next_event(struct slot *s, struct event *event, bool at_end)
{
	while (s->begin < s->end) {
		char *text = s->line + s->begin;
		size_t left = s->end - s->begin;
		char *newline = memchr(text, '\n', left);
		if (!newline && !at_end && (s->begin > 0 || s->end < LINE_ROOM))
			return false; /* more may come */
		size_t n = newline ? (size_t)(newline - text) : left;
		s->begin += n + (newline != NULL);
		bool part = s->overlong;
		s->overlong = !newline && !at_end;
		if (!part && !s->overlong && event_parse(text, n, event) == 0)
			return true;
		if (n)
			slot_stray(s, text, n, newline || at_end);
	}
	return false;
}

/* Reads what is there. True when bytes came; at the end of the pipe, on a failure, or when a dead worker's pipe is dry
 * (a grandchild may hold it open), closes it. */
static bool slot_fill(struct slot *s)
{
	if (s->events < 0)
		return false;
	if (s->begin) {
		memmove(s->line, s->line + s->begin, s->end - s->begin);
		s->end -= s->begin;
		s->begin = 0;
	}
	ssize_t n;
	do
		n = read(s->events, s->line + s->end, LINE_ROOM - s->end);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		s->end += (size_t)n;
		return true;
	}
	if (n == 0 || errno != EAGAIN || s->dead) {
		close(s->events);
		s->events = -1;
	}
	return false;
}

/* The last lines that this attempt logged, cleaned, since they are shown and stored; NULL when it logged nothing. */
static char *slot_log_tail(const struct slot *s)
{
	int64_t from = s->log.begin;
	if (s->log.fd < 0 || s->log.size <= from)
		return NULL;
	if (s->log.size - from > TAIL_BYTES)
		from = s->log.size - TAIL_BYTES;
	char *tail = mem_alloc(TAIL_BYTES + 1);
	ssize_t n = pread(s->log.fd, tail, TAIL_BYTES, from);
	if (n <= 0) {
		free(tail);
		return NULL;
	}
	while (n > 0 && tail[n - 1] == '\n')
		n--;
	char *begin = tail, *first_end = memchr(tail, '\n', (size_t)n);
	if (from > s->log.begin && first_end)
		begin = first_end + 1;
	int lines = 0;
	for (char *p = tail + n; p > begin; p--)
		if (p[-1] == '\n' && ++lines == TAIL_LINES) {
			begin = p;
			break;
		}
	struct buf clean = BUF_INIT;
	utf8_clean_lines(begin, (size_t)(tail + n - begin), &clean);
	free(tail);
	return buf_detach(&clean);
}

static void slot_end(struct exec_local *e, int index, struct executor_report *report)
{
	struct slot *s = &e->slots[index];
	*report = (struct executor_report){.kind = EXEC_ENDED, .worker = index};
	report->exited = WIFEXITED(s->status);
	report->status = report->exited ? WEXITSTATUS(s->status) : 0;
	report->signal = report->exited ? 0 : WTERMSIG(s->status);
	for (int i = 0; i < PIPE_ROUNDS && slot_listen(s); i++)
		continue;
	report->log_tail = slot_log_tail(s);
	if (report->exited && report->status == 0) {
		s->spare_job = s->job_path;
		s->job_path = NULL;
	}
	cores_give_back(e, index);
	slot_release(s);
}

/* ---- waiting ---- */

static void set_deadline(struct exec_local *e, struct slot *s, enum deadline deadline)
{
	s->deadline = deadline;
	s->deadline_at = clock_ms() + e->grace_ms;
}

static void reap(struct exec_local *e)
{
	for (int i = 0; i < e->n_slots; i++) {
		struct slot *s = &e->slots[i];
		siginfo_t info = {0};
		if (!s->pid || s->dead || waitid(P_PID, (id_t)s->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
		    info.si_pid != s->pid)
			continue;
		/* While the zombie is there its group's number cannot be anybody else's: end what it left behind. */
		kill(-s->pid, SIGKILL);
		while (waitpid(s->pid, &s->status, 0) < 0 && errno == EINTR)
			;
		s->dead = true;
		s->deadline = DEADLINE_NONE;
	}
}

/* Acts on deadlines that passed; the milliseconds until the next one, or -1. */
static int deadlines(struct exec_local *e)
{
	int64_t next = -1, now = 0;
	for (int i = 0; i < e->n_slots; i++) {
		struct slot *s = &e->slots[i];
		if (!s->pid || s->dead || s->deadline == DEADLINE_NONE)
			continue;
		if (!now)
			now = clock_ms();
		if (s->deadline_at <= now && s->deadline == DEADLINE_ASK) {
			kill(-s->pid, SIGTERM);
			set_deadline(e, s, DEADLINE_KILL);
		} else if (s->deadline_at <= now) {
			kill(-s->pid, SIGKILL);
			s->deadline = DEADLINE_NONE;
			continue;
		}
		if (next < 0 || s->deadline_at - now < next)
			next = s->deadline_at - now;
	}
	return (int)next;
}

/* A report that needs no waiting. */
static bool ready_report(struct exec_local *e, struct executor_report *report)
{
	if (e->interrupts > 0) {
		e->interrupts--;
		*report = (struct executor_report){.kind = EXEC_SIGNAL};
		return true;
	}
	for (int k = 0; k < e->n_slots; k++) {
		int i = (e->next + k) % e->n_slots;
		struct slot *s = &e->slots[i];
		if (!s->pid)
			continue;
		report->kind = EXEC_EVENT;
		do {
			if (slot_next_event(s, &report->event, s->events < 0)) {
				report->worker = i;
				e->next = (i + 1) %
					  e->n_slots; /* a talkative worker does not keep others from being heard */
				return true;
			}
		} while (s->dead && (slot_fill(s) || s->begin < s->end));
		if (s->dead) {
			slot_end(e, i, report);
			return true;
		}
	}
	return false;
}

static void read_ready(struct exec_local *e, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		struct slot *s = &e->slots[e->fd_slot[k]];
		if (!e->fds[k].revents)
			continue;
		if (e->fds[k].fd == s->said) {
			slot_listen(s);
			continue;
		}
		slot_fill(s);
		if (s->events < 0 && !s->dead && s->deadline == DEADLINE_NONE)
			set_deadline(e, s, DEADLINE_ASK); /* it cannot tell us anything any more: it should end */
	}
}

static int local_wait(struct executor *base, int timeout_ms, struct executor_report *report, struct err *err)
{
	struct exec_local *e = (struct exec_local *)base;
	int64_t until = timeout_ms > 0 ? clock_ms() + timeout_ms : 0;
	for (;;) {
		if (ready_report(e, report))
			return 1;
		size_t n = 0;
		for (int i = 0; i < e->n_slots; i++) {
			const int pipes[2] = {e->slots[i].events, e->slots[i].said};
			for (int k = 0; k < 2; k++) {
				if (pipes[k] < 0)
					continue;
				e->fds[n] = (struct pollfd){.fd = pipes[k], .events = POLLIN};
				e->fd_slot[n++] = i;
			}
		}
		int limit = timeout_ms;
		if (timeout_ms > 0) {
			int64_t left = until - clock_ms();
			limit = left > 0 ? (int)left : 0;
		}
		int next = deadlines(e);
		bool ours = next >= 0 && (limit < 0 || next < limit);
		struct loop_news news;
		if (loop_wait(e->fds, n, ours ? next : limit, &e->loop, &news, err) < 0)
			return -1;
		e->interrupts += news.interrupts;
		if (news.children)
			reap(e);
		read_ready(e, n);
		if (limit == 0 && !ours)
			return ready_report(e, report) ? 1 : 0;
	}
}

static void local_stop(struct executor *base, int worker, bool now)
{
	struct exec_local *e = (struct exec_local *)base;
	struct slot *s = &e->slots[worker];
	if (!s->pid || s->dead)
		return;
	kill(-s->pid, now ? SIGKILL : SIGTERM);
	if (!now && s->deadline != DEADLINE_KILL)
		set_deadline(e, s, DEADLINE_KILL);
}

/* Fields 14 and 15 of /proc/PID/stat, counted behind the name, which may hold anything; the threads' time is in it. */
static int64_t local_cpu_ms(struct executor *base, int worker)
{
	const struct slot *s = &((struct exec_local *)base)->slots[worker];
	char path[64], text[1024];
	if (!s->pid || s->dead)
		return -1;
	snprintf(path, sizeof path, "/proc/%ld/stat", (long)s->pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	const char *behind = strrchr(text, ')');
	unsigned long long user, system;
	if (!behind || sscanf(behind, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) != 2)
		return -1;
	return (int64_t)((user + system) * 1000 / (unsigned long long)sysconf(_SC_CLK_TCK));
}

static int64_t local_now(struct executor *base)
{
	(void)base;
	return clock_ms();
}

static void local_free(struct executor *base)
{
	struct exec_local *e = (struct exec_local *)base;
	for (int i = 0; i < e->n_slots; i++) {
		struct slot *s = &e->slots[i];
		if (s->pid && !s->dead) {
			kill(-s->pid, SIGKILL);
			while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
				;
		}
		slot_release(s);
		if (s->spare_job)
			unlink(s->spare_job);
		free(s->spare_job);
		free(s->line);
	}
	fs_remove_scratch(e->dir); /* of workers that crashed, or had to be killed */
	if (e->null >= 0)
		close(e->null);
	if (e->weights >= 0)
		close(e->weights);
	loop_end(&e->loop);
	free(e->runner);
	free(e->dir);
	free(e->jobs_dir);
	free(e->logs_dir);
	free(e->slots);
	free(e->fds);
	free(e->fd_slot);
	free(e->core);
	free(e->core_slot);
	free(e);
}

static const struct executor_ops exec_local_ops = {
	.start = local_start,
	.wait = local_wait,
	.stop = local_stop,
	.cpu_ms = local_cpu_ms,
	.now = local_now,
	.free = local_free,
};

/* Job files of a scheduler that was killed, and of jobs that failed before this run; empty logs, as an older version
 * left them. */
static void clean_up(const char *dir, bool only_empty)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	while (d && (entry = readdir(d))) {
		struct stat st;
		if (fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
		    (!only_empty || st.st_size == 0))
			unlinkat(dirfd(d), entry->d_name, 0);
	}
	if (d)
		closedir(d);
}

#define FILES_A_WORKER 3   /* its two pipes and its log */
#define FILES_BESIDE   100 /* the database and its log, folders, what a start needs for a moment */

/* Room for the descriptors of all workers. */
static int raise_files(struct exec_local *e, struct err *err)
{
	rlim_t need = (rlim_t)e->n_slots * FILES_A_WORKER + FILES_BESIDE;
	if (getrlimit(RLIMIT_NOFILE, &e->files) < 0)
		return err_errno(err, "cannot ask for the limit of open files");
	if (e->files.rlim_cur >= need)
		return 0;
	struct rlimit more = {need < e->files.rlim_max ? need : e->files.rlim_max, e->files.rlim_max};
	if (more.rlim_cur < need || setrlimit(RLIMIT_NOFILE, &more) < 0)
		return err_set(
			err, ERR_INPUT,
			"%d workers at a time need %llu open files, and %llu are allowed: lower --jobs, or raise "
			"the limit (ulimit -n)",
			e->n_slots, (unsigned long long)need, (unsigned long long)e->files.rlim_max);
	return 0;
}

struct executor *exec_local_new(const struct exec_local_options *options, struct err *err)
{
	struct exec_local *e = mem_zero(1, sizeof *e);
	size_t n = (size_t)options->workers;
	e->base.ops = &exec_local_ops;
	e->runner = mem_strdup(options->runner);
	e->dir = mem_strdup(options->dir);
	e->jobs_dir = fs_join(options->dir, "jobs");
	e->logs_dir = fs_join(options->dir, "logs");
	e->grace_ms = options->grace_ms ? options->grace_ms : 5000;
	e->n_slots = options->workers;
	e->slots = mem_zero(n, sizeof *e->slots);
	e->fds = mem_zero(2 * n, sizeof *e->fds);
	e->fd_slot = mem_zero(2 * n, sizeof *e->fd_slot);
	for (size_t i = 0; i < n; i++)
		e->slots[i] = (struct slot){.events = -1, .said = -1, .log.fd = -1};
	e->overcommit = options->workers > options->cores;
	cores_init(e, options->cores, options->workers);
	fs_remove_scratch(e->dir); /* of a scheduler that was killed, and its workers with it */
	clean_up(e->jobs_dir, false);
	clean_up(e->logs_dir, true);
	loop_begin(&e->loop);
	e->weights = -1;
	/* 0, 1 and 2 must be taken: a pipe in their place would be overwritten by dup2 in the child. */
	do
		e->null = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (e->null >= 0 && e->null <= 2 && fcntl(e->null, F_SETFD, 0) == 0);
	if (e->null < 0)
		err_errno(err, "cannot open /dev/null");
	else
		e->weights = memfd_create("sweep weights", MFD_CLOEXEC); /* without it each worker has its own */
	if (e->null < 0 || raise_files(e, err) < 0 || fs_make_dirs(e->jobs_dir, err) < 0 ||
	    fs_make_dirs(e->logs_dir, err) < 0) {
		local_free(&e->base);
		return NULL;
	}
	return &e->base;
}
