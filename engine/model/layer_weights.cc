#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/model/layer_weights.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <tbb/parallel_for.h>

#include <cstring>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "formats/weight/weights.h"

namespace strata {
namespace {

constexpr std::uint64_t alignment = 64;

struct Place {
  const float* data = nullptr;
  Shape shape;
};

// What is dense in a part: a kept tensor, or the weight of a Linear that is not quantized.
struct DenseTensor {
  std::string name;
  Shape shape;
  TensorPiece piece;

  Dtype dtype() const { return piece.tensor->dtype; }
  // Norms and biases: small, and wanted until the layer ends.
  bool is_vector() const { return shape.size() < 2; }
  // A float32 tensor is used where it lies, unless its values must change.
  bool used_in_place(DecodeAs decode) const { return dtype() == Dtype::f32 && decode == DecodeAs::f32; }
};

std::uint64_t float_bytes(const Shape& shape) {
  return align_up(element_count(shape).value() * sizeof(float), alignment);
}

std::vector<DenseTensor> dense_tensors(const OpenModel& model, const Part& part) {
  std::vector<DenseTensor> tensors;
  for (const TensorInfo* kept : part.kept) tensors.push_back({kept->name, kept->shape, {kept, 0, kept->bytes}});
  for (const LinearSpec* linear : part.linears) {
    const LinearPlan& plan = model.linear(*linear);
    if (!plan.stored.dense() || plan.tensors.empty()) continue;
    tensors.push_back({linear->module + ".weight", plan.stored.weight, plan.piece(0)});
  }
  return tensors;
}

// Bytes of the matrices that are decoded into the buffer.
std::uint64_t decoded_bytes(const OpenModel& model, const Part& part, DecodeAs decode) {
  std::uint64_t total = 0;
  for (const DenseTensor& tensor : dense_tensors(model, part))
    if (!tensor.is_vector() && !tensor.used_in_place(decode)) total += float_bytes(tensor.shape);
  for (const LinearSpec* linear : part.linears)
    if (!model.linear(*linear).stored.dense()) total += float_bytes({linear->out, linear->in});
  return total;
}

// Codes of compressed-tensors come with what their kernels do to inputs. Native ones are weights of a teacher.
LayerWeights::ServedInput served_input_of(const LinearPlan& linear, const LayerBytes& bytes) {
  LayerWeights::ServedInput input;
  input.format = linear.stored.format;
  if (input.format == nullptr) return input;
  for (std::size_t i = 0; i < linear.tensors.size(); ++i)
    if (linear.stored.fields[i].suffix == input.format->input_scale_suffix)
      widen(linear.tensors[i]->dtype, bytes.bytes(*linear.tensors[i]), {&input.scale, 1});
  return input;
}

}  // namespace

struct LayerWeights::Content {
  explicit Content(const Device& where) : device(where), buffer(where.take("decoded weights")) {}

  const Device device;
  DeviceBuffer buffer;
  std::unordered_map<std::string, Place> matrices, vectors;
  std::unordered_map<std::string, std::vector<float>> values;  // of the vectors
  std::unordered_map<std::string, ServedInput> inputs;         // by module

  const Place& at(const std::string& name) const {
    if (const auto found = matrices.find(name); found != matrices.end()) return found->second;
    const auto found = vectors.find(name);
    if (found == vectors.end()) fail(Fault::bug, "{}: not part of the layer that is loaded", name);
    return found->second;
  }

