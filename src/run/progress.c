/* progress.c - the live display and the plain lines of `sweep run`; see progress.h.
 *
 * A frame is a few lines at the bottom of the screen. Drawing goes back to its first line, writes what has finished
 * since (those lines scroll up and stay), writes the new frame over the old one and clears the rest: one write, no
 * flicker, no second screen, and what stays in the terminal afterwards is a readable log. A terminal made narrower
 * wraps the old frame, so the way back is computed from the widths drawn and the width now.
 *
 * The time left comes from what jobs of each kind have taken for their cost so far; before the first of a kind is done,
 * the other kind's pace stands in.
 *
 * The cursor is hidden while a frame stands, and shown again on every way out: the end, exit(), Ctrl-Z. */
#include "progress.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "term/term.h"
#include "term/text.h"

#define REDRAW_MS   100
#define MAX_ROWS    200
#define TITLE_MAX   60
#define BAR_CELLS   10
#define FOLLOW_S    5.0 /* how fast the time left follows what is known; faster near the end */
#define SHOW_CURSOR "\033[?25h"
#define HIDE_CURSOR "\033[?25l"

enum style { PLAIN, BOLD, DIM, GREEN, RED, YELLOW, CYAN };
static const char *const style_codes[] = {"", PAINT_BOLD, PAINT_DIM, PAINT_GREEN, PAINT_RED, PAINT_YELLOW, PAINT_CYAN};

/* What a worker does now. */
struct activity {
	bool busy;
	size_t job;
	int attempt;
	int64_t since;
	int64_t working; /* since when it counts: loading tells nothing of its pace; 0: not yet */
	char phase[16];
	int64_t done, total;
	double loss, tokens_per_second;
};

struct progress {
	struct sigaction suspend_before; /* of SIGTSTP */
	struct progress_options o;
	struct activity *workers;
	size_t over, failed;        /* jobs that came to an end, however */
	double cost;                /* of all jobs */
	double left[3];             /* by kind of job: cost of those that are not over */
	double seconds[3], paid[3]; /* by kind of job: worker seconds and cost of those done */
	double shown;               /* the bar never goes back */
	double end;                 /* when everything will be done, as it was said last, milliseconds; NaN: not said */
	int64_t said;               /* ... then */
	int title_width;            /* of the longest title, within reason: where figures begin in lines that stay */
	double *job_loss;           /* [n_jobs] last loss of a training, NaN: none; for its line */
	int64_t drawn_at;
	int widths[MAX_ROWS]; /* of the frame on the screen */
	size_t rows;          /* 0: no frame on the screen */
	struct buf above;     /* lines to write above the next frame */
	struct buf last;      /* the frame on the screen, to write only what changed */
};

/* ---- a line that knows its width ---- */

struct line {
	struct buf *out;
	int width, room;
	bool colour;
};

/* Appends text, cleaned, cut where the line is full. */
static void line_text(struct line *l, enum style style, const char *text)
{
	struct buf clean = BUF_INIT;
	size_t width;
	utf8_clean(text, strlen(text), &clean);
	size_t n = text_fit(buf_text(&clean), l->room > l->width ? (size_t)(l->room - l->width) : 0, &width);
	bool styled = l->colour && style != PLAIN && n;
	if (styled)
		buf_adds(l->out, style_codes[style]);
	buf_add(l->out, buf_text(&clean), n);
	if (styled)
		buf_adds(l->out, PAINT_PLAIN);
	l->width += (int)width;
	buf_release(&clean);
}

