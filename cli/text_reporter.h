// Progress for people: one line a layer, and on a terminal a status line below.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "base/reporter.h"
#include "base/timer.h"
#include "cli/eta.h"
#include "cli/progress_line.h"
#include "cli/sink.h"
#include "cli/wrap.h"

namespace strata {

struct TextStyle {
  bool live = false;  // a terminal: the status line is redrawn, lines are cut to its width
  bool color = false;
  bool verbose = false;
  std::function<int()> width = [] { return 80; };                            // of the status line
  std::function<std::size_t()> text_width = [] { return unlimited_width; };  // of decisions
};

class TextReporter final : public Reporter {
 public:
  TextReporter(Sink sink, TextStyle style);
  ~TextReporter() override;  // takes the status line away

  void run_start(const RunStart& run) override;
  void pass_start(const PassStart& pass) override;
  void layer_done(const LayerDone& layer) override;
  void decision(const std::string& subject, const std::string& text) override;
  void run_end(const RunEnd& run) override;

 private:
  void print(const std::string& line);  // above the status line
  void clear_status();
  void draw_status();

  Sink sink_;
  TextStyle style_;
  Status status_;
  Timer pass_timer_;
  Eta eta_{0};
  bool status_shown_ = false;
  std::set<std::pair<std::string, std::string>> decisions_;  // each is told once
};

}  // namespace strata
