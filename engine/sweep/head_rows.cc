#define TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include "engine/sweep/head_rows.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <array>

#include "engine/model/layer.h"
#include "engine/source/read_ahead.h"
#include "engine/sweep/not_finite.h"
#include "engine/sweep/pass.h"
#include "formats/weight/weights.h"

namespace strata {
namespace {

std::vector<float> vector_of(const Desk& desk, const TensorInfo& tensor) {
  std::vector<float> values(element_count(tensor.shape).value());
  widen(tensor.dtype, desk.get(facts::source).bytes.bytes(tensor), values);
  if (desk.decode_as() == DecodeAs::bf16) round_to_bf16(values);
  return values;
}

at::Tensor tensor_of(const std::vector<float>& values) {
  return at::from_blob(const_cast<float*>(values.data()), {static_cast<std::int64_t>(values.size())}, at::kFloat);
}

}  // namespace

void HeadRows::take(Desk& desk) {
  const Part& part = desk.part();
  const LayerBytes& stored = desk.get(facts::source).bytes;
  first_ = part.first_row;
  end_ = part.end_row;
  norm_ = vector_of(desk, *part.kept.at(0));
  bias_ = part.kept.size() > 1 ? vector_of(desk, *part.kept.at(1)) : std::vector<float>();
  if (!part.linears.empty()) {
    coded_ = desk.share(facts::weights);
    return;
  }
  const auto matrix = std::ranges::find_if(part.pieces, [&](const TensorPiece& piece) {
    return std::ranges::find(part.kept, piece.tensor) == part.kept.end();
  });
  const auto count = static_cast<std::size_t>((end_ - first_) * desk.model().spec->hidden);
  const Device& device = device_.emplace(desk.tools().device);
  if (!rows_) rows_.emplace(device.take("decoded weights"));
  rows_->grow(count * sizeof(float));
  device.write(*rows_, 0, count * sizeof(float), [&](std::span<std::byte> room) {
    const std::span<float> values(reinterpret_cast<float*>(room.data()), count);
    widen(matrix->tensor->dtype, stored.bytes(*matrix), values);
    if (desk.decode_as() == DecodeAs::bf16) round_to_bf16(values);
  });
}

void HeadRows::release() {
  rows_.reset();
  coded_ = nullptr;
}

at::Tensor HeadRows::input(const ModelSpec& model, const at::Tensor& x) const {
  return head_input(model, tensor_of(norm_), x);
}

at::Tensor HeadRows::weight(const ModelSpec& model) const {
  if (coded_ != nullptr) return coded_->weight(model.head);
  const std::array<std::int64_t, 2> shape = {end_ - first_, model.hidden};
  return device_->view(*rows_, 0, shape);
}

std::string HeadRows::not_finite(const ModelSpec& model) const {
  if (first_not_finite(norm_)) return model.final_norm.weight;
  if (first_not_finite(bias_)) return model.head.module + ".bias";
  const at::Tensor rows = weight(model).contiguous();
  const std::span<const float> values(rows.const_data_ptr<float>(), static_cast<std::size_t>(rows.numel()));
  return first_not_finite(values) ? model.head.module + ".weight" : "";
}

std::optional<at::Tensor> HeadRows::bias() const {
  if (bias_.empty()) return std::nullopt;
  return tensor_of(bias_).narrow(0, first_, end_ - first_);
}

}  // namespace strata
