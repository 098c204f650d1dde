/* hub_transfer.h - one file from a URL to its place, whole and verified, or not at all.
 *
 *     struct hub_transfer t = {.http = http, .url = url, .with_token = true, .file = "model.safetensors",
 *                              .place = blob, .lock = lock, .digest = etag, .size = size};
 *     if (hub_transfer_run(&t, &answer, err) < 0) ...      answer.trouble == HUB_REFUSED leaves the sentence to you
 *
 * Nothing is kept of *t. */
#ifndef SWEEP_HUB_TRANSFER_H
#define SWEEP_HUB_TRANSFER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "hub_http.h"

struct hub_transfer {
	struct hub_http *http;
	const char *url;
	bool with_token;    /* send the token, if the URL is the endpoint's */
	const char *file;   /* its name for people */
	const char *place;  /* absolute; <place>.incomplete while it comes, and after a transfer that broke */
	const char *lock;   /* absolute: the lock file of this place */
	const char *digest; /* 64 hex digits: SHA-256; 40: SHA-1 as a git blob */
	int64_t size;
	bool verify; /* check also what is there already */
};

/* 0: the file is at its place, from now or from before. Waits for another process that fetches the same. */
int hub_transfer_run(const struct hub_transfer *t, struct hub_answer *answer, struct err *err);

#endif
