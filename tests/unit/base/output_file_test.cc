#include "base/output_file.h"

#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "base/buffer.h"
#include "base/file.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/thrown.h"

using namespace strata;
using namespace strata::test;
using Catch::Matchers::ContainsSubstring;

namespace {

std::vector<char> contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Piece {
  std::uint64_t offset, bytes;
};

// [0, size) cut at random places: many small pieces, some large ones, some that begin and end at whole blocks.
std::vector<Piece> random_cuts(std::uint64_t size, std::mt19937_64& random) {
  std::vector<Piece> pieces;
  for (std::uint64_t offset = 0; offset < size;) {
    const std::array<std::uint64_t, 5> lengths{random() % 10, random() % 9000, random() % 300'000, 12'000'000,
                                               (random() % 64 + 1) * 4096 - offset % 4096};
    const std::uint64_t bytes = std::min(lengths[random() % lengths.size()], size - offset);
    pieces.push_back({offset, bytes});
    offset += bytes;
  }
  std::ranges::shuffle(pieces, random);
  return pieces;
}

// The bytes of the piece at an address of its own: any, or one that needs no staging.
void write_piece(OutputFile& file, const std::vector<char>& image, const Piece& piece, std::uint64_t shift) {
  Buffer memory(piece.bytes + 8192);
  std::byte* const from = memory.data() + (piece.offset + shift) % 4096;
  std::memcpy(from, image.data() + piece.offset, piece.bytes);
  file.write_at(piece.offset, {from, piece.bytes});
}

std::vector<char> random_image(std::size_t size, std::mt19937_64& random) {
  std::vector<char> image(size);
  for (char& byte : image) byte = static_cast<char>(random());
  return image;
}

}  // namespace

TEST_CASE("writes of any size, offset and address leave the bytes that were written, in a file of the planned size") {
  const WriteMode mode = GENERATE(WriteMode::buffered, WriteMode::direct);
  const std::size_t size = GENERATE(0u, 1u, 4095u, 4096u, 100'003u, 40'000'000u);
  INFO(size << (mode == WriteMode::direct ? " direct" : " buffered"));
  const TemporaryFolder folder;
  const std::string path = folder.file("x");
  std::mt19937_64 random(size);
  const std::vector<char> image = random_image(size, random);
  std::vector<Piece> pieces = random_cuts(size, random);
  const std::size_t half = pieces.size() / 2;
  {
    OutputFile file(path, size, {.write = mode});
    CHECK(file_size(path) == size);
    for (std::size_t i = 0; i < half; ++i) write_piece(file, image, pieces[i], random() % 2 * (random() % 4096));
    CHECK(file_size(path) == size);
    file.sync_data();
  }
  {
    OutputFile file(path, size, {.open = OpenMode::keep, .write = mode});
    for (std::size_t i = half; i < pieces.size(); ++i)
      write_piece(file, image, pieces[i], random() % 2 * (random() % 4096));
    file.sync();
  }
  CHECK(contents(path) == image);
}

TEST_CASE("threads that share a staging write side by side") {
  const TemporaryFolder folder;
  std::mt19937_64 random(3);
  const std::vector<char> image = random_image(30'000'001, random);
  std::vector<Piece> pieces;
  for (std::uint64_t offset = 0; offset < image.size(); offset += 300'001)
    pieces.push_back({offset, std::min<std::uint64_t>(300'001, image.size() - offset)});
  const auto staging = make_write_staging();
  std::vector<OutputFile> files;
  for (const char* const name : {"x", "y"})
    files.emplace_back(folder.file(name), image.size(), OutputOptions{.write = WriteMode::direct, .staging = staging});
  {
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < 4; ++t)
      threads.emplace_back([&, t] {
        for (std::size_t i = t / 2; i < pieces.size(); i += 2) write_piece(files[t % 2], image, pieces[i], 1);
      });
  }
  CHECK(contents(files[0].path()) == image);
  CHECK(contents(files[1].path()) == image);
}

TEST_CASE("a file is kept only when it is the one that was being written") {
  const TemporaryFolder folder;
  const WriteMode mode = GENERATE(WriteMode::buffered, WriteMode::direct);
  const auto keep = [&](const std::string& name, std::uint64_t size) {
    return thrown_by([&] { OutputFile(folder.file(name), size, {.open = OpenMode::keep, .write = mode}); });
  };
  const Error missing = keep("missing", 5);
  CHECK(missing.fault == Fault::io);
  CHECK_THAT(missing.what(), ContainsSubstring("missing: cannot be opened to go on writing: No such file"));
  CHECK_FALSE(exists(folder.file("missing")));
  write_text(folder.file("x"), "12345");
  const Error shorter = keep("x", 6);
  CHECK(shorter.fault == Fault::io);
  CHECK_THAT(shorter.what(), ContainsSubstring("x: has 5 bytes and not 6"));
  CHECK(keep("x", 4).fault == Fault::io);
  CHECK(read_text(folder.file("x")) == "12345");
  REQUIRE(::mkfifo(folder.file("pipe").c_str(), 0600) == 0);
  CHECK(keep("pipe", 0).fault == Fault::io);
}

TEST_CASE("a fresh file has nothing of the one before") {
  const TemporaryFolder folder;
  write_text(folder.file("x"), "12345");
  const OutputFile file(folder.file("x"), 3, {.write = WriteMode::direct});
  CHECK(contents(folder.file("x")) == std::vector<char>(3, '\0'));
}

TEST_CASE("where the file system refuses direct writing the page cache is used") {
  const TemporaryFolder folder;
  if (::mount("none", folder.path().c_str(), "ramfs", 0, nullptr) != 0) SKIP("needs the right to mount a file system");
  std::mt19937_64 random(4);
  const std::vector<char> image = random_image(1'000'000, random);
  std::vector<char> found;
  bool direct = true;
  {
    OutputFile file(folder.file("x"), image.size(), {.write = WriteMode::direct});
    direct = file.direct();
    file.write_at(0, std::as_bytes(std::span(image)));
    file.sync_data();
    found = contents(folder.file("x"));
  }
  ::umount(folder.path().c_str());
  CHECK_FALSE(direct);
  CHECK(found == image);
}
