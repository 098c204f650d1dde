/* fake_runner.c - a worker that only pretends: the fault tests' and the orchestration benchmark's SWEEP_RUNNER. Reads
 * the job file, writes artifacts of the right form with made-up scores (functions of their keys), speaks the same
 * events, and misbehaves on demand.
 *
 *     FAKE_MS=50                        milliseconds each artifact takes
 *     FAKE_SYNC=0                       artifacts without fsync: for measuring the scheduler alone
 *     FAKE_LOG=FILE                     a line for each artifact made: "KIND KEY"
 *     FAKE_RULES="train:kill:1;num_beams=3:refuse:9"
 *         WHAT:ACTION:ATTEMPTS, the first that fits: WHAT is a kind (check, train, decode), a parameter's value of an
 *         output, or both ("decode,num_beams=3"); it applies to attempts 1..ATTEMPTS (the attempt is in the job file's
 * name). Actions: kill (SIGKILL itself), refuse (bad input), fail (exit 1 with a sentence), mute (exit 1 without one),
 *         forget (exit 0, makes nothing), hang (deaf to SIGTERM), close (closes its events and lives), chatter (garbage
 * and endless lines, then works), late (makes all, then dies), spoil (makes an artifact that nobody can read), full
 * (says that the disk is full), half (makes one artifact, then dies), sleep (does nothing, for ever),
 * wait (works when the file $FAKE_GATE is there) */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/artifact.h"
#include "base/buf.h"
#include "base/event.h"
#include "base/hash.h"
#include "base/job.h"
#include "base/mem.h"

/* It ends in the middle of things on purpose: what it leaves behind then is no leak worth a report. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

/* The C library's in the place of which base/fs.c finds this one. */
int fsync(int fd)
{
	static const char *sync;
	if (!sync)
		sync = getenv("FAKE_SYNC") ? getenv("FAKE_SYNC") : "1";
	return strcmp(sync, "0") == 0 ? 0 : (int)syscall(SYS_fsync, fd);
}

static void pause_ms(long ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
	nanosleep(&t, NULL);
}

static bool fits_one(const struct job *job, const char *what)
{
	const char *equals = strchr(what, '=');
	if (!equals)
		return strcmp(what, job_kind_name(job->kind)) == 0;
	char name[64];
	snprintf(name, sizeof name, "%.*s", (int)(equals - what), what);
	int id = params_find(name);
	bool found = false;
	for (size_t i = 0; id >= 0 && job->kind != JOB_CHECK && i < job->n_outputs; i++) {
		struct buf text = BUF_INIT;
		params_format(id, job->outputs[i].params.v[id], &text);
		found |= strcmp(text.data, equals + 1) == 0;
		buf_release(&text);
	}
	return found;
}

/* "decode,num_beams=3": all of it */
static bool fits(const struct job *job, char *what)
{
	char *save;
	for (char *one = strtok_r(what, ",", &save); one; one = strtok_r(NULL, ",", &save))
		if (!fits_one(job, one))
			return false;
	return true;
}

/* The action for this job and attempt, or "". */
static const char *choose(const struct job *job, int attempt)
{
	static char rules[1024];
	snprintf(rules, sizeof rules, "%s", getenv("FAKE_RULES") ? getenv("FAKE_RULES") : "");
	for (char *save, *rule = strtok_r(rules, ";", &save); rule; rule = strtok_r(NULL, ";", &save)) {
		char *inner, *what = strtok_r(rule, ":", &inner), *action = strtok_r(NULL, ":", &inner);
		char *times = strtok_r(NULL, ":", &inner);
		if (what && action && times && attempt <= strtol(times, NULL, 10) && fits(job, what))
			return action;
	}
	return "";
}

