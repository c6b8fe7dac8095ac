// Rules that compare an output with its source: nothing lost, nothing added, what was kept is the same.
#include <algorithm>
#include <cmath>

#include "engine/verify_rules.h"
#include "formats/weights.h"

namespace strata::rule {
namespace {

// Largest weight error, relative to the weights, that a number format of at least 3 bits makes; a decoded
// weight that is further away has a wrong scale or belongs to another model.
constexpr double largest_error = 0.5;

bool is_wide_float(Dtype dtype) {
  return dtype == Dtype::bf16 || dtype == Dtype::f16 || dtype == Dtype::f32 || dtype == Dtype::f64;
}

// A Linear that was asked to be BF16 is the source's weight, rounded.
bool is_cast(const VerifyContext& context, const TensorInfo& from, const TensorInfo& to) {
  return context.dense.contains(to.name) && to.dtype == Dtype::bf16 && is_wide_float(from.dtype) &&
         from.dtype != Dtype::bf16;
}

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
  const auto ours = [](const std::string& key) { return key == "quantization_config" || key == "compression_config"; };
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

// Decodes a Linear as a kernel would and gives its distance from the source, relative to the weights.
double decoded_error(const VerifyContext& context, const LinearSpec& linear, const TensorInfo& from) {
  const NumberFormat& format = *context.format(linear);
  const Checkpoint& output = context.output.checkpoint;
  const Shape shape = {linear.out, linear.in};
  std::vector<Field> fields;
  std::vector<std::vector<std::byte>> bytes;
  for (const Field& field : format.fields(shape, Dtype::bf16, ScaleRule::minmax)) {
    const TensorInfo& tensor = output.at(linear.module + "." + field.suffix);
    fields.push_back({field.suffix, tensor.dtype, tensor.shape});
    bytes.emplace_back(tensor.bytes);
    output.read(tensor, bytes.back());
  }
  const std::vector<std::span<const std::byte>> views(bytes.begin(), bytes.end());
  std::vector<float> decoded(element_count(shape).value());
  format.decode(fields, views, shape, decoded);
  std::vector<std::byte> original(from.bytes);
  context.source->read(from, original);
  const EncodeError error = encode_error({original.data(), from.dtype, linear.out, linear.in}, decoded);
  return error.squared_weight == 0 ? 0 : std::sqrt(error.squared_error / error.squared_weight);
}

}  // namespace

void coverage(const VerifyContext& context, Findings& findings) {
  const Checkpoint& output = context.output.checkpoint;
  for (const TensorInfo& tensor : context.source->tensors()) {
    if (output.find(tensor.name) != nullptr) continue;
    const std::string_view name = tensor.name;
    const bool quantized = name.ends_with(".weight") && output.find(fmt::format("{}_packed", name)) != nullptr;
    if (!quantized) findings.add(tensor.name, "is in the source, but not in the output");
  }
  for (const TensorInfo& tensor : output.tensors())
    if (!context.fields.contains(tensor.name) && context.source->find(tensor.name) == nullptr)
      findings.add(tensor.name, "is not in the source");
}

void kept_bytes(const VerifyContext& context, Findings& findings) {
  for (const TensorInfo& tensor : context.output.checkpoint.tensors()) {
    const TensorInfo* const from = context.source->find(tensor.name);
    if (context.fields.contains(tensor.name) || from == nullptr) continue;  // the latter is for `coverage`
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

void weight_error(const VerifyContext& context, Findings& findings) {
  double largest = 0;
  std::string where;
  for (const auto& layer : context.layers)
    for (const LinearSpec* linear : layer) {
      const NumberFormat* const format = context.format(*linear);
      const TensorInfo* const from = context.source->find(linear->module + ".weight");
      if (format == nullptr || from == nullptr || !is_wide_float(from->dtype)) continue;
      if (from->shape != Shape{linear->out, linear->in}) continue;
      check_interrupt(context.stop);
      double error = 0;
      try {
        error = decoded_error(context, *linear, *from);
      } catch (const Error& broken) {
        if (broken.fault != Fault::input) throw;
        findings.add(linear->module, "cannot be decoded: {}", broken.what());
        continue;
      }
      if (!(error <= largest_error))
        findings.add(linear->module,
                     "decoded weights differ from the source's by {:.3g} of their size, expected at most {}", error,
                     largest_error);
      if (!(error > largest)) continue;
      largest = error;
      where = linear->module;
    }
  if (!where.empty()) findings.fact("largest weight error", fmt::format("{:.4f} ({})", largest, where));
}

}  // namespace strata::rule
