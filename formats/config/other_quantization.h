// What config.json says about how weights are stored, whoever wrote it, and what to do about tools whose weights Strata
// does not read.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "formats/config/config.h"
#include "formats/tensor.h"

namespace strata {

struct ConfigQuantization {
  std::string key;     // "quantization_config", "text_config.quantization_config", "compression_config", "quantization"
  std::string method;  // its quant_method; "modelopt", "bitsandbytes" or "mlx" where other keys tell; else empty

  bool by_compressed_tensors() const { return method == "compressed-tensors"; }
  bool by_tensors() const;   // Strata reads that tool's tensors by what they are (formats/storage), or no tool is named
  std::string text() const;  // "quantization_config (quant_method gptq)"
};

// The first in the order in which loaders look; nullopt when there is none. Error{input} for one that is no object.
std::optional<ConfigQuantization> find_config_quantization(const Config& config);

// Whether this key of a config says how the source's weights are stored, so that no output has it: that of MLX is
// called "quantization", which other configs may use for something else.
bool is_quantization_key(const Config& config, std::string_view key);

// The tool whose file has a tensor with this name and no other tool's has: "GPTQ" for "<module>.g_idx".
std::optional<std::string_view> tool_of_tensor(std::string_view name);

// "GPTQ" for "gptq"; as it is written where Strata does not know it.
std::string tool_of_method(std::string_view method);

// What to do about weights of that tool: "give the checkpoint that it was made from", and more where a tool unpacks
// them.
std::string way_out_of(std::string_view tool);

}  // namespace strata
