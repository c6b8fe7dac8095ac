#include "cli/wrap.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <string>
#include <vector>

#include "cli/table.h"

namespace strata {
namespace {

using Lines = std::vector<std::string>;

Lines lines_of(const std::string& text) {
  Lines lines;
  std::size_t at = 0;
  for (std::size_t end; (end = text.find('\n', at)) != std::string::npos; at = end + 1)
    lines.push_back(text.substr(at, end - at));
  return lines;
}

TEST_CASE("text is broken at blanks, and words stay whole") {
  CHECK(wrapped_lines("", 10) == Lines{""});
  CHECK(wrapped_lines("one two three", 100) == Lines{"one two three"});
  CHECK(wrapped_lines("one two three", unlimited_width) == Lines{"one two three"});
  CHECK(wrapped_lines("one two three", 13) == Lines{"one two three"});
  CHECK(wrapped_lines("one two three", 12) == Lines{"one two", "three"});
  CHECK(wrapped_lines("one two three", 7) == Lines{"one two", "three"});
  CHECK(wrapped_lines("one two three", 1) == Lines{"one", "two", "three"});
  CHECK(wrapped_lines("one two three", 0) == Lines{"one", "two", "three"});
  CHECK(wrapped_lines("a model.layers.0.self_attn.q_proj b", 8) == Lines{"a", "model.layers.0.self_attn.q_proj", "b"});
  CHECK(wrapped_lines("two  blanks", 100) == Lines{"two  blanks"});
  CHECK(wrapped_lines("two  blanks", 5) == Lines{"two", "blanks"});
  CHECK(wrapped("one two three", 9, 2) == "one two\n  three");
}

TEST_CASE("every width keeps every word, in its order and whole") {
  const std::string text =
      "d\xc3\xa9"
      "cid\xc3\xa9: kept in \xe6\x9c\xac\xe5\xbd\x93 instead of W4A16, \xf0\x9f\x98\x80 64 columns";
  for (std::size_t width = 0; width < 60; ++width) {
    std::string again;
    for (const std::string& line : wrapped_lines(text, width)) {
      again += (again.empty() ? "" : " ") + line;
      CHECK((columns_of(line) <= width || line.find(' ') == std::string::npos));
    }
    CHECK(again == text);
  }
}

TEST_CASE("columns are characters, not bytes") {
  CHECK(columns_of("abc") == 3);
  CHECK(columns_of("caf\xc3\xa9") == 4);
  CHECK(columns_of("\xf0\x9f\x98\x80") == 1);
}

TEST_CASE("the last cell of a table continues below itself") {
  Table table({Align::left, Align::left});
  table.row({"model", "m"});
  table.row({"decision", "kept in BF16 instead of W4A16 because columns do not divide"});
  CHECK(table.print() == "model     m\ndecision  kept in BF16 instead of W4A16 because columns do not divide\n");
  CHECK(table.print(40) ==
        "model     m\ndecision  kept in BF16 instead of W4A16\n          because columns do not divide\n");
  for (const std::string& line : lines_of(table.print(36))) CHECK(columns_of(line) <= 36);
}

TEST_CASE("where the last column would be too narrow its text has lines of its own") {
  Table table({Align::left, Align::left});
  table.row({"model.layers.0.self_attn.q_proj", "is stored as something else than it should be"});
  CHECK(table.print(40) == "model.layers.0.self_attn.q_proj\n    is stored as something else than it\n    should be\n");
}

TEST_CASE("commands are not broken, and names that are not ASCII stay in columns") {
  Table table({Align::left, Align::left});
  table.row({"n\xc3\xa9", "x"});
  table.command_row("abc", "strata verify out --source a-model-with-a-long-name");
  CHECK(table.print(24) == "n\xc3\xa9   x\nabc  strata verify out --source a-model-with-a-long-name\n");
}

TEST_CASE("numbers in the last column stay where they are") {
  Table table({Align::left, Align::right});
  table.row({"a", "1"});
  table.row({"b", "1,000"});
  CHECK(table.print(5) == "a      1\nb  1,000\n");
}

}  // namespace
}  // namespace strata
