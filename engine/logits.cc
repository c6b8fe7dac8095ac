#include "engine/logits.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/timer.h"
#include "base/memory.h"
#include "engine/compute.h"
#include "engine/lane.h"
#include "engine/output_folder.h"
#include "formats/dataset.h"
#include "formats/safetensors.h"

namespace strata {
namespace {

// Writes rows of logits into a safetensors file at their places; the file appears when all are there.
class LogitsFile {
 public:
  LogitsFile(const std::string& path, const TokenRows& tokens, std::int64_t vocabulary)
      : path_(path), row_bytes_(static_cast<std::uint64_t>(vocabulary) * sizeof(float)) {
    const TensorInfo logits{.name = "logits", .dtype = Dtype::f32, .shape = {tokens.rows, tokens.columns, vocabulary}};
    const std::string header = print_safetensors({&logits, 1});
    begin_ = header.size();
    file_.emplace(temporary(), begin_ + tensor_bytes(logits.dtype, logits.shape).value());
    file_->write_at(0, std::as_bytes(std::span(header)));
  }
  ~LogitsFile() { remove_tree(temporary()); }
  LogitsFile(const LogitsFile&) = delete;
  LogitsFile& operator=(const LogitsFile&) = delete;

  void write(std::int64_t first_row, std::span<const float> rows) {
    file_->write_at(begin_ + static_cast<std::uint64_t>(first_row) * row_bytes_, std::as_bytes(rows));
  }
  void publish() {
    file_->sync();
    rename_path(temporary(), path_);
  }

 private:
  std::string temporary() const { return path_ + ".partial"; }
  std::string path_;
  std::uint64_t row_bytes_, begin_ = 0;
  std::optional<OutputFile> file_;
};

}  // namespace

void write_logits(const LogitsOptions& options, Reporter& reporter) {
  const Timer timer;
  const ComputeSession session(options.device, options.threads);
  if (options.output.empty()) fail(Fault::usage, "-o LOGITS.safetensors: is missing");
  if (exists(options.output) && !options.force)
    fail(Fault::usage, "{}: exists already; choose another output or replace it with --force", options.output);
  require_writable(parent_directory(options.output));
  const OpenModel model = open_model(options.model);
  const TokenRows tokens = read_token_file(options.tokens);
  check_tokens(tokens, model.spec.vocabulary, model.spec.max_position, options.tokens);

  reporter.run_start({.command = "logits", .model = options.model, .family = model.spec.family});
  LogitsFile file(options.output, tokens, model.spec.vocabulary);
  std::vector<Lane> lanes;
  lanes.emplace_back(model, options.decode, options.activations, tokens);
  run_lanes(lanes, tokens, reporter, options.stop,
            [&](std::int64_t first_row, std::span<const std::span<const float>> logits) { file.write(first_row, logits[0]); });
  check_interrupt(options.stop);
  file.publish();
  reporter.run_end({.facts = {{"output", options.output}}, .seconds = timer.seconds(), .peak_resident = peak_resident_bytes()});
}

}  // namespace strata
