#include "formats/tokenizer/declared_tokens.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <tuple>
#include <unordered_set>

#include "base/error.h"

namespace strata::tokenizer {
namespace {

// In the order in which transformers adds them.
constexpr std::array<std::string_view, 7> usual_names = {"bos_token", "eos_token", "unk_token", "sep_token",
                                                         "pad_token", "cls_token", "mask_token"};

bool is_usual(std::string_view name) { return std::ranges::find(usual_names, name) != usual_names.end(); }

constexpr std::string_view way_out =
    "transformers does not load it; mend the file, or pass token ids in a .safetensors";

DeclaredToken read_object(const JsonPart& part) {
  part.allow_only({"__type", "id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
  DeclaredToken token{.content = std::string(part.text("content")),
                      .is_object = true,
                      .single_word = part.boolean_or("single_word", false),
                      .lstrip = part.boolean_or("lstrip", false),
                      .rstrip = part.boolean_or("rstrip", false),
                      .special = part.boolean_or("special", false)};
  if (part.find("normalized")) token.normalized = part.boolean("normalized");
  return token;
}

// A token of tokenizer_config.json: an object must say that it is one.
DeclaredToken read_token(const JsonPart& part) {
  if (part.is_text()) return {.content = std::string(part.text())};
  if (!part.is_object() || !part.find("__type"))
    fail(Fault::input, "{} is {}, not a string and no object with \"__type\": \"AddedToken\"; {}", part.where(),
         std::string(simdjson::minify(part.element())).substr(0, 80), way_out);
  return read_object(part);
}

// Collects what the files say; each member is a variable of transformers' _from_pretrained.
class Reader {
 public:
  explicit Reader(const TokenizerFiles& files) : files_(files) {}

  DeclaredTokens read(const TokenizerClass& type) {
    if (files_.settings != nullptr) read_settings(*files_.settings);
    const bool numbered = files_.settings != nullptr && has_key(*files_.settings, "added_tokens_decoder");
    if (numbered) {
      for (const auto& [id, part] : files_.settings->at("added_tokens_decoder").fields())
        number(id, read_object(part), part.where(), true);
    } else {
      read_older_files();
    }
    for (const auto& [name, token] : type.special_tokens)
      usual_.try_emplace(std::string(name), DeclaredToken{.content = std::string(token)});
    if (const auto padding = files_.tokenizer->find("padding");
        padding && padding->is_object() && padding->find("pad_token"))
      usual_.try_emplace("pad_token", DeclaredToken{.content = std::string(padding->text("pad_token"))});
    DeclaredTokens declared;
    for (const std::string_view name : usual_names)
      if (const auto found = usual_.find(name); found != usual_.end() && found->second)
        declared.named.emplace_back(name, *found->second);
    for (const auto* list : {&automatic_, &specific_})
      for (const auto& [name, token] : *list) set(declared.named, name, token);
    declared.extra = std::move(extra_);
    declared.numbered = std::move(numbered_);
    return declared;
  }

 private:
  using Named = std::vector<std::pair<std::string, DeclaredToken>>;

  static bool has_key(const JsonPart& part, std::string_view key) {
    return std::ranges::any_of(part.fields(), [&](const auto& field) { return field.first == key; });
  }

  // As a Python dict: a name that is there keeps its place.
  static void set(Named& named, std::string_view name, const DeclaredToken& token) {
    const auto found = std::ranges::find(named, name, &std::pair<std::string, DeclaredToken>::first);
    if (found == named.end())
      named.emplace_back(name, token);
    else
      found->second = token;
  }

  void set_usual(std::string_view name, const JsonPart& part, const DeclaredToken& token) {
    usual_[std::string(name)] = part.is_null() ? std::nullopt : std::optional(token);
  }

  void read_named(const JsonPart& object, Named& named) {
    for (const auto& [name, part] : object.fields()) set(named, name, read_token(part));
  }

  void read_extra(const JsonPart& part) {
    if (part.is_null()) return;
    if (part.is_object()) return read_named(part, specific_);
    for (const JsonPart& item : part.items()) extra_.push_back(read_token(item));
  }

  void read_settings(const JsonPart& settings) {
    std::optional<JsonPart> extra, additional, specific;
    for (const auto& [key, part] : settings.fields()) {
      if (key == "extra_special_tokens") extra = part;
      if (key == "additional_special_tokens") additional = part;
      if (key == "model_specific_special_tokens") specific = part;
      if (!key.ends_with("_token")) continue;
      if (is_usual(key))
        set_usual(key, part, part.is_null() ? DeclaredToken{} : read_token(part));
      else if (part.is_text())
        set(specific_, key, read_token(part));
      else if (part.is_object() && part.find("__type"))
        set(automatic_, key, read_token(part));
    }
    if (!extra) extra = additional;
    if (extra) read_extra(*extra);
    has_extra_ = extra && !extra->is_object();
    if (specific_.empty() && specific && !specific->is_null()) read_named(*specific, specific_);
  }

  // special_tokens_map.json wins over tokenizer_config.json.
  void read_special_tokens_map(const JsonPart& map) {
    std::optional<JsonPart> extra;
    for (const auto& [key, part] : map.fields()) {
      if (key == "extra_special_tokens") extra = part;
      if (!key.ends_with("_token")) continue;
      DeclaredToken token;
      if (part.is_object()) {
        token = read_object(part);
        token.special = true;
      } else if (!part.is_null()) {
        token.content = part.text();
      }
      if (is_usual(key))
        set_usual(key, part, token);
      else if (!part.is_null())
        set(automatic_, key, token);
    }
    if (extra && extra->is_object()) {
      read_named(*extra, specific_);
      extra_.clear();
    } else if (extra && extra->is_array()) {
      for (const JsonPart& item : extra->items()) {
        DeclaredToken token = item.is_object() ? read_object(item) : read_token(item);
        token.special = token.special || token.is_object;
        if (std::ranges::find(extra_, token) == extra_.end()) extra_.push_back(token);
      }
    } else if (extra) {
      extra_.clear();
    }
    if (extra) has_extra_ = !extra->is_object();
  }

  void read_older_files() {
    if (files_.special_tokens_map != nullptr) read_special_tokens_map(*files_.special_tokens_map);
    if (files_.added_tokens != nullptr) {
      std::unordered_set<std::string> special;
      for (const auto& [name, token] : usual_)
        if (token) special.insert(token->content);
      for (const DeclaredToken& token : extra_) special.insert(token.content);
      for (const auto& [content, part] : files_.added_tokens->fields()) {
        const bool is_special = special.contains(std::string(content));
        numbered_.insert_or_assign(part.id(), DeclaredTokens::Numbered{.token = {.content = std::string(content),
                                                                                 .is_object = true,
                                                                                 .special = is_special,
                                                                                 .normalized = !is_special},
                                                                       .where = part.where(),
                                                                       .checked = true});
      }
    }
    // Only now: for added_tokens.json these are not special.
    if (files_.special_tokens_map != nullptr && !has_extra_)
      for (const auto& [key, part] : files_.special_tokens_map->fields())
        if (key == "additional_special_tokens") read_extra(part);
    if (const auto list = files_.tokenizer->find("added_tokens"))
      for (const JsonPart& item : list->items())
        numbered_.insert_or_assign(
            item.at("id").id(),
            DeclaredTokens::Numbered{.token = read_object(item), .where = item.where(), .checked = false});
  }

  void number(std::string_view id, const DeclaredToken& token, const std::string& where, bool checked) {
    std::int32_t number = -1;
    const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), number);
    if (error != std::errc() || end != id.data() + id.size() || number < 0)
      fail(Fault::input, "{}: \"{}\" is not a token id; {}", where, id, way_out);
    numbered_.insert_or_assign(number, DeclaredTokens::Numbered{.token = token, .where = where, .checked = checked});
  }

  const TokenizerFiles& files_;
  std::map<std::string, std::optional<DeclaredToken>, std::less<>>
      usual_;  // nullopt: named null, which undoes a default
  Named automatic_, specific_;
  std::vector<DeclaredToken> extra_;
  bool has_extra_ = false;  // a file has a list of extra tokens, be it empty: additional ones do not count then
  std::map<std::int64_t, DeclaredTokens::Numbered> numbered_;
};

}  // namespace

AddedToken DeclaredToken::settings() const {
  return {.content = content,
          .single_word = single_word,
          .lstrip = lstrip,
          .rstrip = rstrip,
          .normalized = normalized.value_or(!special),
          .special = special};
}

bool DeclaredToken::operator==(const DeclaredToken& other) const {
  return is_object == other.is_object && settings().same_as(other.settings());
}

const std::string* DeclaredTokens::find(std::string_view name) const {
  const auto found = std::ranges::find(named, name, &std::pair<std::string, DeclaredToken>::first);
  return found == named.end() ? nullptr : &found->second.content;
}

DeclaredTokens read_declared_tokens(const TokenizerFiles& files, const TokenizerClass& type) {
  return Reader(files).read(type);
}

void add_declared_tokens(const DeclaredTokens& declared, const TokenizerClass& type, const BaseVocabulary& vocabulary,
                         AddedTokens& added) {
  std::vector<DeclaredToken> wanted;
  std::unordered_set<std::string> known;
  for (const AddedToken& token : added.tokens()) known.insert(token.content);
  for (const auto& [id, numbered] : declared.numbered) {
    const AddedToken* const there = added.find(numbered.token.content);
    if (there == nullptr || !there->same_as(numbered.token.settings())) wanted.push_back(numbered.token);
  }
  for (const DeclaredToken& token : wanted) known.insert(token.content);
  const auto want = [&](const DeclaredToken& token) {
    if (!known.contains(token.content) && std::ranges::find(wanted, token) == wanted.end()) wanted.push_back(token);
  };
  std::unordered_set<std::string> names;
  for (const auto& [name, token] : declared.named) {
    want(token);
    names.insert(token.content);
  }
  for (const DeclaredToken& token : declared.extra) want(token);
  std::vector<AddedToken> tokens;
  for (DeclaredToken& token : wanted) {
    token.special = token.special || !token.is_object || names.contains(token.content);
    tokens.push_back(token.settings());
  }
  added.add(tokens, vocabulary, "tokenizer_config.json");
  if (type.adds_special_tokens) {
    tokens.clear();
    for (const auto& [name, token] : declared.named) tokens.push_back({.content = token.content, .special = true});
    for (const DeclaredToken& token : declared.extra) tokens.push_back({.content = token.content, .special = true});
    added.add(tokens, vocabulary, type.name);
  }
  for (const auto& [id, numbered] : declared.numbered) {
    const AddedToken* const token = added.find(numbered.token.content);
    if (!numbered.checked || token == nullptr || token->id == id) continue;
    fail(Fault::input,
         "{}: says that token {} has id {}, but transformers gives it {}; name it in tokenizer.json with its id in the "
         "vocabulary, or pass token ids in a .safetensors file instead",
         numbered.where, numbered.token.content, id, token->id);
  }
}

}  // namespace strata::tokenizer
