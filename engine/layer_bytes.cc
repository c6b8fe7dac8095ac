#include "engine/layer_bytes.h"

#include "base/bytes.h"
#include "base/error.h"

namespace strata {
namespace {
constexpr std::uint64_t alignment = 64;  // a cache line, and enough for every vector load
}

std::uint64_t LayerBytes::memory(const OpenModel& model, const Visit& visit, Borrowed borrowed) {
  std::uint64_t total = 0;
  for (const TensorInfo* tensor : visit_tensors(model, visit, borrowed)) total += align_up(tensor->bytes, alignment);
  return total;
}

void LayerBytes::load(const OpenModel& model, const Visit& visit, Borrowed borrowed) {
  tensors_.clear();
  loaded_ = 0;
  buffer_.grow(memory(model, visit, borrowed));
  std::uint64_t place = 0;
  for (const TensorInfo* tensor : visit_tensors(model, visit, borrowed)) {
    const std::span<std::byte> out = buffer_.bytes().subspan(place, tensor->bytes);
    model.checkpoint.read(*tensor, out);
    model.checkpoint.drop(*tensor);
    tensors_[tensor->name] = out;
    place += align_up(tensor->bytes, alignment);
    loaded_ += tensor->bytes;
  }
}

std::span<const std::byte> LayerBytes::bytes(std::string_view tensor) const {
  const auto found = tensors_.find(tensor);
  if (found == tensors_.end()) fail(Fault::bug, "{}: not part of the layer that is loaded", tensor);
  return found->second;
}

std::vector<std::span<const std::byte>> LayerBytes::bytes(const StoredLinear& linear) const {
  std::vector<std::span<const std::byte>> parts;
  for (const Field& field : linear.fields) parts.push_back(bytes(linear.module + "." + field.suffix));
  return parts;
}

}  // namespace strata
