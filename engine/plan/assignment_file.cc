#include "engine/plan/assignment_file.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_set>

#include "base/error.h"
#include "base/file.h"
#include "base/suggest.h"

namespace strata {
namespace {

namespace json = simdjson::ondemand;

constexpr std::int64_t file_version = 1;
constexpr std::uint64_t max_file_bytes = 256u << 20;

// What a run tells of a Linear beside its format; an edited file may have it too, true or not.
bool is_for_people(std::string_view key) {
  static constexpr auto keys = std::to_array<std::string_view>({"bytes", "unit", "cost", "standard_error", "why"});
  return std::ranges::find(keys, key) != keys.end();
}

std::string details_of(const NamedFormat& linear) {
  std::string text;
  if (linear.bytes > 0) text += fmt::format(", \"bytes\": {}", linear.bytes);
  if (!linear.unit.empty()) text += fmt::format(", \"unit\": {}", nlohmann::json(linear.unit).dump());
  if (linear.cost)
    text += fmt::format(", \"cost\": {}, \"standard_error\": {}", *linear.cost,
                        std::isfinite(linear.standard_error) ? fmt::format("{}", linear.standard_error) : "null");
  if (!linear.why.empty()) text += fmt::format(", \"why\": {}", nlohmann::json(linear.why).dump());
  return text;
}

std::vector<std::string> format_names() {
  std::vector<std::string> names;
  for (const NumberFormat* const format : number_formats()) names.emplace_back(format->name);
  return names;
}

}  // namespace

// Walks the text once; positions come from the parser, which points into it.
class AssignmentReader {
 public:
  explicit AssignmentReader(AssignmentFile& file) : file_(file), padded_(file.text_) {}

  void read() {
    json::document document;
    require(parser_.iterate(padded_).get(document), 0);
    json::object top;
    if (document.get_object().get(top) != simdjson::SUCCESS) fail_at(0, "is not a JSON object");
    std::unordered_set<std::string> seen;
    bool has_version = false, has_linears = false;
    for (auto field : top) {
      const Key key = key_of(field);
      if (!seen.insert(key.text).second) fail_at(key.offset, "\"{}\" stands twice", key.text);
      if (key.text == "version")
        has_version = read_version(field, key);
      else if (key.text == "linears")
        has_linears = read_linears(field, key);
      else if (key.text == "prices")
        read_prices(field, key);
      else
        fail_at(key.offset, "\"{}\" is not a key; there are \"version\", \"prices\" and \"linears\"", key.text);
    }
    const char* rest = nullptr;
    if (document.current_location().get(rest) == simdjson::SUCCESS)
      fail_at(offset(rest), "something follows the object");
    if (!has_version) fail_at(0, "\"version\" is missing; this program reads version {}", file_version);
    if (!has_linears) fail_at(0, "\"linears\" is missing");
  }

 private:
  struct Key {
    std::string text;
    std::size_t offset;
  };

  template <typename... Part>
  [[noreturn]] void fail_at(std::size_t offset, fmt::format_string<Part...> format, Part&&... part) const {
    fail(Fault::input, "{}: {}", file_.line_of(offset), fmt::format(format, std::forward<Part>(part)...));
  }
  void require(simdjson::error_code error, std::size_t offset) const {
    if (error != simdjson::SUCCESS) fail_at(offset, "broken JSON: {}", simdjson::error_message(error));
  }
  std::size_t offset(const char* place) const { return static_cast<std::size_t>(place - padded_.data()); }

  // Reading a field moves on, so the place of the key is taken first.
  Key key_of(simdjson::simdjson_result<json::field>& field) {
    require(field.error(), last_);
    json::raw_json_string raw;
    require(field.key().get(raw), last_);
    last_ = offset(raw.raw()) - 1;  // at its quote
    std::string_view text;
    require(field.unescaped_key().get(text), last_);
    return {std::string(text), last_};
  }

  bool read_version(simdjson::simdjson_result<json::field>& field, const Key& key) {
    std::int64_t version = 0;
    if (field.value().get_int64().get(version) != simdjson::SUCCESS) fail_at(key.offset, "\"version\" is not a number");
    if (version != file_version)
      fail_at(key.offset, "\"version\" is {}; this program reads version {}", version, file_version);
    return true;
  }

  // What an allocation was chosen by is for people: an edited one has it too.
  void read_prices(simdjson::simdjson_result<json::field>& field, const Key& key) {
    std::string_view text;
    if (field.value().get_string().get(text) != simdjson::SUCCESS) fail_at(key.offset, "\"prices\" is not a string");
  }

  bool read_linears(simdjson::simdjson_result<json::field>& field, const Key& key) {
    json::object linears;
    if (field.value().get_object().get(linears) != simdjson::SUCCESS)
      fail_at(key.offset, "\"linears\" is not an object");
    for (auto linear : linears) {
      const Key module = key_of(linear);
      const NumberFormat* const format = read_linear(linear, module);
      const auto [known, is_new] =
          file_.linears_.try_emplace(module.text, AssignmentFile::Entry{format, module.offset});
      if (!is_new)
        fail_at(module.offset, "{} stands twice, first in {}", module.text, file_.line_of(known->second.offset));
    }
    return true;
  }

