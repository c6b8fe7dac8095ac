#include "engine/sink.h"

#include <catch2/catch_test_macros.hpp>

#include "base/error.h"
#include "engine/output_folder.h"
#include "formats/checkpoint.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_checkpoint.h"

using namespace strata;
using test::TemporaryFolder;

namespace {

constexpr std::string_view config = R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 4})";

struct Fixture {
  TemporaryFolder folder;
  OutputPlan plan;
  Fixture() {
    const std::vector<test::StoredTensor> tensors = {test::random_tensor("a.weight", {4, 4}, Dtype::f32, 1)};
    test::write_checkpoint(folder.file("source"), config, tensors);
    write_text(folder.file("source/tokenizer.json"), "{}\n");
    const std::vector<TensorGroup> groups = {{{{.name = "a.weight", .dtype = Dtype::f32, .shape = {2, 2}}}},
                                             {{{.name = "b.weight", .dtype = Dtype::u8, .shape = {3}}}}};
    plan.layout = lay_out_shards(groups, 1'000'000);
    plan.config_json = "{}\n";
    plan.sidecars = {{"tokenizer.json", 3}};
    for (const Shard& shard : plan.layout.shards)
      for (const TensorInfo& tensor : shard.tensors) plan.slots.emplace(tensor.name, tensor);
  }
  std::string out() const { return folder.file("out"); }
};

const std::vector<std::byte> sixteen(16, std::byte{7}), three(3, std::byte{9});

}  // namespace

TEST_CASE("an output appears only when it is published, with all its files") {
  Fixture fixture;
  const Checkpoint source = Checkpoint::open(fixture.folder.file("source"));
  ShardSink sink(fixture.plan, fixture.out());
  sink.write("b.weight", three);
  sink.write("a.weight", sixteen);
  CHECK_FALSE(exists(fixture.out()));
  sink.publish(source, false);

  CHECK_FALSE(exists(partial_folder(fixture.out())));
  const Checkpoint output = Checkpoint::open(fixture.out());
  std::vector<std::byte> bytes(16);
  output.read(output.at("a.weight"), bytes);
  CHECK(bytes == sixteen);
  CHECK(read_text(fixture.folder.file("out/tokenizer.json")) == "{}\n");
}

TEST_CASE("a sink that is not published leaves nothing behind") {
  Fixture fixture;
  {
    ShardSink sink(fixture.plan, fixture.out());
    sink.write("a.weight", sixteen);
    CHECK(exists(partial_folder(fixture.out())));
  }
  CHECK_FALSE(exists(fixture.out()));
  CHECK_FALSE(exists(partial_folder(fixture.out())));
}

TEST_CASE("what an interrupted run left is replaced") {
  Fixture fixture;
  make_directory(partial_folder(fixture.out()));
  write_text(join_path(partial_folder(fixture.out()), "model-00009-of-00009.safetensors"), "stale");
  const Checkpoint source = Checkpoint::open(fixture.folder.file("source"));
  ShardSink sink(fixture.plan, fixture.out());
  sink.write("a.weight", sixteen);
  sink.write("b.weight", three);
  sink.publish(source, false);
  CHECK(list_directory(fixture.out()).size() == 3);  // config, tokenizer, shard
}

TEST_CASE("an existing output is replaced as a whole, at the end") {
  Fixture fixture;
  make_directory(fixture.out());
  write_text(fixture.folder.file("out/old.txt"), "old");
  const Checkpoint source = Checkpoint::open(fixture.folder.file("source"));
  ShardSink sink(fixture.plan, fixture.out());
  sink.write("a.weight", sixteen);
  sink.write("b.weight", three);
  CHECK(exists(fixture.folder.file("out/old.txt")));
  sink.publish(source, true);
  CHECK_FALSE(exists(fixture.folder.file("out/old.txt")));
  CHECK(exists(fixture.folder.file("out/config.json")));
  CHECK_FALSE(exists(partial_folder(fixture.out())));
}

TEST_CASE("a tensor that is unknown, of another size, written twice or missing is a bug") {
  Fixture fixture;
  const Checkpoint source = Checkpoint::open(fixture.folder.file("source"));
  ShardSink sink(fixture.plan, fixture.out());
  CHECK_THROWS_AS(sink.write("c.weight", three), Error);
  CHECK_THROWS_AS(sink.write("a.weight", three), Error);
  sink.write("b.weight", three);
  CHECK_THROWS_AS(sink.write("b.weight", three), Error);
  CHECK_THROWS_AS(sink.publish(source, false), Error);
  CHECK_FALSE(exists(fixture.out()));
}

TEST_CASE("a second run on the same output is told to wait, and a stranger's folder is left alone") {
  Fixture fixture;
  const ShardSink first(fixture.plan, fixture.out());
  try {
    const ShardSink second(fixture.plan, fixture.out());
    FAIL("two runs in one folder");
  } catch (const Error& error) {
    CHECK(error.fault == Fault::busy);
  }
  CHECK(exists(partial_folder(fixture.out())));

  const std::string other = fixture.folder.file("other");
  make_directory(join_path(partial_folder(other), "letters"));
  CHECK_THROWS_AS(ShardSink(fixture.plan, other), Error);
  CHECK(exists(join_path(partial_folder(other), "letters")));
}
