// Sections: tensors beside the decoder that a family declares to be kept whole.
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "tests/support/small_output.h"
#include "tests/support/thrown.h"
#include "tests/support/tiny_llama.h"
#include "tests/unit/engine/run/described_run.h"

using namespace strata;
using Catch::Matchers::ContainsSubstring;

namespace {

test::StoredTensor numbers(const std::string& name, Dtype dtype, Shape shape) {
  test::StoredTensor tensor = test::random_tensor(name, {64}, Dtype::bf16, 7);
  tensor.dtype = dtype;
  tensor.shape = std::move(shape);
  tensor.bytes.resize(tensor_bytes(tensor.dtype, tensor.shape).value());
  return tensor;
}

// A vision tower of all kinds of shapes, one of them larger than a piece that is copied at once, and a head that
// predicts further tokens, whose names end as those of the decoder do.
std::vector<test::StoredTensor> extra_tensors() {
  return {test::random_tensor("model.visual.patch_embed.proj.weight", {8, 3, 4, 4}, Dtype::f32, 1),
          test::random_tensor("model.visual.blocks.0.attn.qkv.weight", {3000, 2900}, Dtype::bf16, 2),
          numbers("model.visual.position_ids", Dtype::i64, {1, 7}),
          numbers("model.visual.scale", Dtype::f32, {}),
          numbers("model.visual.nothing", Dtype::f16, {0, 4}),
          test::random_tensor("mtp.layers.0.mlp.gate_proj.weight", {128, 128}, Dtype::bf16, 4),
          test::random_tensor("mtp.lm_head.weight", {16, 128}, Dtype::bf16, 5)};
}

void declare(ModelSpec& spec) {
  spec.sections = {{.name = "visual", .prefix = "model.visual."},
                   {.name = "mtp", .prefix = "mtp."},
                   {.name = "audio", .prefix = "audio."}};  // not stored
}

// The small model of experts, with the extra tensors and without.
struct Sources {
  test::TemporaryFolder folder;
  std::string with = folder.file("with"), without = folder.file("without"), ids = folder.file("ids.safetensors");

  explicit Sources(const std::vector<test::StoredTensor>& extra = extra_tensors()) {
    std::vector<test::StoredTensor> tensors = test::values(test::source_tensors());
    test::write_checkpoint(without, test::config_json, tensors);
    tensors.insert(tensors.end(), extra.begin(), extra.end());
    test::write_checkpoint(with, test::config_json, tensors);
    test::write_token_rows(ids, 4, 8, 16);
  }

  QuantizeRequest request(const std::string& out, bool data) const {
    return {.places = {.model = with, .output = folder.file(out), .work_directory = folder.file(out + ".work")},
            .assignment = {.scheme = data ? "NVFP4" : "NVFP4A16", .overrides = {{"lm_head", "FP8_DYNAMIC"}}},
            .calibration = {.dataset = data ? ids : "", .nsamples = 4, .seqlen = 8},
            .machine = {.threads = test::run_threads(2)}};
  }

  std::string refusal(const test::ChangeSpec& change) const {
    return test::thrown_by([&] { test::open_described(with, change); }).what();
  }
};

std::vector<std::byte> bytes_of(const Checkpoint& checkpoint, const TensorInfo& tensor) {
  std::vector<std::byte> bytes(tensor.bytes);
  checkpoint.read(tensor, bytes);
  return bytes;
}

void check_same(const Checkpoint& expected, const Checkpoint& found, const std::string& name) {
  INFO(name);
  const TensorInfo &one = expected.at(name), &other = found.at(name);
  CHECK(one.dtype == other.dtype);
  CHECK(one.shape == other.shape);
  CHECK(bytes_of(expected, one) == bytes_of(found, other));
}

}  // namespace

TEST_CASE("what lies in a section comes out byte for byte, and changes nothing else") {
  const Sources sources;
  for (const bool data : {false, true}) {
    const QuantizeRequest plain = sources.request(data ? "plain-data" : "plain", data);
    const QuantizeRequest request = sources.request(data ? "out-data" : "out", data);
    test::Watcher watcher, other;
    test::quantize_described(test::open_described(sources.without, [](ModelSpec&) {}), plain, other);
    test::quantize_described(test::open_described(sources.with, declare), request, watcher);
    CHECK(watcher.layers == std::vector<std::string>{"section visual", "section mtp", "embedding", "layer 0", "layer 1",
                                                     "layer 2", "head"});
    const Checkpoint source = Checkpoint::open(sources.with), output = Checkpoint::open(request.places.output);
    const Checkpoint expected = Checkpoint::open(plain.places.output);
    for (const test::StoredTensor& tensor : extra_tensors()) check_same(source, output, tensor.name);
    for (const TensorInfo& tensor : expected.tensors()) check_same(expected, output, tensor.name);
    CHECK(output.tensors().size() == expected.tensors().size() + extra_tensors().size());
  }
}

