// MXFP6_E3M2: FP6 with a wider range and fewer mantissa bits, for research. No checkpoint format has it: the name
// of the layout and the type in the config group are ours, so that every loader refuses instead of misreading it.
#include "formats/number_format.h"
#include "formats/weight/mx_weight.h"

namespace strata::number {
namespace {

constexpr kernels::MxElement element = kernels::MxElement::e3m2;

}  // namespace

extern const NumberFormat mxfp6_e3m2 = mx_format<element>({
    .name = "MXFP6_E3M2",
    .summary = "FP6 (E3M2) weights, power-of-two scale per 32; research only, no runtime loads it",
    .bits_per_weight = 6.25,
    .config_group = R"({"format": "mxfp6-e3m2-research", "output_activations": null, "input_activations": null,
      "weights": {"num_bits": 6, "type": "float_e3m2", "symmetric": true, "strategy": "group", "group_size": 32,
        "dynamic": false, "actorder": null, "block_structure": null, "observer": "memoryless_minmax",
        "observer_kwargs": {}, "scale_dtype": "torch.uint8", "zp_dtype": null}})",
    .floor = {25, "25.5 to 25.6: two bits of mantissa"},
});

}  // namespace strata::number