static void line_printf(struct line *l, enum style style, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void line_printf(struct line *l, enum style style, const char *format, ...)
{
	struct buf text = BUF_INIT;
	va_list ap;
	va_start(ap, format);
	buf_vprintf(&text, format, ap);
	va_end(ap);
	line_text(l, style, buf_text(&text));
	buf_release(&text);
}

static void line_pad(struct line *l, int to)
{
	while (l->width < to && l->width < l->room) {
		buf_addc(l->out, ' ');
		l->width++;
	}
}

/* cells columns, share of them done, in half steps where the font can. */
static void line_bar(struct line *l, bool utf8, double share, int cells)
{
	share = share > 0 ? share < 1 ? share : 1 : 0;
	int halves = (int)(share * 2 * cells), full = halves / 2;
	struct buf done = BUF_INIT, rest = BUF_INIT;
	for (int i = 0; i < full; i++)
		buf_adds(&done, utf8 ? "━" : "=");
	if (halves % 2)
		buf_adds(&done, utf8 ? "╸" : "-");
	for (int i = full + halves % 2; i < cells; i++)
		buf_adds(&rest, utf8 ? "─" : ".");
	line_text(l, GREEN, buf_text(&done));
	line_text(l, DIM, buf_text(&rest));
	buf_release(&done);
	buf_release(&rest);
}

/* ---- figures ---- */

static void put_rate(double rate, struct buf *out)
{
	if (rate >= 99950)
		buf_printf(out, "%.0fk", rate / 1000);
	else if (rate >= 999.5)
		buf_printf(out, "%.1fk", rate / 1000);
	else
		buf_printf(out, "%.0f", rate);
}

static double share_done(const struct activity *a)
{
	if (!a->busy || a->total <= 0)
		return 0;
	double share = (double)a->done / (double)a->total;
	return share < 1 ? share : 1;
}

/* Cost of what is over and of the parts of running jobs. */
static double cost_done(const struct progress *p)
{
	double done = p->cost - p->left[0] - p->left[1] - p->left[2];
	for (int i = 0; i < p->o.workers; i++)
		if (p->workers[i].busy)
			done += share_done(&p->workers[i]) * p->o.plan->jobs[p->workers[i].job].cost;
	return done;
}

/* Seconds until everything is done as the paces so far have it, or NaN while nobody can know. */
static double guess_left(struct progress *p, int64_t now)
{
	double seconds[3], paid[3], all_seconds = 0, all_paid = 0;
	memcpy(seconds, p->seconds, sizeof seconds);
	memcpy(paid, p->paid, sizeof paid);
	double left[3] = {0};
	for (int i = 0; i < p->o.workers; i++) {
		struct activity *a = &p->workers[i];
		double share = share_done(a), cost = a->busy ? p->o.plan->jobs[a->job].cost : 0;
		if (a->busy && a->total > 0 && !a->working)
			a->working = now;
		if (share < 0.02 || now <= a->working)
			continue;
		enum job_kind kind = p->o.plan->jobs[a->job].job.kind;
		seconds[kind] += (double)(now - a->working) / 1000;
		paid[kind] += share * cost;
		left[kind] -= share * cost;
	}
	for (int k = 0; k < 3; k++) {
		all_seconds += seconds[k];
		all_paid += paid[k];
		left[k] += p->left[k];
	}
	if (all_seconds < 1 || all_paid <= 0)
		return (double)NAN;
	double work = 0;
	for (int k = 0; k < 3; k++)
		work += left[k] * (paid[k] > 0 ? seconds[k] / paid[k] : all_seconds / all_paid);
	size_t jobs = p->o.plan->n_jobs - p->over;
	size_t workers = jobs < (size_t)p->o.workers ? jobs : (size_t)p->o.workers;
	return workers ? work / (double)workers : 0;
}

/* What is said of it: the guess, which jumps with each new kind of job, followed within some seconds. */
static double time_left(struct progress *p, int64_t now)
{
	double guess = guess_left(p, now), passed = (double)(now - p->said) / 1000;
	if (isnan(guess))
		return guess;
	double end = (double)now + 1000 * guess, follow = fmin(FOLLOW_S, guess / 4);
	p->end = isnan(p->end) || follow <= 0 ? end : end + (p->end - end) * exp(-passed / follow);
	p->said = now;
	return p->end > (double)now ? (p->end - (double)now) / 1000 : 0;
}

/* ---- the frame ---- */

static void frame_bar(struct progress *p, struct line *l, int64_t now)
{
	const struct tally *t = p->o.tally;
	double share = p->cost > 0 ? cost_done(p) / p->cost : 0;
	p->shown = share > p->shown ? share : p->shown;
	double left = time_left(p, now);
	struct buf text = BUF_INIT;
	buf_printf(&text, " %zu/%zu runs, %d%%", t->complete, p->o.plan->n_runs, (int)(100 * p->shown));
	if (p->failed)
		buf_printf(&text, ", %zu failed", p->failed);
	if (!isnan(left) && p->over < p->o.plan->n_jobs) {
		buf_adds(&text, ", ");
		text_time_left(left, &text);
		buf_adds(&text, " left");
	}
	int name_room = l->room / 4;
	struct line name = {.out = l->out, .room = name_room < 8 ? 8 : name_room, .colour = l->colour};
	line_text(&name, BOLD, p->o.name);
	l->width = name.width;
	line_text(l, PLAIN, " ");
	int cells = l->room - l->width - (int)text.size;
	if (cells > 4)
		line_bar(l, p->o.utf8, p->shown, cells);
	line_text(l, PLAIN, text.data);
	buf_release(&text);
}

/* How far a worker is, in as many words as there is room for: the count always, then the loss, then the speed. */
static void put_activity(const struct activity *a, const struct plan_job *job, int room, struct buf *out)
{
	char count[64], loss[32] = "", speed[32] = "";
	bool train = job->job.kind == JOB_TRAIN;
	const char *before = train ? "step " : "";
	/* each search of a job makes a text of each table */
	const char *after = train ? "" : job->n_searches > 1 ? " texts" : " tables";
	if (a->total > 0)
		snprintf(count, sizeof count, "%lld/%lld", (long long)a->done, (long long)a->total);
	else
		snprintf(count, sizeof count, "%s", a->phase[0] ? a->phase : "starting");
	if (a->total <= 0)
		before = after = "";
	if (!isnan(a->loss) && a->loss > 0)
		snprintf(loss, sizeof loss, ", loss %.3f", a->loss);
	if (a->tokens_per_second > 0) {
		struct buf rate = BUF_INIT;
		put_rate(a->tokens_per_second, &rate);
		snprintf(speed, sizeof speed, ", %s tok/s", rate.data);
		buf_release(&rate);
	}
	int left = room - (int)(strlen(count) + strlen(loss) + strlen(speed));
	bool words = left >= (int)(strlen(before) + strlen(after));
	buf_printf(out, "%s%s%s", words ? before : "", count, words ? after : "");
	if ((int)(out->size + strlen(loss)) <= room)
		buf_adds(out, loss);
	if ((int)(out->size + strlen(speed)) <= room)
		buf_adds(out, speed);
}

static void frame_worker(struct progress *p, struct line *l, int worker, int title_room)
{
	const struct activity *a = &p->workers[worker];
	line_printf(l, CYAN, "%3d ", worker + 1);
	if (!a->busy) {
		line_text(l, DIM, "idle");
		return;
	}
	const struct plan_job *job = &p->o.plan->jobs[a->job];
	struct buf text = BUF_INIT;
	text_cell(job->title, (size_t)title_room, TEXT_LEFT, &text);
	buf_addc(&text, ' ');
	line_text(l, PLAIN, text.data);
	buf_clear(&text);
	if (l->room - l->width >= BAR_CELLS + 1 + 36) {
		line_bar(l, p->o.utf8, share_done(a), BAR_CELLS);
		line_text(l, PLAIN, " ");
	}
	put_activity(a, job, l->room - l->width, &text);
	if (a->attempt > 1)
		buf_printf(&text, ", attempt %d", a->attempt);
	line_text(l, DIM, text.data);
	buf_release(&text);
}

static void frame_best(struct progress *p, struct line *l)
{
	const struct tally *t = p->o.tally;
	if (t->best == PLAN_NONE) {
		line_text(l, DIM, "no scores yet");
		return;
	}
	struct buf text = BUF_INIT;
	const struct plan_run *best = &p->o.plan->runs[t->best];
	tally_describe(best->label, &best->params, t->varies, &text);
	line_text(l, PLAIN, "best ");
	line_printf(l, BOLD, "%s %.2f", p->o.metric, t->best_score);
	line_printf(l, PLAIN, ": %s", text.data);
	buf_release(&text);
}

size_t progress_frame(struct progress *p, int64_t now, int columns, int rows, struct buf *out, int *widths)
{
	size_t n = 0;
	int room = columns > 12 ? columns - 1 : 11; /* the last column is left free: terminals differ there */
	struct line l = {.out = out, .room = room, .colour = p->o.colour};
	frame_bar(p, &l, now);
	widths[n++] = l.width;
	int title_room = 8;
	for (int i = 0; i < p->o.workers; i++) {
		int width = p->workers[i].busy ? (int)text_width(p->o.plan->jobs[p->workers[i].job].title) : 0;
		title_room = width > title_room ? width : title_room;
	}
	int most = room - 4 - 1 - 20; /* the worker's number before it, how far it is behind it */
	most = most > 8 ? most : 8;
	title_room = title_room > most ? most : title_room;
	int fit = rows > 5 ? rows - 3 : 2;
	fit = fit > MAX_ROWS - 4 ? MAX_ROWS - 4 : fit;
	int busy = 0, shown = 0;
	for (int i = 0; i < p->o.workers; i++)
		busy += p->workers[i].busy;
	bool all = p->o.workers <= fit; /* else only those that work, as far as there is room */
	for (int i = 0; i < p->o.workers && shown < (all ? fit : fit - 1); i++) {
		if (!all && !p->workers[i].busy)
			continue;
		buf_addc(out, '\n');
		l.width = 0;
		frame_worker(p, &l, i, title_room);
		widths[n++] = l.width;
		shown++;
	}
	if (!all && busy > shown) {
		buf_addc(out, '\n');
		l.width = 0;
		line_printf(&l, DIM, "    and %d more", busy - shown);
		widths[n++] = l.width;
	}
	buf_addc(out, '\n');
	l.width = 0;
	frame_best(p, &l);
	widths[n++] = l.width;
	return n;
}

/* ---- drawing ---- */

static void write_all(int fd, const char *bytes, size_t n)
{
	while (n) {
		ssize_t done = write(fd, bytes, n);
		if (done <= 0)
			return; /* the terminal is gone; the work goes on */
		bytes += done;
		n -= (size_t)done;
	}
}

/* Back to the first line of the frame on the screen, which a narrower terminal may have wrapped. */
static void put_way_back(const struct progress *p, int columns, struct buf *out)
{
	int lines = 0;
	for (size_t i = 0; i < p->rows; i++)
		lines += p->widths[i] > columns ? (p->widths[i] + columns - 1) / columns : 1;
	buf_adds(out, "\r");
	if (lines > 1)
		buf_printf(out, "\033[%dA", lines - 1);
}

/* Each line of text, then what is left of the screen's line cleared. */
static void put_lines(const char *text, struct buf *out)
{
	for (; *text; text++) {
		if (*text == '\n')
			buf_adds(out, "\033[K");
		buf_addc(out, *text);
	}
	buf_adds(out, "\033[K");
}

static void draw(struct progress *p, int64_t now)
{
	int columns = term_columns(p->o.fd), rows = term_rows(p->o.fd);
	struct buf frame = BUF_INIT, out = BUF_INIT;
	int widths[MAX_ROWS];
	size_t n = progress_frame(p, now, columns, rows, &frame, widths);
	p->drawn_at = now;
	if (p->above.size || !p->rows || p->last.size != frame.size || memcmp(p->last.data, frame.data, frame.size)) {
		buf_adds(&out, "\033[?2026h" HIDE_CURSOR); /* synchronised, where the terminal knows that */
		put_way_back(p, columns, &out);
		if (p->above.size)
			put_lines(p->above.data, &out);
		put_lines(frame.data, &out);
		buf_adds(&out, "\033[J\033[?2026l");
		write_all(p->o.fd, out.data, out.size);
		memcpy(p->widths, widths, n * sizeof *widths);
		p->rows = n;
		buf_clear(&p->above);
		buf_clear(&p->last);
		buf_add(&p->last, frame.data, frame.size);
	}
	buf_release(&frame);
	buf_release(&out);
}

/* Takes the frame off the screen; what was to come above it is written. */
static void erase(struct progress *p)
{
	struct buf out = BUF_INIT;
	if (p->rows)
		put_way_back(p, term_columns(p->o.fd), &out);
	if (p->rows)
		buf_adds(&out, "\033[J");
	buf_add(&out, p->above.data, p->above.size);
	buf_adds(&out, SHOW_CURSOR);
	write_all(p->o.fd, out.data, out.size);
	buf_release(&out);
	buf_clear(&p->above);
	p->rows = 0;
}

void progress_tick(struct progress *p, int64_t now)
{
	if (p->o.live && (now - p->drawn_at >= REDRAW_MS || !p->drawn_at))
		draw(p, now);
}

void progress_line(struct progress *p, const char *format, ...)
{
	struct buf text = BUF_INIT, clean = BUF_INIT;
	va_list ap;
	va_start(ap, format);
	buf_vprintf(&text, format, ap);
	va_end(ap);
	text_clean(buf_text(&text), text.size, &clean);
	buf_clear(&text);
	text_wrap(buf_text(&clean), 0, 2, (size_t)term_wrap_at(p->o.fd), &text);
	buf_addc(&text, '\n');
	if (p->o.live)
		buf_add(&p->above, text.data, text.size);
	else
		write_all(p->o.fd, text.data, text.size);
	buf_release(&text);
	buf_release(&clean);
}

/* ---- the terminal's own signals ---- */

static void show_cursor(void)
{
	(void)!write(STDERR_FILENO, SHOW_CURSOR, sizeof SHOW_CURSOR - 1);
}

/* Ctrl-Z: the shell gets its cursor back; the frame after `fg` hides it again. Async-signal-safe. */
static void on_suspend(int number)
{
	int saved = errno;
	show_cursor();
	struct sigaction plain = {.sa_handler = SIG_DFL}, ours;
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, number);
	sigaction(number, &plain, &ours);
	raise(number);
	sigprocmask(SIG_UNBLOCK, &set, NULL); /* stops here until SIGCONT */
	sigaction(number, &ours, NULL);
	errno = saved;
}

