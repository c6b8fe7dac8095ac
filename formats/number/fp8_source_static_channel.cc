// FP8_SOURCE_STATIC_CHANNEL: FP8_SOURCE_STATIC with the scale of the tensor repeated a row, for matrices that are
// served as one while their scales differ: loaders would requantize them to the largest.
#include "formats/weight/fp8_weight.h"

namespace strata::number {
namespace {

constexpr Fp8Layout layout{.scale = Fp8Scale::channel, .input_scale = true};

}  // namespace

extern const NumberFormat fp8;

extern const NumberFormat fp8_source_static_channel = fp8_source_format<layout>({
    .name = "FP8_SOURCE_STATIC_CHANNEL",
    .summary = "FP8_SOURCE_STATIC with the scale repeated per row, where fused scales differ",
    .floor = {100, "codes are the source's: what decodes to other numbers was not copied"},
    .stores_as = &fp8,
    .serving = {.vllm = "SM89 and newer; SM75 and newer as W8A16", .transformers = "5.15"},
});

}  // namespace strata::number
