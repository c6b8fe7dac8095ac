// Options and checks that several commands share.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cli/option_set.h"
#include "engine/eval/logits.h"
#include "formats/text/dataset.h"

namespace strata {

// The folder a command works on, as an argument `name` and as -m/--model.
void declare_model(OptionSet& options, std::string name, std::string help, std::string& target);
void declare_part(OptionSet& options, DatasetPart& target);

// --activations none|served and --runtime vllm|transformers.
struct ActivationOptions {
  bool served = false;
  std::optional<Runtime> runtime;

  // Error{usage} for a runtime where nothing is served.
  ActivationMode mode() const;
};
void declare_activations(OptionSet& options, ActivationOptions& target);

void declare_decode(OptionSet& options, DecodeAs& target);
void declare_device(OptionSet& options, std::string& device);
void declare_threads(OptionSet& options, int& threads);
// --max-memory and -w/--work-dir of commands that run a model.
void declare_forward(OptionSet& options, std::uint64_t& max_memory, std::string& work_directory);

// Error{usage} "--output: missing, ..." when nothing was given.
void require_given(std::string_view name, std::string_view value, std::string_view advice);

std::string_view name_of(ActivationMode mode);     // none, served
std::string_view runtime_of(ActivationMode mode);  // vllm, transformers; empty for none
std::string_view name_of(DecodeAs decode);
std::string without_trailing_slash(std::string path);  // "/" stays

}  // namespace strata