  const NumberFormat* read_linear(simdjson::simdjson_result<json::field>& field, const Key& module) {
    json::object members;
    if (field.value().get_object().get(members) != simdjson::SUCCESS)
      fail_at(module.offset, "{} is not an object such as {{\"format\": \"NVFP4\"}}", module.text);
    const NumberFormat* format = nullptr;
    for (auto member : members) {
      const Key key = key_of(member);
      if (is_for_people(key.text)) continue;
      if (key.text != "format")
        fail_at(key.offset, "{}: \"{}\" is not a key; there is \"format\"", module.text, key.text);
      if (format != nullptr) fail_at(key.offset, "{}: \"format\" stands twice", module.text);
      std::string_view name;
      if (member.value().get_string().get(name) != simdjson::SUCCESS)
        fail_at(key.offset, "{}: \"format\" is not a string", module.text);
      format = find_number_format(name);
      if (format == nullptr)
        fail_at(key.offset, "{}: there is no number format '{}'{}", module.text, name, suggest(name, format_names()));
    }
    if (format == nullptr) fail_at(module.offset, "{}: \"format\" is missing", module.text);
    return format;
  }

  AssignmentFile& file_;
  simdjson::padded_string padded_;
  json::parser parser_;
  std::size_t last_ = 0;  // where the last key was: a break is near
};

AssignmentFile AssignmentFile::read(const std::string& path) {
  AssignmentFile file;
  const std::uint64_t bytes = InputFile(path).size();
  if (bytes > max_file_bytes)
    fail(Fault::input, "{}: has {} bytes, the limit for such a file is {}", path, bytes, max_file_bytes);
  file.path_ = path;
  file.text_ = read_text(path);
  AssignmentReader(file).read();
  return file;
}

const NumberFormat* AssignmentFile::format_of(std::string_view module) const {
  const auto found = linears_.find(std::string(module));
  return found == linears_.end() ? nullptr : found->second.format;
}

std::string AssignmentFile::line_of(std::size_t offset) const {
  const auto end = text_.begin() + static_cast<std::ptrdiff_t>(std::min(offset, text_.size()));
  return fmt::format("{}:{}", path_, 1 + std::count(text_.begin(), end, '\n'));
}

std::string AssignmentFile::where(std::string_view module) const {
  return line_of(linears_.at(std::string(module)).offset);
}

const std::string* AssignmentFile::first_other(
    const std::function<bool(const std::string& module, const NumberFormat& format)>& known) const {
  const Entry* first = nullptr;
  const std::string* name = nullptr;
  for (const auto& [module, entry] : linears_) {
    if (known(module, *entry.format) || (first != nullptr && first->offset < entry.offset)) continue;
    first = &entry;
    name = &module;
  }
  return name;
}

void AssignmentFile::require_known(const std::vector<std::string>& modules, const OpenModel& model) const {
  const std::unordered_set<std::string_view> known(modules.begin(), modules.end());
  const auto is_tied_head = [&](const std::string& module) {
    return model.spec->tied && (module == "lm_head" || module == model.spec->head.module);
  };
  const std::string* const name = first_other([&](const std::string& module, const NumberFormat& format) {
    return known.contains(module) || (is_tied_head(module) && format.verbatim);
  });
  if (name == nullptr) return;
  const std::string line = where(*name);
  if (is_tied_head(*name))
    fail(Fault::input, "{}: {} shares {} with the embedding and cannot be {}; remove the line", line, *name,
         model.spec->embedding, format_of(*name)->name);
  fail(Fault::input, "{}: {} is none of the {} Linears of {}{}", line, *name, modules.size(),
       model.checkpoint.directory(), did_you_mean(*name, modules));
}

// Whether the Linear has its format from here and not from a rule that won.
bool AssignmentFile::decides(const LinearSpec& linear, const Assignment& assignment) const {
  return format_of(linear.module) == &assignment.of(linear);
}

void AssignmentFile::require_fitting(const std::vector<const LinearSpec*>& unit, const Assignment& assignment) const {
  for (const LinearSpec* const linear : unit) {
    if (!decides(*linear, assignment)) continue;
    const NumberFormat& format = assignment.of(*linear);
    const auto other = std::ranges::find_if(unit, [&](const LinearSpec* l) { return &assignment.of(*l) != &format; });
    if (other != unit.end())
      fail(Fault::input,
           "{}: {} is {} but {} {} {}; they are served as one matrix, give all {} of their unit one format",
           where(linear->module), linear->module, format.name, (*other)->module,
           decides(**other, assignment) ? "is" : "gets", assignment.of(**other).name, unit.size());
    if (const std::optional<std::string> why = format.refusal({linear->out, linear->in}))
      fail(Fault::input, "{}: {} cannot be {}: {}", where(linear->module), linear->module, format.name, *why);
  }
}

std::string assignment_json(const OpenModel& model, const Assignment& assignment) {
  std::vector<NamedFormat> linears;
  for (const Visit& visit : model.visits)
    for (const LinearSpec* const linear : visit.linears) linears.push_back({linear->module, &assignment.of(*linear)});
  return assignment_json(linears, assignment.prices);
}

std::string assignment_json(std::span<const NamedFormat> linears, std::string_view prices) {
  std::string lines;
  for (const NamedFormat& linear : linears)
    lines += fmt::format("{}\n    {}: {{\"format\": \"{}\"{}}}", lines.empty() ? "" : ",",
                         nlohmann::json(linear.module).dump(), linear.format->name, details_of(linear));
  const std::string made_by = prices.empty() ? "" : fmt::format("  \"prices\": \"{}\",\n", prices);
  return fmt::format("{{\n  \"version\": {},\n{}  \"linears\": {{{}\n  }}\n}}\n", file_version, made_by, lines);
}

}  // namespace strata
