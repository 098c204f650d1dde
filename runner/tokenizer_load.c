/* tokenizer_load.c - a tokenizer's files into struct tokenizer; see tokenizer.h and docs/REFERENCE.md, 1.
 *
 * As transformers does, tokenizer.json is believed where there is one; else vocab.json and merges.txt, with the added
 * tokens of tokenizer_config.json and added_tokens.json. In the files a token's bytes are written as printable
 * characters (space is U+0120 and so on); here they become bytes once, so that encoding and decoding never see those
 * characters. What this engine would tokenise differently (another model, a normaliser, a prefix space) is refused
 * with a sentence instead of being ignored. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "tokenizer_internal.h"

enum { LOAD_MAX_FILE = 1 << 26, LOAD_MAX_ID = 1 << 22, LOAD_ALPHABET = 256 + 68 };

/* The vocabulary as the file writes it, while loading: open addressing over the JSON's own strings. */
struct vocabulary {
	const char *name; /* the file, for messages */
	const char **text;
	int32_t *id;
	size_t mask;
};

/* The characters that stand for bytes: printable bytes for themselves, the other 68 for U+0100 and on. */
static void byte_alphabet(uint16_t character[256])
{
	uint16_t next = 256;
	for (unsigned b = 0; b < 256; b++) {
		bool printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
		character[b] = printable ? (uint16_t)b : next++;
	}
}

static size_t vocabulary_slot(const struct vocabulary *v, const char *text, size_t n)
{
	uint64_t h = 14695981039346656037u;
	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)text[i]) * 1099511628211u;
	size_t i = (size_t)(h ^ h >> 32) & v->mask;
	/* text may hold NULs: merges.txt may be anything */
	while (v->text[i] && (strnlen(v->text[i], n + 1) != n || memcmp(v->text[i], text, n) != 0))
		i = (i + 1) & v->mask;
	return i;
}

static int32_t vocabulary_find(const struct vocabulary *v, const char *text, size_t n)
{
	size_t i = vocabulary_slot(v, text, n);
	return v->text[i] ? v->id[i] : -1;
}

static void vocabulary_release(struct vocabulary *v)
{
	free(v->text);
	free(v->id);
	*v = (struct vocabulary){0};
}

static struct tokenizer_token *token_room(struct tokenizer *tok, int32_t id)
{
	if ((size_t)id >= tok->n_tokens) {
		size_t n = (size_t)id + 1;
		tok->tokens = mem_grow(tok->tokens, n, sizeof *tok->tokens);
		memset(tok->tokens + tok->n_tokens, 0, (n - tok->n_tokens) * sizeof *tok->tokens);
		tok->n_tokens = n;
	}
	return &tok->tokens[id];
}

/* The bytes that a token's characters stand for; characters outside the alphabet stand for themselves, all of them. */
static void token_bytes(const char *text, const int16_t byte_of[LOAD_ALPHABET], struct tokenizer_token *token)
{
	size_t n = strlen(text), written = 0;
	char *bytes = mem_alloc(n + 1);
	for (size_t i = 0; i < n;) {
		uint32_t c;
		i += utf8_next(text + i, n - i, &c);
		if (c >= LOAD_ALPHABET || byte_of[c] < 0) {
			memcpy(bytes, text, n);
			written = n;
			break;
		}
		bytes[written++] = (char)byte_of[c];
	}
	bytes[written] = '\0';
	token->bytes = bytes;
	token->n = written;
}

static bool read_id(const cJSON *item, int32_t *id)
{
	double d = item ? item->valuedouble : -1;
	if (!cJSON_IsNumber(item) || !(d >= 0 && d < LOAD_MAX_ID) || d != floor(d))
		return false;
	*id = (int32_t)d;
	return true;
}

