/* yaml.c - libyaml's events made into a tree of nodes with places; see yaml.h.
 *
 * The first step of `sweep run`: sweep file -> nodes -> spec.c. Events rather than libyaml's own document loader,
 * because that one keeps duplicate keys, recurses into whatever depth it is given, and forgets nothing about aliases
 * that would stop a "billion laughs" file. Here each limit of yaml.h is checked as the events come, so a hostile file
 * costs no more than reading it.
 *
 * An alias points at the same node again, which makes the tree a graph. It has no cycles, because a node can be named
 * only when it is complete; `weight` counts what it would be when written out, and that count is what is limited. */
#include "yaml.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/buf.h"
#include "base/mem.h"

struct anchor {
	char *name;
	struct yaml_node *node;
};

struct level {
	struct yaml_node *node;
	struct yaml_node *key; /* of a map whose value comes next */
};

struct builder {
	struct yaml *doc;
	struct level levels[YAML_DEPTH_MAX];
	size_t depth;
	struct anchor *anchors;
	size_t n_anchors, room;
};

int yaml_err(const struct yaml_node *node, struct err *err, const char *format, ...)
{
	struct buf text = BUF_INIT;
	va_list ap;
	va_start(ap, format);
	buf_vprintf(&text, format, ap);
	va_end(ap);
	err_at(err, node->file, node->line, node->column, "%s", text.data);
	buf_release(&text);
	return -1;
}

bool yaml_is_null(const struct yaml_node *node)
{
	return node->kind == YAML_SCALAR && !node->quoted &&
	       (node->text[0] == '\0' || strcmp(node->text, "~") == 0 || strcasecmp(node->text, "null") == 0);
}

