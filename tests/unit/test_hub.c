/* test_hub.c - the parts of the Hub client that need no server: names, environment, cache layout, look-up, locks,
 * digests, the progress line. The protocol is tested by tests/cli/fetch*.sh against tests/fake_hub.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"
#include "hub/hub.h"
#include "hub/hub_bar.h"
#include "hub/hub_cache.h"
#include "hub/hub_env.h"
#include "hub/hub_http.h"

static const char COMMIT[] = "2290a62682d06624634c1f46a6ad5be0f47f38aa";
static char work[] = "/tmp/sweep-test-hub-XXXXXX";

static const char *const variables[] = {"HF_HOME",
					"HF_HUB_CACHE",
					"HUGGINGFACE_HUB_CACHE",
					"TRANSFORMERS_CACHE",
					"PYTORCH_TRANSFORMERS_CACHE",
					"PYTORCH_PRETRAINED_BERT_CACHE",
					"XDG_CACHE_HOME",
					"HF_ASSETS_CACHE",
					"HUGGINGFACE_ASSETS_CACHE",
					"HF_ENDPOINT",
					"HF_TOKEN",
					"HUGGING_FACE_HUB_TOKEN",
					"HF_TOKEN_PATH",
					"HF_HUB_DISABLE_IMPLICIT_TOKEN",
					"HF_HUB_OFFLINE",
					"TRANSFORMERS_OFFLINE",
					"HF_HUB_ETAG_TIMEOUT",
					"HF_HUB_DOWNLOAD_TIMEOUT"};

/* Each test starts with an environment that says nothing but HOME, in an empty folder. */
static int before(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
		unsetenv(variables[i]);
	memcpy(work + strlen(work) - 6, "XXXXXX", 6);
	if (!mkdtemp(work))
		return -1;
	return setenv("HOME", work, 1);
}

static int after(void **state)
{
	(void)state;
	fs_remove_tree(work);
	return 0;
}

static void write_text(const char *path, const char *text)
{
	struct err err = {0};
	char *whole = fs_join(work, path), *parent = mem_strdup(whole);
	*strrchr(parent, '/') = '\0';
	assert_int_equal(fs_make_dirs(parent, &err), 0);
	assert_int_equal(fs_write_file(whole, text, strlen(text), &err), 0);
	free(parent);
	free(whole);
}

static void remove_file(const char *path)
{
	char *whole = fs_join(work, path);
	assert_int_equal(unlink(whole), 0);
	free(whole);
}

static size_t open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;
	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void names(void **state)
{
	(void)state;
	const char *const good[] = {"gpt2", "distilbert/distilgpt2", "a", "_x/y_", "Foo-BAR_foo.bar123", "0/1"};
	const char *const bad[] = {"",   "/",    "a/",    "/a",  "a/b/c",  "a--b", "a..b", "-a",        "a-",   ".a",
				   "a.", "a/.b", "a.git", "a b", "a/../b", "é",    "a\n",  "https://x", "a/-b", "a-/b"};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		assert_true(hub_is_id(good[i]));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (hub_is_id(bad[i]))
			fail_msg("`%s` was taken for a name", bad[i]);
	char longest[98];
	memset(longest, 'a', sizeof longest);
	longest[96] = '\0';
	assert_true(hub_is_id(longest));
	longest[96] = 'a';
	longest[97] = '\0';
	assert_false(hub_is_id(longest));
}

