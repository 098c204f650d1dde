/* supervise.c - from a command's job file to its artifact; see supervise.h. One thread around poll. Linux.
 *
 *     begin     lock the attempt's scratch folder; end what a killed predecessor left; know whether ${dir} has a beginning
 *     run       the program (child.c); its output goes to the log and to values.c, $SWEEP_METRICS to values.c
 *     end       nobody may be left: neither a daemon nor a process that holds the pipe
 *     keep      values of earlier attempts joined, log and values into ${dir}/.sweep, card, rename
 *
 * Signals are blocked and read from a descriptor, so nothing here is ever interrupted. */
#include "supervise.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/artifact.h"
#include "base/clock.h"
#include "base/event.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/logfile.h"
#include "base/mem.h"
#include "child.h"
#include "values.h"

#define LOOK_MS    200  /* how often $SWEEP_METRICS is read, and values are told, while the program runs */
#define LINGER_MS  1000 /* what the program's helpers have to end by themselves when it has ended */
#define TAIL_BYTES 4096 /* of its output, told when it fails */

struct supervision {
	const struct command *c;
	char *log_path, *values_path, *before_path, *metrics_path; /* in c->scratch */
	int lock, signals, metrics;
	off_t metrics_read;
	struct logfile log;
	struct values *values;
	struct child child;
	bool ended; /* the program itself was reaped; status is valid */
	int status;
	int stopped;     /* the signal that asked us to stop */
	bool late;       /* it took longer than its time */
	int64_t kill_at; /* 0: nobody asked it to end yet */
	int64_t started;
};

