// NVFP4A16: the weights of NVFP4, activations left alone.
#include "formats/weight/nvfp4_weight.h"

namespace strata::number {

extern const NumberFormat nvfp4a16 = nvfp4_format({
    .name = "NVFP4A16",
    .summary = "FP4 weights, FP8 scale per 16, activations untouched",
    .floor = {20, "20.4 to 20.7: a scale for 16 keeps tails away from the others"},
    .serving = {.vllm = "SM75 and newer (Marlin)",
                .vllm_experts = true,
                .transformers = "5.15",
                .transformers_drops = "weight_global_scale"},
});

}  // namespace strata::number
