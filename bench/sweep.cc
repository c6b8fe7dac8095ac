// How well a quantize run overlaps reading, computing and writing, and what memory it takes.
//   bench_sweep MODEL TOKENS OUT_FOLDER [--memory] [--scheme NVFP4] [--nsamples 8] [--seqlen 256]
//     [--max-memory 2GiB|none] [--io auto|mmap|pread|direct] [--threads N] [--repeat 3]
// Prints the seconds of a whole run from a cold page cache, of its computing alone and of its reads and writes alone,
// and whole / max(compute, transfer): 1 is perfect overlap. Subjects take turns, each in a process of its own, whose
// peak memory and bytes moved are thus its own, what precedes the clock included; figures are medians. What is left
// out of which stands in sweep/measure.cc and sweep/transfer.h.
// --memory: whole runs under four limits instead: plan, peak and seconds of each.
// Makes and removes OUT_FOLDER/bench_sweep and OUT_FOLDER/bench_sweep.work.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <exception>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/child_process.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "bench/sweep/measure.h"
#include "formats/checkpoint/checkpoint.h"

namespace {

using namespace strata;
using bench::Measured;
using bench::Subject;

struct Options {
  QuantizeRequest run;
  std::string folder;
  std::uint64_t repeat = 3;
  bool memory = false;
  std::optional<Subject> alone;  // measure this in this process, and print it for the one that started it
};

constexpr std::array<std::string_view, 4> subject_names{"plan", "whole", "compute", "transfer"};
std::string_view name_of(Subject subject) { return subject_names[static_cast<std::size_t>(subject)]; }

std::uint64_t size(std::string_view flag, std::string_view word) {
  if (const std::optional<std::uint64_t> value = parse_bytes(word); value && *value > 0) return *value;
  fail(Fault::usage, "{}: '{}' is not a size above 0", flag, word);
}

IoMethod io_method(std::string_view word) {
  for (const IoMethod method : {IoMethod::automatic, IoMethod::mmap, IoMethod::pread, IoMethod::direct})
    if (io_name(method) == word) return method;
  fail(Fault::usage, "--io: '{}' is not auto, mmap, pread or direct", word);
}

void set(Options& options, std::string_view flag, std::string_view word) {
  if (flag == "--scheme")
    options.run.assignment.scheme = word;
  else if (flag == "--nsamples")
    options.run.calibration.nsamples = static_cast<std::int64_t>(size(flag, word));
  else if (flag == "--seqlen")
    options.run.calibration.seqlen = static_cast<std::int64_t>(size(flag, word));
  else if (flag == "--max-memory")
    options.run.machine.max_memory = word == "none" ? 0 : size(flag, word);
  else if (flag == "--io")
    options.run.machine.io = io_method(word);
  else if (flag == "--threads")
    options.run.machine.threads = static_cast<int>(size(flag, word));
  else if (flag == "--repeat")
    options.repeat = size(flag, word);
  else if (const auto name = std::ranges::find(subject_names, word); flag == "--alone" && name != subject_names.end())
    options.alone = static_cast<Subject>(name - subject_names.begin());
  else
    fail(Fault::usage, "bench_sweep: {} {} is not understood", flag, word);
}

Options parse(std::vector<std::string> words) {
  Options options;
  options.memory = std::erase(words, "--memory") > 0;
  if (words.size() < 3 || words.size() % 2 == 0)
    fail(Fault::usage, "usage: bench_sweep MODEL TOKENS OUT_FOLDER [--memory] [--flag value]...");
  options.folder = words[2];
  options.run = {.places = {.model = words[0],
                            .output = join_path(words[2], "bench_sweep"),
                            .work_directory = join_path(words[2], "bench_sweep.work")},
                 .assignment = {.scheme = "NVFP4"},
                 .calibration = {.dataset = words[1], .nsamples = 8, .seqlen = 256},
                 .machine = {.max_memory = std::uint64_t{2} << 30}};
  for (std::size_t i = 3; i < words.size(); i += 2) set(options, words[i], words[i + 1]);
  return options;
}

// The line that a measuring process hands to the one that started it.
std::string to_line(const Measured& m) {
  return fmt::format("{} {} {} {} {} {}", m.seconds, m.planned_peak, m.peak, m.read, m.written, m.note);
}
Measured from_line(const std::string& line) {
  Measured m;
  std::istringstream in(line);
  in >> m.seconds >> m.planned_peak >> m.peak >> m.read >> m.written >> std::ws;
  std::getline(in, m.note);
  return m;
}

class Bench {
 public:
  explicit Bench(const Options& options) : options_(options), source_(Checkpoint::open(options.run.places.model)) {
    make_directory(options.folder);
  }

