#include "base/reader.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <random>
#include <vector>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/memory.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/thrown.h"

using namespace strata;
using namespace strata::test;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr std::byte guard{0xA5};

// Bytes that tell their place, written without any code of ours.
std::vector<char> write_pattern(const std::string& path, std::size_t size, std::uint64_t seed) {
  std::vector<char> bytes(size);
  std::mt19937_64 random(seed);
  for (std::size_t i = 0; i < size; i += 8) {
    const std::uint64_t word = random();
    std::memcpy(bytes.data() + i, &word, std::min<std::size_t>(8, size - i));
  }
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(size));
  return bytes;
}

// nullptr where the machine forbids io_uring or the folder of the tests refuses O_DIRECT.
std::unique_ptr<Reader> reader_for(IoMethod method, const InputFile& file) {
  try {
    auto reader = make_reader(method);
    Buffer block(direct_block);
    const ReadRange range{.file = &file, .offset = 0, .bytes = 1, .to = block.data()};
    reader->read({&range, 1});
    return reader;
  } catch (const Error& error) {
    if (method != IoMethod::direct) throw;
    return nullptr;
  }
}

IoMethod any_method() { return GENERATE(IoMethod::mmap, IoMethod::pread, IoMethod::direct); }

struct Wanted {
  std::size_t file;
  std::uint64_t offset, bytes;
};

// Reads all of `wanted` at once, each into blocks of its own with a guard block on both sides, and compares with what
// was written; nothing outside the blocks of a range may have changed.
void check_reads(Reader& reader, const std::vector<InputFile>& files, const std::vector<std::vector<char>>& written,
                 const std::vector<Wanted>& wanted) {
  std::vector<std::uint64_t> starts;  // of the blocks of each range
  std::uint64_t total = direct_block;
  for (const Wanted& want : wanted) {
    starts.push_back(total);
    total += align_up(want.offset % direct_block + want.bytes, direct_block) + direct_block;
  }
  Buffer memory(total);
  std::memset(memory.data(), static_cast<int>(guard), total);
  std::vector<ReadRange> ranges;
  for (std::size_t i = 0; i < wanted.size(); ++i)
    ranges.push_back({.file = &files[wanted[i].file],
                      .offset = wanted[i].offset,
                      .bytes = wanted[i].bytes,
                      .to = memory.data() + starts[i] + wanted[i].offset % direct_block});
  reader.read(ranges);
  std::uint64_t end = 0;  // of the blocks before
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const Wanted& want = wanted[i];
    INFO("file " << want.file << " offset " << want.offset << " bytes " << want.bytes);
    const auto is_guard = [](std::byte value) { return value == guard; };
    CHECK(std::all_of(memory.data() + end, memory.data() + starts[i], is_guard));
    CHECK(std::memcmp(ranges[i].to, written[want.file].data() + want.offset, want.bytes) == 0);
    end = starts[i] + align_up(want.offset % direct_block + want.bytes, direct_block);
    if (want.bytes == 0) CHECK(std::all_of(memory.data() + starts[i], memory.data() + end, is_guard));
  }
  CHECK(std::all_of(memory.data() + end, memory.data() + total, [](std::byte value) { return value == guard; }));
}

}  // namespace

TEST_CASE("every reader gives the bytes of the files, and nothing beyond the blocks of a range") {
  const TemporaryFolder folder;
  const std::array<std::size_t, 4> sizes{1, 4096, 3'000'001, 20'000'003};
  std::vector<std::vector<char>> written;
  std::vector<InputFile> files;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const std::string path = folder.file("f" + std::to_string(i));
    written.push_back(write_pattern(path, sizes[i], i));
    files.emplace_back(path);
  }
  const IoMethod method = any_method();
  INFO(io_name(method));
  const auto reader = reader_for(method, files[0]);
  if (reader == nullptr) SKIP("needs io_uring, and O_DIRECT in the folder of temporary files");
  CHECK(reader->method() == method);

  reader->read({});
  std::vector<Wanted> edges;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    edges.push_back({i, 0, sizes[i]});
    edges.push_back({i, 0, 0});
    edges.push_back({i, sizes[i], 0});
    edges.push_back({i, 0, 1});
    edges.push_back({i, sizes[i] - 1, 1});
    if (sizes[i] > 5000) edges.push_back({i, sizes[i] - 4097, 4097});
    if (sizes[i] > 5000) edges.push_back({i, 4095, 2});
    if (sizes[i] > 5000) edges.push_back({i, 4096, sizes[i] - 4096});
  }
  check_reads(*reader, files, written, edges);

  std::mt19937_64 random(7);
  for (int round = 0; round < 6; ++round) {
    std::vector<Wanted> wanted;
    for (int i = 0; i < 60; ++i) {
      const std::size_t file = random() % sizes.size();
      const std::uint64_t offset = random() % (sizes[file] + 1);
      const std::uint64_t most = sizes[file] - offset;
      wanted.push_back(
          {file, offset, most == 0 ? 0 : random() % std::min<std::uint64_t>(most + 1, i < 50 ? 9000 : 5'000'000)});
    }
    check_reads(*reader, files, written, wanted);
  }
}

