#include "formats/checkpoint/checkpoint.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <ctime>
#include <filesystem>

#include "formats/checkpoint/safetensors.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/thrown.h"
#include "tests/support/tiny_checkpoint.h"

using namespace strata;
using namespace strata::test;
namespace fs = std::filesystem;

namespace {

StoredTensor bytes_tensor(std::string name, std::size_t size, int value) {
  return {.name = std::move(name),
          .dtype = Dtype::u8,
          .shape = {static_cast<std::int64_t>(size)},
          .bytes = std::vector<std::byte>(size, static_cast<std::byte>(value))};
}

// a and b in the first shard, c in the second.
const char* const good_index =
    R"({"metadata": {"total_size": 9}, "weight_map": {"a": "model-00001-of-00002.safetensors",
    "b": "model-00001-of-00002.safetensors", "c": "model-00002-of-00002.safetensors"}})";

// A folder with two shards and an index, whole until a test breaks it.
struct Sharded {
  TemporaryFolder folder;
  std::string model = folder.file("model");

  Sharded() {
    make_directory(model);
    write_text(file("config.json"), R"({"model_type": "llama"})");
    const std::vector<StoredTensor> first = {bytes_tensor("a", 2, 1), bytes_tensor("b", 3, 2)};
    const std::vector<StoredTensor> second = {bytes_tensor("c", 4, 3)};
    write_safetensors(file("model-00001-of-00002.safetensors"), first);
    write_safetensors(file("model-00002-of-00002.safetensors"), second);
    write_text(file("model.safetensors.index.json"), good_index);
  }
  std::string file(std::string_view name) const { return join_path(model, name); }
  void index(std::string_view weight_map) const {
    write_text(file("model.safetensors.index.json"), "{\"weight_map\": " + std::string(weight_map) + "}");
  }
};

// Opening `directory` ends with one line that holds all of `parts`.
void check_refused(const std::string& directory, std::initializer_list<std::string> parts) {
  const Error error = thrown_by([&] { Checkpoint::open(directory); });
  CHECK(error.fault == Fault::input);
  CHECK(std::string_view(error.what()).find('\n') == std::string_view::npos);
  for (const std::string& part : parts) CHECK_THAT(error.what(), Catch::Matchers::ContainsSubstring(part));
}

}  // namespace

TEST_CASE("a sharded checkpoint opens with its tensors by name") {
  const Sharded model;
  const Checkpoint checkpoint = Checkpoint::open(model.model);
  CHECK(checkpoint.config().text("model_type") == "llama");
  CHECK(checkpoint.config_text() == R"({"model_type": "llama"})");
  CHECK(checkpoint.has_index());
  CHECK(checkpoint.files().size() == 2);
  CHECK(checkpoint.total_bytes() == 9);
  REQUIRE(checkpoint.tensors().size() == 3);
  CHECK(checkpoint.tensors()[2].name == "c");
  CHECK(checkpoint.find("d") == nullptr);
  CHECK(checkpoint.describe(checkpoint.at("c")) == "model-00002-of-00002.safetensors: tensor c");
  std::vector<std::byte> bytes(4);
  checkpoint.read(checkpoint.at("c"), bytes);
  CHECK(bytes == std::vector<std::byte>(4, std::byte{3}));
  checkpoint.read(checkpoint.at("b"), std::span(bytes).first(1), 2);
  CHECK(bytes[0] == std::byte{2});
  CHECK(thrown_by([&] { checkpoint.read(checkpoint.at("b"), std::span(bytes).first(2), 2); }).fault == Fault::bug);
  CHECK(std::string(thrown_by([&] { checkpoint.at("d"); }).what()) == model.model + ": tensor d is missing");
}

TEST_CASE("a single file needs no index, and a checkpoint may move") {
  const TemporaryFolder folder;
  const std::vector<StoredTensor> tensors = {bytes_tensor("x", 5, 7)};
  write_checkpoint(folder.path(), "{}", tensors);
  Checkpoint first = Checkpoint::open(folder.path() + "/");
  const Checkpoint checkpoint = std::move(first);
  CHECK_FALSE(checkpoint.has_index());
  CHECK(checkpoint.at("x").bytes == 5);
}