static void paths_from_outside(void **state)
{
	(void)state;
	const char *const good[] = {"main", "refs/pr/1", "a/b.c", "..a", "v1.0", "\xc3\xa9"};
	const char *const bad[] = {"", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/.", "a\nb", "a\\b", "a\x7f"};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		assert_true(hub_cache_is_path(good[i]));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (hub_cache_is_path(bad[i]))
			fail_msg("`%s` was taken for a path", bad[i]);
	char *quoted = hub_http_quote("refs/pr/1 \xc3\xa9%~", false);
	assert_string_equal(quoted, "refs%2Fpr%2F1%20%C3%A9%25~");
	free(quoted);
	quoted = hub_http_quote("data/a b.txt", true);
	assert_string_equal(quoted, "data/a%20b.txt");
	free(quoted);
}

static void assert_cache(const char *model_cache, const char *cache)
{
	struct hub_env env;
	char *model = model_cache[0] == '/' ? mem_strdup(model_cache) : fs_join(work, model_cache);
	char *other = cache[0] == '/' ? mem_strdup(cache) : fs_join(work, cache);
	hub_env_folders(&env);
	assert_string_equal(env.model_cache, model);
	assert_string_equal(env.cache, other);
	hub_env_release(&env);
	free(model);
	free(other);
}

/* Every variable beats those before it, as in huggingface_hub and transformers. */
static void environment_of_folders(void **state)
{
	(void)state;
	assert_cache(".cache/huggingface/hub", ".cache/huggingface/hub");
	setenv("XDG_CACHE_HOME", "/x", 1);
	assert_cache("/x/huggingface/hub", "/x/huggingface/hub");
	setenv("HF_HOME", "~/h/", 1);
	assert_cache("h/hub", "h/hub");
	setenv("HUGGINGFACE_HUB_CACHE", "/old", 1);
	assert_cache("/old", "/old");
	setenv("HF_HUB_CACHE", "${HOME}/$XDG_CACHE_HOME/$NO_SUCH", 1);
	char *expected = mem_printf("%s//x/$NO_SUCH", work);
	assert_cache(expected, expected);
	setenv("PYTORCH_PRETRAINED_BERT_CACHE", "/b", 1);
	assert_cache("/b", expected);
	setenv("PYTORCH_TRANSFORMERS_CACHE", "/p", 1);
	assert_cache("/p", expected);
	setenv("TRANSFORMERS_CACHE", "/t", 1);
	assert_cache("/t", expected);
	free(expected);
}

static void assert_token(const char *token)
{
	struct hub_env env;
	struct err err = {0};
	assert_int_equal(hub_env_read(&env, &err), 0);
	if (token)
		assert_string_equal(env.token, token);
	else
		assert_null(env.token);
	hub_env_release(&env);
}

static void patience(void **state)
{
	(void)state;
	assert_int_equal(hub_http_patience(0, 10), 600);
	assert_int_equal(hub_http_patience(1000000, 10), 600 + 122);
	/* distilgpt2's 353 MB at 10 KB a second, the slowest line that is worth the name: ten hours */
	assert_true(hub_http_patience(353000000, 10) > 353000000 / 10000);
	assert_true(hub_http_patience(353000000, 10) < 24 * 3600);
	assert_int_equal(hub_http_patience(0, 86400), 86400 * 60);
	assert_true(hub_http_patience(INT64_MAX, 86400) < INT64_MAX / 1000);
}

static void environment_of_server(void **state)
{
	(void)state;
	struct hub_env env;
	struct err err = {0};
	assert_int_equal(hub_env_read(&env, &err), 0);
	assert_string_equal(env.endpoint, "https://huggingface.co");
	assert_int_equal(env.head_timeout, 10);
	assert_int_equal(env.get_timeout, 10);
	assert_false(env.offline);
	hub_env_release(&env);
	setenv("HF_ENDPOINT", "http://127.0.0.1:1//", 1);
	setenv("HF_HUB_DOWNLOAD_TIMEOUT", "3", 1);
	assert_int_equal(hub_env_read(&env, &err), 0);
	assert_string_equal(env.endpoint, "http://127.0.0.1:1");
	assert_int_equal(env.get_timeout, 3);
	hub_env_release(&env);
	/* tokens */
	assert_token(NULL);
	write_text(".cache/huggingface/token", "  hf_file\n");
	assert_token("hf_file");
	setenv("HUGGING_FACE_HUB_TOKEN", "hf_old", 1);
	assert_token("hf_old");
	setenv("HF_TOKEN", " \r\n", 1); /* nothing is no token */
	assert_token("hf_old");
	setenv("HF_TOKEN", "hf_new", 1);
	assert_token("hf_new");
	setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "True", 1);
	assert_token(NULL);
	unsetenv("HF_HUB_DISABLE_IMPLICIT_TOKEN");
	setenv("HF_TOKEN", "hf\r\nX-Evil: 1", 1);
	assert_int_equal(hub_env_read(&env, &err), -1);
	assert_int_equal(err.kind, ERR_INPUT);
	/* offline */
	const char *const yes[] = {"1", "on", "YES", "True"}, *const no[] = {"", "0", "2", "no", "offline"};
	for (size_t i = 0; i < 4; i++) {
		setenv("HF_HUB_OFFLINE", yes[i], 1);
		assert_true(hub_offline());
	}
	for (size_t i = 0; i < 5; i++) {
		setenv("HF_HUB_OFFLINE", no[i], 1);
		assert_false(hub_offline());
	}
	setenv("TRANSFORMERS_OFFLINE", "1", 1);
	assert_false(hub_offline()); /* HF_HUB_OFFLINE=offline is set, and wins */
	setenv("HF_HUB_OFFLINE", "", 1);
	assert_true(hub_offline());
}

