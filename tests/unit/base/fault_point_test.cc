#include "base/fault_point.h"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <chrono>
#include <csignal>
#include <functional>
#include <random>
#include <thread>
#include <vector>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/reader.h"
#include "tests/support/planted_fault.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/thrown.h"

using namespace strata;
using namespace strata::test;
using Catch::Matchers::ContainsSubstring;

namespace {

std::string random_text(std::size_t size) {
  std::mt19937_64 random(size);
  std::string text(size, '\0');
  for (char& letter : text) letter = static_cast<char>(random());
  return text;
}

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

// The signal that ended a child process doing `work`; 0 when it came to the end.
int signal_of_child(const std::function<void()>& work) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    work();
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

}  // namespace

TEST_CASE("a disk that fills up while writing is an error with the path, wherever it strikes") {
  const TemporaryFolder folder;
  const WriteMode mode = GENERATE(WriteMode::buffered, WriteMode::direct);
  const std::string text = random_text(20'000'001);
  for (int n = 1; n <= 3; ++n) {
    OutputFile file(folder.file("x"), text.size() + 1, {.write = mode});
    const PlantedFault fault(failing(FileOperation::pwrite, n, ENOSPC));
    const Error error = thrown_by([&] {
      for (int i = 0; i < 3; ++i) file.write_at(1, bytes_of(text));
    });
    CHECK(error.fault == Fault::io);
    CHECK_THAT(error.what(), ContainsSubstring(file.path() + ": writing") && ContainsSubstring("No space left"));
  }
}

TEST_CASE("a file that cannot be allocated is removed when it is new and left when it is kept") {
  const TemporaryFolder folder;
  write_text(folder.file("kept"), "12345");
  const PlantedFault fault(
      [](const Call& call) { return Interference{.error = call.operation == FileOperation::fallocate ? ENOSPC : 0}; });
  const Error error = thrown_by([&] { OutputFile(folder.file("new"), 5); });
  CHECK(error.fault == Fault::io);
  CHECK_THAT(error.what(), ContainsSubstring("new: allocating 5 bytes failed: No space left"));
  CHECK_FALSE(exists(folder.file("new")));
  CHECK(thrown_by([&] { OutputFile(folder.file("kept"), 5, {.open = OpenMode::keep}); }).fault == Fault::io);
  CHECK(read_text(folder.file("kept")) == "12345");
}

