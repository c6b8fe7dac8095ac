// Whole runs on a model of one layer, checked against what the parts promise.
#include <algorithm>
#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_exception.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cmath>
#include <filesystem>
#include <map>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "engine/eval/evaluate.h"
#include "engine/run/prepare.h"
#include "engine/run/quantize.h"
#include "formats/checkpoint/checkpoint.h"
#include "formats/config/quantization_config.h"
#include "formats/weight/weights.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/thrown.h"
#include "tests/support/tiny_llama.h"

using namespace strata;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::MessageMatches;

namespace {

struct Recorder final : Reporter {
  std::vector<LayerDone> layers;
  std::vector<std::string> decisions;
  void layer_done(const LayerDone& done) override { layers.push_back(done); }
  void decision(const std::string& subject, const std::string& text) override {
    decisions.push_back(subject + ": " + text);
  }
};

QuantizeRequest options_for(const test::TemporaryFolder& folder, std::string scheme, std::string out = "out") {
  return {.places = {.model = folder.file("model"),
                     .output = folder.file(out),
                     .work_directory = folder.file(out + ".work")},
          .assignment = {.scheme = std::move(scheme)},
          .calibration = {.nsamples = 4, .seqlen = 8}};
}

std::map<std::string, std::string> folder_contents(const std::string& folder) {
  std::map<std::string, std::string> contents;
  for (const DirectoryEntry& entry : list_directory(folder))
    contents[entry.name] = read_text(join_path(folder, entry.name));
  return contents;
}

}  // namespace

TEST_CASE("the plan is the output, to the byte, in one shard and in many") {
  for (const char* scheme : {"NVFP4A16", "W4A16", "FP8_DYNAMIC", "BF16", "KEEP"})
    for (const std::uint64_t shard_size : {5'000'000'000ull, 20'000ull}) {
      const test::TemporaryFolder folder;
      test::write_tiny_llama(folder.file("model"));
      QuantizeRequest options = options_for(folder, scheme);
      options.places.shard_size = shard_size;
      const PlanSummary plan = plan_quantize(options);
      CHECK_FALSE(exists(options.places.output));
      Reporter silent;
      quantize(options, silent);
      INFO(scheme << " " << shard_size);
      CHECK(plan.output_bytes == folder_bytes(options.places.output));
      const auto shards = std::ranges::count_if(list_directory(options.places.output), [](const DirectoryEntry& entry) {
        return entry.name.ends_with(".safetensors");
      });
      CHECK(plan.shards == shards);
      CHECK((shards > 1) == (shard_size < 1'000'000));
      CHECK(Checkpoint::open(options.places.output).total_bytes() == plan.tensor_bytes);
    }
}

TEST_CASE("one thread and several write the same bytes") {
  const test::TemporaryFolder folder;
  test::write_tiny_llama(folder.file("model"));
  test::write_token_rows(folder.file("ids.safetensors"), 4, 8, 16);
  QuantizeRequest one = options_for(folder, "NVFP4", "one"), many = options_for(folder, "NVFP4", "many");
  one.calibration.dataset = many.calibration.dataset = folder.file("ids.safetensors");
  one.machine.threads = 1;
  many.machine.threads = 4;
  Reporter silent;
  quantize(one, silent);
  quantize(many, silent);
  CHECK(folder_contents(one.places.output) == folder_contents(many.places.output));
}

TEST_CASE("kept tensors and sidecars are the source's bytes") {
  const test::TemporaryFolder folder;
  test::write_tiny_llama(folder.file("model"));
  write_text(folder.file("model/generation_config.json"), "{\"eos_token_id\": 1}\n");
  Reporter silent;
  quantize(options_for(folder, "W4A16"), silent);
  const Checkpoint source = Checkpoint::open(folder.file("model")), output = Checkpoint::open(folder.file("out"));
  for (const char* name : {"lm_head.weight", "model.embed_tokens.weight", "model.layers.0.input_layernorm.weight"}) {
    std::vector<std::byte> before(source.at(name).bytes), after(output.at(name).bytes);
    source.read(source.at(name), before);
    output.read(output.at(name), after);
    CHECK(before == after);
  }
  CHECK(read_text(folder.file("out/generation_config.json")) == "{\"eos_token_id\": 1}\n");
  CHECK(output.find("model.layers.0.mlp.up_proj.weight") == nullptr);
}

