/* spec_parts.h - what the files of spec share among themselves (spec.c: the file as a whole; spec_params.c:
 * `parameters`; spec_foreign.c: parameters of others; spec_data.c: model, data, templates). Nobody else includes this.
 *
 *     if (spec_keys(node, names, n, "metric", err) < 0 || spec_text(node, "metric.name", &text, err) < 0) return -1;
 *
 * All take a node and give sentences that start with its place. */
#ifndef SWEEP_SPEC_PARTS_H
#define SWEEP_SPEC_PARTS_H

#include "base/buf.h"
#include "spec.h"
#include "yaml.h"

/* spec.c */
/* node is a map whose keys are all among names; else a sentence with the nearest one. what: "metric", or "" at the top.
 */
int spec_keys(const struct yaml_node *node, const char *const *names, size_t n, const char *what, struct err *err);
/* A non-empty text without control characters (line feeds allowed when `lines`). The caller frees *text. */
int spec_text(const struct yaml_node *node, const char *what, bool lines, char **text, struct err *err);
/* utf8_clean of a name. */
void spec_clean(char **name);
int spec_int(const struct yaml_node *node, const char *what, int64_t min, int64_t max, int64_t *value, struct err *err);
int spec_number(const struct yaml_node *node, const char *what, double *value, struct err *err);
/* As spec_notice, of what is probably a mistake. */
void spec_warning(struct spec *spec, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* `dev_bleu` or `dev_sentence_bleu` of a split that has references. */
int spec_check_metric(const struct spec *spec, const struct yaml_node *node, const char *what, const char *name,
		      struct err *err);

/* spec_params.c: fills spec->grids and spec->expected; needs spec->method and spec->splits. */
int spec_params_read(struct spec *spec, const struct yaml_node *node, struct err *err);
/* `--set name=value` for a parameter: into the map, or every map of the list. */
int spec_params_override(struct yaml_node *parameters, int id, struct yaml_node *key, struct yaml_node *value,
			 struct err *err);

/* spec_foreign.c: a parameter that others have and `sweep` does not: 1 when its value changes nothing (with a notice), 0
 * when nobody has it, -1 with a sentence. */
int spec_foreign_read(struct spec *spec, const struct yaml_node *key, const struct yaml_node *value, struct err *err);
/* "generate() has this parameter, `sweep` does not"; false when it is no such name. */
bool spec_foreign_describe(const char *name, struct buf *out);

/* spec_data.c: nodes may be NULL (not in the file): the bundled parts. */
int spec_data_model(struct spec *spec, const struct yaml_node *node, struct err *err);
int spec_data_dataset(struct spec *spec, const struct yaml_node *node, struct err *err);
int spec_data_templates(struct spec *spec, const struct yaml_node *prompt, const struct yaml_node *target,
			struct err *err);

#endif
