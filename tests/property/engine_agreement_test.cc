// Two commands that must agree: whenever `quantize` ends without an error, `verify --source` of that output finds no
// failure, without --deep and with it. Over families, number formats, hostile weights, types and ties of the source.
#include <algorithm>
#include <array>
#include <catch2/catch_test_macros.hpp>
#include <cstring>
#include <map>
#include <optional>
#include <random>

#include "base/file.h"
#include "engine/check/verify.h"
#include "engine/run/quantize.h"
#include "formats/number_format.h"
#include "profiles/profile.h"
#include "tests/support/coded_llama.h"
#include "tests/support/hostile_weights.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_llama.h"

using namespace strata;

namespace {

enum class Tie { none, one_stored, head_stored, same_bytes, other_bytes };

struct Draw {
  std::string family;
  Tie tie = Tie::none;
  Dtype dtype = Dtype::bf16;
  std::string_view kind;    // of all Linears; empty: each has its own
  bool names_class = true;  // config.json has architectures
  unsigned seed = 0;
};

std::string config_of(const Draw& draw) {
  const std::string own =
      draw.family == "llama" ? R"("architectures": ["LlamaForCausalLM"], "model_type": "llama")"
      : draw.family == "mistral"
          ? R"("architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": 8)"
      : draw.family == "qwen3"
          ? R"("architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3")"
          : R"("architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "num_experts": 2,
  "num_experts_per_tok": 1, "moe_intermediate_size": 128, "norm_topk_prob": true, "mlp_only_layers": [0])";
  return fmt::format(R"({{{}, "hidden_size": 128, "intermediate_size": 128, "num_hidden_layers": {},
  "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 64, "vocab_size": 16, "max_position_embeddings": 64,
  "rms_norm_eps": 1e-06, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": {}}}
)",
                     draw.names_class ? own : own.substr(own.find("\"model_type")), draw.family == "qwen3-moe" ? 2 : 1,
                     draw.tie != Tie::none);
}

// The tensors that a family's profile asks for, all but the head of a tied model.
ModelSpec describe(const Draw& draw) {
  const Config config = Config::parse(config_of(draw), "config.json");
  static const TensorInfo present;
  return require_profile(config).describe(config, [&](std::string_view name) -> const TensorInfo* {
    const bool head = name.starts_with("lm_head.");
    const bool packed = name.ends_with(".weight_packed") || name.ends_with(".experts.gate_up_proj");
    const bool absent =
        draw.tie == Tie::one_stored ? head : draw.tie == Tie::head_stored && name.ends_with("embed_tokens.weight");
    return absent || packed ? nullptr : &present;
  });
}

void write_model(const std::string& folder, const Draw& draw) {
  const ModelSpec spec = describe(draw);
  std::mt19937 random(draw.seed);
  std::vector<test::StoredTensor> tensors;
  const auto add = [&](const std::string& name, Shape shape, std::string_view kind) {
    tensors.push_back(test::hostile_tensor(name, std::move(shape), draw.dtype, kind,
                                           draw.seed + static_cast<unsigned>(tensors.size())));
  };
  const auto linear = [&](const LinearSpec& one) {
    const auto any = test::hostile_kinds[random() % test::hostile_kinds.size()];
    add(one.module + ".weight", {one.out, one.in}, draw.kind.empty() ? any : draw.kind);
  };
  add(spec.embedding, {spec.vocabulary, spec.hidden}, "normal");
  for (const LayerSpec& layer : spec.layers) {
    for (const NormSpec* norm : norms(layer)) add(norm->weight, {norm->size}, "normal");
    for (const LinearSpec* one : linears(layer)) linear(*one);
  }
  add(spec.final_norm.weight, {spec.final_norm.size}, "normal");
  if (draw.tie == Tie::none || draw.tie == Tie::other_bytes) linear(spec.head);
  if (draw.tie == Tie::same_bytes) {
    tensors.push_back(tensors.front());
    tensors.back().name = "lm_head.weight";
  }
  test::write_checkpoint(folder, config_of(draw), tensors);
}

// How many runs ended, and what the others said.
struct Tally {
  int done = 0;
  std::map<std::string, std::string> refused;  // by format and kind
};

// Hears whether `quantize` says that vLLM serves its output.
class ServedReporter : public Reporter {
 public:
  void run_end(const RunEnd& end) override { vllm_loads = end.vllm_loads; }
  bool vllm_loads = false;
};

// Runs both commands on `model`. The error of quantize where there is one.
std::optional<std::string> agree(const test::TemporaryFolder& folder, QuantizeRequest options) {
  options.places.output = folder.file("out");
  options.places.work_directory = folder.file("out.work");
  options.machine.threads = 1;
  options.assignment.allow_unservable = options.assignment.allow_nothing = true;
  ServedReporter reporter;
  try {
    quantize(options, reporter);
  } catch (const Error& error) {
    INFO(error.what());
    CHECK(error.fault == Fault::input);
    CHECK_FALSE(exists(options.places.output));
    return error.what();
  }
  for (const bool deep : {false, true}) {
    const VerifyReport report = verify({.model = options.places.output, .source = options.places.model, .deep = deep});
    std::string text;
    for (const auto& [rule, subject, message] : report.failures)
      text += fmt::format("{}: {}: {}\n", rule, subject, message);
    CHECK(text == "");
    const auto vllm = std::ranges::find(report.facts, "vLLM", &std::pair<std::string, std::string>::first);
    REQUIRE(vllm != report.facts.end());
    CAPTURE(vllm->second);
    CHECK((vllm->second.starts_with("yes") || vllm->second.starts_with("not judged")) == reporter.vllm_loads);
  }
  return std::nullopt;
}