TEST_CASE(
    "the output has the sub-folders that loaders read, not what they trip over, and the plan says so to the byte") {
  const test::TemporaryFolder folder;
  test::write_tiny_llama(folder.file("model"));
  make_directory(folder.file("model/additional_chat_templates"));
  make_directory(folder.file("model/figures"));
  write_text(folder.file("model/additional_chat_templates/rag.jinja"), "{{ messages }}");
  write_text(folder.file("model/figures/a.svg"), "<svg/>");
  write_text(folder.file("model/adapter_config.json"), R"({"base_model_name_or_path": "gone"})");
  const QuantizeRequest options = options_for(folder, "W4A16");
  const PlanSummary plan = plan_quantize(options);
  Recorder recorder;
  quantize(options, recorder);
  CHECK(plan.output_bytes == folder_bytes(options.places.output));
  CHECK(read_text(folder.file("out/additional_chat_templates/rag.jinja")) == "{{ messages }}");
  CHECK_FALSE(exists(folder.file("out/adapter_config.json")));
  CHECK_FALSE(exists(folder.file("out/figures")));
  for (const char* name : {"adapter_config.json", "figures/"}) {
    CAPTURE(name);
    CHECK(std::ranges::find(plan.decisions, name, &std::pair<std::string, std::string>::first) != plan.decisions.end());
    const auto told = [&](const std::string& text) { return text.starts_with(std::string(name) + ": "); };
    CHECK(std::ranges::any_of(recorder.decisions, told));
  }
}

TEST_CASE("every layer is reported once, with formats and error") {
  const test::TemporaryFolder folder;
  test::write_tiny_llama(folder.file("model"));
  Recorder recorder;
  quantize(options_for(folder, "W4A16"), recorder);
  REQUIRE(recorder.layers.size() == 3);
  CHECK(recorder.layers[0].kind == "embedding");
  CHECK(recorder.layers[1].name == "layer 0");
  REQUIRE(recorder.layers[1].formats.size() == 1);
  CHECK(recorder.layers[1].formats[0] == std::pair<std::string, int>("W4A16", 7));
  CHECK(recorder.layers[1].weight_error > 0.03);  // int4 of normal weights: about 0.11
  CHECK(recorder.layers[1].weight_error < 0.2);
}

TEST_CASE("a weight with NaN stops the run, names the place and leaves nothing") {
  const test::TemporaryFolder folder;
  test::write_tiny_llama(folder.file("model"), {.nan_in = "model.layers.0.mlp.up_proj.weight", .nan_at = 2 * 128 + 5});
  Reporter silent;
  CHECK_THROWS_MATCHES(quantize(options_for(folder, "W4A16"), silent), Error,
                       MessageMatches(ContainsSubstring("model.layers.0.mlp.up_proj.weight") &&
                                      ContainsSubstring("row 2") && ContainsSubstring("column 5")));
  CHECK_FALSE(exists(folder.file("out")));
  CHECK_FALSE(exists(folder.file("out.partial")));
}

TEST_CASE("an existing output, the source itself and strange folders are not overwritten") {
  const test::TemporaryFolder folder;
  test::write_tiny_llama(folder.file("model"));
  Reporter silent;
  QuantizeRequest options = options_for(folder, "W4A16");
  quantize(options, silent);
  CHECK_THROWS_MATCHES(quantize(options, silent), Error, MessageMatches(ContainsSubstring("--force")));
  options.places.force = true;
  CHECK_NOTHROW(quantize(options, silent));
  options.places.output = folder.file("model");
  CHECK_THROWS_MATCHES(quantize(options, silent), Error, MessageMatches(ContainsSubstring("the source")));
  options.places.output = folder.path();
  CHECK_THROWS_AS(quantize(options, silent), Error);
  make_directory(folder.file("letters"));
  write_text(folder.file("letters/dear.txt"), "dear");
  options.places.output = folder.file("letters");
  CHECK_THROWS_MATCHES(quantize(options, silent), Error, MessageMatches(ContainsSubstring("not a checkpoint")));
  CHECK(exists(folder.file("letters/dear.txt")));
}

TEST_CASE("NVFP4 without data proposes the format that needs none") {
  const test::TemporaryFolder folder;
  test::write_tiny_llama(folder.file("model"));
  Reporter silent;
  CHECK_THROWS_MATCHES(quantize(options_for(folder, "NVFP4"), silent), Error,
                       MessageMatches(ContainsSubstring("NVFP4A16")));
}

TEST_CASE("a limit below the plan is refused with the smallest that works, which then works") {
  const test::TemporaryFolder folder;
  test::write_tiny_llama(folder.file("model"));
  QuantizeRequest options = options_for(folder, "W4A16");
  options.machine.max_memory = 1'000'000;
  Reporter silent;
  try {
    quantize(options, silent);
    FAIL("was not refused");
  } catch (const Error& error) {
    CHECK(error.fault == Fault::budget);
    CHECK_THAT(error.what(), ContainsSubstring("smallest limit that works is"));
  }
  options.machine.max_memory = plan_quantize(options).peak_memory * 2;
  CHECK_NOTHROW(quantize(options, silent));
}

