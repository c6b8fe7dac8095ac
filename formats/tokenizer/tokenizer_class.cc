#include "formats/tokenizer/tokenizer_class.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "formats/tokenizer/registered_classes.h"

namespace strata::tokenizer {
namespace {

using Names = std::pair<std::string_view, std::string_view>;

std::optional<JsonPart> field(const JsonPart* part, std::string_view key) {
  return part == nullptr ? std::nullopt : part->find(key);
}

bool add_prefix_space(const JsonPart* settings, bool otherwise) {
  return field(settings, "add_prefix_space") ? settings->boolean("add_prefix_space") : otherwise;
}

std::string byte_level(const JsonPart* settings, bool use_regex) {
  return fmt::format(R"({{"type": "ByteLevel", "add_prefix_space": {}, "trim_offsets": true, "use_regex": {}}})",
                     add_prefix_space(settings, false), use_regex);
}

// As LlamaTokenizer reads them: without `legacy` it is false, a null one too.
std::string llama_metaspace(const JsonPart* settings) {
  const bool legacy = field(settings, "legacy") && settings->boolean("legacy");
  const char* const prepend = !add_prefix_space(settings, true) ? "never" : legacy ? "always" : "first";
  return fmt::format(R"({{"type": "Metaspace", "replacement": "{}", "prepend_scheme": "{}", "split": false}})",
                     "\xE2\x96\x81", prepend);
}

// `letters` and `marked` stand for what letters are made of: with combining marks or without.
std::string qwen_split(std::string_view letters, std::string_view marked, const JsonPart* settings) {
  const std::string pattern = fmt::format(
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{{L}}\\p{{N}}]?{}+|\\p{{N}}| ?[^\\s\\p{{L}}{}\\p{{N}}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+)",
      letters, marked);
  return fmt::format(
      R"({{"type": "Sequence", "pretokenizers": [{{"type": "Split", "pattern": {{"Regex": "{}"}}, "behavior": "Isolated", "invert": false}}, {}]}})",
      pattern, byte_level(settings, false));
}

std::string no_normalizer() { return "null"; }
std::string nfc() { return R"({"type": "NFC"})"; }
std::string blanks_for_spaces() {
  return fmt::format(R"({{"type": "Replace", "pattern": {{"String": " "}}, "content": "{}"}})", "\xE2\x96\x81");
}

std::string llama_words(const JsonPart* settings) { return llama_metaspace(settings); }
std::string gpt2_words(const JsonPart* settings) { return byte_level(settings, true); }
std::string qwen2_words(const JsonPart* settings) { return qwen_split(R"(\\p{L})", "", settings); }
std::string qwen3_5_words(const JsonPart* settings) { return qwen_split(R"([\\p{L}\\p{M}])", R"(\\p{M})", settings); }
std::string gemma_words(const JsonPart*) {
  return R"({"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": false})";
}

constexpr std::array<Names, 3> llama_tokens = {{{"unk_token", "<unk>"}, {"bos_token", "<s>"}, {"eos_token", "</s>"}}};
constexpr std::array<Names, 3> qwen_tokens = {
    {{"unk_token", "<|endoftext|>"}, {"eos_token", "<|endoftext|>"}, {"pad_token", "<|endoftext|>"}}};
constexpr std::array<Names, 3> gpt2_tokens = {
    {{"unk_token", "<|endoftext|>"}, {"bos_token", "<|endoftext|>"}, {"eos_token", "<|endoftext|>"}}};
constexpr std::array<Names, 4> neox_tokens = {{{"unk_token", "<|endoftext|>"},
                                               {"bos_token", "<|endoftext|>"},
                                               {"eos_token", "<|endoftext|>"},
                                               {"pad_token", "<|padding|>"}}};
constexpr std::array<Names, 5> gemma_tokens = {{{"unk_token", "<unk>"},
                                                {"bos_token", "<bos>"},
                                                {"eos_token", "<eos>"},
                                                {"pad_token", "<pad>"},
                                                {"mask_token", "<mask>"}}};

// What takes the file as it is, then the classes of language models that do not.
const std::array<TokenizerClass, 7>& classes() {
  static const std::array<TokenizerClass, 7> all = {{
      {.name = "TokenizersBackend", .model_types = registered::as_they_are},
      {.name = "LlamaTokenizer",
       .model_types = "idefics idefics2",
       .normalizer = no_normalizer,
       .pre_tokenizer = llama_words,
       .model = {.fuse_unknown = true, .byte_fallback = true},
       .special_tokens = llama_tokens},
      {.name = "Qwen2Tokenizer",
       .model_types = registered::qwen2,
       .normalizer = nfc,
       .pre_tokenizer = qwen2_words,
       .adds_special_tokens = true,
       .special_tokens = qwen_tokens},
      {.name = "Qwen3_5Tokenizer",
       .model_types = "qwen3_5 qwen3_5_moe",
       .normalizer = nfc,
       .pre_tokenizer = qwen3_5_words,
       .special_tokens = qwen_tokens},
      {.name = "GPT2Tokenizer",
       .model_types = registered::gpt2,
       .normalizer = no_normalizer,
       .pre_tokenizer = gpt2_words,
       .special_tokens = gpt2_tokens},
      {.name = "GPTNeoXTokenizer",
       .model_types = registered::gpt_neox,
       .normalizer = nfc,
       .pre_tokenizer = gpt2_words,
       .special_tokens = neox_tokens},
      {.name = "GemmaTokenizer",
       .model_types = registered::gemma,
       .normalizer = blanks_for_spaces,
       .pre_tokenizer = gemma_words,
       .model = {.fuse_unknown = true, .byte_fallback = true},
       .unknown_is_token = true,
       .special_tokens = gemma_tokens},
  }};
  return all;
}

bool contains_word(std::string_view words, std::string_view word) {
  for (std::size_t begin = 0; begin < words.size();) {
    const std::size_t end = std::min(words.find(' ', begin), words.size());
    if (words.substr(begin, end - begin) == word) return true;
    begin = end + 1;
  }
  return false;
}

std::string_view without_fast(std::string_view name) {
  if (name.ends_with("Fast")) name.remove_suffix(4);
  return name;
}

[[noreturn]] void refuse(const std::string& where, std::string_view name) {
  fail(Fault::input,
       "{}: transformers reads it with its class {}, by rules that are not in tokenizer.json and not known here; pass "
       "token ids in a .safetensors file instead",
       where, name);
}

// What transformers knows by that name; a name that it does not know takes the file as it is.
const TokenizerClass& class_named(std::string_view name, const std::string& where) {
  const std::string_view stem = without_fast(name);
  const auto found = std::ranges::find(classes(), stem, &TokenizerClass::name);
  if (found != classes().end()) return *found;
  if (contains_word(registered::other_classes, stem)) refuse(where, stem);
  return classes().front();
}

std::string text_of(const JsonPart* part, std::string_view key) {
  return field(part, key) ? std::string(part->text(key)) : std::string();
}

// tokenizer_config.json names a Python class of the model's own (`auto_map`: a list, or an object of lists).
bool names_program(const JsonPart* settings) {
  const std::optional<JsonPart> map = field(settings, "auto_map");
  return map && (map->is_array() || (map->is_object() && map->find("AutoTokenizer")));
}

}  // namespace

