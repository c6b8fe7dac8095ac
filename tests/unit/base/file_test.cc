#include "base/file.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <filesystem>

#include "tests/support/temporary_folder.h"
#include "tests/support/thrown.h"

using namespace strata;
using namespace strata::test;
using Catch::Matchers::ContainsSubstring;

namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

// A file system of 64 KiB, where the machine lets us mount one.
class TinyDisk {
 public:
  TinyDisk() { mounted_ = ::mount("none", folder_.path().c_str(), "tmpfs", 0, "size=64k") == 0; }
  ~TinyDisk() {
    if (mounted_) ::umount(folder_.path().c_str());
  }
  TinyDisk(const TinyDisk&) = delete;
  TinyDisk& operator=(const TinyDisk&) = delete;
  bool mounted() const { return mounted_; }
  std::string file(std::string_view name) const { return folder_.file(name); }

 private:
  TemporaryFolder folder_;
  bool mounted_ = false;
};

}  // namespace

TEST_CASE("text is written whole and read back, without leftovers") {
  const TemporaryFolder folder;
  write_text(folder.file("a"), "first");
  write_text(folder.file("a"), "second");
  CHECK(read_text(folder.file("a")) == "second");
  append_text(folder.file("a"), " third");
  append_text(folder.file("b"), "new");
  CHECK(read_text(folder.file("a")) == "second third");
  CHECK(read_text(folder.file("b")) == "new");
  CHECK(list_directory(folder.path()).size() == 2);
}

TEST_CASE("an output file has its size from the start and takes writes at offsets") {
  const TemporaryFolder folder;
  {
    OutputFile file(folder.file("x"), 10);
    CHECK(file_size(folder.file("x")) == 10);
    file.write_at(6, bytes_of("def"));
    file.write_at(0, bytes_of("abc"));
    file.sync();
    const OutputFile moved = std::move(file);
    CHECK(moved.path() == folder.file("x"));
  }
  CHECK(read_text(folder.file("x")) == std::string("abc\0\0\0def\0", 10));
}

TEST_CASE("an input file is read at offsets and knows when it was cut") {
  const TemporaryFolder folder;
  write_text(folder.file("x"), "0123456789");
  const InputFile file(folder.file("x"));
  CHECK(file.size() == 10);
  std::string part(4, '?');
  file.read_at(3, std::as_writable_bytes(std::span(part)));
  CHECK(part == "3456");
  file.drop(0, 10);
  std::filesystem::resize_file(folder.file("x"), 5);
  const Error error = thrown_by([&] { file.read_at(3, std::as_writable_bytes(std::span(part))); });
  CHECK(error.fault == Fault::input);
  CHECK_THAT(error.what(), ContainsSubstring("ends at byte 5 but had 10"));
}

TEST_CASE("only regular files are opened, and a pipe does not block") {
  const TemporaryFolder folder;
  REQUIRE(::mkfifo(folder.file("pipe").c_str(), 0600) == 0);
  for (const std::string& path : {folder.file("pipe"), folder.path(), std::string("/dev/null")}) {
    const Error error = thrown_by([&] { InputFile file(path); });
    CHECK(error.fault == Fault::input);
    CHECK_THAT(error.what(), ContainsSubstring(path + ": is not a regular file"));
  }
  const Error error = thrown_by([&] { InputFile file(folder.file("absent")); });
  CHECK(error.fault == Fault::input);
  CHECK_THAT(error.what(), ContainsSubstring("absent: cannot be opened: No such file"));
}

TEST_CASE("a full device is an I/O error with the path") {
  const Error appended = thrown_by([] { append_text("/dev/full", "x"); });
  CHECK(appended.fault == Fault::io);
  CHECK_THAT(appended.what(), ContainsSubstring("/dev/full") && ContainsSubstring("No space left"));
  OutputFile file("/dev/full", 0);
  const Error written = thrown_by([&] { file.write_at(0, bytes_of("x")); });
  CHECK(written.fault == Fault::io);
  CHECK_THAT(written.what(), ContainsSubstring("No space left"));
}

