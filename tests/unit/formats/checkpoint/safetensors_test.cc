#include "formats/checkpoint/safetensors.h"

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cstring>

#include "tests/support/thrown.h"

using namespace strata;
using Catch::Matchers::ContainsSubstring;
using strata::test::thrown_by;

namespace {

std::array<std::byte, 8> length_prefix(std::uint64_t length) {
  std::array<std::byte, 8> bytes{};
  for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<std::byte>(length >> (8 * i));
  return bytes;
}

std::vector<TensorInfo> parse(std::string_view header, std::uint64_t data_bytes) {
  return parse_safetensors(length_prefix(header.size()), header, 8 + header.size() + data_bytes, "x.safetensors");
}

struct BadHeader {
  const char* what;
  std::string header;
  std::uint64_t data_bytes;
  std::vector<std::string> named;  // parts of the message
};

void check_refused(const BadHeader& bad) {
  CAPTURE(bad.what, bad.header);
  const Error error = thrown_by([&] { parse(bad.header, bad.data_bytes); });
  CHECK(error.fault == Fault::input);
  CHECK_THAT(error.what(), ContainsSubstring("x.safetensors: "));
  CHECK(std::string_view(error.what()).find('\n') == std::string_view::npos);
  for (const std::string& part : bad.named) CHECK_THAT(error.what(), ContainsSubstring(part));
}

}  // namespace

TEST_CASE("the minimal file of the specification is read and written to the byte") {
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"w":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4]},)"
      R"("p":{"dtype":"U8","shape":[1,2],"data_offsets":[4,6]}}  )";
  REQUIRE(header.size() == 144);
  const auto tensors = parse(header, 6);
  REQUIRE(tensors.size() == 2);
  CHECK(tensors[0].name == "w");
  CHECK(tensors[0].dtype == Dtype::bf16);
  CHECK(tensors[0].shape == Shape{1, 2});
  CHECK(tensors[0].offset == 152);
  CHECK(tensors[0].bytes == 4);
  CHECK(tensors[1].name == "p");
  CHECK(tensors[1].offset == 156);
  CHECK(print_safetensors(tensors) == std::string("\x90\0\0\0\0\0\0\0", 8) + header);
}

TEST_CASE("tensors come in file order, whatever the order of the header") {
  const auto tensors = parse(R"({"b":{"dtype":"U8","shape":[2],"data_offsets":[3,5]},)"
                             R"("a":{"data_offsets":[0,3],"shape":[3],"dtype":"I8"}})",
                             5);
  CHECK(tensors.at(0).name == "a");
  CHECK(tensors.at(1).name == "b");
}

TEST_CASE("scalars, empty tensors and an empty file are valid") {
  const auto tensors = parse(R"({"scalar":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                             R"("empty":{"dtype":"F32","shape":[0,7],"data_offsets":[4,4]}})",
                             4);
  REQUIRE(tensors.size() == 2);
  CHECK(tensors[0].shape.empty());
  CHECK(tensors[1].bytes == 0);
  CHECK(parse("{}", 0).empty());
  CHECK(parse("{}      ", 0).empty());
}

TEST_CASE("what does not fill the data section exactly is refused with both numbers") {
  check_refused(
      {"overlap",
       R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[3,7]}})",
       7,
       {"tensor b begins at byte 3", "tensor a ends at 4", "overlap"}});
  check_refused(
      {"the same range twice",
       R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
       4,
       {"tensor b begins at byte 0", "tensor a ends at 4"}});
  check_refused(
      {"hole",
       R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[6,10]}})",
       10,
       {"tensor b begins at byte 6", "tensor a ends at 4", "2 bytes belong to no tensor"}});
  check_refused({"hole before the first",
                 R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[8,12]}})",
                 12,
                 {"tensor a begins at byte 8", "8 bytes belong to no tensor"}});
  check_refused({"cut data",
                 R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
                 3,
                 {"tensor a ends at byte 4", "has only 3", "download"}});
  check_refused({"bytes after the last tensor",
                 R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
                 9,
                 {"end at byte 4", "has 9", "5 bytes"}});
  check_refused({"bytes without tensors", "{}", 1, {"end at byte 0", "has 1"}});
}

