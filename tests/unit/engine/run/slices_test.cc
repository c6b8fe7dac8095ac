// Linears that lie in tensors with others: experts that are packed into one tensor a projection.
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "tests/support/small_output.h"
#include "tests/support/thrown.h"
#include "tests/support/tiny_llama.h"
#include "tests/unit/engine/run/described_run.h"

using namespace strata;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr std::int64_t width = 128;  // of all matrices of the small model

void append(const test::StoredTensor& more, test::StoredTensor& packed) {
  packed.bytes.insert(packed.bytes.end(), more.bytes.begin(), more.bytes.end());
}

// Both experts of a layer: gate above up in one tensor, down in the other.
void pack(test::Tensors& tensors, const std::string& experts) {
  const Dtype dtype = tensors.at(experts + "0.gate_proj.weight").dtype;
  test::StoredTensor both{.name = experts + "gate_up_proj", .dtype = dtype, .shape = {2, 2 * width, width}};
  test::StoredTensor down{.name = experts + "down_proj", .dtype = dtype, .shape = {2, width, width}};
  for (const char* const expert : {"0.", "1."}) {
    for (const char* const projection : {"gate_proj", "up_proj"})
      append(tensors.at(experts + expert + projection + ".weight"), both);
    append(tensors.at(experts + expert + "down_proj.weight"), down);
  }
  std::erase_if(tensors, [&](const auto& item) { return item.first.starts_with(experts); });
  tensors[both.name] = both;
  tensors[down.name] = down;
}

test::Tensors as_f32(test::Tensors tensors) {
  for (auto& [name, tensor] : tensors) {
    std::vector<float> values(tensor.bytes.size() / 2);
    widen(tensor.dtype, tensor.bytes, values);
    tensor = test::f32_tensor(name, tensor.shape, values);
  }
  return tensors;
}

void declare(ModelSpec& spec) {
  for (LayerSpec& layer : spec.layers) {
    auto* const moe = std::get_if<MoeSpec>(&layer.blocks.back().body);
    for (std::size_t e = 0; moe != nullptr && e < moe->experts.size(); ++e) {
      const auto index = static_cast<std::int64_t>(e);
      const std::string experts = layer.prefix + ".mlp.experts.";
      moe->experts[e].gate.slice = StoredSlice{experts + "gate_up_proj", index, 0};
      moe->experts[e].up.slice = StoredSlice{experts + "gate_up_proj", index, width};
      moe->experts[e].down.slice = StoredSlice{experts + "down_proj", index, 0};
    }
  }
}

// The small model of experts as it is, and with its experts packed.
struct Sources {
  test::TemporaryFolder folder;
  std::string single = folder.file("single"), packed = folder.file("packed"), ids = folder.file("ids.safetensors");
  test::Tensors tensors;

  explicit Sources(test::Tensors from = test::source_tensors()) : tensors(std::move(from)) {
    test::write_checkpoint(single, test::config_json, test::values(tensors));
    for (const char* const layer : {"1", "2"}) pack(tensors, fmt::format("model.layers.{}.mlp.experts.", layer));
    test::write_token_rows(ids, 4, 8, 16);
    write();
  }

  void write() const { test::write_checkpoint(packed, test::config_json, test::values(tensors)); }
  OpenModel open_single() const {
    return test::open_described(single, [](ModelSpec&) {});
  }
  OpenModel open_packed(const test::ChangeSpec& change = declare) const {
    return test::open_described(packed, change, single);
  }

  test::Files output(OpenModel model, AssignmentRequest assignment, bool data, std::uint64_t memory) const {
    const QuantizeRequest request = {
        .places = {.model = single, .output = folder.file("out"), .work_directory = folder.file("out.work")},
        .assignment = std::move(assignment),
        .calibration = {.dataset = data ? ids : "", .nsamples = 4, .seqlen = 8},
        .machine = {.max_memory = memory, .threads = test::run_threads(2)}};
    test::Watcher watcher;
    test::quantize_described(std::move(model), request, watcher);
    test::Files files = test::files_in(request.places.output);
    remove_tree(request.places.output);
    remove_tree(request.places.work_directory);
    return files;
  }
};

