/* bpe.c - byte-pair merging; see bpe.h.
 *
 * The pair of lowest rank joins first, the leftmost of equals; then the two new pairs around it compete. Nearly all
 * pieces are words of a few letters, for which a scan over an array of ranks is fastest. A piece may also be a hundred
 * thousand letters without a space, so that beyond BPE_SHORT a heap and a linked list take over. */
#include "bpe.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { BPE_SHORT = 48 };

struct bpe_rule {
	int32_t left, right; /* left -1: empty */
	uint32_t rank;
	int32_t joined;
};

void bpe_init(struct bpe *bpe, size_t n_merges)
{
	size_t room = 16;
	while (room < 2 * n_merges)
		room *= 2;
	bpe->rules = mem_array(room, sizeof *bpe->rules);
	bpe->mask = room - 1;
	for (size_t i = 0; i < room; i++)
		bpe->rules[i].left = -1;
}

void bpe_release(struct bpe *bpe)
{
	free(bpe->rules);
	*bpe = (struct bpe){0};
}

/* The rule for a pair, or the empty slot where it would be. */
static struct bpe_rule *bpe_slot(const struct bpe *bpe, int32_t left, int32_t right)
{
	uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15u;
	size_t i = (size_t)(h >> 32) & bpe->mask;
	while (bpe->rules[i].left >= 0 && (bpe->rules[i].left != left || bpe->rules[i].right != right))
		i = (i + 1) & bpe->mask;
	return &bpe->rules[i];
}

void bpe_add(struct bpe *bpe, int32_t left, int32_t right, uint32_t rank, int32_t joined)
{
	*bpe_slot(bpe, left, right) = (struct bpe_rule){left, right, rank, joined};
}

static const struct bpe_rule *bpe_rule(const struct bpe *bpe, int32_t left, int32_t right)
{
	const struct bpe_rule *rule = bpe_slot(bpe, left, right);
	return rule->left < 0 ? NULL : rule;
}

static size_t merge_short(const struct bpe *bpe, int32_t *ids, size_t n)
{
	const struct bpe_rule *rules[BPE_SHORT]; /* rules[i] joins ids[i] and ids[i + 1] */
	for (size_t i = 0; i + 1 < n; i++)
		rules[i] = bpe_rule(bpe, ids[i], ids[i + 1]);
	while (n > 1) {
		size_t best = n;
		for (size_t i = 0; i + 1 < n; i++)
			if (rules[i] && (best == n || rules[i]->rank < rules[best]->rank))
				best = i;
		if (best == n)
			break;
		ids[best] = rules[best]->joined;
		n--;
		memmove(&ids[best + 1], &ids[best + 2], (n - best - 1) * sizeof *ids);
		memmove(&rules[best], &rules[best + 1], (n - best) * sizeof(rules[0]));
		if (best > 0)
			rules[best - 1] = bpe_rule(bpe, ids[best - 1], ids[best]);
		if (best + 1 < n)
			rules[best] = bpe_rule(bpe, ids[best], ids[best + 1]);
	}
	return n;
}

/* A join that was possible when it was pushed: of node `at`, which was `left`, with its successor, which was `right`.
 */
struct candidate {
	const struct bpe_rule *rule;
	size_t at;
};

static bool comes_first(const struct candidate *a, const struct candidate *b)
{
	return a->rule->rank != b->rule->rank ? a->rule->rank < b->rule->rank : a->at < b->at;
}

struct heap {
	struct candidate *item;
	size_t n, room;
};

static void heap_push(struct heap *heap, const struct bpe_rule *rule, size_t at)
{
	if (!rule)
		return;
	MEM_PUSH_ROOM(heap->item, heap->n, heap->room);
	struct candidate c = {rule, at};
	size_t i = heap->n++;
	for (; i > 0 && comes_first(&c, &heap->item[(i - 1) / 2]); i = (i - 1) / 2)
		heap->item[i] = heap->item[(i - 1) / 2];
	heap->item[i] = c;
}

static struct candidate heap_pop(struct heap *heap)
{
	struct candidate top = heap->item[0], last = heap->item[--heap->n];
	size_t i = 0;
	for (;;) {
		size_t child = 2 * i + 1;
		if (child >= heap->n)
			break;
		if (child + 1 < heap->n && comes_first(&heap->item[child + 1], &heap->item[child]))
			child++;
		if (!comes_first(&heap->item[child], &last))
			break;
		heap->item[i] = heap->item[child];
		i = child;
	}
	heap->item[i] = last;
	return top;
}

static size_t merge_long(const struct bpe *bpe, int32_t *ids, size_t n)
{
	size_t *next = mem_array(n, sizeof *next), *previous = mem_array(n, sizeof *previous);
	struct heap heap = {0};
	for (size_t i = 0; i < n; i++) {
		next[i] = i + 1;
		previous[i] = i - 1; /* of node 0: SIZE_MAX, never followed */
		if (i + 1 < n)
			heap_push(&heap, bpe_rule(bpe, ids[i], ids[i + 1]), i);
	}
	while (heap.n) {
		struct candidate c = heap_pop(&heap);
		size_t a = c.at, b = next[a];
		/* Stale when either side has been joined since: a dead node's id is -1. */
		if (ids[a] != c.rule->left || b == n || ids[b] != c.rule->right)
			continue;
		ids[a] = c.rule->joined;
		ids[b] = -1;
		next[a] = next[b];
		if (next[a] < n) {
			previous[next[a]] = a;
			heap_push(&heap, bpe_rule(bpe, ids[a], ids[next[a]]), a);
		}
		if (a > 0)
			heap_push(&heap, bpe_rule(bpe, ids[previous[a]], ids[a]), previous[a]);
	}
	size_t kept = 0;
	for (size_t i = 0; i < n; i = next[i])
		ids[kept++] = ids[i];
	free(next);
	free(previous);
	free(heap.item);
	return kept;
}

size_t bpe_merge(const struct bpe *bpe, int32_t *ids, size_t n)
{
	return n <= BPE_SHORT ? merge_short(bpe, ids, n) : merge_long(bpe, ids, n);
}