#define ROOT ".cache/huggingface/hub/models--me--m"
#define SNAP ROOT "/snapshots/2290a62682d06624634c1f46a6ad5be0f47f38aa"

static void assert_lacks(const char *revision, const char *part)
{
	struct err err = {0};
	assert_null(hub_find("me/m", revision, &err));
	assert_int_equal(err.kind, ERR_INPUT);
	if (!strstr(err.text, part))
		fail_msg("`%s` does not say `%s`", err.text, part);
}

static void assert_found(const char *revision)
{
	struct err err = {0};
	char *dir = hub_find("me/m", revision, &err), *expected = fs_join(work, SNAP);
	if (!dir)
		fail_msg("%s", err.text);
	assert_string_equal(dir, expected);
	free(expected);
	free(dir);
}

static void look_up(void **state)
{
	(void)state;
	size_t descriptors = open_descriptors();
	assert_lacks(NULL, "the model `me/m` is not in the cache");
	write_text(SNAP "/config.json", "{}");
	assert_lacks(NULL, "has no revision `main` of `me/m`"); /* never another snapshot */
	assert_lacks(COMMIT, "lacks tokenizer.json");
	write_text(ROOT "/refs/main", COMMIT);
	write_text(SNAP "/vocab.json", "{}");
	assert_lacks(NULL, "lacks tokenizer.json");
	write_text(SNAP "/merges.txt", "");
	assert_lacks(NULL, "lacks model.safetensors");
	write_text(SNAP "/pytorch_model.bin", "x");
	assert_lacks(NULL, "sweep reads model.safetensors");
	write_text(SNAP "/model.safetensors", "x");
	assert_found(NULL);
	assert_found("main");
	assert_found(COMMIT);
	assert_lacks("v1", "`sweep fetch me/m --revision v1` brings it");
	write_text(ROOT "/refs/refs/pr/1", "2290a62682d06624634c1f46a6ad5be0f47f38aa\n"); /* written by hand */
	assert_found("refs/pr/1");
	write_text(ROOT "/refs/main", "../../../somewhere");
	assert_lacks(NULL, "has no revision `main`");
	write_text(ROOT "/refs/main", COMMIT);
	remove_file(SNAP "/merges.txt");
	assert_lacks(NULL, "lacks tokenizer.json");
	write_text(SNAP "/tokenizer.json", "{}");
	assert_found(NULL);
	assert_lacks("../main", "is no revision");
	assert_int_equal(open_descriptors(), descriptors);
}

