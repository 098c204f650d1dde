/* hub_http.c - the only file that includes curl: one request at a time.
 *
 * A request is a chain of hops (redirects, followed by hand in `attempt`), and an operation is a chain of attempts
 * (`persist`). By hand, because two rules decide about safety and must be seen in one place: the token goes only to the
 * origin (scheme, host and port) of the endpoint and is never sent again after the chain has left it; and a HEAD stops
 * at a redirect to another host, whose Location is the CDN's signed address and whose headers are the metadata.
 *
 * A GET always starts from the Hub's own URL again, so that a signed CDN address that has run out is renewed by itself.
 * Bytes arrive straight in the file. `have` counts them over all attempts: an attempt that brings new ones resets the
 * count of failures, so that a long transfer over a bad line ends, and a dead server is given up after a few tries.
 *
 * A stall is found by our own clock (no byte for HF_HUB_DOWNLOAD_TIMEOUT seconds), since curl's low-speed limit works
 * on an average over several seconds. That one is set as well, against a server that drips; an attempt slower than it
 * counts as a failure although it brought bytes, and a file as a whole has a time that grows with its size
 * (hub_http_patience). What has come stays, so that giving up loses nothing. */
#include "hub_http.h"

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

#define HOPS_MAX     10
#define FAILURES_MAX 5                   /* attempts in a row without a new byte */
#define CONNECTS_MAX 3                   /* the same when there is not even a connection */
#define ATTEMPTS_MAX 200                 /* in all */
#define BACKOFF_MS   500                 /* doubles with each failure in a row */
#define WAIT_MAX_S   120                 /* a Retry-After beyond this is not waited for */
#define DRIP_BYTES   1024                /* bytes a second: slower than any line, over */
#define DRIP_TIMES   3                   /* so many times the time-out */
#define HEADERS_MAX  ((size_t)256 << 10) /* bytes of all headers of an answer; the Hub's are a few kilobytes */
#define PAGE_MAX     ((size_t)1 << 20)   /* bytes of the page of an error or a redirect, which nobody reads */
#define REDRAW_MS    100
/* How long one file may take in all: ten minutes (60 time-outs), and a second for each 8 KB (a tenth of a bad line). */
#define PATIENCE_TIMES 60
#define PATIENCE_BYTES 8192

struct hub_http {
	/* Of the present hop: each has its own. Before 8.0 (Debian 12 has 7.88) a handle that is used again remembers the last
	 * header of the answer before, which is freed, and a server whose first header is folded makes it read that. */
	CURL *curl;
	CURLSH *share; /* the connections, which outlive a hop */
	CURLU *endpoint;
	const struct hub_env *env;
	const struct hub_options *options;
	const char *name; /* of the repository, for sentences */
	char curl_error[CURL_ERROR_SIZE];
};

/* One operation in flight: where the bytes go, and what the callbacks found out. */
struct flight {
	struct hub_http *http;
	struct hub_answer *answer;
	const char *file; /* NULL: no progress to show */
	bool head, with_token;
	int fd;           /* or -1 */
	struct buf *text; /* or NULL */
	size_t text_max;
	int64_t have, total, resumed;
	/* of the present attempt and hop */
	bool started; /* the first byte of a body that we want has come */
	bool asked_range;
	int64_t range_start; /* of Content-Range, -1 without */
	int64_t length;      /* Content-Length, -1 without */
	int64_t linked_size;
	char linked_etag[160];
	bool stalled, cancelled, too_long, wrong_range, page_long, out_of_patience;
	size_t header_bytes, page_bytes;
	int write_errno;
	int64_t seen_bytes, seen_ms, drawn_ms;
	int64_t begun_ms, end_ms; /* of the operation: end_ms is where patience ends */
};

void hub_http_notice(struct hub_http *http, const char *format, ...)
{
	if (!http->options->notice)
		return;
	char text[1200];
	va_list ap;
	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	http->options->notice(http->options->ctx, text);
}

