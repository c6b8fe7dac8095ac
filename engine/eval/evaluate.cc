#include "engine/eval/evaluate.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/timer.h"
#include "engine/device/compute.h"
#include "engine/eval/divergence.h"
#include "engine/eval/forward_run.h"
#include "engine/eval/served_notes.h"
#include "engine/plan/leftover.h"
#include "formats/text/text_notices.h"

namespace strata {
namespace {

// Windows as they enter the models, and the token that follows each position (-1: none).
struct EvaluationTokens {
  TokenRows inputs;
  std::vector<TokenId> next;         // [rows, columns]
  std::vector<std::int64_t> window;  // [rows, columns]: the row
};

// Windows of the dataset with one further token each, or the rows of a token file, cut to the window.
TokenRows evaluation_windows(const EvaluateOptions& options) {
  if (options.window < 1 || options.max_tokens < 1)
    fail(Fault::usage, "--window {} --max-tokens {}: both must be at least 1", options.window, options.max_tokens);
  if (options.dataset.empty() == options.tokens.empty())
    fail(Fault::usage,
         "give the evaluation text with --dataset FILE or token ids with --tokens IDS.safetensors, one of them");
  if (!options.tokens.empty()) return read_token_file(options.tokens);
  const DatasetOptions dataset{.file = options.dataset,
                               .model_directory = options.against,
                               .part = options.part,
                               .add_special_tokens = options.add_special_tokens};
  const std::int64_t count = (options.max_tokens + options.window - 1) / options.window;
  return token_windows(dataset, {.count = count, .length = options.window, .extra = 1, .fewer_is_fine = true});
}

EvaluationTokens evaluation_tokens(const EvaluateOptions& options) {
  const TokenRows rows = evaluation_windows(options);
  EvaluationTokens tokens;
  const std::int64_t columns = std::min(options.window, rows.columns - 1);
  if (columns < 1) fail(Fault::input, "{}: rows of {} ids have no next token", options.tokens, rows.columns);
  std::int64_t positions = 0;
  for (std::int64_t r = 0; r < rows.rows && positions < options.max_tokens; ++r) {
    const std::int64_t used = std::min(columns, rows.lengths[static_cast<std::size_t>(r)] - 1);
    for (std::int64_t c = 0; c < columns; ++c) {
      tokens.inputs.ids.push_back(rows.row(r)[c]);
      tokens.next.push_back(c < used ? rows.row(r)[c + 1] : -1);
      tokens.window.push_back(r);
    }
    tokens.inputs.lengths.push_back(std::max<std::int64_t>(used, 0));
    positions += std::max<std::int64_t>(used, 0);
    ++tokens.inputs.rows;
  }
  tokens.inputs.columns = columns;
  tokens.inputs.hash = rows.hash;
  return tokens;
}

void require_comparable(const OpenModel& reference, const OpenModel& model) {
  if (reference.spec->vocabulary != model.spec->vocabulary)
    fail(Fault::input, "{} has a vocabulary of {} but {} has {}; they cannot be compared", model.checkpoint.directory(),
         model.spec->vocabulary, reference.checkpoint.directory(), reference.spec->vocabulary);
}

// Measures every lane but the first against the first.
class Meters final : public LogitsReader {
 public:
  Meters(std::size_t count, const EvaluationTokens& tokens) : meters_(count, {tokens.next, tokens.window}) {}

  void read(const LogitsPiece& piece) override {
    for (std::size_t i = 0; i < meters_.size(); ++i)
      meters_[i].add(piece.first, piece.column, piece.columns, piece.lanes[0], piece.lanes[i + 1]);
  }
  Divergence of_lane(std::size_t lane) const { return meters_.at(lane - 1).result(); }

 private:
  std::vector<DivergenceMeter> meters_;
};

// Every token of the windows, inputs and next ones, must be in the vocabulary.
void check_evaluation_tokens(const EvaluationTokens& tokens, const ModelSpec& spec, const std::string& source) {
  check_tokens(tokens.inputs, spec.vocabulary, spec.max_position, source);
  for (const TokenId id : tokens.next)
    if (id >= spec.vocabulary)
      fail(Fault::input, "{}: token id {} is outside the vocabulary of {}", source, id, spec.vocabulary);
}

}  // namespace

EvaluateResult evaluate(const EvaluateOptions& options, Reporter& reporter) {
  const Timer timer;
  const ComputeSession session(options.device, options.threads);
  const OpenModel reference = open_model(options.against);
  const OpenModel model = open_model(options.model);
  require_comparable(reference, model);
  const EvaluationTokens tokens = evaluation_tokens(options);
  check_evaluation_tokens(tokens, *reference.spec, options.dataset.empty() ? options.tokens : options.dataset);

  reporter.run_start({.command = "eval",
                      .model = options.model,
                      .family = model.spec->family,
                      .facts = {{"against", options.against},
                                {"windows", std::to_string(tokens.inputs.rows)},
                                {"tokens", tokens.inputs.hash}}});
  for (const OpenModel* const read : {&reference, &model}) report_leftover(*read, reporter);
  if (!options.dataset.empty())
    for (const auto& [subject, text] : text_notices(options.against, options.dataset)) reporter.decision(subject, text);
  note_served(model, options.activations, reporter);
  const bool both = options.activations != ActivationMode::none;
  std::vector<LaneSpec> lanes = {{.model = &reference}, {&model, options.decode, options.activations}};
  if (both) lanes.push_back({&model, options.decode, ActivationMode::none});
  Meters meters(lanes.size() - 1, tokens);
  run_forward({.lanes = lanes,
               .tokens = tokens.inputs,
               .threads = session.threads(),
               .max_memory = options.max_memory,
               .work_directory = options.work_directory,
               .device = options.device,
               .stop = options.stop},
              meters, reporter);

  EvaluateResult result{.asked = meters.of_lane(1)};
  if (both) result.weights_only = meters.of_lane(2);
  reporter.run_end({.facts = {{"kl_mean", fmt::format("{:.6g}", result.asked.kl_mean)}},
                    .seconds = timer.seconds(),
                    .peak_resident = peak_resident_bytes()});
  return result;
}

}  // namespace strata
