/* command.c - the job file of a command as JSON, both ways; see command.h. */
#include "command.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "mem.h"

#define GRACE_MS 4000 /* unless the file says more: less than the scheduler's own patience with a worker */

static void add_list(cJSON *object, const char *name, char *const *list)
{
	cJSON *array = cJSON_AddArrayToObject(object, name);
	for (; list && *list; list++)
		cJSON_AddItemToArray(array, cJSON_CreateString(*list));
}

static void add_count(cJSON *object, const char *name, int64_t value)
{
	if (value)
		cJSON_AddNumberToObject(object, name, (double)value);
}

void command_format(const struct command *c, struct buf *out)
{
	cJSON *root = cJSON_CreateObject();
	char seed[24];
	snprintf(seed, sizeof seed, "%lld", (long long)c->seed); /* a double would lose its last digits */
	cJSON_AddNumberToObject(root, "sweep_command", 1);
	json_add_text(root, "key", c->key);
	json_add_text(root, "stage", c->stage);
	add_list(root, "argv", c->argv);
	add_list(root, "env", c->env);
	json_add_text(root, "workdir", c->workdir);
	json_add_text(root, "dir", c->dir);
	json_add_text(root, "part", c->part);
	json_add_text(root, "scratch", c->scratch);
	json_add_text(root, "config", c->config);
	json_add_text(root, "run", c->run);
	json_add_text(root, "metric", c->metric);
	json_add_text(root, "seed", seed);
	add_count(root, "time_ms", c->time_ms);
	add_count(root, "grace_ms", c->grace_ms);
	add_count(root, "memory", c->memory);
	if (c->values_json)
		cJSON_AddTrueToObject(root, "values_json");
	cJSON *patterns = cJSON_AddArrayToObject(root, "patterns");
	for (size_t i = 0; i < c->n_patterns; i++) {
		cJSON *pattern = cJSON_CreateObject();
		json_add_text(pattern, "name", c->patterns[i].name);
		json_add_text(pattern, "regex", c->patterns[i].regex);
		cJSON_AddItemToArray(patterns, pattern);
	}
	json_print(root, out);
	cJSON_Delete(root);
}

static int needed_text(const cJSON *object, const char *name, char **text, struct err *err)
{
	const char *found;
	if (json_string(object, name, &found, err) < 0)
		return -1;
	if (!found[0])
		return err_set(err, ERR_INPUT, "`%s` is empty", name);
	*text = mem_strdup(found);
	return 0;
}

static int absolute(const cJSON *object, const char *name, char **path, struct err *err)
{
	if (needed_text(object, name, path, err) < 0)
		return -1;
	return (*path)[0] == '/' ? 0
				 : err_set(err, ERR_INPUT, "`%s`: expected an absolute path, found %s", name, *path);
}

/* A list of texts, NULL at its end; a missing one is empty. */
static int texts(const cJSON *object, const char *name, char ***list, struct err *err)
{
	const cJSON *array = cJSON_GetObjectItemCaseSensitive(object, name), *item;
	size_t n = 0;
	*list = mem_zero((size_t)cJSON_GetArraySize(array) + 1, sizeof **list);
	cJSON_ArrayForEach(item, array)
	{
		if (!cJSON_IsString(item))
			return err_set(err, ERR_INPUT, "`%s`: expected a list of texts", name);
		(*list)[n++] = mem_strdup(item->valuestring);
	}
	return 0;
}

/* A number that may be left out. */
static int count(const cJSON *object, const char *name, int64_t otherwise, int64_t *value, struct err *err)
{
	*value = otherwise;
	if (!cJSON_GetObjectItemCaseSensitive(object, name))
		return 0;
	return json_int(object, name, 0, (int64_t)1 << 53, value, err);
}

static int patterns(struct command *c, const cJSON *array, struct err *err)
{
	const cJSON *item;
	c->patterns = mem_zero((size_t)cJSON_GetArraySize(array), sizeof *c->patterns);
	cJSON_ArrayForEach(item, array)
	{
		struct command_pattern *p = &c->patterns[c->n_patterns++];
		if (needed_text(item, "name", &p->name, err) < 0 || needed_text(item, "regex", &p->regex, err) < 0)
			return -1;
	}
	return 0;
}

static int read_members(struct command *c, const cJSON *root, struct err *err)
{
	int64_t version;
	const char *key, *seed;
	char *end;
	if (json_int(root, "sweep_command", 1, 1, &version, err) < 0 || json_string(root, "key", &key, err) < 0 ||
	    json_string(root, "seed", &seed, err) < 0)
		return -1;
	if (strlen(key) >= HASH_HEX)
		return err_set(err, ERR_INPUT, "`key` is too long");
	memcpy(c->key, key, strlen(key) + 1);
	c->seed = strtoll(seed, &end, 10);
	if (*end || end == seed)
		return err_set(err, ERR_INPUT, "`seed`: expected a whole number, found `%.40s`", seed);
	if (needed_text(root, "stage", &c->stage, err) < 0 || absolute(root, "workdir", &c->workdir, err) < 0 ||
	    absolute(root, "dir", &c->dir, err) < 0 || absolute(root, "part", &c->part, err) < 0 ||
	    absolute(root, "scratch", &c->scratch, err) < 0 || needed_text(root, "config", &c->config, err) < 0 ||
	    texts(root, "argv", &c->argv, err) < 0 || texts(root, "env", &c->env, err) < 0 ||
	    count(root, "time_ms", 0, &c->time_ms, err) < 0 ||
	    count(root, "grace_ms", GRACE_MS, &c->grace_ms, err) < 0 || count(root, "memory", 0, &c->memory, err) < 0 ||
	    patterns(c, cJSON_GetObjectItemCaseSensitive(root, "patterns"), err) < 0)
		return -1;
	if (!c->argv[0] || !c->argv[0][0])
		return err_set(err, ERR_INPUT, "`argv` names no program");
	for (size_t i = 0; c->env[i]; i++)
		if (!strchr(c->env[i], '=') || c->env[i][0] == '=')
			return err_set(err, ERR_INPUT, "`env`: expected NAME=VALUE, found `%.80s`", c->env[i]);
	c->run = json_text(root, "run");
	c->metric = json_text(root, "metric");
	c->values_json = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(root, "values_json"));
	return 0;
}

int command_read(struct command *c, const char *path, struct err *err)
{
	*c = (struct command){0};
	cJSON *root = json_read_file(path, (size_t)1 << 28, err);
	if (!root)
		return -1;
	int result = read_members(c, root, err);
	cJSON_Delete(root);
	if (result < 0) {
		err_prefix(err, "%s", path);
		command_release(c);
	}
	return result;
}

static void free_list(char **list)
{
	for (size_t i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
}

void command_release(struct command *c)
{
	free_list(c->argv);
	free_list(c->env);
	free(c->stage);
	free(c->workdir);
	free(c->dir);
	free(c->part);
	free(c->scratch);
	free(c->config);
	free(c->run);
	free(c->metric);
	for (size_t i = 0; i < c->n_patterns; i++) {
		free(c->patterns[i].name);
		free(c->patterns[i].regex);
	}
	free(c->patterns);
	*c = (struct command){0};
}