TEST_CASE("the folder itself is explained when it is no checkpoint") {
  const TemporaryFolder folder;
  const std::string model = folder.file("m");
  check_refused(model, {model + ": no such folder"});
  check_refused("Qwen/Qwen3-0.6B", {"hub id", "hf download Qwen/Qwen3-0.6B --local-dir Qwen3-0.6B"});
  CHECK_FALSE(std::string(thrown_by([&] { Checkpoint::open("/absent/model"); }).what()).find("hub id") !=
              std::string::npos);
  write_text(folder.file("weights.safetensors"), "x");
  check_refused(folder.file("weights.safetensors"), {"is a file"});
  make_directory(model);
  check_refused(model, {"not a checkpoint", "config.json"});
  write_text(join_path(model, "config.json"), "{}");
  check_refused(model, {"holds no safetensors file"});
  write_text(join_path(model, "llama-7b.safetensors"), "");
  check_refused(model, {"holds no model.safetensors", "if llama-7b.safetensors is the model, give it that name"});
  write_text(join_path(model, "model.gguf"), "GGUF");
  check_refused(model, {"GGUF", "model.gguf"});
  write_text(join_path(model, "pytorch_model.bin"), "PK");
  check_refused(model, {"PyTorch", "pytorch_model.bin"});
  write_text(join_path(model, "model.safetensors.incomplete"), "");
  check_refused(model, {"model.safetensors.incomplete", "unfinished download"});
  const std::string adapter = folder.file("adapter");
  make_directory(adapter);
  write_text(join_path(adapter, "adapter_config.json"), "{}");
  check_refused(adapter, {"is an adapter"});
  const std::string consolidated = folder.file("mistral");
  make_directory(consolidated);
  write_text(join_path(consolidated, "config.json"), "{}");
  write_text(join_path(consolidated, "consolidated.safetensors"), "");
  check_refused(consolidated, {"Mistral's own layout", "consolidated.safetensors"});
}

TEST_CASE("a config that cannot be read is refused") {
  const Sharded model;
  write_text(model.file("config.json"), "{\"a\": }");
  check_refused(model.model, {"config.json: broken JSON at byte"});
  fs::remove(model.file("config.json"));
  make_directory(model.file("config.json"));
  check_refused(model.model, {"config.json: is not a regular file"});
}

TEST_CASE("a missing shard is named, with what is known of its download") {
  const Sharded model;
  fs::remove(model.file("model-00002-of-00002.safetensors"));
  check_refused(model.model, {"model-00002-of-00002.safetensors: is missing", "names 2 shards, 1 of them"});
  make_directory(model.file(".cache/huggingface/download"));
  write_text(model.file(".cache/huggingface/download/abc.incomplete"), "");
  check_refused(model.model,
                {"model-00002-of-00002.safetensors: is missing", "abc.incomplete is an unfinished download"});
}

TEST_CASE("an index that outlived its shards is told from a missing download") {
  const Sharded model;
  rename_path(model.file("model-00001-of-00002.safetensors"), model.file("model.safetensors"));
  remove_tree(model.file("model-00002-of-00002.safetensors"));
  check_refused(model.model, {"model.safetensors.index.json: names 2 shards and none of them is there",
                              "remove the index if that is the whole model"});
  remove_tree(model.file("model.safetensors.index.json"));
  CHECK(Checkpoint::open(model.model).tensors().size() == 2);
}

TEST_CASE("a shard that is cut, empty or a Git LFS pointer is refused") {
  const Sharded model;
  const std::string shard = model.file("model-00002-of-00002.safetensors");
  const auto bytes = fs::file_size(shard);
  fs::resize_file(shard, bytes - 1);
  check_refused(model.model, {shard + ": tensor c ends at byte 4", "has only 3"});
  fs::resize_file(shard, 20);
  check_refused(model.model, {shard + ": the header has", "only 12"});
  fs::resize_file(shard, 0);
  check_refused(model.model, {shard + ": has 0 bytes"});
  write_text(shard, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4\n");
  check_refused(model.model, {shard + ": is a Git LFS pointer"});
}

TEST_CASE("index and shards must agree both ways") {
  const Sharded model;
  model.index(R"({"a": "model-00001-of-00002.safetensors", "c": "model-00002-of-00002.safetensors"})");
  check_refused(model.model, {"index.json: does not name tensor b", "model-00001-of-00002.safetensors"});
  model.index(R"({"a": "model-00001-of-00002.safetensors", "b": "model-00001-of-00002.safetensors",
    "c": "model-00002-of-00002.safetensors", "d": "model-00002-of-00002.safetensors"})");
  check_refused(model.model, {"tensor d should stand in model-00002", "4 tensors are named, 3 are there"});
  model.index(R"({"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors",
    "c": "model-00002-of-00002.safetensors"})");
  check_refused(model.model, {"tensor b should stand in model-00002", "stands in model-00001"});
  model.index(R"({"a": "model-00001-of-00002.safetensors", "b": "model-00001-of-00002.safetensors"})");
  check_refused(model.model, {"model-00002-of-00002.safetensors: is not named by", "names 1 other"});
}

