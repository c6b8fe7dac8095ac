// Whole runs of the engine in tests: what they said, what they wrote, and stopping them after a layer.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/interrupt.h"
#include "engine/run/quantize.h"
#include "tests/support/source_folder.h"
#include "tests/support/temporary_folder.h"

namespace strata::test {

// Keeps what a run tells its user, and asks it to stop once so many layers are done (-1: never).
class Watcher final : public Reporter {
 public:
  explicit Watcher(int stop_after = -1) : stop_after_(stop_after) {}

  void layer_done(const LayerDone& done) override {
    layers.push_back(done.name);
    if (static_cast<int>(layers.size()) == stop_after_) stop = 2;
  }
  void decision(const std::string& subject, const std::string& text) override {
    decisions.push_back(subject + ": " + text);
  }

  void run_end(const RunEnd& run) override { end = run; }

  bool said(std::string_view text) const {
    return std::ranges::any_of(decisions,
                               [&](const std::string& line) { return line.find(text) != std::string::npos; });
  }
  std::string all_decisions() const {
    std::string all;
    for (const std::string& line : decisions) all += line + "\n";
    return all;
  }

  StopFlag stop = 0;
  std::vector<std::string> layers, decisions;
  RunEnd end;

 private:
  const int stop_after_;
};

// What a run came to: it is done, or stopped so that the same command goes on.
enum class Ended { done, stopped };

inline Ended run(QuantizeRequest options, Watcher& watcher) {
  options.stop = &watcher.stop;
  try {
    quantize(options, watcher);
    return Ended::done;
  } catch (const Error& error) {
    if (error.fault != Fault::resumable) throw;
    return Ended::stopped;
  }
}

using Files = std::map<std::string, std::string>;  // contents by name

inline Files files_in(const std::string& folder) {
  Files files;
  for (const DirectoryEntry& entry : list_directory(folder)) {
    const std::string path = join_path(folder, entry.name);
    if (!entry.is_directory)
      files[entry.name] = read_text(path);
    else
      for (const auto& [name, text] : files_in(path)) files[join_path(entry.name, name)] = text;
  }
  return files;
}

// Runs to the end and takes the output away.
inline Files output_of(const QuantizeRequest& options) {
  Reporter silent;
  quantize(options, silent);
  Files files = files_in(options.places.output);
  remove_tree(options.places.output);
  remove_tree(options.places.work_directory);
  return files;
}

// A mixture of experts, four layers in three shards: the demo model.
inline const std::string demo_model = test::in_source("demo/model");
inline constexpr std::int32_t demo_vocabulary = 1024;

// Under ThreadSanitizer one thread computes: it cannot see how oneTBB hands work on. Reader and writer stay what they
// are.
#if defined(__SANITIZE_THREAD__)
inline int run_threads(int /*wanted*/) { return 1; }
#else
inline int run_threads(int wanted) { return wanted; }
#endif

inline QuantizeRequest options_in(const TemporaryFolder& folder, std::string model, std::string scheme,
                                  std::string dataset, std::int64_t samples, std::int64_t tokens) {
  return {
      .places = {.model = std::move(model), .output = folder.file("out"), .work_directory = folder.file("out.work")},
      .assignment = {.scheme = std::move(scheme)},
      .calibration = {.dataset = std::move(dataset), .nsamples = samples, .seqlen = tokens},
      .machine = {.threads = run_threads(2)}};
}

// What a process takes before its first layer grows a little from run to run; under a sanitizer, which keeps what was
// freed, it grows a lot, and then the smallest cut is not the only one that fits.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool sanitized = true;
inline constexpr std::uint64_t run_margin = 256u << 20;
#else
inline constexpr bool sanitized = false;
inline constexpr std::uint64_t run_margin = 1u << 20;
#endif

// The limit under which only the smallest cut fits, and hardly more.
inline std::uint64_t smallest_limit(QuantizeRequest options) {
  options.machine.max_memory = 1;
  return plan_quantize(options).peak_memory + run_margin;
}

}  // namespace strata::test