const char *yaml_found(const struct yaml_node *node, char room[80])
{
	if (node->kind == YAML_LIST)
		return "a list";
	if (node->kind == YAML_MAP)
		return "a map";
	if (node->text[0] == '\0')
		return node->quoted ? "an empty text" : "nothing";
	size_t n = strcspn(node->text, "\n");
	bool whole = n <= 60 && node->text[n] == '\0';
	if (n > 60)
		for (n = 60; n > 0 && ((unsigned char)node->text[n] & 0xC0) == 0x80; n--)
			; /* never cut inside a UTF-8 character */
	snprintf(room, 80, "`%.*s%s`", (int)n, node->text, whole ? "" : "...");
	for (char *p = room; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?'; /* nothing of a file steers the terminal */
	return room;
}

struct yaml_node *yaml_get(const struct yaml_node *node, const char *key)
{
	if (!node || node->kind != YAML_MAP)
		return NULL;
	for (size_t i = 0; i < node->n; i++)
		if (strcmp(node->pairs[i].key->text, key) == 0)
			return node->pairs[i].value;
	return NULL;
}

static void add_pair(struct yaml_node *map, struct yaml_node *key, struct yaml_node *value)
{
	MEM_PUSH_ROOM(map->pairs, map->n, map->room);
	map->pairs[map->n++] = (struct yaml_pair){key, value};
}

void yaml_put(struct yaml_node *map, struct yaml_node *key, struct yaml_node *value)
{
	for (size_t i = 0; i < map->n; i++) {
		if (strcmp(map->pairs[i].key->text, key->text) == 0) {
			map->pairs[i] = (struct yaml_pair){key, value};
			return;
		}
	}
	add_pair(map, key, value);
}

static struct yaml_node *new_node(struct builder *b, enum yaml_kind kind, yaml_mark_t mark)
{
	struct yaml *doc = b->doc;
	struct yaml_node *node = mem_zero(1, sizeof *node);
	node->kind = kind;
	node->file = doc->file;
	node->line = mark.line + 1;
	node->column = mark.column + 1;
	node->weight = 1;
	MEM_PUSH_ROOM(doc->nodes, doc->n_nodes, doc->room);
	doc->nodes[doc->n_nodes++] = node;
	return node;
}

/* Only YAML's own types: `!!python/object` and the like are somebody's attempt to run something. */
static int check_tag(const struct yaml_node *node, const yaml_char_t *tag, struct err *err)
{
	static const char *const known[] = {"str", "int", "float", "bool", "null", "seq", "map"};
	static const char core[] = "tag:yaml.org,2002:";
	const char *text = (const char *)tag;
	if (!text || strcmp(text, "!") == 0)
		return 0;
	if (strncmp(text, core, sizeof core - 1) == 0)
		for (size_t i = 0; i < sizeof known / sizeof *known; i++)
			if (strcmp(text + sizeof core - 1, known[i]) == 0)
				return 0;
	return yaml_err(node, err, "the tag `%s` is not supported; write a plain value", text);
}

static int add_anchor(struct builder *b, const yaml_char_t *name, struct yaml_node *node, struct err *err)
{
	if (!name)
		return 0;
	if (b->n_anchors == YAML_ANCHORS_MAX)
		return yaml_err(node, err, "more than %d anchors", YAML_ANCHORS_MAX);
	MEM_PUSH_ROOM(b->anchors, b->n_anchors, b->room);
	b->anchors[b->n_anchors++] = (struct anchor){mem_strdup((const char *)name), node};
	return 0;
}

/* `<<: *other` or `<<: [*a, *b]`: keys of the others that the map does not have itself. */
static int merge(struct yaml_node *map, const struct yaml_node *from, struct err *err)
{
	if (from->kind == YAML_LIST) {
		for (size_t i = 0; i < from->n; i++)
			if (from->items[i]->kind != YAML_MAP || merge(map, from->items[i], err) < 0)
				return err->kind ? -1 : yaml_err(from, err, "`<<` merges maps only");
		return 0;
	}
	if (from->kind != YAML_MAP)
		return yaml_err(from, err, "`<<` merges maps only");
	for (size_t i = 0; i < from->n; i++) {
		if (yaml_get(map, from->pairs[i].key->text))
			continue;
		if (map->n == YAML_KEYS_MAX)
			return yaml_err(map, err, "a map of more than %d keys", YAML_KEYS_MAX);
		add_pair(map, from->pairs[i].key, from->pairs[i].value);
		map->weight += from->pairs[i].value->weight + 1;
	}
	return 0;
}

static int end_map(struct yaml_node *map, struct err *err)
{
	struct yaml_node *others = NULL;
	for (size_t i = 0; i < map->n; i++) {
		if (map->pairs[i].key->quoted || strcmp(map->pairs[i].key->text, "<<") != 0)
			continue;
		others = map->pairs[i].value;
		memmove(map->pairs + i, map->pairs + i + 1, (map->n - i - 1) * sizeof *map->pairs);
		map->n--;
		break;
	}
	return others ? merge(map, others, err) : 0;
}

static int put_key(struct level *top, struct yaml_node *key, struct err *err)
{
	if (key->kind != YAML_SCALAR)
		return yaml_err(key, err, "a key must be a word, not %s", key->kind == YAML_LIST ? "a list" : "a map");
	for (size_t i = 0; i < top->node->n; i++)
		if (strcmp(top->node->pairs[i].key->text, key->text) == 0)
			return yaml_err(key, err, "%s is given twice; the first is on line %zu",
					yaml_found(key, (char[80]){0}), top->node->pairs[i].key->line);
	if (top->node->n == YAML_KEYS_MAX)
		return yaml_err(key, err, "a map of more than %d keys", YAML_KEYS_MAX);
	top->key = key;
	return 0;
}

/* A complete node takes its place in what holds it. */
static int place(struct builder *b, struct yaml_node *node, struct err *err)
{
	if (b->depth == 0) {
		b->doc->root = node;
		return 0;
	}
	struct level *top = &b->levels[b->depth - 1];
	if (top->node->kind == YAML_MAP && !top->key)
		return put_key(top, node, err);
	top->node->weight += node->weight;
	if (top->node->weight > YAML_NODES_MAX)
		return yaml_err(node, err, "more than %d values when every alias is written out", YAML_NODES_MAX);
	if (top->node->kind == YAML_MAP) {
		add_pair(top->node, top->key, node);
		top->node->weight++;
		top->key = NULL;
	} else {
		MEM_PUSH_ROOM(top->node->items, top->node->n, top->node->room);
		top->node->items[top->node->n++] = node;
	}
	return 0;
}

static int open_level(struct builder *b, enum yaml_kind kind, const yaml_event_t *event, const yaml_char_t *anchor,
		      const yaml_char_t *tag, struct err *err)
{
	struct yaml_node *node = new_node(b, kind, event->start_mark);
	if (check_tag(node, tag, err) < 0)
		return -1;
	if (b->depth == YAML_DEPTH_MAX)
		return yaml_err(node, err, "maps and lists more than %d deep", YAML_DEPTH_MAX);
	b->levels[b->depth++] = (struct level){node, NULL};
	return add_anchor(b, anchor, node, err); /* named now, usable when complete: see find_alias */
}

static int close_level(struct builder *b, struct err *err)
{
	struct yaml_node *node = b->levels[--b->depth].node;
	if (node->kind == YAML_MAP && end_map(node, err) < 0)
		return -1;
	return place(b, node, err);
}

static int find_alias(struct builder *b, const yaml_event_t *event, struct err *err)
{
	const char *name = (const char *)event->data.alias.anchor;
	struct yaml_node *found = NULL;
	for (size_t i = b->n_anchors; i-- > 0 && !found;)
		if (strcmp(b->anchors[i].name, name) == 0)
			found = b->anchors[i].node;
	yaml_mark_t at = event->start_mark;
	if (!found)
		return err_at(err, b->doc->file, at.line + 1, at.column + 1, "`*%s` names nothing above it", name);
	for (size_t i = 0; i < b->depth; i++)
		if (b->levels[i].node == found)
			return err_at(err, b->doc->file, at.line + 1, at.column + 1, "`*%s` contains itself", name);
	return place(b, found, err);
}

static int add_scalar(struct builder *b, const yaml_event_t *event, struct err *err)
{
	struct yaml_node *node = new_node(b, YAML_SCALAR, event->start_mark);
	const char *value = (const char *)event->data.scalar.value;
	const char *tag = (const char *)event->data.scalar.tag;
	size_t n = event->data.scalar.length;
	if (memchr(value, '\0', n))
		return yaml_err(node, err, "a NUL character in a text");
	node->text = mem_strndup(value, n);
	node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE || (tag && strstr(tag, ":str"));
	if (check_tag(node, event->data.scalar.tag, err) < 0)
		return -1;
	if (add_anchor(b, event->data.scalar.anchor, node, err) < 0)
		return -1;
	return place(b, node, err);
}

/* 1: go on, 0: the stream is complete, -1: refused. */
static int take_event(struct builder *b, const yaml_event_t *event, struct err *err)
{
	switch (event->type) {
	case YAML_STREAM_END_EVENT:
		return 0;
	case YAML_DOCUMENT_START_EVENT:
		if (b->doc->root)
			return err_at(err, b->doc->file, event->start_mark.line + 1, event->start_mark.column + 1,
				      "a second document starts here; one file holds one");
		return 1;
	case YAML_SCALAR_EVENT:
		return add_scalar(b, event, err) < 0 ? -1 : 1;
	case YAML_SEQUENCE_START_EVENT:
		return open_level(b, YAML_LIST, event, event->data.sequence_start.anchor,
				  event->data.sequence_start.tag, err) < 0
			       ? -1
			       : 1;
	case YAML_MAPPING_START_EVENT:
		return open_level(b, YAML_MAP, event, event->data.mapping_start.anchor, event->data.mapping_start.tag,
				  err) < 0
			       ? -1
			       : 1;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return close_level(b, err) < 0 ? -1 : 1;
	case YAML_ALIAS_EVENT:
		return find_alias(b, event, err) < 0 ? -1 : 1;
	default:
		return 1;
	}
}

/* libyaml's words for what went wrong, at the place where it did. A reader's error (bad UTF-8) has a byte offset only.
 */
static int syntax_error(const yaml_parser_t *parser, const char *text, size_t n, const char *name, struct err *err)
{
	size_t line = parser->problem_mark.line + 1, column = parser->problem_mark.column + 1;
	if (parser->error == YAML_MEMORY_ERROR)
		return err_set(err, ERR_SYSTEM, "%s: out of memory", name);
	if (parser->error == YAML_READER_ERROR) {
		line = column = 1;
		for (size_t i = 0; i < parser->problem_offset && i < n; i++) {
			column = text[i] == '\n' ? 1 : column + (((unsigned char)text[i] & 0xC0) != 0x80);
			line += text[i] == '\n';
		}
	}
	const char *problem = parser->problem ? parser->problem : "cannot be read";
	if (parser->context)
		return err_at(err, name, line, column, "not valid YAML: %s (%s)", problem, parser->context);
	return err_at(err, name, line, column, "not valid YAML: %s", problem);
}

int yaml_parse(struct yaml *doc, const char *text, size_t n, const char *name, struct err *err)
{
	*doc = (struct yaml){.file = mem_strdup(name)};
	if (n > YAML_BYTES_MAX) {
		err_at(err, name, 0, 0, "%zu bytes of YAML; at most %zu are read", n, YAML_BYTES_MAX);
		yaml_release(doc);
		return -1;
	}
	size_t skip = n >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0; /* a byte order mark */
	struct builder b = {.doc = doc};
	yaml_parser_t parser;
	if (!yaml_parser_initialize(&parser)) {
		yaml_release(doc);
		return err_set(err, ERR_SYSTEM, "%s: out of memory", name);
	}
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text + skip, n - skip);
	int state = 1;
	while (state > 0) {
		yaml_event_t event;
		if (!yaml_parser_parse(&parser, &event)) {
			state = syntax_error(&parser, text + skip, n - skip, name, err);
			break;
		}
		state = take_event(&b, &event, err);
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	for (size_t i = 0; i < b.n_anchors; i++)
		free(b.anchors[i].name);
	free(b.anchors);
	if (state == 0 && !doc->root)
		state = err_at(err, name, 1, 1, "the file is empty");
	if (state < 0)
		yaml_release(doc);
	return state;
}

void yaml_release(struct yaml *doc)
{
	for (size_t i = 0; i < doc->n_nodes; i++) {
		free(doc->nodes[i]->text);
		free(doc->nodes[i]->items);
		free(doc->nodes[i]->pairs);
		free(doc->nodes[i]);
	}
	free(doc->nodes);
	free(doc->file);
	*doc = (struct yaml){0};
}