TEST_CASE("a run without a limit is bounded by what there is") {
  const test::TemporaryFolder folder;
  test::write_tiny_llama(folder.file("model"));
  const ComputeSession session("cpu", 2);
  const QuantizeRequest options = options_for(folder, "W4A16");
  const RunPlan plan = prepare(options, session);
  CHECK_FALSE(plan.allowed_memory);
  CHECK(plan.memory_limit >= plan.peak_memory());
  CHECK(plan.memory_limit <= total_memory_bytes());
  CHECK(plan_quantize(options).memory_limit == 0);
}

TEST_CASE("an evaluation that does not fit in memory is refused by name") {
  const test::TemporaryFolder folder;
  test::write_tiny_llama(folder.file("model"));
  test::write_token_rows(folder.file("ids.safetensors"), 4, 9, 16);
  Reporter silent;
  EvaluateOptions question{
      .model = folder.file("model"), .against = folder.file("model"), .tokens = folder.file("ids.safetensors")};
  CHECK_NOTHROW(evaluate(question, silent));
  question.max_memory = 1;
  const Error error = test::thrown_by([&] { evaluate(question, silent); });
  CHECK(error.fault == Fault::budget);
  CHECK_THAT(error.what(), ContainsSubstring("memory: ") && ContainsSubstring("the smallest limit that works is"));
}

TEST_CASE("a run that is stopped before its first layer leaves nothing") {
  const test::TemporaryFolder folder;
  test::write_tiny_llama(folder.file("model"));
  StopFlag stop = 2;
  QuantizeRequest options = options_for(folder, "W4A16");
  options.stop = &stop;
  Reporter silent;
  try {
    quantize(options, silent);
    FAIL("was not stopped");
  } catch (const Error& error) {
    CHECK(error.fault == Fault::resumable);
  }
  CHECK_FALSE(exists(options.places.output));
  CHECK_FALSE(exists(options.places.output + ".partial"));
}

TEST_CASE("a copy has no divergence from its source, a coarse format has some") {
  const test::TemporaryFolder folder;
  test::write_tiny_llama(folder.file("model"));
  test::write_token_rows(folder.file("ids.safetensors"), 4, 9, 16);
  Reporter silent;
  quantize(options_for(folder, "KEEP", "copy"), silent);
  quantize(options_for(folder, "NVFP4A16", "coarse"), silent);
  EvaluateOptions options{.model = folder.file("copy"),
                          .against = folder.file("model"),
                          .tokens = folder.file("ids.safetensors"),
                          .window = 8};
  const EvaluateResult same = evaluate(options, silent);
  CHECK(same.asked.kl_mean == Catch::Approx(0).margin(1e-12));
  CHECK(same.asked.tokens == 32);
  options.model = folder.file("coarse");
  const EvaluateResult coarse = evaluate(options, silent);
  CHECK(coarse.asked.kl_mean > 1e-6);
  CHECK(coarse.asked.kl_mean == coarse.weights_only->kl_mean);  // weight-only: serving changes nothing
}

TEST_CASE("a Linear that is ignored may hold NaN, and evaluating it says so") {
  const test::TemporaryFolder folder;
  test::write_tiny_llama(folder.file("model"), {.nan_in = "model.layers.0.self_attn.o_proj.weight", .nan_at = 7});
  test::write_token_rows(folder.file("ids.safetensors"), 2, 9, 16);
  Reporter silent;
  QuantizeRequest options = options_for(folder, "W4A16");
  options.assignment.ignore = {"*.o_proj"};
  CHECK_NOTHROW(quantize(options, silent));
  const EvaluateOptions question{
      .model = folder.file("out"), .against = folder.file("model"), .tokens = folder.file("ids.safetensors")};
  CHECK_THROWS_MATCHES(evaluate(question, silent), Error, MessageMatches(ContainsSubstring("not finite")));
}

TEST_CASE("records of a run cannot enter its output, its partial folder or its source") {
  const test::TemporaryFolder folder;
  test::write_tiny_llama(folder.file("model"));
  Reporter silent;
  QuantizeRequest options = options_for(folder, "W4A16");
  for (const char* place : {"out", "out.partial", "out/records", "model", "model/records"}) {
    options.places.work_directory = folder.file(place);
    INFO(place);
    CHECK_THROWS_MATCHES(quantize(options, silent), Error, MessageMatches(ContainsSubstring("-w")));
  }
  CHECK_FALSE(exists(folder.file("out")));
  CHECK_FALSE(exists(folder.file("model/lock")));
}

