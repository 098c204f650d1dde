/* tokenizer.c - text to ids and back; see tokenizer.h and docs/REFERENCE.md, 1. The files are read by tokenizer_load.c,
 * the merging is bpe.c's.
 *
 * Encoding: added tokens are cut out of the raw text; what lies between is cut into pieces by GPT-2's regular
 * expression (PCRE2, with Unicode classes); the bytes of a piece are merged. Words come back all the time, so that
 * their ids are kept in a cache; plain ASCII words do not need the regular expression at all. Both are shortcuts only:
 * tests compare with and without them. */
#include "tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "tokenizer_internal.h"

/* White space is spelt out: PCRE2's \s would add U+180E to Unicode's White_Space. */
#define SPACES                                                                                                         \
	"\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
static const char split_pattern[] = "'(?:[stmd]|re|ve|ll)| ?\\p{L}+| ?\\p{N}+| ?[^" SPACES "\\p{L}\\p{N}]+|[" SPACES
				    "]+(?![^" SPACES "])|[" SPACES "]+";

enum { PCRE2_ERROR_HEAP = 121 /* of pcre2_compile, which has no name for it */ };
enum { CACHE_SLOTS = 1 << 16, CACHE_PIECES = CACHE_SLOTS / 2, CACHE_LONGEST = 64, CACHE_BYTES = 1 << 20 };

struct tokenizer_piece {
	uint32_t hash; /* 0: empty */
	uint32_t bytes, n_bytes;
	uint32_t ids, n_ids;
};

/* One call of tokenizer_encode. */
struct encoder {
	struct tokenizer *tok;
	struct tokenizer_ids *out;
	pcre2_match_data *match;
};

struct tokenizer *tokenizer_open(const char *dir, struct err *err)
{
	struct tokenizer *tok = mem_zero(1, sizeof *tok);
	tok->pieces = mem_zero(CACHE_SLOTS, sizeof *tok->pieces);
	if (tokenizer_load(tok, dir, err) < 0)
		goto fail;
	int code;
	PCRE2_SIZE at;
	tok->split = pcre2_compile((PCRE2_SPTR)split_pattern, PCRE2_ZERO_TERMINATED,
				   PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &code, &at, NULL);
	if (!tok->split && code == PCRE2_ERROR_HEAP) {
		err_set(err, ERR_SYSTEM, "no memory for the tokenizer's pattern");
		goto fail;
	}
	if (!tok->split) {
		err_set(err, ERR_INTERNAL, "PCRE2 refuses the tokenizer's pattern (error %d at %zu)", code, at);
		goto fail;
	}
	/* Where there is no JIT the same matches come more slowly. */
	pcre2_jit_compile(tok->split, PCRE2_JIT_COMPLETE);
	return tok;
fail:
	tokenizer_close(tok);
	return NULL;
}

void tokenizer_close(struct tokenizer *tok)
{
	if (!tok)
		return;
	for (size_t i = 0; i < tok->n_tokens; i++)
		free(tok->tokens[i].bytes);
	free(tok->tokens);
	for (size_t i = 0; i < tok->n_added; i++)
		free(tok->added[i].text);
	free(tok->added);
	bpe_release(&tok->bpe);
	pcre2_code_free(tok->split);
	free(tok->pieces);
	buf_release(&tok->piece_bytes);
	free(tok->piece_ids.id);
	free(tok);
}

size_t tokenizer_size(const struct tokenizer *tok)
{
	return tok->n_tokens;
}

const char *tokenizer_special_text(const struct tokenizer *tok, int32_t id)
{
	for (size_t i = 0; i < tok->n_added; i++)
		if (tok->added[i].id == id)
			return tok->added[i].text;
	return NULL;
}

static void ids_reserve(struct tokenizer_ids *ids, size_t more)
{
	if (ids->room - ids->n >= more)
		return;
	size_t room = ids->room ? ids->room : 64;
	while (room - ids->n < more)
		room *= 2;
	ids->id = mem_grow(ids->id, room, sizeof *ids->id);
	ids->room = room;
}

static void ids_add(struct tokenizer_ids *ids, const int32_t *id, size_t n)
{
	ids_reserve(ids, n);
	memcpy(ids->id + ids->n, id, n * sizeof *id);
	ids->n += n;
}

/* FNV-1a, never 0. */
static uint32_t piece_hash(const char *bytes, size_t n)
{
	uint32_t h = 2166136261u;
	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)bytes[i]) * 16777619u;
	h ^= h >> 15;
	return h ? h : 1;
}

/* The slot of a piece, or the empty one where it would go. */
static struct tokenizer_piece *cache_slot(struct tokenizer *tok, uint32_t hash, const char *bytes, size_t n)
{
	for (size_t i = hash % CACHE_SLOTS;; i = (i + 1) % CACHE_SLOTS) {
		struct tokenizer_piece *p = &tok->pieces[i];
		if (!p->hash ||
		    (p->hash == hash && p->n_bytes == n && memcmp(tok->piece_bytes.data + p->bytes, bytes, n) == 0))
			return p;
	}
}

static void cache_add(struct tokenizer *tok, uint32_t hash, const char *bytes, size_t n, const int32_t *ids,
		      size_t n_ids)
{
	if (tok->n_pieces == CACHE_PIECES || tok->piece_bytes.size > CACHE_BYTES) {
		memset(tok->pieces, 0, CACHE_SLOTS * sizeof *tok->pieces);
		tok->n_pieces = 0;
		buf_clear(&tok->piece_bytes);
		tok->piece_ids.n = 0;
	}
	struct tokenizer_piece *p = cache_slot(tok, hash, bytes, n);
	*p = (struct tokenizer_piece){hash, (uint32_t)tok->piece_bytes.size, (uint32_t)n, (uint32_t)tok->piece_ids.n,
				      (uint32_t)n_ids};
	buf_add(&tok->piece_bytes, bytes, n);
	ids_add(&tok->piece_ids, ids, n_ids);
	tok->n_pieces++;
}

