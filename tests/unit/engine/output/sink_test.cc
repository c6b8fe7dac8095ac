#include "engine/output/sink.h"

#include <catch2/catch_test_macros.hpp>

#include "base/error.h"
#include "engine/output/output_folder.h"
#include "formats/checkpoint/checkpoint.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_checkpoint.h"

using namespace strata;
using test::TemporaryFolder;

namespace {

constexpr std::string_view config = R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 4})";

struct Fixture {
  TemporaryFolder folder;
  OutputPlan plan;
  Budget memory{"memory", 1u << 28};
  Fixture() {
    const std::vector<test::StoredTensor> tensors = {test::random_tensor("a.weight", {4, 4}, Dtype::f32, 1)};
    test::write_checkpoint(folder.file("source"), config, tensors);
    write_text(folder.file("source/tokenizer.json"), "{}\n");
    const std::vector<TensorGroup> groups = {{{{.name = "a.weight", .dtype = Dtype::f32, .shape = {2, 2}}}},
                                             {{{.name = "b.weight", .dtype = Dtype::u8, .shape = {3}}}}};
    add_layout(plan, lay_out_shards(groups, 1'000'000));
    plan.config_json = "{}\n";
    plan.sidecars = {{"tokenizer.json", 3}};
  }
  std::string out() const { return folder.file("out"); }
};

constexpr std::size_t a = 0, b = 1;  // slots
const std::vector<std::byte> sixteen(16, std::byte{7}), three(3, std::byte{9});

void write(ShardSink& sink, std::size_t slot, std::span<const std::byte> bytes, std::uint64_t skip = 0) {
  const OutputPiece piece{.slot = slot, .skip = skip, .bytes = bytes};
  sink.write(std::span(&piece, 1));
}

std::vector<std::byte> stored(const std::string& output, const char* tensor) {
  const Checkpoint checkpoint = Checkpoint::open(output);
  std::vector<std::byte> bytes(checkpoint.at(tensor).bytes);
  checkpoint.read(checkpoint.at(tensor), bytes);
  return bytes;
}

}  // namespace

TEST_CASE("an output appears only when it is published, with all its files") {
  Fixture fixture;
  const Checkpoint source = Checkpoint::open(fixture.folder.file("source"));
  ShardSink sink(fixture.plan, fixture.out(), fixture.memory);
  write(sink, b, three);
  write(sink, a, sixteen);
  CHECK_FALSE(exists(fixture.out()));
  sink.complete(source);
  sink.publish(false);

  CHECK_FALSE(exists(partial_folder(fixture.out())));
  CHECK(stored(fixture.out(), "a.weight") == sixteen);
  CHECK(read_text(fixture.folder.file("out/tokenizer.json")) == "{}\n");
}

TEST_CASE("a sink that is not published leaves its folder for the next run, or nothing when it is discarded") {
  Fixture fixture;
  {
    ShardSink sink(fixture.plan, fixture.out(), fixture.memory, {.run_id = "mine"});
    write(sink, a, sixteen);
    CHECK(exists(partial_folder(fixture.out())));
  }
  CHECK_FALSE(exists(fixture.out()));
  CHECK(partial_matches(fixture.plan, fixture.out(), {.run_id = "mine"}));
  ShardSink sink(fixture.plan, fixture.out(), fixture.memory, {.go_on = true});
  sink.discard();
  CHECK_FALSE(exists(partial_folder(fixture.out())));
}

TEST_CASE("a run that goes on writes what is missing beside what was written") {
  Fixture fixture;
  const Checkpoint source = Checkpoint::open(fixture.folder.file("source"));
  {
    ShardSink sink(fixture.plan, fixture.out(), fixture.memory);
    write(sink, a, sixteen);
    sink.sync_data();
  }
  ShardSink sink(fixture.plan, fixture.out(), fixture.memory, {.go_on = true});
  sink.was_written({.first = a, .count = 1});
  CHECK_THROWS_AS(sink.complete(source), Error);  // b.weight is missing
  write(sink, b, three);
  sink.complete(source);
  sink.publish(false);
  CHECK(stored(fixture.out(), "a.weight") == sixteen);
  CHECK(stored(fixture.out(), "b.weight") == three);
}