struct progress *progress_new(const struct progress_options *options)
{
	static bool registered;
	struct progress *p = mem_zero(1, sizeof *p);
	p->o = *options;
	p->end = (double)NAN;
	p->workers = mem_zero((size_t)options->workers, sizeof *p->workers);
	p->job_loss = mem_array(options->plan->n_jobs, sizeof *p->job_loss);
	for (size_t i = 0; i < options->plan->n_jobs; i++) {
		const struct plan_job *job = &options->plan->jobs[i];
		p->cost += job->cost;
		p->left[job->job.kind] += job->cost;
		p->job_loss[i] = (double)NAN;
		int width = (int)text_width(job->title);
		if (width > p->title_width && width <= TITLE_MAX)
			p->title_width = width;
	}
	if (options->live) {
		struct sigaction suspend = {.sa_handler = on_suspend, .sa_flags = SA_RESTART};
		sigaction(SIGTSTP, NULL, &p->suspend_before);
		if (p->suspend_before.sa_handler != SIG_IGN) /* a shell without job control */
			sigaction(SIGTSTP, &suspend, NULL);
		if (!registered && options->fd == STDERR_FILENO)
			atexit(show_cursor);
		registered = true;
	}
	return p;
}

void progress_free(struct progress *p)
{
	if (!p)
		return;
	if (p->o.live) {
		erase(p);
		sigaction(SIGTSTP, &p->suspend_before, NULL);
	}
	free(p->workers);
	free(p->job_loss);
	buf_release(&p->above);
	buf_release(&p->last);
	free(p);
}