TEST_CASE("a tensor in two shards is refused with both") {
  const Sharded model;
  const std::vector<StoredTensor> second = {bytes_tensor("c", 4, 3), bytes_tensor("b", 3, 2)};
  write_safetensors(model.file("model-00002-of-00002.safetensors"), second);
  check_refused(model.model, {"tensor b stands also in model-00001-of-00002", "model-00002-of-00002"});
}

TEST_CASE("an index that leaves the folder or is broken is refused") {
  const Sharded model;
  for (const char* name : {"../model-00001-of-00002.safetensors", "/etc/passwd", "sub/x.safetensors", "..", "",
                           ".x.safetensors", "model.bin", "a\\\\b.safetensors", "a\\u0000.safetensors"}) {
    CAPTURE(name);
    model.index(std::string("{\"a\": \"") + name + "\"}");
    check_refused(model.model, {"tensor a", "not the plain name of a .safetensors file"});
  }
  model.index(R"({"a": 1})");
  check_refused(model.model, {"tensor a stands in 1, expected a file name"});
  model.index(R"({"a": "x.safetensors", "a": "y.safetensors"})");
  check_refused(model.model, {"tensor a stands twice"});
  model.index("[]");
  check_refused(model.model, {"no object weight_map"});
  model.index("{}");
  check_refused(model.model, {"weight_map is empty"});
  write_text(model.file("model.safetensors.index.json"), "{");
  check_refused(model.model, {"index.json: is not a JSON object"});
}

TEST_CASE("shards without an index, or beside a single file, are refused") {
  const Sharded model;
  fs::remove(model.file("model.safetensors.index.json"));
  check_refused(model.model,
                {"model.safetensors.index.json is missing", "2 of them", "model-00001-of-00002.safetensors"});
  const std::vector<StoredTensor> one = {bytes_tensor("a", 1, 1)};
  write_safetensors(model.file("model.safetensors"), one);
  check_refused(model.model, {"model.safetensors: stands beside 2 other shards"});
  write_text(model.file("model.safetensors.index.json"), good_index);
  check_refused(model.model, {"model.safetensors: is not named by"});
}

TEST_CASE("consolidated twins and files of other names are nobody's weights") {
  const Sharded model;
  write_text(model.file("consolidated-00001-of-00002.safetensors"), "no header");
  write_text(model.file("consolidated.safetensors.index.json"), "no JSON");
  write_text(model.file("params.json"), "{}");
  write_text(model.file("tokens.safetensors"), "no header");
  const Checkpoint checkpoint = Checkpoint::open(model.model);
  CHECK(checkpoint.tensors().size() == 3);
  CHECK(checkpoint.sidecars().empty());
}

TEST_CASE("sidecars are the other regular files of the folder") {
  const Sharded model;
  for (const char* name :
       {"tokenizer.json", "README.md", "chat_template.jinja", "modeling_x.py", "vocab.txt", ".gitattributes",
        "pytorch_model.bin", "model.onnx", "tf_model.h5", "x.gguf", "pytorch_model.bin.index.json", "opt.pt"})
    write_text(model.file(name), "x");
  make_directory(model.file("original"));
  write_text(model.file("original/tokenizer.model"), "x");
  fs::create_symlink("tokenizer.json", model.file("twin.json"));
  const Checkpoint checkpoint = Checkpoint::open(model.model);
  const auto sidecars = checkpoint.sidecars();
  CHECK(std::vector<std::string>(sidecars.begin(), sidecars.end()) ==
        std::vector<std::string>{"README.md", "chat_template.jinja", "modeling_x.py", "tokenizer.json", "twin.json",
                                 "vocab.txt"});
}