bool hub_http_cancelled(struct hub_http *http)
{
	return http->options->cancelled && http->options->cancelled(http->options->ctx);
}

int hub_http_sleep(struct hub_http *http, int64_t milliseconds)
{
	for (int64_t end = clock_ms() + milliseconds, left; (left = end - clock_ms()) > 0;) {
		if (hub_http_cancelled(http))
			return -1;
		int64_t slice = left < 50 ? left : 50;
		struct timespec t = {slice / 1000, slice % 1000 * 1000000};
		nanosleep(&t, NULL);
	}
	return hub_http_cancelled(http) ? -1 : 0;
}

char *hub_http_quote(const char *text, bool keep_slash)
{
	struct buf out = BUF_INIT;
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
			     strchr("-_.~", *p) || (keep_slash && *p == '/');
		if (plain)
			buf_addc(&out, (char)*p);
		else
			buf_printf(&out, "%%%02X", *p);
	}
	return buf_detach(&out);
}

struct hub_http *hub_http_open(const struct hub_env *env, const char *name, const struct hub_options *options,
			       struct err *err)
{
	struct hub_http *http = mem_zero(1, sizeof *http);
	http->env = env;
	http->name = name;
	http->options = options;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
		free(http);
		err_set(err, ERR_SYSTEM, "libcurl cannot be started");
		return NULL;
	}
	http->share = curl_share_init();
	http->endpoint = curl_url();
	if (!http->share || !http->endpoint ||
	    curl_share_setopt(http->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_CONNECT) != CURLSHE_OK ||
	    curl_share_setopt(http->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS) != CURLSHE_OK ||
	    curl_share_setopt(http->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION) != CURLSHE_OK)
		err_set(err, ERR_SYSTEM, "libcurl cannot be started");
	else if (curl_url_set(http->endpoint, CURLUPART_URL, env->endpoint, 0) != CURLUE_OK)
		err_set(err, ERR_INPUT, "HF_ENDPOINT is `%s`, which is no URL", env->endpoint);
	else
		return http;
	hub_http_close(http);
	return NULL;
}

void hub_http_close(struct hub_http *http)
{
	if (!http)
		return;
	curl_url_cleanup(http->endpoint);
	curl_easy_cleanup(http->curl);
	curl_share_cleanup(http->share);
	curl_global_cleanup();
	free(http);
}

/* ---- URLs */

static bool same_part(CURLU *a, CURLU *b, CURLUPart part)
{
	char *x = NULL, *y = NULL;
	bool same = curl_url_get(a, part, &x, CURLU_DEFAULT_PORT) == CURLUE_OK &&
		    curl_url_get(b, part, &y, CURLU_DEFAULT_PORT) == CURLUE_OK && strcasecmp(x, y) == 0;
	curl_free(x);
	curl_free(y);
	return same;
}

static bool same_origin(CURLU *a, CURLU *b)
{
	return same_part(a, b, CURLUPART_SCHEME) && same_part(a, b, CURLUPART_HOST) && same_part(a, b, CURLUPART_PORT);
}

static bool has_scheme(CURLU *url, const char *scheme)
{
	char *text = NULL;
	bool yes = curl_url_get(url, CURLUPART_SCHEME, &text, 0) == CURLUE_OK && strcasecmp(text, scheme) == 0;
	curl_free(text);
	return yes;
}

/* True when a Location names a host of its own: it has a scheme, or starts with two slashes. */
static bool names_host(const char *location)
{
	size_t scheme = strcspn(location, ":/?#");
	return location[scheme] == ':' || strncmp(location, "//", 2) == 0;
}

/* ---- what curl calls while a transfer runs */

/* What a server says may end up on a terminal: control characters do not pass. */
static void copy_value(char *to, size_t room, const char *value, size_t n)
{
	if (n >= room)
		n = room - 1;
	for (size_t i = 0; i < n; i++)
		to[i] = (unsigned char)value[i] < ' ' || value[i] == 127 ? '?' : value[i];
	to[n] = '\0';
}

