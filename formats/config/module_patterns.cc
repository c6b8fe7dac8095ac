#include "formats/config/module_patterns.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <tuple>

#include "base/error.h"

namespace strata {
namespace {

constexpr std::string_view any_prefix = "^(?:model[.])?(?:language_model[.])?(?:model[.])?";
constexpr std::string_view any_number = "[0-9]+";
using Layers = std::set<std::int64_t>;

// "layers" 3 "mlp.experts.[0-9]+" "gate_proj"; without a number in the name, layer is -1 and head empty.
struct ModuleName {
  std::string head, parent, leaf;
  std::int64_t layer = -1;
  bool expert = false;
};

std::optional<std::int64_t> number(std::string_view part) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
  if (error != std::errc() || end != part.data() + part.size() || value < 0) return std::nullopt;
  return value;
}

std::string_view without_known_prefix(std::string_view module) {
  for (const std::string_view prefix : {"model.", "language_model.", "model."})
    if (module.starts_with(prefix)) module.remove_prefix(prefix.size());
  return module;
}

std::string escaped(std::string_view part) {
  // transformers takes the first group whose targets mention "experts" for that of the routed ones.
  if (const std::size_t at = part.find("experts"); at != part.npos && part != "experts")
    return escaped(part.substr(0, at)) + "expert[s]" + escaped(part.substr(at + 7));
  std::string text;
  for (const char c : part) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    if (plain)
      text += c;
    else if (c == '^' || c == '\\')
      text.append({'\\', c});
    else
      text.append({'[', c, ']'});
  }
  return text;
}

void append(std::string& path, std::string_view part) {
  if (!path.empty()) path += "[.]";
  path += part;
}

// `numbered`: an expert keeps its number.
ModuleName parse(std::string_view module, bool numbered = false) {
  ModuleName name;
  std::string before;  // the component that was read last
  std::string_view rest = without_known_prefix(module);
  while (true) {
    const std::size_t dot = rest.find('.');
    const std::string_view part = rest.substr(0, dot);
    if (dot == rest.npos) {
      name.leaf = escaped(part);
      return name;
    }
    const std::optional<std::int64_t> index = number(part);
    if (index && before == "experts") {
      append(name.parent, numbered ? part : any_number);
      name.expert = true;
    } else if (index && name.layer < 0) {
      name.layer = *index;
      name.head.swap(name.parent);
    } else {
      append(name.parent, part == "experts" ? std::string(part) : escaped(part));
    }
    before = part;
    rest.remove_prefix(dot + 1);
  }
}

std::string alternatives(const std::vector<std::string>& words) {
  if (words.size() == 1) return words.front();
  std::string text = "(?:";
  for (const std::string& word : words) text.append(text.size() > 3 ? "|" : "").append(word);
  return text + ")";
}

// Layers of every leaf of one parent, in order of appearance.
struct Leaves {
  std::vector<std::string> order;
  std::map<std::string, Layers> layers;

  void add(const std::string& leaf, std::int64_t layer) {
    Layers& of_leaf = layers[leaf];
    if (of_leaf.empty()) order.push_back(leaf);
    of_leaf.insert(layer);
  }
};

using Place = std::pair<std::string, std::string>;  // head, parent

void append_patterns(const Place& place, const Leaves& leaves, std::vector<std::string>& patterns) {
  std::set<std::string> done;
  for (const std::string& first : leaves.order) {
    if (done.contains(first)) continue;
    const Layers& layers = leaves.layers.at(first);
    std::vector<std::string> words, numbers;
    for (const std::string& leaf : leaves.order)
      if (leaves.layers.at(leaf) == layers) words.push_back(leaf);
    done.insert(words.begin(), words.end());
    for (const std::int64_t layer : layers) numbers.push_back(std::to_string(layer));
    std::string path = place.first;
    if (*layers.begin() >= 0) append(path, alternatives(numbers));
    if (!place.second.empty()) append(path, place.second);
    append(path, alternatives(words));
    // A head stands under the prefix of its wrapper, whatever that is.
    const bool head = path == "lm_head";
    patterns.push_back("re:" + (head ? "^(?:.*[.])?" : std::string(any_prefix)) + path + "$");
  }
}

// What must be of one class, with the first module seen there.
class SharedClasses {
 public:
  // `what` names the served matrix: "qkv_proj", "experts".
  void check(const std::string& key, const ClassedModule& module, std::string_view what) {
    const auto [place, is_new] = first_.try_emplace(key, &module);
    const ClassedModule& other = *place->second;
    if (is_new || other.format_class == module.format_class) return;
    fail(Fault::usage, "{}: is {} but {} is {}; they are served as one ({}), give them the same scheme", module.module,
         module.class_name, other.module, other.class_name, what);
  }

 private:
  std::map<std::string, const ClassedModule*> first_;
};

std::string place_of(const ModuleName& name) {
  return name.head + "|" + std::to_string(name.layer) + "|" + name.parent + "|";
}

// Experts of a layer that are of several classes.
std::set<std::string> mixed_places(std::span<const ClassedModule> modules) {
  std::map<std::string, std::size_t> first;
  std::set<std::string> mixed;
  for (const ClassedModule& module : modules)
    if (const ModuleName name = parse(module.module); name.expert)
      if (first.try_emplace(place_of(name), module.format_class).first->second != module.format_class)
        mixed.insert(place_of(name));
  return mixed;
}

}  // namespace

std::vector<std::vector<std::string>> module_patterns(std::span<const ClassedModule> modules, std::size_t classes,
                                                      bool mixed_experts) {
  const std::set<std::string> mixed = mixed_experts ? mixed_places(modules) : std::set<std::string>();
  std::vector<std::map<Place, Leaves>> by_class(classes);
  SharedClasses shared;
  for (const ClassedModule& module : modules) {
    ModuleName name = parse(module.module);
    if (mixed.contains(place_of(name))) name = parse(module.module, true);
    const std::string place = place_of(name);
    if (name.expert)
      shared.check(place, module, "experts");
    else if (!module.fused_name.empty())
      shared.check(place + module.fused_name, module, module.fused_name);
    Leaves& leaves = by_class[module.format_class][{name.head, name.parent}];
    leaves.add(name.leaf, name.layer);
    for (const std::string& alias : module.aliases) leaves.add(escaped(alias), name.layer);
  }
  std::vector<std::vector<std::string>> patterns(classes);
  for (std::size_t c = 0; c < classes; ++c)
    for (const auto& [place, leaves] : by_class[c]) append_patterns(place, leaves, patterns[c]);
  return patterns;
}

std::string pattern_below(std::string_view prefix) {
  const std::string_view path = without_known_prefix(prefix);
  if (path.empty()) fail(Fault::bug, "{}: is no prefix of a section", prefix);
  return "re:" + std::string(any_prefix) + escaped(path) + ".*";
}

}  // namespace strata
