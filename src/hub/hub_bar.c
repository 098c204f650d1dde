/* hub_bar.c - progress of a fetch for people; the only hub*.c that prints.
 *
 * The speed is an exponential mean over about three seconds: quick enough to show a stall, slow enough to be read.
 * Files that take under a second leave one line each; a line is never longer than the terminal, since a wrapped one
 * could not be drawn over. */
#include "hub_bar.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "term/term.h"
#include "term/text.h"

#define SMOOTH_S 3.0
#define SAY_MS   10000 /* plain lines: one in so many milliseconds */
#define BAR_MIN  8
#define BAR_MAX  40

void hub_bar_init(struct hub_bar *bar, FILE *out)
{
	const char *disabled = getenv("HF_HUB_DISABLE_PROGRESS_BARS");
	bool off = disabled && (strcmp(disabled, "1") == 0 || strcasecmp(disabled, "true") == 0 ||
				strcasecmp(disabled, "yes") == 0 || strcasecmp(disabled, "on") == 0);
	*bar = (struct hub_bar){.out = out};
	bar->live = !off && term_live(fileno(out));
}

void hub_bar_size(char *to, size_t room, int64_t bytes)
{
	if (bytes < 1000)
		snprintf(to, room, "%" PRId64 " B", bytes);
	else if (bytes < 999950)
		snprintf(to, room, "%.1f kB", (double)bytes / 1e3);
	else if (bytes < 999950000)
		snprintf(to, room, "%.1f MB", (double)bytes / 1e6);
	else
		snprintf(to, room, "%.2f GB", (double)bytes / 1e9);
}

void hub_bar_line(char *to, size_t room, int columns, const struct hub_progress *p, double speed)
{
	char done[24], total[24], number[24], rate[32] = "", tail[160], bar[BAR_MAX + 3] = "";
	struct buf left = BUF_INIT;
	double part = p->total > 0 ? (double)p->done / (double)p->total : 1;
	hub_bar_size(done, sizeof done, p->done);
	hub_bar_size(total, sizeof total, p->total);
	if (speed > 0) {
		hub_bar_size(number, sizeof number, (int64_t)speed);
		snprintf(rate, sizeof rate, "  %s/s", number);
	}
	text_time_left(speed > 0 ? (double)(p->total - p->done) / speed : (double)NAN, &left);
	snprintf(tail, sizeof tail, " %3d%%  %s of %s%s  ETA %s", (int)(part * 100), done, total, rate, left.data);
	if ((int)(strlen(p->file) + strlen(tail)) > columns) /* a narrow terminal */
		snprintf(tail, sizeof tail, " %3d%%  ETA %s", (int)(part * 100), left.data);
	buf_release(&left);
	int space = columns - (int)strlen(p->file) - (int)strlen(tail) - 3;
	int width = space > BAR_MAX ? BAR_MAX : space;
	if (width >= BAR_MIN) {
		int full = (int)(part * width);
		memset(bar, '.', (size_t)width + 2);
		memset(bar + 1, '#', (size_t)full);
		bar[0] = '[';
		bar[width + 1] = ']';
	}
	snprintf(to, room, "%s%s%s%s", p->file, *bar ? " " : "", bar, tail);
	if ((int)strlen(to) > columns && columns >= 0)
		to[columns] = '\0';
}

static void clear_line(struct hub_bar *bar)
{
	if (bar->drawn)
		fputs(TERM_CLEAR_LINE, bar->out);
	bar->drawn = false;
}

static void measure(struct hub_bar *bar, const struct hub_progress *p, int64_t now)
{
	double seconds = (double)(now - bar->sample_ms) / 1e3;
	if (seconds <= 0 || p->done < bar->sample_bytes) { /* from the start again */
		bar->sample_bytes = p->done;
		return;
	}
	double speed = (double)(p->done - bar->sample_bytes) / seconds, keep = exp(-seconds / SMOOTH_S);
	bar->speed = bar->speed > 0 ? keep * bar->speed + (1 - keep) * speed : speed;
	bar->sample_ms = now;
	bar->sample_bytes = p->done;
}

static void say_end(struct hub_bar *bar, const struct hub_progress *p, int64_t now)
{
	char size[24], rate[24], resumed[64] = "";
	double seconds = (double)(now - bar->begun_ms) / 1e3;
	int64_t came = p->done - p->resumed;
	hub_bar_size(size, sizeof size, p->total);
	hub_bar_size(rate, sizeof rate, seconds > 0 ? (int64_t)((double)came / seconds) : 0);
	if (p->resumed > 0) {
		char from[24];
		hub_bar_size(from, sizeof from, p->resumed);
		snprintf(resumed, sizeof resumed, ", resumed at %s", from);
	}
	if (seconds >= 1)
		fprintf(bar->out, "fetched %s  %s in %.0f s (%s/s)%s\n", p->file, size, seconds, rate, resumed);
	else
		fprintf(bar->out, "fetched %s  %s%s\n", p->file, size, resumed);
}

void hub_bar_progress(void *ctx, const struct hub_progress *raw)
{
	struct hub_bar *bar = ctx;
	int64_t now = clock_ms();
	char line[512], name[256];
	struct hub_progress clean = *raw, *p = &clean;
	utf8_clean_into(name, sizeof name, raw->file, strlen(raw->file)); /* the server chose it */
	clean.file = name;
	if (p->state == HUB_BEGIN) {
		bar->begun_ms = bar->sample_ms = bar->said_ms = now;
		bar->sample_bytes = p->done;
		bar->speed = 0;
	}
	measure(bar, p, now);
	if (p->state == HUB_BEGIN)
		return; /* a small file is there before anybody could read of it */
	if (p->state == HUB_END || p->state == HUB_FAIL) {
		clear_line(bar);
		if (p->state == HUB_END)
			say_end(bar, p, now);
	} else if (bar->live) {
		int columns = term_columns(fileno(bar->out)) - 1; /* the last column makes some terminals wrap */
		hub_bar_line(line, sizeof line, columns < 500 ? columns : 500, p, bar->speed);
		fprintf(bar->out, "\r%s\033[K", line);
		bar->drawn = true;
	} else if (now - bar->said_ms >= SAY_MS) {
		hub_bar_line(line, sizeof line, (int)strlen(p->file) + 80, p, bar->speed);
		fprintf(bar->out, "%s\n", line);
		bar->said_ms = now;
	}
	fflush(bar->out);
}

void hub_bar_notice(void *ctx, const char *sentence)
{
	struct hub_bar *bar = ctx;
	clear_line(bar);
	term_say(bar->out, "sweep: %s", sentence);
	fflush(bar->out);
}
