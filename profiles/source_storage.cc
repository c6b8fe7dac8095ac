#include "profiles/source_storage.h"

#include <algorithm>

#include "base/error.h"
#include "formats/config/other_quantization.h"

namespace strata {
namespace {

bool is_plain(const TensorInfo& tensor) {
  return tensor.dtype == Dtype::f32 || tensor.dtype == Dtype::bf16 || tensor.dtype == Dtype::f16;
}

bool names_a_linear(const QuantizationConfig& stored, const ModelSpec& spec) {
  const auto named = [&](const LinearSpec* linear) { return stored.format_of(linear->module) != nullptr; };
  const auto in = [&](const LayerSpec& layer) { return std::ranges::any_of(linears(layer), named); };
  return std::ranges::any_of(spec.layers, in) || (!spec.tied && named(&spec.head));
}

[[noreturn]] void refuse_tool(const Checkpoint& checkpoint, std::string_view tool, const TensorInfo& tensor) {
  fail(Fault::input,
       "{}: is quantized by {} ({} is {} {}); Strata reads dense weights, compressed-tensors, FP8 and ModelOpt: {}",
       checkpoint.directory(), tool, checkpoint.describe(tensor), dtype_name(tensor.dtype), shape_text(tensor.shape),
       way_out_of(tool));
}

}  // namespace

void require_known_tool(const Checkpoint& checkpoint) {
  const auto coded = std::ranges::find_if_not(checkpoint.tensors(), is_plain);
  if (coded == checkpoint.tensors().end()) return;
  const std::optional<ConfigQuantization> said = find_config_quantization(checkpoint.config());
  if (said && said->by_compressed_tensors()) return;
  if (said && !said->by_tensors()) refuse_tool(checkpoint, tool_of_method(said->method), *coded);
  for (const TensorInfo& tensor : checkpoint.tensors())
    if (const auto tool = tool_of_tensor(tensor.name)) refuse_tool(checkpoint, *tool, tensor);
}

SourceStorage find_storage(const Checkpoint& checkpoint, const ModelSpec& spec) {
  const Config& config = checkpoint.config();
  const std::optional<ConfigQuantization> said = find_config_quantization(config);
  const bool all_plain = std::ranges::all_of(checkpoint.tensors(), is_plain);
  SourceStorage storage{.stored = {}, .native = NativeRules::parse(config)};
  if (said && said->by_compressed_tensors()) storage.stored = QuantizationConfig::parse(config);
  // A config of compressed-tensors may quantize the cache alone, or nothing.
  const bool said_of_weights = said && (!said->by_compressed_tensors() || names_a_linear(storage.stored, spec));
  if (all_plain && said_of_weights) return {.stored = {}, .native = {.allowed = true}, .leftover = said->text()};
  return storage;
}

}  // namespace strata
