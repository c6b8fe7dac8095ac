// The MX formats against tables and vectors of other projects, read at test time, and against known figures.
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "base/file.h"
#include "formats/kernels/minifloat.h"
#include "formats/number_format.h"
#include "formats/weight/weights.h"
#include "tests/support/encoded_weight.h"
#include "tests/support/naive_formats.h"
#include "tests/support/naive_mx.h"
#include "tests/support/source_folder.h"

using namespace strata;
using Json = nlohmann::json;

namespace {

std::string golden(const std::string& file) {
  const std::string path = test::in_source("../shared/fixtures/golden/") + file;
  if (!std::filesystem::exists(path)) SKIP("needs ../shared/fixtures");
  return path;
}

Json golden_json(const std::string& file) { return Json::parse(read_text(golden(file))); }

float bf16_value(unsigned bits) { return from_bf16_bits(static_cast<std::uint16_t>(bits)); }

std::vector<std::uint8_t> table(const std::string& name) {
  const std::string text = read_text(golden("cuda13_tables/" + name));
  REQUIRE(text.size() == 65536);
  return {text.begin(), text.end()};
}

// Each group of 32 from 128 columns.
test::EncodedWeight encode_groups(std::string_view format, const std::vector<float>& w) {
  return test::encode_weight(require_number_format(format), w, 128);
}

// Values of one group at the scale that another rule chose: what is left to compare is the element.
float requantized(float x, float scale, std::uint8_t (*encode)(float), float (*decode)(std::uint8_t)) {
  return decode(encode(x / scale)) * scale;
}

}  // namespace

TEST_CASE("FP6 elements encode every BF16 and F16 number as CUDA does") {
  const auto check = [](const std::string& type, bool half, std::uint8_t (*encode)(float), const char* naive_name) {
    INFO(type << (half ? " from F16" : " from BF16"));
    const auto expected = table((half ? "enc_f16_" : "enc_bf16_") + type + ".u8");
    const test::NaiveMxElement naive = test::naive_mx_element(naive_name);
    int different = 0, naive_different = 0;
    for (unsigned bits = 0; bits < 65536; ++bits) {
      const float x = half ? test::naive_f16_value(static_cast<std::uint16_t>(bits)) : bf16_value(bits);
      if (std::isnan(x)) continue;
      different += encode(x) != expected[bits] ? 1 : 0;
      const unsigned code = test::nearest(naive.magnitudes, std::fabs(static_cast<double>(x)));
      naive_different += code + (std::signbit(x) ? 32u : 0u) != expected[bits] ? 1 : 0;
    }
    CHECK(different == 0);
    CHECK(naive_different == 0);
  };
  for (const bool half : {false, true}) {
    check("fp6_e2m3", half, encode_e2m3, "e2m3");
    check("fp6_e3m2", half, encode_e3m2, "e3m2");
  }
}

