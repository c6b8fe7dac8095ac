// strata tokenize: token ids exactly as quantize and eval see them.
#include <fmt/core.h>

#include <array>
#include <memory>
#include <numeric>

#include "base/error.h"
#include "base/file.h"
#include "cli/amounts.h"
#include "cli/command.h"
#include "cli/json_text.h"
#include "cli/model_options.h"
#include "cli/sink.h"
#include "cli/table.h"
#include "formats/text/dataset.h"

namespace strata::command {
namespace {

struct TokenizeOptions {
  DatasetOptions data;
  std::string output;
  std::int64_t nsamples = 0, seqlen = 0;  // 0: not given
  bool force = false;
};

TokenRows tokens_of(const TokenizeOptions& options) {
  if (options.seqlen == 0) return token_documents(options.data);
  constexpr std::int64_t default_samples = 128;
  return token_windows(options.data,
                       {.count = options.nsamples > 0 ? options.nsamples : default_samples, .length = options.seqlen});
}

void run(const TokenizeOptions& options, bool json) {
  require_given("MODEL", options.data.model_directory, "the folder whose tokenizer is used");
  require_given("--dataset", options.data.file, "the text to tokenize");
  require_given("--output", options.output, "the .safetensors file to write, -o IDS");
  if (options.nsamples > 0 && options.seqlen == 0)
    fail(Fault::usage, "--nsamples: needs --seqlen; without it every document is one row");
  const std::array<std::string, 2> inputs = {options.data.model_directory, options.data.file};
  require_new_file(options.output, options.force, inputs);

  const TokenRows rows = tokens_of(options);
  write_token_file(options.output, rows);
  const std::int64_t tokens = std::accumulate(rows.lengths.begin(), rows.lengths.end(), std::int64_t{0});
  if (json) {
    print_result(json_text({{"output", options.output},
                            {"rows", rows.rows},
                            {"columns", rows.columns},
                            {"tokens", tokens},
                            {"hash", rows.hash}}));
    return;
  }
  Table table({Align::left, Align::left});
  table.row({"output", options.output});
  table.row(
      {"rows", fmt::format("{} of {}{} tokens", grouped(static_cast<std::uint64_t>(rows.rows)),
                           options.seqlen == 0 ? "up to " : "", grouped(static_cast<std::uint64_t>(rows.columns)))});
  table.row({"tokens", grouped(static_cast<std::uint64_t>(tokens))});
  table.row({"hash", rows.hash});
  print_result(table.print());
}

CommandBody declare(OptionSet& set) {
  const auto options = std::make_shared<TokenizeOptions>();
  set.group("Options");
  declare_model(set, "MODEL", "folder whose tokenizer is used", options->data.model_directory);
  set.text("--dataset", "FILE", "text to tokenize: .jsonl, .json or plain text", options->data.file);
  set.text("-o,--output", "IDS", ".safetensors for input_ids I64 [n, t]", options->output);
  declare_part(set, options->data.part);
  set.flag("--add-special-tokens", "as the tokenizer adds them (default off)", options->data.add_special_tokens);
  set.count("--seqlen", "cut windows of N (default a row a document)", options->seqlen);
  set.count("--nsamples", "windows with --seqlen (default 128)", options->nsamples);
  set.flag("--force", "replace an existing IDS", options->force);
  return [options](const CommandContext& context) { run(*options, context.common.json); };
}

}  // namespace

extern const Command tokenize{
    .name = "tokenize",
    .summary = "Write the token ids that quantize and eval would see.",
    .usage = "MODEL --dataset FILE -o IDS.safetensors [options]",
    .example = "strata tokenize llama --dataset calib.jsonl -o ids.safetensors",
    .stoppable = false,
    .declare = declare,
};

}  // namespace strata::command