/* ---- what happens ---- */

void progress_started(struct progress *p, size_t job, int worker, int attempt, int64_t now)
{
	p->workers[worker] =
		(struct activity){.busy = true, .job = job, .attempt = attempt, .since = now, .loss = (double)NAN};
}

void progress_event(struct progress *p, size_t job, int worker, const struct event *e)
{
	struct activity *a = &p->workers[worker];
	if (e->kind == EVENT_LOSS) {
		a->done = e->step;
		a->total = e->total;
		a->loss = e->loss;
		p->job_loss[job] = e->loss;
	} else if (e->kind == EVENT_PROGRESS) {
		/* Loading counts nothing of the work. */
		bool load = strcmp(e->phase, "load") == 0;
		snprintf(a->phase, sizeof a->phase, "%s", load ? "loading" : e->phase);
		a->done = load ? 0 : e->done;
		a->total = load ? 0 : e->total;
	} else {
		return;
	}
	if (e->tokens_per_second > 0)
		a->tokens_per_second = e->tokens_per_second;
}

/* "dev_bleu 41.27": the best of the job's outputs; of a training its last loss. */
static void put_scores(const struct progress *p, size_t job, struct buf *out)
{
	const struct plan_job *j = &p->o.plan->jobs[job];
	double best = (double)NAN;
	for (size_t i = 0; i < j->n_artifacts; i++) {
		double score = tally_score(p->o.tally, j->artifacts[i]);
		if (isnan(best) || (p->o.tally->spec->maximize ? score > best : score < best))
			best = score;
	}
	if (!isnan(best))
		buf_printf(out, "%s %.2f", p->o.metric, best);
	else if (!isnan(p->job_loss[job]))
		buf_printf(out, "loss %.3f", p->job_loss[job]);
}