static void copy_etag(char *to, size_t room, const char *value, size_t n)
{
	if (n >= 2 && (value[0] == 'W' || value[0] == 'w') && value[1] == '/') {
		value += 2;
		n -= 2;
	}
	if (n >= 2 && value[0] == '"' && value[n - 1] == '"') {
		value++;
		n -= 2;
	}
	copy_value(to, room, value, n);
}

static int64_t whole_number(const char *value)
{
	char *end;
	errno = 0;
	long long number = strtoll(value, &end, 10);
	return errno || end == value || *end || number < 0 ? -1 : number;
}

static void begin_response(struct flight *f)
{
	f->answer->etag[0] = f->answer->error_code[0] = f->answer->error_message[0] = '\0';
	f->range_start = f->length = -1;
}

static void read_header(struct flight *f, const char *name, const char *value, size_t n)
{
	struct hub_answer *a = f->answer;
	char number[32];
	copy_value(number, sizeof number, value, n);
	if (strcasecmp(name, "x-repo-commit") == 0)
		copy_value(a->commit, sizeof a->commit, value, n);
	else if (strcasecmp(name, "etag") == 0)
		copy_etag(a->etag, sizeof a->etag, value, n);
	else if (strcasecmp(name, "x-linked-etag") == 0)
		copy_etag(f->linked_etag, sizeof f->linked_etag, value, n);
	else if (strcasecmp(name, "x-linked-size") == 0)
		f->linked_size = whole_number(number);
	else if (strcasecmp(name, "content-length") == 0)
		f->length = whole_number(number);
	else if (strcasecmp(name, "content-range") == 0)
		f->range_start = n > 6 && strncasecmp(value, "bytes ", 6) == 0 ? strtoll(number + 6, NULL, 10) : -1;
	else if (strcasecmp(name, "x-error-code") == 0)
		copy_value(a->error_code, sizeof a->error_code, value, n);
	else if (strcasecmp(name, "x-error-message") == 0)
		copy_value(a->error_message, sizeof a->error_message, value, n);
}

/* One header line, not NUL-terminated; a status line begins a new response. */
static size_t on_header(char *line, size_t size, size_t count, void *ctx)
{
	struct flight *f = ctx;
	size_t n = size * count, whole = n;
	f->header_bytes += n;
	if (f->header_bytes > HEADERS_MAX)
		return 0;
	if (n >= 5 && strncasecmp(line, "HTTP/", 5) == 0) {
		begin_response(f);
		return whole;
	}
	const char *colon = memchr(line, ':', n);
	char name[32];
	if (!colon || (size_t)(colon - line) >= sizeof name)
		return whole;
	copy_value(name, sizeof name, line, (size_t)(colon - line));
	const char *value = colon + 1, *end = line + n;
	while (value < end && (*value == ' ' || *value == '\t'))
		value++;
	while (end > value && strchr(" \t\r\n", end[-1]))
		end--;
	read_header(f, name, value, (size_t)(end - value));
	return whole;
}

/* The first bytes of a body: does it start where our file ends? */
static bool begin_body(struct flight *f, long status)
{
	f->started = true;
	if (status == 206 && f->asked_range && f->range_start == f->have)
		return true;
	if (status == 206) {
		f->wrong_range = true;
		return false;
	}
	if (f->have > 0 && f->fd >= 0) { /* the server knows no ranges: from the start */
		if (ftruncate(f->fd, 0) < 0 || lseek(f->fd, 0, SEEK_SET) < 0) {
			f->write_errno = errno;
			return false;
		}
		f->have = f->resumed = 0;
	}
	return true;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *ctx)
{
	struct flight *f = ctx;
	size_t n = size * count, left = n;
	long status = 0;
	curl_easy_getinfo(f->http->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200 && status != 206) { /* the page of a redirect or an error: not ours */
		f->page_bytes += n;
		f->page_long = f->page_bytes > PAGE_MAX;
		return f->page_long ? 0 : n;
	}
	if (!f->started && !begin_body(f, status))
		return 0;
	if (f->text) {
		f->too_long = f->text->size + n > f->text_max;
		if (f->too_long)
			return 0;
		buf_add(f->text, bytes, n);
		return n;
	}
	f->too_long = f->fd >= 0 && f->have + (int64_t)n > f->total;
	if (f->too_long)
		return 0;
	while (f->fd >= 0 && left) {
		ssize_t done = write(f->fd, bytes + (n - left), left);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0) {
			f->write_errno = errno;
			return 0;
		}
		left -= (size_t)done;
		f->have += done;
	}
	return n;
}

