// Native storages against torch (tests/golden/storage) and against a decoder that goes element by element.
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <cstring>
#include <random>

#include "formats/storage/mxfp4_blocks.h"
#include "formats/storage/scale_tensor.h"
#include "formats/storage/stored_linear.h"
#include "tests/support/encoded_weight.h"
#include "tests/support/naive_storages.h"
#include "tests/support/source_folder.h"
#include "tests/support/thrown.h"

using namespace strata;
using test::StoredTensor;

namespace {

using Parts = std::map<std::string, StoredTensor>;  // by suffix

struct Found {
  StoredLinear linear;
  std::vector<std::span<const std::byte>> bytes;
};

// The Linear "m" that these tensors are.
Found stored_as(const Parts& parts, const Shape& weight, const std::optional<Shape>& block = std::nullopt) {
  std::map<std::string, TensorInfo> infos;
  for (const auto& [suffix, tensor] : parts)
    infos["m." + suffix] = {
        .name = "m." + suffix, .dtype = tensor.dtype, .shape = tensor.shape, .bytes = tensor.bytes.size()};
  Found found{find_stored_linear("m", weight, nullptr, {.allowed = true, .block = block},
                                 [&](std::string_view name) -> const TensorInfo* {
                                   const auto at = infos.find(std::string(name));
                                   return at == infos.end() ? nullptr : &at->second;
                                 }),
              {}};
  for (const Field& field : found.linear.fields) found.bytes.emplace_back(parts.at(field.suffix).bytes);
  return found;
}

std::vector<float> decode(const Found& found) {
  std::vector<float> values(element_count(found.linear.weight).value());
  decode_stored(found.linear, found.bytes, values);
  return values;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

StoredTensor bytes_tensor(Dtype dtype, Shape shape, const std::vector<std::uint8_t>& values) {
  StoredTensor tensor{.name = "", .dtype = dtype, .shape = std::move(shape)};
  for (const std::uint8_t value : values) tensor.bytes.push_back(std::byte{value});
  return tensor;
}

StoredTensor floats(Shape shape, const std::vector<float>& values) {
  return test::f32_tensor("", std::move(shape), values);
}

// All codes of E4M3 but the two that are NaN, shuffled.
std::vector<std::uint8_t> e4m3_codes(std::int64_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::vector<std::uint8_t> codes;
  while (static_cast<std::int64_t>(codes.size()) < count) {
    const auto code = static_cast<std::uint8_t>(codes.size() < 256 ? codes.size() : generator() % 256);
    codes.push_back((code & 0x7f) == 0x7f ? 0 : code);
  }
  return codes;
}

}  // namespace

TEST_CASE("every native storage decodes to what torch makes of it") {
  const auto modules = test::read_modules(test::in_source("tests/golden/storage/native.safetensors"));
  const std::map<std::string, std::string> names = {
      {"tensor", "FP8 with a scale per tensor"},           {"modelopt_fp8", "FP8 with a scale per tensor"},
      {"block_bf16", "FP8 with a scale per block"},        {"block_f32", "FP8 with a scale per block"},
      {"block_e8m0", "FP8 with a scale per block"},        {"columns_32", "FP8 with a power of two per 32 columns"},
      {"mxfp4", "FP4 with a power of two per 32 columns"}, {"modelopt_nvfp4", "NVFP4 of ModelOpt"}};
  for (const auto& [module, name] : names) {
    INFO(module);
    const Parts& parts = modules.at(module);
    const Found found = stored_as(parts, parts.at("decoded").shape);
    REQUIRE(found.linear.storage != nullptr);
    REQUIRE(found.linear.storage->name == name);
    for (const StoredPart& part : found.linear.parts) {
      const Field* const field = found.linear.field(part.field.suffix);
      REQUIRE(field != nullptr);
      CHECK(part.takes(field->dtype));
      CHECK(part.takes(field->shape));
    }
    CHECK(same_bits(decode(found), test::float_values(parts.at("decoded"))));
  }
}

TEST_CASE("gpt-oss experts decode to what torch makes of them") {
  const auto modules = test::read_modules(test::in_source("tests/golden/storage/native.safetensors"));
  const Parts& parts = modules.at("gpt_oss");
  const StoredTensor &blocks = parts.at("blocks"), &scales = parts.at("scales");
  std::vector<float> values(element_count(parts.at("decoded").shape).value());
  decode_gpt_oss("experts", blocks.shape, blocks.bytes, scales.shape, scales.bytes, values);
  CHECK(same_bits(values, test::float_values(parts.at("decoded"))));

  const Shape other = {3, 8, 3};
  CHECK(test::thrown_by([&] {
          decode_gpt_oss("experts", blocks.shape, blocks.bytes, other, scales.bytes, values);
        }).fault == Fault::input);
  std::vector<std::byte> broken = scales.bytes;
  broken[17] = std::byte{255};
  const Error error =
      test::thrown_by([&] { decode_gpt_oss("experts", blocks.shape, blocks.bytes, scales.shape, broken, values); });
  CHECK(std::string(error.what()).find("row 8, column 1") != std::string::npos);
}

TEST_CASE("blocks of any size decode with ragged ends, element by element") {
  for (const auto& [rows, cols, block_rows, block_cols] : {std::array<std::int64_t, 4>{128, 128, 128, 128},
                                                           {1, 1, 128, 128},
                                                           {129, 127, 128, 128},
                                                           {300, 260, 128, 128},
                                                           {70, 50, 32, 16},
                                                           {5, 700, 1, 128}}) {
    INFO(rows << " x " << cols << " in " << block_rows << " x " << block_cols);
    const std::int64_t down = (rows + block_rows - 1) / block_rows, across = (cols + block_cols - 1) / block_cols;
    std::vector<float> scales;
    for (std::int64_t i = 0; i < down * across; ++i) scales.push_back(0.0123f * static_cast<float>(i + 1));
    const std::vector<std::uint8_t> codes = e4m3_codes(rows * cols, 3);
    const Parts parts = {{"weight", bytes_tensor(Dtype::f8_e4m3, {rows, cols}, codes)},
                         {"weight_scale_inv", floats({down, across}, scales)}};
    const Found found = stored_as(parts, {rows, cols}, Shape{block_rows, block_cols});
    CHECK(found.linear.text() == "FP8 with a scale per block");
    CHECK(same_bits(decode(found), test::naive_fp8_blocks(codes, rows, cols, block_rows, block_cols, scales)));
  }
}

TEST_CASE("every code of E8M0 is its power of two, and 255 is refused with its place") {
  std::vector<std::uint8_t> all(255);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint8_t>(i);
  StoredTensor tensor = bytes_tensor(Dtype::f8_e8m0, {5, 51}, all);
  const std::vector<float> values = scale_values({"scale", Dtype::f8_e8m0, {5, 51}}, tensor.bytes, "m");
  for (std::size_t i = 0; i < all.size(); ++i) CHECK(static_cast<double>(values[i]) == test::naive_e8m0_value(all[i]));
  tensor.bytes[2 * 51 + 7] = std::byte{255};
  const Error error = test::thrown_by([&] { scale_values({"scale", Dtype::u8, {5, 51}}, tensor.bytes, "m"); });
  CHECK(error.fault == Fault::input);
  CHECK(std::string(error.what()) == "m.scale: is 255 (NaN) at row 2, column 7; the file is broken");
}

TEST_CASE("FP4 groups decode element by element, with the smallest and largest scales") {
  std::vector<std::uint8_t> packed(8 * 32), scales = {0, 1, 126, 127, 128, 200, 251, 252, 9, 100, 130, 140, 2, 3, 4, 5};
  for (std::size_t i = 0; i < packed.size(); ++i) packed[i] = static_cast<std::uint8_t>(i);
  std::vector<float> values;
  for (const std::uint8_t scale : scales) values.push_back(static_cast<float>(test::naive_e8m0_value(scale)));
  const Parts parts = {{"weight", bytes_tensor(Dtype::i8, {8, 32}, packed)},
                       {"scale", bytes_tensor(Dtype::f8_e8m0, {8, 2}, scales)}};
  CHECK(same_bits(decode(stored_as(parts, {8, 64})), test::naive_fp4_groups(packed, 8, 64, 32, values)));
}

TEST_CASE("a NaN code and a value beyond float32 are refused with row and column") {
  std::vector<std::uint8_t> codes(64 * 96, 0x38);
  for (const std::uint8_t nan : {std::uint8_t{0x7f}, std::uint8_t{0xff}}) {
    std::vector<std::uint8_t> broken = codes;
    broken[11 * 96 + 5] = nan;
    const Parts parts = {{"weight", bytes_tensor(Dtype::f8_e4m3, {64, 96}, broken)},
                         {"weight_scale", floats({}, {0.5f})}};
    const Error error = test::thrown_by([&] { decode(stored_as(parts, {64, 96})); });
    CHECK(error.fault == Fault::input);
    CHECK(std::string(error.what()).find("m.weight: is NaN at row 11, column 5") != std::string::npos);
  }
  const std::vector<std::uint8_t> twos(64 * 96, 0x40);
  const Parts infinite = {{"weight", bytes_tensor(Dtype::f8_e4m3, {64, 96}, twos)},
                          {"weight_scale", floats({1}, {3e38f})}};
  CHECK(std::string(test::thrown_by([&] {
                      decode(stored_as(infinite, {64, 96}));
                    }).what())
            .find("beyond float32 at row 0, column 0") != std::string::npos);
}

TEST_CASE("tensors say how a weight is stored, whatever the config lists") {
  const std::vector<std::uint8_t> codes(128 * 256, 1);
  const StoredTensor fp8 = bytes_tensor(Dtype::f8_e4m3, {128, 256}, codes);
  const auto scales = [](Shape shape) { return floats(shape, std::vector<float>(element_count(shape).value(), 1.0f)); };
  const auto powers = [](Shape shape) {
    return bytes_tensor(Dtype::u8, shape, std::vector<std::uint8_t>(element_count(shape).value(), 127));
  };
  const Shape weight = {128, 256}, tile = {128, 128};
  CHECK(stored_as({{"weight", fp8}, {"weight_scale_inv", scales({})}}, weight).linear.text() ==
        "FP8 with a scale per tensor, dynamic activations");
  CHECK(stored_as({{"weight", fp8}, {"weight_scale", scales({1, 1})}}, weight).linear.text() ==
        "FP8 with a scale per tensor, dynamic activations");
  CHECK(stored_as({{"weight", fp8}, {"weight_scale", scales({1, 1})}}, weight, tile).linear.text() ==
        "FP8 with a scale per block");
  CHECK(stored_as({{"weight", fp8}, {"weight_scale_inv", scales({1, 2})}}, weight).linear.text() ==
        "FP8 with a scale per block");
  CHECK(stored_as({{"weight", fp8}, {"scale", powers({1, 2})}}, weight).linear.text() == "FP8 with a scale per block");
  CHECK(stored_as({{"weight", fp8}, {"scale", powers({128, 8})}}, weight).linear.text() ==
        "FP8 with a power of two per 32 columns");
  CHECK(stored_as({{"weight", fp8}, {"scale", powers({128, 8})}}, weight, tile).linear.text() ==
        "FP8 with a scale per block");
  CHECK(stored_as({{"weight", fp8}}, weight).linear.dense());
  CHECK(stored_as({{"weight", scales({128, 256})}, {"weight_scale", scales({})}}, weight).linear.text() == "F32");
  CHECK(stored_as({{"weight", bytes_tensor(Dtype::u8, {128, 128}, {})}, {"weight_scale", fp8}}, weight).linear.dense());
}

TEST_CASE("copies keep codes and change scales exactly") {
  const Parts tensor = {{"weight", bytes_tensor(Dtype::f8_e4m3, {3, 32}, e4m3_codes(96, 1))},
                        {"weight_scale_inv",
                         {.name = "", .dtype = Dtype::bf16, .shape = {}, .bytes = {std::byte{0x12}, std::byte{0x3c}}}},
                        {"activation_scale", floats({}, {0.25f})}};
  const Found found = stored_as(tensor, {3, 32});
  const std::uint32_t widened = 0x3c120000;
  for (const char* const name : {"FP8_SOURCE_STATIC", "FP8_SOURCE_STATIC_CHANNEL"}) {
    const auto copies = copied_fields(found.linear, require_number_format(name));
    REQUIRE(copies.size() == 3);
    CHECK(copies[0].step == CopyStep::bytes);
    CHECK(copies[1].field.suffix == "weight_scale");
    CHECK(copies[2].field.suffix == "input_scale");
    const std::size_t count = element_count(copies[1].field.shape).value();
    CHECK(count == (std::string(name) == "FP8_SOURCE_STATIC" ? 1 : 3));
    std::vector<std::uint32_t> made(count);
    copy_field(found.linear, copies[1], found.bytes[1], std::as_writable_bytes(std::span(made)));
    for (const std::uint32_t bits : made) CHECK(bits == widened);
  }

  const Parts modelopt = {{"weight", bytes_tensor(Dtype::u8, {1, 8}, std::vector<std::uint8_t>(8, 0x21))},
                          {"weight_scale", bytes_tensor(Dtype::f8_e4m3, {1, 1}, {0x38})},
                          {"weight_scale_2", floats({}, {0.0007f})},
                          {"input_scale", floats({1}, {0.0f})}};
  const Found four = stored_as(modelopt, {1, 16});
  CHECK(four.linear.storage->copy_format(four.linear) == "NVFP4");
  const auto copies = copied_fields(four.linear, require_number_format("NVFP4"));
  float made = 0;
  copy_field(four.linear, copies.at(2), four.bytes.at(2), std::as_writable_bytes(std::span(&made, 1)));
  CHECK(made == 1.0f / 0.0007f);
  const Error error = test::thrown_by(
      [&] { copy_field(four.linear, copies.at(3), four.bytes.at(3), std::as_writable_bytes(std::span(&made, 1))); });
  CHECK(std::string(error.what()).find("m.input_scale: is 0") != std::string::npos);
}

TEST_CASE("every copy has the tensors of its format") {
  const auto modules = test::read_modules(test::in_source("tests/golden/storage/native.safetensors"));
  for (const char* const module : {"tensor", "modelopt_fp8", "columns_32", "mxfp4", "modelopt_nvfp4"}) {
    INFO(module);
    const Parts& parts = modules.at(module);
    const Found found = stored_as(parts, parts.at("decoded").shape);
    const NumberFormat& format = require_number_format(found.linear.storage->copy_format(found.linear));
    const std::vector<Field> fields = format.fields(found.linear.weight, Dtype::f32, ScaleRule::minmax);
    const std::vector<CopiedField> copies = copied_fields(found.linear, format);
    REQUIRE(copies.size() == fields.size());
    for (std::size_t i = 0; i < fields.size(); ++i) {
      CHECK(copies[i].field.suffix == fields[i].suffix);
      CHECK(copies[i].field.shape == fields[i].shape);
    }
  }
}

TEST_CASE("weight_block_size is read wherever the quantization_config stands") {
  const auto rules = [](std::string_view json) { return NativeRules::parse(Config::parse(json, "config.json")); };
  CHECK(rules("{}").allowed);
  CHECK_FALSE(rules("{}").block);
  CHECK(rules(R"({"quantization_config": {"quant_method": "fp8", "weight_block_size": [64, 32]}})").block ==
        Shape{64, 32});
  CHECK(rules(R"({"text_config": {"quantization_config": {"quant_method": "fp8", "weight_block_size": [1, 32]}}})")
            .block == Shape{1, 32});
  CHECK_FALSE(rules(R"({"quantization_config": {"quant_method": "fp8", "weight_block_size": null}})").block);
  CHECK_FALSE(rules(R"({"quantization_config": {"quant_method": "compressed-tensors"}})").allowed);
  CHECK(test::thrown_by([&] {
          rules(R"({"quantization_config": {"quant_method": "fp8", "weight_block_size": [128]}})");
        }).fault == Fault::input);
  CHECK(test::thrown_by([&] {
          rules(R"({"quantization_config": {"quant_method": "fp8", "weight_block_size": [0, 128]}})");
        }).fault == Fault::input);
}