TEST_CASE("every MX code and scale decodes as the CUDA tables say") {
  std::ifstream lines(golden("cuda13_tables/decode_tables.csv"));
  std::map<std::string, std::map<unsigned, std::uint32_t>> values;
  std::string line;
  for (std::getline(lines, line); std::getline(lines, line);) {
    std::istringstream cells(line);
    std::string type, code, bits;
    std::getline(cells, type, ',');
    std::getline(cells, code, ',');
    std::getline(cells, bits, ',');
    values[type][static_cast<unsigned>(std::stoul(code, nullptr, 16))] =
        static_cast<std::uint32_t>(std::stoul(bits, nullptr, 16));
  }
  const auto bits_of = [](float x) { return std::bit_cast<std::uint32_t>(x); };
  for (const auto& [code, bits] : values.at("fp6_e2m3"))
    CHECK(bits_of(decode_e2m3(static_cast<std::uint8_t>(code))) == bits);
  for (const auto& [code, bits] : values.at("fp6_e3m2"))
    CHECK(bits_of(decode_e3m2(static_cast<std::uint8_t>(code))) == bits);
  for (const auto& [byte, bits] : values.at("e8m0")) {
    if (byte == 255) continue;
    CHECK(bits_of(decode_e8m0(static_cast<std::uint8_t>(byte))) == bits);
    test::EncodedWeight one = encode_groups("MXFP8", std::vector<float>(128, 0.0f));
    one.bytes[0].assign(128, std::byte{0x38});
    one.bytes[1].assign(4, static_cast<std::byte>(byte));
    CHECK(bits_of(test::decode_weight(require_number_format("MXFP8"), one, {1, 128})[77]) == bits);
  }
  // The formats: all codes in a row of scale 1, packed as a stream of bits.
  const struct {
    const char *format, *type;
    int bits;
  } formats[] = {
      {"MXFP4", "fp4_e2m1", 4}, {"MXFP6A16", "fp6_e2m3", 6}, {"MXFP6_E3M2", "fp6_e3m2", 6}, {"MXFP8", "fp8_e4m3fn", 8}};
  for (const auto& format : formats) {
    const std::size_t count = 256, codes = std::size_t{1} << format.bits;
    test::EncodedWeight all =
        test::encode_weight(require_number_format(format.format), std::vector<float>(count, 0.0f), 256);
    std::ranges::fill(all.bytes[0], std::byte{0});
    std::ranges::fill(all.bytes[1], std::byte{127});
    for (std::size_t i = 0; i < count * static_cast<std::size_t>(format.bits); ++i) {
      const std::size_t code = i / static_cast<std::size_t>(format.bits) % codes;
      if ((code >> i % static_cast<std::size_t>(format.bits) & 1) != 0) all.bytes[0][i / 8] |= std::byte{1} << i % 8;
    }
    const std::vector<float> decoded = test::decode_weight(require_number_format(format.format), all, {1, 256});
    for (std::size_t i = 0; i < count; ++i) {
      const auto expected = std::bit_cast<float>(values.at(format.type).at(static_cast<unsigned>(i % codes)));
      const bool same = std::isnan(expected) ? std::isnan(decoded[i]) : bits_of(decoded[i]) == bits_of(expected);
      if (!same) FAIL_CHECK(format.format << " code " << i % codes << " is " << decoded[i] << ", not " << expected);
    }
  }
}

// CUDA's conversion toward zero is the floor rule; ours adds one where the peak rounds to the next power of two.
TEST_CASE("MX exponents of all BF16 peaks follow the E8M0 table of CUDA") {
  const auto floors = table("enc_bf16_e8m0_rz_sat.u8");
  std::vector<float> w;
  for (unsigned bits = 0; bits < 0x7f80; ++bits) {
    w.resize(w.size() + 32, 0.0f);
    w[w.size() - 32 + bits % 32] = bf16_value(bits | (bits % 2 << 15));
  }
  const struct {
    const char* format;
    int offset, threshold;  // of the seven mantissa bits
  } rules[] = {{"MXFP4", 2, 96}, {"MXFP6A16", 2, 120}, {"MXFP6_E3M2", 4, 112}, {"MXFP8", 8, 96}};
  for (const auto& rule : rules) {
    const auto scales = encode_groups(rule.format, w).codes("weight_scale");
    int different = 0;
    for (unsigned bits = 0; bits < 0x7f80; ++bits) {
      const int up = static_cast<int>(bits % 128) >= rule.threshold && bits >= 128 ? 1 : 0;
      different += scales[bits] != std::max(1, floors[bits] + up - rule.offset) ? 1 : 0;
    }
    INFO(rule.format);
    CHECK(different == 0);
  }
}