/* The vocabulary's object: every token's bytes, and the hash that merges and added tokens are looked up in. */
static int load_vocabulary(struct tokenizer *tok, struct vocabulary *v, const cJSON *object, const char *name,
			   struct err *err)
{
	if (!cJSON_IsObject(object))
		return err_at(err, name, 0, 0, "expected an object of tokens and their ids");
	size_t n = (size_t)cJSON_GetArraySize(object), room = 16;
	while (room < 2 * n)
		room *= 2;
	v->name = name;
	v->text = mem_zero(room, sizeof *v->text);
	v->id = mem_array(room, sizeof *v->id);
	v->mask = room - 1;
	int16_t byte_of[LOAD_ALPHABET];
	uint16_t character[256];
	memset(byte_of, 0xFF, sizeof byte_of);
	byte_alphabet(character);
	for (int b = 0; b < 256; b++)
		byte_of[character[b]] = (int16_t)b;
	const cJSON *item;
	int32_t id = 0, last = 0;
	cJSON_ArrayForEach(item, object)
	{
		if (!read_id(item, &id))
			return err_at(err, name, 0, 0, "token `%.80s`: expected an id from 0 to %d",
				      item->string ? item->string : "", LOAD_MAX_ID - 1);
		last = id > last ? id : last;
	}
	token_room(tok, last);
	cJSON_ArrayForEach(item, object)
	{
		read_id(item, &id);
		size_t slot = vocabulary_slot(v, item->string, strlen(item->string));
		if (v->text[slot])
			return err_at(err, name, 0, 0, "token `%.80s` is there twice", item->string);
		v->text[slot] = item->string;
		v->id[slot] = id;
		struct tokenizer_token *token = token_room(tok, id);
		if (token->bytes)
			return err_at(err, name, 0, 0, "two tokens have the id %d", (int)id);
		token_bytes(item->string, byte_of, token);
	}
	for (int b = 0; b < 256; b++) {
		unsigned c = character[b];
		char text[3] = {(char)(c < 0x80 ? c : 0xC0 | c >> 6), (char)(c < 0x80 ? 0 : 0x80 | (c & 0x3F)), 0};
		tok->byte_id[b] = vocabulary_find(v, text, strlen(text));
		if (tok->byte_id[b] < 0)
			return err_at(err, name, 0, 0, "no token for the byte %d (`%s`): not a byte-level vocabulary",
				      b, text);
	}
	return 0;
}

/* One merge of two tokens; line 0 when the file has no lines to speak of. */
static int load_merge(struct tokenizer *tok, const struct vocabulary *v, uint32_t rank, const char *left, size_t n_left,
		      const char *right, size_t n_right, const char *name, size_t line, struct err *err)
{
	char joined[1024];
	int32_t a = vocabulary_find(v, left, n_left), b = vocabulary_find(v, right, n_right), c = -1;
	if (n_left + n_right < sizeof joined) {
		memcpy(joined, left, n_left);
		memcpy(joined + n_left, right, n_right);
		c = vocabulary_find(v, joined, n_left + n_right);
	}
	if (a < 0 || b < 0 || c < 0)
		return err_at(err, name, line, 0, "merge %u, `%.*s %.*s`: %s is not in the vocabulary",
			      (unsigned)rank + 1, (int)(n_left < 80 ? n_left : 80), left,
			      (int)(n_right < 80 ? n_right : 80), right,
			      a < 0   ? "the first part"
			      : b < 0 ? "the second part"
				      : "the whole");
	bpe_add(&tok->bpe, a, b, rank, c);
	return 0;
}

/* "a b" -> the two parts; false when there are not exactly two. */
static bool cut_merge(const char *text, size_t n, size_t *n_left)
{
	const char *space = memchr(text, ' ', n);
	if (!space || space == text || space == text + n - 1)
		return false;
	*n_left = (size_t)(space - text);
	return !memchr(space + 1, ' ', n - *n_left - 1);
}

