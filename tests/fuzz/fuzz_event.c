/* fuzz_event.c - any bytes as what a worker says: a line is an event or none, and an event said again is the same. */
#include "base/event.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct event event, again;
	char *line = mem_strndup((const char *)data, size); /* of its own size: a byte read too far is noticed */
	if (event_parse(line, strnlen(line, size), &event) == 0) {
		struct buf out = BUF_INIT, twice = BUF_INIT;
		event_format(&event, &out);
		if (!out.size || memchr(out.data, '\n', out.size) != out.data + out.size - 1)
			BUG("an event is not one line");
		if (event.kind != EVENT_UNKNOWN && event_parse(out.data, out.size, &again) < 0)
			BUG("what was said is not understood: %s", out.data);
		if (event.kind != EVENT_UNKNOWN) {
			event_format(&again, &twice);
			if (twice.size != out.size || memcmp(twice.data, out.data, out.size) != 0)
				BUG("%s is not %s", out.data, twice.data);
		}
		buf_release(&twice);
		buf_release(&out);
	}
	free(line);
	return 0;
}
