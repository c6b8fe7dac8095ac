// Broken outputs: targets, fields, what only some tools write.
#include "tests/unit/engine/check/verify_corpus.h"

using namespace strata;
using namespace strata::test;

TEST_CASE("targets that loaders read differently are caught") {
  const std::string attention = "re:.*self_attn[.].*_proj$", mlp = "re:.*mlp[.].*_proj$";
  run_all({
      {"a router that no list names",
       "W4A16",
       {"unmatched"},
       "mlp.gate: is matched by no group",
       groups({{"W4A16", {any_linear}}}, {head})},
      {"a catch-all that takes the head",
       "W4A16",
       {"matchers", "stored-format"},
       "lm_head: config.json says W4A16",
       groups({{"W4A16", {"Linear"}}}, {routers})},
      {"an expression without an end",
       "FP8_DYNAMIC",
       {"stored-format"},
       "mlp.gate: config.json says FP8_DYNAMIC",
       groups({{"FP8_DYNAMIC", {attention, "re:.*mlp[.](?:gate|up|down|exp)"}}}, {head})},
      {"two groups with one module, in the wrong order for one loader",
       "FP8_DYNAMIC",
       {"overlap", "matchers"},
       "which one counts depends on the loader",
       groups({{"NVFP4A16", {attention}}, {"FP8_DYNAMIC", {"re:.*_proj$"}}}, {head, routers})},
      {"two groups with one module",
       "FP8_DYNAMIC",
       {"overlap"},
       "is targeted by groups of FP8_DYNAMIC and NVFP4A16",
       groups({{"FP8_DYNAMIC", {any_linear}}, {"NVFP4A16", {"re:.*self_attn[.].*_proj$$"}}}, {head, routers})},
      {"a catch-all that older vLLM prefers to the members",
       "FP8_DYNAMIC",
       {"matchers"},
       "vLLM before 2026-07",
       [](Output& output) {
         for (const char* name : {"q_proj", "k_proj", "v_proj"})
           for (int i = 0; i < 3; ++i)
             output.encode_again(fmt::format("model.layers.{}.self_attn.{}", i, name), "W4A16");
         output.config = config_of({{"FP8_DYNAMIC", {"Linear"}}, {"W4A16", {"re:.*[.][qkv]_proj$"}}}, {head, routers});
       }},
  });
}

TEST_CASE("a config that tells of other formats than are stored is caught") {
  run_all({
      {"one member of a merged matrix ignored",
       "W4A16",
       {"fused-format", "matchers"},
       "ignored in part",
       [](Output& output) {
         const std::string name = layer0 + "self_attn.k_proj";
         std::erase_if(output.tensors, [&](const auto& item) { return item.first.starts_with(name + "."); });
         output.tensors[name + ".weight"] = output.dense.at(name + ".weight");
         output.config = config_of({{"W4A16", {any_linear}}}, {head, routers, name});
       }},
      {"a config for another format",
       "W4A16",
       {"stored-format"},
       "says NVFP4A16, which stores U8 weight_packed",
       groups({{"NVFP4A16", {any_linear}}}, {head, routers})},
      {"a config that forgets a layer",
       "W4A16",
       {"stored-format", "unmatched"},
       "leaves it dense, but it is stored as I32 weight_packed",
       groups({{"W4A16", {"re:.*layers[.][12][.].*_proj$"}}}, {head, routers})},
      {"a format that cannot store the shape",
       "FP8_DYNAMIC",
       {"divisibility"},
       "FP8_BLOCK cannot store [128, 128]",
       groups({{"FP8_BLOCK", {any_linear}}}, {head, routers})},
      {"experts of two formats",
       "W4A16",
       {"expert-format"},
       "model.layers.1: ",
       [](Output& output) {
         for (const char* layer : {"model.layers.1.", "model.layers.2."})
           for (const char* projection : {"gate_proj", "up_proj", "down_proj"})
             output.encode_again(fmt::format("{}mlp.experts.1.{}", layer, projection), "FP8_DYNAMIC");
         output.config = config_of(
             {{"W4A16", {"re:(?!.*experts[.]1[.]).*_proj$"}}, {"FP8_DYNAMIC", {"re:.*experts[.]1[.].*_proj$"}}},
             {head, routers});
       }},
      {"q/k/v of two formats",
       "W4A16",
       {"fused-format"},
       "qkv_proj: ",
       [](Output& output) {
         output.encode_again(layer0 + "self_attn.q_proj", "FP8_DYNAMIC");
         output.config = config_of(
             {{"W4A16", {"re:(?!model.layers.0.self_attn.q).*_proj$"}}, {"FP8_DYNAMIC", {layer0 + "self_attn.q_proj"}}},
             {head, routers});
       }},
  });
}