void hub_http_show(struct hub_http *http, const struct hub_progress *progress)
{
	if (http->options->progress)
		http->options->progress(http->options->ctx, progress);
}

static void show(struct flight *f, enum hub_state state)
{
	if (!f->file)
		return;
	struct hub_progress progress = {
		.state = state, .file = f->file, .done = f->have, .total = f->total, .resumed = f->resumed};
	hub_http_show(f->http, &progress);
}

/* Called at least once a second, also when nothing moves. */
static int on_progress(void *ctx, curl_off_t total, curl_off_t received, curl_off_t up_total, curl_off_t up)
{
	(void)total, (void)up_total, (void)up;
	struct flight *f = ctx;
	int64_t now = clock_ms();
	if (received != f->seen_bytes) {
		f->seen_bytes = received;
		f->seen_ms = now;
	}
	int timeout = f->head ? f->http->env->head_timeout : f->http->env->get_timeout;
	f->stalled = now - f->seen_ms > (int64_t)timeout * 1000;
	f->cancelled = hub_http_cancelled(f->http);
	f->out_of_patience = now > f->end_ms;
	if (f->started && now - f->drawn_ms >= REDRAW_MS) {
		f->drawn_ms = now;
		show(f, HUB_MOVE);
	}
	return f->stalled || f->cancelled || f->out_of_patience;
}

/* ---- one hop, one attempt, all attempts */

static CURLcode hop(struct flight *f, const char *url, bool token)
{
	struct hub_http *http = f->http;
	CURL *curl = curl_easy_init();
	int timeout = f->head ? http->env->head_timeout : http->env->get_timeout;
	struct curl_slist *headers = curl_slist_append(NULL, "Accept-Encoding: identity");
	char range[48];
	curl_easy_cleanup(http->curl);
	http->curl = curl;
	if (!curl) {
		curl_slist_free_all(headers);
		return CURLE_OUT_OF_MEMORY;
	}
	if (token) {
		char *line = mem_printf("authorization: Bearer %s", http->env->token);
		headers = curl_slist_append(headers, line);
		explicit_bzero(line, strlen(line));
		free(line);
	}
	curl_easy_setopt(curl, CURLOPT_SHARE, http->share);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "sweep/" SWEEP_VERSION " libcurl/" LIBCURL_VERSION);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, http->curl_error);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)timeout);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, (long)DRIP_BYTES);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)timeout * DRIP_TIMES);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, f);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, f);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, f);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	if (f->head)
		curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
	const char *bundle = getenv("REQUESTS_CA_BUNDLE"); /* where Python's side looks for a company's certificates */
	if (!bundle || !*bundle)
		bundle = getenv("CURL_CA_BUNDLE");
	if (bundle && *bundle)
		curl_easy_setopt(curl, CURLOPT_CAINFO, bundle);
	f->asked_range = f->fd >= 0 && f->have > 0;
	if (f->asked_range) {
		snprintf(range, sizeof range, "%" PRId64 "-", f->have);
		curl_easy_setopt(curl, CURLOPT_RANGE, range);
	}
	f->started = f->stalled = f->cancelled = f->too_long = f->wrong_range = f->page_long = false;
	f->header_bytes = f->page_bytes = 0;
	f->write_errno = 0;
	f->seen_bytes = 0;
	f->seen_ms = f->drawn_ms = clock_ms();
	http->curl_error[0] = '\0';
	CURLcode code = curl_easy_perform(curl);
	curl_slist_free_all(headers);
	return f->page_long ? CURLE_OK : code; /* status and headers are here, and that page is of no use */
}

