// Broken outputs: values of scales and codes, weights that are not the source's.
#include <cmath>
#include <limits>

#include "tests/unit/engine/check/verify_corpus.h"

using namespace strata;
using namespace strata::test;

TEST_CASE("scales and codes that no kernel survives are caught") {
  const std::string o = layer0 + "self_attn.o_proj.";
  const float nan = std::nanf(""), inf = std::numeric_limits<float>::infinity();
  run_all({
      {"a global scale of zero", "NVFP4", {"global-scale"}, "is 0, expected", scaled(o + "weight_global_scale", 0)},
      {"a negative global scale",
       "NVFP4A16",
       {"global-scale"},
       "expected a finite number above 0",
       scaled(o + "weight_global_scale", -1)},
      {"a global scale that is NaN", "NVFP4", {"global-scale"}, "is nan", scaled(o + "input_global_scale", nan)},
      {"a global scale that is infinite", "NVFP4", {"global-scale"}, "is inf", scaled(o + "input_global_scale", inf)},
      {"an input scale of zero", "FP8", {"global-scale"}, "input_scale: is 0", scaled(o + "input_scale", 0)},
      {"a block scale that is NaN", "NVFP4", {"scale-range"}, "byte 5 is 0x7f", set_byte(o + "weight_scale", 5, 0x7f)},
      {"a negative block scale", "NVFP4A16", {"scale-range"}, "byte 5 is 0x81", set_byte(o + "weight_scale", 5, 0x81)},
      {"an exponent that is NaN",
       "MXFP4",
       {"scale-range"},
       "byte 3 of 512 is 0xff, which is NaN",
       set_byte(o + "weight_scale", 3, 255)},
      {"an exponent of zero over FP4 codes",
       "MXFP4A16",
       {"scale-range"},
       "the codes under it are not zero",
       set_byte(o + "weight_scale", 3, 0)},
      {"an exponent of zero over FP8 codes",
       "MXFP8",
       {"scale-range"},
       "byte 3 of 512 is 0x00",
       set_byte(expert + "up_proj.weight_scale", 3, 0)},
      {"an exponent of zero over FP6 codes",
       "MXFP6A16",
       {"scale-range"},
       "byte 3 of 512 is 0x00",
       set_byte(o + "weight_scale", 3, 0)},
  });
}

TEST_CASE("scales and codes of integers and FP8 that no kernel survives are caught") {
  const std::string o = layer0 + "self_attn.o_proj.", up = layer0 + "mlp.up_proj.";
  const float nan = std::nanf(""), inf = std::numeric_limits<float>::infinity();
  run_all({
      {"an infinite integer scale",
       "W4A16",
       {"scale-range"},
       "element 3 of 128 is inf",
       set_bf16(up + "weight_scale", 3, inf)},
      {"an integer scale that is NaN",
       "W8A16",
       {"scale-range"},
       "element 3 of 128 is nan",
       set_bf16(up + "weight_scale", 3, nan)},
      {"a negative FP8 scale",
       "FP8_DYNAMIC",
       {"scale-range"},
       "element 3 of 128 is -1",
       set_bf16(up + "weight_scale", 3, -1)},
      {"an FP8 scale of zero",
       "FP8_DYNAMIC",
       {"scale-range"},
       "is 0, but the codes under it are not",
       set_bf16(up + "weight_scale", 3, 0)},
      {"an integer scale of zero",
       "INT8",
       {"scale-range"},
       "is 0, but the codes under it are not",
       set_bf16(up + "weight_scale", 3, 0)},
      {"a block scale of zero",
       "FP8_BLOCK",
       {"scale-range"},
       "element 3 of 4 is 0",
       set_bf16(o + "weight_scale", 3, 0)},
      {"an FP8 code that is NaN",
       "FP8_DYNAMIC",
       {"codes"},
       "code 77 is 0xff",
       set_byte(expert + "down_proj.weight", 77, 0xff)},
      {"an MXFP8 code that is NaN", "MXFP8", {"codes"}, "code 77 is 0x7f", set_byte(o + "weight", 77, 0x7f)},
  });
}

