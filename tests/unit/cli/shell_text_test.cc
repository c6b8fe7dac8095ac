#include "cli/shell_text.h"

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "base/file.h"
#include "tests/support/temporary_folder.h"

namespace strata {
namespace {

// What a shell understands, as the judge.
std::string printed_by(const std::string& shell, const std::string& word) {
  const test::TemporaryFolder folder;
  const std::string script = folder.path() + "/script";
  write_text(script, "printf %s " + word + "\n");
  std::FILE* const pipe = popen((shell + " " + script).c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string text;
  std::array<char, 256> block;
  while (const std::size_t n = std::fread(block.data(), 1, block.size(), pipe)) text.append(block.data(), n);
  REQUIRE(pclose(pipe) == 0);
  return text;
}

TEST_CASE("a shell reads back every word that is printed for it") {
  std::vector<std::string> words = {"llama",
                                    "my out",
                                    "it's",
                                    "re:.*down_proj=FP8",
                                    "$HOME",
                                    "`id`",
                                    "a\\b",
                                    "*",
                                    "~",
                                    "--x=y",
                                    "#",
                                    "a\"b",
                                    "!!",
                                    "a\tb",
                                    "line\nbreak's \\",
                                    "\x01"
                                    "1f",
                                    "caf\xc3\xa9",
                                    "-dash",
                                    "--",
                                    "=ls",
                                    "100%\n%s",
                                    "!x\ty",
                                    "-n\nx",
                                    "\xff\xfe",
                                    "caf\xc3\xa9\n!"};
  for (int c = 1; c < 128; ++c) words.push_back(std::string("a") + static_cast<char>(c) + "b");
  for (const std::string& word : words) {
    INFO(word);
    const std::string quoted = shell_word(word);
    CHECK(printed_by("sh", quoted) == word);
    CHECK(printed_by("bash", quoted) == word);
    CHECK(quoted.find_first_of("\n\t\x01\x7f\xff") == std::string::npos);
  }
  // The one word that only bash, zsh and ksh read.
  CHECK(printed_by("bash", shell_word("ends\n") + "'.'") == "ends\n.");
  CHECK(shell_word("") == "''");
  CHECK(shell_word("plain-word_1.2") == "plain-word_1.2");
}

TEST_CASE("a path is never taken for an option") {
  CHECK(shell_path("-out") == "./-out");
  CHECK(shell_path("--force") == "./--force");
  CHECK(shell_path("-my out") == "'./-my out'");
  CHECK(shell_path("a/-out") == "a/-out");
  CHECK(shell_path("/a/b") == "/a/b");
}

TEST_CASE("a command line is its words, quoted where they must be") {
  const std::vector<std::string> words = {"llama", "-o", "my out"};
  CHECK(shell_command("quantize", words) == "strata quantize llama -o 'my out'");
}

}  // namespace
}  // namespace strata