TEST_CASE("MXFP4 equals the vectors of compressed-tensors") {
  const Json file = golden_json("compressed_tensors_mx.json");
  const Json& rounding = file.at("round_to_power_2_bf16");
  int count = 0;
  for (std::size_t row = 0; row < rounding.at("input").size(); ++row)
    for (std::size_t col = 0; col < rounding.at("input")[row].size(); ++col, ++count) {
      std::vector<float> w(128, 0.0f);
      w[3] = test::naive_bf16(rounding.at("input")[row][col].get<float>());
      const float power = test::naive_bf16(rounding.at("expected")[row][col].get<float>());
      CHECK(decode_e8m0(encode_groups("MXFP4", w).codes("weight_scale")[0]) * 4 == std::fabs(power));
    }
  CHECK(count == 25);
  const Json& decompress = file.at("mxfp4_decompress");
  const auto codes = decompress.at("weight_fp4_values")[0].get<std::vector<float>>();
  const auto scales = decompress.at("scale")[0].get<std::vector<float>>();
  const auto expected = decompress.at("expected_weight_bf16")[0].get<std::vector<float>>();
  test::EncodedWeight encoded =
      test::encode_weight(require_number_format("MXFP4A16"), std::vector<float>(64, 0.0f), 64);
  for (std::size_t g = 0; g < 2; ++g) {
    encoded.bytes[0][16 * g] =
        static_cast<std::byte>(test::naive_e2m1(codes[2 * g]) + 16 * test::naive_e2m1(codes[2 * g + 1]));
    encoded.bytes[1][g] = static_cast<std::byte>(127 + std::ilogb(scales[g]));
  }
  const auto decoded = test::decode_weight(require_number_format("MXFP4A16"), encoded, {1, 64});
  CHECK(std::vector<float>{decoded[0], decoded[1], decoded[32], decoded[33]} == expected);
}

// torchao's floor rule is ours where the peak is below 1.75 of its power of two; its other rule rounds up from
// the first value that would saturate, so that only elements can be compared.
TEST_CASE("MXFP8 blocks of torchao have our elements, and our scales where the rules agree") {
  const Json file = golden_json("torchao_mx.json");
  int whole = 0, elements = 0;
  for (const char* const list : {"mxfp8_rceil_blocks", "mxfp8_semantic_cases"})
    for (const Json& block : file.at(list)) {
      if (!block.at("codes_e4m3fn").is_array() || block.at("scale_e8m0") == 255) continue;  // NaN and infinity
      const bool bf16 = block.at("input_dtype") == "bf16";
      std::vector<float> x;
      for (const Json& bits : block.at("input_bits"))
        x.push_back(bf16 ? bf16_value(bits.get<unsigned>()) : std::bit_cast<float>(bits.get<std::uint32_t>()));
      const auto codes = block.at("codes_e4m3fn").get<std::vector<std::uint8_t>>();
      const auto scale = block.at("scale_e8m0").get<std::uint8_t>();
      INFO(block.at("name"));
      for (std::size_t i = 0; i < x.size(); ++i) CHECK(encode_e4m3(x[i] / decode_e8m0(scale)) == codes[i]);
      ++elements;
      const test::EncodedWeight ours = test::encode_weight(require_number_format("MXFP8"), x, 32);
      if (ours.codes("weight_scale")[0] != scale) continue;
      CHECK(ours.codes("weight") == codes);
      ++whole;
    }
  CHECK(elements >= 60);
  CHECK(whole >= 20);
}

TEST_CASE("FP4 and FP6 elements equal the cases of torchao") {
  const Json file = golden_json("torchao_mx.json");
  for (const Json& row : file.at("fp4_e2m1_cases_positive").at("rows")) {
    std::vector<float> w(128, 0.0f);
    w[0] = row[0].get<float>(), w[1] = -w[0], w[2] = 4.0f;  // 4 makes the scale 1
    const test::EncodedWeight encoded = encode_groups("MXFP4", w);
    CHECK(encoded.codes("weight_scale")[0] == 127);
    const auto code = row[2].get<unsigned>();
    CHECK(encoded.codes("weight_packed")[0] == (code | (code | 8u) << 4));
  }
  const Json& pack = file.at("fp4_pack");
  for (std::size_t row = 0; row < 2; ++row) {
    auto w = pack.at("values")[row].get<std::vector<float>>();
    w.resize(128, 0.0f);
    w[31] = 4.0f;
    const auto packed = pack.at("packed_u8")[row].get<std::vector<std::uint8_t>>();
    const auto ours = encode_groups("MXFP4", w).codes("weight_packed");
    CHECK(std::vector<std::uint8_t>(ours.begin(), ours.begin() + 2) == packed);
  }
  for (const Json& row : file.at("fp6_e3m2_rounding")) CHECK(encode_e3m2(row[0].get<float>()) == row[1].get<int>());
  for (const Json& row : file.at("f32_to_e8m0_rceil")) {
    // Rounding up is a third rule; its bytes name our powers of two: the least that is not below the value.
    const auto x = std::bit_cast<float>(row[0].get<std::uint32_t>());
    const auto byte = row[1].get<std::uint8_t>();
    if (byte == 255 || !std::isfinite(x)) continue;
    CHECK(x <= decode_e8m0(byte));
    if (byte > 0) CHECK(x > decode_e8m0(static_cast<std::uint8_t>(byte - 1)));
  }
}

