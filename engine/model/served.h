// How weights and inputs of Linears are taken: as they are stored, or as a runtime would compute with them.
#pragma once

#include "formats/number_format.h"

namespace strata {

enum class DecodeAs { f32, bf16 };  // bf16: every weight is rounded to bfloat16 after decoding, as transformers does
// Whether the inputs of Linears are quantized: not at all, or as one of the runtimes would.
enum class ActivationMode { none, vllm, transformers };

constexpr ActivationMode served_by(Runtime runtime) {
  return runtime == Runtime::vllm ? ActivationMode::vllm : ActivationMode::transformers;
}

}  // namespace strata
