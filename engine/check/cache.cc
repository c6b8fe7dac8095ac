// Scales of an FP8 key/value cache.
#include <cmath>

#include "engine/check/rules.h"
#include "formats/weight/weights.h"
#include "profiles/layer_questions.h"

namespace strata::rule {
namespace {

void check_value(const VerifyContext& context, const TensorInfo& tensor, Findings& findings) {
  if (!is_plain_float(tensor.dtype)) {
    findings.add(tensor.name, "is stored as {}, expected F32 or BF16", dtype_name(tensor.dtype));
    return;
  }
  if (tensor.shape.empty()) findings.note(tensor.name, "has shape [], [1] is what most tools write");
  const bool per_head = tensor.shape.size() == 3 && tensor.shape[1] == 1 && tensor.shape[2] == 1;
  if (!tensor.shape.empty() && tensor.shape != Shape{1} && !per_head) {
    findings.add(tensor.name, "has shape {}, expected [1] (or [heads, 1, 1])", shape_text(tensor.shape));
    return;
  }
  std::vector<std::byte> bytes(tensor.bytes);
  context.output.checkpoint.read(tensor, bytes);
  std::vector<float> values(element_count(tensor.shape).value());
  widen(tensor.dtype, bytes, values);
  for (const float value : values)
    if (!std::isfinite(value) || value <= 0) {
      findings.add(tensor.name, "is {}, expected a finite number above 0", value);
      return;
    }
}

void check_scheme(const Config& scheme, Findings& findings) {
  const std::string strategy = scheme.text_or("strategy", "tensor");
  const bool dynamic = scheme.has("dynamic") && scheme.dump("dynamic") != "false";
  if (scheme.integer_or("num_bits", 8) == 8 && scheme.text_or("type", "int") == "float" &&
      scheme.boolean_or("symmetric", true) && (strategy == "tensor" || strategy == "attn_head") && !dynamic)
    return;
  findings.add("config.json", "kv_cache_scheme is not static symmetric 8-bit float per tensor; vLLM serves no other");
}

}  // namespace

void cache_scales(const VerifyContext& context, Findings& findings) {
  if (!context.native.empty()) return;  // other tools say it elsewhere
  const OpenModel& output = context.output;
  const Config& config = output.checkpoint.config();
  const bool scheme = config.has("quantization_config") && config.section("quantization_config").has("kv_cache_scheme");
  if (scheme) check_scheme(config.section("quantization_config").section("kv_cache_scheme"), findings);
  for (const LayerSpec& layer : output.spec->layers) {
    const AttentionSpec* const attention = attention_of(layer);
    if (attention == nullptr) continue;
    const std::string module = attention_module(*attention);
    for (const char* const suffix : {".k_scale", ".v_scale"}) {
      const TensorInfo* const tensor = output.checkpoint.find(module + suffix);
      if (tensor != nullptr) check_value(context, *tensor, findings);
      if (scheme && tensor == nullptr)
        findings.add(module + suffix, "is missing, but config.json has a kv_cache_scheme; vLLM would take 1");
      if (!scheme && tensor != nullptr)
        findings.add(tensor->name, "is there, but config.json has no kv_cache_scheme; nobody would use it");
    }
  }
}

}  // namespace strata::rule
