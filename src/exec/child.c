/* child.c - a program and its descendants; see child.h. With run/exec_local.c the only file that makes processes. Linux.
 *
 * Descendants are found in /proc by their parents: groups and sessions can be left by setsid, the chain of parents cannot,
 * since orphans are handed to us. Asking is not free, so it is done only when waitpid says that somebody is left. */
#include "child.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"

#define KILL_TRIES_MS 5000 /* how long we go on killing before we give up on a process that the kernel keeps */

void child_adopt_orphans(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1);
}

/* In the child; comes back only when exec failed. */
static void become(const struct child_options *o, int output, pid_t parent)
{
	sigset_t none;
	sigemptyset(&none);
	/* If we are killed, so is the program; what it started in turn is ended by who finds it (supervise.c). */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	setsid();
	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	int null = open("/dev/null", O_RDONLY);
	if (null < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
		return;
	close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	if (chdir(o->workdir) < 0)
		return;
	if (o->memory > 0) {
		struct rlimit limit = {(rlim_t)o->memory, (rlim_t)o->memory};
		if (setrlimit(RLIMIT_AS, &limit) < 0)
			return;
	}
	execvpe(o->argv[0], o->argv, o->env);
}

int child_start(struct child *child, const struct child_options *o, struct err *err)
{
	int output[2], report[2];
	if (!fs_is_dir(o->workdir))
		return err_set(err, ERR_INPUT, "the folder to work in, %s, is not there", o->workdir);
	if (pipe2(output, O_CLOEXEC) < 0)
		return err_errno(err, "cannot make a pipe");
	if (pipe2(report, O_CLOEXEC) < 0) {
		close(output[0]);
		close(output[1]);
		return err_errno(err, "cannot make a pipe");
	}
	pid_t parent = getpid(), pid = fork();
	if (pid == 0) {
		close(report[0]);
		fcntl(report[1], F_SETFD, FD_CLOEXEC);
		become(o, output[1], parent);
		int code = errno;
		(void)!write(report[1], &code, sizeof code);
		_exit(127);
	}
	int code = pid < 0 ? errno : 0;
	close(output[1]);
	close(report[1]);
	ssize_t n = 0;
	if (pid > 0)
		do
			n = read(report[0], &code, sizeof code); /* nothing: exec closed it */
		while (n < 0 && errno == EINTR);
	close(report[0]);
	if (pid > 0 && n <= 0) {
		*child = (struct child){.pid = pid, .output = output[0]};
		return 0;
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
	close(output[0]);
	errno = code;
	if (pid < 0)
		return err_errno(err, "cannot start `%s`", o->argv[0]);
	if (code == ENOENT)
		return err_set(err, ERR_INPUT,
			       strchr(o->argv[0], '/')
				       ? "there is no program `%s` (or the interpreter that its first line names)"
				       : "there is no program `%s` on the PATH",
			       o->argv[0]);
	if (code == EACCES)
		return err_set(err, ERR_INPUT,
			       "`%s` is not executable; chmod +x it, or name its interpreter in `command`", o->argv[0]);
	if (code == ENOEXEC)
		return err_set(err, ERR_INPUT,
			       "`%s` is no program; begin it with #!, or name its interpreter in `command`",
			       o->argv[0]);
	if (code == E2BIG)
		return err_set(err, ERR_INPUT, "the arguments of `%s` are too long for the system", o->argv[0]);
	return err_errno(err, "cannot start `%s`", o->argv[0]);
}

/* ---- descendants ---- */

struct process {
	pid_t pid, parent;
	bool ours;
};

/* The parent of a process out of /proc/PID/stat: "12 (any name)) S 7 ...", the name may hold anything. */
static pid_t parent_of(const char *pid)
{
	char path[64], text[512];
	snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	const char *behind = strrchr(text, ')');
	return behind && strlen(behind) > 4 ? (pid_t)strtol(behind + 4, NULL, 10) : -1;
}

/* The pids of all descendants; the caller frees. */
static pid_t *descendants(size_t *n)
{
	struct process *all = NULL;
	size_t n_all = 0, room = 0;
	DIR *proc = opendir("/proc");
	for (struct dirent *e; proc && (e = readdir(proc));) {
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		MEM_PUSH_ROOM(all, n_all, room);
		all[n_all++] =
			(struct process){.pid = (pid_t)strtol(e->d_name, NULL, 10), .parent = parent_of(e->d_name)};
	}
	if (proc)
		closedir(proc);
	pid_t self = getpid(), *found = mem_array(n_all, sizeof *found);
	*n = 0;
	for (bool more = true; more;) {
		more = false;
		for (size_t i = 0; i < n_all; i++) {
			bool ours = all[i].parent == self;
			for (size_t k = 0; k < *n && !ours; k++)
				ours = found[k] == all[i].parent;
			if (!ours || all[i].ours)
				continue;
			all[i].ours = more = true;
			found[(*n)++] = all[i].pid;
		}
	}
	free(all);
	return found;
}

bool child_signal(int signal)
{
	size_t n;
	pid_t *pids = descendants(&n);
	for (size_t i = 0; i < n; i++)
		kill(pids[i], signal);
	free(pids);
	return n > 0;
}

bool child_reap(pid_t pid, int *status, bool *left)
{
	bool ended = false;
	int code;
	pid_t who;
	while ((who = waitpid(-1, &code, WNOHANG)) > 0 || (who < 0 && errno == EINTR))
		if (who == pid) {
			*status = code;
			ended = true;
		}
	*left = who == 0;
	return ended;
}

/* Until nobody is left or the time is over. */
static bool wait_for_all(pid_t pid, int *status, int64_t ms, int signal)
{
	int64_t until = clock_ms() + ms;
	struct timespec nap = {.tv_nsec = 1000000};
	for (;;) {
		bool left;
		child_reap(pid, status, &left);
		if (!left)
			return true;
		if (clock_ms() >= until)
			return false;
		if (signal)
			child_signal(signal); /* again: a killed parent's children are ours only now */
		nanosleep(&nap, NULL);
		if (nap.tv_nsec < 20000000)
			nap.tv_nsec *= 2;
	}
}

bool child_end_all(pid_t pid, int *status, int64_t grace_ms)
{
	bool left;
	child_reap(pid, status, &left);
	if (!left)
		return true;
	if (grace_ms > 0) {
		child_signal(SIGTERM);
		child_signal(SIGCONT); /* a stopped process acts on nothing else */
		if (wait_for_all(pid, status, grace_ms, 0))
			return true;
	}
	return wait_for_all(pid, status, KILL_TRIES_MS, SIGKILL);
}