TEST_CASE("a link that leaves the folder is refused, for every kind of file") {
  for (const char* name :
       {"config.json", "model-00001-of-00002.safetensors", "model.safetensors.index.json", "tokenizer.json"}) {
    CAPTURE(name);
    const Sharded model;
    const std::string outside = model.folder.file("outside");
    write_text(model.file(name), exists(model.file(name)) ? read_text(model.file(name)) : "x");
    fs::rename(model.file(name), outside);
    fs::create_symlink(outside, model.file(name));
    check_refused(model.model, {std::string(name) + ": is a link that leaves the folder"});
    fs::remove(outside);
    check_refused(model.model, {std::string(name) + ": is a link to nothing"});
  }
}

TEST_CASE("a folder whose name starts like the model's is outside too") {
  const Sharded model;
  make_directory(model.model + "-evil");
  fs::rename(model.file("config.json"), model.model + "-evil/config.json");
  fs::create_symlink("../model-evil/config.json", model.file("config.json"));
  check_refused(model.model, {"leaves the folder"});
}

TEST_CASE("the layout of the Hugging Face cache works, and only its blobs") {
  const Sharded model;
  const std::string cache = model.folder.file("models--org--name");
  const std::string snapshot = cache + "/snapshots/0123abcd";
  make_directory(cache + "/blobs");
  make_directory(snapshot);
  write_text(model.file("tokenizer.json"), "{}");
  int blob = 0;
  for (const DirectoryEntry& entry : list_directory(model.model)) {
    const std::string hash = "hash" + std::to_string(blob++);
    fs::rename(model.file(entry.name), cache + "/blobs/" + hash);
    fs::create_symlink("../../blobs/" + hash, join_path(snapshot, entry.name));
  }
  const Checkpoint checkpoint = Checkpoint::open(snapshot);
  CHECK(checkpoint.tensors().size() == 3);
  CHECK(checkpoint.sidecars().size() == 1);
  fs::create_symlink(snapshot, model.folder.file("latest"));  // the folder may be given through a link
  CHECK(Checkpoint::open(model.folder.file("latest")).tensors().size() == 3);

  check_refused(cache, {"folder of the hub's cache", "snapshots"});
  write_text(cache + "/secret", "x");
  fs::create_symlink("../../secret", join_path(snapshot, "tokenizer.model"));
  check_refused(snapshot, {"tokenizer.model: is a link that leaves the folder"});
  fs::remove(join_path(snapshot, "tokenizer.model"));
  write_text(cache + "/blobs/hash9.incomplete", "");
  fs::remove(join_path(snapshot, "model-00002-of-00002.safetensors"));
  check_refused(snapshot, {"is missing", "hash9.incomplete is an unfinished download"});
}

TEST_CASE("a shard cut after it was opened is an error, not a crash") {
  const TemporaryFolder folder;
  const std::vector<StoredTensor> tensors = {bytes_tensor("x", 100, 7)};
  write_checkpoint(folder.path(), "{}", tensors);
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  fs::resize_file(folder.file("model.safetensors"), 100);
  std::vector<std::byte> bytes(100);
  const Error error = thrown_by([&] { checkpoint.read(checkpoint.at("x"), bytes); });
  CHECK(error.fault == Fault::input);
  CHECK_THAT(error.what(), Catch::Matchers::ContainsSubstring("changed meanwhile"));
}

TEST_CASE("the time to open a checkpoint does not grow with the square of its tensors") {
  const TemporaryFolder folder;
  std::string index = "{\"weight_map\": {";
  write_text(folder.file("config.json"), "{}");
  for (int shard = 1; shard <= 20; ++shard) {
    const std::string file = fmt::format("model-{:05}-of-00020.safetensors", shard);
    std::vector<StoredTensor> tensors;
    for (int i = 0; i < 5000; ++i) {
      tensors.push_back(
          bytes_tensor(fmt::format("model.layers.{}.mlp.experts.{}.gate_proj.weight", shard, i), 4, i % 256));
      index += fmt::format("{}\"{}\": \"{}\"", shard == 1 && i == 0 ? "" : ",\n", tensors.back().name, file);
    }
    write_safetensors(folder.file(file), tensors);
  }
  write_text(folder.file("model.safetensors.index.json"), index + "}}");
  const std::clock_t start = std::clock();  // of the processor: other programs may keep it from us
  CHECK(Checkpoint::open(folder.path()).tensors().size() == 100'000);
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  INFO(seconds << " s");
  CHECK(seconds < 20);  // it is 0.3, with sanitizers 2; comparing all with all takes minutes
}
