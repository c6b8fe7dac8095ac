// What number formats say of themselves: the group that is printed from their scheme, their bits, and how they are
// related.
#include <catch2/catch_test_macros.hpp>

#include "formats/config/config_group.h"
#include "formats/config/scheme.h"
#include "formats/number_format.h"

namespace strata {
namespace {

Scheme read_back(const NumberFormat& format) {
  return parse_scheme(Config::parse(compact_json(config_group(format.scheme)), std::string(format.name)));
}

const NumberFormat* named(std::string_view name) { return &require_number_format(name); }

TEST_CASE("a printed scheme is read back as the scheme that was stated") {
  for (const NumberFormat* const format : number_formats()) {
    if (!format->quantizes()) continue;
    INFO(format->name);
    CHECK(read_back(*format) == format->scheme);
    CHECK(stores_same(*number_format_of(read_back(*format)), *format));
  }
}

// Loaders do not look at the order; the bytes of config.json have one.
TEST_CASE("a group is printed with its keys in the order of compressed-tensors") {
  CHECK(compact_json(config_group(named("W4A16_ASYM")->scheme)) ==
        R"({"format":"pack-quantized","output_activations":null,"input_activations":null,)"
        R"("weights":{"num_bits":4,"type":"int","symmetric":false,"strategy":"group","group_size":128,)"
        R"("dynamic":false,"actorder":null,"block_structure":null,"observer":"memoryless_minmax",)"
        R"("observer_kwargs":{},"scale_dtype":null,"zp_dtype":"torch.int8"}})");
  CHECK(compact_json(config_group(named("NVFP4")->scheme)) ==
        R"({"format":"nvfp4-pack-quantized","output_activations":null,)"
        R"("weights":{"num_bits":4,"type":"float","symmetric":true,"strategy":"tensor_group","group_size":16,)"
        R"("dynamic":false,"actorder":null,"block_structure":null,"observer":"memoryless_minmax",)"
        R"("observer_kwargs":{},"scale_dtype":"torch.float8_e4m3fn","zp_dtype":null},)"
        R"("input_activations":{"num_bits":4,"type":"float","symmetric":true,"strategy":"tensor_group",)"
        R"("group_size":16,"dynamic":"local","actorder":null,"block_structure":null,"observer":"static_minmax",)"
        R"("observer_kwargs":{},"scale_dtype":"torch.float8_e4m3fn","zp_dtype":null}})");
  CHECK(compact_json(config_group(named("FP8_BLOCK")->scheme)) ==
        R"({"format":"float-quantized","output_activations":null,)"
        R"("weights":{"num_bits":8,"type":"float","symmetric":true,"strategy":"block","group_size":null,)"
        R"("dynamic":false,"actorder":null,"block_structure":[128,128],"observer":"memoryless_minmax",)"
        R"("observer_kwargs":{},"scale_dtype":null,"zp_dtype":null},)"
        R"("input_activations":{"num_bits":8,"type":"float","symmetric":true,"strategy":"group",)"
        R"("group_size":128,"dynamic":true,"actorder":null,"block_structure":null,"observer":null,)"
        R"("observer_kwargs":{},"scale_dtype":null,"zp_dtype":null}})");
}

TEST_CASE("bits per weight are those of the code and its share of scale and zero point") {
  const struct {
    const char* format;
    double bits;
  } cases[] = {{"NVFP4", 4.5},
               {"NVFP4A16", 4.5},
               {"MXFP4", 4.25},
               {"MXFP6A16", 6.25},
               {"MXFP6_E3M2", 6.25},
               {"MXFP8", 8.25},
               {"W4A16", 4.125},
               {"W4A16_ASYM", 4.15625},
               {"W4A16_G64", 4.25},
               {"W4A16_G64_ASYM", 4.3125},
               {"W4A16_G32", 4.5},
               {"W4A16_G32_ASYM", 4.625},
               {"W8A16", 8.125},
               {"W8A16_CHANNEL", 8},
               {"INT8", 8},
               {"FP8", 8},
               {"FP8_DYNAMIC", 8},
               {"FP8_BLOCK", 8 + 16.0 / (128 * 128)},
               {"FP8_SOURCE", 8 + 32.0 / (128 * 128)},
               {"FP8_SOURCE_STATIC", 8},
               {"BF16", 16},
               {"KEEP", 0}};
  for (const auto& [format, bits] : cases) {
    INFO(format);
    CHECK(named(format)->bits_per_weight == bits);
  }
}

TEST_CASE("what a format says about inputs is what it does to them") {
  for (const NumberFormat* const format : number_formats()) {
    INFO(format->name);
    CHECK(format->quantizes_input() == (format->quantize_input != nullptr));
    const bool is_static = format->quantizes_input() && format->scheme.input->dynamic != "true";
    CHECK(is_static == !format->input_scale_suffix.empty());
    CHECK(format->calibrated_input == (is_static && !format->source_only));
  }
}

TEST_CASE("formats that store the same tensors are known") {
  CHECK(stores_same(*named("FP8_SOURCE"), *named("FP8_BLOCK")));
  CHECK(stores_same(*named("FP8_SOURCE_STATIC"), *named("FP8_SOURCE_STATIC_CHANNEL")));
  CHECK(stores_same(*named("FP8"), *named("FP8_SOURCE_STATIC")));
  CHECK_FALSE(stores_same(*named("FP8"), *named("FP8_BLOCK")));
  for (const NumberFormat* const a : number_formats()) {
    CHECK((a->stores_as != nullptr) == a->source_only);
    if (a->stores_as != nullptr) CHECK(a->stores_as->stores_as == nullptr);
    for (const NumberFormat* const b : number_formats())
      if (!a->source_only && !b->source_only) CHECK(stores_same(*a, *b) == (a == b));
  }
}

TEST_CASE("every format that needs data names one of its size that does not") {
  for (const NumberFormat* const format : number_formats()) {
    INFO(format->name);
    CHECK((format->without_data != nullptr) == format->calibrated_input);
    if (format->without_data == nullptr) continue;
    CHECK_FALSE(format->without_data->calibrated_input);
    CHECK(format->without_data->bits_per_weight == format->bits_per_weight);
  }
  CHECK(named("NVFP4")->without_data == named("NVFP4A16"));
  CHECK(named("FP8")->without_data == named("FP8_DYNAMIC"));
}

TEST_CASE("a channel form stores the same codes with a scale in every row") {
  CHECK(named("FP8_SOURCE_STATIC")->channel_form == named("FP8_SOURCE_STATIC_CHANNEL"));
  for (const NumberFormat* const format : number_formats()) {
    if (format->channel_form == nullptr) continue;
    INFO(format->name);
    CHECK(format->scheme.weights.strategy == "tensor");
    CHECK(format->channel_form->scheme.weights.strategy == "channel");
    CHECK(format->channel_form->scheme.input == format->scheme.input);
    CHECK(stores_same(*format, *format->channel_form));
  }
}

TEST_CASE("what serving says of other formats holds for them") {
  for (const NumberFormat* const format : number_formats()) {
    INFO(format->name);
    const Serving& serving = format->serving;
    if (serving.vllm_head_instead != nullptr) {
      CHECK_FALSE(serving.vllm_head_instead->serving.vllm.empty());
      CHECK(serving.vllm_head_instead->serving.vllm_head_instead == nullptr);
    }
    CHECK((serving.vllm_same_as != nullptr) ==
          (format->quantize_input == nullptr && format->vllm_quantize_input != nullptr));
    if (serving.vllm_same_as != nullptr) {
      CHECK(serving.vllm_same_as->scheme.weights == format->scheme.weights);
      CHECK(serving.vllm_same_as->input_rule(Runtime::vllm) == format->vllm_quantize_input);
    }
    if (!serving.transformers_drops.empty()) CHECK_FALSE(serving.transformers_experts);
  }
}

TEST_CASE("what the engine falls back on quantizes nothing") {
  CHECK(&kept_format() == named("KEEP"));
  CHECK(kept_format().verbatim);
  CHECK(&decoded_format() == named("BF16"));
  CHECK_FALSE(decoded_format().verbatim);
  for (const NumberFormat* const format : number_formats())
    CHECK(format->quantizes() == (format != &kept_format() && format != &decoded_format()));
}

}  // namespace
}  // namespace strata