// Model-Optimizer takes the least power of two that does not saturate, in blocks of 8 or 16: with its scale our
// elements give its values.
TEST_CASE("elements equal the MX cases of Model-Optimizer") {
  const Json file = golden_json("modelopt_mx_nvfp4.json").at("mx_fake_quant");
  const struct {
    const char* name;
    float max;
    std::uint8_t (*encode)(float);
    float (*decode)(std::uint8_t);
  } elements[] = {{"fp4_e2m1", e2m1_max, encode_e2m1, decode_e2m1},
                  {"fp6_e2m3", e2m3_max, encode_e2m3, decode_e2m3},
                  {"fp6_e3m2", e3m2_max, encode_e3m2, decode_e3m2},
                  {"fp8_e4m3fn", e4m3_max, encode_e4m3, decode_e4m3}};
  for (const auto& element : elements) {
    const Json& part = file.at(element.name);
    const auto block = part.at("block_size").get<std::size_t>();
    const auto tolerance = part.at("tolerance").get<float>();
    for (std::size_t row = 0; row < part.at("input").size(); ++row) {
      const auto x = part.at("input")[row].get<std::vector<float>>();
      const auto expected = part.at("fake_quant_output")[row].get<std::vector<float>>();
      INFO(element.name << ", row " << row);
      for (std::size_t i = 0; i < x.size(); ++i) {
        const float peak = amax(std::span(x).subspan(i / block * block, block));
        const float scale = std::exp2(std::ceil(std::log2(peak / element.max)));
        CHECK(std::fabs(requantized(x[i], scale, element.encode, element.decode) - expected[i]) <= tolerance);
      }
    }
  }
}

// Signal to noise of independent weights in BF16: known figures of the two rules, 4.2 million samples each. They
// depend a little on the spread, here 0.02: on where the peaks of groups fall between powers of two.
TEST_CASE("MXFP4 reaches the known signal-to-noise ratios") {
  constexpr std::int64_t rows = 1024, cols = 4096;
  std::mt19937_64 random(11);
  std::normal_distribution<float> gauss;
  std::exponential_distribution<float> exponential;
  std::chi_squared_distribution<float> chi(5.0f);
  const struct {
    const char* name;
    std::function<float()> draw;
    double minmax, search;
  } rowset[] = {
      {"Gauss", [&] { return gauss(random); }, 19.00, 19.06},
      {"Laplace", [&] { return (random() & 1) != 0 ? exponential(random) : -exponential(random); }, 18.16, 18.25},
      {"Student-t5", [&] { return gauss(random) / std::sqrt(chi(random) / 5.0f); }, 18.15, 18.24},
  };
  const NumberFormat& format = require_number_format("MXFP4");
  std::vector<float> w(static_cast<std::size_t>(rows * cols));
  for (const auto& row : rowset) {
    for (float& v : w) v = test::naive_bf16(0.02f * row.draw());
    const auto ratio = [&](ScaleRule rule) {
      const test::EncodedWeight encoded =
          test::encode_weight(format, {w.data(), Dtype::f32, rows, cols}, {.rule = rule});
      const std::vector<float> decoded = test::decode_weight(format, encoded, {rows, cols});
      double signal = 0, noise = 0;
      for (std::size_t i = 0; i < w.size(); ++i) {
        const double error = static_cast<double>(w[i]) - static_cast<double>(decoded[i]);
        noise += error * error;
        signal += static_cast<double>(w[i]) * static_cast<double>(w[i]);
      }
      return 10 * std::log10(signal / noise);
    };
    INFO(row.name);
    const double plain = ratio(ScaleRule::minmax), searched = ratio(ScaleRule::search);
    UNSCOPED_INFO("min-max " << plain << " dB, search " << searched << " dB");
    CHECK_THAT(plain, Catch::Matchers::WithinAbs(row.minmax, 0.05));
    CHECK_THAT(searched, Catch::Matchers::WithinAbs(row.search, 0.05));
    CHECK(searched > plain);
  }
}