TEST_CASE("fields of another shape are caught") {
  const std::string o = layer0 + "self_attn.o_proj.";
  run_all({
      {"an expert without its scales",
       "MXFP4",
       {"claims"},
       expert + "down_proj.weight_scale",
       erased(expert + "down_proj.weight_scale")},
      {"a global scale that is missing",
       "NVFP4",
       {"claims"},
       o + "weight_global_scale",
       erased(o + "weight_global_scale")},
      {"an input scale too many",
       "NVFP4A16",
       {"claims"},
       o + "input_global_scale",
       added(o + "input_global_scale", Dtype::f32, {1}, {1})},
      {"a tensor that belongs to nothing",
       "NVFP4",
       {"claims"},
       "model.extra",
       added("model.extra", Dtype::f32, {1}, {1})},
      {"a global scale [1, 1]",
       "NVFP4",
       {"field-shape"},
       "has shape [1, 1], NVFP4",
       reshaped(o + "weight_global_scale", {1, 1})},
      {"a global scale []", "NVFP4", {"field-shape"}, "has shape [], NVFP4", reshaped(o + "weight_global_scale", {})},
      {"scales of rows as a vector",
       "FP8_DYNAMIC",
       {"field-shape"},
       "has shape [128], FP8_DYNAMIC",
       reshaped(o + "weight_scale", {128})},
      {"scales of rows as a vector, INT8",
       "INT8",
       {"field-shape"},
       "has shape [128], INT8",
       reshaped(o + "weight_scale", {128})},
      {"transposed blocks",
       "FP8_BLOCK",
       {"field-shape"},
       "has shape [4, 1]",
       reshaped(layer0 + "self_attn.o_proj.weight_scale", {4, 1})},
      {"a tensor scale [1, 1]", "FP8", {"field-shape"}, "has shape [1, 1], FP8", reshaped(o + "weight_scale", {1, 1})},
  });
}

TEST_CASE("fields of another type are caught") {
  const std::string o = layer0 + "self_attn.o_proj.";
  run_all({
      {"scales in the wrong type",
       "NVFP4",
       {"field-dtype"},
       "is stored as U8, NVFP4 stores F8_E4M3",
       retyped(o + "weight_scale", Dtype::u8)},
      {"exponents in the new type",
       "MXFP4",
       {"field-dtype"},
       "is stored as F8_E8M0, MXFP4 stores U8",
       retyped(o + "weight_scale", Dtype::f8_e8m0)},
      {"a narrow global scale",
       "NVFP4",
       {"field-dtype"},
       "is stored as BF16, NVFP4 stores F32",
       added(o + "weight_global_scale", Dtype::bf16, {1}, {9000})},
      {"zero points as bytes",
       "W4A16_ASYM",
       {"field-dtype"},
       "is stored as U32",
       retyped(o + "weight_zero_point", Dtype::u32)},
      {"codes in another type",
       "W4A16",
       {"stored-format"},
       "stored as U32 weight_packed",
       retyped(o + "weight_packed", Dtype::u32)},
      {"a weight_shape that lies",
       "W4A16",
       {"weight-shape"},
       "says [129, 128], the weight is [128, 128]",
       set_byte(o + "weight_shape", 0, 129)},
  });
}

TEST_CASE("bits beyond the last zero point are caught") {
  std::string config = config_json;
  config.replace(config.find("\"vocab_size\": 16"), 16, "\"vocab_size\": 20");
  Output output([](const std::string& module) { return module == "lm_head" ? "W4A16_ASYM" : ""; }, config);
  output.write();
  CHECK(report_of(output, false).failures.empty());
  output.tensor("lm_head.weight_zero_point").bytes.back() = std::byte{1};  // rows 20 to 23 of the last word
  output.write();
  const VerifyReport report = report_of(output, false);
  REQUIRE(report.failures.size() == 1);
  CHECK(report.failures[0].rule == "padding");
}

TEST_CASE("what only some tools write is a note, not a failure") {
  struct Odd {
    const char* what;
    std::string good, rule;
    std::function<void(Output&)> change;
    std::function<void(Output&)> damage = {};
  };
  const std::string o = layer0 + "self_attn.o_proj.";
  const std::vector<Odd> odd = {
      {"a tensor scale []", "FP8", "field-shape", reshaped(o + "weight_scale", {})},
      {"inputs of two experts", "NVFP4", "input-scale",
       [](Output& output) {
         for (const char* name : {"gate_proj.", "up_proj."}) scaled(expert + name + "input_global_scale", 2)(output);
       }},
      {"tensor scales of q and k", "FP8", "fused-scale", scaled(layer0 + "self_attn.k_proj.weight_scale", 2)},
      {"targeted and ignored", "W4A16", "overlap",
       groups({{"W4A16", {any_linear, "re:.*mlp.gate$"}}}, {head, routers})},
      {"a file beside an index",
       "W4A16",
       "orphan-files",
       {},
       [](Output& output) {
         file("adapter.safetensors", "")(output);
         indexed("right")(output);
       }},
  };
  for (const Odd& one : odd) {
    CAPTURE(one.what);
    Output output(body(one.good));
    if (one.change) one.change(output);
    output.write();
    if (one.damage) one.damage(output);
    const VerifyReport report = report_of(output, false);
    CHECK(report.failures.empty());
    for (const VerifyFinding& failure : report.failures) UNSCOPED_INFO(failure.rule << ": " << failure.message);
    REQUIRE(!report.notes.empty());
    CHECK(report.notes.front().rule == one.rule);
  }
}