/* The next URL of the chain into *at; true when there is one to follow. -1: not to be followed, err says why. */
static int next_hop(struct flight *f, CURLU *at, struct err *err)
{
	const struct curl_header *h = NULL;
	if (f->answer->status / 100 != 3 || f->answer->status == 304 ||
	    curl_easy_header(f->http->curl, "Location", 0, CURLH_HEADER, -1, (struct curl_header **)&h) != CURLHE_OK)
		return 0;
	if (f->head && names_host(h->value))
		return 0;
	bool secure = has_scheme(at, "https");
	if (curl_url_set(at, CURLUPART_URL, h->value, 0) != CURLUE_OK ||
	    (!has_scheme(at, "https") && !has_scheme(at, "http")))
		return err_set(err, ERR_SYSTEM, "%s: the server redirects to `%.200s`, which is no address on the web",
			       f->http->name, h->value);
	if (secure && !has_scheme(at, "https"))
		return err_set(err, ERR_SYSTEM,
			       "%s: the server redirects from https to an address without encryption, "
			       "`%.200s`, which is not followed",
			       f->http->name, h->value);
	return 1;
}

/* One request with its redirects. Returns curl's verdict on the last hop; *bad is set when err holds a sentence. */
static CURLcode attempt(struct flight *f, const char *url, bool *bad, struct err *err)
{
	CURLU *at = curl_url();
	CURLcode code = CURLE_OK;
	bool home = f->with_token && f->http->env->token;
	*f->answer = (struct hub_answer){.size = -1};
	f->linked_etag[0] = '\0';
	f->linked_size = -1;
	*bad = false;
	if (!at || curl_url_set(at, CURLUPART_URL, url, 0) != CURLUE_OK) {
		err_set(err, ERR_INPUT, "`%s` is no URL", url);
		*bad = true;
	}
	for (int hops = 0; !*bad; hops++) {
		char *text = NULL;
		home = home && same_origin(at, f->http->endpoint); /* once away, away */
		if (hops == 0)
			f->answer->sent_token = home;
		if (curl_url_get(at, CURLUPART_URL, &text, 0) != CURLUE_OK)
			BUG("a URL that curl has taken apart cannot be put together");
		begin_response(f);
		code = hop(f, text, home);
		curl_free(text);
		long status = 0;
		curl_easy_getinfo(f->http->curl, CURLINFO_RESPONSE_CODE, &status);
		f->answer->status = (int)status;
		if (code != CURLE_OK)
			break;
		int more = next_hop(f, at, err);
		if (more == 0)
			break;
		if (more > 0 && hops == HOPS_MAX)
			more = err_set(err, ERR_SYSTEM, "%s: the server redirects in a circle", f->http->name);
		*bad = more < 0;
	}
	if (f->linked_etag[0])
		copy_value(f->answer->etag, sizeof f->answer->etag, f->linked_etag, strlen(f->linked_etag));
	f->answer->size = f->linked_size >= 0 ? f->linked_size : f->length;
	curl_url_cleanup(at);
	return code;
}

static bool is_connect_error(CURLcode code)
{
	return code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_RESOLVE_PROXY ||
	       code == CURLE_COULDNT_CONNECT;
}

static bool is_passing_error(CURLcode code)
{
	return is_connect_error(code) || code == CURLE_OPERATION_TIMEDOUT || code == CURLE_GOT_NOTHING ||
	       code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR || code == CURLE_PARTIAL_FILE ||
	       code == CURLE_HTTP2 || code == CURLE_HTTP2_STREAM || code == CURLE_SSL_CONNECT_ERROR ||
	       code == CURLE_WEIRD_SERVER_REPLY;
}

static bool is_passing_status(int status)
{
	return status == 408 || status == 429 || status >= 500;
}

