#include <simdjson.h>

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "base/file.h"
#include "formats/tokenizer/declared_tokens.h"
#include "formats/tokenizer/json_part.h"
#include "formats/tokenizer/model.h"
#include "formats/tokenizer/tokenizer_class.h"

namespace strata {

using tokenizer::JsonPart;
using tokenizer::TokenizerClass;

namespace {

// The same JSON with integers beyond 64 bits as floats: simdjson does not take them otherwise, and model_max_length of
// tokenizer_config.json often is one.
std::string with_wide_integers_as_floats(std::string_view json) {
  std::string out;
  bool in_text = false;
  for (std::size_t i = 0, end = 0; i < json.size(); i = end) {
    end = i + 1;
    if (in_text && json[i] == '\\') end = std::min(i + 2, json.size());
    if (json[i] == '"') in_text = !in_text;
    const bool number = !in_text && json[i] >= '0' && json[i] <= '9';
    if (number) end = std::min(json.find_first_not_of("0123456789.eE+-", i), json.size());
    const std::string_view part = json.substr(i, end - i);
    out += part;
    if (number && part.size() > 18 && part.find_first_of(".eE") == std::string_view::npos) out += "e0";
  }
  return out;
}

// A parsed file; parts of it live as long as it does.
class JsonFile {
 public:
  explicit JsonFile(const std::string& path) : text_(read_text(path)), root_(parse(path)) {}
  JsonFile(const std::string& name, std::string_view json) : text_(json), root_(parse(name)) {}
  JsonFile(const JsonFile&) = delete;
  const JsonPart* root() const { return &root_; }