TEST_CASE("the config of the output leaves the modules of sections alone") {
  const Sources sources;
  const OpenModel model = test::open_described(sources.with, declare);
  const QuantizeRequest request = sources.request("out", false);
  const Assignment assignment = assign_formats(model, request.assignment);
  const OutputPlan plan = plan_output(model, assignment, request.places.shard_size);
  const auto read = QuantizationConfig::parse(Config::parse(plan.config_json, "config.json"));
  CHECK(read.format_of("lm_head")->name == "FP8_DYNAMIC");
  CHECK(read.format_of("model.layers.0.mlp.gate_proj")->name == "NVFP4A16");
  for (const char* const module :
       {"mtp.lm_head", "model.mtp.lm_head", "mtp.layers.0.mlp.gate_proj", "visual.blocks.0.attn.qkv"})
    CHECK(read.format_of(module) == nullptr);
  CHECK_THAT(plan.config_json,
             ContainsSubstring(R"("re:^(?:model[.])?(?:language_model[.])?(?:model[.])?visual[.].*")"));
  const auto said = std::ranges::find(assignment.decisions, "section mtp", &std::pair<std::string, std::string>::first);
  REQUIRE(said != assignment.decisions.end());
  CHECK_THAT(said->second, ContainsSubstring("kept as it is: 2 tensors"));
}

TEST_CASE("a run with sections that is stopped anywhere goes on to the same bytes") {
  const Sources sources;
  const auto run = [&](const std::string& out, int stop_after) {
    const QuantizeRequest request = sources.request(out, true);
    for (int tries = 0; tries < 2; ++tries) {
      test::Watcher watcher(tries == 0 ? stop_after : -1);
      try {
        test::quantize_described(test::open_described(sources.with, declare), request, watcher);
        CHECK((tries == 1 || stop_after < 0));
        break;
      } catch (const Error& error) {
        REQUIRE(error.fault == Fault::resumable);
      }
    }
    return test::files_in(request.places.output);
  };
  const test::Files whole = run("whole", -1);
  for (const int stop_after : {1, 2, 3, 5, 6}) {
    INFO(stop_after);
    CHECK(run(fmt::format("stopped-{}", stop_after), stop_after) == whole);
  }
}

TEST_CASE("the logits of a model do not depend on its sections") {
  const Sources sources;
  const std::vector<float> expected =
      test::logits_of(test::open_described(sources.without, [](ModelSpec&) {}), sources.ids);
  CHECK(expected.size() == std::size_t{4 * 8 * 16});
  CHECK(test::logits_of(test::open_described(sources.with, declare), sources.ids) == expected);
}

TEST_CASE("tensors below a prefix that no section has are refused, and so are two owners of one") {
  const Sources sources;
  CHECK_THAT(sources.refusal([](ModelSpec&) {}), ContainsSubstring("belongs to no part of a qwen3_moe model"));
  CHECK_THAT(sources.refusal([](ModelSpec& spec) {
    spec.sections = {{"visual", "model.visual."}};
  }),
             ContainsSubstring("tensor mtp.layers.0.mlp.gate_proj.weight: BF16 [128, 128] belongs to no part"));
  CHECK_THAT(sources.refusal([](ModelSpec& spec) {
    declare(spec);
    spec.sections.push_back({"norm", "model.norm."});
  }),
             ContainsSubstring("model.norm.weight: is claimed by two parts"));
}

TEST_CASE("codes in a section are refused: the config that gives them a meaning is not kept") {
  for (const auto& [name, dtype] :
       {std::pair{"mtp.proj.weight", Dtype::f8_e4m3}, {"mtp.proj.weight_packed", Dtype::i32}}) {
    std::vector<test::StoredTensor> extra = extra_tensors();
    extra.push_back(numbers(name, dtype, {4, 4}));
    CHECK_THAT(Sources(extra).refusal(declare), ContainsSubstring(name) && ContainsSubstring("mtp is kept as it is"));
  }
}