TEST_CASE("scales that were stored the other way round are caught") {
  const std::string o = layer0 + "self_attn.o_proj.";
  run_all({
      {"reciprocal global scales",
       "NVFP4A16",
       {"scale-direction"},
       "its reciprocal was stored",
       inverted({o + "weight_global_scale"})},
      {"a reciprocal input global scale of another tool",
       "NVFP4",
       {"scale-direction"},
       "input_global_scale: is",
       [=](Output& output) {
         output.writer = "";
         inverted({o + "input_global_scale"})(output);
       }},
      {"a reciprocal tensor scale",
       "FP8",
       {"scale-direction"},
       "o_proj.weight_scale: is",
       inverted({o + "weight_scale"})},
  });
}

TEST_CASE("what is wrong with a tensor scale is caught in either shape that loaders take") {
  const std::string down = layer0 + "mlp.down_proj.", o = layer0 + "self_attn.o_proj.";
  const float nan = std::nanf("");
  for (const Shape& shape : {Shape{1}, Shape{}}) {
    CAPTURE(shape.size());
    const auto both = [&](const std::string& name, const std::function<void(Output&)>& change) {
      return [=](Output& output) {
        change(output);
        reshaped(name, shape)(output);
      };
    };
    const auto nan_scale = both(down + "weight_scale", scaled(down + "weight_scale", nan));
    run_all({
        {"NaN", "FP8", {"scale-range"}, "down_proj.weight_scale: element 0 of 1 is nan", nan_scale},
        {"NaN beside the source", "FP8", {"scale-range", "weight-error"}, "mlp.down_proj: ", nan_scale, {}, true},
        {"zero",
         "FP8",
         {"scale-range"},
         "is 0, but the codes under it are not",
         both(down + "weight_scale", scaled(down + "weight_scale", 0))},
        {"an input scale of zero",
         "FP8",
         {"global-scale"},
         "input_scale: is 0",
         both(o + "input_scale", scaled(o + "input_scale", 0))},
        {"a reciprocal",
         "FP8",
         {"scale-direction"},
         "o_proj.weight_scale: is",
         both(o + "weight_scale", inverted({o + "weight_scale"}))},
    });
    const std::string q = layer0 + "self_attn.q_proj.weight_scale", k = layer0 + "self_attn.k_proj.weight_scale";
    Output apart(body("FP8"));
    both(q, scaled(k, 2))(apart);
    apart.write();
    CHECK(std::ranges::count(report_of(apart, false).notes, "fused-scale", &VerifyFinding::rule) == 1);
  }
}

TEST_CASE("scales that a merged matrix cannot share are caught") {
  const std::string gate = expert + "gate_proj.", up = expert + "up_proj.";
  run_all({
      {"gate and up of an expert",
       "NVFP4A16",
       {"fused-scale"},
       "experts.1.up_proj.weight_global_scale",
       scaled(up + "weight_global_scale", 1.0001f)},
      {"q, k and v",
       "NVFP4",
       {"fused-scale"},
       "self_attn.v_proj.weight_global_scale",
       scaled(layer0 + "self_attn.v_proj.weight_global_scale", 2)},
      {"their inputs",
       "NVFP4",
       {"input-scale"},
       "k_proj.input_global_scale",
       scaled(layer0 + "self_attn.k_proj.input_global_scale", 2)},
      {"inputs of gate and up",
       "FP8",
       {"input-scale"},
       "experts.1.up_proj.input_scale",
       scaled(up + "input_scale", 1.02f)},
  });
}

