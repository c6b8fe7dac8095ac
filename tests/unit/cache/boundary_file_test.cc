#include "cache/boundary_file.h"

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <filesystem>

#include "base/file.h"
#include "cache/in_parallel.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/thrown.h"
#include "tests/unit/cache/boundary_fixture.h"
#include "tests/unit/cache/naive_boundary.h"

using namespace strata;
using namespace strata::test;

namespace {

std::vector<std::uint32_t> bits_of(std::span<const float> values) {
  std::vector<std::uint32_t> bits(values.size());
  if (!values.empty()) std::memcpy(bits.data(), values.data(), values.size_bytes());
  return bits;
}

std::optional<BoundaryReader> open_sound(const std::string& path, const BoundaryShape& shape) {
  std::string why;
  std::optional<BoundaryReader> reader = BoundaryReader::open(path, shape, a_fingerprint, why);
  INFO(why);
  REQUIRE(reader);
  REQUIRE(reader->verify(2, why));
  return reader;
}

// What BoundaryReader makes of the file: the reason of a miss, or "" and then the values must be right.
std::string outcome(const std::string& path, const BoundaryShape& shape, std::span<const float> right) {
  std::string why;
  const std::optional<BoundaryReader> reader = BoundaryReader::open(path, shape, a_fingerprint, why);
  if (!reader) return why;
  // Reading alone never gives wrong values either.
  std::string reading;
  const std::optional<std::vector<float>> values = read_all(*reader, reading);
  CHECK((values ? same_bits(*values, right) : !reading.empty()));
  return reader->verify(2, why) ? "" : why;
}

const BoundaryShape small{.samples = 3, .tokens = 5, .hidden = 7, .samples_per_block = 2};

}  // namespace

TEST_CASE("a boundary comes back bit for bit, by our reader and by one that only knows the document") {
  const TemporaryFolder folder;
  const BoundaryShape shapes[] = {
      {.samples = 1, .tokens = 1, .hidden = 1},
      small,
      {.samples = 5, .tokens = 33, .hidden = 64, .samples_per_block = 1},
      {.samples = 5, .tokens = 33, .hidden = 64, .samples_per_block = 100},
      {.samples = 3, .tokens = 1, .hidden = (1 << 20) + 1, .samples_per_block = 2},  // blocks of three and two frames
  };
  for (const BoundaryShape& shape : shapes)
    for (const NamedValues& hostile : hostile_values(values_of(shape))) {
      const bool large = hostile.values.size() > 100000;
      if (large && hostile.name != "gaussian" && hostile.name != "random bits") continue;
      for (const FrameCodec codec : {FrameCodec::raw, FrameCodec::bf16, FrameCodec::zstd, FrameCodec::bf16_zstd}) {
        INFO(hostile.name << ", " << hostile.values.size() << " values, " << codec_name(codec));
        const std::string path = folder.file("a.sba");
        const std::uint64_t bytes = write_boundary(path, shape, hostile.values, codec);
        CHECK(bytes == file_size(path));
        CHECK(bytes <= boundary_file_bound(shape));
        std::string why;
        const auto values = read_all(*open_sound(path, shape), why);
        REQUIRE(values);
        CHECK(same_bits(*values, hostile.values));
        const std::string content = bytes_of_file(path);
        const NaiveBoundary naive(content);
        CHECK(naive.fingerprint == a_fingerprint);
        CHECK((naive.values == bits_of(hostile.values)));
      }
    }
}

TEST_CASE("every codec is met by the reader that only knows the document") {
  const TemporaryFolder folder;
  const BoundaryShape shape{.samples = 3, .tokens = 64, .hidden = 64, .samples_per_block = 1};
  std::vector<float> values = gaussian(3 * 4096);
  const std::vector<float> narrow = cut_to_bf16(gaussian(4096)), noise = hostile_values(4096)[4].values;
  std::ranges::copy(narrow, values.begin() + 4096);
  std::ranges::copy(noise, values.begin() + 2 * 4096);
  write_boundary(folder.file("a.sba"), shape, values);
  CHECK((NaiveBoundary(bytes_of_file(folder.file("a.sba"))).codecs == std::vector{2, 3, 0}));
  write_boundary(folder.file("a.sba"), shape, values, FrameCodec::bf16);
  CHECK((NaiveBoundary(bytes_of_file(folder.file("a.sba"))).codecs == std::vector{0, 1, 0}));
}

