// The quantization_config of published checkpoints: native ones leave the tensors to say how they are stored.
#include <catch2/catch_test_macros.hpp>
#include <map>

#include "base/file.h"
#include "formats/config/quantization_config.h"
#include "formats/storage/stored_linear.h"
#include "tests/support/source_folder.h"
#include "tests/support/thrown.h"

using namespace strata;

namespace {

const std::string folder = test::in_source("../shared/fixtures/configs");

NativeRules rules_of(const Config& config) {
  CHECK(QuantizationConfig::parse(config).empty());
  return NativeRules::parse(config);
}

}  // namespace

TEST_CASE("configs of published FP8 and ModelOpt checkpoints are read as native") {
  if (!exists(folder)) SKIP("needs ../shared/fixtures");
  const Shape tiles = {128, 128};
  const std::map<std::string, std::optional<Shape>> blocks = {
      {"aiconfigurator/Qwen--Qwen3-32B-FP8_config.json", tiles},
      {"aiconfigurator/Qwen--Qwen3-30B-A3B-FP8_config.json", tiles},
      {"aiconfigurator/deepseek-ai--DeepSeek-V3_config.json", tiles},
      {"aiconfigurator/deepseek-ai--DeepSeek-V4-Flash_config.json", tiles},
      {"aiconfigurator/MiniMaxAI--MiniMax-M2.7_config.json", tiles},
      {"aiconfigurator/zai-org--GLM-5-FP8_config.json", tiles},
      {"mistral-medium-3.5-128b/config.json", std::nullopt},
      {"aiconfigurator/Qwen--Qwen3-32B-FP8-Static-PerTensor_config.json", std::nullopt},  // has no quant_method
      {"aiconfigurator/nvidia--Qwen3-235B-A22B-NVFP4_config.json", std::nullopt},         // says nothing at all
      {"aiconfigurator/nvidia--MiniMax-M2.5-NVFP4_config.json", std::nullopt},
      {"aiconfigurator/nvidia--Qwen3.6-27B-NVFP4_config.json", std::nullopt},
      {"aiconfigurator/nvidia--DeepSeek-V4-Flash-NVFP4_config.json", tiles},
      {"aiconfigurator/openai--gpt-oss-20b_config.json", std::nullopt}};
  for (const auto& [file, block] : blocks) {
    INFO(file);
    const NativeRules rules = rules_of(Config::load(join_path(folder, file)));
    CHECK(rules.allowed);
    CHECK(rules.block == block);
  }
}

TEST_CASE("methods that are not read are refused by name") {
  for (const char* const method : {"gptq", "awq", "bitsandbytes", "fbgemm_fp8", ""}) {
    const Config config =
        Config::parse(fmt::format(R"({{"quantization_config": {{"quant_method": "{}"}}}})", method), "config.json");
    const Error error = test::thrown_by([&] { QuantizationConfig::parse(config); });
    CHECK(error.fault == Fault::input);
    CHECK(std::string(error.what()).find(fmt::format("quant_method is \"{}\"", method)) != std::string::npos);
  }
}