/* merges.txt: a line a merge, after `#version`. */
static int load_merges_text(struct tokenizer *tok, const struct vocabulary *v, const char *path, struct err *err)
{
	struct buf text = BUF_INIT;
	if (buf_read_file(&text, path, LOAD_MAX_FILE, err) < 0)
		return -1;
	size_t lines = 1, line = 0;
	for (size_t i = 0; i < text.size; i++)
		lines += text.data[i] == '\n';
	bpe_init(&tok->bpe, lines);
	uint32_t rank = 0;
	int result = 0;
	for (size_t at = 0; at < text.size && result == 0;) {
		const char *start = text.data + at, *end = memchr(start, '\n', text.size - at);
		size_t n = end ? (size_t)(end - start) : text.size - at, n_left;
		at += n + 1;
		line++;
		if (n && start[n - 1] == '\r')
			n--;
		if (n == 0 || (n >= 8 && memcmp(start, "#version", 8) == 0))
			continue;
		if (!cut_merge(start, n, &n_left))
			result = err_at(err, path, line, 0, "expected two tokens and one space between them");
		else
			result = load_merge(tok, v, rank++, start, n_left, start + n_left + 1, n - n_left - 1, path,
					    line, err);
	}
	buf_release(&text);
	return result;
}

/* tokenizer.json's merges: "a b", or since `tokenizers` 0.20 ["a", "b"]. */
static int load_merges_json(struct tokenizer *tok, const struct vocabulary *v, const cJSON *merges, const char *name,
			    struct err *err)
{
	if (!cJSON_IsArray(merges))
		return err_at(err, name, 0, 0, "`model.merges` is missing");
	bpe_init(&tok->bpe, (size_t)cJSON_GetArraySize(merges));
	uint32_t rank = 0;
	const cJSON *item;
	cJSON_ArrayForEach(item, merges)
	{
		const char *left, *right;
		size_t n_left;
		if (cJSON_IsString(item) && cut_merge(item->valuestring, strlen(item->valuestring), &n_left)) {
			left = item->valuestring;
			right = left + n_left + 1;
		} else if (cJSON_IsArray(item) && cJSON_GetArraySize(item) == 2 && cJSON_IsString(item->child) &&
			   cJSON_IsString(item->child->next)) {
			left = item->child->valuestring;
			right = item->child->next->valuestring;
			n_left = strlen(left);
		} else {
			return err_at(err, name, 0, 0, "`model.merges`: number %u is not a pair of tokens",
				      (unsigned)rank + 1);
		}
		if (load_merge(tok, v, rank, left, n_left, right, strlen(right), name, 0, err) < 0)
			return -1;
		rank++;
	}
	return 0;
}

/* An added token: its id is the vocabulary's if it is there. */
static int add_token(struct tokenizer *tok, const struct vocabulary *v, const char *text, int32_t id, bool special,
		     bool normalized, struct err *err)
{
	size_t n = strlen(text);
	if (n == 0)
		return 0;
	int32_t known = vocabulary_find(v, text, n);
	if (known >= 0)
		id = known;
	for (size_t i = 0; i < tok->n_added; i++)
		if (strcmp(tok->added[i].text, text) == 0)
			return 0;
	struct tokenizer_token *token = token_room(tok, id);
	if (known < 0 && token->bytes)
		return err_at(err, v->name, 0, 0, "the added token `%.80s` has the id %d of another token", text,
			      (int)id);
	if (!token->bytes) {
		token->bytes = mem_strdup(text);
		token->n = n;
	}
	token->special = special;
	tok->added = mem_grow(tok->added, tok->n_added + 1, sizeof *tok->added);
	tok->added[tok->n_added++] = (struct tokenizer_added){mem_strdup(text), n, id, special, normalized};
	tok->starts_added[normalized][(unsigned char)text[0]] = true;
	return 0;
}