TEST_CASE("the bound of a file is reached by values that do not shrink") {
  const TemporaryFolder folder;
  const BoundaryShape shapes[] = {small, {.samples = 4, .tokens = 31, .hidden = 65, .samples_per_block = 3}};
  for (BoundaryShape shape : shapes) {
    const std::vector<float> noise = hostile_values(values_of(shape))[4].values;
    CHECK(write_boundary(folder.file("a.sba"), shape, noise) == boundary_file_bound(shape));
    shape.type = BoundaryType::bf16;
    CHECK(write_boundary(folder.file("a.sba"), shape, cut_to_bf16(noise), FrameCodec::raw) ==
          boundary_file_bound(shape));
  }
}

TEST_CASE("a boundary of type BF16 takes no other values") {
  const TemporaryFolder folder;
  BoundaryShape shape = small;
  shape.type = BoundaryType::bf16;
  std::vector<float> values = cut_to_bf16(gaussian(values_of(shape)));
  write_boundary(folder.file("a.sba"), shape, values);
  std::string why;
  CHECK(same_bits(*read_all(*open_sound(folder.file("a.sba"), shape), why), values));
  values.back() = 1.00001f;
  const Error error = thrown_by([&] { write_boundary(folder.file("b.sba"), shape, values); });
  CHECK(error.fault == Fault::bug);
  CHECK(std::string(error.what()).find("BF16") != std::string::npos);
}

TEST_CASE("a boundary file cut at any byte is a miss") {
  const TemporaryFolder folder;
  const std::vector<float> values = gaussian(values_of(small));
  const std::string path = folder.file("a.sba");
  write_boundary(path, small, values);
  const std::string whole = bytes_of_file(path);
  REQUIRE(outcome(path, small, values) == "");
  for (std::size_t n = whole.size(); n-- > 0;) {
    std::filesystem::resize_file(path, n);
    INFO("cut to " << n << " bytes");
    REQUIRE(outcome(path, small, values) != "");
  }
  for (const std::size_t more : {1, 40, 4096}) {
    write_bytes(path, whole + std::string(more, '\0'));
    CHECK(outcome(path, small, values) != "");
  }
  // Grown to its size again, as after a loss of power.
  for (std::size_t n = 0; n < whole.size(); n += 97) {
    write_bytes(path, whole.substr(0, n));
    std::filesystem::resize_file(path, whole.size());
    CHECK(outcome(path, small, values) != "");
  }
}

TEST_CASE("a boundary file with any bit flipped is a miss") {
  const TemporaryFolder folder;
  const std::vector<float> values = gaussian(values_of(small));
  const std::string path = folder.file("a.sba");
  for (const FrameCodec codec : {FrameCodec::raw, FrameCodec::bf16_zstd}) {
    write_boundary(path, small, values, codec);
    const std::string whole = bytes_of_file(path);
    for (std::size_t i = 0; i < whole.size(); ++i) {
      const bool filling = whole[i] == 0 && i > 96 && i + 88 < whole.size();  // one bit of each of those will do
      for (unsigned bit = 0; bit < 8; ++bit) {
        if (filling && bit != i % 8) continue;
        INFO("byte " << i << ", bit " << bit);
        put_byte(path, i, static_cast<char>(whole[i] ^ (1 << bit)));
        REQUIRE(outcome(path, small, values) != "");
      }
      put_byte(path, i, whole[i]);
    }
    CHECK(outcome(path, small, values) == "");
  }
}

