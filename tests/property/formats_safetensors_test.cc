// Random tensor sets survive a round trip; random damage never gets past the parser.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <random>

#include "base/error.h"
#include "formats/checkpoint/safetensors.h"

using namespace strata;

namespace {

using Random = std::mt19937_64;

std::int64_t up_to(Random& random, std::int64_t largest) {
  return std::uniform_int_distribution<std::int64_t>(0, largest)(random);
}

std::vector<TensorInfo> random_tensors(Random& random) {
  static constexpr std::string_view letters = "abc.XYZ_09-\"\\/ \xc3\xa9";
  std::vector<TensorInfo> tensors;
  const std::int64_t count = up_to(random, 12);
  for (std::int64_t i = 0; i < count; ++i) {
    TensorInfo tensor;
    tensor.name = std::to_string(i);  // distinct
    for (std::int64_t n = up_to(random, 10); n > 0; --n) {
      const auto at = static_cast<std::size_t>(up_to(random, static_cast<std::int64_t>(letters.size()) - 3));
      tensor.name += letters.substr(at, 1);
    }
    if (up_to(random, 3) == 0) tensor.name += "\xc3\xa9";
    tensor.dtype = static_cast<Dtype>(up_to(random, static_cast<std::int64_t>(Dtype::u64)));
    for (std::int64_t n = up_to(random, 4); n > 0; --n) tensor.shape.push_back(up_to(random, 9));
    if (tensor_bytes(tensor.dtype, tensor.shape)) tensors.push_back(tensor);  // 4- and 6-bit types may not fill bytes
  }
  return tensors;
}

struct File {
  std::string text;  // length, header
  std::uint64_t bytes;
};

File print(const std::vector<TensorInfo>& tensors) {
  File file{.text = print_safetensors(tensors), .bytes = 0};
  file.bytes = file.text.size();
  for (const TensorInfo& tensor : tensors) file.bytes += tensor_bytes(tensor.dtype, tensor.shape).value();
  return file;
}

// What the parser promises of anything that it accepts.
void check_invariants(const std::vector<TensorInfo>& tensors, std::uint64_t header_end, std::uint64_t file_bytes) {
  std::uint64_t end = header_end;
  for (const TensorInfo& tensor : tensors) {
    REQUIRE(tensor.offset == end);  // neither overlap nor hole
    REQUIRE(tensor.bytes == tensor_bytes(tensor.dtype, tensor.shape));
    end += tensor.bytes;
  }
  REQUIRE(end == file_bytes);
  std::vector<std::string> names;
  for (const TensorInfo& tensor : tensors) names.push_back(tensor.name);
  std::ranges::sort(names);
  REQUIRE(std::ranges::adjacent_find(names) == names.end());
}

// Whether the damaged file was accepted; any other end than Error{input} is a failure.
bool accepted(const File& file) {
  const std::span<const std::byte> text = std::as_bytes(std::span(file.text));
  try {
    const std::uint64_t length =
        safetensors_header_bytes(text.first(std::min<std::size_t>(text.size(), 64)), file.bytes, "x");
    if (length > file.text.size() - 8) return false;  // the reader would have failed at the end of the file
    check_invariants(parse_safetensors(text.first<8>(), std::string_view(file.text).substr(8, length), file.bytes, "x"),
                     8 + length, file.bytes);
    return true;
  } catch (const Error& error) {
    REQUIRE(error.fault == Fault::input);
    REQUIRE(std::string_view(error.what()).find('\n') == std::string_view::npos);
    return false;
  }
}

void damage(Random& random, File* file) {
  const auto place = [&] {
    return static_cast<std::size_t>(up_to(random, static_cast<std::int64_t>(file->text.size()) - 1));
  };
  static constexpr std::string_view alphabet = "{}[]\",:0123456789-.eE \\u";
  switch (up_to(random, 5)) {
    case 0:
      file->text[place()] = static_cast<char>(up_to(random, 255));
      break;
    case 1:
      file->text[place()] = alphabet[static_cast<std::size_t>(up_to(random, alphabet.size() - 1))];
      break;
    case 2:
      file->text.erase(place(), 1);
      break;
    case 3:
      file->text.insert(place(), 1, alphabet[static_cast<std::size_t>(up_to(random, alphabet.size() - 1))]);
      break;
    case 4: {  // repeat a piece: duplicate keys, longer numbers
      const std::size_t at = place();
      const std::string piece = file->text.substr(at, static_cast<std::size_t>(up_to(random, 60)));
      file->text.insert(at, piece);
      break;
    }
    default:
      file->bytes = file->bytes + 3 - static_cast<std::uint64_t>(up_to(random, 6));
      break;
  }
  if (up_to(random, 1) == 0 && file->text.size() >= 8) {  // a length that fits, so that damage inside is reached
    const std::uint64_t length = file->text.size() - 8;
    for (std::size_t i = 0; i < 8; ++i) file->text[i] = static_cast<char>(length >> (8 * i));
  }
}

}  // namespace

TEST_CASE("random tensor sets survive printing and parsing") {
  Random random(1);
  for (int round = 0; round < 500; ++round) {
    const std::vector<TensorInfo> tensors = random_tensors(random);
    const File file = print(tensors);
    const auto read = parse_safetensors(std::as_bytes(std::span(file.text)).first<8>(),
                                        std::string_view(file.text).substr(8), file.bytes, "x");
    check_invariants(read, file.text.size(), file.bytes);
    REQUIRE(read.size() == tensors.size());
    for (const TensorInfo& tensor : tensors) {
      const auto found = std::ranges::find(read, tensor.name, &TensorInfo::name);
      REQUIRE(found != read.end());
      REQUIRE(found->dtype == tensor.dtype);
      REQUIRE(found->shape == tensor.shape);
    }
    REQUIRE(print_safetensors(tensors) == file.text);  // same input, same bytes
  }
}

TEST_CASE("a damaged header is refused or still covers the file exactly once") {
  Random random(2);
  int survivors = 0;
  for (int round = 0; round < 20000; ++round) {
    File file = print(random_tensors(random));
    for (std::int64_t n = 1 + up_to(random, 2); n > 0; --n) damage(random, &file);
    survivors += accepted(file) ? 1 : 0;
  }
  CHECK(survivors > 20);  // a changed letter of a name: the damage does reach the depths of the parser
}

TEST_CASE("shifted offsets are never accepted") {
  Random random(3);
  for (int round = 0; round < 2000; ++round) {
    const File good =
        print({{.name = "a", .dtype = Dtype::u8, .shape = {10}}, {.name = "b", .dtype = Dtype::u8, .shape = {10}}});
    const std::string begin = std::to_string(up_to(random, 25)), end = std::to_string(up_to(random, 25));
    File file = good;
    const std::size_t at = file.text.find("[10,20]", 9);
    REQUIRE(at != std::string::npos);
    file.text.replace(at, 7, "[" + begin + "," + end + "]");
    file.bytes = file.bytes + file.text.size() - good.text.size();
    for (std::size_t i = 0; i < 8; ++i) file.text[i] = static_cast<char>((file.text.size() - 8) >> (8 * i));
    REQUIRE(accepted(file) == (begin == "10" && end == "20"));
  }
}
