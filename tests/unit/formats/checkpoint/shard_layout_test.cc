#include "formats/checkpoint/shard_layout.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "formats/checkpoint/safetensors.h"
#include "tests/support/thrown.h"

using namespace strata;
using strata::test::thrown_by;

namespace {

TensorInfo tensor(std::string name, Dtype dtype, Shape shape) {
  return {.name = std::move(name), .dtype = dtype, .shape = std::move(shape)};
}

TensorGroup bytes_group(std::string name, std::int64_t bytes) {
  return {.tensors = {tensor(std::move(name), Dtype::u8, {bytes})}};
}

std::vector<std::string> names(const Shard& shard) {
  std::vector<std::string> result;
  for (const TensorInfo& info : shard.tensors) result.push_back(info.name);
  return result;
}

}  // namespace

TEST_CASE("what fits one shard is model.safetensors without an index") {
  const std::vector<TensorGroup> groups = {bytes_group("a", 60), bytes_group("b", 40)};
  const ShardLayout layout = lay_out_shards(groups, 100);
  REQUIRE(layout.shards.size() == 1);
  CHECK(layout.shards[0].file == "model.safetensors");
  CHECK(shard_index(layout).empty());
  CHECK(layout.tensor_bytes == 100);
  CHECK(layout.shards[0].bytes == layout.shards[0].header_bytes + 100);
}

TEST_CASE("one byte more opens a second shard and an index") {
  const std::vector<TensorGroup> groups = {bytes_group("b", 60), bytes_group("a", 41)};
  const ShardLayout layout = lay_out_shards(groups, 100);
  REQUIRE(layout.shards.size() == 2);
  CHECK(layout.shards[0].file == "model-00001-of-00002.safetensors");
  CHECK(layout.shards[1].file == "model-00002-of-00002.safetensors");
  CHECK(layout.shards[1].tensors[0].file == 1);
  CHECK(shard_index(layout) ==
        "{\n  \"metadata\": {\n    \"total_size\": 101\n  },\n  \"weight_map\": {\n"
        "    \"a\": \"model-00002-of-00002.safetensors\",\n    \"b\": \"model-00001-of-00002.safetensors\"\n  }\n}\n");
}

TEST_CASE("the tensors of a module stay together, a large module gets a shard of its own") {
  const std::vector<TensorGroup> groups = {
      bytes_group("small", 10),
      {.tensors = {tensor("m.packed", Dtype::u8, {500}), tensor("m.scale", Dtype::f32, {1})}},
      bytes_group("next", 10),
      bytes_group("last", 10)};
  const ShardLayout layout = lay_out_shards(groups, 100);
  REQUIRE(layout.shards.size() == 3);
  CHECK(names(layout.shards[0]) == std::vector<std::string>{"small"});
  CHECK(names(layout.shards[1]) == std::vector<std::string>{"m.scale", "m.packed"});
  CHECK(names(layout.shards[2]) == std::vector<std::string>{"last", "next"});
}

TEST_CASE("a shard keeps the reference writer's order, so that everything is aligned") {
  const std::vector<TensorGroup> groups = {
      {.tensors = {tensor("a", Dtype::u8, {3}), tensor("b", Dtype::bf16, {5}), tensor("z", Dtype::i64, {2}),
                   tensor("c", Dtype::f32, {1}), tensor("d", Dtype::f8_e4m3, {7}), tensor("aa", Dtype::f32, {1})}}};
  const ShardLayout layout = lay_out_shards(groups, 1000);
  const Shard& shard = layout.shards.at(0);
  CHECK(names(shard) == std::vector<std::string>{"z", "aa", "c", "b", "d", "a"});
  for (const TensorInfo& info : shard.tensors) CHECK(info.offset % dtype_bytes(info.dtype) == 0);
}

TEST_CASE("planned offsets are those that a reader of the header finds") {
  const std::vector<TensorGroup> groups = {
      bytes_group("a", 13), {.tensors = {tensor("b", Dtype::f32, {3, 3})}}, bytes_group("c", 0)};
  const ShardLayout layout = lay_out_shards(groups, 20);
  REQUIRE(layout.shards.size() == 2);
  for (const Shard& shard : layout.shards) {
    const std::string header = shard_header(shard);
    CHECK(header.size() == shard.header_bytes);
    CHECK(header.substr(8).starts_with(R"({"__metadata__":{"format":"pt","writer":"strata"})"));
    const auto prefix = std::as_bytes(std::span(header)).first<8>();
    const auto read = parse_safetensors(prefix, std::string_view(header).substr(8), shard.bytes, shard.file);
    REQUIRE(read.size() == shard.tensors.size());
    for (std::size_t i = 0; i < read.size(); ++i) {
      CHECK(read[i].name == shard.tensors[i].name);
      CHECK(read[i].offset == shard.tensors[i].offset);
      CHECK(read[i].bytes == shard.tensors[i].bytes);
    }
  }
}

TEST_CASE("no tensors make one empty file") {
  const ShardLayout layout = lay_out_shards({}, 100);
  REQUIRE(layout.shards.size() == 1);
  CHECK(layout.shards[0].bytes == layout.shards[0].header_bytes);
  CHECK(layout.shards[0].header_bytes % 8 == 0);
}

TEST_CASE("a shard size of zero is a usage error, a name given twice a bug") {
  const std::vector<TensorGroup> twice = {bytes_group("a", 1), bytes_group("a", 1)};
  CHECK(thrown_by([&] { lay_out_shards({}, 0); }).fault == Fault::usage);
  CHECK(thrown_by([&] { lay_out_shards(twice, 1); }).fault == Fault::bug);
}
