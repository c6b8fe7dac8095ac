// strata logits: the model's output for given tokens.
#include "engine/eval/logits.h"

#include <memory>

#include "cli/command.h"
#include "cli/json_text.h"
#include "cli/model_options.h"
#include "cli/sink.h"

namespace strata::command {
namespace {

void run(LogitsOptions& options, const CommandContext& context) {
  require_given("MODEL", options.model, "a source or a quantized checkpoint");
  require_given("--tokens", options.tokens, "a .safetensors of ids, as `strata tokenize` writes it");
  require_given("--output", options.output, "the .safetensors file to write, -o FILE");
  options.stop = context.stop;
  write_logits(options, context.progress);
  const std::string_view runtime = runtime_of(options.activations);
  const Json result = {{"output", options.output},
                       {"activations", name_of(options.activations)},
                       {"runtime", runtime.empty() ? Json() : Json(runtime)},
                       {"decode", name_of(options.decode)}};
  print_result(context.common.json ? json_text(result) : options.output + "\n");
}

CommandBody declare(OptionSet& set) {
  const auto options = std::make_shared<LogitsOptions>();
  const auto activations = std::make_shared<ActivationOptions>();
  set.group("Options");
  declare_model(set, "MODEL", "folder of a source or of a quantized checkpoint", options->model);
  set.text("--tokens", "FILE", ".safetensors with input_ids I64 [n, t]", options->tokens);
  set.text("-o,--output", "FILE", ".safetensors for logits F32 [n, t, vocabulary]", options->output);
  declare_activations(set, *activations);
  declare_decode(set, options->decode);
  set.flag("--force", "replace an existing FILE", options->force);
  declare_device(set, options->device);
  declare_threads(set, options->threads);
  declare_forward(set, options->max_memory, options->work_directory);
  return [options, activations](const CommandContext& context) {
    options->activations = activations->mode();
    run(*options, context);
  };
}

}  // namespace

extern const Command logits{
    .name = "logits",
    .summary = "Write the logits of a model for given tokens.",
    .usage = "MODEL --tokens IDS.safetensors -o LOGITS.safetensors [options]",
    .example = "strata logits llama-w4 --tokens ids.safetensors -o out.safetensors",
    .stoppable = true,
    .declare = declare,
};

}  // namespace strata::command