/* What the program did: "train: `python3 train.py --lr 0.1 ...` ended with exit status 3". */
static int blame(const struct command *c, struct err *err, enum err_kind kind, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
static int blame(const struct command *c, struct err *err, enum err_kind kind, const char *format, ...)
{
	struct buf text = BUF_INIT;
	va_list ap;
	buf_printf(&text, "%s: `", c->stage);
	size_t begin = text.size;
	for (size_t i = 0; c->argv[i] && text.size - begin < 60; i++)
		buf_printf(&text, "%s%.60s", i ? " " : "", c->argv[i]);
	if (text.size - begin > 60) {
		text.size = begin + 57;
		buf_adds(&text, "...");
	}
	buf_adds(&text, "` ");
	va_start(ap, format);
	buf_vprintf(&text, format, ap);
	va_end(ap);
	err_set(err, kind, "%s", text.data);
	buf_release(&text);
	return -1;
}

/* ---- begin ---- */

/* Is it the environment of a process that an earlier attempt at this key started? */
static bool has_mark(const char *pid, const char *mark)
{
	char path[64];
	struct buf text = BUF_INIT;
	bool found = false;
	snprintf(path, sizeof path, "/proc/%.20s/environ", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	for (ssize_t n = 1; n > 0 && text.size < (size_t)1 << 21;) {
		buf_reserve(&text, 65536);
		n = read(fd, text.data + text.size, 65535);
		if (n > 0)
			text.size += (size_t)n;
	}
	close(fd);
	for (const char *p = text.data, *end = p + text.size; p && p < end && !found;) {
		size_t n = strnlen(p, (size_t)(end - p));
		found = n == strlen(mark) && memcmp(p, mark, n) == 0;
		p += n + 1;
	}
	buf_release(&text);
	return found;
}

/* A predecessor that was killed took its program with it, but not what that had started. They carry the attempt's mark in
 * their environment. Looked for only when there was a predecessor that did not end well. */
static void end_leftovers(const struct command *c)
{
	char *mark = mem_printf("SWEEP_KEY=%s", c->key);
	for (int tries = 0; tries < 50; tries++) {
		size_t n = 0;
		DIR *proc = opendir("/proc");
		for (struct dirent *e; proc && (e = readdir(proc));) {
			pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
			if (pid > 0 && pid != getpid() && has_mark(e->d_name, mark)) {
				kill(pid, SIGKILL);
				n++;
			}
		}
		if (proc)
			closedir(proc);
		if (n == 0)
			break;
		poll(NULL, 0, 10);
	}
	free(mark);
}

static bool is_empty(const char *dir)
{
	DIR *d = opendir(dir);
	bool empty = true;
	for (struct dirent *e; d && (e = readdir(d));)
		empty &= strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
	if (d)
		closedir(d);
	return empty;
}

static int take_scratch(struct supervision *s, bool *resumed, struct err *err)
{
	const struct command *c = s->c;
	bool before = fs_is_dir(c->scratch);
	if (fs_make_dirs(c->scratch, err) < 0)
		return -1;
	s->lock = open(c->scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->lock < 0)
		return err_errno(err, "cannot open %s", c->scratch);
	if (flock(s->lock, LOCK_EX | LOCK_NB) < 0)
		return err_set(err, ERR_SYSTEM, "another worker is at work in %s", c->scratch);
	if (before)
		end_leftovers(c);
	*resumed = !is_empty(c->part);
	if (fs_make_dirs(c->part, err) < 0)
		return -1;
	/* Values of an attempt that did not end well; those of several are joined. */
	if (fs_exists(s->values_path)) {
		if (values_join(s->before_path, s->values_path, err) < 0)
			return -1;
		if (rename(s->values_path, s->before_path) < 0)
			return err_errno(err, "cannot rename %s", s->values_path);
	}
	s->metrics = open(s->metrics_path, O_RDONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (s->metrics < 0)
		return err_errno(err, "cannot write %s", s->metrics_path);
	return 0;
}

static void set(char **env, size_t *n, const char *name, const char *value)
{
	env[(*n)++] = mem_printf("%s=%s", name, value);
}

static bool is_name(const char *entry, const char *other)
{
	size_t n = strcspn(other, "=");
	return strncmp(entry, other, n) == 0 && entry[n] == '=';
}

extern char **environ;

/* Ours, the sweep file's, then the user's own but for those. The caller frees the first *ours. */
static char **environment(const struct supervision *s, int64_t attempt, bool resumed, size_t *ours)
{
	const struct command *c = s->c;
	size_t n = 0, n_env = 0, n_user = 0;
	char number[24];
	while (c->env[n_env])
		n_env++;
	while (environ && environ[n_user])
		n_user++;
	char **env = mem_array(16 + n_env + n_user, sizeof *env);
	set(env, &n, "SWEEP_KEY", c->key);
	set(env, &n, "SWEEP_STAGE", c->stage);
	set(env, &n, "SWEEP_DIR", c->part);
	set(env, &n, "SWEEP_METRICS", s->metrics_path);
	set(env, &n, "SWEEP_CONFIG", c->config);
	snprintf(number, sizeof number, "%lld", (long long)c->seed);
	set(env, &n, "SWEEP_SEED", number);
	snprintf(number, sizeof number, "%lld", (long long)attempt);
	set(env, &n, "SWEEP_ATTEMPT", number);
	set(env, &n, "SWEEP_RESUME", resumed ? "1" : "0");
	set(env, &n, "SWEEP_RUN", c->run ? c->run : "");
	for (size_t i = 0; i < n_env; i++)
		env[n++] = mem_strdup(c->env[i]);
	*ours = n;
	/* Python holds back what it prints to a pipe; curves should be seen while they grow. */
	env[n++] = (char *)"PYTHONUNBUFFERED=1";
	for (size_t i = 0; i < n_user; i++) {
		bool taken = is_name(environ[i], "PYTHONUNBUFFERED");
		for (size_t k = 0; k < *ours && !taken; k++)
			taken = is_name(environ[i], env[k]);
		if (!taken)
			env[n++] = environ[i];
	}
	env[n] = NULL;
	return env;
}

static int begin(struct supervision *s, int64_t attempt, struct err *err)
{
	const struct command *c = s->c;
	bool resumed = false;
	if (take_scratch(s, &resumed, err) < 0)
		return -1;
	struct values_options options = {.path = s->values_path, .n_patterns = c->n_patterns, .json = c->values_json};
	struct values_pattern *patterns = mem_array(c->n_patterns, sizeof *patterns);
	for (size_t i = 0; i < c->n_patterns; i++)
		patterns[i] = (struct values_pattern){c->patterns[i].name, c->patterns[i].regex};
	options.patterns = patterns;
	int result = values_open(&s->values, &options, err);
	free(patterns);
	if (result < 0)
		return err_prefix(err, "%s", c->stage);
	if (logfile_open(&s->log, s->log_path, err) < 0)
		return -1;
	sigset_t block;
	sigemptyset(&block);
	sigaddset(&block, SIGCHLD);
	sigaddset(&block, SIGTERM);
	sigaddset(&block, SIGINT);
	sigaddset(&block, SIGHUP);
	sigprocmask(SIG_BLOCK, &block, NULL);
	s->signals = signalfd(-1, &block, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signals < 0)
		return err_errno(err, "cannot read signals");
	child_adopt_orphans();
	size_t ours;
	char **env = environment(s, attempt, resumed, &ours);
	struct child_options child = {.argv = c->argv, .env = env, .workdir = c->workdir, .memory = c->memory};
	result = child_start(&s->child, &child, err);
	for (size_t i = 0; i < ours; i++)
		free(env[i]);
	free(env);
	if (result < 0)
		return err_prefix(err, "%s", c->stage);
	fcntl(s->child.output, F_SETFL, O_NONBLOCK);
	s->started = clock_ms();
	return 0;
}

/* ---- run ---- */

/* What it wrote since; false at the end of the pipe. */
static bool take_output(struct supervision *s)
{
	char bytes[65536];
	for (;;) {
		ssize_t n = read(s->child.output, bytes, sizeof bytes);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		if (n == 0)
			return false;
		logfile_add(&s->log, bytes, (size_t)n);
		values_output(s->values, bytes, (size_t)n);
		if ((size_t)n < sizeof bytes)
			return true;
	}
}

static void take_metrics(struct supervision *s)
{
	char bytes[65536];
	ssize_t n;
	while ((n = pread(s->metrics, bytes, sizeof bytes, s->metrics_read)) > 0) {
		values_metrics(s->values, bytes, (size_t)n);
		s->metrics_read += n;
	}
}

static void tell_value(void *ctx, const struct values_summary *v)
{
	(void)ctx;
	struct event e = {.kind = EVENT_VALUE, .step = v->last_step, .value = v->last};
	snprintf(e.text, sizeof e.text, "%s", v->name);
	event_send(&e);
}

static void ask_to_end(struct supervision *s)
{
	child_signal(SIGTERM);
	child_signal(SIGCONT); /* a stopped process acts on nothing else */
	s->kill_at = clock_ms() + s->c->grace_ms;
}

static void take_signals(struct supervision *s)
{
	struct signalfd_siginfo info;
	bool left;
	while (read(s->signals, &info, sizeof info) == (ssize_t)sizeof info) {
		if (info.ssi_signo == SIGCHLD)
			continue;
		s->stopped = (int)info.ssi_signo;
		if (!s->kill_at)
			ask_to_end(s);
	}
	if (!s->ended)
		s->ended = child_reap(s->child.pid, &s->status, &left);
}

/* Milliseconds until something is due. */
static int patience(const struct supervision *s, int64_t now)
{
	int64_t until = now + LOOK_MS;
	if (s->kill_at && s->kill_at < until)
		until = s->kill_at;
	else if (!s->kill_at && s->c->time_ms && s->started + s->c->time_ms < until)
		until = s->started + s->c->time_ms;
	return until > now ? (int)(until - now) : 0;
}

static void run(struct supervision *s)
{
	bool open = true;
	int64_t told = clock_ms();
	while (!s->ended) {
		struct pollfd fds[2] = {{.fd = s->signals, .events = POLLIN},
					{.fd = open ? s->child.output : -1, .events = POLLIN}};
		poll(fds, 2, patience(s, clock_ms()));
		if (fds[1].revents)
			open = take_output(s);
		take_signals(s);
		int64_t now = clock_ms();
		if (!s->ended && s->kill_at && now >= s->kill_at)
			s->ended = child_end_all(s->child.pid, &s->status, 0);
		if (!s->ended && !s->kill_at && s->c->time_ms && now - s->started >= s->c->time_ms) {
			s->late = true;
			ask_to_end(s);
		}
		if (now - told >= LOOK_MS) {
			take_metrics(s);
			values_fresh(s->values, tell_value, NULL);
			told = now;
		}
	}
}

/* Nobody is left behind: what lingers may end by itself for a moment, is asked, and is killed. */
static bool end(struct supervision *s)
{
	bool left, all = true;
	int ignored;
	int64_t until = clock_ms() + LINGER_MS;
	for (;;) {
		child_reap(s->child.pid, &ignored, &left);
		take_output(s);
		if (!left || clock_ms() >= until || s->kill_at)
			break;
		poll(&(struct pollfd){.fd = s->signals, .events = POLLIN}, 1, 20);
		take_signals(s);
	}
	if (left)
		all = child_end_all(s->child.pid, &ignored, s->kill_at ? 0 : s->c->grace_ms);
	while (take_output(s) && poll(&(struct pollfd){.fd = s->child.output, .events = POLLIN}, 1, 0) > 0)
		;
	take_metrics(s);
	values_end_of_input(s->values);
	values_fresh(s->values, tell_value, NULL);
	return all;
}

/* ---- keep ---- */

struct summary {
	struct buf members; /* "values": {...} of the card */
	const char *metric;
	bool has_metric;
	struct buf names; /* for the sentence when it has not */
};

static void add_number(struct buf *out, const char *name, double value)
{
	buf_printf(out, ",\"%s\":", name);
	if (isinf(value))
		buf_adds(out, value > 0 ? "\"inf\"" : "\"-inf\"");
	else
		json_format_double(value, out); /* NaN: null */
}

static void add_summary(void *ctx, const struct values_summary *v)
{
	struct summary *s = ctx;
	if (s->metric && strcmp(s->metric, v->name) == 0)
		s->has_metric = true;
	if (s->names.size < 200)
		buf_printf(&s->names, "%s%s", s->names.size ? ", " : "", v->name);
	buf_adds(&s->members, s->members.size ? "," : "\"values\":{");
	json_format_string(v->name, strlen(v->name), &s->members);
	buf_printf(&s->members, ":{\"n\":%lld,\"step\":%lld", (long long)v->n, (long long)v->last_step);
	add_number(&s->members, "last", v->last);
	add_number(&s->members, "min", v->min);
	add_number(&s->members, "max", v->max);
	add_number(&s->members, "mean", v->mean);
	add_number(&s->members, "value", values_result(v));
	buf_printf(&s->members, ",\"summary\":\"%s\"", values_how_name(v->how));
	buf_addc(&s->members, '}');
}

/* Log and values go along. Empty ones are not worth a file. */
static int move_in(const struct supervision *s, const char *path, const char *name, struct err *err)
{
	struct stat st;
	if (stat(path, &st) < 0 || st.st_size == 0)
		return 0;
	char *dir = fs_join(s->c->part, ".sweep"), *to = fs_join(dir, name);
	int result = fs_make_dirs(dir, err);
	if (result == 0 && rename(path, to) < 0)
		result = err_errno(err, "cannot rename %s", path);
	free(dir);
	free(to);
	return result;
}

/* Back again: the folder could not be kept, and the next attempt's program must find only what is its own. */
static void move_out(const struct supervision *s)
{
	char *dir = fs_join(s->c->part, ".sweep"), *log = fs_join(dir, "log.txt"),
	     *values = fs_join(dir, "values.jsonl");
	rename(log, s->log_path);
	rename(values, s->values_path);
	rmdir(dir);
	free(dir);
	free(log);
	free(values);
}

static int commit(const struct supervision *s, struct summary *summary, struct err *err)
{
	const struct command *c = s->c;
	struct fs_dir d;
	char *card = fs_join(c->part, ARTIFACT_CARD);
	bool taken = fs_exists(card);
	free(card);
	if (taken)
		return err_set(err, ERR_INPUT, "wrote a file " ARTIFACT_CARD " into its folder, a name that is ours");
	buf_printf(&summary->members, "%s\"stage\":", summary->members.size ? "}," : "");
	json_format_string(c->stage, strlen(c->stage), &summary->members);
	if (move_in(s, s->values_path, "values.jsonl", err) < 0 || move_in(s, s->log_path, "log.txt", err) < 0)
		return -1;
	if (fs_dir_adopt(&d, c->dir, c->part, err) < 0 ||
	    artifact_commit(&d, c->key, JOB_COMMAND, summary->members.data, err) < 0) {
		fs_dir_release(&d);
		move_out(s);
		return -1;
	}
	fs_remove_tree(c->scratch);
	struct event e = {.kind = EVENT_ARTIFACT};
	snprintf(e.key, sizeof e.key, "%s", c->key);
	event_send(&e);
	return 0;
}

static int keep(struct supervision *s, struct err *err)
{
	const struct command *c = s->c;
	struct summary summary = {.metric = c->metric};
	const char *complaint = values_complaint(s->values);
	if (complaint) {
		struct event e = {.kind = EVENT_NOTE};
		snprintf(e.text, sizeof e.text, "%s: %s", c->stage, complaint);
		event_send(&e);
	}
	int result = values_close(s->values, err);
	s->values = NULL;
	if (result < 0 || values_join(s->before_path, s->values_path, err) < 0 ||
	    values_read(s->values_path, add_summary, &summary, err) < 0)
		result = -1;
	else if (!fs_is_dir(c->part))
		result = blame(c, err, ERR_INPUT, "removed its own folder (${dir}, %s)", c->part);
	else if (c->metric && !summary.has_metric)
		result = blame(c, err, ERR_INPUT, "ended well, but did not report the value `%s`%s%s", c->metric,
			       summary.names.size ? "; it reported " : ", nor any other",
			       summary.names.size ? summary.names.data : "");
	else
		result = commit(s, &summary, err);
	buf_release(&summary.members);
	buf_release(&summary.names);
	return result;
}

/* ---- the whole ---- */

/* How the program ended, when that was not well. */
static int fate(const struct supervision *s, struct err *err)
{
	if (s->stopped)
		return blame(s->c, err, ERR_SYSTEM, "stopped before its end");
	if (s->late)
		return blame(s->c, err, ERR_SYSTEM, "took longer than its time (%lld s) and was ended",
			     (long long)(s->c->time_ms + 999) / 1000);
	if (WIFSIGNALED(s->status))
		return blame(s->c, err, ERR_SYSTEM, "was killed by signal %d (%s)%s", WTERMSIG(s->status),
			     strsignal(WTERMSIG(s->status)),
			     WTERMSIG(s->status) == SIGKILL ? ", perhaps for lack of memory" : "");
	if (WEXITSTATUS(s->status) != 0)
		return blame(s->c, err, ERR_SYSTEM, "ended with exit status %d", WEXITSTATUS(s->status));
	return 0;
}

/* The end of the program's output, for whoever reads our log. */
static void show_tail(const struct supervision *s)
{
	char tail[TAIL_BYTES];
	off_t from = s->log.size - TAIL_BYTES > s->log.begin ? s->log.size - TAIL_BYTES : s->log.begin;
	ssize_t n = s->log.fd >= 0 ? pread(s->log.fd, tail, sizeof tail, from) : 0;
	if (n > 0)
		(void)!write(STDERR_FILENO, tail, (size_t)n);
}

int supervise(const struct command *c, int64_t attempt, int *stopped, struct err *err)
{
	struct supervision s = {
		.c = c,
		.log_path = fs_join(c->scratch, "log.txt"),
		.values_path = fs_join(c->scratch, "values.jsonl"),
		.before_path = fs_join(c->scratch, "values.before.jsonl"),
		.metrics_path = fs_join(c->scratch, "metrics.jsonl"),
		.lock = -1,
		.signals = -1,
		.metrics = -1,
		.log = {.fd = -1},
		.child = {.output = -1},
	};
	int result = begin(&s, attempt, err);
	if (result == 0) {
		run(&s);
		bool all = end(&s);
		result = fate(&s, err);
		if (result == 0 && !all)
			result = blame(c, err, ERR_SYSTEM, "left a process behind that cannot be ended");
		if (result == 0)
			result = keep(&s, err);
		else
			show_tail(&s);
	}
	*stopped = s.stopped;
	if (s.values) { /* they stay for the next attempt */
		struct err ignored = {0};
		values_close(s.values, &ignored);
	}
	logfile_close(&s.log);
	int fds[] = {s.child.output, s.signals, s.metrics, s.lock};
	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(s.log_path);
	free(s.values_path);
	free(s.before_path);
	free(s.metrics_path);
	return result;
}
