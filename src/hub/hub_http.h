/* hub_http.h - HEAD and GET as the Hub wants them: redirects by hand, retries with back-off, resumed transfers, and a
 * token that never leaves its host. The only header between hub.c and curl.
 *
 *     struct hub_http *http = hub_http_open(&env, "distilgpt2", options, err);
 *     struct hub_answer answer;
 *     if (hub_http_head(http, url, &answer, err) < 0) ...        no answer: answer.trouble says of what kind
 *     if (answer.status == 200 || answer.status / 100 == 3) ...  answer.commit, answer.etag, answer.size
 *     hub_http_close(http);
 *
 * The env and options must outlive it. One transfer at a time; the connection is kept between them. */
#ifndef SWEEP_HUB_HTTP_H
#define SWEEP_HUB_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "hub.h"
#include "hub_env.h"

enum hub_trouble {
	HUB_FINE,
	HUB_UNREACHABLE, /* no network, or the server is down or busy after all retries: a cached copy may serve */
	HUB_REFUSED,     /* the server answered with a status that ends the matter (401, 403, 404 ...) */
	HUB_DAMAGED,     /* other bytes than announced: throw them away and begin again */
	HUB_LOCAL,       /* our side: disk full, a bad URL, a certificate that is not trusted */
	HUB_CANCELLED
};

/* The last response of a request, in plain arrays: a member longer than its array is cut. */
struct hub_answer {
	enum hub_trouble trouble;
	int status;
	char commit[64];         /* X-Repo-Commit */
	char etag[160];          /* X-Linked-Etag, else ETag; without W/ and quotes */
	int64_t size;            /* X-Linked-Size, else Content-Length; -1 when neither is there */
	char error_code[64];     /* X-Error-Code: EntryNotFound, GatedRepo ... */
	char error_message[256]; /* X-Error-Message */
	bool sent_token;         /* with the first request */
	int64_t resumed;         /* GET: bytes that were there before and stayed */
};

struct hub_http;
struct hub_http *hub_http_open(const struct hub_env *env, const char *name, const struct hub_options *options,
			       struct err *err);
void hub_http_close(struct hub_http *http);

/* Follows redirects that name no host (a renamed repository), and stops at others, as huggingface_hub does. 0 for every
 * status that an answer can be made of, 4xx too; -1 and a sentence when none came. */
int hub_http_head(struct hub_http *http, const char *url, struct hub_answer *answer, struct err *err);

/* GETs the file of `total` bytes into fd, which holds its first bytes from an earlier try already (or none), following
 * redirects anywhere; with_token: the token goes to the endpoint's own host, never to another. Broken and stalled
 * transfers are resumed. -1 with answer.trouble; HUB_REFUSED leaves err to the caller. */
int hub_http_get(struct hub_http *http, const char *url, bool with_token, const char *file, int fd, int64_t total,
		 struct hub_answer *answer, struct err *err);

/* Tells options->progress of a file; GET itself says BEGIN and MOVE, END and FAIL are for the caller,
 * who checks the bytes. */
void hub_http_show(struct hub_http *http, const struct hub_progress *progress);

/* GETs a text of at most max bytes (the Hub's API). As hub_http_get. */
int hub_http_text(struct hub_http *http, const char *url, size_t max, struct buf *text, struct hub_answer *answer,
		  struct err *err);

/* Seconds after which one operation that is to bring so many bytes is given up, however often it got a little further. */
int64_t hub_http_patience(int64_t bytes, int timeout);

/* text with every byte but letters, digits and -_.~ (and, if asked, `/`) as %XX. The caller frees. */
char *hub_http_quote(const char *text, bool keep_slash);

void hub_http_notice(struct hub_http *http, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool hub_http_cancelled(struct hub_http *http);
/* Waits, asking options->cancelled. -1 when cancelled. */
int hub_http_sleep(struct hub_http *http, int64_t milliseconds);

#endif
