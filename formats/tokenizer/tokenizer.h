// tokenizer.json in C++: byte-level BPE (GPT-2, Llama-3, Qwen2 splits) and SentencePiece-style BPE (byte
// fallback, Metaspace, prepend/replace). Ids equal those of Hugging Face tokenizers.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace strata {

using TokenId = std::int32_t;

// Thread-safe after construction.
class Tokenizer {
 public:
  struct Model;

  // The file by itself. Error{input} naming the part of it that is unknown or broken.
  static Tokenizer load(const std::string& tokenizer_json_path);

  // With ids as those of transformers' AutoTokenizer on a model's folder: tokens that other files declare count too,
  // and some classes bring rules of their own. Error{input} for what would make the ids differ.
  static Tokenizer of_folder(const std::string& directory);

  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;

  // Error{input} with the byte offset when the text is not valid UTF-8.
  std::vector<TokenId> encode(std::string_view text, bool add_special_tokens) const;

  std::optional<TokenId> id_of(std::string_view token) const;  // added tokens too
  std::int64_t vocabulary_size() const;                        // largest id + 1

  // Of a folder: "bos_token" and the like, as chat templates see them.
  const std::map<std::string, std::string>& special_tokens() const;

 private:
  explicit Tokenizer(std::unique_ptr<const Model> model);
  std::unique_ptr<const Model> model_;
};

}  // namespace strata