TEST_CASE("scales of a cache that do not fit the config are caught") {
  const std::string k = layer0 + "self_attn.k_scale", v = layer0 + "self_attn.v_scale";
  const auto with_cache = [=](std::function<void(Output&)> change) {
    return [=](Output& output) {
      replaced(null_cache, cache_scheme)(output);
      for (int i = 0; i < 3; ++i)
        for (const char* suffix : {"k_scale", "v_scale"})
          added(fmt::format("model.layers.{}.self_attn.{}", i, suffix), Dtype::f32, {1}, {0.1f})(output);
      change(output);
    };
  };
  run_all({
      {"a scheme without scales", "W4A16", {"kv-cache"}, k + ": is missing", replaced(null_cache, cache_scheme)},
      {"a scale without a scheme", "W4A16", {"kv-cache"}, "no kv_cache_scheme", added(k, Dtype::f32, {1}, {1})},
      {"one scale missing", "W4A16", {"kv-cache"}, v + ": is missing", with_cache(erased(v))},
      {"a cache scale of zero", "FP8_DYNAMIC", {"kv-cache"}, "is 0, expected", with_cache(scaled(k, 0))},
      {"a cache scale [1, 1]", "FP8_DYNAMIC", {"kv-cache"}, "has shape [1, 1]", with_cache(reshaped(k, {1, 1}))},
  });
}

TEST_CASE("a config without groups is right where the cache alone is quantized") {
  const auto with = [](bool cache) {
    Output output(body(""));
    std::vector<std::string> ignore = {any_linear, routers, head};
    output.config = config_of({}, ignore);
    if (cache) {
      replaced(R"("config_groups": {})", std::string(R"("config_groups": {}, )") + cache_scheme)(output);
      for (int i = 0; i < 3; ++i)
        for (const char* suffix : {"k_scale", "v_scale"})
          added(fmt::format("model.layers.{}.self_attn.{}", i, suffix), Dtype::f32, {1}, {0.1f})(output);
    }
    output.write();
    return report_of(output, false);
  };
  const VerifyReport good = with(true), bad = with(false);
  CHECK(good.failures.empty());
  CHECK_THAT(good.facts.back().second, Catch::Matchers::StartsWith("no: config_groups is empty"));  // transformers
  REQUIRE(bad.failures.size() == 1);
  CHECK(bad.failures[0].rule == "config-schema");
}

TEST_CASE("weights that are not the source's are caught") {
  const std::string gate = layer0 + "mlp.gate_proj.", up = layer0 + "mlp.up_proj.";
  run_all({
      {"all codes zero",
       "MXFP8",
       {"weight-error"},
       "decodes to zero everywhere",
       [=](Output& output) { std::ranges::fill(output.tensor(gate + "weight").bytes, std::byte{0}); },
       {},
       true},
      {"reciprocal global scales",
       "NVFP4A16",
       {"weight-error"},
       "nearest if scaled by",
       inverted({gate + "weight_global_scale", up + "weight_global_scale"}),
       {},
       true},
      {"two Linears exchanged",
       "W4A16_G32",
       {"weight-error"},
       "model.layers.0.mlp.up_proj: decoded weights differ",
       [=](Output& output) {
         std::swap(output.tensor(gate + "weight_packed").bytes, output.tensor(up + "weight_packed").bytes);
       },
       {},
       true},
      {"nibbles exchanged",
       "MXFP4",
       {"weight-error"},
       "mlp.up_proj: decoded weights differ",
       [=](Output& output) {
         for (std::byte& b : output.tensor(up + "weight_packed").bytes) b = b << 4 | b >> 4;
       },
       {},
       true},
      {"a kept tensor changed",
       "W4A16",
       {"kept-bytes"},
       "model.norm.weight: byte 100",
       [](Output& output) { output.tensor("model.norm.weight").bytes[100] ^= std::byte{1}; },
       {},
       true},
      {"a changed config", "W4A16", {"config-kept"}, "rope_theta is 20000.0", replaced("10000.0", "20000.0"), {}, true},
      {"what describes the source's own quantization",
       "W4A16",
       {"leftovers"},
       "hf_quant_config.json: says how ModelOpt quantized the source",
       {},
       [](Output& output) { write_text(join_path(output.model, "hf_quant_config.json"), "{}"); },
       false},
      {"a lost sidecar",
       "W4A16",
       {"sidecars"},
       "tokenizer.json: is in the source's folder",
       {},
       [](Output& output) { remove_tree(join_path(output.model, "tokenizer.json")); },
       true},
  });
}