/* Judges an attempt: HUB_FINE, HUB_UNREACHABLE when another may help, or what ends the operation. Fills err. */
static enum hub_trouble judge(struct flight *f, CURLcode code, struct err *err)
{
	struct hub_http *http = f->http;
	const char *what = f->file ? f->file : http->name;
	int status = f->answer->status;
	if (f->cancelled) {
		err_set(err, ERR_SYSTEM, "interrupted; the same command goes on where this one stopped");
		return HUB_CANCELLED;
	}
	if (f->write_errno) {
		bool full = f->write_errno == ENOSPC || f->write_errno == EDQUOT;
		errno = f->write_errno;
		err_errno(err, "cannot store %s", what);
		if (full)
			err_set(err, ERR_SYSTEM,
				"the disk is full: %s has %" PRId64 " of %" PRId64 " bytes; make room and "
				"run the same command, it goes on from there",
				what, f->have, f->total);
		return HUB_LOCAL;
	}
	if (f->too_long || f->wrong_range || (status == 416 && f->fd >= 0)) {
		err_set(err, ERR_SYSTEM, "%s: the server sends other bytes than it announced", what);
		return HUB_DAMAGED;
	}
	if (f->out_of_patience) {
		int minutes = (int)((clock_ms() - f->begun_ms) / 60000);
		if (f->fd >= 0)
			err_set(err, ERR_SYSTEM,
				"%s: the server is too slow, %" PRId64 " of %" PRId64
				" bytes are here after %d minutes; the "
				"same command goes on from there",
				what, f->have, f->total, minutes);
		else
			err_set(err, ERR_SYSTEM, "%s: the server is too slow, no whole answer came in %d minutes", what,
				minutes);
		return HUB_UNREACHABLE;
	}
	if (f->header_bytes > HEADERS_MAX) {
		err_set(err, ERR_SYSTEM, "%s: the server sends headers without end; is HF_ENDPOINT a Hugging Face Hub?",
			what);
		return HUB_UNREACHABLE;
	}
	if (f->stalled) {
		err_set(err, ERR_SYSTEM, "%s: no byte came from the server for %d seconds", what,
			f->head ? http->env->head_timeout : http->env->get_timeout);
		return HUB_UNREACHABLE;
	}
	if (code != CURLE_OK) {
		const char *why = http->curl_error[0] ? http->curl_error : curl_easy_strerror(code);
		if (is_connect_error(code))
			err_set(err, ERR_SYSTEM,
				"no connection: %s; check the network (and https_proxy), or set HF_ENDPOINT "
				"to a mirror",
				why);
		else
			err_set(err, ERR_SYSTEM, "%s: the transfer failed: %s", what, why);
		return is_passing_error(code) ? HUB_UNREACHABLE : HUB_LOCAL;
	}
	if (is_passing_status(status)) {
		err_set(err, ERR_SYSTEM, "%s: the server answers %d (%s)", what, status,
			status == 429 ? "too many requests" : "it is down or overloaded");
		return HUB_UNREACHABLE;
	}
	if (f->head)
		return HUB_FINE;
	if (status != 200 && status != 206)
		return HUB_REFUSED;
	if (f->fd >= 0 && f->have != f->total) {
		err_set(err, ERR_SYSTEM, "%s: the server announced %" PRId64 " bytes and sent %" PRId64, what, f->total,
			f->have);
		return HUB_DAMAGED;
	}
	return HUB_FINE;
}

/* Milliseconds before the next attempt: what the server asks for, else doubling; -1 when it asks too much. */
static int64_t pause_before(struct flight *f, CURLcode code, int failures, struct err *err)
{
	curl_off_t asked = 0;
	const struct curl_header *h = NULL;
	bool has = code == CURLE_OK && curl_easy_header(f->http->curl, "Retry-After", 0, CURLH_HEADER, -1,
							(struct curl_header **)&h) == CURLHE_OK;
	if (!has)
		return (int64_t)BACKOFF_MS << (failures > 0 ? failures - 1 : 0);
	curl_easy_getinfo(f->http->curl, CURLINFO_RETRY_AFTER, &asked);
	if (asked > WAIT_MAX_S) {
		char said[sizeof err->text];
		memcpy(said, err->text, sizeof said);
		err_set(err, ERR_SYSTEM, "%.900s and asks us to come back in %lld seconds; try again then", said,
			(long long)asked);
		return -1;
	}
	return (int64_t)asked * 1000;
}