 private:
  JsonPart parse(const std::string& name) {
    simdjson::dom::element element;
    auto error = parser_.parse(text_).get(element);
    if (error != simdjson::SUCCESS) {
      std::string other = with_wide_integers_as_floats(std::string_view(text_));
      if (other.size() != text_.size()) {
        text_ = simdjson::padded_string(other);
        error = parser_.parse(text_).get(element);
      }
    }
    if (error != simdjson::SUCCESS) fail(Fault::input, "{}: broken JSON: {}", name, simdjson::error_message(error));
    return {element, name + ": "};
  }
  simdjson::dom::parser parser_;
  simdjson::padded_string text_;
  JsonPart root_;
};

// Where the class of a folder brings a part of its own; the file's else.
std::optional<JsonPart> part_of(const JsonPart& root, std::string_view key, const std::optional<JsonFile>& own) {
  if (!own) return root.find(key);
  return own->root()->is_null() ? std::nullopt : std::optional(*own->root());
}

// Truncation and padding are for whoever asks transformers for them; text_notices() tells that they are not followed.
void check_top_level(const JsonPart& root) {
  root.allow_only({"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor",
                   "decoder", "model"});
  if (root.find("version") && root.text("version") != "1.0")
    fail(Fault::input, "{}version {} is not known, only 1.0", root.where(), root.text("version"));
}

// Settings that change ids in ways that are not followed here.
void refuse_settings(const JsonPart& settings) {
  constexpr std::string_view way_out = "pass token ids in a .safetensors file instead";
  if (settings.boolean_or("split_special_tokens", false))
    fail(Fault::input, "{}split_special_tokens is true: special tokens are cut like other text; {}", settings.where(),
         way_out);
  if (settings.boolean_or("fix_mistral_regex", false))
    fail(Fault::input, "{}fix_mistral_regex is true: transformers replaces the pre-tokenizer of tokenizer.json; {}",
         settings.where(), way_out);
  if (const auto files = settings.find("fast_tokenizer_files"))
    for (const JsonPart& file : files->items())
      if (file.text() != "tokenizer.json")
        fail(Fault::input, "{} is {}: the file depends on the version of transformers; {}", file.where(), file.text(),
             way_out);
}

bool has_byte_level(const JsonPart& pre_tokenizer) {
  if (pre_tokenizer.find("type") && pre_tokenizer.text("type") == "ByteLevel") return true;
  const auto parts = pre_tokenizer.find("pretokenizers");
  return parts && std::ranges::any_of(parts->items(), has_byte_level);
}

// A vocabulary of bytes, read by the rules of a class for one of characters, loses every blank and letter that it has
// no character for, without a word; and the other way round. (DeepSeek's distilled models name such a class.)
void refuse_other_alphabet(const JsonPart& root, const TokenizerClass& type, bool class_leaves_bytes) {
  const auto own = root.find("pre_tokenizer");
  if (!own || own->is_null() || has_byte_level(*own) == class_leaves_bytes) return;
  const char *const bytes = "bytes", *const characters = "characters";
  fail(Fault::input,
       "{}pre_tokenizer is of {}, but transformers reads it with its class {}, which is of {}, and loses text; where "
       "the "
       "file is right, \"tokenizer_class\": \"PreTrainedTokenizerFast\" in tokenizer_config.json has it read as it is",
       root.where(), class_leaves_bytes ? characters : bytes, type.name, class_leaves_bytes ? bytes : characters);
}

}  // namespace

// Everything that ids depend on; the parts that `type` brings are read in place of the file's.
static std::unique_ptr<Tokenizer::Model> build(const JsonPart& root, const TokenizerClass& type,
                                               const tokenizer::TokenizerFiles& files) {
  check_top_level(root);
  auto model = std::make_unique<Tokenizer::Model>();
  std::optional<JsonFile> own_normalizer, own_words;
  std::optional<tokenizer::BpeSettings> own_model;
  const bool of_folder = files.tokenizer != nullptr;
  tokenizer::DeclaredTokens declared;
  if (of_folder) declared = read_declared_tokens(files, type);
  if (type.rebuilds()) {
    const std::string name(type.name);
    own_normalizer.emplace(name + ": normalizer", type.normalizer());
    own_words.emplace(name + ": pre_tokenizer", type.pre_tokenizer(files.settings));
    own_model = type.model;
    if (const std::string* unknown = declared.find("unk_token"); type.unknown_is_token && unknown != nullptr)
      own_model->unknown = *unknown;
  }
  if (const auto part = part_of(root, "normalizer", own_normalizer))
    model->normalizer = tokenizer::Normalizer::parse(*part);
  if (const auto part = part_of(root, "pre_tokenizer", own_words))
    model->pre_tokenizer = tokenizer::PreTokenizer::parse(*part);
  if (type.rebuilds()) refuse_other_alphabet(root, type, model->pre_tokenizer.leaves_bytes());
  model->bpe = tokenizer::Bpe::parse(root.at("model"), model->pre_tokenizer.leaves_bytes(), own_model);
  const tokenizer::BaseVocabulary vocabulary{.size = model->bpe.size(),
                                             .id_of = [&](std::string_view token) { return model->bpe.id_of(token); }};
  if (const auto part = root.find("added_tokens"); part && !type.rebuilds()) model->added.read(*part, vocabulary);
  if (of_folder) add_declared_tokens(declared, type, vocabulary, model->added);
  model->added.index(model->normalizer, root.where() + "added_tokens");
  if (const auto part = root.find("post_processor")) model->post_processor = tokenizer::PostProcessor::parse(*part);
  for (const auto& [name, token] : declared.named) model->special_tokens.emplace(name, token.content);
  return model;
}

Tokenizer Tokenizer::load(const std::string& tokenizer_json_path) {
  const JsonFile file(tokenizer_json_path);
  static const TokenizerClass as_it_is = {.name = "TokenizersBackend"};
  return Tokenizer(build(*file.root(), as_it_is, {}));
}

Tokenizer Tokenizer::of_folder(const std::string& directory) {
  const JsonFile file(join_path(directory, "tokenizer.json"));
  std::optional<JsonFile> settings, special_tokens_map, added_tokens, config;
  const auto open = [&](std::optional<JsonFile>& into, const char* name) -> const JsonPart* {
    const std::string path = join_path(directory, name);
    if (!exists(path)) return nullptr;
    return into.emplace(path).root();
  };
  const tokenizer::TokenizerFiles files{.tokenizer = file.root(),
                                        .settings = open(settings, "tokenizer_config.json"),
                                        .special_tokens_map = open(special_tokens_map, "special_tokens_map.json"),
                                        .added_tokens = open(added_tokens, "added_tokens.json")};
  if (files.settings != nullptr) refuse_settings(*files.settings);
  return Tokenizer(build(*file.root(), auto_tokenizer_class(files.settings, open(config, "config.json")), files));
}

}  // namespace strata
