#include "formats/checkpoint/shard_layout.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>

#include "base/bytes.h"
#include "base/error.h"
#include "formats/checkpoint/safetensors.h"

namespace strata {
namespace {

std::uint64_t size_of(const TensorInfo& tensor) {
  const std::optional<std::uint64_t> bytes = tensor_bytes(tensor.dtype, tensor.shape);
  if (!bytes)
    fail(Fault::bug, "tensor {}: {} of {} has no size in bytes", tensor.name, shape_text(tensor.shape),
         dtype_name(tensor.dtype));
  return *bytes;
}

// Which tensors stand together, in order; shards are never empty unless there is nothing to write.
std::vector<std::vector<TensorInfo>> fill(std::span<const TensorGroup> groups, std::uint64_t shard_bytes) {
  std::vector<std::vector<TensorInfo>> shards(1);
  std::uint64_t used = 0;
  for (const TensorGroup& group : groups) {
    std::uint64_t bytes = 0;
    for (const TensorInfo& tensor : group.tensors) bytes += size_of(tensor);
    if (!shards.back().empty() && bytes > shard_bytes - std::min(used, shard_bytes)) {
      shards.emplace_back();
      used = 0;
    }
    shards.back().insert(shards.back().end(), group.tensors.begin(), group.tensors.end());
    used += bytes;
  }
  return shards;
}

Shard make_shard(std::vector<TensorInfo> tensors, int index, std::size_t count) {
  Shard shard;
  shard.file = count == 1 ? "model.safetensors" : fmt::format("model-{:05}-of-{:05}.safetensors", index + 1, count);
  // The reference writer's order.
  std::ranges::sort(tensors, {}, [](const TensorInfo& tensor) {
    return std::tuple<int, std::string_view>(-static_cast<int>(tensor.dtype), tensor.name);
  });
  shard.header_bytes = print_safetensors(tensors, shard_writer).size();
  std::uint64_t offset = shard.header_bytes;
  for (TensorInfo& tensor : tensors) {
    tensor.file = index;
    tensor.offset = offset;
    tensor.bytes = size_of(tensor);
    offset += tensor.bytes;
  }
  shard.tensors = std::move(tensors);
  shard.bytes = offset;
  return shard;
}

void check_names(const ShardLayout& layout) {
  std::vector<std::string_view> names;
  for (const Shard& shard : layout.shards)
    for (const TensorInfo& tensor : shard.tensors) names.push_back(tensor.name);
  std::ranges::sort(names);
  if (const auto twice = std::ranges::adjacent_find(names); twice != names.end())
    fail(Fault::bug, "tensor {} would be written twice", *twice);
}

}  // namespace

ShardLayout lay_out_shards(std::span<const TensorGroup> groups, std::uint64_t shard_bytes) {
  if (shard_bytes == 0) fail(Fault::usage, "shard size 0: a shard must hold at least one byte; the default is 5GB");
  std::vector<std::vector<TensorInfo>> parts = fill(groups, shard_bytes);
  ShardLayout layout;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    layout.shards.push_back(make_shard(std::move(parts[i]), static_cast<int>(i), parts.size()));
    for (const TensorInfo& tensor : layout.shards.back().tensors) layout.tensor_bytes += tensor.bytes;
  }
  check_names(layout);
  return layout;
}

std::string shard_header(const Shard& shard) { return print_safetensors(shard.tensors, shard_writer); }

// As transformers writes it, to the byte: sorted keys, two spaces, a final newline.
std::string shard_index(const ShardLayout& layout) {
  if (layout.shards.size() <= 1) return "";
  nlohmann::json weights = nlohmann::json::object();
  for (const Shard& shard : layout.shards)
    for (const TensorInfo& tensor : shard.tensors) weights[tensor.name] = shard.file;
  const nlohmann::json index = {{"metadata", {{"total_size", layout.tensor_bytes}}}, {"weight_map", weights}};
  return index.dump(2, ' ', true) + "\n";
}

}  // namespace strata
