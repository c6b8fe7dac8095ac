#include "formats/config/config.h"

#include <nlohmann/json.hpp>
#include <unordered_set>

#include "base/error.h"
#include "base/file.h"

namespace strata {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t max_config_bytes = 64u << 20;
constexpr int max_depth = 64;

// The value as one short line.
std::string shown(const Json& value) {
  constexpr std::size_t longest = 80;
  const std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  return text.size() <= longest ? text : text.substr(0, longest) + "...";
}

// nlohmann keeps the first of two equal keys, Python the last: a file that readers understand differently
// is refused. Deep nesting too: printing such a value would exhaust the stack.
Json parse_strictly(std::string_view text, const std::string& path) {
  std::vector<std::unordered_set<std::string>> open_objects;
  const auto check = [&](int depth, Json::parse_event_t event, const Json& value) {
    if (depth > max_depth) fail(Fault::input, "{}: is nested deeper than {} levels", path, max_depth);
    if (event == Json::parse_event_t::object_start) open_objects.emplace_back();
    if (event == Json::parse_event_t::object_end) open_objects.pop_back();
    if (event == Json::parse_event_t::key && !open_objects.back().insert(value.get<std::string>()).second)
      fail(Fault::input, "{}: key {} stands twice in one object", path, shown(value));
    return true;
  };
  try {
    return Json::parse(text, check);
  } catch (const Json::parse_error& error) {
    const std::string_view what = error.what();  // "[json.exception.parse_error.101] parse error at ...: syntax error"
    fail(Fault::input, "{}: broken JSON at byte {}: {}", path, error.byte, what.substr(what.find("] ") + 2));
  } catch (const Json::exception& error) {  // a number that no double holds
    const std::string_view what = error.what();
    fail(Fault::input, "{}: broken JSON: {}", path, what.substr(what.find("] ") + 2));
  }
}

}  // namespace

struct Config::Node {
  std::shared_ptr<const Json> document;  // keeps `object` alive
  const Json* object;
  std::string path;

  const Json* find(std::string_view key) const {
    const auto found = object->find(key);
    return found == object->end() || found->is_null() ? nullptr : &*found;
  }
  const Json& at(std::string_view key) const {
    const Json* const value = find(key);
    if (value == nullptr) fail(Fault::input, "{}: {} is missing", path, key);
    return *value;
  }
  [[noreturn]] void mistyped(std::string_view key, const Json& value, std::string_view expected) const {
    fail(Fault::input, "{}: {} is {}, expected {}", path, key, shown(value), expected);
  }

  std::int64_t integer(std::string_view key, const Json& value) const {
    // 2^63 and more is kept as unsigned; it would turn negative here.
    if (!value.is_number_integer() || (value.is_number_unsigned() && value.get<std::uint64_t>() >> 63 != 0))
      mistyped(key, value, "an integer");
    return value.get<std::int64_t>();
  }
  double number(std::string_view key, const Json& value) const {
    if (!value.is_number()) mistyped(key, value, "a number");
    return value.get<double>();
  }
  bool boolean(std::string_view key, const Json& value) const {
    if (!value.is_boolean()) mistyped(key, value, "true or false");
    return value.get<bool>();
  }
  std::string text(std::string_view key, const Json& value) const {
    if (!value.is_string()) mistyped(key, value, "a string");
    return value.get<std::string>();
  }
};

Config::Config(std::shared_ptr<const Node> node) : node_(std::move(node)) {}

Config Config::parse(std::string_view json, std::string path) {
  if (json.starts_with("\xEF\xBB\xBF"))
    fail(Fault::input, "{}: begins with a byte order mark; JSON has none, remove it", path);
  auto document = std::make_shared<const Json>(parse_strictly(json, path));
  if (!document->is_object()) fail(Fault::input, "{}: is {}, expected a JSON object", path, shown(*document));
  const Json* const object = document.get();
  return Config(std::make_shared<const Node>(Node{std::move(document), object, std::move(path)}));
}

Config Config::load(const std::string& path) {
  const std::uint64_t bytes = InputFile(path).size();
  if (bytes > max_config_bytes)
    fail(Fault::input, "{}: has {} bytes, the limit for such a file is {}", path, bytes, max_config_bytes);
  return parse(read_text(path), path);
}

std::int64_t Config::integer(std::string_view key) const { return node_->integer(key, node_->at(key)); }
double Config::number(std::string_view key) const { return node_->number(key, node_->at(key)); }
bool Config::boolean(std::string_view key) const { return node_->boolean(key, node_->at(key)); }
std::string Config::text(std::string_view key) const { return node_->text(key, node_->at(key)); }

Config Config::section(std::string_view key) const {
  const Json& value = node_->at(key);
  if (!value.is_object()) node_->mistyped(key, value, "an object");
  return Config(std::make_shared<const Node>(Node{node_->document, &value, fmt::format("{}: {}", node_->path, key)}));
}

std::vector<std::int64_t> Config::integers(std::string_view key) const {
  const Json& value = node_->at(key);
  if (!value.is_array()) node_->mistyped(key, value, "an array of integers");
  std::vector<std::int64_t> items;
  for (std::size_t i = 0; i < value.size(); ++i)
    items.push_back(node_->integer(fmt::format("{}[{}]", key, i), value[i]));
  return items;
}

std::vector<std::string> Config::texts(std::string_view key) const {
  const Json& value = node_->at(key);
  if (!value.is_array()) node_->mistyped(key, value, "an array of strings");
  std::vector<std::string> items;
  for (std::size_t i = 0; i < value.size(); ++i) items.push_back(node_->text(fmt::format("{}[{}]", key, i), value[i]));
  return items;
}

std::int64_t Config::integer_or(std::string_view key, std::int64_t otherwise) const {
  return has(key) ? integer(key) : otherwise;
}
double Config::number_or(std::string_view key, double otherwise) const { return has(key) ? number(key) : otherwise; }
bool Config::boolean_or(std::string_view key, bool otherwise) const { return has(key) ? boolean(key) : otherwise; }
std::string Config::text_or(std::string_view key, std::string_view otherwise) const {
  return has(key) ? text(key) : std::string(otherwise);
}

bool Config::has(std::string_view key) const { return node_->find(key) != nullptr; }

std::vector<std::string> Config::keys() const {
  std::vector<std::string> names;
  for (const auto& item : node_->object->items()) names.push_back(item.key());
  return names;
}

std::string Config::dump(std::string_view key) const {
  const auto found = node_->object->find(key);
  if (found == node_->object->end()) fail(Fault::input, "{}: {} is missing", node_->path, key);
  return found->dump();
}

const std::string& Config::path() const { return node_->path; }

Config text_config(const Config& config) { return config.has("text_config") ? config.section("text_config") : config; }

}  // namespace strata