TEST_CASE("another version, shape or fingerprint and foreign files are misses that say so") {
  const TemporaryFolder folder;
  const std::vector<float> values = gaussian(values_of(small));
  const std::string path = folder.file("a.sba");
  write_boundary(path, small, values);
  const auto refusal = [&](const BoundaryShape& shape, const std::string& fingerprint) {
    std::string why;
    CHECK_FALSE(BoundaryReader::open(path, shape, fingerprint, why));
    return why;
  };
  CHECK(refusal(small, std::string(32, 'f')).find("fingerprint") != std::string::npos);
  BoundaryShape other = small;
  other.hidden = 35, other.tokens = 1;
  CHECK(refusal(other, a_fingerprint).find("[3, 5, 7]") != std::string::npos);
  other = small;
  other.samples_per_block = 1;
  CHECK(refusal(other, a_fingerprint) != "");
  other = small;
  other.type = BoundaryType::bf16;
  CHECK(refusal(other, a_fingerprint) != "");
  put_byte(path, 8, 2);
  CHECK(refusal(small, a_fingerprint) == "has version 2, this program reads 1");
  write_bytes(path, std::string(20000, 'x'));
  CHECK(refusal(small, a_fingerprint) == "is not a cache file");
  remove_tree(path);
  CHECK(refusal(small, a_fingerprint) == "is missing");
  make_directory(path);
  CHECK(refusal(small, a_fingerprint).find("not a regular file") != std::string::npos);
}

TEST_CASE("threads encode and read the same bytes as one") {
  const TemporaryFolder folder;
  const BoundaryShape shape{.samples = 64, .tokens = 16, .hidden = 128, .samples_per_block = 2};
  const std::vector<float> values = gaussian(values_of(shape));
  write_boundary(folder.file("one.sba"), shape, values);
  {
    BoundaryWriter writer(folder.file("many.sba"), shape, a_fingerprint, FrameCodec::bf16_zstd);
    std::vector<EncodedBlock> encoded(static_cast<std::size_t>(shape.blocks()));
    in_parallel(shape.blocks(), 4, [&](std::int64_t block) {
      writer.encode(block, block_of(std::span(values), shape, block), encoded[static_cast<std::size_t>(block)]);
    });
    for (const EncodedBlock& block : encoded) writer.append(block);
    writer.finish();
  }
  CHECK((bytes_of_file(folder.file("one.sba")) == bytes_of_file(folder.file("many.sba"))));

  const std::optional<BoundaryReader> reader = open_sound(folder.file("many.sba"), shape);
  std::vector<float> back(values.size());
  std::atomic<int> failed = 0;
  in_parallel(shape.blocks(), 4, [&](std::int64_t block) {
    std::string why;
    if (!reader->read(block, block_of(std::span(back), shape, block), why)) ++failed;
  });
  CHECK(failed == 0);
  CHECK(same_bits(back, values));
}

TEST_CASE("a boundary that is not finished leaves nothing, blocks out of order are refused") {
  const TemporaryFolder folder;
  const std::vector<float> values = gaussian(values_of(small));
  {
    BoundaryWriter writer(folder.file("a.sba"), small, a_fingerprint, FrameCodec::raw);
    CHECK(list_directory(folder.path()).size() == 1);
    EncodedBlock encoded;
    writer.encode(1, block_of(std::span(values), small, 1), encoded);
    CHECK(thrown_by([&] { writer.append(encoded); }).fault == Fault::bug);
    writer.encode(0, block_of(std::span(values), small, 0), encoded);
    writer.append(encoded);
    CHECK(thrown_by([&] { writer.finish(); }).fault == Fault::bug);
    CHECK(thrown_by([&] { writer.encode(0, values, encoded); }).fault == Fault::bug);
  }
  CHECK(list_directory(folder.path()).empty());
  CHECK_FALSE(is_valid({.samples = 0, .tokens = 1, .hidden = 1}));
  CHECK_FALSE(is_valid({.samples = 1LL << 40, .tokens = 1LL << 40, .hidden = 1LL << 40}));
  CHECK_FALSE(is_valid({.samples = 1, .tokens = 1, .hidden = 1, .samples_per_block = 0}));
}

TEST_CASE("what one of several threads throws is thrown where they were started") {
  std::atomic<int> done = 0;
  const Error error = thrown_by([&] {
    in_parallel(50, 4, [&](std::int64_t i) {
      if (i == 20) fail(Fault::io, "20");
      ++done;
    });
  });
  CHECK(error.fault == Fault::io);
  CHECK(done <= 49);
  in_parallel(50, 100, [&](std::int64_t) { ++done; });
  CHECK(done >= 50);
}