static void say_ended(struct progress *p, size_t job, enum attempt_outcome outcome, const char *reason, double seconds)
{
	static const char *const words[] = {"done", "failed", "retry", "stopped"};
	static const char *const marks[] = {"✓", "✗", "↻", "■"};
	static const enum style styles[] = {GREEN, RED, YELLOW, YELLOW};
	struct buf text = BUF_INIT, details = BUF_INIT;
	struct line l = {.out = &text, .room = 100000, .colour = p->o.colour};
	int digits = snprintf(NULL, 0, "%zu", p->o.plan->n_jobs);
	if (p->o.live)
		line_printf(&l, styles[outcome], "%s ", p->o.utf8 ? marks[outcome] : words[outcome]);
	else
		line_printf(&l, PLAIN, "[%*zu/%zu] %-7s ", digits, p->over, p->o.plan->n_jobs, words[outcome]);
	int column = l.width;
	line_text(&l, PLAIN, p->o.plan->jobs[job].title);
	if (outcome == ATTEMPT_DONE) {
		line_pad(&l, column + p->title_width);
		text_duration(seconds, &details);
		line_printf(&l, DIM, " %7s  ", details.data);
		buf_clear(&details);
		put_scores(p, job, &details);
		line_text(&l, PLAIN, buf_text(&details));
	} else {
		line_printf(&l, PLAIN, ": %s", reason);
	}
	while (text.size && text.data[text.size - 1] == ' ')
		text.data[--text.size] = '\0';
	progress_line(p, "%s", text.data);
	buf_release(&text);
	buf_release(&details);
}