TEST_CASE("a full disk is found when the file is created, and by every way of writing") {
  const TinyDisk disk;
  if (!disk.mounted()) SKIP("needs the right to mount a small file system");
  const Error created = thrown_by([&] { OutputFile file(disk.file("x"), 1 << 20); });
  CHECK(created.fault == Fault::io);
  CHECK_THAT(created.what(), ContainsSubstring("allocating 1048576 bytes failed: No space left"));
  std::filesystem::remove(disk.file("x"));

  const std::string large(1 << 20, 'x');
  CHECK(thrown_by([&] { write_text(disk.file("y"), large); }).fault == Fault::io);
  CHECK_FALSE(exists(disk.file("y")));  // nothing half-written under the name
  CHECK(thrown_by([&] { append_text(disk.file("z"), large); }).fault == Fault::io);

  const TemporaryFolder folder;
  write_text(folder.file("large"), large);
  CHECK(thrown_by([&] { copy_file(folder.file("large"), disk.file("copy")); }).fault == Fault::io);
  CHECK_FALSE(exists(disk.file("copy")));
  CHECK(free_disk_bytes(disk.file("not/there")) <= 64 << 10);
}

TEST_CASE("a file is copied byte for byte over several blocks") {
  const TemporaryFolder folder;
  std::string text((8 << 20) + 12345, '\0');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 2654435761u >> 13);
  write_text(folder.file("from"), text);
  write_text(folder.file("empty"), "");
  copy_file(folder.file("from"), folder.file("to"));
  copy_file(folder.file("empty"), folder.file("to2"));
  CHECK(read_text(folder.file("to")) == text);
  CHECK(file_size(folder.file("to2")) == 0);
}

TEST_CASE("a directory is listed sorted, with links followed and told") {
  const TemporaryFolder folder;
  write_text(folder.file("b"), "12345");
  make_directory(folder.file("a/deep/er"));
  std::filesystem::create_symlink("b", folder.file("c"));
  std::filesystem::create_symlink("nowhere", folder.file("d"));
  const auto entries = list_directory(folder.path());
  REQUIRE(entries.size() == 4);
  CHECK(entries[0].name == "a");
  CHECK((entries[0].is_directory && !entries[0].is_regular && !entries[0].is_link));
  CHECK((entries[1].is_regular && !entries[1].is_link && entries[1].bytes == 5));
  CHECK((entries[2].is_regular && entries[2].is_link && entries[2].bytes == 5));
  CHECK((!entries[3].is_regular && !entries[3].is_directory && entries[3].is_link));
  CHECK(real_path(folder.file("c")) == real_path(folder.file("b")));
  CHECK(real_path(folder.file("d")).empty());
  CHECK(thrown_by([&] { list_directory(folder.file("x")); }).fault == Fault::input);
}

TEST_CASE("trees are made, renamed and removed") {
  const TemporaryFolder folder;
  make_directory(folder.file("x/y"));
  make_directory(folder.file("x/y"));
  CHECK(is_directory(folder.file("x/y")));
  rename_path(folder.file("x"), folder.file("z"));
  sync_directory(folder.path());
  CHECK(is_directory(folder.file("z/y")));
  CHECK_FALSE(exists(folder.file("x")));
  remove_tree(folder.file("z"));
  remove_tree(folder.file("z"));
  CHECK_FALSE(exists(folder.file("z")));
  CHECK(thrown_by([&] { rename_path(folder.file("x"), folder.file("z")); }).fault == Fault::io);
  write_text(folder.file("file"), "");
  CHECK(thrown_by([&] { make_directory(folder.file("file/sub")); }).fault == Fault::io);
}

TEST_CASE("whether an output can be written is known beforehand") {
  const TemporaryFolder folder;
  require_writable(folder.file("not/yet/there"));
  CHECK(list_directory(folder.path()).empty());
  write_text(folder.file("file"), "");
  CHECK(thrown_by([&] { require_writable(folder.file("file/out")); }).fault == Fault::io);
  CHECK(thrown_by([] { require_writable("/proc/strata"); }).fault == Fault::io);
  CHECK(free_disk_bytes(folder.file("not/yet")) > 0);
}

TEST_CASE("paths are joined and cut as the shell does") {
  CHECK(join_path("a", "b") == "a/b");
  CHECK(join_path("a/", "b") == "a/b");
  CHECK(join_path("", "b") == "b");
  CHECK(join_path("/", "b") == "/b");
  CHECK(base_name("a/b") == "b");
  CHECK(base_name("a/b/") == "b");
  CHECK(base_name("b") == "b");
  CHECK(base_name("/") == "");
  CHECK(parent_directory("a/b") == "a");
  CHECK(parent_directory("a/b/") == "a");
  CHECK(parent_directory("b") == ".");
  CHECK(parent_directory("/b") == "/");
  CHECK(parent_directory("/") == "/");
}
