#include "engine/plan/output_slots.h"

#include <catch2/catch_test_macros.hpp>

using namespace strata;

TEST_CASE("the tensors of a layout have slots in the order they were given, each at its place") {
  std::vector<TensorGroup> groups;
  for (int i = 0; i < 20; ++i)
    groups.push_back({{{.name = "layer." + std::to_string(i), .dtype = Dtype::f32, .shape = {i, 2}},
                       {.name = "scale." + std::to_string(i), .dtype = Dtype::u8, .shape = {3}}}});
  const ShardLayout layout = lay_out_shards(groups, 300);
  REQUIRE(layout.shards.size() > 1);
  const OutputSlots slots(layout);
  CHECK(slots.size() == 40);
  std::size_t given = 0;
  for (const TensorGroup& group : groups)
    for (const TensorInfo& tensor : group.tensors) CHECK(slots.name(given++) == tensor.name);
  for (std::size_t i = 0; i < layout.shards.size(); ++i)
    for (const TensorInfo& tensor : layout.shards[i].tensors) {
      INFO(tensor.name);
      const std::optional<std::size_t> index = slots.find(tensor.name);
      REQUIRE(index);
      CHECK(slots.name(*index) == tensor.name);
      CHECK(slots[*index].shard == i);
      CHECK(slots[*index].offset == tensor.offset);
      CHECK(slots[*index].bytes == tensor.bytes);
    }
  for (const char* name : {"", "layer", "layer.1x", "layer.20", "zzz"}) CHECK_FALSE(slots.find(name));
}
