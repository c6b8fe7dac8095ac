// strata formats: the number formats and rounding methods that there are.
#include <fmt/core.h>

#include <sstream>

#include "cli/command.h"
#include "cli/json_text.h"
#include "cli/sink.h"
#include "cli/table.h"
#include "engine/rounding/rounding.h"
#include "formats/config/config_group.h"
#include "formats/number_format.h"

namespace strata::command {
namespace {

constexpr std::size_t summary_width = 56;  // with the longest name 120 columns in all

// Left as it is, which every runtime loads.
bool is_dense(const NumberFormat& format) { return !format.quantizes(); }

std::string bits(const NumberFormat& format) {
  return format.bits_per_weight > 0 ? fmt::format("{:.4g}", format.bits_per_weight) : "source";
}

// Version and hardware stand in --json.
std::string first_word(std::string_view text) {
  return text.empty() ? "-" : std::string(text.substr(0, text.find(' ')));
}

std::string experts(const NumberFormat& format) {
  const Serving& serving = format.serving;
  if (is_dense(format) || (serving.vllm_experts && serving.transformers_experts)) return "both";
  return serving.vllm_experts ? "vLLM" : serving.transformers_experts ? "HF" : "-";
}

void print_table() {
  Table formats({Align::left, Align::right, Align::left, Align::left, Align::left, Align::left, Align::left});
  formats.row({"format", "bits", "data", "vLLM", "HF", "experts", "what it is"});
  for (const NumberFormat* format : number_formats()) {
    const bool dense = is_dense(*format);
    const std::vector<std::string> summary = wrapped_lines(format->summary, summary_width);
    formats.row({std::string(format->name), bits(*format), format->calibrated_input ? "yes" : "-",
                 dense || !format->serving.vllm.empty() ? "yes" : "-",
                 dense ? "any" : first_word(format->serving.transformers), experts(*format), summary.front()});
    for (std::size_t i = 1; i < summary.size(); ++i) formats.row({"", "", "", "", "", "", summary[i]});
  }
  Table methods({Align::left, Align::left});
  methods.row({"method", "what it does"});
  for (const RoundingMethod* method : rounding_methods())
    methods.row({std::string(method->name), std::string(method->summary)});
  print_result(formats.print() +
               "\nbits: per weight. data: needs --dataset. HF: transformers, from this version. experts: who takes "
               "routed ones.\n"
               "`strata formats --json` tells aliases and hardware.\n\n" +
               methods.print());
}

Json words(std::string_view text) {
  Json list = Json::array();
  std::istringstream in{std::string(text)};
  for (std::string word; in >> word;) list.push_back(word);
  return list;
}

Json serving_json(const NumberFormat& format) {
  if (is_dense(format))
    return {{"vllm", "any"}, {"vllm_experts", true}, {"transformers", "any"}, {"transformers_experts", true}};
  const auto text = [](std::string_view said) { return said.empty() ? Json() : Json(said); };
  return {{"vllm", text(format.serving.vllm)},
          {"vllm_experts", format.serving.vllm_experts},
          {"transformers", text(format.serving.transformers)},
          {"transformers_experts", format.serving.transformers_experts}};
}

Json list() {
  Json all = {{"formats", Json::array()}, {"methods", Json::array()}};
  for (const NumberFormat* format : number_formats())
    all["formats"].push_back({{"name", format->name},
                              {"aliases", words(format->aliases)},
                              {"bits_per_weight", format->bits_per_weight > 0 ? Json(format->bits_per_weight) : Json()},
                              {"needs_calibration", format->calibrated_input},
                              {"quantizes_activations", format->quantizes_input()},
                              {"source_only", format->source_only},
                              {"servable", is_dense(*format) || format->serving.any()},
                              {"serving", serving_json(*format)},
                              {"config_group", is_dense(*format) ? Json() : config_group(format->scheme)},
                              {"summary", format->summary}});
  for (const RoundingMethod* method : rounding_methods())
    all["methods"].push_back({{"name", method->name}, {"version", method->version}, {"summary", method->summary}});
  return all;
}

CommandBody declare(OptionSet&) {
  return [](const CommandContext& context) { context.common.json ? print_result(json_text(list())) : print_table(); };
}

}  // namespace

extern const Command formats{
    .name = "formats",
    .summary = "List the number formats and rounding methods.",
    .usage = "[options]",
    .example = "",
    .stoppable = false,
    .declare = declare,
};

}  // namespace strata::command