std::string refusal(const Sources& sources, const test::ChangeSpec& change = declare) {
  return test::thrown_by([&] { sources.open_packed(change); }).what();
}

}  // namespace

TEST_CASE("packed experts give the output of those that are not, byte for byte") {
  for (const bool wide : {false, true}) {
    const Sources sources(wide ? as_f32(test::source_tensors()) : test::source_tensors());
    for (const std::uint64_t memory : {std::uint64_t{0}, std::uint64_t{1}})  // all experts at once, one by one
      for (const bool data : {false, true}) {
        const AssignmentRequest assignment{.scheme = data ? "NVFP4" : "W4A16",
                                           .overrides = {{"*.2.mlp.experts.*", data ? "MXFP4" : "KEEP"}}};
        INFO("float32 " << wide << ", data " << data << ", memory " << memory);
        const test::Files expected = sources.output(sources.open_single(), assignment, data, memory);
        const test::Files found = sources.output(sources.open_packed(), assignment, data, memory);
        CHECK(expected.size() == 2);
        CHECK(found == expected);
      }
  }
}

TEST_CASE("packed experts are computed with as those that are not") {
  for (const bool wide : {false, true}) {
    const Sources sources(wide ? as_f32(test::source_tensors()) : test::source_tensors());
    CHECK(test::logits_of(sources.open_packed(), sources.ids) == test::logits_of(sources.open_single(), sources.ids));
  }
}

TEST_CASE("a packed tensor is read in the pieces that are wanted, each once") {
  const Sources sources;
  const OpenModel model = sources.open_packed();
  const Visit& visit = model.visits[2];
  const std::vector<Part> parts = cut_visit(model, visit, 2, true, {.group_bytes = 0});
  REQUIRE(parts.size() == 3);
  const TensorInfo& both = model.checkpoint.at("model.layers.1.mlp.experts.gate_up_proj");
  const std::uint64_t half = both.bytes / 4;
  for (const std::size_t e : {0u, 1u}) {
    std::vector<std::uint64_t> places;
    for (const TensorPiece& piece : parts[1 + e].pieces) {
      if (piece.tensor != &both) continue;
      CHECK(piece.bytes == half);
      places.push_back(piece.skip);
    }
    CHECK(places == std::vector{2 * e * half, (2 * e + 1) * half});
  }
}

TEST_CASE("a packed tensor that is missing, of another shape or claimed by nobody is named") {
  const std::string name = "model.layers.1.mlp.experts.gate_up_proj";
  Sources sources;
  CHECK_THAT(refusal(sources, [](ModelSpec&) {}), ContainsSubstring("experts.0.gate_proj.weight"));
  const test::StoredTensor whole = sources.tensors.at(name);
  sources.tensors.at(name).shape = {4, width, width};
  sources.write();
  CHECK_THAT(refusal(sources),
             ContainsSubstring(name + ": has shape [4, 128, 128], config.json asks for [2, 256, 128]"));
  sources.tensors.erase(name);
  sources.write();
  CHECK_THAT(refusal(sources), ContainsSubstring("tensor " + name + " [2, 256, 128] is missing"));
  sources.tensors[name] = whole;
  sources.tensors["model.layers.1.mlp.experts.0.up_proj.weight"] =
      test::random_tensor("model.layers.1.mlp.experts.0.up_proj.weight", {width, width}, Dtype::bf16, 3);
  sources.write();
  CHECK_THAT(refusal(sources), ContainsSubstring("experts.0.up_proj.weight: BF16 [128, 128] belongs to no part"));
}

TEST_CASE("slices that overlap or leave a gap are a bug of the family") {
  const Sources sources;
  for (const std::int64_t row : {width - 1, std::int64_t{0}, width + 1}) {
    const Error error = test::thrown_by([&] {
      sources.open_packed([&](ModelSpec& spec) {
        declare(spec);
        std::get<MoeSpec>(spec.layers[1].blocks.back().body).experts[0].up.slice->first_row = row;
      });
    });
    CHECK(error.fault == Fault::bug);
    CHECK_THAT(error.what(), ContainsSubstring("as a slice of model.layers.1.mlp.experts.gate_up_proj"));
  }
}
