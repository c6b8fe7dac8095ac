// strata eval: how far a quantized model's output is from its source's.
#include <fmt/core.h>

#include <cmath>
#include <memory>

#include "base/error.h"
#include "cli/amounts.h"
#include "cli/command.h"
#include "cli/json_text.h"
#include "cli/model_options.h"
#include "cli/sink.h"
#include "cli/table.h"
#include "engine/eval/evaluate.h"

namespace strata::command {
namespace {

Json figures(const Divergence& divergence) {
  return {{"kl_mean", divergence.kl_mean},
          {"kl_se", divergence.kl_se},
          {"kl_p99", divergence.kl_p99},
          {"kl_p999", divergence.kl_p999},
          {"top1_agreement", divergence.top1_agreement},
          {"ppl_reference", divergence.ppl_reference},
          {"ppl", divergence.ppl},
          {"tokens", divergence.tokens}};
}

// weights_only is always there, so that a script need not know which mode was asked for.
Json result_json(const EvaluateOptions& options, const EvaluateResult& result) {
  Json all = figures(result.asked);
  all["activations"] = name_of(options.activations);
  const std::string_view runtime = runtime_of(options.activations);
  all["runtime"] = runtime.empty() ? Json() : Json(runtime);
  all["decode"] = name_of(options.decode);
  all["weights_only"] = figures(result.weights_only.value_or(result.asked));
  return all;
}

std::string column_name(ActivationMode mode) {
  if (mode == ActivationMode::none) return "weights only";
  return mode == ActivationMode::vllm ? "served by vLLM" : "served by transformers";
}

std::string result_text(const EvaluateOptions& options, const EvaluateResult& result) {
  std::vector<std::pair<std::string, const Divergence*>> columns;
  columns.emplace_back(column_name(options.activations), &result.asked);
  if (result.weights_only) columns.emplace_back("weights only", &*result.weights_only);

  Table table({Align::left, Align::right, Align::right});
  const auto row = [&](std::string name, const auto& print) {
    table.row({std::move(name), print(*columns[0].second), columns.size() > 1 ? print(*columns[1].second) : ""});
  };
  table.row({"", columns[0].first, columns.size() > 1 ? columns[1].first : ""});
  row("KL, nats per token", [](const Divergence& d) { return fmt::format("{:.6g}", d.kl_mean); });
  row("  standard error",
      [](const Divergence& d) { return std::isnan(d.kl_se) ? "-" : fmt::format("{:.2g}", d.kl_se); });
  row("  99 % of tokens below", [](const Divergence& d) { return fmt::format("{:.4g}", d.kl_p99); });
  row("  99.9 % below", [](const Divergence& d) { return fmt::format("{:.4g}", d.kl_p999); });
  row("same most likely token", [](const Divergence& d) { return fmt::format("{:.2f}%", 100 * d.top1_agreement); });
  row("perplexity", [](const Divergence& d) { return fmt::format("{:.5g}", d.ppl); });
  row("  of the source", [](const Divergence& d) { return fmt::format("{:.5g}", d.ppl_reference); });
  row("tokens", [](const Divergence& d) { return grouped(static_cast<std::uint64_t>(d.tokens)); });
  return table.print();
}

void run(EvaluateOptions& options, const CommandContext& context) {
  require_given("OUT", options.model, "the quantized checkpoint");
  require_given("--against", options.against, "the folder of its source");
  if (options.dataset.empty() == options.tokens.empty())
    fail(Fault::usage, "--dataset: give either --dataset FILE or --tokens IDS{}",
         options.dataset.empty() ? "" : ", not both");
  options.stop = context.stop;
  const EvaluateResult result = evaluate(options, context.progress);
  print_result(context.common.json ? json_text(result_json(options, result)) : result_text(options, result));
}

CommandBody declare(OptionSet& set) {
  const auto options = std::make_shared<EvaluateOptions>();
  const auto activations = std::make_shared<ActivationOptions>(ActivationOptions{.served = true});
  set.group("Options");
  declare_model(set, "OUT", "folder of the quantized checkpoint", options->model);
  const auto against = [options = options.get()](const std::string& text) {
    options->against = without_trailing_slash(text);
  };
  set.add({.names = {"--against"}, .value = "MODEL", .help = "folder of its source", .set = against});
  set.text("--dataset", "FILE", "text to measure on: .jsonl, .json or plain text", options->dataset);
  set.text("--tokens", "IDS", "or a .safetensors of token ids", options->tokens);
  declare_part(set, options->part);
  set.flag("--add-special-tokens", "as the tokenizer adds them (default off)", options->add_special_tokens);
  set.count("--window", "tokens in a window (default 256)", options->window);
  set.count("--max-tokens", "tokens, in whole windows (default 16384)", options->max_tokens);
  declare_activations(set, *activations);
  declare_decode(set, options->decode);
  declare_device(set, options->device);
  declare_threads(set, options->threads);
  declare_forward(set, options->max_memory, options->work_directory);
  return [options, activations](const CommandContext& context) {
    options->activations = activations->mode();
    run(*options, context);
  };
}

}  // namespace

extern const Command eval{
    .name = "eval",
    .summary = "Measure how far a quantized model is from its source.",
    .usage = "OUT --against MODEL --dataset FILE [options]",
    .example = "strata eval llama-w4 --against llama --dataset heldout.jsonl",
    .stoppable = true,
    .declare = declare,
};

}  // namespace strata::command
