#include <bit>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <limits>

#include "base/error.h"
#include "formats/weight/nvfp4_weight.h"
#include "formats/weight/weights.h"
#include "tests/support/encoded_weight.h"
#include "tests/support/naive_formats.h"

using namespace strata;
using Bytes = std::vector<std::uint8_t>;

namespace {

const NumberFormat& nvfp4() { return require_number_format("NVFP4"); }

// The worked vector of the format: one row, two groups.
const std::vector<float> worked = {0.8125f,
                                   -0.40625f,
                                   0.203125f,
                                   0.1015625f,
                                   -0.0703125f,
                                   0.0546875f,
                                   0.02734375f,
                                   -0.013671875f,
                                   0.5f,
                                   -0.25f,
                                   0.34375f,
                                   -0.640625f,
                                   0,
                                   0.171875f,
                                   -0.296875f,
                                   0.75f,
                                   0.06640625f,
                                   -0.033203125f,
                                   0.0166015625f,
                                   0.05078125f,
                                   -0.04296875f,
                                   0.0078125f,
                                   -0.00390625f,
                                   0.001953125f,
                                   0,
                                   0.060546875f,
                                   -0.05859375f,
                                   0.025390625f,
                                   0.0322265625f,
                                   -0.021484375f,
                                   0.01171875f,
                                   -0.0625f};
const std::vector<float> worked_decoded = {  // rounded to bfloat16
    .8125f,
    -.40625f,
    .203125f,
    .1357421875f,
    -.06787109375f,
    .06787109375f,
    0,
    -0.0f,
    .54296875f,
    -.271484375f,
    .40625f,
    -.54296875f,
    0,
    .203125f,
    -.271484375f,
    .8125f,
    .0654296875f,
    -.03271484375f,
    .016357421875f,
    .04345703125f,
    -.04345703125f,
    .00543212890625f,
    -.00543212890625f,
    0,
    0,
    .0654296875f,
    -.0654296875f,
    .021728515625f,
    .03271484375f,
    -.021728515625f,
    .0108642578125f,
    -.0654296875f};

}  // namespace

TEST_CASE("NVFP4 stores the worked vector of the format") {
  const test::EncodedWeight encoded = test::encode_weight(nvfp4(), worked, 32);
  CHECK(std::bit_cast<std::uint32_t>(encoded.scalar("weight_global_scale")) == 0x454ec4ecu);
  CHECK(encoded.codes("weight_scale") == Bytes{0x7e, 0x61});
  CHECK(encoded.codes("weight_packed") ==
        Bytes{0xd7, 0x23, 0x19, 0x80, 0xc6, 0xe5, 0x30, 0x7c, 0xd7, 0x63, 0x1e, 0x09, 0x70, 0x4f, 0xc5, 0xf2});
  std::vector<float> decoded = test::decode_weight(nvfp4(), encoded, {1, 32});
  round_to_bf16(decoded);
  CHECK(decoded == worked_decoded);
}

TEST_CASE("NVFP4 as compressed-tensors rounds the global scale to the type of the weights") {
  const std::vector<std::uint16_t> halves = test::bf16_bits(worked);
  EncodeContext context{.rule = ScaleRule::compressed_tensors, .fused_amax = 0.8125f, .input_amax = 11.3f};
  const test::EncodedWeight bf16 = test::encode_weight(nvfp4(), {halves.data(), Dtype::bf16, 1, 32}, context);
  CHECK(bf16.scalar("weight_global_scale") == 3312.0f);
  CHECK(bf16.scalar("input_global_scale") == 238.0f);  // 1 / 11.3125 = .08837890625, times 2688 = 237.56
  CHECK(bf16.codes("weight_scale") == Bytes{0x7e, 0x61});
  CHECK(bf16.codes("weight_packed") ==
        Bytes{0xd7, 0x23, 0x19, 0x80, 0xc6, 0xe5, 0x30, 0x7c, 0xd7, 0x63, 0x1e, 0x09, 0x70, 0x4f, 0xc5, 0xf2});
  const test::EncodedWeight f32 = test::encode_weight(nvfp4(), {worked.data(), Dtype::f32, 1, 32}, context);
  CHECK(std::bit_cast<std::uint32_t>(f32.scalar("weight_global_scale")) == 0x454ec4edu);  // 1 / amax, times 2688
  CHECK(f32.at("weight_packed") == bf16.at("weight_packed"));
  const std::vector<std::uint16_t> small(16, 0x211f);  // .01 in F16: 2688 / .01 is beyond 65504
  context.fused_amax = 0x1.47cp-7f;
  const test::EncodedWeight f16 = test::encode_weight(nvfp4(), {small.data(), Dtype::f16, 1, 16}, context);
  CHECK(f16.scalar("weight_global_scale") == 1.0f);
}

