/* hypotheses.c - see hypotheses.h. The last step of a decode job: texts, their scores, and the folder that the
 * scheduler records. */
#include "hypotheses.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/artifact.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "gemm.h"

/* Bytes of white space at the start of text. */
static size_t leading_space(const char *text, size_t n)
{
	size_t at = 0;
	while (at < n) {
		uint32_t c;
		size_t step = utf8_next(text + at, n - at, &c);
		if (!utf8_is_space(c))
			break;
		at += step;
	}
	return at;
}

char *hypotheses_clean(const char *text, size_t n, const char *echo)
{
	char *clean = mem_alloc(n + 1);
	size_t n_echo = strlen(echo), size = 0, end = 0;
	for (size_t i = 0; i < n;) {
		if (n_echo > 0 && n - i >= n_echo && memcmp(text + i, echo, n_echo) == 0) {
			i += n_echo;
			continue;
		}
		clean[size++] = text[i] == '\n' || text[i] == '\0' ? ' ' : text[i];
		i++;
	}
	size_t start = leading_space(clean, size);
	for (size_t i = start; i < size;) {
		size_t space = leading_space(clean + i, size - i);
		if (space == 0) {
			uint32_t c;
			space = utf8_next(clean + i, size - i, &c);
			end = i + space;
		}
		i += space;
	}
	size = end > start ? end - start : 0;
	memmove(clean, clean + start, size);
	clean[size] = '\0';
	return clean;
}

static void add_line(struct buf *out, size_t id, const struct hypotheses_row *row, const struct bleu_stats *stats)
{
	buf_printf(out, "{\"id\":%zu,\"text\":", id);
	json_format_string(row->text, strlen(row->text), out);
	buf_adds(out, ",\"score\":");
	json_format_double((double)row->score, out);
	buf_printf(out, ",\"tokens\":%zu", row->n_tokens);
	if (stats) {
		buf_adds(out, ",\"sentence_bleu\":");
		json_format_double(bleu_score(stats, BLEU_SMOOTH_EXP, true).score, out);
	}
	buf_adds(out, "}\n");
}

static void add_scores(struct buf *out, const struct bleu *bleu, const struct bleu_stats *stats, size_t n)
{
	size_t references = bleu_references(bleu);
	buf_adds(out, ",\"scores\":{\"bleu\":");
	json_format_double(bleu_corpus(stats, n), out);
	buf_adds(out, ",\"sentence_bleu\":");
	json_format_double(bleu_mean_sentence(stats, n), out);
	buf_adds(out, "},\"signatures\":{\"bleu\":\"");
	bleu_signature(references, BLEU_SMOOTH_EXP, false, out);
	buf_adds(out, "\",\"sentence_bleu\":\"");
	bleu_signature(references, BLEU_SMOOTH_EXP, true, out);
	buf_adds(out, "\"}");
}

int hypotheses_write(const struct job_output *output, const char *split, const struct hypotheses_row *rows, size_t n,
		     const struct bleu *bleu, struct err *err)
{
	struct bleu_stats *stats = bleu ? mem_array(n, sizeof *stats) : NULL;
	struct buf lines = BUF_INIT, about = BUF_INIT;
	buf_reserve(&lines, 1);
	for (size_t i = 0; i < n; i++) {
		if (bleu)
			bleu_segment(bleu, i, rows[i].text, strlen(rows[i].text), &stats[i]);
		add_line(&lines, i, &rows[i], bleu ? &stats[i] : NULL);
	}
	buf_adds(&about, "\"split\":");
	json_format_string(split, strlen(split), &about);
	buf_printf(&about, ",\"count\":%zu", n);
	if (bleu)
		add_scores(&about, bleu, stats, n);
	buf_adds(&about, ",\"decode\":");
	params_key(&output->params, PARAM_STAGE_DECODE, &about);
	buf_printf(&about, ",\"arch\":\"%s\"", gemm_arch());

	struct fs_dir dir;
	int result = fs_dir_begin(&dir, output->dir, err);
	if (result == 0 && (fs_dir_write(&dir, "hypotheses.jsonl", lines.data, lines.size, err) < 0 ||
			    artifact_commit(&dir, output->key, JOB_DECODE, about.data, err) < 0)) {
		fs_dir_abandon(&dir);
		result = -1;
	}
	buf_release(&lines);
	buf_release(&about);
	free(stats);
	return result;
}
