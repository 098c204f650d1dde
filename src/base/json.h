/* json.h - cJSON with the few things it leaves to the caller: files, typed members, exact numbers.
 *
 *     cJSON *config = json_read_file(path, 1 << 20, err);
 *     int64_t layers;
 *     if (!config || json_int(config, "n_layer", 1, 1000, &layers, err) < 0) ...
 *     cJSON_Delete(config);
 */
#ifndef SWEEP_BASE_JSON_H
#define SWEEP_BASE_JSON_H

#include <cjson/cJSON.h>
#include <stdint.h>

#include "buf.h"
#include "err.h"

/* NULL and err on failure; the sentence has file:line:column of a syntax error. The caller deletes. */
cJSON *json_read_file(const char *path, size_t max, struct err *err);
/* The same for text already read; `name` stands for the file in messages. */
cJSON *json_parse(const char *text, size_t n, const char *name, struct err *err);

/* Members that must be there and have the right type (err's sentence names the member; err_prefix adds the file). */
int json_int(const cJSON *object, const char *name, int64_t min, int64_t max, int64_t *value, struct err *err);
int json_double(const cJSON *object, const char *name, double *value, struct err *err);
/* Points into the object. */
int json_string(const cJSON *object, const char *name, const char **value, struct err *err);

/* A copy of a text that may be missing (NULL); the caller frees. */
char *json_text(const cJSON *object, const char *name);
/* Adds a text, if there is one. */
void json_add_text(cJSON *object, const char *name, const char *text);
/* The whole as one line with its newline. */
void json_print(const cJSON *object, struct buf *out);

/* The shortest decimal text that strtod reads back as the same double; NaN is "null". Always with a digit first, "." or
 * "e" only where needed: 5, 0.2, 1e-05. */
void json_format_double(double value, struct buf *out);
/* text as a JSON string with quotes; the bytes must be UTF-8. */
void json_format_string(const char *text, size_t n, struct buf *out);

#endif
