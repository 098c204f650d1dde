/* fuzz_hub.c - any bytes as the answers of a Hub: status lines, headers, the JSON of its API, files.
 *
 * A thread on 127.0.0.1 gives each connection the next answer of the input (they are divided by a line `===`; the last
 * one stays) and hangs up; `PORT!` becomes its port. The first byte says whether a model or a dataset is fetched. A retry
 * is cut short, or every run would wait. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>

#include "base/fs.h"
#include "fuzz.h"
#include "hub/hub.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static const char *answers = ""; /* what is left of the input */
static size_t answers_n;
static int listener;
static char port[8];

static void answer(int fd)
{
	char request[4096];
	size_t n = 0;
	for (ssize_t got; n < sizeof request && (got = recv(fd, request + n, sizeof request - n, 0)) > 0;) {
		n += (size_t)got;
		if (memmem(request, n, "\r\n\r\n", 4))
			break;
	}
	pthread_mutex_lock(&mutex);
	const char *end = memmem(answers, answers_n, "\n===\n", 5);
	size_t size = end ? (size_t)(end - answers) : answers_n;
	struct buf out = BUF_INIT;
	buf_reserve(&out, size);
	for (size_t i = 0; i < size; i++) {
		if (size - i >= 5 && memcmp(answers + i, "PORT!", 5) == 0) {
			buf_adds(&out, port);
			i += 4;
		} else {
			buf_addc(&out, answers[i]);
		}
	}
	if (end) {
		answers += size + 5;
		answers_n -= size + 5;
	}
	pthread_mutex_unlock(&mutex);
	for (size_t sent = 0; sent < out.size;) {
		ssize_t did = send(fd, out.data + sent, out.size - sent, MSG_NOSIGNAL);
		if (did <= 0)
			break;
		sent += (size_t)did;
	}
	buf_release(&out);
	shutdown(fd, SHUT_RDWR);
	close(fd);
}

static void *serve(void *unused)
{
	(void)unused;
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		if (fd >= 0)
			answer(fd);
	}
	return NULL;
}

static void begin(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof at;
	pthread_t thread;
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&at, n) < 0 || listen(listener, 64) < 0 ||
	    getsockname(listener, (struct sockaddr *)&at, &n) < 0 || pthread_create(&thread, NULL, serve, NULL) != 0)
		BUG("no server");
	snprintf(port, sizeof port, "%d", ntohs(at.sin_port));
	char endpoint[64];
	snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%s", port);
	setenv("HF_ENDPOINT", endpoint, 1);
	setenv("HF_HOME", fuzz_path("hf"), 1);
	setenv("HF_TOKEN", "hf_fuzz", 1);
	setenv("no_proxy", "*", 1);
	setenv("HF_HUB_DOWNLOAD_TIMEOUT", "2", 1);
	setenv("HF_HUB_ETAG_TIMEOUT", "2", 1);
}

static void notice(void *ctx, const char *sentence)
{
	if (strstr(sentence, "trying again"))
		*(bool *)ctx = true;
}

static bool cancelled(void *ctx)
{
	return *(bool *)ctx;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool stop = false;
	struct hub_options options = {.notice = notice, .cancelled = cancelled, .ctx = &stop};
	struct err err = {0};
	char *dir = NULL;
	if (!listener)
		begin();
	if (!size)
		return 0;
	fs_remove_tree(fuzz_path("hf"));
	pthread_mutex_lock(&mutex);
	answers = (const char *)data + 1;
	answers_n = size - 1;
	pthread_mutex_unlock(&mutex);
	if ((data[0] & 1 ? hub_fetch_dataset("me/set", &options, &dir, &err)
			 : hub_fetch_model("m", &options, &dir, &err)) < 0)
		fuzz_refused(&err);
	free(dir);
	pthread_mutex_lock(&mutex); /* the input is gone after this call */
	answers = "";
	answers_n = 0;
	pthread_mutex_unlock(&mutex);
	if (access(fuzz_path("evil"), F_OK) == 0)
		BUG("a file was written outside of the cache");
	return 0;
}
