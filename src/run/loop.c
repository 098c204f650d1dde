/* loop.c - signals and poll; see loop.h. Used by exec_local.c, and by nothing that computes.
 *
 * The handlers only count. Because the signals are blocked outside ppoll, they run there and nowhere else, and the
 * counters need no care. A descriptor that is always ready (a worker that floods its pipe) would keep ppoll from ever
 * looking at pending signals, so a wait that found descriptors looks once more, for signals alone: Ctrl-C always
 * comes through. */
#include "loop.h"

#include <errno.h>
#include <string.h>
#include <time.h>

static const int loop_signals[LOOP_SIGNALS] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD};

static volatile sig_atomic_t loop_interrupts, loop_children;

static void loop_on_interrupt(int signal)
{
	(void)signal;
	loop_interrupts++;
}

static void loop_on_child(int signal)
{
	(void)signal;
	loop_children = 1;
}

void loop_begin(struct loop *loop)
{
	sigset_t block;
	sigemptyset(&block);
	for (int i = 0; i < LOOP_SIGNALS; i++)
		sigaddset(&block, loop_signals[i]);
	sigprocmask(SIG_BLOCK, &block, &loop->mask);
	/* A parent may have left them blocked; then we and our children would be deaf. */
	for (int i = 0; i < LOOP_SIGNALS; i++)
		sigdelset(&loop->mask, loop_signals[i]);
	loop_interrupts = 0;
	loop_children = 0;
	for (int i = 0; i < LOOP_SIGNALS; i++) {
		struct sigaction action = {.sa_handler =
						   loop_signals[i] == SIGCHLD ? loop_on_child : loop_on_interrupt};
		sigfillset(&action.sa_mask);
		sigaction(loop_signals[i], NULL, &loop->before[i]);
		/* nohup stays in force. SIGINT is taken even where it was ignored (a script's background job). */
		if (loop_signals[i] == SIGHUP && loop->before[i].sa_handler == SIG_IGN)
			continue;
		sigaction(loop_signals[i], &action, NULL);
	}
}

void loop_end(struct loop *loop)
{
	for (int i = 0; i < LOOP_SIGNALS; i++)
		sigaction(loop_signals[i], &loop->before[i], NULL);
	sigprocmask(SIG_SETMASK, &loop->mask, NULL);
}

void loop_child(const struct loop *loop)
{
	struct sigaction plain = {.sa_handler = SIG_DFL};
	for (int i = 0; i < LOOP_SIGNALS; i++)
		if (loop_signals[i] != SIGHUP || loop->before[i].sa_handler != SIG_IGN)
			sigaction(loop_signals[i], &plain, NULL);
	sigaction(SIGPIPE, &plain, NULL);
	sigaction(SIGXFSZ, &plain, NULL);
	/* Ctrl-Z between vfork and here waits behind the mask, and would stop the child in its new group, where no `fg`
	 * reaches it: to ignore the signal for a moment drops it. Where it was ignored, it stays so. */
	struct sigaction stop;
	sigaction(SIGTSTP, NULL, &stop);
	if (stop.sa_handler != SIG_IGN) {
		struct sigaction ignore = {.sa_handler = SIG_IGN};
		sigaction(SIGTSTP, &ignore, NULL);
		sigaction(SIGTSTP, &plain, NULL);
	}
	sigprocmask(SIG_SETMASK, &loop->mask, NULL);
}

int loop_wait(struct pollfd *fds, size_t n, int timeout_ms, const struct loop *loop, struct loop_news *news,
	      struct err *err)
{
	struct timespec limit = {.tv_sec = timeout_ms / 1000, .tv_nsec = (long)(timeout_ms % 1000) * 1000000};
	int ready = ppoll(fds, n, timeout_ms < 0 ? NULL : &limit, &loop->mask);
	if (ready < 0 && errno != EINTR && errno != EAGAIN)
		return err_errno(err, "cannot wait for the workers");
	if (ready < 0) {
		for (size_t i = 0; i < n; i++)
			fds[i].revents = 0; /* unspecified after EINTR */
	} else if (ready > 0) {
		struct timespec zero = {0};
		(void)!ppoll(NULL, 0, &zero, &loop->mask);
	}
	news->interrupts = loop_interrupts;
	news->children = loop_children != 0;
	loop_interrupts = 0;
	loop_children = 0;
	return 0;
}