TEST_CASE("a work directory that is a link to nothing is refused as such") {
  const test::TemporaryFolder folder;
  test::write_tiny_llama(folder.file("model"));
  Reporter silent;
  QuantizeRequest options = options_for(folder, "W4A16");
  std::filesystem::create_symlink("gone", options.places.work_directory);
  CHECK_THROWS_MATCHES(quantize(options, silent), Error,
                       MessageMatches(ContainsSubstring("-w " + options.places.work_directory) &&
                                      ContainsSubstring("is a link to something")));
  make_directory(folder.file("gone"));
  CHECK_NOTHROW(quantize(options, silent));
}

TEST_CASE("force replaces an output, not a project that happens to hold a config.json") {
  const test::TemporaryFolder folder;
  test::write_tiny_llama(folder.file("model"));
  Reporter silent;
  QuantizeRequest options = options_for(folder, "W4A16");
  options.places.force = true;
  make_directory(options.places.output);
  write_text(join_path(options.places.output, "config.json"), "{}");
  write_text(join_path(options.places.output, "thesis.txt"), "years of work");
  CHECK_THROWS_MATCHES(quantize(options, silent), Error, MessageMatches(ContainsSubstring("not a checkpoint")));
  CHECK(exists(join_path(options.places.output, "thesis.txt")));
}

TEST_CASE("a calibrated head is measured at its input and written") {
  const test::TemporaryFolder folder;
  test::write_tiny_llama(folder.file("model"));
  test::write_token_rows(folder.file("ids.safetensors"), 4, 8, 16);
  Reporter silent;
  QuantizeRequest options = options_for(folder, "NVFP4");
  options.calibration.dataset = folder.file("ids.safetensors");
  options.assignment.overrides = {{"lm_head", "NVFP4"}};
  quantize(options, silent);
  const Checkpoint output = Checkpoint::open(options.places.output);
  float scale = 0;
  output.read(output.at("lm_head.input_global_scale"), std::as_writable_bytes(std::span(&scale, 1)));
  CHECK(scale > 1);  // 2688 / amax of a normed hidden state times a norm weight of deviation 1
  CHECK(scale < 2688);
}

TEST_CASE("what the plan says is read is what is read, for tied heads too") {
  for (const bool tied : {false, true}) {
    const test::TemporaryFolder folder;
    test::write_tiny_llama(folder.file("model"), {.tied = tied});
    Recorder recorder;
    const QuantizeRequest options = options_for(folder, "W4A16");
    const std::uint64_t planned = plan_quantize(options).bytes_read;
    quantize(options, recorder);
    std::uint64_t read = 0;
    for (const LayerDone& layer : recorder.layers) read += layer.bytes_read;
    CHECK(read == planned);
  }
}

TEST_CASE("the input scale of q, k and v is 2688 over the largest normed embedding") {
  const test::TemporaryFolder folder;
  test::write_tiny_llama(folder.file("model"));
  test::write_token_rows(folder.file("ids.safetensors"), 4, 8, 16);
  Reporter silent;
  QuantizeRequest options = options_for(folder, "NVFP4");
  options.calibration.dataset = folder.file("ids.safetensors");
  quantize(options, silent);

  const Checkpoint source = Checkpoint::open(options.places.model), output = Checkpoint::open(options.places.output);
  const auto values = [&](const char* name) {
    const TensorInfo& tensor = source.at(name);
    std::vector<std::byte> bytes(tensor.bytes);
    source.read(tensor, bytes);
    std::vector<float> widened(tensor.bytes / 2);
    widen(tensor.dtype, bytes, widened);
    return widened;
  };
  const std::vector<float> table = values("model.embed_tokens.weight");
  const std::vector<float> norm = values("model.layers.0.input_layernorm.weight");
  double largest = 0;
  const TokenRows tokens = read_token_file(options.calibration.dataset);
  for (const TokenId id : tokens.ids) {
    const float* const row = table.data() + static_cast<std::size_t>(id) * 128;
    double squares = 0;
    for (std::size_t i = 0; i < 128; ++i) squares += static_cast<double>(row[i]) * row[i];
    for (std::size_t i = 0; i < 128; ++i)
      largest = std::max(largest, std::abs(row[i] / std::sqrt(squares / 128 + 1e-6) * norm[i]));
  }
  for (const char* name : {"q_proj", "k_proj", "v_proj"}) {
    float scale = 0;
    output.read(output.at(fmt::format("model.layers.0.self_attn.{}.input_global_scale", name)),
                std::as_writable_bytes(std::span(&scale, 1)));
    CHECK(scale == Catch::Approx(2688 / largest).epsilon(1e-5));
  }
}