static size_t count_lines(const char *path, int64_t limit)
{
	struct buf text = BUF_INIT;
	struct err err = {0};
	size_t n = 0;
	if (buf_read_file(&text, path, (size_t)1 << 28, &err) == 0)
		for (const char *p = text.data; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
			n += *p != '\n';
	buf_release(&text);
	return limit && n > (size_t)limit ? (size_t)limit : n;
}

static void put_hypotheses(const struct job *job, const struct job_output *output, struct buf *card, struct buf *lines)
{
	const struct job_split *split = &job->splits[output->split];
	size_t n = count_lines(split->input, split->limit);
	double score = (double)(hash_u64(output->key, strlen(output->key)) % 10000) / 100;
	for (size_t i = 0; i < n; i++)
		buf_printf(lines,
			   "{\"id\":%zu,\"text\":\"text %zu\",\"score\":-1.5,\"tokens\":3,\"sentence_bleu\":%.2f}\n", i,
			   i, score);
	buf_printf(card, "\"split\":\"%s\",\"count\":%zu,", split->name, n);
	if (split->references)
		buf_printf(card,
			   "\"scores\":{\"bleu\":%.2f,\"sentence_bleu\":%.2f},\"signatures\":{\"bleu\":\"fake\"},",
			   score, score);
}

/* Each artifact's files besides its card; the weights are a header that names no tensor. */
static int write_files(struct fs_dir *dir, enum job_kind kind, const struct buf *lines, struct err *err)
{
	if (kind != JOB_TRAIN)
		return fs_dir_write(dir, "hypotheses.jsonl", lines->data, lines->size, err);
	return fs_dir_write(dir, "losses.jsonl", lines->data, lines->size, err) < 0 ||
			       fs_dir_write(dir, "adapter_config.json", "{}", 2, err) < 0 ||
			       fs_dir_write(dir, "adapter_model.safetensors", "\2\0\0\0\0\0\0\0{}", 10, err) < 0
		       ? -1
		       : 0;
}

static int make(const struct job *job, size_t index, bool spoil, struct err *err)
{
	const struct job_output *output = &job->outputs[index];
	struct buf card = BUF_INIT, lines = BUF_INIT;
	struct fs_dir dir;
	struct err none = {0};
	struct event event = {.kind = EVENT_ARTIFACT};
	memcpy(event.key, output->key, sizeof event.key);
	/* As the real one: what an earlier attempt left whole is not made again. */
	if (artifact_look(output->dir, output->key, job->kind, ARTIFACT_SIZES, &none) == ARTIFACT_WHOLE) {
		event_send(&event);
		return 0;
	}
	if (job->kind == JOB_TRAIN)
		buf_adds(&lines, "{\"step\":1,\"loss\":2.5,\"learning_rate\":0.1}\n");
	else
		put_hypotheses(job, output, &card, &lines);
	buf_adds(&card, "\"arch\":\"fake\"");
	int result = fs_dir_begin(&dir, output->dir, err);
	if (result == 0)
		result = write_files(&dir, job->kind, &lines, err);
	if (result == 0 && spoil) {
		result = fs_dir_write(&dir, ARTIFACT_CARD, "{\"kind\":", 8, err);
		if (result == 0)
			result = fs_dir_commit(&dir, NULL, NULL, err);
	} else if (result == 0) {
		result = artifact_commit(&dir, output->key, job->kind, card.data, err);
	}
	if (result < 0)
		fs_dir_abandon(&dir);
	buf_release(&card);
	buf_release(&lines);
	if (result < 0)
		return -1;
	const char *log = getenv("FAKE_LOG");
	int fd = log ? open(log, O_WRONLY | O_CREAT | O_APPEND, 0666) : -1;
	if (fd >= 0) {
		dprintf(fd, "%s %s\n", job_kind_name(job->kind), output->key);
		close(fd);
	}
	event_send(&event);
	return 0;
}

static int complain(enum err_kind kind, const char *text)
{
	struct event event = {.kind = EVENT_ERROR, .error_kind = kind};
	snprintf(event.text, sizeof event.text, "%s", text);
	event_send(&event);
	fprintf(stderr, "fake-runner: about to fail\nfake-runner: %s\n", text);
	return kind == ERR_INPUT ? 2 : 1;
}

static void chatter(void)
{
	static char line[200000];
	memset(line, 'x', sizeof line);
	line[sizeof line - 1] = '\n';
	(void)!write(1, line, sizeof line);
	static const char odd[] =
		"\n{\"event\":\n\0\xff\n{}\n{\"event\":\"tomorrow\",\"new\":[1]}\nno newline, no \x1b[2J ";
	(void)!write(1, odd, sizeof odd - 1);
}

static int misbehave(const char *action)
{
	if (strcmp(action, "kill") == 0)
		raise(SIGKILL);
	if (strcmp(action, "refuse") == 0)
		return complain(ERR_INPUT, "train.txt:7: expected `table||text`");
	if (strcmp(action, "fail") == 0)
		return complain(ERR_SYSTEM, "something of the machine went wrong");
	if (strcmp(action, "mute") == 0)
		return 1;
	if (strcmp(action, "forget") == 0)
		return 0;
	if (strcmp(action, "full") == 0) {
		char text[128];
		snprintf(text, sizeof text, "cannot write adapter_model.safetensors: %s", strerror(ENOSPC));
		return complain(ERR_ROOM, text);
	}
	if (strcmp(action, "hang") == 0)
		signal(SIGTERM, SIG_IGN);
	else if (strcmp(action, "close") == 0)
		close(1);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	struct err err = {0};
	struct job job;
	if (argc != 2 || job_read(&job, argv[1], &err) < 0) {
		fprintf(stderr, "fake-runner: %s\n", argc == 2 ? err.text : "usage: fake-runner JOBFILE");
		return 2;
	}
	if (input_check_all(job.inputs, job.n_inputs, &err) < 0)
		return complain(err.kind, err.text);
	const char *dot = strstr(argv[1], ".json");
	while (dot && dot > argv[1] && dot[-1] >= '0' && dot[-1] <= '9')
		dot--;
	const char *action = choose(&job, dot ? (int)strtol(dot, NULL, 10) : 1);
	event_send(&(struct event){.kind = EVENT_START, .threads = 1, .text = "fake"});
	bool works = !action[0] || strcmp(action, "late") == 0 || strcmp(action, "spoil") == 0 ||
		     strcmp(action, "half") == 0 || strcmp(action, "chatter") == 0 || strcmp(action, "wait") == 0;
	if (!works)
		return misbehave(action);
	if (strcmp(action, "chatter") == 0)
		chatter();
	while (strcmp(action, "wait") == 0 && getenv("FAKE_GATE") && !fs_exists(getenv("FAKE_GATE")))
		pause_ms(5);
	long ms = getenv("FAKE_MS") ? strtol(getenv("FAKE_MS"), NULL, 10) : 0;
	for (size_t i = 0; i < job.n_outputs && job.kind != JOB_CHECK; i++) {
		for (long k = 1; k <= 10 && ms; k++) {
			pause_ms(ms / 10);
			if (job.kind == JOB_TRAIN)
				event_send(&(struct event){.kind = EVENT_LOSS,
							   .step = k,
							   .total = 10,
							   .loss = 4 - 0.2 * (double)k,
							   .tokens_per_second = 4200});
			else
				event_send(&(struct event){.kind = EVENT_PROGRESS,
							   .phase = "decode",
							   .done = k,
							   .total = 10,
							   .tokens_per_second = 1200});
		}
		if (input_check_all(job.inputs, job.n_inputs, &err) < 0 ||
		    make(&job, i, strcmp(action, "spoil") == 0, &err) < 0)
			return complain(err.kind, err.text);
		if (strcmp(action, "half") == 0)
			raise(SIGSEGV);
	}
	if (strcmp(action, "late") == 0)
		raise(SIGKILL);
	event_send(&(struct event){.kind = EVENT_DONE, .seconds = 0.01, .peak_rss_kb = 1234});
	job_release(&job);
	return 0;
}
