// Rules that compare an output with its source: nothing lost, nothing added, what was kept is the same.
#include <algorithm>

#include "engine/verify_rules.h"
#include "formats/other_quantization.h"
#include "formats/weights.h"

namespace strata::rule {
namespace {

bool is_wide_float(Dtype dtype) {
  return dtype == Dtype::bf16 || dtype == Dtype::f16 || dtype == Dtype::f32 || dtype == Dtype::f64;
}

// A Linear that was asked to be BF16 is the source's weight, rounded.
bool is_cast(const VerifyContext& context, const TensorInfo& from, const TensorInfo& to) {
  return context.dense.contains(to.name) && to.dtype == Dtype::bf16 && is_wide_float(from.dtype) &&
         from.dtype != Dtype::bf16;
}

// Measured for the output, never taken over; the rule `kv-cache` looks at them.
bool is_cache_scale(std::string_view name) { return name.ends_with(".k_scale") || name.ends_with(".v_scale"); }

void compare(const VerifyContext& context, const TensorInfo& tensor, const TensorInfo& from, Findings& findings) {
  const bool cast = is_cast(context, from, tensor);
  const std::uint64_t ratio = cast ? from.bytes / tensor.bytes : 1;
  std::vector<std::byte> expected, raw;
  std::vector<float> wide;
  read_pieces(context.output.checkpoint, tensor, context.stop, [&](std::span<const std::byte> piece, std::uint64_t at) {
    raw.resize(piece.size() * ratio);
    context.source->read(from, raw, at * ratio);
    if (cast) {
      expected.resize(piece.size());
      wide.resize(piece.size() / 2);
      widen(from.dtype, raw, wide);
      to_bf16(wide, expected);
    } else {
      std::swap(expected, raw);
    }
    const auto [here, there] = std::ranges::mismatch(piece, expected);
    if (here == piece.end()) return true;
    findings.add(tensor.name, "byte {} is 0x{:02x}, {} 0x{:02x}", at + static_cast<std::uint64_t>(here - piece.begin()),
                 std::to_integer<int>(*here), cast ? "the source rounded to BF16 has" : "the source has",
                 std::to_integer<int>(*there));
    return false;
  });
}

void compare_keys(const Config& output, const Config& source, Findings& findings) {
  const auto ours = [&](const std::string& key) { return is_quantization_key(source, key); };
  const std::vector<std::string> written = output.keys();
  const std::vector<std::string> original = source.keys();
  for (const std::string& key : original) {
    if (ours(key)) continue;
    if (std::ranges::find(written, key) == written.end()) {
      findings.add("config.json", "{} of the source is missing", key);
    } else if (key == "text_config" && source.has(key) && output.has(key)) {
      compare_keys(output.section(key), source.section(key), findings);
    } else if (output.dump(key) != source.dump(key)) {
      findings.add("config.json", "{} is {}, the source has {}", key, output.dump(key).substr(0, 80),
                   source.dump(key).substr(0, 80));
    }
  }
  for (const std::string& key : written)
    if (!ours(key) && std::ranges::find(original, key) == original.end())
      findings.add("config.json", "{} is not in the source", key);
}

}  // namespace

void coverage(const VerifyContext& context, Findings& findings) {
  const Checkpoint& output = context.output.checkpoint;
  std::unordered_set<std::string> modules;
  context.for_each_linear([&](const LinearSpec& linear, const NumberFormat*) { modules.insert(linear.module); });
  for (const TensorInfo& tensor : context.source->tensors()) {
    if (output.find(tensor.name) != nullptr || is_cache_scale(tensor.name)) continue;
    // Fields of a Linear change with its format; `claims` says which are missing.
    const std::size_t dot = tensor.name.rfind('.');
    const bool field = dot != std::string::npos && modules.contains(tensor.name.substr(0, dot));
    if (!field || tensor.name.ends_with(".bias")) findings.add(tensor.name, "is in the source, but not in the output");
  }
  for (const TensorInfo& tensor : output.tensors())
    if (!context.fields.contains(tensor.name) && !context.dense.contains(tensor.name) &&
        context.source->find(tensor.name) == nullptr && !is_cache_scale(tensor.name))
      findings.add(tensor.name, "is not in the source");
}

void kept_bytes(const VerifyContext& context, Findings& findings) {
  for (const TensorInfo& tensor : context.output.checkpoint.tensors()) {
    const TensorInfo* const from = context.source->find(tensor.name);
    if (context.fields.contains(tensor.name) || from == nullptr) continue;             // the latter is for `coverage`
    if (context.dense.contains(tensor.name) && !is_wide_float(from->dtype)) continue;  // decoded: `copied-codes`
    if (tensor.shape != from->shape || (tensor.dtype != from->dtype && !is_cast(context, *from, tensor)))
      findings.add(tensor.name, "is {} {}, the source has {} {}", dtype_name(tensor.dtype), shape_text(tensor.shape),
                   dtype_name(from->dtype), shape_text(from->shape));
    else if (tensor.bytes > 0)
      compare(context, tensor, *from, findings);
  }
}

void config_kept(const VerifyContext& context, Findings& findings) {
  compare_keys(context.output.checkpoint.config(), context.source->config(), findings);
}

void sidecars(const VerifyContext& context, Findings& findings) {
  for (const std::string& name : context.source->sidecars()) {
    const std::string copy = join_path(context.output.checkpoint.directory(), name);
    if (!exists(copy)) {
      findings.add(name, "is in the source's folder, but not in the output's");
      continue;
    }
    const std::string original = join_path(context.source->directory(), name);
    if (const std::uint64_t there = file_size(original), here = file_size(copy); here != there)
      findings.add(name, "has {} bytes, the source's has {}", here, there);
    else if (read_text(copy) != read_text(original))
      findings.add(name, "differs from the source's, although both have {} bytes", here);
  }
}

}  // namespace strata::rule
