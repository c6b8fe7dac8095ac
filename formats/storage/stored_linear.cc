#include "formats/storage/stored_linear.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "formats/storage/scale_tensor.h"
#include "formats/weight/stored_fields.h"
#include "formats/weight/weights.h"

namespace strata {
namespace {

constexpr Dtype plain_floats[] = {Dtype::f32, Dtype::bf16, Dtype::f16};

bool is_plain_float(Dtype dtype) { return std::ranges::find(plain_floats, dtype) != std::end(plain_floats); }

std::vector<StoredPart> dense_parts(const Shape& weight) {
  return {{.field = {"weight", Dtype::bf16, weight}, .also = {Dtype::f32, Dtype::f16}}};
}

// Scales in a plain float type are stored as BF16, F16 or F32, depending on who wrote the file.
std::vector<StoredPart> format_parts(const NumberFormat& format, const Shape& weight) {
  std::vector<StoredPart> parts;
  for (Field& field : format.fields(weight, Dtype::bf16, ScaleRule::minmax)) {
    StoredPart part{.field = std::move(field)};
    if (is_plain_float(part.field.dtype)) part.also.assign(std::begin(plain_floats), std::end(plain_floats));
    // Older tools store the scale of a tensor without a dimension.
    part.scalar = is_plain_float(part.field.dtype) && part.field.shape == Shape{1};
    parts.push_back(std::move(part));
  }
  return parts;
}

constexpr std::int64_t align_up_rows(std::int64_t rows) { return (rows + 127) / 128 * 128; }

// Native files are read as teachers too, where nobody else would notice a NaN.
void require_finite(const StoredLinear& linear, std::span<const float> values) {
  if (std::isfinite(amax(values))) return;
  const auto bad = std::ranges::find_if(values, [](float value) { return !std::isfinite(value); });
  const std::int64_t at = bad - values.begin();
  fail(Fault::input, "{}.weight: is {} at row {}, column {}, as {}; the file is broken", linear.module,
       std::isnan(*bad) ? "NaN" : "beyond float32", at / linear.weight[1], at % linear.weight[1], linear.text());
}

// Scales that would make a model of NaN or of nothing are the source's fault, and are said before they are copied.
float transformed(float value, CopyStep step, const StoredLinear& linear, std::string_view suffix) {
  const float result = step == CopyStep::reciprocal ? 1.0f / value : value;
  if (!(value > 0) || !std::isfinite(value) || !std::isfinite(result))
    fail(Fault::input, "{}.{}: is {}, expected a finite number above 0; the source is broken", linear.module, suffix,
         value);
  return result;
}

// The first byte of `bytes` that is one of `values`; memchr looks at many at once.
std::optional<std::size_t> find_byte(std::span<const std::byte> bytes, std::initializer_list<unsigned char> values) {
  std::optional<std::size_t> first;
  for (const unsigned char value : values)
    if (const void* const found = bytes.empty() ? nullptr : std::memchr(bytes.data(), value, bytes.size())) {
      const auto at = static_cast<std::size_t>(static_cast<const std::byte*>(found) - bytes.data());
      first = std::min(first.value_or(at), at);
    }
  return first;
}

bool has_integers(const StoredLinear& linear) {
  return std::ranges::any_of(linear.fields,
                             [](const Field& field) { return field.dtype == Dtype::i32 || field.dtype == Dtype::i8; });
}

}  // namespace

NativeRules NativeRules::parse(const Config& config) {
  NativeRules rules{.allowed = true, .block = std::nullopt};
  const Config text = text_config(config);
  for (const Config* const holder : {&config, &text}) {
    if (!holder->has("quantization_config")) continue;
    const Config section = holder->section("quantization_config");
    rules.allowed = section.text_or("quant_method", "") != "compressed-tensors";
    if (!rules.allowed || !section.has("weight_block_size")) return rules;
    const Shape block = section.integers("weight_block_size");
    if (block.size() != 2 || block[0] < 1 || block[1] < 1)
      fail(Fault::input, "{}: weight_block_size is {}, expected two numbers above 0", section.path(),
           section.dump("weight_block_size"));
    rules.block = block;
    return rules;
  }
  if (config.has("compression_config")) rules.allowed = false;
  return rules;
}

const TensorInfo* Stem::tensor(std::string_view suffix) const {
  for (const auto& [name, tensor] : known_)
    if (name == suffix) return tensor;
  std::string name(module);
  name.append(1, '.').append(suffix);
  return known_.emplace_back(suffix, find_(name)).second;
}

bool Stem::has(std::string_view suffix, std::initializer_list<Dtype> dtypes) const {
  const TensorInfo* const found = tensor(suffix);
  return found != nullptr && std::ranges::find(dtypes, found->dtype) != dtypes.end();
}

bool StoredPart::takes(Dtype dtype) const {
  return dtype == field.dtype || std::ranges::find(also, dtype) != also.end();
}

bool StoredPart::takes(const Shape& shape) const { return scalar ? element_count(shape) == 1u : shape == field.shape; }

const Field* StoredLinear::field(std::string_view suffix) const {
  const auto found = std::ranges::find(fields, suffix, &Field::suffix);
  return found == fields.end() ? nullptr : &*found;
}

Dtype StoredLinear::weight_dtype() const { return dense() && !fields.empty() ? fields[0].dtype : Dtype::f32; }

std::string StoredLinear::text() const {
  if (format != nullptr) return std::string(format->name);
  if (storage != nullptr && storage->inputs != nullptr)
    return fmt::format("{}, {}", storage->name, storage->inputs(*this));
  if (storage != nullptr) return std::string(storage->name);
  return fields.empty() ? "nothing" : std::string(dtype_name(fields[0].dtype));
}

StoredLinear find_stored_linear(std::string_view module, const Shape& weight, const NumberFormat* format,
                                const NativeRules& native, const FindTensor& find) {
  StoredLinear linear{.module = std::string(module), .weight = weight, .format = format, .block = native.block};
  const Stem stem(linear.module, linear.weight, linear.block, find);
  // Most Linears of most checkpoints are dense: they need not be shown to every storage.
  const bool plain = stem.has("weight", {Dtype::bf16, Dtype::f16, Dtype::f32});
  if (format == nullptr && native.allowed && !plain)
    for (const Storage* const storage : native_storages())
      if (linear.storage == nullptr && storage->recognizes(stem)) linear.storage = storage;
  if (linear.storage != nullptr)
    linear.parts = linear.storage->parts(stem);
  else
    linear.parts = format != nullptr ? format_parts(*format, weight) : dense_parts(weight);
  for (const StoredPart& part : linear.parts)
    if (const TensorInfo* const tensor = stem.tensor(part.field.suffix))
      linear.fields.push_back({part.field.suffix, tensor->dtype, tensor->shape});
  return linear;
}

std::optional<std::string> cut_refusal(const StoredLinear& linear) {
  // Rows may be a piece of the whole, which ends anywhere: what matters here are the columns.
  if (linear.format != nullptr) return linear.format->refusal({align_up_rows(linear.weight[0]), linear.weight[1]});
  if (linear.storage != nullptr) return group_refusal(linear.weight, linear.storage->group);
  return std::nullopt;
}

void decode_stored(const StoredLinear& linear, std::span<const std::span<const std::byte>> bytes,
                   std::span<float> out) {
  if (const auto why = cut_refusal(linear))
    fail(Fault::input, "{}: cannot be {}: {}", linear.module, linear.text(), *why);
  try {
    if (linear.format != nullptr)
      linear.format->decode(linear.fields, bytes, linear.weight, out);
    else if (linear.storage != nullptr)
      linear.storage->decode(linear, bytes, out);
    else
      widen(linear.fields.at(0).dtype, bytes[0], out);
  } catch (const Error& error) {  // formats know their fields, not whose they are
    if (linear.format == nullptr) throw;
    fail(error.fault, "{}.{}", linear.module, error.what());
  }
  if (linear.storage != nullptr) require_finite(linear, out);
}

std::optional<std::string> nan_in_copy(const StoredLinear& linear, std::string_view suffix,
                                       std::span<const std::byte> bytes) {
  const Field& field = *linear.field(suffix);
  const bool scale = suffix.find("scale") != std::string_view::npos;
  std::optional<std::size_t> bad;
  if (field.dtype == Dtype::f8_e4m3)
    bad = find_byte(bytes, {0x7f, 0xff});
  else if (scale && (field.dtype == Dtype::u8 || field.dtype == Dtype::f8_e8m0))
    bad = find_byte(bytes, {0xff});
  else if (scale && is_plain_float(field.dtype) && !has_integers(linear))  // those of integers may have any sign
    scale_values(field, bytes, linear.module);
  if (!bad) return std::nullopt;
  const auto cols = static_cast<std::size_t>(field.shape.empty() ? 1 : std::max<std::int64_t>(1, field.shape.back()));
  const std::string where = fmt::format("is NaN at row {}, column {}; the source is broken", *bad / cols, *bad % cols);
  if (scale) fail(Fault::input, "{}.{}: {}", linear.module, suffix, where);
  return where;
}

std::vector<CopiedField> copied_fields(const StoredLinear& linear, const NumberFormat& format) {
  if (linear.storage != nullptr) return linear.storage->copy(linear, format.name);
  std::vector<CopiedField> copies;
  for (const Field& field : linear.fields) copies.push_back({.field = field, .from = field.suffix});
  return copies;
}

void copy_field(const StoredLinear& linear, const CopiedField& field, std::span<const std::byte> from,
                std::span<std::byte> to) {
  if (field.step == CopyStep::bytes) {
    if (from.size() != to.size())
      fail(Fault::bug, "{}.{}: copying {} bytes to {}", linear.module, field.field.suffix, from.size(), to.size());
    if (!from.empty()) std::memcpy(to.data(), from.data(), from.size());
    return;
  }
  const Field* const source = linear.field(field.from);
  std::vector<float> values = scale_values(*source, from, linear.module);
  for (float& value : values) value = transformed(value, field.step, linear, field.from);
  const std::size_t count = to.size() / sizeof(float);
  if (field.step == CopyStep::fill) values.assign(count, values.at(0));
  if (values.size() != count)
    fail(Fault::bug, "{}.{}: {} values for {}", linear.module, field.field.suffix, values.size(), count);
  std::memcpy(to.data(), values.data(), to.size());
}

}  // namespace strata
