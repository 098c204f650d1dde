/* json.c - see json.h. */
#include "json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

cJSON *json_parse(const char *text, size_t n, const char *name, struct err *err)
{
	/* cJSON says "no memory" as it says "not JSON"; with these hooks it has none only when the process ends. */
	cJSON_InitHooks(&(cJSON_Hooks){mem_alloc, free});
	const char *end = NULL;
	cJSON *json = cJSON_ParseWithLengthOpts(text, n, &end, 0);
	if (json) {
		while (end < text + n && (*end == ' ' || *end == '\n' || *end == '\r' || *end == '\t' || *end == '\0'))
			end++;
		if (end == text + n)
			return json;
		cJSON_Delete(json);
	}
	size_t line = 1, column = 1;
	for (const char *p = text; end && p < end && p < text + n; p++) {
		column++;
		if (*p == '\n') {
			line++;
			column = 1;
		}
	}
	err_at(err, name, line, column, "not valid JSON");
	return NULL;
}

cJSON *json_read_file(const char *path, size_t max, struct err *err)
{
	struct buf text = BUF_INIT;
	cJSON *json = NULL;
	if (buf_read_file(&text, path, max, err) == 0)
		json = json_parse(text.data, text.size, path, err);
	buf_release(&text);
	return json;
}

int json_int(const cJSON *object, const char *name, int64_t min, int64_t max, int64_t *value, struct err *err)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
	if (!item)
		return err_set(err, ERR_INPUT, "`%s` is missing", name);
	double d = item->valuedouble;
	if (!cJSON_IsNumber(item) || d != floor(d) || d < (double)min || d > (double)max)
		return err_set(err, ERR_INPUT, "`%s`: expected a whole number from %lld to %lld", name, (long long)min,
			       (long long)max);
	*value = (int64_t)d;
	return 0;
}

int json_double(const cJSON *object, const char *name, double *value, struct err *err)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
	if (!cJSON_IsNumber(item))
		return err_set(err, ERR_INPUT, item ? "`%s`: expected a number" : "`%s` is missing", name);
	*value = item->valuedouble;
	return 0;
}

int json_string(const cJSON *object, const char *name, const char **value, struct err *err)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
	if (!cJSON_IsString(item))
		return err_set(err, ERR_INPUT, item ? "`%s`: expected a text" : "`%s` is missing", name);
	*value = item->valuestring;
	return 0;
}

void json_format_double(double value, struct buf *out)
{
	if (isnan(value)) {
		buf_adds(out, "null");
		return;
	}
	char text[32];
	for (int digits = 1; digits <= 17; digits++) {
		snprintf(text, sizeof text, "%.*g", digits, value);
		if (strtod(text, NULL) == value && (!strstr(text, "e+") || fabs(value) >= 1e16))
			break; /* 50 rather than 5e+01 */
	}
	buf_adds(out, text);
}

void json_format_string(const char *text, size_t n, struct buf *out)
{
	buf_addc(out, '"');
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", c);
		else if (c == '\n')
			buf_adds(out, "\\n");
		else if (c == '\r')
			buf_adds(out, "\\r");
		else if (c == '\t')
			buf_adds(out, "\\t");
		else if (c < 0x20 || c == 0x7f)
			buf_printf(out, "\\u%04x", c);
		else
			buf_addc(out, (char)c);
	}
	buf_addc(out, '"');
}

char *json_text(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
	return cJSON_IsString(item) ? mem_strdup(item->valuestring) : NULL;
}

void json_add_text(cJSON *object, const char *name, const char *text)
{
	if (text)
		cJSON_AddStringToObject(object, name, text);
}

void json_print(const cJSON *object, struct buf *out)
{
	char *text = cJSON_PrintUnformatted(object);
	if (!text)
		BUG("an object cannot be written as JSON");
	buf_adds(out, text);
	buf_addc(out, '\n');
	cJSON_free(text);
}
