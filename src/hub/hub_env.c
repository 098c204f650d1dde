/* hub_env.c - the environment variables of huggingface_hub and transformers, with their order of precedence.
 *
 * The rules are those of huggingface_hub 0.29 to 0.36 and transformers 4.50, because the point of the shared cache is
 * that both sides look in the same place: `~` and $VARIABLES are expanded in folders, an empty variable counts as set
 * for folders (as os.getenv does) but not for tokens. The deprecated TRANSFORMERS_CACHE family moves only models. */
#include "hub_env.h"

#include <ctype.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"

#define HUB_ENV_ENDPOINT  "https://huggingface.co"
#define HUB_ENV_TIMEOUT   10 /* seconds, the default of huggingface_hub */
#define HUB_ENV_TOKEN_MAX 4096

static bool is_true(const char *value)
{
	return value && (strcmp(value, "1") == 0 || strcasecmp(value, "on") == 0 || strcasecmp(value, "yes") == 0 ||
			 strcasecmp(value, "true") == 0);
}

bool hub_env_offline(void)
{
	const char *value = getenv("HF_HUB_OFFLINE");
	return is_true(value && *value ? value : getenv("TRANSFORMERS_OFFLINE"));
}

static char *user_home(void)
{
	const char *home = getenv("HOME");
	if (home && *home)
		return mem_strdup(home);
	const struct passwd *entry = getpwuid(getuid());
	return mem_strdup(entry && entry->pw_dir && *entry->pw_dir ? entry->pw_dir : "/");
}

/* A leading `~`, then $NAME and ${NAME}; unknown names stay as they are. Absolute at the end. The caller frees. */
static char *expand(const char *path)
{
	struct buf out = BUF_INIT;
	const char *p = path;
	if (p[0] == '~' && (p[1] == '/' || p[1] == '\0')) {
		char *home = user_home();
		buf_adds(&out, home);
		free(home);
		p++;
	}
	while (*p) {
		bool brace = p[0] == '$' && p[1] == '{';
		const char *start = p + (brace ? 2 : 1), *end = start;
		while (*p == '$' && (isalnum((unsigned char)*end) || *end == '_'))
			end++;
		if (*p == '$' && end > start && (!brace || *end == '}')) {
			char *name = mem_strndup(start, (size_t)(end - start));
			const char *value = getenv(name);
			free(name);
			if (value) {
				buf_adds(&out, value);
				p = end + brace;
				continue;
			}
		}
		buf_addc(&out, *p++);
	}
	char *text = buf_detach(&out), *whole = fs_absolute(text);
	free(text);
	return whole;
}

/* The folder that the first set variable names, else base/name. The caller frees. */
static char *folder(const char *const *variables, const char *base, const char *name)
{
	for (; *variables; variables++) {
		const char *value = getenv(*variables);
		if (value)
			return expand(value);
	}
	char *path = fs_join(base, name), *whole = expand(path);
	free(path);
	return whole;
}

void hub_env_folders(struct hub_env *env)
{
	*env = (struct hub_env){0};
	char *home = user_home(), *dot_cache = fs_join(home, ".cache");
	const char *xdg = getenv("XDG_CACHE_HOME");
	env->home = folder((const char *const[]){"HF_HOME", NULL}, xdg ? xdg : dot_cache, "huggingface");
	env->cache = folder((const char *const[]){"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", NULL}, env->home, "hub");
	env->model_cache = folder((const char *const[]){"TRANSFORMERS_CACHE", "PYTORCH_TRANSFORMERS_CACHE",
							"PYTORCH_PRETRAINED_BERT_CACHE", NULL},
				  env->cache, "");
	env->assets =
		folder((const char *const[]){"HF_ASSETS_CACHE", "HUGGINGFACE_ASSETS_CACHE", NULL}, env->home, "assets");
	for (char **path = (char *[]){env->home, env->cache, env->model_cache, env->assets, NULL}; *path; path++)
		for (size_t n = strlen(*path); n > 1 && (*path)[n - 1] == '/'; n--)
			(*path)[n - 1] = '\0';
	free(dot_cache);
	free(home);
}

/* White space around a token is dropped, as huggingface_hub does; NULL when nothing is left. */
static char *clean_token(const char *text)
{
	while (isspace((unsigned char)*text))
		text++;
	size_t n = strlen(text);
	while (n && isspace((unsigned char)text[n - 1]))
		n--;
	return n ? mem_strndup(text, n) : NULL;
}

static int read_token(struct hub_env *env, struct err *err)
{
	if (is_true(getenv("HF_HUB_DISABLE_IMPLICIT_TOKEN")))
		return 0;
	for (const char *const *name = (const char *const[]){"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", NULL};
	     *name && !env->token; name++)
		if (getenv(*name))
			env->token = clean_token(getenv(*name));
	if (!env->token) {
		char *path = folder((const char *const[]){"HF_TOKEN_PATH", NULL}, env->home, "token");
		struct buf text = BUF_INIT;
		struct err ignored = {0}; /* no file, no token: the Hub will say when one is needed */
		if (fs_exists(path) && buf_read_file(&text, path, HUB_ENV_TOKEN_MAX, &ignored) == 0 && text.data)
			env->token = clean_token(text.data);
		buf_release(&text);
		free(path);
	}
	for (const char *p = env->token; p && *p; p++)
		if (*p <= ' ' || *p >= 127)
			return err_set(err, ERR_INPUT,
				       "the token for the Hub (HF_TOKEN) holds a character that no token "
				       "has; copy it again from https://huggingface.co/settings/tokens");
	return 0;
}

static int read_timeout(const char *name, int *seconds, struct err *err)
{
	const char *text = getenv(name);
	*seconds = HUB_ENV_TIMEOUT;
	if (!text || !*text)
		return 0;
	char *end;
	long value = strtol(text, &end, 10);
	if (*end || value < 0 || value > 86400)
		return err_set(err, ERR_INPUT, "%s is `%s`; a number of seconds from 0 to 86400 was expected", name,
			       text);
	if (value > 0)
		*seconds = (int)value;
	return 0;
}

int hub_env_read(struct hub_env *env, struct err *err)
{
	hub_env_folders(env);
	env->offline = hub_env_offline();
	const char *endpoint = getenv("HF_ENDPOINT");
	env->endpoint = mem_strdup(endpoint ? endpoint : HUB_ENV_ENDPOINT);
	for (size_t n = strlen(env->endpoint); n && env->endpoint[n - 1] == '/'; n--)
		env->endpoint[n - 1] = '\0';
	if (strncasecmp(env->endpoint, "http://", 7) != 0 && strncasecmp(env->endpoint, "https://", 8) != 0)
		err_set(err, ERR_INPUT, "HF_ENDPOINT is `%s`; a URL that starts with https:// or http:// was expected",
			env->endpoint);
	else if (read_token(env, err) == 0 && read_timeout("HF_HUB_ETAG_TIMEOUT", &env->head_timeout, err) == 0 &&
		 read_timeout("HF_HUB_DOWNLOAD_TIMEOUT", &env->get_timeout, err) == 0)
		return 0;
	hub_env_release(env);
	return -1;
}

void hub_env_release(struct hub_env *env)
{
	free(env->home);
	free(env->cache);
	free(env->model_cache);
	free(env->assets);
	free(env->endpoint);
	if (env->token)
		explicit_bzero(env->token, strlen(env->token));
	free(env->token);
	*env = (struct hub_env){0};
}