static void fetch_offline(void **state)
{
	(void)state;
	struct err err = {0};
	char *dir;
	setenv("HF_HUB_OFFLINE", "1", 1);
	setenv("HF_ENDPOINT", "http://127.0.0.1:1", 1);
	assert_int_equal(hub_fetch_model("me/m", NULL, &dir, &err), -1);
	assert_null(dir);
	assert_non_null(strstr(err.text, "HF_HUB_OFFLINE forbids the network"));
	assert_int_equal(hub_fetch_dataset("me/m", NULL, &dir, &err), -1);
	assert_non_null(strstr(err.text, "HF_HUB_OFFLINE forbids the network"));
	assert_true(hub_is_dataset("e2e"));
	assert_false(hub_is_dataset("e2"));
	assert_int_equal(hub_fetch_dataset("e2e", NULL, &dir, &err), -1);
	assert_non_null(strstr(err.text, "`sweep fetch e2e` brings it"));
	assert_null(hub_find_dataset("e2e", &err));
	write_text(SNAP "/config.json", "{}");
	write_text(SNAP "/tokenizer.json", "{}");
	write_text(SNAP "/model.safetensors", "x");
	write_text(ROOT "/refs/main", COMMIT);
	assert_int_equal(hub_fetch_model("me/m", NULL, &dir, &err), 0);
	free(dir);
}

static bool cancel(void *ctx)
{
	return ++*(int *)ctx > 1;
}

/* Nobody listens on port 1: a sentence, and a cancelled wait, without a descriptor left behind. */
static void no_network(void **state)
{
	(void)state;
	struct err err = {0};
	char *dir;
	int asked = 0;
	struct hub_options options = {.cancelled = cancel, .ctx = &asked};
	setenv("HF_ENDPOINT", "http://127.0.0.1:1", 1);
	setenv("no_proxy", "*", 1);
	size_t descriptors = open_descriptors();
	assert_int_equal(hub_fetch_model("me/m", NULL, &dir, &err), -1);
	assert_int_equal(err.kind, ERR_SYSTEM);
	assert_non_null(strstr(err.text, "no connection"));
	assert_int_equal(hub_fetch_model("me/m", &options, &dir, &err), -1);
	assert_non_null(strstr(err.text, "interrupted"));
	assert_int_equal(open_descriptors(), descriptors);
}

static void layout(void **state)
{
	(void)state;
	struct hub_cache repo;
	struct err err = {0};
	char commit[HUB_COMMIT], target[256], found[65];
	char *cache = fs_join(work, "hub"), *expected = fs_join(cache, "models--me--m");
	bool right;
	hub_cache_open(&repo, cache, false, "me/m");
	assert_string_equal(repo.root, expected);
	free(expected);
	/* refs */
	assert_true(hub_cache_commit(&repo, COMMIT, commit));
	assert_false(hub_cache_commit(&repo, "main", commit));
	assert_int_equal(hub_cache_write_ref(&repo, "refs/pr/1", COMMIT, &err), 0);
	assert_true(hub_cache_commit(&repo, "refs/pr/1", commit));
	assert_string_equal(commit, COMMIT);
	/* blobs: `git hash-object` of "hello\n", and its SHA-256 */
	const char *sha1 = "ce013625030ba8dba906f756967f9e9ca394464a";
	const char *sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
	char *blob = hub_cache_blob(&repo, sha1);
	write_text("hub/models--me--m/blobs/ce013625030ba8dba906f756967f9e9ca394464a", "hello\n");
	assert_int_equal(hub_cache_verify(blob, sha1, &right, found, &err), 0);
	assert_true(right);
	assert_int_equal(hub_cache_verify(blob, sha256, &right, found, &err), 0);
	assert_true(right);
	assert_int_equal(hub_cache_verify(blob, COMMIT, &right, found, &err), 0);
	assert_false(right);
	assert_string_equal(found, sha1);
	assert_int_equal(hub_cache_verify("/nowhere", sha1, &right, found, &err), -1);
	/* links, over what was there before */
	for (int i = 0; i < 2; i++)
		assert_int_equal(hub_cache_link(&repo, COMMIT, "a/b/c.txt", sha1, &err), 0);
	char *path = hub_cache_snapshot(&repo, COMMIT, "a/b/c.txt");
	ssize_t n = readlink(path, target, sizeof target - 1);
	assert_true(n > 0);
	target[n] = '\0';
	assert_string_equal(target, "../../../../blobs/ce013625030ba8dba906f756967f9e9ca394464a");
	assert_int_equal(hub_cache_drop_damaged(path, &right), 0);
	assert_false(right);
	write_text("hub/models--me--m/blobs/ce013625030ba8dba906f756967f9e9ca394464a", "Hello\n");
	assert_int_equal(hub_cache_drop_damaged(path, &right), 0);
	assert_true(right);
	assert_false(fs_exists(path));
	assert_false(fs_exists(blob));
	/* what the Hub does not have */
	assert_false(hub_cache_is_missing(&repo, COMMIT, "x/y"));
	hub_cache_mark_missing(&repo, COMMIT, "x/y");
	assert_true(hub_cache_is_missing(&repo, COMMIT, "x/y"));
	free(path);
	free(blob);
	free(cache);
	hub_cache_close(&repo);
}

