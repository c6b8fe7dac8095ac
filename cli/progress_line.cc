#include "cli/progress_line.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/bytes.h"
#include "cli/amounts.h"

namespace strata {
namespace {

std::string read_speed(std::uint64_t bytes, double seconds) {
  if (bytes == 0 || !(seconds > 0)) return "-";
  const double speed = static_cast<double>(bytes) / seconds;
  return speed < 0.09995e9 ? fmt::format("{:.1f} MB/s", speed / 1e6) : fmt::format("{:.2f} GB/s", speed / 1e9);
}

std::string bar(int done, int total) {
  constexpr int cells = 20;
  const int full = total > 0 ? std::clamp(cells * done / total, 0, cells) : 0;
  return std::string(static_cast<std::size_t>(full), '#') + std::string(static_cast<std::size_t>(cells - full), '.');
}

}  // namespace

std::string layer_line(const LayerDone& layer, bool verbose) {
  const std::string total = std::to_string(layer.total);
  std::string line = fmt::format("[{:>{}}/{}] {:<9} {:<6} {:>7}  {:>9}  {:>8}", layer.index + 1, total.size(), total,
                                 layer.name, layer.kind == layer.name ? "" : layer.kind, seconds_text(layer.seconds),
                                 read_speed(layer.bytes_read, layer.seconds), human_bytes(layer.resident));
  if (layer.weight_error > 0)
    line += fmt::format("  err {:>5.3g}%", 100 * layer.weight_error);
  else if (!layer.formats.empty())
    line += "            ";
  if (!layer.formats.empty()) line += " ";
  for (const auto& [format, linears] : layer.formats) line += fmt::format(" {} {}", format, linears);
  if (verbose)
    line += fmt::format("  read {}, wrote {}", human_bytes(layer.bytes_read), human_bytes(layer.bytes_written));
  return line;
}

std::string status_line(const Status& status) {
  std::string line = fmt::format("[{}] {}/{}  {}", bar(status.done, status.total), status.done, status.total,
                                 clock_text(status.elapsed));
  if (status.left) line += fmt::format(", {} left", clock_text(*status.left));
  if (status.bytes_read > 0) line += "  " + read_speed(status.bytes_read, status.elapsed);
  if (status.resident > 0) line += "  " + human_bytes(status.resident);
  return line + "  " + status.pass;  // last: it may be long, and narrow terminals cut it
}

std::string cut(std::string line, int columns) {
  int seen = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const bool starts_character = (static_cast<unsigned char>(line[i]) & 0xc0) != 0x80;
    if (starts_character && ++seen > std::max(columns, 0)) {
      line.resize(i);
      break;
    }
  }
  return line;
}

}  // namespace strata
