/* fuzz_card.c - any bytes as the card of an artifact (artifact.json), in a folder that has the files of both kinds. */
#include "base/artifact.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool begun;
	struct artifact card;
	struct err err = {0};
	if (!begun) {
		fuzz_copy("tests/golden/models/one_head/adapter/adapter_model.safetensors",
			  "adapter_model.safetensors");
		fuzz_copy("tests/golden/models/one_head/adapter/adapter_config.json", "adapter_config.json");
		fuzz_write("hypotheses.jsonl", "{\"index\": 0, \"text\": \"one\"}\n", 28);
	}
	begun = true;
	fuzz_write(ARTIFACT_CARD, data, size);
	if (artifact_read(&card, fuzz_folder(), NULL, &err) < 0 ||
	    artifact_verify(&card, fuzz_folder(), ARTIFACT_BYTES, &err) < 0)
		fuzz_refused(&err);
	artifact_release(&card);
	return 0;
}