/* {"content", "special", "normalized", "lstrip", ...}, of tokenizer.json or tokenizer_config.json. */
static int add_described(struct tokenizer *tok, const struct vocabulary *v, const cJSON *item, int32_t id,
			 const char *name, struct err *err)
{
	static const char *const refused[] = {"lstrip", "rstrip", "single_word"};
	const cJSON *content = cJSON_GetObjectItemCaseSensitive(item, "content");
	if (!cJSON_IsString(content))
		return err_at(err, name, 0, 0, "an added token has no `content`");
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(item, refused[i])))
			return err_at(err, name, 0, 0, "the added token `%.80s` has `%s`, which is not supported",
				      content->valuestring, refused[i]);
	return add_token(tok, v, content->valuestring, id,
			 cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(item, "special")),
			 cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(item, "normalized")), err);
}

static const char *type_of(const cJSON *item)
{
	const cJSON *type = cJSON_GetObjectItemCaseSensitive(item, "type");
	return cJSON_IsString(type) ? type->valuestring : "null";
}

static bool absent(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
	return !item || cJSON_IsNull(item) || cJSON_IsFalse(item) || (cJSON_IsString(item) && !item->valuestring[0]);
}

/* Only GPT-2's own pipeline is what tokenizer.c does. */
static int check_pipeline(const cJSON *root, const char *name, struct err *err)
{
	const cJSON *model = cJSON_GetObjectItemCaseSensitive(root, "model");
	const cJSON *before = cJSON_GetObjectItemCaseSensitive(root, "pre_tokenizer");
	const cJSON *after = cJSON_GetObjectItemCaseSensitive(root, "post_processor");
	const cJSON *decoder = cJSON_GetObjectItemCaseSensitive(root, "decoder");
	static const char *const refused[] = {"dropout", "continuing_subword_prefix", "end_of_word_suffix",
					      "byte_fallback", "ignore_merges"};
	if (!cJSON_IsObject(model))
		return err_at(err, name, 0, 0, "`model` is missing: not a tokenizer of Hugging Face");
	if (cJSON_GetObjectItemCaseSensitive(model, "type") && strcmp(type_of(model), "BPE") != 0)
		return err_at(err, name, 0, 0,
			      "a tokenizer of the kind `%.40s`; only GPT-2's byte-level BPE is supported",
			      type_of(model));
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		if (!absent(model, refused[i]))
			return err_at(err, name, 0, 0, "`model.%s` is set, which is not supported", refused[i]);
	if (!absent(root, "normalizer"))
		return err_at(err, name, 0, 0, "a `normalizer` is set, which is not supported");
	if (strcmp(type_of(before), "ByteLevel") != 0 ||
	    cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(before, "use_regex")))
		return err_at(err, name, 0, 0, "`pre_tokenizer` is `%.40s`; only GPT-2's ByteLevel is supported",
			      type_of(before));
	if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(before, "add_prefix_space")))
		return err_at(err, name, 0, 0, "`add_prefix_space` is true, which is not supported");
	if (cJSON_IsObject(after) && strcmp(type_of(after), "ByteLevel") != 0)
		return err_at(err, name, 0, 0, "`post_processor` is `%.40s`; only GPT-2's ByteLevel is supported",
			      type_of(after));
	if (cJSON_IsObject(decoder) && strcmp(type_of(decoder), "ByteLevel") != 0)
		return err_at(err, name, 0, 0, "`decoder` is `%.40s`; only GPT-2's ByteLevel is supported",
			      type_of(decoder));
	return 0;
}

static int load_whole(struct tokenizer *tok, struct vocabulary *v, const cJSON *root, const char *name, struct err *err)
{
	const cJSON *model = cJSON_GetObjectItemCaseSensitive(root, "model"), *item;
	if (check_pipeline(root, name, err) < 0 ||
	    load_vocabulary(tok, v, cJSON_GetObjectItemCaseSensitive(model, "vocab"), name, err) < 0 ||
	    load_merges_json(tok, v, cJSON_GetObjectItemCaseSensitive(model, "merges"), name, err) < 0)
		return -1;
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(root, "added_tokens"))
	{
		int32_t id;
		if (!read_id(cJSON_GetObjectItemCaseSensitive(item, "id"), &id))
			return err_at(err, name, 0, 0, "an added token has no `id`");
		if (add_described(tok, v, item, id, name, err) < 0)
			return -1;
	}
	return 0;
}

