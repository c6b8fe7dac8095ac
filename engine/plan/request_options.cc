#include "engine/plan/request_options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/option_text.h"
#include "base/pattern.h"
#include "base/suggest.h"
#include "formats/number_format.h"

namespace strata {
namespace {

using Request = QuantizeRequest;

std::optional<double> number_of(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(number) : std::nullopt;
}

// A member of a part of the request.
template <auto Part, auto Field>
struct At {
  static auto& in(Request& request) { return (request.*Part).*Field; }
  static const auto& in(const Request& request) { return (request.*Part).*Field; }
  static bool untouched(const Request& request) { return in(request) == in(Request()); }

  static void set_text(Request& request, std::string_view name, const std::string& text) {
    if (text.empty()) fail(Fault::usage, "{}: the value is empty", name);
    in(request) = text;
  }
  static void set_flag(Request& request, std::string_view /*name*/, const std::string& /*text*/) { in(request) = true; }
  static void set_count(Request& request, std::string_view name, const std::string& text) {
    in(request) = parse_count(name, text, std::int64_t{1} << 40);
  }
  static void set_size(Request& request, std::string_view name, const std::string& text) {
    in(request) = parse_size(name, text);
  }
  static void set_time(Request& request, std::string_view name, const std::string& text) {
    in(request) = parse_duration(name, text);
  }
  static std::string text(const Request& request) {
    return untouched(request) ? std::string() : fmt::format("{}", in(request));
  }
  static std::string flag(const Request& request) { return in(request) ? "yes" : ""; }
};

// One of some words, each of which stands for a value.
template <auto Part, auto Field, const auto& Words, const auto& Values>
struct Choice : At<Part, Field> {
  using Place = At<Part, Field>;
  static void set(Request& request, std::string_view name, const std::string& text) {
    Place::in(request) = Values[parse_choice(name, text, Words)];
  }
  static std::string text(const Request& request) {
    if (Place::untouched(request)) return "";
    return std::string(Words[static_cast<std::size_t>(std::ranges::find(Values, Place::in(request)) - Values.begin())]);
  }
};

using Word = std::string_view;
constexpr auto parity_words = std::to_array<Word>({"compressed-tensors"}), cache_words = std::to_array<Word>({"fp8"});
constexpr std::array only_true = {true};
constexpr auto part_words = std::to_array<Word>({"all", "first", "second"});
constexpr std::array part_values = {DatasetPart::all, DatasetPart::first, DatasetPart::second};
constexpr auto boundary_words = std::to_array<Word>({"f32", "bf16"});
constexpr std::array boundary_values = {BoundaryType::f32, BoundaryType::bf16};
constexpr auto price_words = std::to_array<Word>({"output", "fisher-trace"});
constexpr std::array price_values = {PriceRule::output, PriceRule::fisher_trace};
constexpr auto runtime_words = std::to_array<Word>({"vllm", "transformers"});
constexpr std::array runtime_values = {Runtime::vllm, Runtime::transformers};
constexpr auto io_words = std::to_array<Word>({"auto", "mmap", "pread", "direct"});
constexpr std::array io_values = {IoMethod::automatic, IoMethod::mmap, IoMethod::pread, IoMethod::direct};
constexpr auto store_words = std::to_array<Word>({"auto", "all", "none"});
constexpr auto store_values = std::to_array<Store>({Store::automatic, Store::all, Store::none});
constexpr auto resume_words = std::to_array<Word>({"auto", "require", "never"});
constexpr std::array resume_values = {Resume::automatic, Resume::require, Resume::never};

template <auto Field>
using Places = At<&Request::places, Field>;
template <auto Field>
using Formats = At<&Request::assignment, Field>;
template <auto Field>
using Rounding = At<&Request::rounding, Field>;
template <auto Field>
using Data = At<&Request::calibration, Field>;
template <auto Field>
using Machine = At<&Request::machine, Field>;
template <auto Field>
using Going = At<&Request::resume, Field>;
template <auto Field>
using Mixed = At<&Request::mixed, Field>;
template <auto Field>
using Measure = At<&Request::measure, Field>;
using Parity = Choice<&Request::rounding, &RoundingRequest::parity, parity_words, only_true>;
using Cache = Choice<&Request::assignment, &AssignmentRequest::kv_cache_fp8, cache_words, only_true>;
using Half = Choice<&Request::calibration, &CalibrationRequest::part, part_words, part_values>;
using States = Choice<&Request::calibration, &CalibrationRequest::boundary, boundary_words, boundary_values>;
using Judge = Choice<&Request::mixed, &MixedRequest::price, price_words, price_values>;
using Server = Choice<&Request::mixed, &MixedRequest::runtime, runtime_words, runtime_values>;
using Io = Choice<&Request::machine, &MachineRequest::io, io_words, io_values>;
using Stored = Choice<&Request::mixed, &MixedRequest::store, store_words, store_values>;
using GoOn = Choice<&Request::resume, &ResumeRequest::mode, resume_words, resume_values>;

// As an argument and as an option.
void set_model(Request& request, std::string_view /*name*/, const std::string& text) {
  std::string& model = request.places.model;
  if (text.empty()) fail(Fault::usage, "MODEL: the path is empty");
  if (!model.empty()) fail(Fault::usage, "MODEL: given twice: {}, {}", model, text);
  model = text;
  while (model.size() > 1 && model.ends_with('/')) model.pop_back();
}

void set_ignore(Request& request, std::string_view /*name*/, const std::string& text) {
  request.assignment.ignore.push_back(Pattern(text).text());
}

std::string ignore_text(const Request& request) {
  std::string all;
  for (const std::string& pattern : request.assignment.ignore) all += (all.empty() ? "" : " ") + pattern;
  return all;
}

void set_override(Request& request, std::string_view name, const std::string& text) {
  request.assignment.overrides.push_back(parse_override(name, text));
}

std::string override_text(const Request& request) {
  std::string all;
  for (const auto& [pattern, format] : request.assignment.overrides)
    all.append(all.empty() ? "" : " ").append(pattern).append("=").append(format);
  return all;
}

void set_bits(Request& request, std::string_view name, const std::string& text) {
  request.mixed.bits = parse_bits(name, text);
}

void set_pareto(Request& request, std::string_view name, const std::string& text) {
  request.mixed.pareto = parse_bit_range(name, text);
}

std::string pareto_text(const Request& request) {
  return request.mixed.pareto ? request.mixed.pareto->text() : std::string();
}

void set_polish(Request& request, std::string_view name, const std::string& text) {
  request.mixed.polish = static_cast<int>(parse_count(name, text, 256));
}

void set_risk(Request& request, std::string_view name, const std::string& text) {
  request.mixed.risk = parse_number(name, text);
}

void set_formats(Request& request, std::string_view name, const std::string& text) {
  request.mixed.formats.clear();
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    request.mixed.formats.push_back(known_format(name, text.substr(at, end - at)));
    at = end + 1;
  }
}

std::string menu_text(const Request& request) {
  std::string all;
  for (const std::string& format : request.mixed.formats) all += (all.empty() ? "" : ",") + format;
  return all;
}

void set_probes(Request& request, std::string_view name, const std::string& text) {
  request.mixed.probes = static_cast<int>(parse_count(name, text, 1024));
}

void set_tensor_parallel(Request& request, std::string_view name, const std::string& text) {
  request.mixed.tensor_parallel = static_cast<int>(parse_count(name, text, 1024));
}

void set_flip_tokens(Request& request, std::string_view name, const std::string& text) {
  request.mixed.flip_tokens = text == "0" ? 0 : parse_count(name, text, std::int64_t{1} << 40);
}

void set_max_source_perplexity(Request& request, std::string_view name, const std::string& text) {
  double limit = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
  if (error != std::errc() || end != text.data() + text.size() || !(limit >= 1 && limit <= 1e300))
    fail(Fault::usage, "{}: '{}' is no perplexity, such as 500", name, text);
  request.mixed.max_source_perplexity = limit;
}

std::string method_text(const Request& request) { return std::string(request.rounding.method_name()); }

void set_max_memory(Request& request, std::string_view name, const std::string& text) {
  request.machine.automatic_memory = text == "auto";
  if (!request.machine.automatic_memory) request.machine.max_memory = parse_size(name, text);
}

std::string max_memory_text(const Request& request) {
  if (request.machine.automatic_memory) return "auto";
  return Machine<&MachineRequest::max_memory>::text(request);
}

void set_threads(Request& request, std::string_view name, const std::string& text) {
  request.machine.threads = static_cast<int>(parse_count(name, text, 4096));
}

// "2/4": the second of four.
void set_share(Request& request, std::string_view name, const std::string& text) {
  constexpr std::int64_t most = 1024;
  const std::size_t slash = text.find('/');
  if (slash == std::string::npos) fail(Fault::usage, "{}: '{}' is not K/N, such as 1/2", name, text);
  const std::int64_t node = parse_count(name, text.substr(0, slash), most);
  const std::int64_t nodes = parse_count(name, text.substr(slash + 1), most);
  if (node < 1 || node > nodes) fail(Fault::usage, "{}: '{}' is not K/N with K from 1 to N", name, text);
  request.share.node = static_cast<std::size_t>(node - 1);
  request.share.nodes = static_cast<std::size_t>(nodes);
}

std::string share_text(const Request& request) {
  return request.share.whole() ? "" : fmt::format("{}/{}", request.share.node + 1, request.share.nodes);
}

constexpr std::string_view where = "What and where", numbers = "Numbers", calibration = "Calibration",
                           machine = "Machine", going_on = "Stopping and going on";

using P = PlacesRequest;
using A = AssignmentRequest;
using R = RoundingRequest;
using C = CalibrationRequest;
using M = MachineRequest;

constexpr auto table = std::to_array<RequestOption>({
    {"MODEL", where, "", "folder of the checkpoint to quantize", "", "model", InKeys::no, false, set_model,
     Places<&P::model>::text},
    {"-m,--model", where, "FOLDER", "the same, as an option", "", "", InKeys::no, false, set_model,
     Places<&P::model>::text},
    {"-o,--output,--output-dir", where, "OUT", "folder of the result", "", "output", InKeys::no, false,
     Places<&P::output>::set_text, Places<&P::output>::text},
    {"-w,--work-dir", where, "FOLDER", "records of the run", "OUT.work", "work-dir", InKeys::no, false,
     Places<&P::work_directory>::set_text, Places<&P::work_directory>::text},
    {"--force", where, "", "replace an existing OUT, at the end", "", "", InKeys::no, true, Places<&P::force>::set_flag,
     Places<&P::force>::flag},
    {"--no-records", where, "", "leave OUT/strata/ out: what was chosen by", "", "", InKeys::no, true,
     Places<&P::no_records>::set_flag, Places<&P::no_records>::flag},
    {"--shard-size", where, "SIZE", "tensor bytes per file", "5GB", "shard-size", InKeys::no, false,
     Places<&P::shard_size>::set_size, Places<&P::shard_size>::text},

    {"--scheme", numbers, "FORMAT", "number format of every Linear (`strata formats`)", "", "numbers.scheme",
     InKeys::yes, false, Formats<&A::scheme>::set_text, Formats<&A::scheme>::text},
    {"-b,--bits", numbers, "BITS", "per parameter: choose formats by measuring", "", "numbers.bits", InKeys::yes, false,
     set_bits, Mixed<&MixedRequest::bits>::text},
    {"--target-size", numbers, "SIZE", "the same, in bytes of all tensors of OUT", "", "numbers.target-size",
     InKeys::yes, false, Mixed<&MixedRequest::size>::set_size, Mixed<&MixedRequest::size>::text},
    {"--pareto", numbers, "LOW:HIGH:STEP", "measure these budgets beside each other", "", "numbers.pareto", InKeys::yes,
     false, set_pareto, pareto_text},
    {"--polish", numbers, "N", "try exchanges of formats, keep what is confirmed", "", "numbers.polish", InKeys::yes,
     false, set_polish, Mixed<&MixedRequest::polish>::text},
    {"--risk", numbers, "L", "add L standard errors to each price", "0", "numbers.risk", InKeys::yes, false, set_risk,
     Mixed<&MixedRequest::risk>::text},
    {"--price", numbers, "output|fisher-trace", "what formats are judged by", "output", "numbers.price", InKeys::yes,
     false, Judge::set, Judge::text},
    {"--formats", numbers, "LIST", "to choose from: NVFP4,MXFP8,BF16", "", "numbers.formats", InKeys::yes, false,
     set_formats, menu_text},
    {"--runtime", numbers, "vllm|transformers", "that serves what -b chooses", "vllm", "numbers.runtime", InKeys::yes,
     false, Server::set, Server::text},
    {"--tp", numbers, "N", "devices that share each layer then", "1", "numbers.tp", InKeys::yes, false,
     set_tensor_parallel, Mixed<&MixedRequest::tensor_parallel>::text},
    {"--probes", numbers, "N", "random directions of the output", "8", "numbers.probes", InKeys::yes, false, set_probes,
     Mixed<&MixedRequest::probes>::text},
    {"--flip-tokens", numbers, "N", "to try units alone on, 0: none", "16384", "numbers.flip-tokens", InKeys::yes,
     false, set_flip_tokens, Mixed<&MixedRequest::flip_tokens>::text},
    {"--from", numbers, "WORK", "a run with -b: what it has kept", "", "", InKeys::no, false,
     Mixed<&MixedRequest::from>::set_text, Mixed<&MixedRequest::from>::text},
    {"--store", numbers, "auto|all|none", "encoded options that are kept", "auto", "numbers.store", InKeys::no, false,
     Stored::set, Stored::text},
    {"--max-source-ppl", numbers, "X", "refuse a worse source", "vocabulary^0.8", "numbers.max-source-ppl", InKeys::yes,
     false, set_max_source_perplexity, Mixed<&MixedRequest::max_source_perplexity>::text},
    {"--assignment", numbers, "FILE", "assignment.json: a format for each Linear", "", "numbers.assignment", InKeys::no,
     false, Formats<&A::file>::set_text, Formats<&A::file>::text},
    {"--method", numbers, "NAME", "rounding method", "scale-search", "numbers.method", InKeys::no, false,
     Rounding<&R::method>::set_text, method_text},
    {"--parity", numbers, "compressed-tensors", "its bytes, bit for bit", "", "numbers.parity", InKeys::yes, false,
     Parity::set, Parity::text},
    {"--ignore", numbers, "PATTERN", "keep these Linears: glob or re:...; repeatable", "", "numbers.ignore",
     InKeys::yes, true, set_ignore, ignore_text},
    {"--override", numbers, "PATTERN=FORMAT", "another format for these; repeatable, last wins", "", "numbers.override",
     InKeys::yes, true, set_override, override_text},
    {"--kv-cache", numbers, "fp8", "store scales for an FP8 cache", "", "numbers.kv-cache", InKeys::yes, false,
     Cache::set, Cache::text},
    {"--strict", numbers, "", "a shape that the format refuses is an error", "", "numbers.strict", InKeys::no, true,
     Formats<&A::strict>::set_flag, Formats<&A::strict>::flag},
    {"--allow-unservable", numbers, "", "write formats that no runtime loads", "", "numbers.allow-unservable",
     InKeys::no, true, Formats<&A::allow_unservable>::set_flag, Formats<&A::allow_unservable>::flag},
    {"--per-expert", numbers, "", "a format for each expert, which no runtime loads", "", "numbers.per-expert",
     InKeys::yes, true, Formats<&A::per_expert>::set_flag, Formats<&A::per_expert>::flag},
    {"--allow-nothing", numbers, "", "write a model of which nothing is quantized", "", "numbers.allow-nothing",
     InKeys::no, true, Formats<&A::allow_nothing>::set_flag, Formats<&A::allow_nothing>::flag},

    {"--dataset", calibration, "FILE", ".jsonl, .json, text, or .safetensors of ids", "", "calibration.dataset",
     InKeys::no, false, Data<&C::dataset>::set_text, Data<&C::dataset>::text},
    {"--part", calibration, "all|first|second", "half of the dataset to use", "all", "calibration.part", InKeys::no,
     false, Half::set, Half::text},
    {"--add-special-tokens", calibration, "", "as the tokenizer adds them", "off", "calibration.add-special-tokens",
     InKeys::no, true, Data<&C::add_special_tokens>::set_flag, Data<&C::add_special_tokens>::flag},
    {"--nsamples", calibration, "N", "windows", "128", "calibration.nsamples", InKeys::no, false,
     Data<&C::nsamples>::set_count, Data<&C::nsamples>::text},
    {"--seqlen", calibration, "N", "tokens in a window", "2048", "calibration.seqlen", InKeys::no, false,
     Data<&C::seqlen>::set_count, Data<&C::seqlen>::text},
    {"--boundary", calibration, "f32|bf16", "hidden states between layers", "f32", "calibration.boundary",
     InKeys::with_data, false, States::set, States::text},

    {"--heldout", calibration, "FILE", "with -b: text to measure the result on", "", "calibration.heldout", InKeys::no,
     false, Measure<&MeasureRequest::held_out>::set_text, Measure<&MeasureRequest::held_out>::text},
    {"--heldout-tokens", calibration, "N", "of it, at most", "16384", "calibration.heldout-tokens", InKeys::no, false,
     Measure<&MeasureRequest::tokens>::set_count, Measure<&MeasureRequest::tokens>::text},
    {"--allow-tail", calibration, "", "rare errors above those of a uniform output", "", "calibration.allow-tail",
     InKeys::no, true, Measure<&MeasureRequest::allow_tail>::set_flag, Measure<&MeasureRequest::allow_tail>::flag},

    {"--max-memory", machine, "auto|SIZE", "refuse a run that needs more", "no limit", "machine.max-memory", InKeys::no,
     false, set_max_memory, max_memory_text},
    {"--disk", machine, "SIZE", "that the work folder may take", "all free", "machine.disk", InKeys::no, false,
     Machine<&M::disk>::set_size, Machine<&M::disk>::text},
    {"--io", machine, "auto|mmap|pread|direct", "how the source is read", "auto", "machine.io", InKeys::no, false,
     Io::set, Io::text},
    {"--device", machine, "DEVICE", "cpu or cuda:N", "cpu", "machine.device", InKeys::no, false,
     Machine<&M::device>::set_text, Machine<&M::device>::text},
    {"--threads", machine, "N", "CPU threads", "all cores", "machine.threads", InKeys::no, false, set_threads,
     Machine<&M::threads>::text},
    {"--share", machine, "K/N", "the K-th of N processes that write one OUT", "", "", InKeys::no, false, set_share,
     share_text},

    {"--resume", going_on, "auto|require|never", "go on where a run stopped", "auto", "", InKeys::no, false, GoOn::set,
     GoOn::text},
    {"--explain", going_on, "", "say what is taken over, and why not the rest", "", "", InKeys::no, true,
     Going<&ResumeRequest::explain>::set_flag, Going<&ResumeRequest::explain>::flag},
    {"--deadline", going_on, "TIME", "stop in time, such as 3h50m", "none", "", InKeys::no, false,
     Going<&ResumeRequest::deadline>::set_time, Going<&ResumeRequest::deadline>::text},
    {"--trace", going_on, "FILE", "Chrome trace of reading, computing, writing", "", "", InKeys::no, false,
     Places<&P::trace>::set_text, Places<&P::trace>::text},
});

}  // namespace

