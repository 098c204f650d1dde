/* bleu.c - n-gram counting and the score; see bleu.h and docs/REFERENCE.md, 6.2. The tokens are bleu_tokenize.c's.
 *
 * Words of all references get numbers. A segment's references become one hash table from an n-gram of numbers to its
 * largest count in any one reference. To score a text is then one look-up an n-gram: the k-th occurrence is correct
 * when k is at most that count, which adds up to sacrebleu's clipped sum. A word that no reference has cannot be part
 * of a correct n-gram, so that scoring changes nothing and threads need no lock. */
#include "bleu.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

/* An n-gram: word numbers from 1, 0 behind its end. */
struct gram {
	uint32_t word[BLEU_ORDER];
	uint32_t max;        /* largest count in any reference; 0: an empty slot */
	uint32_t count, ref; /* while building: the count in reference number ref */
};

struct segment {
	struct gram *grams; /* open addressing */
	size_t mask;
	int64_t *ref_lens;
	size_t n_refs;
};

struct word {
	size_t text;              /* offset into bleu->text */
	uint32_t n, hash, number; /* number 0: an empty slot */
};

struct bleu {
	struct word *words; /* open addressing */
	size_t words_mask;
	uint32_t n_words;
	struct buf text;
	struct segment *segments;
	size_t n, room;
};

struct bleu *bleu_new(void)
{
	struct bleu *bleu = mem_zero(1, sizeof *bleu);
	bleu->words_mask = 1023;
	bleu->words = mem_zero(bleu->words_mask + 1, sizeof *bleu->words);
	return bleu;
}

void bleu_free(struct bleu *bleu)
{
	if (!bleu)
		return;
	for (size_t i = 0; i < bleu->n; i++) {
		free(bleu->segments[i].grams);
		free(bleu->segments[i].ref_lens);
	}
	free(bleu->segments);
	free(bleu->words);
	buf_release(&bleu->text);
	free(bleu);
}

size_t bleu_references(const struct bleu *bleu)
{
	for (size_t i = 1; i < bleu->n; i++)
		if (bleu->segments[i].n_refs != bleu->segments[0].n_refs)
			return 0;
	return bleu->n ? bleu->segments[0].n_refs : 0;
}

static uint32_t hash_word(const char *text, size_t n)
{
	uint32_t h = 2166136261u;
	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)text[i]) * 16777619u;
	return h ^ h >> 15;
}

static struct word *word_slot(const struct bleu *bleu, uint32_t hash, const char *text, size_t n)
{
	for (size_t i = hash & bleu->words_mask;; i = (i + 1) & bleu->words_mask) {
		struct word *w = &bleu->words[i];
		if (!w->number || (w->hash == hash && w->n == n && memcmp(bleu->text.data + w->text, text, n) == 0))
			return w;
	}
}

static void words_grow(struct bleu *bleu)
{
	struct word *old = bleu->words;
	size_t n = bleu->words_mask + 1;
	bleu->words_mask = 2 * n - 1;
	bleu->words = mem_zero(2 * n, sizeof *bleu->words);
	for (size_t i = 0; i < n; i++)
		if (old[i].number)
			*word_slot(bleu, old[i].hash, bleu->text.data + old[i].text, old[i].n) = old[i];
	free(old);
}

static uint32_t word_number(struct bleu *bleu, const char *text, size_t n)
{
	uint32_t hash = hash_word(text, n);
	struct word *w = word_slot(bleu, hash, text, n);
	if (w->number)
		return w->number;
	*w = (struct word){bleu->text.size, (uint32_t)n, hash, ++bleu->n_words};
	buf_add(&bleu->text, text, n);
	uint32_t number = w->number;
	if (2 * (size_t)bleu->n_words > bleu->words_mask)
		words_grow(bleu);
	return number;
}

/* A text's words as numbers, 0 for one that no reference has. */
struct numbers {
	uint32_t *word;
	size_t n, room;
};