static void encode_piece(struct encoder *e, const char *bytes, size_t n)
{
	struct tokenizer *tok = e->tok;
	struct tokenizer_ids *out = e->out;
	bool cached = n <= CACHE_LONGEST;
	uint32_t hash = 0;
	if (cached) {
		hash = piece_hash(bytes, n);
		const struct tokenizer_piece *p = cache_slot(tok, hash, bytes, n);
		if (p->hash) {
			ids_add(out, tok->piece_ids.id + p->ids, p->n_ids);
			return;
		}
	}
	ids_reserve(out, n);
	int32_t *ids = out->id + out->n;
	for (size_t i = 0; i < n; i++)
		ids[i] = tok->byte_id[(unsigned char)bytes[i]];
	size_t merged = bpe_merge(&tok->bpe, ids, n);
	if (cached)
		cache_add(tok, hash, bytes, n, ids, merged);
	out->n += merged;
}

static bool ascii_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The length of a piece that is a plain ASCII word, with or without a space before it; 0 when only the regular
 * expression can tell. A letter outside ASCII would belong to the word. */
static size_t plain_word(const char *text, size_t n)
{
	size_t i = text[0] == ' ', start = i;
	while (i < n && ascii_letter(text[i]))
		i++;
	if (i == start || (i < n && (unsigned char)text[i] >= 0x80))
		return 0;
	return i;
}

/* Cuts text that holds no added token into pieces. */
static int encode_text(struct encoder *e, const char *text, size_t n, struct err *err)
{
	size_t at = 0;
	while (at < n) {
		size_t length = plain_word(text + at, n - at);
		if (!length) {
			/* The text is valid UTF-8: see tokenizer_encode. Nothing in the pattern looks behind. */
			int code =
				pcre2_match(e->tok->split, (PCRE2_SPTR)text, n, at, PCRE2_NO_UTF_CHECK, e->match, NULL);
			PCRE2_SIZE *span = pcre2_get_ovector_pointer(e->match);
			if (code == PCRE2_ERROR_NOMEMORY)
				return err_set(err, ERR_SYSTEM, "no memory to cut a text of %zu bytes", n);
			if (code < 1 || span[1] <= at)
				return err_set(err, ERR_INTERNAL, "PCRE2 cannot cut a text of %zu bytes (error %d)", n,
					       code);
			length = span[1] - at;
		}
		encode_piece(e, text + at, length);
		at += length;
	}
	return 0;
}

/* The longest added token of this pass that starts at text[0]. */
static const struct tokenizer_added *added_here(const struct tokenizer *tok, bool normalized, const char *text,
						size_t n)
{
	const struct tokenizer_added *best = NULL;
	if (!tok->starts_added[normalized][(unsigned char)text[0]])
		return NULL;
	for (size_t i = 0; i < tok->n_added; i++) {
		const struct tokenizer_added *a = &tok->added[i];
		if (a->normalized == normalized && a->n <= n && (!best || a->n > best->n) &&
		    memcmp(a->text, text, a->n) == 0)
			best = a;
	}
	return best;
}

static int encode_rest(struct encoder *e, bool normalized, const char *text, size_t n, struct err *err);

/* Cuts added tokens out, leftmost and longest first: those that are not `normalized`, then in what is left the others.
 */
static int encode_added(struct encoder *e, bool normalized, const char *text, size_t n, struct err *err)
{
	size_t from = 0, at = 0;
	while (at < n) {
		const struct tokenizer_added *a = added_here(e->tok, normalized, text + at, n - at);
		if (!a) {
			at++;
			continue;
		}
		if (encode_rest(e, normalized, text + from, at - from, err) < 0)
			return -1;
		ids_add(e->out, &a->id, 1);
		at += a->n;
		from = at;
	}
	return encode_rest(e, normalized, text + from, n - from, err);
}

static int encode_rest(struct encoder *e, bool normalized, const char *text, size_t n, struct err *err)
{
	return normalized ? encode_text(e, text, n, err) : encode_added(e, true, text, n, err);
}

int tokenizer_encode(struct tokenizer *tok, const char *text, size_t n, struct tokenizer_ids *ids, struct err *err)
{
	struct buf repaired = BUF_INIT;
	if (utf8_valid_prefix(text, n) < n) {
		utf8_replace(text, n, &repaired);
		text = repaired.data;
		n = repaired.size;
	}
	struct encoder e = {.tok = tok, .out = ids, .match = pcre2_match_data_create(1, NULL)};
	int result = -1;
	if (e.match)
		result = encode_added(&e, false, text, n, err);
	else
		err_set(err, ERR_SYSTEM, "no memory for a match");
	pcre2_match_data_free(e.match);
	buf_release(&repaired);
	return result;
}

void tokenizer_decode(const struct tokenizer *tok, const int32_t *ids, size_t n, bool skip_special, struct buf *out)
{
	struct buf bytes = BUF_INIT;
	for (size_t i = 0; i < n; i++) {
		if (ids[i] < 0 || (size_t)ids[i] >= tok->n_tokens)
			continue;
		const struct tokenizer_token *t = &tok->tokens[ids[i]];
		if (t->bytes && !(skip_special && t->special))
			buf_add(&bytes, t->bytes, t->n);
	}
	buf_reserve(out, bytes.size);
	utf8_replace(bytes.data, bytes.size, out);
	buf_release(&bytes);
}
