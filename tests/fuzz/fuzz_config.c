/* fuzz_config.c - any bytes as the config.json of a model whose weights stay the same. */
#include "fuzz.h"
#include "model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool begun;
	struct model model;
	struct err err = {0};
	if (!begun)
		fuzz_copy("tests/golden/models/one_head/model.safetensors", "model.safetensors");
	begun = true;
	fuzz_write("config.json", data, size);
	if (model_load(&model, fuzz_folder(), &err) < 0)
		fuzz_refused(&err);
	else
		model_release(&model);
	return 0;
}