TEST_CASE("a tensor whose size, offsets or type are wrong is refused by name") {
  check_refused({"size",
                 R"({"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,23]}})",
                 23,
                 {"tensor w", "[2, 3] of F32 has 24 bytes", "span 23"}});
  check_refused({"backwards",
                 R"({"w":{"dtype":"U8","shape":[0],"data_offsets":[9,1]}})",
                 9,
                 {"tensor w ends at 1 before it begins at 9"}});
  check_refused({"elements overflow",
                 R"({"w":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}})",
                 0,
                 {"tensor w", "[4294967296, 4294967296] of U8"}});
  check_refused({"bytes overflow",
                 R"({"w":{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]}})",
                 0,
                 {"tensor w", "2305843009213693952"}});
  check_refused(
      {"half bytes", R"({"w":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}})", 2, {"tensor w", "[3] of F4"}});
  check_refused({"negative size", R"({"w":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", 1, {"shape holds -1"}});
  check_refused(
      {"negative offset", R"({"w":{"dtype":"U8","shape":[1],"data_offsets":[-1,0]}})", 1, {"data_offsets holds -1"}});
  check_refused({"2^63",
                 R"({"w":{"dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,1]}})",
                 1,
                 {"shape holds 9223372036854775808"}});
  check_refused({"2^64", R"({"w":{"dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,1]}})", 1, {"JSON"}});
  check_refused({"a float", R"({"w":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}})", 1, {"shape holds 1"}});
  check_refused({"a string", R"({"w":{"dtype":"U8","shape":["1"],"data_offsets":[0,1]}})", 1, {"shape holds \"1\""}});
  check_refused({"no array", R"({"w":{"dtype":"U8","shape":1,"data_offsets":[0,1]}})", 1, {"shape is not an array"}});
  check_refused(
      {"three offsets", R"({"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}})", 1, {"3 numbers, expected 2"}});
  check_refused(
      {"unknown dtype", R"({"w":{"dtype":"F33","shape":[1],"data_offsets":[0,1]}})", 1, {"dtype F33 is unknown"}});
  check_refused(
      {"dtype a number", R"({"w":{"dtype":8,"shape":[1],"data_offsets":[0,1]}})", 1, {"dtype is not a string"}});
  check_refused({"dtype missing", R"({"w":{"shape":[1],"data_offsets":[0,1]}})", 1, {"dtype is missing"}});
  check_refused({"shape missing", R"({"w":{"dtype":"U8","data_offsets":[0,1]}})", 1, {"shape is missing"}});
  check_refused({"offsets missing", R"({"w":{"dtype":"U8","shape":[1]}})", 1, {"data_offsets is missing"}});
  check_refused(
      {"unknown key", R"({"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}})", 1, {"unknown key x"}});
  check_refused({"no object", R"({"w":7})", 0, {"tensor w", "not an object"}});
}

TEST_CASE("duplicate keys are found at every level, escaped ones too") {
  check_refused(
      {"tensor",
       R"({"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"w":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
       2,
       {"tensor w stands twice"}});
  check_refused(
      {"escaped",
       R"({"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\u0077":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
       2,
       {"tensor w stands twice"}});
  check_refused(
      {"field", R"({"w":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}})", 1, {"dtype stands twice"}});
  check_refused({"metadata", R"({"__metadata__":{},"__metadata__":{}})", 0, {"__metadata__ stands twice"}});
  check_refused({"metadata key", R"({"__metadata__":{"a":"1","a":"2"}})", 0, {"entry a stands twice"}});
}