/* Numbers the words of a tokenised text; new words are added when `learn` is the table itself, else NULL. */
static void number_words(const struct bleu *bleu, struct bleu *learn, const struct buf *tokens, struct numbers *out)
{
	for (size_t at = 0; at < tokens->size;) {
		const char *word = tokens->data + at, *end = memchr(word, ' ', tokens->size - at);
		size_t n = end ? (size_t)(end - word) : tokens->size - at;
		MEM_PUSH_ROOM(out->word, out->n, out->room);
		out->word[out->n++] =
			learn ? word_number(learn, word, n) : word_slot(bleu, hash_word(word, n), word, n)->number;
		at += n + 1;
	}
}

static struct gram *gram_slot(const struct segment *s, const uint32_t word[BLEU_ORDER])
{
	uint64_t a = (uint64_t)word[0] << 32 | word[1], b = (uint64_t)word[2] << 32 | word[3];
	uint64_t h = (a * 0x9E3779B97F4A7C15u) ^ (b * 0xC2B2AE3D27D4EB4Fu + (a >> 29));
	h = (h ^ h >> 32) * 0xD6E8FEB86659FD93u;
	for (size_t i = (size_t)(h >> 32) & s->mask;; i = (i + 1) & s->mask) {
		struct gram *g = &s->grams[i];
		if (!g->max || memcmp(g->word, word, sizeof g->word) == 0)
			return g;
	}
}

/* Counts all n-grams of reference number `ref` into the segment's table. */
static void count_reference(struct segment *s, const uint32_t *words, size_t n, uint32_t ref)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t word[BLEU_ORDER] = {0};
		for (size_t k = 0; k < BLEU_ORDER && i + k < n; k++) {
			word[k] = words[i + k];
			struct gram *g = gram_slot(s, word);
			if (!g->max)
				memcpy(g->word, word, sizeof word);
			if (!g->max || g->ref != ref) {
				g->ref = ref;
				g->count = 0;
			}
			if (++g->count > g->max)
				g->max = g->count;
		}
	}
}

void bleu_add(struct bleu *bleu, const char *const *references, size_t n)
{
	MEM_PUSH_ROOM(bleu->segments, bleu->n, bleu->room);
	struct segment *s = &bleu->segments[bleu->n++];
	*s = (struct segment){.ref_lens = mem_array(n, sizeof *s->ref_lens), .n_refs = n};
	struct numbers words = {0};
	struct buf tokens = BUF_INIT;
	for (size_t i = 0; i < n; i++) {
		size_t before = words.n;
		buf_clear(&tokens);
		bleu_tokenize(references[i], strlen(references[i]), &tokens);
		number_words(bleu, bleu, &tokens, &words);
		s->ref_lens[i] = (int64_t)(words.n - before);
	}
	size_t slots = 8;
	while (slots < 2 * BLEU_ORDER * words.n)
		slots *= 2;
	s->grams = mem_zero(slots, sizeof *s->grams);
	s->mask = slots - 1;
	const uint32_t *next = words.word;
	for (size_t i = 0; i < n; i++) {
		count_reference(s, next, (size_t)s->ref_lens[i], (uint32_t)i);
		next += s->ref_lens[i];
	}
	free(words.word);
	buf_release(&tokens);
}

static int64_t closest_length(const struct segment *s, int64_t n)
{
	int64_t best = s->n_refs ? s->ref_lens[0] : 0;
	for (size_t i = 1; i < s->n_refs; i++) {
		int64_t here = llabs(s->ref_lens[i] - n), there = llabs(best - n);
		if (here < there || (here == there && s->ref_lens[i] < best))
			best = s->ref_lens[i];
	}
	return best;
}

