// The vector kernels against the naive ones, on every instruction set of this CPU.
#include <hwy/targets.h>

#include <bit>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <vector>

#include "formats/kernels/convert.h"
#include "formats/kernels/fp8.h"
#include "formats/kernels/int4.h"
#include "formats/kernels/minifloat.h"
#include "formats/kernels/nvfp4.h"
#include "tests/support/naive_formats.h"

using namespace strata;

namespace {

// Runs `body` once with each instruction set alone, then lets all be chosen again.
void on_every_instruction_set(const std::function<void()>& body) {
  std::int64_t targets = hwy::SupportedTargets();
  for (; targets != 0; targets &= targets - 1) {
    const std::int64_t target = targets & -targets;
    INFO("instruction set " << hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    body();
    hwy::SetSupportedTargetsForTest(0);
  }
  body();
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

constexpr std::int64_t rows = 20, cols = 384;
const float global_scales[] = {1.0f, 2688.0f / 900.0f, 3308.3076f, 1e-3f, 0x1p100f};

}  // namespace

TEST_CASE("NVFP4 kernels equal the naive encoding") {
  const std::vector<float> w = test::hostile_weights(rows, cols, 1);
  for (const float scale : global_scales) {
    const test::NaiveEncoding expected = test::naive_nvfp4(w, cols, scale);
    on_every_instruction_set([&] {
      std::vector<std::uint8_t> packed(w.size() / 2), scales(w.size() / 16);
      kernels::nvfp4_encode(w.data(), rows * cols, scale, packed.data(), scales.data());
      CHECK((packed == expected.codes));
      CHECK((scales == expected.scales));
      std::vector<float> effective, decoded(w.size());
      for (const std::uint8_t code : scales) effective.push_back(test::naive_e4m3_value(code) / scale);
      kernels::nvfp4_decode(packed.data(), effective.data(), rows * cols, decoded.data());
      CHECK(same_bits(decoded, expected.decoded));
    });
  }
}

TEST_CASE("NVFP4 activations equal the naive ones") {
  const std::vector<float> x = test::hostile_weights(rows, cols, 2);
  for (const float scale : global_scales) {
    const std::vector<float> expected = test::naive_nvfp4_input(x, cols, scale);
    on_every_instruction_set([&] {
      std::vector<float> quantized = x;
      kernels::nvfp4_fake_quantize(quantized.data(), rows * cols, scale);
      CHECK(same_bits(quantized, expected));
    });
  }
}

TEST_CASE("int4 kernels equal the naive encoding") {
  const std::vector<float> w = test::hostile_weights(rows, cols, 3);
  const test::NaiveEncoding expected = test::naive_w4a16(w, cols);
  std::vector<float> scales;
  for (std::size_t i = 0; i < expected.scales.size(); i += 2)
    scales.push_back(from_bf16_bits(static_cast<std::uint16_t>(expected.scales[i] | expected.scales[i + 1] << 8)));
  on_every_instruction_set([&] {
    std::vector<std::uint8_t> packed(w.size() / 2);
    kernels::int4_encode(w.data(), rows * cols, 128, scales.data(), packed.data());
    CHECK((packed == expected.codes));
    std::vector<float> decoded(w.size());
    kernels::int4_decode(packed.data(), scales.data(), rows * cols, 128, decoded.data());
    CHECK(same_bits(decoded, expected.decoded));
  });
}

TEST_CASE("int4 packs the vectors of the format's definition") {
  const auto packed = [](std::vector<float> w, float scale) {
    std::vector<std::uint8_t> bytes(w.size() / 2);
    kernels::int4_encode(w.data(), static_cast<std::int64_t>(w.size()), static_cast<std::int64_t>(w.size()), &scale,
                         bytes.data());
    std::uint32_t word = 0;
    std::memcpy(&word, bytes.data(), 4);
    return word;
  };
  on_every_instruction_set([&] {
    // float32 scale 1 / 7.5, then a scale of exactly 1/8 where 7.5 clamps and .5 ties to even.
    CHECK(packed({1, -.69921875f, .30078125f, .050048828125f, -.94921875f, .6015625f, -.330078125f, .80078125f},
                 std::bit_cast<float>(0x3e088889u)) == 0xe6d18a3fu);
    CHECK(packed({.9375f, -.46875f, .0625f, .1875f, -.9375f, .3125f, -.125f, .75f}, .125f) == 0xe7a0a84fu);
    CHECK(packed({-8, -7, -6, -5, -4, -3, -2, -1}, 1) == 0x76543210u);
    CHECK(packed({0, 1, 2, 3, 4, 5, 6, 7}, 1) == 0xfedcba98u);
  });
}

TEST_CASE("FP8 kernels equal the naive encoding for any number of columns") {
  for (const std::int64_t width : {1, 2, 3, 15, 16, 17, 31, 33, 127, 384}) {
    const std::vector<float> all = test::hostile_weights(rows, 384, 4);
    const std::vector<float> w(all.begin(), all.begin() + rows * width);
    const test::NaiveEncoding expected = test::naive_fp8(w, width);
    const std::vector<float> inputs = test::naive_fp8_input(w, width);
    on_every_instruction_set([&] {
      std::vector<std::uint8_t> codes(w.size());
      std::vector<float> decoded(w.size()), quantized = w;
      for (std::int64_t row = 0; row < rows; ++row) {
        const std::size_t at = static_cast<std::size_t>(row) * 2;
        const float scale =
            from_bf16_bits(static_cast<std::uint16_t>(expected.scales[at] | expected.scales[at + 1] << 8));
        kernels::fp8_encode(w.data() + row * width, width, scale, codes.data() + row * width);
        kernels::fp8_decode(codes.data() + row * width, scale, width, decoded.data() + row * width);
        kernels::fp8_fake_quantize(quantized.data() + row * width, width, 0);
      }
      CHECK((codes == expected.codes));
      CHECK(same_bits(decoded, expected.decoded));
      CHECK(same_bits(quantized, inputs));
    });
  }
}

TEST_CASE("FP8 encodes the vectors of the format's definition") {
  const float w[] = {1,           -.69921875f, .30078125f,   .050048828125f,
                     -.94921875f, .6015625f,   -.330078125f, .00099945068359375f};
  const float v[] = {.8125f, -.40625f, .203125f, .1015625f};
  on_every_instruction_set([&] {
    std::vector<std::uint8_t> codes(8), fewer(4);
    kernels::fp8_encode(w, 8, std::bit_cast<float>(0x3b124925u), codes.data());
    CHECK(codes == std::vector<std::uint8_t>{0x7e, 0xfa, 0x70, 0x5b, 0xfd, 0x78, 0xf1, 0x2e});
    kernels::fp8_encode(v, 4, std::bit_cast<float>(0x3aedb6dbu), fewer.data());
    CHECK(fewer == std::vector<std::uint8_t>{0x7e, 0xf6, 0x6e, 0x66});
  });
}

TEST_CASE("FP8 NaN codes decode to NaN") {
  std::vector<std::uint8_t> codes(33, 0x7f);
  codes[3] = 0xff;
  codes[4] = 0x38;
  on_every_instruction_set([&] {
    std::vector<float> out(33);
    kernels::fp8_decode(codes.data(), 2.0f, 33, out.data());
    CHECK(std::isnan(out[0]));
    CHECK(std::isnan(out[3]));
    CHECK(out[4] == 2.0f);
    CHECK(std::isnan(out[32]));
  });
}

TEST_CASE("every 16-bit pattern widens exactly") {
  std::vector<std::uint16_t> bits(65536 + 3);
  for (std::size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<std::uint16_t>(i);
  on_every_instruction_set([&] {
    std::vector<float> half(bits.size()), brain(bits.size());
    kernels::widen_f16(bits.data(), static_cast<std::int64_t>(bits.size()), half.data());
    kernels::widen_bf16(bits.data(), static_cast<std::int64_t>(bits.size()), brain.data());
    int wrong = 0;
    for (std::size_t i = 0; i < bits.size(); ++i) {
      const float expected = test::naive_f16_value(bits[i]);
      const bool same = std::isnan(expected)
                            ? std::isnan(half[i])
                            : std::bit_cast<std::uint32_t>(expected) == std::bit_cast<std::uint32_t>(half[i]);
      wrong += !same;
      wrong += std::bit_cast<std::uint32_t>(from_f16_bits(bits[i])) != std::bit_cast<std::uint32_t>(half[i]);
      wrong += std::bit_cast<std::uint32_t>(brain[i]) != static_cast<std::uint32_t>(bits[i]) << 16;
    }
    CHECK(wrong == 0);
  });
}

TEST_CASE("float32 narrows to the nearest bfloat16, ties to even") {
  std::vector<float> values;
  for (std::uint64_t bits = 0; bits <= 0xffffffffu; bits += 65521)
    values.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
  for (const std::uint32_t bits :
       {0x3f808000u, 0x3f818000u, 0x3f808001u, 0x3f817fffu, 0x7f7fffffu, 0x80000000u, 0x00008000u, 0x00018000u})
    values.push_back(std::bit_cast<float>(bits));
  on_every_instruction_set([&] {
    std::vector<std::uint16_t> halves(values.size());
    kernels::narrow_bf16(values.data(), static_cast<std::int64_t>(values.size()), halves.data());
    int wrong = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const float back = from_bf16_bits(halves[i]);
      if (std::isnan(values[i]))
        wrong += !std::isnan(back);
      else
        wrong += std::bit_cast<std::uint32_t>(back) != std::bit_cast<std::uint32_t>(test::naive_bf16(values[i]));
      wrong += to_bf16_bits(values[i]) != halves[i];
    }
    CHECK(wrong == 0);
  });
}

TEST_CASE("the largest magnitude is found wherever it stands") {
  on_every_instruction_set([&] {
    for (std::size_t n = 1; n < 70; n += 3) {
      for (std::size_t at = 0; at < n; ++at) {
        std::vector<float> values(n, -0.25f);
        std::vector<std::uint16_t> halves(n, 0x9000);
        values[at] = -2.5f;
        halves[at] = 0xc020;
        CHECK(kernels::magnitude_bits_f32(values.data(), static_cast<std::int64_t>(n)) == 0x40200000u);
        CHECK(kernels::magnitude_bits_16(halves.data(), static_cast<std::int64_t>(n)) == 0x4020u);
        float amax = 0;
        kernels::group_amax(values.data(), 1, static_cast<std::int64_t>(n), &amax);
        CHECK(amax == 2.5f);
      }
    }
  });
}
