#include "cli/quantize_options.h"

#include <fmt/ranges.h>

#include <array>

#include "base/error.h"
#include "base/file.h"
#include "base/pattern.h"
#include "base/suggest.h"
#include "cli/model_options.h"
#include "engine/rounding/rounding.h"
#include "formats/number_format.h"

namespace strata {
namespace {

std::vector<std::string> format_names() {
  std::vector<std::string> names;
  for (const NumberFormat* format : number_formats()) names.emplace_back(format->name);
  return names;
}

// The name as the format itself spells it; messages name the flag it came from.
std::string known_format(std::string_view flag, const std::string& name) {
  if (const NumberFormat* format = find_number_format(name)) return std::string(format->name);
  fail(Fault::usage, "{}: there is no number format '{}'{}", flag, name, suggest(name, format_names()));
}

void require_method(const std::string& name) {
  std::vector<std::string> names;
  for (const RoundingMethod* method : rounding_methods()) {
    if (method->name == name) return;
    names.emplace_back(method->name);
  }
  fail(Fault::usage, "--method: there is no rounding method '{}'{}", name, suggest(name, names));
}

// Parity is min-max scales in the arithmetic of compressed-tensors: nothing is left to search.
void complete_method(QuantizeOptions& options) {
  if (options.method.empty()) options.method = options.parity ? "rtn" : "scale-search";
  require_method(options.method);
  if (options.parity && options.method != "rtn")
    fail(Fault::usage,
         "--method {}: cannot be with --parity compressed-tensors, which rounds as that does; leave one out",
         options.method);
}

void complete_formats(QuantizeOptions& options) {
  if (options.scheme.empty() && options.assignment.empty())
    fail(Fault::usage, "--scheme: missing; one of {} (or --assignment FILE)", fmt::join(format_names(), ", "));
  if (!options.scheme.empty()) options.scheme = known_format("--scheme", options.scheme);
  complete_method(options);
  if (options.kv_cache_fp8 && options.dataset.empty())
    fail(Fault::usage, "--kv-cache fp8: needs --dataset FILE, to measure keys and values");
}

void declare_numbers(OptionSet& options, QuantizeOptions& target) {
  options.text("--scheme", "FORMAT", "number format of every Linear (`strata formats`)", target.scheme);
  options.text("--assignment", "FILE", "assignment.json: a format for each Linear", target.assignment);
  target.method.clear();  // filled in by complete_quantize_options: the default depends on --parity
  options.text("--method", "NAME", "rounding method (default scale-search)", target.method);
  options.choice("--parity", {"compressed-tensors"}, "its bytes, bit for bit",
                 [&target](std::size_t) { target.parity = true; });
  const auto ignore = [&target](const std::string& text) { target.ignore.push_back(Pattern(text).text()); };
  options.add({.names = {"--ignore"},
               .value = "PATTERN",
               .help = "keep these Linears: glob or re:...; repeatable",
               .positional = false,
               .repeatable = true,
               .set = ignore});
  const auto add_override = [&target](const std::string& text) { target.overrides.push_back(parse_override(text)); };
  options.add({.names = {"--override"},
               .value = "PATTERN=FORMAT",
               .help = "another format for these; repeatable, last wins",
               .positional = false,
               .repeatable = true,
               .set = add_override});
  options.choice("--kv-cache", {"fp8"}, "store scales for an FP8 cache",
                 [&target](std::size_t) { target.kv_cache_fp8 = true; });
  options.flag("--strict", "a shape that the format refuses is an error", target.strict);
  options.flag("--allow-unservable", "write formats that no runtime loads", target.allow_unservable);
  options.flag("--allow-nothing", "write a model of which nothing is quantized", target.allow_nothing);
}

void declare_max_memory(OptionSet& options, QuantizeOptions& target) {
  const auto set = [&target](const std::string& text) {
    target.automatic_memory = text == "auto";
    if (!target.automatic_memory) target.max_memory = parse_size("--max-memory", text);
  };
  options.add({.names = {"--max-memory"},
               .value = "auto|SIZE",
               .help = "refuse a run that needs more (default no limit)",
               .positional = false,
               .repeatable = false,
               .set = set});
}

}  // namespace

std::pair<std::string, std::string> parse_override(const std::string& text) {
  const std::size_t equals = text.rfind('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
    fail(Fault::usage, "--override: '{}' is not PATTERN=FORMAT, such as 're:.*down_proj=FP8_DYNAMIC'", text);
  const std::string pattern = text.substr(0, equals);
  const Pattern parsed(pattern);  // an expression that is broken is told here, with its position
  return {pattern, known_format("--override", text.substr(equals + 1))};
}

void declare_quantize_options(OptionSet& options, QuantizeOptions& target) {
  options.group("What and where");
  declare_model(options, "MODEL", "folder of the checkpoint to quantize", target.model);
  options.text("-o,--output,--output-dir", "OUT", "folder of the result", target.output);
  options.text("-w,--work-dir", "FOLDER", "records of the run (default OUT.work)", target.work_directory);
  options.flag("--force", "replace an existing OUT, at the end", target.force);
  options.size("--shard-size", "tensor bytes per file (default 5GB)", target.shard_size);

  options.group("Numbers");
  declare_numbers(options, target);

  options.group("Calibration");
  options.text("--dataset", "FILE", ".jsonl, .json, text, or .safetensors of ids", target.dataset);
  declare_part(options, target.part);
  options.flag("--add-special-tokens", "as the tokenizer adds them (default off)", target.add_special_tokens);
  options.count("--nsamples", "windows (default 128)", target.nsamples);
  options.count("--seqlen", "tokens in a window (default 2048)", target.seqlen);
  options.choice("--boundary", {"f32", "bf16"}, "hidden states between layers (default f32)", [&target](std::size_t i) {
    target.boundary = std::array{BoundaryType::f32, BoundaryType::bf16}[i];
  });

  options.group("Machine");
  declare_max_memory(options, target);
  options.size("--disk", "that the work folder may take (default all free)", target.disk);
  options.choice("--io", {"auto", "mmap", "pread", "direct"}, "how the source is read (default auto)",
                 [&target](std::size_t i) {
                   target.io = std::array{IoMethod::automatic, IoMethod::mmap, IoMethod::pread, IoMethod::direct}[i];
                 });
  declare_device(options, target.device);
  declare_threads(options, target.threads);

  options.group("Stopping and going on");
  options.choice("--resume", {"auto", "require", "never"}, "go on where a run stopped (default auto)",
                 [&target](std::size_t i) {
                   target.resume = std::array{Resume::automatic, Resume::require, Resume::never}[i];
                 });
  options.flag("--explain", "say what is taken over, and why not the rest", target.explain);
  options.duration("--deadline", "stop in time, such as 3h50m (default none)", target.deadline);
  options.text("--trace", "FILE", "Chrome trace of reading, computing, writing", target.trace);
}

void complete_quantize_options(QuantizeOptions& options, bool needs_output) {
  require_given("MODEL", options.model, "the folder of the checkpoint to quantize");
  if (needs_output) require_given("--output", options.output, "the folder for the result, -o OUT");
  complete_formats(options);
  if (!options.output.empty()) options.output = clean_path(options.output);
  if (!options.work_directory.empty()) options.work_directory = clean_path(options.work_directory);
  if (options.work_directory.empty() && !options.output.empty()) options.work_directory = options.output + ".work";
}

}  // namespace strata
