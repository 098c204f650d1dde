/* yaml.h - YAML text as a tree of nodes that know their place. yaml.c is the only file that includes libyaml.
 *
 *     struct yaml doc;
 *     if (yaml_parse(&doc, text, n, "sweeps/x.yaml", err) < 0) return -1;
 *     const struct yaml_node *method = yaml_get(doc.root, "method");
 *     if (method && method->kind != YAML_SCALAR) return yaml_err(method, err, "method: expected a word");
 *     yaml_release(&doc);
 *
 * The document owns every node and text. Aliases share the node they name (so the tree is a graph without cycles),
 * merge keys (`<<`) are resolved, a key given twice is refused. Scalars stay text: what a number is, the caller
 * decides, so that `1e-4` is one. Hostile input ends in a sentence: see the limits. */
#ifndef SWEEP_YAML_H
#define SWEEP_YAML_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define YAML_BYTES_MAX   ((size_t)1 << 24) /* of the text */
#define YAML_DEPTH_MAX   32                /* maps and lists in each other */
#define YAML_KEYS_MAX    256               /* of one map */
#define YAML_ANCHORS_MAX 1000
#define YAML_NODES_MAX   4000000 /* after every alias is written out ("billion laughs") */

enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml_pair {
	struct yaml_node *key, *value;
};

struct yaml_node {
	enum yaml_kind kind;
	bool quoted;              /* a scalar in quotes, as a block, or tagged !!str: never null */
	const char *file;         /* for messages */
	size_t line, column;      /* from 1 */
	size_t weight;            /* nodes in it, aliases written out */
	char *text;               /* YAML_SCALAR: UTF-8 without NUL */
	struct yaml_node **items; /* YAML_LIST */
	struct yaml_pair *pairs;  /* YAML_MAP, in the file's order; keys are scalars */
	size_t n, room;           /* items or pairs */
};

struct yaml {
	struct yaml_node *root;
	struct yaml_node **nodes; /* all of them, for release */
	size_t n_nodes, room;
	char *file;
};

/* name stands for the file in messages. An empty document is an error. */
int yaml_parse(struct yaml *doc, const char *text, size_t n, const char *name, struct err *err);
void yaml_release(struct yaml *doc);
/* The value of a key, or NULL; node may be NULL or no map. */
struct yaml_node *yaml_get(const struct yaml_node *node, const char *key);
/* Nothing, `~` or `null`, unquoted. */
bool yaml_is_null(const struct yaml_node *node);
/* "a list", "a map", "nothing", "`text`" (shortened): what was found, for messages. Fills and returns room. */
const char *yaml_found(const struct yaml_node *node, char room[80]);
/* ERR_INPUT with the node's file:line:column in front; returns -1. */
int yaml_err(const struct yaml_node *node, struct err *err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Puts key: value into a map in place of what it had; both belong to documents that outlive it. */
void yaml_put(struct yaml_node *map, struct yaml_node *key, struct yaml_node *value);

#endif