int64_t hub_http_patience(int64_t bytes, int timeout)
{
	return (int64_t)timeout * PATIENCE_TIMES + bytes / PATIENCE_BYTES;
}

/* Whether an attempt brought as much as a line that works does: a drip is none. */
static bool has_gained(int64_t bytes, int64_t milliseconds)
{
	return bytes > 0 && bytes >= (int64_t)DRIP_BYTES * milliseconds / 1000;
}

static int persist(struct flight *f, const char *url, struct err *err)
{
	int timeout = f->head ? f->http->env->head_timeout : f->http->env->get_timeout, failures = 0;
	f->begun_ms = clock_ms();
	f->end_ms = f->begun_ms + 1000 * hub_http_patience(f->total - f->have, timeout);
	for (int attempts = 1;; attempts++) {
		int64_t before = f->have, start = clock_ms();
		bool bad;
		CURLcode code = attempt(f, url, &bad, err);
		f->answer->trouble = bad ? HUB_LOCAL : judge(f, code, err);
		if (f->answer->trouble == HUB_FINE)
			return 0;
		if (f->answer->trouble != HUB_UNREACHABLE)
			return -1;
		failures = has_gained(f->have - before, clock_ms() - start) ? 1 : failures + 1;
		if (f->out_of_patience)
			return -1;
		if (failures >= (is_connect_error(code) ? CONNECTS_MAX : FAILURES_MAX) || attempts >= ATTEMPTS_MAX)
			return -1;
		int64_t wait = pause_before(f, code, failures, err);
		if (wait < 0)
			return -1;
		if (clock_ms() + wait > f->end_ms)
			return -1;
		if (f->text)
			buf_clear(f->text);
		hub_http_notice(f->http, "%s; trying again in %.1f s", err->text, (double)wait / 1000);
		if (hub_http_sleep(f->http, wait) < 0) {
			f->cancelled = true;
			f->answer->trouble = judge(f, CURLE_OK, err);
			return -1;
		}
		*err = (struct err){0};
	}
}

int hub_http_head(struct hub_http *http, const char *url, struct hub_answer *answer, struct err *err)
{
	struct flight f = {.http = http, .answer = answer, .head = true, .with_token = true, .fd = -1};
	return persist(&f, url, err);
}

int hub_http_get(struct hub_http *http, const char *url, bool with_token, const char *file, int fd, int64_t total,
		 struct hub_answer *answer, struct err *err)
{
	struct flight f = {
		.http = http, .answer = answer, .with_token = with_token, .file = file, .fd = fd, .total = total};
	*answer = (struct hub_answer){.trouble = HUB_LOCAL, .size = -1};
	off_t have = lseek(fd, 0, SEEK_END);
	if (have > total) { /* cannot be the beginning of this file */
		if (ftruncate(fd, 0) < 0)
			return err_errno(err, "cannot empty the unfinished download of %s", file);
		have = lseek(fd, 0, SEEK_SET);
	}
	if (have < 0)
		return err_errno(err, "cannot read the unfinished download of %s", file);
	f.have = f.resumed = have;
	show(&f, HUB_BEGIN);
	/* An empty file needs no request; a complete one only its check. */
	int result = have == total ? 0 : persist(&f, url, err);
	if (have == total)
		answer->trouble = HUB_FINE;
	answer->resumed = f.resumed;
	return result;
}

int hub_http_text(struct hub_http *http, const char *url, size_t max, struct buf *text, struct hub_answer *answer,
		  struct err *err)
{
	struct flight f = {.http = http, .answer = answer, .with_token = true, .fd = -1, .text = text, .text_max = max};
	return persist(&f, url, err);
}
