#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/model/layer_weights.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>

#include <cstring>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/error.h"
#include "formats/weights.h"

namespace strata {
namespace {

constexpr std::uint64_t alignment = 64;

struct Place {
  const float* data = nullptr;
  Shape shape;
};

// A float32 tensor is used where it lies, unless its values must change.
bool used_in_place(const TensorInfo& tensor, DecodeAs decode) {
  return tensor.dtype == Dtype::f32 && decode == DecodeAs::f32;
}

std::uint64_t float_bytes(const Shape& shape) {
  return align_up(element_count(shape).value() * sizeof(float), alignment);
}

// Names of the tensors that are dense in this visit: kept and borrowed ones, weights of unquantized Linears.
std::vector<std::string> dense_names(const OpenModel& model, const Visit& visit) {
  std::vector<std::string> names = visit.kept;
  names.insert(names.end(), visit.borrowed.begin(), visit.borrowed.end());
  for (const LinearSpec* linear : visit.linears)
    if (model.stored_linear(*linear).dense()) names.push_back(linear->module + ".weight");
  return names;
}

// Codes of compressed-tensors come with what their kernels do to inputs. Native ones are weights of a teacher.
LayerWeights::ServedInput served_input_of(const StoredLinear& stored, const LayerBytes& bytes) {
  LayerWeights::ServedInput input;
  if (stored.format == nullptr || stored.format->quantize_input == nullptr) return input;
  input.format = stored.format;
  if (const Field* const scale = stored.field(stored.format->input_scale_suffix))
    widen(scale->dtype, bytes.bytes(stored.module + "." + scale->suffix), {&input.scale, 1});
  return input;
}

}  // namespace

struct LayerWeights::Content {
  Buffer buffer;
  std::unordered_map<std::string, Place> tensors;
  std::unordered_map<std::string, ServedInput> inputs;  // by module

  const Place& at(const std::string& name) const {
    const auto found = tensors.find(name);
    if (found == tensors.end()) fail(Fault::bug, "{}: not part of the layer that is loaded", name);
    return found->second;
  }
};

LayerWeights::LayerWeights() : content_(std::make_unique<Content>()) {}
LayerWeights::~LayerWeights() = default;
LayerWeights::LayerWeights(LayerWeights&&) noexcept = default;

std::uint64_t LayerWeights::memory(const OpenModel& model, const Visit& visit) {
  std::uint64_t total = 0;
  for (const std::string& name : dense_names(model, visit)) {
    const TensorInfo& tensor = model.checkpoint.at(name);
    if (!used_in_place(tensor, DecodeAs::f32)) total += float_bytes(tensor.shape);
  }
  for (const LinearSpec* linear : visit.linears)
    if (!model.stored_linear(*linear).dense()) total += float_bytes({linear->out, linear->in});
  return total;
}

void LayerWeights::load(const OpenModel& model, const Visit& visit, const LayerBytes& bytes, DecodeAs decode) {
  Content& content = *content_;
  content.tensors.clear();
  content.inputs.clear();

  std::uint64_t total = 0;
  for (const std::string& name : dense_names(model, visit)) total += float_bytes(model.checkpoint.at(name).shape);
  for (const LinearSpec* linear : visit.linears) total += float_bytes({linear->out, linear->in});
  content.buffer.grow(total);

  std::byte* next = content.buffer.data();
  const auto room_for = [&](const Shape& shape) {
    const std::span<float> room(reinterpret_cast<float*>(next), element_count(shape).value());
    next += float_bytes(shape);
    return room;
  };

  for (const std::string& name : dense_names(model, visit)) {
    const TensorInfo& tensor = model.checkpoint.at(name);
    const std::span<const std::byte> stored = bytes.bytes(name);
    if (used_in_place(tensor, decode)) {
      content.tensors[name] = {reinterpret_cast<const float*>(stored.data()), tensor.shape};
      continue;
    }
    const std::span<float> values = room_for(tensor.shape);
    widen(tensor.dtype, stored, values);
    if (decode == DecodeAs::bf16) round_to_bf16(values);
    content.tensors[name] = {values.data(), tensor.shape};
  }

  for (const LinearSpec* linear : visit.linears) {
    const StoredLinear stored = model.stored_linear(*linear);
    if (stored.dense()) continue;
    const std::span<float> values = room_for(stored.weight);
    decode_stored(stored, bytes.bytes(stored), values);
    if (decode == DecodeAs::bf16) round_to_bf16(values);
    content.tensors[linear->module + ".weight"] = {values.data(), stored.weight};
    content.inputs[linear->module] = served_input_of(stored, bytes);
  }
}

at::Tensor LayerWeights::tensor(std::string_view name) const {
  const Place& place = content_->at(std::string(name));
  // from_blob takes a mutable pointer; nothing writes through it: the interpreter has no in-place operation
  // on weights.
  return at::from_blob(const_cast<float*>(place.data), place.shape, at::kFloat);
}

at::Tensor LayerWeights::weight(const LinearSpec& linear) const { return tensor(linear.module + ".weight"); }

at::Tensor LayerWeights::bias(const LinearSpec& linear) const {
  return linear.bias ? tensor(linear.module + ".bias") : at::Tensor();
}

LayerWeights::ServedInput LayerWeights::served_input(const LinearSpec& linear) const {
  const auto found = content_->inputs.find(linear.module);
  return found == content_->inputs.end() ? ServedInput{} : found->second;
}

}  // namespace strata