std::string ShareRequest::work_directory(std::size_t of_node) const {
  return fmt::format("{}.{}-of-{}", stem, of_node + 1, nodes);
}

std::string MixedRequest::budget_text() const {
  if (size > 0) return fmt::format("--target-size {}", size);
  return bits > 0 || !pareto ? fmt::format("-b {:g}", bits) : fmt::format("--pareto {}", pareto->text());
}

std::string_view price_name(PriceRule rule) { return price_words[static_cast<std::size_t>(rule)]; }

double parse_bits(std::string_view name, std::string_view text) {
  constexpr double most = 64;
  const std::optional<double> bits = number_of(text);
  if (!bits || !(*bits >= 1 && *bits <= most))
    fail(Fault::usage, "{}: '{}' is no number of bits per parameter, such as 4.75", name, text);
  return *bits;
}

double parse_number(std::string_view name, std::string_view text) {
  constexpr double most = 1e6;
  const std::optional<double> number = number_of(text);
  if (!number || !(*number >= 0 && *number <= most))
    fail(Fault::usage, "{}: '{}' is no number from 0 to {:g}, such as 1.5", name, text, most);
  return *number;
}

std::string known_format(std::string_view name, const std::string& text) {
  if (const NumberFormat* format = find_number_format(text)) return std::string(format->name);
  std::vector<std::string> names;
  for (const NumberFormat* format : number_formats()) names.emplace_back(format->name);
  fail(Fault::usage, "{}: there is no number format '{}'{}", name, text, suggest(text, names));
}

std::pair<std::string, std::string> parse_override(std::string_view name, const std::string& text) {
  const std::size_t equals = text.rfind('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
    fail(Fault::usage, "{}: '{}' is not PATTERN=FORMAT, such as 're:.*down_proj=FP8_DYNAMIC'", name, text);
  const std::string pattern = text.substr(0, equals);
  const Pattern parsed(pattern);  // an expression that is broken is told here, with its position
  return {pattern, known_format(name, text.substr(equals + 1))};
}

std::span<const RequestOption> request_options() { return table; }

}  // namespace strata
