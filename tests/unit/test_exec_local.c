/* test_exec_local.c - real processes: shell scripts that play workers. What a worker gets (descriptors, environment,
 * group, cores), what comes back (events, garbage, ends, logs), that nothing hangs and nothing leaks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/logfile.h"
#include "base/mem.h"
#include "run/exec_local.h"
#include "run/loop.h"

static char dir[64], script[96];

static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/test_exec_local.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(script, sizeof script, "%s/worker", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fs_remove_tree(dir);
	return 0;
}

/* The worker program for the next executor. */
static void write_script(const char *body)
{
	char *text = mem_printf("#!/bin/sh\n%s\n", body);
	int fd = open(script, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	free(text);
}

static struct executor *executor(const char *body, int workers, int cores, int grace_ms)
{
	struct err err = {0};
	write_script(body);
	struct exec_local_options o = {
		.runner = script, .dir = dir, .workers = workers, .cores = cores, .grace_ms = grace_ms};
	struct executor *e = exec_local_new(&o, &err);
	if (!e)
		fail_msg("%s", err.text);
	return e;
}

static int64_t start(struct executor *e, int worker, const char *key, int threads)
{
	struct err err = {0};
	int64_t pid = 0;
	struct executor_request r = {
		.worker = worker, .job_text = "{\"a\":1}\n", .job_key = key, .attempt = 1, .threads = threads};
	if (e->ops->start(e, &r, &pid, &err) < 0)
		fail_msg("%s", err.text);
	assert_true(pid > 1);
	return pid;
}

/* The next report; fails after 10 seconds. */
static struct executor_report next(struct executor *e)
{
	struct executor_report r = {0};
	struct err err = {0};
	int n = e->ops->wait(e, 10000, &r, &err);
	if (n < 0)
		fail_msg("%s", err.text);
	assert_int_equal(n, 1);
	return r;
}

static void test_events_and_environment(void **state)
{
	(void)state;
	setenv("OMP_NUM_THREADS", "77", 1);
	setenv("SOME_OTHER", "kept", 1);
	int before = count_fds();
	struct executor *e =
		executor("echo '{\"event\":\"start\",\"threads\":'$OMP_NUM_THREADS'}'\n"
			 "printf '{\"event\":\"progress\",\"phase\":\"tr'; sleep 0.05; echo 'ain\",\"done\":3}'\n"
			 "printf '{\"event\":\"done\",\"text\":\"%s %s %s\"}' \"$SOME_OTHER\" "
			 "\"$(cat \"$1\")\" \"$BLIS_NUM_THREADS\" | tr -d '{}' | sed 's/.*/{&}/; s/\"a\":1/a/'\n"
			 "echo to the log >&2",
			 1, 2, 0);
	start(e, 0, "0123456789abcdef0123", 3);
	struct executor_report r = next(e);
	assert_int_equal(r.kind, EXEC_EVENT);
	assert_int_equal(r.event.kind, EVENT_START);
	assert_int_equal(r.event.threads, 3);
	r = next(e);
	assert_int_equal(r.event.kind, EVENT_PROGRESS);
	assert_string_equal(r.event.phase, "train");
	assert_int_equal(r.event.done, 3);
	r = next(e);
	assert_int_equal(r.event.kind, EVENT_DONE); /* without a newline at the end */
	assert_string_equal(r.event.text, "kept a 3");
	r = next(e);
	assert_int_equal(r.kind, EXEC_ENDED);
	assert_true(r.exited);
	assert_int_equal(r.status, 0);
	assert_string_equal(r.log_tail, "to the log");
	free(r.log_tail);
	char *log = mem_printf("%s/logs/0123456789abcdef.1.log", dir),
	     *job = mem_printf("%s/jobs/0123456789abcdef.1.json", dir);
	assert_true(fs_exists(log));
	struct err err = {0};
	assert_int_equal(e->ops->wait(e, 20, &r, &err), 0);
	/* the slot is free again; a second attempt of the same number appends */
	start(e, 0, "0123456789abcdef0123", 3);
	while ((r = next(e)).kind != EXEC_ENDED)
		;
	assert_string_equal(r.log_tail, "to the log");
	free(r.log_tail);
	struct buf text = BUF_INIT;
	assert_int_equal(buf_read_file(&text, log, 1000, &err), 0);
	assert_string_equal(text.data, "to the log\nto the log\n");
	buf_release(&text);
	e->ops->free(e);
	assert_true(fs_exists(log));
	assert_false(fs_exists(job)); /* ended well: no longer needed */
	assert_int_equal(count_fds(), before);
	free(log);
	free(job);
}

/* A worker has 0, 1, 2, the file of shared weights and nothing else of ours, its own group, and default signal
 * handling. */
static void test_inheritance(void **state)
{
	(void)state;
	int leak = open("/dev/null", O_RDONLY); /* deliberately not close-on-exec */
	struct executor *e = executor(
		"ls /proc/$$/fd >$1.fds; n=$(grep -x '[0-9]' $1.fds | grep -vx $SWEEP_WEIGHTS_FD | tr '\\n' ' ')\n"
		"w=$(readlink /proc/$$/fd/$SWEEP_WEIGHTS_FD)\n"
		"in=$(readlink /proc/$$/fd/0)\n"
		"g=$(cut -d' ' -f5 /proc/$$/stat)\n"
		"m=$(awk '/SigBlk/ {print $2}' /proc/$$/status)\n"
		"i=$(awk '/SigIgn/ {print $2}' /proc/$$/status)\n"
		"[ \"$g\" = $$ ] && own=yes || own=no\n"
		"echo \"{\\\"event\\\":\\\"done\\\",\\\"text\\\":\\\"$n|$in|$own|$m|$i|$w\\\"}\"",
		1, 1, 0);
	signal(SIGPIPE, SIG_IGN);
	start(e, 0, "aa", 1);
	struct executor_report r = next(e);
	assert_int_equal(r.event.kind, EVENT_DONE);
	assert_string_equal(r.event.text,
			    "0 1 2 |/dev/null|yes|0000000000000000|0000000000000000|/memfd:sweep weights (deleted)");
	r = next(e);
	assert_null(r.log_tail); /* an empty log is no log */
	signal(SIGPIPE, SIG_DFL);
	e->ops->free(e);
	char *log = mem_printf("%s/logs/aa.1.log", dir);
	assert_false(fs_exists(log));
	free(log);
	close(leak);
}

static void test_ends(void **state)
{
	(void)state;
	struct executor *e = executor("case $(cat \"$1\") in *) ;; esac; echo failing >&2; exit 3", 2, 2, 0);
	start(e, 1, "bb", 1);
	struct executor_report r = next(e);
	assert_int_equal(r.kind, EXEC_ENDED);
	assert_int_equal(r.worker, 1);
	assert_true(r.exited);
	assert_int_equal(r.status, 3);
	assert_string_equal(r.log_tail, "failing");
	free(r.log_tail);
	char *job = mem_printf("%s/jobs/bb.1.json", dir);
	assert_true(fs_exists(job)); /* to look at, and to run by hand */
	free(job);
	e->ops->free(e);
	e = executor("echo '{\"event\":\"start\"}'; kill -9 $$", 1, 1, 0);
	start(e, 0, "cc", 1);
	assert_int_equal(next(e).kind, EXEC_EVENT);
	r = next(e);
	assert_false(r.exited);
	assert_int_equal(r.signal, SIGKILL);
	e->ops->free(e);
}

static void test_garbage(void **state)
{
	(void)state;
	/* Endless lines, binary, JSON that is no event, an event of tomorrow; then a true one. */
	struct executor *e = executor("head -c 300000 /dev/zero | tr '\\0' x; echo\n"
				      "printf '\\001\\377\\000binary\\033[2J\\n{}\\n[1,\\n\\n\\n'\n"
				      "echo '{\"event\":\"tomorrow\"}'\n"
				      "echo '{\"event\":\"artifact\",\"key\":\"k\"}'\n"
				      "printf 'unfinished'",
				      1, 1, 0);
	start(e, 0, "dd", 1);
	struct executor_report r = next(e);
	assert_int_equal(r.kind, EXEC_EVENT);
	assert_int_equal(r.event.kind, EVENT_UNKNOWN);
	r = next(e);
	assert_int_equal(r.event.kind, EVENT_ARTIFACT);
	assert_string_equal(r.event.key, "k");
	r = next(e);
	assert_int_equal(r.kind, EXEC_ENDED);
	assert_true(r.exited && r.status == 0);
	assert_non_null(strstr(r.log_tail, "unfinished"));
	assert_null(strchr(r.log_tail, 27)); /* no escape sequence reaches a terminal */
	free(r.log_tail);
	e->ops->free(e);
}

/* An endless flood of garbage neither hangs us nor fills the disk, and Ctrl-C comes through. */
static void test_flood(void **state)
{
	(void)state;
	struct executor *e = executor("exec yes $(head -c 4000 /dev/zero | tr '\\0' g)", 1, 1, 200);
	start(e, 0, "ee", 1);
	struct executor_report r;
	struct err err = {0};
	assert_int_equal(e->ops->wait(e, 300, &r, &err), 0);
	raise(SIGINT); /* blocked: stays pending until ppoll */
	r = next(e);
	assert_int_equal(r.kind, EXEC_SIGNAL);
	e->ops->stop(e, 0, false);
	r = next(e);
	assert_int_equal(r.kind, EXEC_ENDED);
	assert_int_equal(r.signal, SIGTERM);
	free(r.log_tail);
	char *log = mem_printf("%s/logs/ee.1.log", dir);
	struct stat st;
	assert_int_equal(stat(log, &st), 0);
	assert_true(st.st_size <= 2 << 20);
	free(log);
	e->ops->free(e);
}

/* A gigabyte on standard error makes a short log, with its beginning and its end. */
static void test_long_log(void **state)
{
	(void)state;
	struct executor *e = executor("echo first words >&2; yes 'and on and on' | head -c 1000000000 >&2\n"
				      "echo last words >&2",
				      1, 1, 0);
	start(e, 0, "lg", 1);
	struct executor_report r = {0};
	struct err err = {0};
	assert_int_equal(e->ops->wait(e, -1, &r, &err), 1);
	assert_int_equal(r.kind, EXEC_ENDED);
	assert_true(r.exited && r.status == 0);
	assert_non_null(strstr(r.log_tail, "last words"));
	free(r.log_tail);
	char *log = mem_printf("%s/logs/lg.1.log", dir);
	struct stat st;
	assert_int_equal(stat(log, &st), 0);
	assert_true(st.st_size < LOGFILE_HEAD + 2 * LOGFILE_TAIL + 1000);
	struct buf text = BUF_INIT;
	assert_int_equal(buf_read_file(&text, log, 1 << 20, &err), 0);
	assert_memory_equal(text.data, "first words\n", 12);
	assert_non_null(strstr(text.data, "are left out here"));
	buf_release(&text);
	free(log);
	e->ops->free(e);
}

/* A worker begins with no signal blocked, though all are while it is made, and with SIGTSTP ignored only where it was. */
static void test_signals_of_workers(void **state)
{
	(void)state;
	struct executor *e = executor("grep -E '^Sig(Blk|Ign)' /proc/self/status >&2", 1, 1, 0);
	sigset_t stop, before;
	sigemptyset(&stop);
	sigaddset(&stop, SIGTSTP);
	for (int ignored = 0; ignored < 2; ignored++) {
		signal(SIGTSTP, ignored ? SIG_IGN : SIG_DFL);
		sigprocmask(SIG_BLOCK, &stop, &before);
		start(e, 0, ignored ? "ti" : "ts", 1);
		sigprocmask(SIG_SETMASK, &before, NULL);
		struct executor_report r = next(e);
		assert_int_equal(r.kind, EXEC_ENDED);
		assert_int_equal(r.status, 0);
		unsigned long long blocked, ignores;
		assert_int_equal(sscanf(r.log_tail, "SigBlk: %llx SigIgn: %llx", &blocked, &ignores), 2);
		assert_int_equal(blocked, 0);
		assert_int_equal(ignores >> (SIGTSTP - 1) & 1, ignored);
		free(r.log_tail);
	}
	signal(SIGTSTP, SIG_DFL);
	e->ops->free(e);
}

/* More workers than descriptors: the limit is raised for us and not for them; where it cannot be, a sentence. */
static void test_open_files(void **state)
{
	(void)state;
	struct rlimit before, low;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = (struct rlimit){120, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	struct executor *e = executor("ulimit -n >&2", 30, 30, 0);
	for (int i = 0; i < 30; i++)
		start(e, i, "of", 1);
	for (int i = 0; i < 30; i++) {
		struct executor_report r = next(e);
		assert_int_equal(r.kind, EXEC_ENDED);
		assert_int_equal(r.status, 0);
		free(r.log_tail);
	}
	start(e, 0, "og", 1);
	struct executor_report r = next(e);
	assert_string_equal(r.log_tail, "120");
	free(r.log_tail);
	e->ops->free(e);
	struct exec_local_options o = {.runner = script, .dir = dir, .workers = 100000000, .cores = 1};
	struct err err = {0};
	o.workers = before.rlim_max < 1 << 28 ? (int)before.rlim_max : 0;
	if (o.workers && o.workers < 1 << 21) {
		assert_null(exec_local_new(&o, &err));
		assert_int_equal(err.kind, ERR_INPUT);
		assert_non_null(strstr(err.text, "--jobs"));
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

/* What a killed scheduler left in jobs/ and logs/ goes at the next start; what was said stays. */
static void test_clean_up(void **state)
{
	(void)state;
	struct executor *e = executor("exit 0", 1, 1, 0);
	e->ops->free(e);
	static const char *const names[] = {"jobs/aa.1.json", "logs/bb.1.log", "logs/cc.1.log"};
	struct err err = {0};
	for (size_t i = 0; i < 3; i++) {
		char *path = fs_join(dir, names[i]);
		assert_int_equal(fs_write_file(path, "x", i == 1 ? 0 : 1, &err), 0);
		free(path);
	}
	e = executor("exit 0", 1, 1, 0);
	for (size_t i = 0; i < 3; i++) {
		char *path = fs_join(dir, names[i]);
		assert_int_equal(fs_exists(path), i == 2);
		free(path);
	}
	e->ops->free(e);
}

/* Within two seconds: no such process, or a zombie that nobody reaps in this container. */
static bool is_gone(pid_t pid)
{
	char *path = mem_printf("/proc/%d/status", (int)pid);
	bool gone = false;
	for (int i = 0; i < 200 && !gone; i++) {
		struct buf text = BUF_INIT;
		struct err err = {0};
		gone = buf_read_file(&text, path, 10000, &err) < 0 || strstr(text.data, "State:\tZ");
		buf_release(&text);
		if (!gone)
			usleep(10000);
	}
	free(path);
	return gone;
}

static void test_stop(void **state)
{
	(void)state;
	/* Deaf to SIGTERM: SIGKILL after the grace; its children too. */
	struct executor *e = executor(
		"trap '' TERM; sleep 1000 & echo '{\"event\":\"start\",\"text\":\"'$!'\"}'; wait; wait; sleep 1000", 2,
		2, 150);
	start(e, 0, "ff", 1);
	struct executor_report r = next(e);
	pid_t grandchild = (pid_t)strtol(r.event.text, NULL, 10);
	assert_true(grandchild > 1);
	int64_t before = clock_ms();
	e->ops->stop(e, 0, false);
	r = next(e);
	assert_int_equal(r.kind, EXEC_ENDED);
	assert_false(r.exited);
	assert_int_equal(r.signal, SIGKILL);
	assert_true(clock_ms() - before >= 140);
	assert_true(is_gone(grandchild));
	/* at once */
	start(e, 1, "gg", 1);
	assert_int_equal(next(e).kind, EXEC_EVENT);
	e->ops->stop(e, 1, true);
	r = next(e);
	assert_int_equal(r.signal, SIGKILL);
	e->ops->free(e);
}

/* What a worker leaves behind in its group goes with it. */
static void test_left_behind(void **state)
{
	(void)state;
	struct executor *e =
		executor("sleep 1000 >/dev/null 2>&1 & echo '{\"event\":\"start\",\"text\":\"'$!'\"}'", 1, 1, 0);
	start(e, 0, "pp", 1);
	pid_t grandchild = (pid_t)strtol(next(e).event.text, NULL, 10);
	assert_int_equal(next(e).kind, EXEC_ENDED);
	assert_true(is_gone(grandchild));
	e->ops->free(e);
}

/* A descriptor that is always ready does not hide a signal. */
static void test_signal_beside_data(void **state)
{
	(void)state;
	struct loop loop;
	struct loop_news news;
	struct err err = {0};
	int fds[2];
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	loop_begin(&loop);
	raise(SIGINT);
	raise(SIGTERM);
	struct pollfd fd = {.fd = fds[0], .events = POLLIN};
	assert_int_equal(loop_wait(&fd, 1, -1, &loop, &news, &err), 0);
	assert_true(fd.revents & POLLIN);
	assert_int_equal(news.interrupts, 1); /* one at a time */
	assert_false(news.children);
	assert_int_equal(loop_wait(&fd, 1, -1, &loop, &news, &err), 0);
	assert_int_equal(news.interrupts, 1);
	assert_int_equal(loop_wait(&fd, 1, -1, &loop, &news, &err), 0);
	assert_int_equal(news.interrupts, 0);
	loop_end(&loop);
	close(fds[0]);
	close(fds[1]);
}

/* A worker that closes its events but lives is asked to end; one whose grandchild keeps the pipe open has ended. */
static void test_silence(void **state)
{
	(void)state;
	struct executor *e = executor("exec >&-; exec sleep 1000", 1, 1, 100);
	start(e, 0, "hh", 1);
	struct executor_report r = next(e);
	assert_int_equal(r.kind, EXEC_ENDED);
	assert_int_equal(r.signal, SIGTERM);
	e->ops->free(e);
	e = executor("setsid sleep 3 & sleep 0.2; echo '{\"event\":\"done\"}'; printf 'half a line'", 1, 1, 100);
	start(e, 0, "ii", 1);
	int64_t before = clock_ms();
	assert_int_equal(next(e).event.kind, EVENT_DONE);
	r = next(e);
	assert_int_equal(r.kind, EXEC_ENDED);
	assert_true(r.exited && r.status == 0);
	assert_true(clock_ms() - before < 2500);
	free(r.log_tail);
	e->ops->free(e);
}

static void test_cannot_start(void **state)
{
	(void)state;
	int before = count_fds();
	struct err err = {0};
	struct exec_local_options o = {.runner = "/nonexistent/sweep-runner", .dir = dir, .workers = 1, .cores = 1};
	struct executor *e = exec_local_new(&o, &err);
	assert_non_null(e);
	struct executor_request request = {.job_text = "x", .job_key = "jj", .attempt = 1, .threads = 1};
	int64_t pid;
	for (int i = 0; i < 3; i++) {
		err = (struct err){0};
		assert_int_equal(e->ops->start(e, &request, &pid, &err), -1);
		assert_int_equal(err.kind, ERR_INPUT);
		assert_string_equal(err.text,
				    "cannot start the worker /nonexistent/sweep-runner: No such file or directory");
	}
	e->ops->free(e);
	assert_int_equal(count_fds(), before);
	/* a folder that cannot be made */
	char *file = mem_printf("%s/file", dir);
	assert_int_equal(fs_write_file(file, "x", 1, &err), 0);
	o.dir = file;
	assert_null(exec_local_new(&o, &err));
	assert_int_equal(count_fds(), before);
	free(file);
}

/* Free with workers that still run: they are gone afterwards. And the handlers are as before. */
static void test_free_ends_workers(void **state)
{
	(void)state;
	struct executor *e = executor("exec sleep 1000", 3, 3, 0);
	int64_t pids[3];
	for (int i = 0; i < 3; i++)
		pids[i] = start(e, i, "kk", 1);
	e->ops->free(e);
	for (int i = 0; i < 3; i++)
		assert_int_equal(kill((pid_t)pids[i], 0), -1);
	struct sigaction now;
	sigset_t mask;
	sigaction(SIGINT, NULL, &now);
	sigprocmask(SIG_BLOCK, NULL, &mask);
	assert_true(now.sa_handler == SIG_DFL);
	assert_false(sigismember(&mask, SIGCHLD));
}

/* Workers die with the scheduler, however it dies. */
static void test_die_with_parent(void **state)
{
	(void)state;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	int fds[2];
	assert_int_equal(pipe(fds), 0);
	pid_t scheduler = fork();
	if (scheduler == 0) {
		struct executor *e = executor("exec sleep 1000", 1, 1, 0);
		int64_t pid = start(e, 0, "ll", 1);
		(void)!write(fds[1], &pid, sizeof pid);
		for (;;)
			pause();
	}
	int64_t worker;
	assert_int_equal(read(fds[0], &worker, sizeof worker), sizeof worker);
	kill(scheduler, SIGKILL);
	waitpid(scheduler, NULL, 0);
	int status;
	assert_int_equal(waitpid((pid_t)worker, &status, 0), worker); /* ours now: we are its reaper */
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	close(fds[0]);
	close(fds[1]);
}

static void test_pinning(void **state)
{
	(void)state;
	int cores = exec_local_cores();
	assert_true(cores >= 1);
	cpu_set_t set;
	if (cores < 2 || sched_getaffinity(0, sizeof set, &set) < 0 || CPU_COUNT(&set) != cores) {
		print_message("skipped: pinning needs two cores and no CPU quota; there are %d\n", cores);
		skip();
	}
	const char *body =
		"echo '{\"event\":\"done\",\"text\":\"'$(awk '/Cpus_allowed_list/ {print $2}' /proc/self/status)'\"}'";
	struct executor *e = executor(body, 2, cores, 0);
	for (int round = 0; round < 3; round++) { /* again: what was lent has come back */
		start(e, 0, "mm", 1);
		start(e, 1, "nn", 1);
		char seen[2][64] = {"", ""};
		for (int ended = 0; ended < 2;) {
			struct executor_report r = next(e);
			ended += r.kind == EXEC_ENDED;
			if (r.kind == EXEC_EVENT)
				snprintf(seen[r.worker], sizeof seen[0], "%.60s", r.event.text);
			free(r.log_tail);
		}
		assert_true(seen[0][0] && seen[1][0]);
		assert_string_not_equal(seen[0], seen[1]); /* one core each, not the same */
		assert_null(strpbrk(seen[0], "-,"));
	}
	e->ops->free(e);
}

/* Files of workers that ended well are reused under new names: nobody's content is seen by another, or lost. */
static void test_files(void **state)
{
	(void)state;
	struct executor *e = executor(
		"case $1 in *say*) echo said >&2;; *fail*) exit 1;; esac; grep -q '\"a\":1}$' \"$1\" || exit 7", 1, 1,
		0);
	static const char *const keys[] = {"quiet1", "say1", "quiet2", "fail1", "quiet3", "say1", "quiet1", "quiet1"};
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		start(e, 0, keys[i], 1);
		struct executor_report r = next(e);
		assert_int_equal(r.kind, EXEC_ENDED);
		assert_int_equal(r.status, strcmp(keys[i], "fail1") == 0 ? 1 : 0);
		if (strcmp(keys[i], "say1") == 0)
			assert_string_equal(r.log_tail, "said");
		else
			assert_null(r.log_tail);
		free(r.log_tail);
	}
	e->ops->free(e);
	char *logs = mem_printf("%s/logs", dir), *jobs = mem_printf("%s/jobs", dir);
	char *said = fs_join(logs, "say1.1.log"), *failed = fs_join(jobs, "fail1.1.json");
	struct buf text = BUF_INIT;
	struct err err = {0};
	assert_int_equal(buf_read_file(&text, said, 1000, &err), 0);
	assert_string_equal(text.data, "said\nsaid\n"); /* twice, the second behind the first */
	assert_true(fs_exists(failed));
	unlink(said);
	unlink(failed);
	assert_int_equal(rmdir(logs), 0); /* nothing else is left */
	assert_int_equal(rmdir(jobs), 0);
	buf_release(&text);
	free(logs);
	free(jobs);
	free(said);
	free(failed);
}

/* Many starts: descriptors do not add up, nor do files. */
static void test_many(void **state)
{
	(void)state;
	int before = count_fds();
	struct executor *e = executor("exit 0", 4, 4, 0);
	int started = 0, ended = 0;
	for (int i = 0; i < 4; i++, started++)
		start(e, i, "oo", 1);
	while (ended < 200) {
		struct executor_report r = next(e);
		assert_int_equal(r.kind, EXEC_ENDED);
		assert_true(r.exited && r.status == 0);
		ended++;
		if (started < 200) {
			start(e, r.worker, "oo", 1);
			started++;
		}
	}
	e->ops->free(e);
	assert_int_equal(count_fds(), before);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no zombie is left */
	assert_int_equal(errno, ECHILD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_events_and_environment),
		TEST(test_inheritance),
		TEST(test_ends),
		TEST(test_garbage),
		TEST(test_flood),
		TEST(test_long_log),
		TEST(test_signals_of_workers),
		TEST(test_open_files),
		TEST(test_clean_up),
		TEST(test_stop),
		TEST(test_silence),
		TEST(test_cannot_start),
		TEST(test_free_ends_workers),
		TEST(test_pinning),
		TEST(test_left_behind),
		TEST(test_files),
		TEST(test_signal_beside_data),
		TEST(test_many),
		TEST(test_die_with_parent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