TEST_CASE("short and interrupted writes go on until all is written") {
  const TemporaryFolder folder;
  const WriteMode mode = GENERATE(WriteMode::buffered, WriteMode::direct);
  const std::uint64_t most = GENERATE(1000u, 8192u, 70'000u);
  const std::string text = random_text(300'001);
  {
    OutputFile file(folder.file("x"), text.size() + 77, {.write = mode});
    const PlantedFault fault([&, n = 0](const Call& call) mutable {
      if (call.operation != FileOperation::pwrite) return Interference{};
      return ++n % 3 == 0 ? Interference{.error = EINTR} : Interference{.at_most = most};
    });
    file.write_at(77, bytes_of(text));
  }
  CHECK(read_text(folder.file("x")).substr(77) == text);
  const PlantedFault fault(shortened(FileOperation::pwrite, 2));
  append_text(folder.file("y"), "appended");
  write_text(folder.file("z"), "written");
  CHECK(read_text(folder.file("y")) + read_text(folder.file("z")) == "appendedwritten");
}

TEST_CASE("short, interrupted and failing reads, by every reader") {
  const TemporaryFolder folder;
  const std::string text = random_text(5'000'001);
  write_text(folder.file("x"), text);
  const InputFile file(folder.file("x"));
  const IoMethod method = GENERATE(IoMethod::mmap, IoMethod::pread, IoMethod::direct);
  INFO(io_name(method));
  Buffer memory(align_up(text.size(), direct_block));
  const ReadRange range{.file = &file, .offset = 0, .bytes = text.size(), .to = memory.data()};
  std::unique_ptr<Reader> reader;
  try {
    reader = make_reader(method);
    reader->read({&range, 1});
  } catch (const Error& error) {
    SKIP(error.what());
  }
  const FileOperation operation = method == IoMethod::mmap    ? FileOperation::mmap
                                  : method == IoMethod::pread ? FileOperation::pread
                                                              : FileOperation::submit;
  {
    std::memset(memory.data(), 0, memory.size());
    const PlantedFault fault([&, n = 0](const Call& call) mutable {
      if (call.operation != operation) return Interference{};
      return method != IoMethod::mmap && ++n % 3 == 0 ? Interference{.error = EINTR} : Interference{.at_most = 8191};
    });
    reader->read({&range, 1});
    CHECK(std::memcmp(memory.data(), text.data(), text.size()) == 0);
  }
  for (int n = 1; n <= (method == IoMethod::mmap ? 1 : 5); ++n) {
    const PlantedFault fault(failing(operation, n, EIO));
    const Error error = thrown_by([&] { reader->read({&range, 1}); });
    CHECK(error.fault == Fault::io);
    CHECK_THAT(error.what(), ContainsSubstring(file.path()) && ContainsSubstring("Input/output error"));
  }
  std::memset(memory.data(), 0, memory.size());
  reader->read({&range, 1});  // as if nothing had been
  CHECK(std::memcmp(memory.data(), text.data(), text.size()) == 0);
}

TEST_CASE("reads that are under way when io_uring fails are back before the error comes out") {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 48; ++i) text += static_cast<char>(i) + random_text(1u << 16) + std::string((15u << 16) - 1, 'x');
  write_text(folder.file("x"), text);
  const InputFile file(folder.file("x"));
  Buffer memory(align_up(text.size(), direct_block));
  const ReadRange range{.file = &file, .offset = 0, .bytes = text.size(), .to = memory.data()};
  std::unique_ptr<Reader> reader;
  try {
    reader = make_reader(IoMethod::direct);
    reader->read({&range, 1});
  } catch (const Error& error) {
    SKIP(error.what());
  }
  const std::string guard(memory.size(), 'Z');
  for (int round = 0; round < 12; ++round) {
    const int n = 1 + round % 3;  // 16 MiB a call at most; the first one fails before anything is under way
    INFO("call " << n);
    std::memset(memory.data(), 0, memory.size());
    const PlantedFault fault(failing(FileOperation::enter, n, ENXIO));
    const Error error = thrown_by([&] { reader->read({&range, 1}); });
    std::memcpy(memory.data(), guard.data(), guard.size());
    CHECK(error.fault == Fault::io);
    CHECK_THAT(error.what(), ContainsSubstring("io_uring"));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    REQUIRE(std::memcmp(memory.data(), guard.data(), guard.size()) == 0);
  }
  reader->read({&range, 1});
  CHECK(std::memcmp(memory.data(), text.data(), text.size()) == 0);
}

TEST_CASE("every other operation fails with the path and what the system said") {
  const TemporaryFolder folder;
  const std::string x = folder.file("x"), y = folder.file("y");
  struct Case {
    FileOperation operation;
    Fault fault;
    std::function<void()> action;
  };
  const std::vector<Case> cases{
      {FileOperation::open, Fault::io, [&] { InputFile file(x); }},
      {FileOperation::open, Fault::io, [&] { OutputFile file(x, 2); }},
      {FileOperation::open, Fault::io, [&] { append_text(x, "a"); }},
      {FileOperation::open, Fault::io, [&] { FileLock lock(x); }},
      {FileOperation::pread, Fault::io, [&] { read_text(x); }},
      {FileOperation::fsync, Fault::io, [&] { OutputFile(x, 2).sync(); }},
      {FileOperation::fdatasync, Fault::io, [&] { OutputFile(x, 2).sync_data(); }},
      {FileOperation::rename, Fault::io, [&] { rename_path(x, y); }},
      {FileOperation::exchange, Fault::io, [&] { exchange_paths(x, folder.file("z")); }},
      {FileOperation::mkdir, Fault::io, [&] { make_directory(folder.file("x.d")); }},
      {FileOperation::unlink, Fault::io, [&] { remove_tree(x); }},
      {FileOperation::opendir, Fault::input, [&] { list_directory(folder.path()); }},
      {FileOperation::syncdir, Fault::io, [&] { sync_directory(folder.path()); }},
  };
  for (const Case& each : cases) {
    write_text(x, "12");
    write_text(folder.file("z"), "3");
    INFO(operation_name(each.operation));
    const PlantedFault fault(failing(each.operation, 1, EIO));
    const Error error = thrown_by(each.action);
    CHECK(error.fault == each.fault);
    CHECK_THAT(error.what(), ContainsSubstring(folder.path()) && ContainsSubstring("Input/output error"));
  }
  CHECK_FALSE(exists(y));
  CHECK_FALSE(exists(folder.file("x.d")));
}

TEST_CASE("the hook is told both names of a rename, and each step of a text that is published") {
  const TemporaryFolder folder;
  std::vector<std::string> steps;
  {
    const PlantedFault fault([&](const Call& call) {
      steps.push_back(std::string(operation_name(call.operation)) + " " + base_name(call.path) + " " +
                      (call.to.empty() ? "" : base_name(call.to)));
      return Interference{};
    });
    write_text(folder.file("x"), "text");
  }
  CHECK(steps == std::vector<std::string>{"open x.tmp ", "pwrite x.tmp ", "fsync x.tmp ", "rename x.tmp x"});
}

TEST_CASE("a process is killed before or after a call") {
  const TemporaryFolder folder;
  write_text(folder.file("x"), "old");
  const bool after = GENERATE(false, true);
  const auto kill_at = [&](FileOperation operation, const std::function<void()>& work) {
    return signal_of_child([&] {
      set_fault_hook(nullptr);
      const PlantedFault fault([=](const Call& call) {
        if (call.operation != operation) return Interference{};
        return Interference{.kill_before = !after, .kill_after = after};
      });
      work();
    });
  };
  CHECK(kill_at(FileOperation::rename, [&] { write_text(folder.file("x"), "new"); }) == SIGKILL);
  CHECK(read_text(folder.file("x")) == (after ? "new" : "old"));
  CHECK(kill_at(FileOperation::pwrite, [&] { append_text(folder.file("y"), "y"); }) == SIGKILL);
  CHECK(read_text(folder.file("y")) == (after ? "y" : ""));
  CHECK(kill_at(FileOperation::exchange, [&] { append_text(folder.file("y"), "y"); }) == 0);
}