TEST_CASE("pieces of a tensor land where they belong, together or one by one") {
  Fixture fixture;
  const Checkpoint source = Checkpoint::open(fixture.folder.file("source"));
  std::vector<std::byte> counted(16);
  for (std::size_t i = 0; i < counted.size(); ++i) counted[i] = static_cast<std::byte>(i);
  ShardSink sink(fixture.plan, fixture.out(), fixture.memory);
  const std::span<const std::byte> all = counted;
  const std::vector<OutputPiece> pieces = {{.slot = b, .bytes = three}, {.slot = a, .bytes = all.first(4)}};
  sink.write(pieces);
  write(sink, a, all.subspan(4, 5), 4);
  write(sink, a, all.subspan(9), 9);
  sink.complete(source);
  sink.publish(false);
  CHECK(stored(fixture.out(), "a.weight") == counted);
  CHECK(stored(fixture.out(), "b.weight") == three);
}

TEST_CASE("a partial folder in which a shard is missing or shorter does not match the plan") {
  Fixture fixture;
  const std::string shard = join_path(partial_folder(fixture.out()), "model.safetensors");
  CHECK_FALSE(partial_matches(fixture.plan, fixture.out(), {.run_id = "mine"}));
  { const ShardSink sink(fixture.plan, fixture.out(), fixture.memory, {.run_id = "mine"}); }
  CHECK_FALSE(partial_matches(fixture.plan, fixture.out(), {.run_id = "another run's"}));
  CHECK(partial_matches(fixture.plan, fixture.out(), {.run_id = "mine"}));
  // About to become the output it has no id any more, but the journal knows the folder.
  const FileIdentity folder = identity_of(partial_folder(fixture.out()));
  remove_tree(join_path(partial_folder(fixture.out()), run_id_file));
  CHECK_FALSE(partial_matches(fixture.plan, fixture.out(), {.run_id = "mine"}));
  CHECK(partial_matches(fixture.plan, fixture.out(), {.run_id = "mine", .published = folder}));
  write_text(join_path(partial_folder(fixture.out()), run_id_file), "mine");
  const std::string bytes = read_text(shard);
  write_text(shard, bytes.substr(1));
  CHECK_FALSE(partial_matches(fixture.plan, fixture.out(), {.run_id = "mine"}));
  remove_tree(shard);
  CHECK_FALSE(partial_matches(fixture.plan, fixture.out(), {.run_id = "mine"}));
}

TEST_CASE("what an interrupted run left is replaced") {
  Fixture fixture;
  make_directory(partial_folder(fixture.out()));
  write_text(join_path(partial_folder(fixture.out()), "model-00009-of-00009.safetensors"), "stale");
  const Checkpoint source = Checkpoint::open(fixture.folder.file("source"));
  ShardSink sink(fixture.plan, fixture.out(), fixture.memory);
  write(sink, a, sixteen);
  write(sink, b, three);
  sink.complete(source);
  sink.publish(false);
  CHECK(list_directory(fixture.out()).size() == 3);  // config, tokenizer, shard
}

TEST_CASE("an existing output is replaced as a whole, at the end") {
  Fixture fixture;
  make_directory(fixture.out());
  write_text(fixture.folder.file("out/old.txt"), "old");
  const Checkpoint source = Checkpoint::open(fixture.folder.file("source"));
  ShardSink sink(fixture.plan, fixture.out(), fixture.memory);
  write(sink, a, sixteen);
  write(sink, b, three);
  CHECK(exists(fixture.folder.file("out/old.txt")));
  sink.complete(source);
  sink.publish(true);
  CHECK_FALSE(exists(fixture.folder.file("out/old.txt")));
  CHECK(exists(fixture.folder.file("out/config.json")));
  CHECK_FALSE(exists(partial_folder(fixture.out())));
}

TEST_CASE("a tensor that is unknown, too large, written twice or missing in part is a bug") {
  Fixture fixture;
  const Checkpoint source = Checkpoint::open(fixture.folder.file("source"));
  ShardSink sink(fixture.plan, fixture.out(), fixture.memory);
  CHECK_THROWS_AS(write(sink, 2, three), Error);
  CHECK_THROWS_AS(write(sink, b, sixteen), Error);
  CHECK_THROWS_AS(write(sink, a, sixteen, 1), Error);
  write(sink, a, three);
  write(sink, b, three);
  CHECK_THROWS_AS(write(sink, b, three), Error);
  CHECK_THROWS_AS(sink.complete(source), Error);  // 13 bytes of a.weight are missing
  CHECK_FALSE(exists(fixture.out()));
}

