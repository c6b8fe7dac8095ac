#include "cli/model_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/option_text.h"

namespace strata {

void declare_model(OptionSet& options, std::string name, std::string help, std::string& target) {
  const auto set = [name, &target](const std::string& text) {
    if (text.empty()) fail(Fault::usage, "{}: the path is empty", name);
    if (!target.empty()) fail(Fault::usage, "{}: given twice: {}, {}", name, target, text);
    target = without_trailing_slash(text);
  };
  options.add(
      {.names = {name}, .value = "", .help = std::move(help), .positional = true, .repeatable = false, .set = set});
  options.add({.names = {"-m", "--model"}, .value = "FOLDER", .help = "the same, as an option", .set = set});
}

void declare_part(OptionSet& options, DatasetPart& target) {
  options.choice("--part", {"all", "first", "second"}, "half of the dataset to use (default all)",
                 [&target](std::size_t i) {
                   target = std::array{DatasetPart::all, DatasetPart::first, DatasetPart::second}[i];
                 });
}

ActivationMode ActivationOptions::mode() const {
  if (served) return served_by(runtime.value_or(Runtime::vllm));
  if (runtime) fail(Fault::usage, "--runtime: says how inputs are served, and --activations is none");
  return ActivationMode::none;
}

void declare_activations(OptionSet& options, ActivationOptions& target) {
  options.choice("--activations", {"none", "served"},
                 fmt::format("inputs as a runtime sees them (default {})", target.served ? "served" : "none"),
                 [&target](std::size_t i) { target.served = i == 1; });
  options.choice("--runtime", {"vllm", "transformers"}, "whose rules `served` follows (default vllm)",
                 [&target](std::size_t i) { target.runtime = i == 0 ? Runtime::vllm : Runtime::transformers; });
}

void declare_decode(OptionSet& options, DecodeAs& target) {
  options.choice("--decode", {"f32", "bf16"}, "type of decoded weights (default f32)",
                 [&target](std::size_t i) { target = i == 0 ? DecodeAs::f32 : DecodeAs::bf16; });
}

void declare_device(OptionSet& options, std::string& device) {
  options.text("--device", "DEVICE", "cpu or cuda:N (default cpu)", device);
}

void declare_threads(OptionSet& options, int& threads) {
  Option option{.names = {"--threads"}, .value = "N", .help = "CPU threads (default all cores)", .set = {}};
  option.set = [&threads](const std::string& text) {
    threads = static_cast<int>(parse_count("--threads", text, 4096));
  };
  options.add(std::move(option));
}

void declare_forward(OptionSet& options, std::uint64_t& max_memory, std::string& work_directory) {
  const auto set = [&max_memory](const std::string& text) { max_memory = parse_size("--max-memory", text); };
  options.add({.names = {"--max-memory"}, .value = "SIZE", .help = "refuse what needs more (default all)", .set = set});
  const auto set_work = [&work_directory](const std::string& text) {
    if (text.empty()) fail(Fault::usage, "-w: the path is empty");
    work_directory = without_trailing_slash(text);
  };
  options.add({.names = {"-w", "--work-dir"},
               .value = "FOLDER",
               .help = "keep layers there, to go on when stopped",
               .set = set_work});
}

void require_given(std::string_view name, std::string_view value, std::string_view advice) {
  if (value.empty()) fail(Fault::usage, "{}: missing{}{}", name, advice.empty() ? "" : "; ", advice);
}

std::string_view name_of(ActivationMode mode) { return mode == ActivationMode::none ? "none" : "served"; }
std::string_view runtime_of(ActivationMode mode) {
  return mode == ActivationMode::none ? "" : mode == ActivationMode::vllm ? "vllm" : "transformers";
}
std::string_view name_of(DecodeAs decode) { return decode == DecodeAs::f32 ? "f32" : "bf16"; }

std::string without_trailing_slash(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

}  // namespace strata
