// Progress for programs: one JSON object a line. docs/cli.md documents the fields.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/reporter.h"
#include "cli/failure.h"
#include "cli/sink.h"

namespace strata {

class JsonReporter final : public Reporter {
 public:
  // `arguments` is the command line after the command's name, for the record.
  JsonReporter(Sink sink, std::vector<std::string> arguments);

  void run_start(const RunStart& run) override;
  void pass_start(const PassStart& pass) override;
  void layer_done(const LayerDone& layer) override;
  void decision(const std::string& subject, const std::string& text) override;
  void run_end(const RunEnd& run) override;
  void error(const Failure& failure);
  void cleaned(std::uint64_t bytes);  // what a run kept to go on with was removed

  bool started() const { return started_; }  // run_start was seen

 private:
  Sink sink_;
  std::vector<std::string> arguments_;
  bool started_ = false;
};

}  // namespace strata
