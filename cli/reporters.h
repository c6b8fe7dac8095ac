// Reporters made of reporters.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/reporter.h"
#include "cli/common_options.h"

namespace strata {

// Tells several reporters the same, in order. They outlive it.
class TeeReporter final : public Reporter {
 public:
  explicit TeeReporter(std::vector<Reporter*> to) : to_(std::move(to)) {}
  void run_start(const RunStart& run) override;
  void pass_start(const PassStart& pass) override;
  void layer_done(const LayerDone& layer) override;
  void decision(const std::string& subject, const std::string& text) override;
  void run_end(const RunEnd& run) override;

 private:
  std::vector<Reporter*> to_;
};

// Passes decisions on and nothing else: --quiet.
class DecisionReporter final : public Reporter {
 public:
  explicit DecisionReporter(std::unique_ptr<Reporter> to) : to_(std::move(to)) {}
  void decision(const std::string& subject, const std::string& text) override { to_->decision(subject, text); }

 private:
  std::unique_ptr<Reporter> to_;
};

// Remembers what a command prints or says when the run is over.
struct RecordingReporter final : Reporter {
  void pass_start(const PassStart& pass) override;
  void layer_done(const LayerDone& layer) override;
  void decision(const std::string& subject, const std::string& text) override;
  void run_end(const RunEnd& run) override;

  PassStart pass;
  int layers_done = 0;  // in this pass
  int passes = 0;       // begun
  std::vector<std::pair<std::string, std::string>> decisions;
  RunEnd end;
};

// Progress on stderr as the options ask for.
std::unique_ptr<Reporter> progress_reporter(const CommonOptions& options, std::vector<std::string> arguments);

}  // namespace strata