TEST_CASE("NVFP4 as compressed-tensors divides by 6 in the type of the weights") {
  const auto second_scale = [](Dtype dtype, std::uint16_t first, std::uint16_t second, float amax) {
    std::vector<std::uint16_t> halves(32);
    halves[0] = first;
    halves[16] = second;
    const EncodeContext context{.rule = ScaleRule::compressed_tensors, .fused_amax = amax, .input_amax = 1};
    return test::encode_weight(nvfp4(), {halves.data(), dtype, 1, 32}, context).codes("weight_scale")[1];
  };
  // What compressed-tensors 0.20 gives; in float32 both would be the next code.
  CHECK(second_scale(Dtype::bf16, 0x3f17, 0x3e38, 0.58984375f) == 0x70);  // .1796875
  CHECK(second_scale(Dtype::f16, 0x3c00, 0x3725, 1) == 0x74);             // .446533203125
}

TEST_CASE("NVFP4 as compressed-tensors gives underflowing groups 0.125 and drops the sign of zero") {
  std::vector<float> w(48, -0.0f);
  for (std::size_t i = 16; i < 32; ++i) w[i] = -5e-4f;
  w[40] = 1000;
  const WeightView view{w.data(), Dtype::f32, 1, 48};
  EncodeContext context{.rule = ScaleRule::compressed_tensors, .fused_amax = 1000, .input_amax = 1};
  const test::EncodedWeight theirs = test::encode_weight(nvfp4(), view, context);
  CHECK(theirs.codes("weight_scale") == Bytes{0x20, 0x20, 0x7e});
  CHECK(theirs.codes("weight_packed")[0] == 0);
  CHECK(theirs.codes("weight_packed")[8] == 0x88);
  context.rule = ScaleRule::minmax;
  CHECK(test::encode_weight(nvfp4(), view, context).codes("weight_packed")[0] == 0x88);
}

TEST_CASE("NVFP4 takes the global scale of the fused maximum") {
  std::vector<float> w;
  for (const float v : {.011f, -.0235f, .0047f, .0312f, -.0608f, .0191f, -.0008f, .0421f, -.0152f, .0263f, .0009f,
                        -.0377f, .0514f, -.0044f, .0078f, -.0296f})
    w.push_back(test::naive_bf16(v));
  const test::EncodedWeight encoded =
      test::encode_weight(nvfp4(), {w.data(), Dtype::f32, 1, 16}, {.fused_amax = 0.1875f, .input_amax = 8});
  CHECK(encoded.scalar("weight_global_scale") == 14336.0f);
  CHECK(encoded.scalar("input_global_scale") == 336.0f);
  CHECK(encoded.codes("weight_scale") == Bytes{0x71});
  CHECK(encoded.codes("weight_packed") == Bytes{0xc2, 0x51, 0x4f, 0x68, 0x5b, 0xe0, 0x97, 0xd2});
}

TEST_CASE("NVFP4 without its fused maximum is a bug that is caught") {
  CHECK_THROWS_AS(test::encode_weight(nvfp4(), {worked.data(), Dtype::f32, 1, 32}, {.fused_amax = 0.5f}), Error);
}

