// GB/s of the three readers, from a cold and from a warm page cache, and of buffered and direct writing, with the
// processor seconds that a GB costs. GB = 10^9 bytes. Methods take turns; the figures are medians. Cold means that the
// file was dropped from the page cache of this machine, not from that of its disk. A write ends when fdatasync returns.
//   bench_io FOLDER [--size BYTES] [--repeats N] [--file FILE]
// Makes one file of --size (1 GiB) in FOLDER for reading, or reads the first --size bytes of FILE; writes another one.
#include <fmt/core.h>
#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/reader.h"
#include "base/timer.h"

namespace {

using namespace strata;

struct Options {
  std::string folder, file;
  std::uint64_t size = 1u << 30, repeats = 5;
};

Options parse(const std::vector<std::string_view>& words) {
  if (words.empty()) fail(Fault::usage, "bench_io: FOLDER is missing");
  Options options{.folder = std::string(words[0])};
  for (std::size_t i = 1; i + 1 < words.size(); i += 2) {
    const std::optional<std::uint64_t> number = parse_bytes(words[i + 1]);
    if (words[i] == "--file")
      options.file = words[i + 1];
    else if (words[i] == "--size" && number)
      options.size = *number;
    else if (words[i] == "--repeats" && number)
      options.repeats = *number;
    else
      fail(Fault::usage, "bench_io: {} {} is not understood", words[i], words[i + 1]);
  }
  if (options.size < 1u << 20 || options.repeats < 1)
    fail(Fault::usage, "bench_io: --size 1MiB and --repeats 1 at least");
  return options;
}

double processor_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Run {
  double wall = 0, processor = 0;
};

Run timed(const std::function<void()>& work) {
  const double before = processor_seconds();
  const Timer timer;
  work();
  return {.wall = timer.seconds(), .processor = processor_seconds() - before};
}

double median(std::vector<Run> runs, double Run::*value) {
  std::ranges::sort(runs, {}, value);
  return runs[runs.size() / 2].*value;
}

void fill(std::span<std::byte> memory, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (std::size_t i = 0; i + 8 <= memory.size(); i += 8) {
    const std::uint64_t word = random();
    std::copy_n(reinterpret_cast<const std::byte*>(&word), 8, memory.data() + i);
  }
}

constexpr std::uint64_t part_bytes = 64u << 20;  // read or written by one call

void write_file(const std::string& path, std::uint64_t size, OutputOptions options, std::span<const std::byte> bytes) {
  OutputFile file(path, size, std::move(options));
  for (std::uint64_t done = 0; done < size; done += part_bytes)
    file.write_at(done, bytes.first(std::min(part_bytes, size - done)));
  file.sync_data();
}

void read_file(Reader& reader, const InputFile& file, std::uint64_t size, std::span<std::byte> memory) {
  for (std::uint64_t done = 0; done < size; done += part_bytes) {
    const ReadRange range{
        .file = &file, .offset = done, .bytes = std::min(part_bytes, size - done), .to = memory.data()};
    reader.read({&range, 1});
  }
}

// Every subject once a round: what the machine does meanwhile falls on all of them.
class Table {
 public:
  explicit Table(std::uint64_t bytes) : bytes_(bytes) {}
  void add(const std::string& name, const std::function<void()>& work) {
    if (!runs_.contains(name)) names_.push_back(name);
    runs_[name].push_back(timed(work));
  }
  void print() const {
    fmt::print("{:<28} {:>8} {:>10} {:>12}\n", "", "GB/s", "CPU-s/GB", "GB/s each");
    const double gigabytes = static_cast<double>(bytes_) / 1e9;
    for (const std::string& name : names_) {
      const std::vector<Run>& runs = runs_.at(name);
      std::string each;
      for (const Run& run : runs) each += fmt::format(" {:.2f}", gigabytes / run.wall);
      fmt::print("{:<28} {:>8.2f} {:>10.3f}   {}\n", name, gigabytes / median(runs, &Run::wall),
                 median(runs, &Run::processor) / gigabytes, each);
    }
  }

 private:
  std::uint64_t bytes_;
  std::vector<std::string> names_;
  std::map<std::string, std::vector<Run>> runs_;
};

void read_rounds(const Options& options, const std::string& path, std::span<std::byte> memory) {
  const InputFile file(path);
  const std::uint64_t size = std::min(options.size, file.size());
  std::vector<std::unique_ptr<Reader>> readers;
  for (const IoMethod method : {IoMethod::mmap, IoMethod::pread, IoMethod::direct})
    readers.push_back(make_reader(method));
  Table table(size);
  for (std::uint64_t round = 0; round < options.repeats; ++round)
    for (const auto& reader : readers) {
      file.drop(0, size);
      table.add(fmt::format("read {} cold", io_name(reader->method())),
                [&] { read_file(*reader, file, size, memory); });
    }
  for (std::uint64_t round = 0; round < options.repeats; ++round)
    for (const auto& reader : readers) {
      for (std::uint64_t done = 0; done < size; done += part_bytes)
        file.read_at(done, memory.first(std::min(part_bytes, size - done)));
      table.add(fmt::format("read {} warm", io_name(reader->method())),
                [&] { read_file(*reader, file, size, memory); });
    }
  table.print();
}

void write_rounds(const Options& options, std::span<const std::byte> memory) {
  const std::string path = join_path(options.folder, "bench_io.written");
  Table table(options.size);
  for (std::uint64_t round = 0; round < options.repeats; ++round) {
    table.add("write buffered", [&] { write_file(path, options.size, {}, memory.first(part_bytes)); });
    remove_file(path);
    table.add("write direct, aligned",
              [&] { write_file(path, options.size, {.write = WriteMode::direct}, memory.first(part_bytes)); });
    remove_file(path);
    table.add("write direct, unaligned",
              [&] { write_file(path, options.size, {.write = WriteMode::direct}, memory.subspan(1, part_bytes)); });
    remove_file(path);
  }
  table.print();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Options options = parse(std::vector<std::string_view>(argv + 1, argv + argc));
    Buffer memory(part_bytes + direct_block);
    fill(memory.bytes(), 1);
    std::string path = options.file;
    if (path.empty()) {
      path = join_path(options.folder, "bench_io.read");
      write_file(path, options.size, {.write = WriteMode::direct}, memory.bytes().first(part_bytes));
    }
    fmt::print("{} MiB, medians of {} runs, methods in turn\n\n", options.size >> 20, options.repeats);
    read_rounds(options, path, memory.bytes().first(part_bytes));
    if (options.file.empty()) remove_file(path);
    fmt::print("\n");
    write_rounds(options, memory.bytes());
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
