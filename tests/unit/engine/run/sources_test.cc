// Sources that other tools stored in codes: what is claimed, copied, decoded, refused, planned and proved.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_exception.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "base/error.h"
#include "base/file.h"
#include "engine/check/verify.h"
#include "engine/plan/assignment.h"
#include "engine/plan/inspect.h"
#include "engine/plan/output_plan.h"
#include "engine/run/quantize.h"
#include "engine/sweep/memory_plan.h"
#include "tests/support/coded_llama.h"
#include "tests/support/encoded_weight.h"
#include "tests/support/named_linear.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/thrown.h"

using namespace strata;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::MessageMatches;
using test::CodedLinear;
using test::CodedTensors;
using test::StoredTensor;

namespace {

const std::string layer = "model.layers.0.";

CodedTensors statically(const CodedLinear& linear) { return test::static_coded(linear); }

std::string_view format_of(const OpenModel& model, const Assignment& assignment, const std::string& module) {
  return test::format_of(model, assignment, layer + module);
}

std::ptrdiff_t copies_of(const Assignment& assignment) { return std::ranges::count(assignment.copied, 1); }

bool decided(const Assignment& assignment, const std::string& subject, const std::string& text) {
  for (const auto& [about, what] : assignment.decisions)
    if (about.find(subject) != std::string::npos && what.find(text) != std::string::npos) return true;
  return false;
}

QuantizeRequest options_for(const test::TemporaryFolder& folder, std::string scheme, std::string out = "out") {
  return {.places = {.model = folder.file("model"),
                     .output = folder.file(out),
                     .work_directory = folder.file(out + ".work")},
          .assignment = {.scheme = std::move(scheme)}};
}

std::string opening(const test::TemporaryFolder& folder) {
  return test::thrown_by([&] { open_model(folder.file("model")); }).what();
}

// What the copies' rule says about an output.
std::vector<std::string> findings(const test::TemporaryFolder& folder, const std::string& rule = "copied-codes") {
  std::vector<std::string> texts;
  for (const auto& failure : verify({.model = folder.file("out"), .source = folder.file("model")}).failures)
    if (rule.empty() || failure.rule == rule) texts.push_back(failure.subject + ": " + failure.message);
  return texts;
}

}  // namespace