TEST_CASE("side files of sub-folders are copied, and what a run left of them is taken over or replaced") {
  Fixture fixture;
  fixture.plan.sidecars.push_back({"additional_chat_templates/deep/a.jinja", 1});
  make_directory(fixture.folder.file("source/additional_chat_templates/deep"));
  write_text(fixture.folder.file("source/additional_chat_templates/deep/a.jinja"), "a");
  const Checkpoint source = Checkpoint::open(fixture.folder.file("source"));
  const std::string left = join_path(partial_folder(fixture.out()), "additional_chat_templates/deep");
  make_directory(left);
  write_text(join_path(left, "a.jinja.tmp"), "cut short");
  for (const bool go_on : {false, true}) {
    CAPTURE(go_on);
    ShardSink sink(fixture.plan, fixture.out(), fixture.memory, {.go_on = go_on});
    write(sink, a, sixteen);
    write(sink, b, three);
    if (!go_on) {
      make_directory(left);
      write_text(join_path(left, "a.jinja"), "old");
      continue;
    }
    sink.complete(source);
    sink.publish(false);
  }
  CHECK(read_text(join_path(fixture.out(), "additional_chat_templates/deep/a.jinja")) == "a");
  CHECK(list_directory(join_path(fixture.out(), "additional_chat_templates/deep")).size() == 1);

  // --force replaces such an output; another folder in it is not ours.
  require_output_free(fixture.out(), fixture.folder.file("source"), true);
  make_directory(join_path(fixture.out(), "letters"));
  CHECK_THROWS_AS(require_output_free(fixture.out(), fixture.folder.file("source"), true), Error);
}

TEST_CASE("a stranger's file in a sub-folder of the partial folder is left alone") {
  Fixture fixture;
  fixture.plan.sidecars.push_back({"additional_chat_templates/a.jinja", 1});
  const std::string stranger = join_path(partial_folder(fixture.out()), "additional_chat_templates/letter");
  make_directory(parent_directory(stranger));
  write_text(stranger, "dear");
  CHECK_THROWS_AS(ShardSink(fixture.plan, fixture.out(), fixture.memory), Error);
  CHECK(read_text(stranger) == "dear");
  CHECK(stale_partial_bytes(fixture.out()) == 4);
}

TEST_CASE("a second run on the same output is told to wait, and a stranger's folder is left alone") {
  Fixture fixture;
  const ShardSink first(fixture.plan, fixture.out(), fixture.memory);
  try {
    const ShardSink second(fixture.plan, fixture.out(), fixture.memory);
    FAIL("two runs in one folder");
  } catch (const Error& error) {
    CHECK(error.fault == Fault::busy);
  }
  CHECK(exists(partial_folder(fixture.out())));

  const std::string other = fixture.folder.file("other");
  make_directory(join_path(partial_folder(other), "letters"));
  CHECK_THROWS_AS(ShardSink(fixture.plan, other, fixture.memory), Error);
  CHECK(exists(join_path(partial_folder(other), "letters")));
}

TEST_CASE("who shares a folder knows whether another has published it or somebody took it away") {
  Fixture fixture;
  const ShardSink sink(fixture.plan, fixture.out(), fixture.memory, {.run_id = "ours", .shared = true});
  CHECK_FALSE(sink.published());
  rename_path(partial_folder(fixture.out()), fixture.out());
  CHECK(sink.published());
  remove_tree(fixture.out());
  CHECK_THROWS_AS(sink.published(), Error);
  make_directory(fixture.out());  // of somebody else
  CHECK_THROWS_AS(sink.published(), Error);
}

TEST_CASE("an index that somebody cut is written again by who joins") {
  Fixture fixture;
  fixture.plan.index_json = "{\"weight_map\": {}}\n";
  const std::string index = join_path(partial_folder(fixture.out()), "model.safetensors.index.json");
  const SinkOptions shared{.run_id = "ours", .shared = true};
  { const ShardSink first(fixture.plan, fixture.out(), fixture.memory, shared); }
  for (const bool gone : {true, false}) {
    gone ? remove_tree(index) : write_text(index, "{");
    const ShardSink second(fixture.plan, fixture.out(), fixture.memory, shared);
    CHECK(second.joined());
    CHECK(read_text(index) == fixture.plan.index_json);
  }
}