TEST_CASE("a file that was cut is an input error, and the reader goes on with others") {
  const TemporaryFolder folder;
  constexpr std::size_t size = 30'000'000;
  write_pattern(folder.file("x"), size, 1);
  const std::vector<char> other = write_pattern(folder.file("y"), 100'000, 2);
  const InputFile x(folder.file("x"));
  std::vector<InputFile> whole;
  whole.emplace_back(folder.file("y"));
  const IoMethod method = any_method();
  INFO(io_name(method));
  const auto reader = reader_for(method, whole[0]);
  if (reader == nullptr) SKIP("needs io_uring, and O_DIRECT in the folder of temporary files");
  // Within a block, at the end of one, in the first one, empty.
  const std::uint64_t cut = GENERATE(16'000'001u, 16'384'000u, 5u, 0u);
  std::filesystem::resize_file(folder.file("x"), cut);
  Buffer memory(align_up(size, direct_block));
  const ReadRange range{.file = &x, .offset = 0, .bytes = size, .to = memory.data()};
  const Error error = thrown_by([&] { reader->read({&range, 1}); });
  CHECK(error.fault == Fault::input);
  CHECK_THAT(error.what(),
             ContainsSubstring(x.path()) && ContainsSubstring("ends at byte") && ContainsSubstring("but had 30000000"));
  const Error tail = thrown_by([&] {
    const ReadRange last{.file = &x, .offset = size - size % direct_block, .bytes = 1, .to = memory.data()};
    reader->read({&last, 1});
  });
  CHECK(tail.fault == Fault::input);
  check_reads(*reader, whole, {other}, {{0, 0, 100'000}});
}

TEST_CASE("pread leaves the page cache as it found it") {
  const TemporaryFolder folder;
  constexpr std::size_t size = 32u << 20;
  write_pattern(folder.file("x"), size, 1);
  const int fd = ::open(folder.file("x").c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(::fsync(fd) == 0);
  REQUIRE(::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
  REQUIRE(::posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM) == 0);  // no more than we read
  std::vector<char> bytes(size / 2);
  REQUIRE(::pread(fd, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  const auto cached = [&](std::size_t from) {  // of 16 MiB
    void* const map = ::mmap(nullptr, size / 2, PROT_READ, MAP_SHARED, fd, static_cast<off_t>(from));
    std::vector<unsigned char> pages(size / 2 / static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)));
    REQUIRE(::mincore(map, size / 2, pages.data()) == 0);
    ::munmap(map, size / 2);
    return static_cast<double>(std::ranges::count_if(pages, [](unsigned char page) { return (page & 1) != 0; })) /
           static_cast<double>(pages.size());
  };
  const bool known = cached(0) > 0.99 && cached(size / 2) < 0.2;
  const InputFile file(folder.file("x"));
  Buffer memory(size);
  const ReadRange range{.file = &file, .offset = 0, .bytes = size, .to = memory.data()};
  make_reader(IoMethod::pread)->read({&range, 1});
  const double first = cached(0), second = cached(size / 2);
  ::close(fd);
  if (!known) SKIP("needs a file system that leaves the page cache when it is told to");
  CHECK(second < 0.1);
  if (::syscall(451, -1, nullptr, nullptr, 0) != -1 || errno != ENOSYS) CHECK(first > 0.9);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // there the memory is not the program's
TEST_CASE("a reader holds no more memory than it says") {
  const TemporaryFolder folder;
  constexpr std::size_t size = 200u << 20;
  write_pattern(folder.file("x"), size, 1);
  const InputFile file(folder.file("x"));
  const IoMethod method = any_method();
  INFO(io_name(method));
  const auto reader = reader_for(method, file);
  if (reader == nullptr) SKIP("needs io_uring, and O_DIRECT in the folder of temporary files");
  Buffer memory(size);
  std::memset(memory.data(), 1, size);
  give_back_freed_memory();
  std::ofstream("/proc/self/clear_refs") << 5;  // the peak starts at what is resident now
  const std::uint64_t before = peak_resident_bytes();
  const ReadRange range{.file = &file, .offset = 0, .bytes = size, .to = memory.data()};
  reader->read({&range, 1});
  CHECK(peak_resident_bytes() - before <= reader_memory);
}
#endif

TEST_CASE("the choice among the readers says what it measured") {
  const TemporaryFolder folder;
  write_pattern(folder.file("small"), 1000, 1);
  write_pattern(folder.file("large"), choose_io_least + 12345, 2);
  std::vector<InputFile> files;
  CHECK(choose_io(files).method == IoMethod::pread);
  files.emplace_back(folder.file("small"));
  const IoChoice unmeasured = choose_io(files);
  CHECK(unmeasured.method == IoMethod::pread);
  CHECK_THAT(unmeasured.reason, ContainsSubstring("not measured"));
  files.emplace_back(folder.file("large"));
  const IoChoice choice = choose_io(files);
  INFO(choice.reason);
  double best = 0;
  for (const IoChoice::Measured& measured : choice.measured) {
    CHECK((measured.bytes_per_second > 0) == measured.note.empty());
    CHECK_THAT(choice.reason, ContainsSubstring(std::string(io_name(measured.method))));
    best = std::max(best, measured.bytes_per_second);
  }
  const auto chosen = std::ranges::find(choice.measured, choice.method, &IoChoice::Measured::method);
  REQUIRE(chosen != std::end(choice.measured));
  CHECK(chosen->bytes_per_second >= 0.8 * best);
}

TEST_CASE("direct reading of a file system without it is an error with the path") {
  const TemporaryFolder folder;
  if (::mount("none", folder.path().c_str(), "ramfs", 0, nullptr) != 0) SKIP("needs the right to mount a file system");
  write_pattern(folder.file("x"), 10'000, 1);
  std::optional<Error> error;
  {
    const InputFile file(folder.file("x"));
    Buffer memory(3 * direct_block);
    const ReadRange range{.file = &file, .offset = 0, .bytes = 10'000, .to = memory.data()};
    error.emplace(thrown_by([&] { make_reader(IoMethod::direct)->read({&range, 1}); }));
  }
  ::umount(folder.path().c_str());
  CHECK(error->fault == Fault::io);
  CHECK_THAT(error->what(), ContainsSubstring(folder.file("x")) || ContainsSubstring("io_uring"));
}
