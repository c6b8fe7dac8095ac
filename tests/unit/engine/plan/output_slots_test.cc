#include "engine/plan/output_slots.h"

#include <catch2/catch_test_macros.hpp>

#include "tests/support/thrown.h"

using namespace strata;

TEST_CASE("every tensor of a layout is found at its place, and no other") {
  std::vector<TensorGroup> groups;
  for (int i = 0; i < 20; ++i)
    groups.push_back({{{.name = "layer." + std::to_string(i), .dtype = Dtype::f32, .shape = {i, 2}},
                       {.name = "scale." + std::to_string(i), .dtype = Dtype::u8, .shape = {3}}}});
  const ShardLayout layout = lay_out_shards(groups, 300);
  REQUIRE(layout.shards.size() > 1);
  const OutputSlots slots(layout);
  CHECK(slots.size() == 40);
  for (std::size_t i = 0; i < layout.shards.size(); ++i)
    for (const TensorInfo& tensor : layout.shards[i].tensors) {
      INFO(tensor.name);
      const std::size_t index = slots.index_of(tensor.name);
      CHECK(slots.name(index) == tensor.name);
      CHECK(slots[index].shard == i);
      CHECK(slots[index].offset == tensor.offset);
      CHECK(slots[index].bytes == tensor.bytes);
    }
  for (const char* name : {"", "layer", "layer.1x", "layer.20", "zzz"}) {
    CHECK_FALSE(slots.find(name));
    CHECK(test::thrown_by([&] { slots.index_of(name); }).fault == Fault::bug);
  }
}
