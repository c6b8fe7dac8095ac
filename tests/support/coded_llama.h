// The tiny Llama with its layer's Linears stored in codes, as other tools publish them. Codes are random.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/support/tiny_checkpoint.h"

namespace strata::test {

struct CodedLinear {
  std::string module;
  std::int64_t rows = 0, cols = 0;
};

// Tensors of one Linear, by suffix.
using CodedTensors = std::map<std::string, StoredTensor>;

StoredTensor random_codes(std::int64_t rows, std::int64_t cols, unsigned seed);  // E4M3 without NaN
StoredTensor scalar(float value);                                                // F32 []
StoredTensor grid(std::int64_t rows, std::int64_t cols, float value);            // F32

// Writes the checkpoint. `quantization` is the quantization_config of config.json, empty for none; `extra` are
// further tensors.
void write_coded_llama(const std::string& folder, const std::string& quantization, std::int64_t inner,
                       const std::function<CodedTensors(const CodedLinear&)>& code,
                       const std::vector<StoredTensor>& extra = {});

inline const char* const fp8_static =
    R"({"quant_method": "fp8", "activation_scheme": "static", "weight_block_size": null})";
inline const char* const fp8_blocks =
    R"({"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]})";

CodedTensors block_coded(const CodedLinear& linear);  // 128x128
// One scale a weight, 2^-7 for all but those whose module ends with `odd`; an activation scale.
CodedTensors static_coded(const CodedLinear& linear, const std::string& odd = "none");

}  // namespace strata::test