std::vector<std::string> formats() {
  std::vector<std::string> names = {"KEEP", "BF16"};
  for (const NumberFormat* const format : number_formats())
    if (format->quantizes() && !format->source_only) names.emplace_back(format->name);
  return names;
}

void run_draw(const Draw& draw, const std::string& format, Tally& tally) {
  const test::TemporaryFolder folder;
  write_model(folder.file("model"), draw);
  QuantizeRequest options{.places = {.model = folder.file("model")}, .assignment = {.scheme = format}};
  if (!require_number_format(format).quantizes()) {  // something is to be quantized
    options.assignment.scheme = "FP8_DYNAMIC";
    options.assignment.overrides = {{"*.self_attn.*", format}};
  }
  if (require_number_format(format).calibrated_input) {
    test::write_token_rows(folder.file("rows.safetensors"), 2, 8, 16);
    options.calibration.dataset = folder.file("rows.safetensors");
    options.calibration.nsamples = 2;
    options.calibration.seqlen = 8;
  }
  if (draw.seed % 3 == 1) options.rounding.method = "rtn";
  if (draw.seed % 3 == 2) options.rounding.parity = true;
  CAPTURE(draw.family, static_cast<int>(draw.tie), dtype_name(draw.dtype), draw.kind, draw.seed, format);
  const std::optional<std::string> refused = agree(folder, options);
  if (!refused)
    ++tally.done;
  else
    tally.refused[fmt::format("{} {} {}", format, dtype_name(draw.dtype), draw.kind)] = *refused;
  const bool no_inputs = draw.kind == "zeros" && require_number_format(format).calibrated_input;
  if (test::is_moderate(draw.kind) && !draw.kind.empty() && !no_inputs) CHECK(refused.value_or("") == "");
}

// `rounds` draws of each format with each kind of weights, and as many where each Linear has its own.
Tally run_all(unsigned first_seed, int rounds) {
  static constexpr auto families = std::to_array<const char*>({"llama", "mistral", "qwen3", "qwen3-moe"});
  static constexpr auto ties =
      std::to_array<Tie>({Tie::none, Tie::one_stored, Tie::head_stored, Tie::same_bytes, Tie::other_bytes});
  static constexpr auto types = std::to_array<Dtype>({Dtype::bf16, Dtype::f16, Dtype::f32});
  Tally tally;
  unsigned seed = first_seed;
  for (int round = 0; round < rounds; ++round)
    for (const std::string& format : formats()) {
      std::vector<std::string_view> kinds(test::hostile_kinds.begin(), test::hostile_kinds.end());
      kinds.emplace_back();
      for (const std::string_view kind : kinds) {
        std::mt19937 random(++seed);
        run_draw({.family = families[random() % families.size()],
                  .tie = ties[random() % ties.size()],
                  .dtype = types[random() % types.size()],
                  .kind = kind,
                  .names_class = random() % 4 != 0,
                  .seed = seed},
                 format, tally);
      }
    }
  return tally;
}

void report(const Tally& tally) {
  for (const auto& [what, error] : tally.refused) UNSCOPED_INFO(what << ": " << error);
}

}  // namespace

TEST_CASE("whenever quantize ends well, verify finds nothing: hostile weights in every format") {
  const Tally tally = run_all(0, 1);
  report(tally);
  CHECK(tally.done > 200);
}

TEST_CASE("whenever quantize ends well, verify finds nothing: a larger draw", "[.large]") {
  const Tally tally = run_all(1000, 40);
  report(tally);
  CHECK(tally.done > 40 * 200);
}

TEST_CASE("whenever quantize ends well, verify finds nothing: FP8 sources with hostile scales") {
  for (const float scale : {0x1p-7f, 1e-30f, 1e30f})  // one of 0 is a broken file to every reader
    for (const bool blocks : {false, true})
      for (const char* const format : {"KEEP", "W4A16", "W4A16_ASYM", "W8A16", "INT8", "NVFP4A16", "MXFP4A16", "MXFP8",
                                       "FP8_DYNAMIC", "FP8_BLOCK"}) {
        CAPTURE(scale, blocks, format);
        const test::TemporaryFolder folder;
        test::write_coded_llama(folder.file("model"), blocks ? test::fp8_blocks : test::fp8_static, 256,
                                [&](const test::CodedLinear& linear) {
                                  test::CodedTensors tensors =
                                      blocks ? test::block_coded(linear) : test::static_coded(linear);
                                  test::StoredTensor& scales = tensors.at("weight_scale_inv");
                                  const std::vector<float> values(scales.bytes.size() / 4, scale);
                                  std::memcpy(scales.bytes.data(), values.data(), scales.bytes.size());
                                  return tensors;
                                });
        const std::optional<std::string> refused =
            agree(folder, {.places = {.model = folder.file("model")}, .assignment = {.scheme = format}});
        CHECK(refused.value_or("") == "");
      }
}

TEST_CASE("whenever quantize ends well, verify finds nothing: what only the arithmetic of --parity loses is refused") {
  for (const char* const format : {"MXFP6A16", "MXFP6A8", "MXFP6_E3M2"}) {
    Tally tally;
    run_draw({.family = "mistral", .dtype = Dtype::f16, .kind = "large", .seed = 1406}, format,
             tally);  // with --parity
    run_draw({.family = "mistral", .dtype = Dtype::f16, .kind = "large", .seed = 1407}, format, tally);  // without
    CHECK(tally.done == 1);
    REQUIRE(tally.refused.size() == 1);
    CAPTURE(tally.refused.begin()->second);
    CHECK(tally.refused.begin()->second.find("without --parity it is not") != std::string::npos);
  }
}