  void load_vector(const DenseTensor& tensor, std::span<const std::byte> stored, DecodeAs decode) {
    std::vector<float>& mine = values[tensor.name];
    mine.resize(element_count(tensor.shape).value());
    widen(tensor.dtype(), stored, mine);
    if (decode == DecodeAs::bf16) round_to_bf16(mine);
    vectors[tensor.name] = {mine.data(), tensor.shape};
  }
};

LayerWeights::LayerWeights(const Device& device) : content_(std::make_unique<Content>(device)) {}
LayerWeights::~LayerWeights() = default;
LayerWeights::LayerWeights(LayerWeights&&) noexcept = default;

std::uint64_t LayerWeights::memory(const OpenModel& model, const Part& part, DecodeAs decode) {
  return decoded_bytes(model, part, decode);
}

void LayerWeights::load(const OpenModel& model, const Part& part, const LayerBytes& bytes, DecodeAs decode) {
  Content& content = *content_;
  content.matrices.clear();
  content.inputs.clear();
  if (part.first) {
    content.vectors.clear();
    content.values.clear();
  }
  content.buffer.grow(decoded_bytes(model, part, decode));
  std::uint64_t next = 0;
  // Every matrix has its place before any is decoded, so that all can be decoded at once.
  struct Job {
    std::uint64_t offset = 0;  // in the buffer
    Shape shape;
    const DenseTensor* dense = nullptr;  // or
    const LinearPlan* coded = nullptr;
  };
  std::vector<Job> jobs;
  const auto place_for = [&](const std::string& name, Job job) {
    const std::span<const std::byte> room = std::as_const(content.device).on_host(std::as_const(content.buffer));
    job.offset = next;
    next += float_bytes(job.shape);
    content.matrices[name] = {reinterpret_cast<const float*>(room.data() + job.offset), job.shape};
    jobs.push_back(std::move(job));
  };
  const std::vector<DenseTensor> dense = dense_tensors(model, part);
  for (const DenseTensor& tensor : dense) {
    const std::span<const std::byte> stored = bytes.bytes(tensor.piece);
    if (tensor.is_vector()) {
      content.load_vector(tensor, stored, decode);
    } else if (tensor.used_in_place(decode)) {
      content.matrices[tensor.name] = {reinterpret_cast<const float*>(stored.data()), tensor.shape};
    } else {
      place_for(tensor.name, {.shape = tensor.shape, .dense = &tensor});
    }
  }
  for (const LinearSpec* linear : part.linears) {
    const LinearPlan& plan = model.linear(*linear);
    if (plan.stored.dense()) continue;
    content.inputs[linear->module] = served_input_of(plan, bytes);
    place_for(linear->module + ".weight", {.shape = plan.stored.weight, .coded = &plan});
  }
  tbb::parallel_for(std::size_t{0}, jobs.size(), [&](std::size_t i) {
    const Job& job = jobs[i];
    const std::uint64_t count = element_count(job.shape).value();
    content.device.write(content.buffer, job.offset, count * sizeof(float), [&](std::span<std::byte> room) {
      const std::span<float> values(reinterpret_cast<float*>(room.data()), count);
      if (job.dense != nullptr)
        widen(job.dense->dtype(), bytes.bytes(job.dense->piece), values);
      else
        decode_stored(job.coded->stored, bytes.bytes(*job.coded), values);
      if (decode == DecodeAs::bf16) round_to_bf16(values);
    });
  });
}

LayerWeights LayerWeights::view() const {
  LayerWeights same(content_->device);
  same.content_->matrices = content_->matrices;
  same.content_->vectors = content_->vectors;
  same.content_->inputs = content_->inputs;
  return same;
}

void LayerWeights::serve(const LinearSpec& linear, std::span<const float> values) {
  if (values.size() != static_cast<std::size_t>(linear.out * linear.in))
    fail(Fault::bug, "{}: is served with {} values", linear.module, values.size());
  content_->matrices[linear.module + ".weight"] = {values.data(), {linear.out, linear.in}};
}

void LayerWeights::serve_input(const LinearSpec& linear, const ServedInput& input) {
  content_->inputs[linear.module] = input;
}

at::Tensor LayerWeights::tensor(std::string_view name) const {
  const Place& place = content_->at(std::string(name));
  // from_blob takes a mutable pointer; nothing writes through it: the interpreter has no in-place operation
  // on weights.
  return at::from_blob(const_cast<float*>(place.data), place.shape, at::kFloat);
}

at::Tensor LayerWeights::weight(const LinearSpec& linear) const { return tensor(linear.module + ".weight"); }

std::span<const float> LayerWeights::values(const LinearSpec& linear) const {
  const Place& place = content_->at(linear.module + ".weight");
  return {place.data, element_count(place.shape).value()};
}

at::Tensor LayerWeights::bias(const LinearSpec& linear) const {
  return linear.bias ? tensor(linear.module + ".bias") : at::Tensor();
}

std::string LayerWeights::not_finite() const {
  std::string first;
  for (const auto* const places : {&content_->matrices, &content_->vectors})
    for (const auto& [name, place] : *places) {
      const std::span<const float> all(place.data, element_count(place.shape).value());
      if (!all_finite(Dtype::f32, std::as_bytes(all)) && (first.empty() || name < first)) first = name;
    }
  return first;
}

LayerWeights::ServedInput LayerWeights::served_input(const LinearSpec& linear) const {
  const auto found = content_->inputs.find(linear.module);
  return found == content_->inputs.end() ? ServedInput{} : found->second;
}

}  // namespace strata
