#include "engine/eval/logits.h"

#include <array>
#include <optional>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/timer.h"
#include "engine/device/compute.h"
#include "engine/eval/forward_run.h"
#include "engine/eval/served_notes.h"
#include "engine/output/output_folder.h"
#include "engine/plan/leftover.h"
#include "formats/checkpoint/safetensors.h"
#include "formats/text/dataset.h"

namespace strata {
namespace {

TensorInfo logits_tensor(const TokenRows& tokens, std::int64_t vocabulary) {
  TensorInfo logits{.name = "logits", .dtype = Dtype::f32, .shape = {tokens.rows, tokens.columns, vocabulary}};
  const std::optional<std::uint64_t> bytes = tensor_bytes(logits.dtype, logits.shape);
  if (!bytes) fail(Fault::budget, "logits {}: more bytes than a file can have", shape_text(logits.shape));
  logits.bytes = *bytes;
  return logits;
}

void require_place(const LogitsOptions& options, std::uint64_t bytes) {
  const std::uint64_t free_disk = free_disk_bytes(options.output);
  if (bytes > free_disk)
    fail(Fault::budget, "{}: the logits need {} of disk but {} are free", options.output, human_bytes(bytes),
         human_bytes(free_disk));
}

// Writes every piece to its place.
class LogitsFile final : public LogitsReader {
 public:
  LogitsFile(PendingFile& file, std::uint64_t start, std::int64_t vocabulary)
      : file_(file), start_(start), vocabulary_(vocabulary) {}

  void read(const LogitsPiece& piece) override {
    const auto width = static_cast<std::size_t>(piece.columns);
    for (std::int64_t row = 0; row < piece.count; ++row) {
      const std::int64_t place = (piece.first + row) * vocabulary_ + piece.column;
      file_.write_at(start_ + static_cast<std::uint64_t>(place) * sizeof(float),
                     std::as_bytes(piece.lanes[0].subspan(static_cast<std::size_t>(row) * width, width)));
    }
  }
  void done() override { file_.publish(); }

 private:
  PendingFile& file_;
  const std::uint64_t start_;
  const std::int64_t vocabulary_;
};

}  // namespace

void write_logits(const LogitsOptions& options, Reporter& reporter) {
  const Timer timer;
  const ComputeSession session(options.device, options.threads);
  if (options.output.empty()) fail(Fault::usage, "-o LOGITS.safetensors: is missing");
  const std::array<std::string, 2> inputs = {options.model, options.tokens};
  require_new_file(options.output, options.force, inputs);
  require_writable(parent_directory(options.output));
  const OpenModel model = open_model(options.model);
  const TokenRows tokens = read_token_file(options.tokens);
  check_tokens(tokens, model.spec->vocabulary, model.spec->max_position, options.tokens);

  reporter.run_start({.command = "logits", .model = options.model, .family = model.spec->family});
  report_leftover(model, reporter);
  note_served(model, options.activations, reporter);
  const TensorInfo tensor = logits_tensor(tokens, model.spec->vocabulary);
  const std::string header = print_safetensors({&tensor, 1});
  require_place(options, header.size() + tensor.bytes);
  PendingFile file(options.output, header.size() + tensor.bytes);
  file.write_at(0, std::as_bytes(std::span(header)));
  LogitsFile sink(file, header.size(), model.spec->vocabulary);
  const std::array<LaneSpec, 1> lanes = {LaneSpec{&model, options.decode, options.activations}};
  run_forward({.lanes = lanes,
               .tokens = tokens,
               .threads = session.threads(),
               .max_memory = options.max_memory,
               .work_directory = options.work_directory,
               .device = options.device,
               .stop = options.stop},
              sink, reporter);
  reporter.run_end(
      {.facts = {{"output", options.output}}, .seconds = timer.seconds(), .peak_resident = peak_resident_bytes()});
}

}  // namespace strata