TEST_CASE("metadata maps strings to strings") {
  CHECK(parse(R"({"__metadata__":{"format":"pt","x":"y"}})", 0).empty());
  CHECK(parse(R"({"__metadata__":null})", 0).empty());
  CHECK(parse(R"({"__metadata__":{}})", 0).empty());
  check_refused({"null in it", R"({"__metadata__":{"format":null}})", 0, {"entry format is not a string"}});
  check_refused({"number", R"({"__metadata__":{"format":1}})", 0, {"__metadata__ entry format is not a string"}});
  check_refused({"nested", R"({"__metadata__":{"format":{}}})", 0, {"entry format"}});
  check_refused({"no object", R"({"__metadata__":"pt"})", 0, {"__metadata__ is not an object"}});
}

TEST_CASE("a header that is no JSON object is refused") {
  for (const char* header :
       {"", "[]", " {}", "null", "{", "{}x", "{\"a\"}", "{\"a\":}", "{'a':1}", "{\"a\":NaN}", "\xff"}) {
    CAPTURE(header);
    CHECK(thrown_by([&] { parse(header, 0); }).fault == Fault::input);
  }
  check_refused({"a zero byte at the end", std::string("{}\0", 3), 0, {"JSON"}});
  check_refused({"invalid UTF-8", "{\"\xff\":{}}", 0, {"JSON"}});
  check_refused({"deep nesting", "{\"a\":" + std::string(5000, '[') + std::string(5000, ']') + "}", 0, {"JSON"}});
  check_refused({"line break in a name",
                 R"({"a\nb":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
                 0,
                 {"control character"}});
}

TEST_CASE("the length of the header is checked before anything is allocated") {
  const auto length_error = [](std::uint64_t length, std::uint64_t file_bytes) {
    const auto prefix = length_prefix(length);
    return std::string(thrown_by([&] { safetensors_header_bytes(prefix, file_bytes, "x.safetensors"); }).what());
  };
  CHECK_THAT(length_error(100, 50), ContainsSubstring("100 bytes") && ContainsSubstring("only 42"));
  CHECK_THAT(length_error(43, 50), ContainsSubstring("download incomplete"));
  CHECK_THAT(length_error(max_safetensors_header + 1, 1u << 30), ContainsSubstring("100000001"));
  CHECK_THAT(length_error(~std::uint64_t{0}, 50), ContainsSubstring("is not a safetensors file"));
  const auto prefix = length_prefix(42);
  CHECK(safetensors_header_bytes(prefix, 50, "x") == 42);
}

TEST_CASE("a Git LFS pointer and a short file are told apart") {
  const std::string pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
  const Error lfs = thrown_by(
      [&] { safetensors_header_bytes(std::as_bytes(std::span(pointer)), pointer.size(), "model.safetensors"); });
  CHECK(lfs.fault == Fault::input);
  CHECK_THAT(lfs.what(), ContainsSubstring("Git LFS pointer") && ContainsSubstring("git lfs pull"));
  for (std::size_t n = 0; n < 8; ++n) {
    const std::string text = std::string("\x02\0\0\0\0\0\0", 7).substr(0, n);
    CHECK_THAT(thrown_by([&] { safetensors_header_bytes(std::as_bytes(std::span(text)), n, "x.safetensors"); }).what(),
               ContainsSubstring("has " + std::to_string(n) + " bytes"));
  }
}

TEST_CASE("a printed header is padded to 8 bytes and escapes names") {
  for (const std::string name : {"a", "ab", "abc", "abcd", "quote\"back\\slash", "\xc3\xa9"}) {
    CAPTURE(name);
    const std::vector<TensorInfo> one = {{.name = name, .dtype = Dtype::f32, .shape = {2, 3}}};
    const std::string text = print_safetensors(one);
    CHECK(text.size() % 8 == 0);
    const auto read = parse(std::string_view(text).substr(8), 24);
    REQUIRE(read.size() == 1);
    CHECK(read[0].name == name);
    CHECK(read[0].offset == text.size());
  }
}