  void overlap() {
    const Measured plan = run(Subject::plan, options_.run.machine.max_memory);
    constexpr std::array subjects{Subject::whole, Subject::compute, Subject::transfer};
    std::array<std::vector<Measured>, subjects.size()> rounds;
    for (std::uint64_t round = 0; round < options_.repeat; ++round)
      for (std::size_t i = 0; i < subjects.size(); ++i)
        rounds[i].push_back(run(subjects[i], options_.run.machine.max_memory));

    fmt::print("{:<10} {:>8} {:>8} {:>8} {:>12}   {}\n", "", "seconds", "GB read", "written", "peak memory",
               "seconds each");
    std::array<double, subjects.size()> medians{};
    for (std::size_t i = 0; i < subjects.size(); ++i) medians[i] = row(name_of(subjects[i]), rounds[i]);
    for (std::size_t i = 0; i < subjects.size(); ++i)
      fmt::print("{:<10} {}\n", name_of(subjects[i]), rounds[i].back().note);
    const auto [all, compute, transfer] = medians;
    fmt::print("\nwhole / max(compute, transfer) = {:.3f}, bound by {}\n", all / std::max(compute, transfer),
               compute > transfer ? "compute" : "transfer");
    const Measured& largest = *std::ranges::max_element(rounds[0], {}, &Measured::peak);
    fmt::print("peak {} of {} planned ({:.2f}), limit {}\n", human_bytes(largest.peak), human_bytes(plan.planned_peak),
               static_cast<double>(largest.peak) / static_cast<double>(plan.planned_peak),
               limit_text(options_.run.machine.max_memory));
  }

  void memory() {
    // What a plan counts for the program itself differs by some pages from process to process.
    constexpr std::uint64_t mebi = 1u << 20;
    const std::uint64_t smallest = align_up(run(Subject::plan, 1).planned_peak + mebi, mebi);
    fmt::print("{:<12} {:>12} {:>12} {:>9} {:>8}   {}\n", "limit", "planned", "peak", "of plan", "seconds", "plan");
    for (const std::uint64_t limit : {smallest, smallest + smallest / 2, std::uint64_t{2} << 30, std::uint64_t{0}}) {
      const Measured plan = run(Subject::plan, limit);
      std::vector<Measured> rounds;
      for (std::uint64_t round = 0; round < options_.repeat; ++round) rounds.push_back(run(Subject::whole, limit));
      const std::uint64_t peak = std::ranges::max(rounds, {}, &Measured::peak).peak;
      std::ranges::sort(rounds, {}, &Measured::seconds);
      fmt::print("{:<12} {:>12} {:>12} {:>9.2f} {:>8.2f}   {}\n", limit_text(limit), human_bytes(plan.planned_peak),
                 human_bytes(peak), static_cast<double>(peak) / static_cast<double>(plan.planned_peak),
                 rounds[rounds.size() / 2].seconds, plan.note);
    }
  }

  void head() const {
    const QuantizeRequest& run = options_.run;
    fmt::print("{}: {:.2f} GB, {}, {} x {} tokens, --max-memory {}, --io {}, medians of {}\n\n", run.places.model,
               static_cast<double>(source_.total_bytes()) / 1e9, run.assignment.scheme, run.calibration.nsamples,
               run.calibration.seqlen, options_.memory ? "as shown" : limit_text(run.machine.max_memory),
               io_name(run.machine.io), options_.repeat);
  }

 private:
  static std::string limit_text(std::uint64_t limit) { return limit == 0 ? "none" : human_bytes(limit); }

  // In a process of its own, from a cold page cache, with nothing left of the one before.
  Measured run(Subject subject, std::uint64_t limit) {
    clean();
    for (const InputFile& file : source_.files()) file.drop(0, file.size());
    const QuantizeRequest& run = options_.run;
    std::vector<std::string> words = {program_path(), run.places.model, run.calibration.dataset, options_.folder};
    for (const auto& [flag, word] : std::initializer_list<std::pair<std::string, std::string>>{
             {"--scheme", run.assignment.scheme},
             {"--nsamples", std::to_string(run.calibration.nsamples)},
             {"--seqlen", std::to_string(run.calibration.seqlen)},
             {"--max-memory", limit == 0 ? "none" : std::to_string(limit)},
             {"--io", std::string(io_name(run.machine.io))},
             {"--alone", std::string(name_of(subject))}})
      words.insert(words.end(), {flag, word});
    if (run.machine.threads > 0) words.insert(words.end(), {"--threads", std::to_string(run.machine.threads)});
    const std::optional<ChildResult> result = run_child(words);
    clean();
    if (!result || result->exit_code != 0) fail(Fault::check, "bench_sweep: measuring {} failed", name_of(subject));
    return from_line(result->output);
  }

  void clean() const {
    const QuantizeRequest& run = options_.run;
    for (const std::string& path : {run.places.output, run.places.output + ".partial", run.places.work_directory})
      remove_tree(path);
    sync_directory(options_.folder);  // freeing gigabytes is not the next one's work
  }

  static double row(std::string_view name, std::vector<Measured> rounds) {
    std::string each;
    for (const Measured& m : rounds) each += fmt::format(" {:.2f}", m.seconds);
    const std::uint64_t peak = std::ranges::max(rounds, {}, &Measured::peak).peak;
    std::ranges::sort(rounds, {}, &Measured::seconds);
    const Measured& middle = rounds[rounds.size() / 2];
    fmt::print("{:<10} {:>8.2f} {:>8.2f} {:>8.2f} {:>12}  {}\n", name, middle.seconds,
               static_cast<double>(middle.read) / 1e9, static_cast<double>(middle.written) / 1e9, human_bytes(peak),
               each);
    return middle.seconds;
  }

  const Options options_;
  const Checkpoint source_;
};

}  // namespace

int main(int count, char** arguments) {
  keep_small_blocks();
  try {
    const Options options = parse({arguments + 1, arguments + count});
    if (options.alone) {
      fmt::print("{}\n", to_line(bench::measure(*options.alone, options.run)));
      return 0;
    }
    Bench bench(options);
    bench.head();
    options.memory ? bench.memory() : bench.overlap();
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
