#include "formats/tensor.h"

#include <catch2/catch_test_macros.hpp>
#include <limits>

using namespace strata;

TEST_CASE("every element type of safetensors has its name and width") {
  // The reference implementation's list, in its order, with its bitsize().
  const std::vector<std::pair<std::string, int>> reference = {
      {"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6},     {"U8", 8},          {"I8", 8},
      {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},
      {"U16", 16},    {"F16", 16},    {"BF16", 16},   {"I32", 32},        {"U32", 32},        {"F32", 32},
      {"C64", 64},    {"F64", 64},    {"I64", 64},    {"U64", 64}};
  for (std::size_t i = 0; i < reference.size(); ++i) {
    const auto& [name, bits] = reference[i];
    CAPTURE(name);
    const Dtype dtype = parse_dtype(name).value();
    CHECK(static_cast<std::size_t>(dtype) == i);
    CHECK(dtype_name(dtype) == name);
    CHECK(dtype_bits(dtype) == bits);
  }
  CHECK(static_cast<std::size_t>(Dtype::u64) + 1 == reference.size());
}

TEST_CASE("an unknown element type is not parsed") {
  for (const char* name : {"", "bf16", "BF 16", "F128", "FLOAT", "F8"}) CHECK_FALSE(parse_dtype(name));
}

TEST_CASE("elements are counted without overflow") {
  CHECK(element_count({}) == 1);
  CHECK(element_count({7}) == 7);
  CHECK(element_count({3, 0, 5}) == 0);
  CHECK(element_count({2, 3, 4}) == 24);
  CHECK(element_count({std::int64_t{1} << 32, (std::int64_t{1} << 32) - 1}) == 0xffffffff00000000u);
  CHECK_FALSE(element_count({std::int64_t{1} << 32, std::int64_t{1} << 32}));
  CHECK_FALSE(element_count({-1}));
  CHECK_FALSE(element_count({std::numeric_limits<std::int64_t>::max(), 3}));
}

TEST_CASE("a tensor has whole bytes or none") {
  CHECK(tensor_bytes(Dtype::bf16, {3, 5}) == 30);
  CHECK(tensor_bytes(Dtype::f4, {3, 2}) == 3);
  CHECK_FALSE(tensor_bytes(Dtype::f4, {3}));
  CHECK(tensor_bytes(Dtype::f6_e3m2, {4}) == 3);
  CHECK_FALSE(tensor_bytes(Dtype::f6_e3m2, {2}));
  CHECK(tensor_bytes(Dtype::i64, {}) == 8);
  CHECK(tensor_bytes(Dtype::i64, {0}) == 0);
  CHECK_FALSE(tensor_bytes(Dtype::f64, {std::int64_t{1} << 60}));  // 2^66 bits
}

TEST_CASE("a shape is shown as Python shows it") {
  CHECK(shape_text({}) == "[]");
  CHECK(shape_text({256}) == "[256]");
  CHECK(shape_text({256, 128}) == "[256, 128]");
}
