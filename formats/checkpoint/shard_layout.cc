#include "formats/checkpoint/shard_layout.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
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

// Adds a shard of these tensors, in the reference writer's order.
void add_shard(std::vector<TensorInfo> given, std::size_t count, ShardLayout& layout) {
  const auto index = static_cast<std::uint32_t>(layout.shards.size());
  std::vector<std::uint32_t> order(given.size());
  std::iota(order.begin(), order.end(), 0u);
  std::ranges::sort(order, {}, [&](std::uint32_t i) {
    return std::tuple<int, std::string_view>(-static_cast<int>(given[i].dtype), given[i].name);
  });
  Shard& shard = layout.shards.emplace_back();
  shard.file = count == 1 ? "model.safetensors" : fmt::format("model-{:05}-of-{:05}.safetensors", index + 1, count);
  const std::size_t first = layout.places.size();
  layout.places.resize(first + given.size());
  for (const std::uint32_t i : order) {
    layout.places[first + i] = {index, static_cast<std::uint32_t>(shard.tensors.size())};
    shard.tensors.push_back(std::move(given[i]));
  }
  shard.header_bytes = print_safetensors(shard.tensors, shard_writer).size();
  std::uint64_t offset = shard.header_bytes;
  for (TensorInfo& tensor : shard.tensors) {
    tensor.file = static_cast<int>(index);
    tensor.offset = offset;
    tensor.bytes = size_of(tensor);
    offset += tensor.bytes;
    layout.tensor_bytes += tensor.bytes;
  }
  shard.bytes = offset;
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
  for (std::vector<TensorInfo>& part : parts) add_shard(std::move(part), parts.size(), layout);
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
