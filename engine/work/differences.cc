#include "engine/work/differences.h"

#include <fmt/format.h>

#include <algorithm>

namespace strata {
namespace {

// The name of a line's part when that is a file of the source; "" of any other.
std::string source_file(const std::string& line) {
  const std::string name = line.substr(0, line.find(": "));
  if (name.starts_with("file ")) return name.substr(5);
  return name.ends_with(".safetensors") || name == "config.json" ? name : "";
}

}  // namespace

std::vector<std::string> told_differences(const Fingerprint& run, const Fingerprint& earlier) {
  std::vector<std::string> lines = run.differences(earlier);
  const auto is_file = [](const std::string& line) { return !source_file(line).empty(); };
  if (const auto files = std::ranges::count_if(lines, is_file); files > 1) {
    constexpr std::ptrdiff_t most = 3;  // that are named
    std::string names;
    std::ptrdiff_t named = 0;
    for (const std::string& line : lines)
      if (is_file(line) && named++ < most) names += (names.empty() ? "" : ", ") + source_file(line);
    if (files > most) names += fmt::format(" and {} more", files - most);
    std::erase_if(lines, is_file);
    lines.insert(lines.begin(),
                 fmt::format("MODEL: another source, or {} of its files have changed: {}", files, names));
  }
  for (std::string& line : lines)
    if (line.starts_with("calibration tokens: ")) line += " (--dataset, or what is taken of it)";
  return lines;
}

}  // namespace strata