TEST_CASE("NVFP4 gives zero groups the scale 0.125 and underflowing ones the smallest") {
  std::vector<float> w(48, 0.0f);
  for (std::size_t i = 16; i < 32; ++i) w[i] = 5e-4f;
  w[40] = 1000;
  const test::EncodedWeight encoded = test::encode_weight(nvfp4(), w, 48);
  CHECK(encoded.codes("weight_scale") == Bytes{0x20, 0x01, 0x7e});
  CHECK(encoded.codes("weight_packed")[0] == 0);
  CHECK(encoded.codes("weight_packed")[8] == 0x11);  // 5e-4 / (2^-9 / 2.688) = 0.69: the group is not lost
}

TEST_CASE("NVFP4 global scales stay finite") {
  for (const ScaleRule rule : {ScaleRule::minmax, ScaleRule::search, ScaleRule::compressed_tensors}) {
    CHECK(nvfp4_global_scale(0, rule, Dtype::f32) == 1.0f);
    CHECK(nvfp4_global_scale(1e-40f, rule, Dtype::f32) == 1.0f);
    CHECK(nvfp4_global_scale(std::numeric_limits<float>::quiet_NaN(), rule, Dtype::f32) == 1.0f);
    CHECK(nvfp4_global_scale(std::numeric_limits<float>::infinity(), rule, Dtype::f32) == 1.0f);
    CHECK(nvfp4_global_scale(2688.0f, rule, Dtype::f32) == 1.0f);
    CHECK(nvfp4_global_scale(0, rule, Dtype::f16) == 1.0f);
    CHECK(nvfp4_global_scale(0, rule, Dtype::bf16) == 1.0f);
  }
  const std::vector<float> zeros(32, 0.0f);
  const test::EncodedWeight encoded = test::encode_weight(nvfp4(), zeros, 32);
  CHECK(encoded.scalar("weight_global_scale") == 1.0f);
  CHECK(test::decode_weight(nvfp4(), encoded, {1, 32}) == zeros);
}

TEST_CASE("NVFP4A16 is NVFP4 without the input scale") {
  const std::vector<float> w = test::hostile_weights(20, 256, 11);
  const test::EncodedWeight with = test::encode_weight(nvfp4(), w, 256);
  const test::EncodedWeight without = test::encode_weight(require_number_format("nvfp4a16"), w, 256);
  REQUIRE(without.fields.size() == 3);
  for (const Field& field : without.fields) CHECK((with.at(field.suffix) == without.at(field.suffix)));
  CHECK(require_number_format("nvfp4a16").quantize_input == nullptr);
}

TEST_CASE("NVFP4 names what is wrong with stored fields") {
  test::EncodedWeight encoded = test::encode_weight(nvfp4(), worked, 32);
  const auto message = [&] {
    try {
      test::decode_weight(nvfp4(), encoded, {1, 32});
    } catch (const Error& error) {
      CHECK(error.fault == Fault::input);
      return std::string(error.what());
    }
    return std::string();
  };
  encoded.fields[2].suffix = "weight_scale_2";
  CHECK(message() == "weight_global_scale: the tensor is missing");
  encoded.fields[2].suffix = "weight_global_scale";
  encoded.bytes[2].assign(4, std::byte{0});
  CHECK(message() == "weight_global_scale: is 0, expected a finite number above 0");
  encoded.fields[0].shape = {2, 8};
  CHECK(message() == "weight_global_scale: is 0, expected a finite number above 0");
  encoded.fields[0].shape = {1, 8};
  CHECK_THAT(message(), Catch::Matchers::ContainsSubstring("weight_packed: 16 bytes do not make U8 [1, 8]"));
  encoded.bytes[0].resize(8);
  CHECK(message() == "weight_packed: is U8 [1, 8], expected 16 elements of U8");
}

TEST_CASE("NVFP4 inputs need a positive scale") {
  std::vector<float> x(16, 1.0f);
  CHECK_THROWS_AS(nvfp4().quantize_input(x, 1, 16, 0), Error);
}
