/* replay.c - a target's corpus without libFuzzer, as a test of every build: replay TARGET's function on each file named. */
#include "fuzz.h"

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		struct buf text = BUF_INIT;
		struct err err = {0};
		if (buf_read_file(&text, argv[i], (size_t)1 << 30, &err) < 0)
			BUG("%s", err.text);
		LLVMFuzzerTestOneInput((const uint8_t *)buf_text(&text), text.size);
		buf_release(&text);
	}
	printf("%d inputs\n", argc - 1);
	return argc < 2;
}