const TokenizerClass& auto_tokenizer_class(const JsonPart* settings, const JsonPart* config) {
  const std::string type = text_of(config, "model_type");
  const std::string own = text_of(settings, "tokenizer_class");
  const std::string hub = own.empty() ? text_of(config, "tokenizer_class") : own;
  const std::string where = settings != nullptr && !own.empty() ? settings->where() + "tokenizer_class " + own
                            : config != nullptr                 ? config->where() + "model_type " + type
                                                                : "tokenizer.json";
  if (without_fast(hub) == "MistralCommonBackend") refuse(where, hub);
  const bool mistrusted = contains_word(registered::with_wrong_class, type);
  const bool program = names_program(settings);
  if (program && !mistrusted)
    fail(Fault::input,
         "{}auto_map: the tokenizer is a program of the model's own, which is not run here; pass token ids in a "
         ".safetensors file instead",
         settings->where());
  const auto registered_class =
      std::ranges::find_if(classes(), [&](const TokenizerClass& one) { return contains_word(one.model_types, type); });
  const bool elsewhere = contains_word(registered::other_types, type);  // with a class that is not known here
  const bool is_registered = registered_class != classes().end() || elsewhere;
  const std::string_view registered_name = registered_class != classes().end() ? registered_class->name : "";
  if (!program && !hub.empty() && is_registered && registered_name != without_fast(hub)) {
    if (registered_name == classes().front().name) return classes().front();
    return class_named(mistrusted ? registered_name : hub, where);
  }
  if (!hub.empty()) return class_named(hub, where);
  if (elsewhere) refuse(where, "of " + type);
  return registered_class != classes().end() ? *registered_class : classes().front();
}

}  // namespace strata::tokenizer