/* Another process holds it, then lets go by being killed; a lock file that was removed under us is no lock. */
static void locks(void **state)
{
	(void)state;
	struct err err = {0};
	char *path = fs_join(work, "locks/a.lock"), byte;
	int ready[2];
	assert_int_equal(pipe(ready), 0);
	pid_t child = fork();
	if (child == 0) {
		if (hub_cache_try_lock(path, &err) >= 0 && write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(hub_cache_try_lock(path, &err), HUB_CACHE_HELD);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	int fd = hub_cache_try_lock(path, &err);
	assert_true(fd >= 0);
	assert_int_equal(hub_cache_try_lock(path, &err), HUB_CACHE_HELD);
	unlink(path);
	int other = hub_cache_try_lock(path, &err);
	assert_true(other >= 0);
	hub_cache_unlock(other);
	hub_cache_unlock(fd);
	close(ready[0]);
	close(ready[1]);
	free(path);
}

static void assert_size(int64_t bytes, const char *text)
{
	char size[24];
	hub_bar_size(size, sizeof size, bytes);
	assert_string_equal(size, text);
}

static void progress_line(void **state)
{
	(void)state;
	assert_size(0, "0 B");
	assert_size(999, "999 B");
	assert_size(73533, "73.5 kB");
	assert_size(999949, "999.9 kB");
	assert_size(999950, "1.0 MB");
	assert_size(352824413, "352.8 MB");
	assert_size(6431829964, "6.43 GB");
	char line[512];
	struct hub_progress p = {.file = "model.safetensors", .done = 50000000, .total = 200000000};
	hub_bar_line(line, sizeof line, 79, &p, 1e6);
	assert_string_equal(line, "model.safetensors [###..........]  25%  50.0 MB of 200.0 MB  1.0 MB/s  ETA 2:30");
	assert_true(strlen(line) <= 79);
	hub_bar_line(line, sizeof line, 60, &p, 0);
	assert_string_equal(line, "model.safetensors  25%  50.0 MB of 200.0 MB  ETA -");
	hub_bar_line(line, sizeof line, 50, &p, 1e6);
	assert_string_equal(line, "model.safetensors [###............]  25%  ETA 2:30");
	hub_bar_line(line, sizeof line, 10, &p, 1e6);
	assert_string_equal(line, "model.safe");
	p.done = p.total = 0;
	hub_bar_line(line, sizeof line, 200, &p, 1);
	assert_non_null(strstr(line, "100%"));
	p.total = 20000000;
	hub_bar_line(line, sizeof line, 200, &p, 1000);
	assert_non_null(strstr(line, "ETA 5:33:20"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, before, after)
	const struct CMUnitTest tests[] = {
		TEST(names),
		TEST(paths_from_outside),
		TEST(environment_of_folders),
		TEST(patience),
		TEST(environment_of_server),
		TEST(look_up),
		TEST(fetch_offline),
		TEST(no_network),
		TEST(layout),
		TEST(locks),
		TEST(progress_line),
	};
	return cmocka_run_group_tests_name("hub", tests, NULL, NULL);
}
