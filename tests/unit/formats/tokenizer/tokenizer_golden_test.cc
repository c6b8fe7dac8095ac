// Ids against those that Hugging Face tokenizers gave (tests/oracle/write_tokenizer_goldens.py).
#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "formats/tokenizer/tokenizer.h"
#include "tests/support/source_folder.h"
#include "tests/support/temporary_folder.h"

using namespace strata;

namespace {

const std::string folder = test::in_source("tests/golden/tokenizer");

void check_cases(const Tokenizer& tokenizer, const nlohmann::json& golden) {
  for (const auto& example : golden["cases"]) {
    const auto text = example["text"].get<std::string>();
    INFO("text: " << example["text"].dump());
    CHECK(tokenizer.encode(text, false) == example["ids"].get<std::vector<TokenId>>());
    CHECK(tokenizer.encode(text, true) == example["special"].get<std::vector<TokenId>>());
  }
}

Tokenizer load(const nlohmann::json& golden) {
  const test::TemporaryFolder temporary;
  const std::string path = temporary.file("tokenizer.json");
  write_text(path, golden["tokenizer"].dump());
  return Tokenizer::load(path);
}

}  // namespace

TEST_CASE("ids equal those of Hugging Face tokenizers on every golden tokenizer") {
  std::size_t files = 0;
  for (const DirectoryEntry& entry : list_directory(folder)) {
    INFO(entry.name);
    const nlohmann::json golden = nlohmann::json::parse(read_text(join_path(folder, entry.name)));
    check_cases(load(golden), golden);
    ++files;
  }
  CHECK(files >= 10);
}

TEST_CASE("one tokenizer gives the same ids to many threads at once") {
  const nlohmann::json golden = nlohmann::json::parse(read_text(join_path(folder, "llama3.json")));
  const Tokenizer tokenizer = load(golden);
  std::vector<std::string> texts;
  std::vector<std::vector<TokenId>> wanted;
  for (const auto& example : golden["cases"]) {
    texts.push_back(example["text"].get<std::string>());
    wanted.push_back(example["ids"].get<std::vector<TokenId>>());
  }
  std::vector<int> wrong(4, 0);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < wrong.size(); ++t)
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; i < texts.size(); ++i) wrong[t] += tokenizer.encode(texts[i], false) != wanted[i];
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == std::vector<int>(4, 0));
}