void bleu_segment(const struct bleu *bleu, size_t segment, const char *hypothesis, size_t n, struct bleu_stats *stats)
{
	const struct segment *s = &bleu->segments[segment];
	struct numbers words = {0};
	struct buf tokens = BUF_INIT;
	bleu_tokenize(hypothesis, n, &tokens);
	number_words(bleu, NULL, &tokens, &words);
	*stats = (struct bleu_stats){.hyp_len = (int64_t)words.n};
	stats->ref_len = closest_length(s, stats->hyp_len);
	uint32_t *seen = mem_zero(s->mask + 1, sizeof *seen);
	for (size_t i = 0; i < words.n; i++) {
		uint32_t word[BLEU_ORDER] = {0};
		for (size_t k = 0; k < BLEU_ORDER && i + k < words.n; k++)
			stats->total[k]++;
		for (size_t k = 0; k < BLEU_ORDER && i + k < words.n && words.word[i + k]; k++) {
			word[k] = words.word[i + k];
			const struct gram *g = gram_slot(s, word);
			if (!g->max)
				break; /* no longer n-gram that starts here can be there */
			stats->correct[k] += ++seen[g - s->grams] <= g->max;
		}
	}
	free(seen);
	free(words.word);
	buf_release(&tokens);
}

void bleu_sum(struct bleu_stats *sum, const struct bleu_stats *one)
{
	sum->hyp_len += one->hyp_len;
	sum->ref_len += one->ref_len;
	for (int k = 0; k < BLEU_ORDER; k++) {
		sum->correct[k] += one->correct[k];
		sum->total[k] += one->total[k];
	}
}

/* The order of the floating-point operations is sacrebleu's: the results are equal, not close. */
struct bleu_score bleu_score(const struct bleu_stats *stats, enum bleu_smooth smooth, bool effective_order)
{
	struct bleu_score s = {.brevity_penalty = 1, .stats = *stats};
	double hyp = (double)stats->hyp_len, ref = (double)stats->ref_len, halved = 1, logs = 0;
	if (stats->hyp_len < stats->ref_len)
		s.brevity_penalty = stats->hyp_len > 0 ? exp(1 - ref / hyp) : 0;
	bool any = false;
	for (int k = 0; k < BLEU_ORDER; k++)
		any |= stats->correct[k] > 0;
	if (!any)
		return s;
	int orders = BLEU_ORDER;
	for (int k = 0; k < BLEU_ORDER; k++) {
		int64_t more = smooth == BLEU_SMOOTH_ADD_K && k > 0;
		s.stats.correct[k] += more;
		s.stats.total[k] += more;
		double correct = (double)s.stats.correct[k], total = (double)s.stats.total[k];
		if (total == 0)
			break;
		if (effective_order)
			orders = k + 1;
		if (correct > 0)
			s.precisions[k] = 100 * correct / total;
		else if (smooth == BLEU_SMOOTH_EXP)
			s.precisions[k] = 100 / ((halved *= 2) * total);
		else if (smooth == BLEU_SMOOTH_FLOOR)
			s.precisions[k] = 100 * 0.1 / total;
	}
	for (int k = 0; k < orders; k++)
		logs += s.precisions[k] > 0 ? log(s.precisions[k]) : -9999999999.0;
	s.score = s.brevity_penalty * exp(logs / orders);
	return s;
}

double bleu_corpus(const struct bleu_stats *stats, size_t n)
{
	struct bleu_stats sum = {0};
	for (size_t i = 0; i < n; i++)
		bleu_sum(&sum, &stats[i]);
	return bleu_score(&sum, BLEU_SMOOTH_EXP, false).score;
}

double bleu_mean_sentence(const struct bleu_stats *stats, size_t n)
{
	double sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += bleu_score(&stats[i], BLEU_SMOOTH_EXP, true).score;
	return n ? sum / (double)n : 0;
}

void bleu_signature(size_t references, enum bleu_smooth smooth, bool effective_order, struct buf *out)
{
	static const char *const names[] = {"exp", "none", "floor[0.10]", "add-k[1.00]"};
	if (references)
		buf_printf(out, "nrefs:%zu", references);
	else
		buf_adds(out, "nrefs:var");
	buf_printf(out, "|case:mixed|eff:%s|tok:13a|smooth:%s|version:%s", effective_order ? "yes" : "no",
		   names[smooth], BLEU_SACREBLEU_VERSION);
}