/* tokenizer_config.json: more added tokens, and which tokens of the vocabulary are special. */
static int load_config(struct tokenizer *tok, const struct vocabulary *v, const cJSON *root, const char *name,
		       struct err *err)
{
	static const char *const roles[] = {"bos_token", "eos_token", "unk_token", "pad_token"};
	const cJSON *item;
	if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(root, "add_prefix_space")))
		return err_at(err, name, 0, 0, "`add_prefix_space` is true, which is not supported");
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(root, "added_tokens_decoder"))
	{
		char *end;
		long id = strtol(item->string, &end, 10);
		if (*end || end == item->string || id < 0 || id >= LOAD_MAX_ID)
			return err_at(err, name, 0, 0, "`added_tokens_decoder`: `%.40s` is not an id", item->string);
		if (add_described(tok, v, item, (int32_t)id, name, err) < 0)
			return -1;
	}
	for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
		item = cJSON_GetObjectItemCaseSensitive(root, roles[i]);
		const cJSON *content = cJSON_IsObject(item) ? cJSON_GetObjectItemCaseSensitive(item, "content") : item;
		if (!cJSON_IsString(content))
			continue;
		int32_t id = vocabulary_find(v, content->valuestring, strlen(content->valuestring));
		if (id >= 0 && add_token(tok, v, content->valuestring, id, true, false, err) < 0)
			return -1;
	}
	return 0;
}

/* The small files beside the vocabulary, each optional, and GPT-2's own default. */
static int load_beside(struct tokenizer *tok, const struct vocabulary *v, const char *dir, struct err *err)
{
	char *config = fs_join(dir, "tokenizer_config.json"), *added = fs_join(dir, "added_tokens.json");
	int result = 0;
	if (fs_exists(config)) {
		cJSON *root = json_read_file(config, LOAD_MAX_FILE, err);
		result = root ? load_config(tok, v, root, config, err) : -1;
		cJSON_Delete(root);
	}
	if (result == 0 && fs_exists(added)) {
		cJSON *root = json_read_file(added, LOAD_MAX_FILE, err);
		const cJSON *item;
		result = root ? 0 : -1;
		cJSON_ArrayForEach(item, root)
		{
			int32_t id;
			if (result == 0 && (!item->string || !read_id(item, &id)))
				result = err_at(err, added, 0, 0, "expected an object of tokens and their ids");
			else if (result == 0)
				result = add_token(tok, v, item->string, id, false, false, err);
		}
		cJSON_Delete(root);
	}
	static const char end[] = "<|endoftext|>";
	int32_t id = vocabulary_find(v, end, sizeof end - 1);
	if (result == 0 && id >= 0)
		result = add_token(tok, v, end, id, true, false, err);
	free(config);
	free(added);
	return result;
}

int tokenizer_load(struct tokenizer *tok, const char *dir, struct err *err)
{
	char *whole = fs_join(dir, "tokenizer.json"), *vocab = fs_join(dir, "vocab.json"),
	     *merges = fs_join(dir, "merges.txt");
	struct vocabulary v = {0};
	cJSON *root = NULL;
	int result = -1;
	if (fs_exists(whole)) {
		root = json_read_file(whole, LOAD_MAX_FILE, err);
		if (root)
			result = load_whole(tok, &v, root, whole, err);
	} else if (!fs_exists(vocab) || !fs_exists(merges)) {
		err_set(err, ERR_INPUT, "%s: no tokenizer: expected tokenizer.json, or vocab.json and merges.txt", dir);
	} else {
		root = json_read_file(vocab, LOAD_MAX_FILE, err);
		if (root && load_vocabulary(tok, &v, root, vocab, err) == 0)
			result = load_merges_text(tok, &v, merges, err);
	}
	if (result == 0)
		result = load_beside(tok, &v, dir, err);
	vocabulary_release(&v);
	cJSON_Delete(root);
	free(whole);
	free(vocab);
	free(merges);
	return result;
}
