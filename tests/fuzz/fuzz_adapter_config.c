/* fuzz_adapter_config.c - any bytes as the adapter_config.json of an adapter whose weights stay the same. */
#include "adapter.h"
#include "fuzz.h"
#include "model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct model model;
	static bool begun;
	struct adapter adapter;
	struct err err = {0};
	if (!begun) {
		char dir[1024];
		snprintf(dir, sizeof dir, "%s/tests/golden/models/one_head", fuzz_source());
		if (model_load(&model, dir, &err) < 0)
			BUG("%s", err.text);
		fuzz_copy("tests/golden/models/one_head/adapter/adapter_model.safetensors",
			  "adapter_model.safetensors");
	}
	begun = true;
	fuzz_write("adapter_config.json", data, size);
	if (adapter_load(&adapter, fuzz_folder(), &model, &err) < 0)
		fuzz_refused(&err);
	else
		adapter_release(&adapter);
	return 0;
}