void progress_ended(struct progress *p, size_t job, int worker, enum attempt_outcome outcome, const char *reason,
		    int64_t now)
{
	struct activity *a = &p->workers[worker];
	const struct plan_job *j = &p->o.plan->jobs[job];
	double seconds = (double)(now - a->since) / 1000;
	a->busy = false;
	if (outcome == ATTEMPT_DONE || outcome == ATTEMPT_FAILED) {
		p->over++;
		p->left[j->job.kind] -= j->cost;
	}
	p->failed += outcome == ATTEMPT_FAILED;
	if (outcome == ATTEMPT_DONE) {
		p->seconds[j->job.kind] += seconds;
		p->paid[j->job.kind] += j->cost;
	}
	if (!p->o.quiet || outcome == ATTEMPT_FAILED)
		say_ended(p, job, outcome, reason, seconds);
}

void progress_skipped(struct progress *p, size_t job, size_t because)
{
	const struct plan_job *j = &p->o.plan->jobs[job];
	p->over++;
	p->left[j->job.kind] -= j->cost;
	if (p->o.quiet)
		return;
	int digits = snprintf(NULL, 0, "%zu", p->o.plan->n_jobs);
	char *place =
		p->o.live ? mem_strdup("-") : mem_printf("[%*zu/%zu] skipped", digits, p->over, p->o.plan->n_jobs);
	progress_line(p, "%s %s: it needs `%s`, which failed", place, j->title, p->o.plan->jobs[because].title);
	free(place);
}