TEST_CASE("kept Linears of a static FP8 source are copied, in rows where siblings have other scales") {
  const test::TemporaryFolder folder;
  test::write_coded_llama(folder.file("model"), test::fp8_static, 256,
                          [](const CodedLinear& linear) { return test::static_coded(linear, "k_proj"); });
  const OpenModel model = open_model(folder.file("model"));
  const Assignment kept = assign_formats(model, {.scheme = "KEEP"});
  for (const char* const module : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"})
    CHECK(format_of(model, kept, module) == "FP8_SOURCE_STATIC_CHANNEL");
  for (const char* const module : {"self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"})
    CHECK(format_of(model, kept, module) == "FP8_SOURCE_STATIC");
  CHECK(copies_of(kept) == 7);
  CHECK(test::format_of(model, kept, "lm_head") == "KEEP");
  CHECK(decided(kept, "k_proj", "FP8_SOURCE_STATIC_CHANNEL with its scale in every row"));
  CHECK(kept.decisions.size() == 1);

  // The same whether it is kept by name, by the scheme, or ignored.
  const Assignment ignored = assign_formats(model, {.scheme = "FP8_DYNAMIC", .ignore = {"*.self_attn.*"}});
  CHECK(format_of(model, ignored, "self_attn.q_proj") == "FP8_SOURCE_STATIC_CHANNEL");
  CHECK(format_of(model, ignored, "mlp.up_proj") == "FP8_DYNAMIC");
  CHECK(copies_of(ignored) == 4);
  CHECK(format_of(model, assign_formats(model, {.scheme = "FP8_SOURCE_STATIC"}), "mlp.up_proj") == "FP8_SOURCE_STATIC");
  CHECK(copies_of(assign_formats(model, {.scheme = "FP8"})) == 7);  // that is how they are stored
  CHECK(format_of(model, assign_formats(model, {.scheme = "FP8_SOURCE_STATIC_CHANNEL"}), "mlp.up_proj") ==
        "FP8_SOURCE_STATIC_CHANNEL");
}

TEST_CASE("other input scales among siblings leave nothing that could be copied") {
  const test::TemporaryFolder folder;
  test::write_coded_llama(folder.file("model"), test::fp8_static, 256, [](const CodedLinear& linear) {
    CodedTensors tensors = test::static_coded(linear);
    if (linear.module.ends_with("v_proj")) tensors["activation_scale"] = test::scalar(0.03f);
    return tensors;
  });
  const OpenModel model = open_model(folder.file("model"));
  const Assignment kept = assign_formats(model, {.scheme = "KEEP"});
  CHECK(format_of(model, kept, "self_attn.q_proj") == "BF16");
  CHECK(decided(kept, "v_proj", "its input scale is not that of"));
  CHECK(format_of(model, kept, "self_attn.o_proj") == "FP8_SOURCE_STATIC");
}

TEST_CASE("without an activation scale the copy is FP8_DYNAMIC, and asking for that copies too") {
  const test::TemporaryFolder folder;
  test::write_coded_llama(folder.file("model"), test::fp8_static, 256, [](const CodedLinear& linear) {
    CodedTensors tensors = test::static_coded(linear, "up_proj");
    tensors.erase("activation_scale");
    return tensors;
  });
  const OpenModel model = open_model(folder.file("model"));
  for (const char* const scheme : {"KEEP", "FP8_DYNAMIC"}) {
    const Assignment kept = assign_formats(model, {.scheme = scheme});
    CHECK(format_of(model, kept, "mlp.up_proj") == "FP8_DYNAMIC");
    CHECK(copies_of(kept) == 7);
    CHECK(kept.decisions.empty());
  }
}

TEST_CASE("blocks are copied where loaders take them, else decoded to BF16 as a decision, or refused when strict") {
  const test::TemporaryFolder folder;
  test::write_coded_llama(folder.file("model"), test::fp8_blocks, 256, test::block_coded);
  const OpenModel model = open_model(folder.file("model"));
  const Assignment kept = assign_formats(model, {.scheme = "KEEP"});
  // 256 columns tile; 128 columns are read as one scale a row by transformers, and 64 rows do not tile.
  CHECK(format_of(model, kept, "mlp.down_proj") == "FP8_SOURCE");
  CHECK(format_of(model, kept, "mlp.up_proj") == "BF16");
  CHECK(format_of(model, kept, "self_attn.k_proj") == "BF16");
  CHECK(copies_of(kept) == 1);
  CHECK(decided(kept, "gate_proj", "decoded, with the 1 others of its unit, to BF16"));
  CHECK(test::thrown_by([&] { assign_formats(model, {.scheme = "KEEP", .strict = true}); }).fault == Fault::input);
  CHECK(format_of(model, assign_formats(model, {.scheme = "FP8_SOURCE"}), "mlp.up_proj") == "BF16");
}

TEST_CASE("a format that only copies is refused for what is stored otherwise, saying how it is stored") {
  const test::TemporaryFolder folder;
  test::write_coded_llama(folder.file("model"), test::fp8_blocks, 256, test::block_coded);
  const OpenModel blocks = open_model(folder.file("model"));
  const Error error = test::thrown_by([&] { assign_formats(blocks, {.scheme = "FP8_SOURCE_STATIC"}); });
  CHECK(error.fault == Fault::usage);
  CHECK(std::string(error.what()).find("it is stored as FP8 with a scale per block, whose codes FP8_SOURCE takes") !=
        std::string::npos);
  CHECK_THROWS_MATCHES(assign_formats(blocks, {.scheme = "KEEP", .overrides = {{"lm_head", "FP8_SOURCE"}}}), Error,
                       MessageMatches(ContainsSubstring("lm_head") && ContainsSubstring("it is stored as BF16")));
}

TEST_CASE("every tensor of a storage is claimed, and what is wrong is named") {
  const test::TemporaryFolder folder;
  const auto write = [&](const std::function<void(const CodedLinear&, CodedTensors&)>& change,
                         const std::vector<StoredTensor>& extra = {}) {
    test::write_coded_llama(
        folder.file("model"), test::fp8_blocks, 256,
        [&](const CodedLinear& linear) {
          CodedTensors tensors = test::block_coded(linear);
          if (linear.module.ends_with("down_proj")) change(linear, tensors);
          return tensors;
        },
        extra);
  };
  write([](const CodedLinear&, CodedTensors& tensors) { tensors.erase("weight_scale_inv"); });
  CHECK_THAT(opening(folder),
             ContainsSubstring("down_proj.weight: is stored as F8_E4M3 without the scales of any storage"));
  write([](const CodedLinear&, CodedTensors& tensors) { tensors["weight_scale_inv"] = test::grid(2, 2, 1); });
  CHECK_THAT(opening(folder),
             ContainsSubstring("down_proj.weight_scale_inv: has shape [2, 2]") && ContainsSubstring("[1, 2]"));
  write([](const CodedLinear& linear, CodedTensors& tensors) {
    tensors["weight"] = test::random_codes(linear.rows, 128, 1);
  });
  CHECK_THAT(opening(folder), ContainsSubstring("down_proj.weight: has shape [128, 128]"));
  write([](const CodedLinear&, CodedTensors& tensors) {
    tensors["weight_scale_inv"] = {
        .name = "", .dtype = Dtype::i32, .shape = {1, 2}, .bytes = std::vector<std::byte>(8)};
  });
  CHECK_THAT(opening(folder), ContainsSubstring("is stored as I32, FP8 with a scale per block has F32"));
  write([](const CodedLinear&, CodedTensors& tensors) { tensors["weight_scale"] = test::scalar(1); });
  CHECK_THAT(opening(folder), ContainsSubstring("down_proj.weight_scale: F32 [] belongs to no part"));
}

TEST_CASE("scales of a cache are claimed, left out of the output, and a decision") {
  const test::TemporaryFolder folder;
  StoredTensor scale = test::scalar(0.5f);
  scale.name = layer + "self_attn.k_proj.k_scale";
  test::write_coded_llama(folder.file("model"), test::fp8_static, 256, statically, {scale});
  write_text(folder.file("model/hf_quant_config.json"), "{}");
  const OpenModel model = open_model(folder.file("model"));
  const Assignment kept = assign_formats(model, {.scheme = "KEEP"});
  CHECK(decided(kept, "k_scale", "left out"));
  const OutputPlan plan = plan_output(model, kept, 5'000'000'000);
  CHECK_FALSE(plan.slots.find(scale.name));
  CHECK(plan.slots.find(layer + "self_attn.k_proj.input_scale"));
  CHECK(plan.sidecars.empty());
  CHECK(plan.config_json.find("\"fp8\"") == std::string::npos);
}

TEST_CASE("copies are the source's codes with widened scales, and verify proves it") {
  const test::TemporaryFolder folder;
  test::write_coded_llama(folder.file("model"), test::fp8_static, 256,
                          [](const CodedLinear& linear) { return test::static_coded(linear, "k_proj"); });
  Reporter silent;
  quantize(options_for(folder, "KEEP"), silent);
  auto source = test::read_modules(folder.file("model/model.safetensors")),
       out = test::read_modules(folder.file("out/model.safetensors"));
  for (const char* const module : {"self_attn.k_proj", "mlp.down_proj"}) {
    CHECK(out.at(layer + module).at("weight").bytes == source.at(layer + module).at("weight").bytes);
    CHECK(out.at(layer + module).at("input_scale").bytes == source.at(layer + module).at("activation_scale").bytes);
  }
  CHECK(test::float_values(out.at(layer + "self_attn.k_proj").at("weight_scale")) == std::vector<float>(64, 0.005f));
  CHECK(test::float_values(out.at(layer + "mlp.down_proj").at("weight_scale")) == std::vector<float>{0.0078125f});
  CHECK(findings(folder, "").empty());

  const std::string shard = folder.file("out/model.safetensors"), text = read_text(shard);
  const OpenModel written = open_model(folder.file("out"));
  for (const char* const tensor :
       {"mlp.down_proj.weight", "mlp.down_proj.weight_scale", "self_attn.k_proj.input_scale"}) {
    INFO(tensor);
    std::string broken = text;
    broken[written.checkpoint.at(layer + tensor).offset + 2] ^= 1;
    write_text(shard, broken);
    const std::vector<std::string> found = findings(folder);
    REQUIRE(found.size() == 1);
    CHECK_THAT(found[0], ContainsSubstring(layer + tensor + ": byte 2 is 0x"));
  }
}

TEST_CASE("what was decoded to BF16 is proved too") {
  const test::TemporaryFolder folder;
  test::write_coded_llama(folder.file("model"), test::fp8_blocks, 256, test::block_coded);
  Reporter silent;
  quantize(options_for(folder, "KEEP"), silent);
  CHECK(findings(folder, "").empty());
  const std::string shard = folder.file("out/model.safetensors");
  std::string broken = read_text(shard);
  const OpenModel written = open_model(folder.file("out"));
  broken[written.checkpoint.at(layer + "self_attn.q_proj.weight").offset + 8] ^= 1;
  write_text(shard, broken);
  REQUIRE(findings(folder).size() == 1);
  CHECK_THAT(findings(folder)[0],
             ContainsSubstring("q_proj.weight: byte 8 is 0x") && ContainsSubstring("decoded and rounded"));
}

TEST_CASE("a NaN code of a source stops a run that needs its value, not one that copies it") {
  const test::TemporaryFolder folder;
  test::write_coded_llama(folder.file("model"), test::fp8_static, 256, [](const CodedLinear& linear) {
    CodedTensors tensors = test::static_coded(linear);
    if (linear.module.ends_with("o_proj")) tensors["weight"].bytes[3 * 128 + 9] = std::byte{0xff};
    return tensors;
  });
  Reporter silent;
  const Error error = test::thrown_by([&] { quantize(options_for(folder, "W4A16"), silent); });
  CHECK(error.fault == Fault::input);
  CHECK_THAT(error.what(), ContainsSubstring("self_attn.o_proj.weight: is NaN at row 3, column 9"));
  CHECK_NOTHROW(quantize(options_for(folder, "KEEP"), silent));
}

TEST_CASE("the plan counts the float32 weights of what is decoded to be encoded") {
  const test::TemporaryFolder folder;
  test::write_coded_llama(folder.file("model"), test::fp8_static, 256, statically);
  const OpenModel model = open_model(folder.file("model"));
  const QuantizeRequest request;
  const auto plan = [&](const char* scheme, const char* holder, bool decodes = false) {
    SweepPlan sweep{.passes = {&pass_type("render")}};
    if (decodes) sweep.passes.push_back(&pass_type("decode"));
    const Assignment assignment = assign_formats(model, {.scheme = scheme});
    const PassQuestion question{.model = model, .request = request, .assignment = &assignment};
    return plan_memory({.pass = question, .sweep = sweep}, std::uint64_t{1} << 60)
        .memory.sheet.of(Resource::host, holder);
  };
  // Gate and up together, 2 x 256 x 128, and one of them again to measure the error.
  CHECK(plan("W4A16", "decoded") == 3 * 256 * 128 * 4);
  CHECK(plan("W4A16", "decoded", true) == 256 * 128 * 4);  // the forward has them already
  CHECK(plan("KEEP", "decoded") == 0);
  CHECK(plan("KEEP", "renders") == 2 * 4 * 2 * 64);  // of two parts: two made scalars for each of q, k, v and o
}

TEST_CASE("inspect counts the weights that codes stand for") {
  const test::TemporaryFolder folder;
  test::write_coded_llama(folder.file("model"), test::fp8_blocks, 256, test::block_coded);
  const InspectReport report = inspect(folder.file("model"));
  CHECK(report.quantized_as == "fp8");
  CHECK(report.unknown.empty());
  CHECK(report.parameters == 2u * 16 * 128 + 3 * 128 + 128 * 128 * 2 + 64 * 128 * 2 + 3 * 256 * 128);

  // Where only another file, or none, says that it is quantized.
  test::write_coded_llama(folder.file("silent"), "", 256, statically);
  CHECK(inspect(folder.file("silent")).quantized_as == "FP8 with a scale per tensor");
}
