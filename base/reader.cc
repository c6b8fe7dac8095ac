#include "base/reader.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/buffer.h"
#include "base/error.h"
#include "base/reader_methods.h"
#include "base/timer.h"

namespace strata {
namespace {

constexpr std::array preferred{IoMethod::direct, IoMethod::pread, IoMethod::mmap};  // where they are about as fast
constexpr std::uint64_t measured_piece = 16u << 20;
constexpr std::size_t rounds = 4;  // pieces for each method: 64 MiB
constexpr double about = 0.9;

// What one method needs for the pieces that it is given.
struct Trial {
  std::unique_ptr<Reader> reader;
  double seconds = 0;
  std::string failure;
};

// Without pread there is nothing to choose from, so its errors are the caller's.
template <typename Step>
void attempt(Trial& trial, IoMethod method, Step step) {
  if (!trial.failure.empty()) return;
  try {
    step();
  } catch (const Error& error) {
    if (method == IoMethod::pread) throw;
    trial.failure = error.what();
  }
}

// The methods take turns all over the file, so that what the page cache holds of it counts for each.
std::array<Trial, 3> run_trials(const InputFile& file, std::uint64_t piece) {
  std::array<Trial, 3> trials;
  Buffer memory(piece);
  std::memset(memory.data(), 1, memory.size());  // fresh pages would be timed
  for (std::size_t i = 0; i < preferred.size(); ++i)
    attempt(trials[i], preferred[i], [&] { trials[i].reader = make_reader(preferred[i]); });
  for (std::size_t turn = 0; turn < rounds * preferred.size(); ++turn) {
    const std::size_t i = (turn + turn / preferred.size()) % preferred.size();  // another one begins each round
    const std::uint64_t offset = file.size() / (rounds * preferred.size()) * turn / direct_block * direct_block;
    attempt(trials[i], preferred[i], [&] {
      const ReadRange range{.file = &file, .offset = offset, .bytes = piece, .to = memory.data()};
      const Timer timer;
      trials[i].reader->read({&range, 1});
      trials[i].seconds += timer.seconds();
    });
  }
  return trials;
}

std::string described(const IoChoice::Measured& measured) {
  if (!measured.note.empty()) return fmt::format("{} does not work here", io_name(measured.method));
  return fmt::format("{} {:.2f} GB/s", io_name(measured.method), measured.bytes_per_second / 1e9);
}

}  // namespace

std::string_view io_name(IoMethod method) {
  static constexpr std::array<std::string_view, 4> names{"auto", "mmap", "pread", "direct"};
  return names[static_cast<std::size_t>(method)];
}

std::unique_ptr<Reader> make_reader(IoMethod method) {
  switch (method) {
    case IoMethod::mmap:
      return make_mmap_reader();
    case IoMethod::direct:
      return make_direct_reader();
    case IoMethod::pread:
    case IoMethod::automatic:
      break;
  }
  return make_pread_reader();
}

std::vector<ReadRange> pieces_of(std::span<const ReadRange> ranges, std::uint64_t piece_bytes) {
  std::vector<ReadRange> pieces;
  for (ReadRange rest : ranges)
    while (rest.bytes > 0) {
      ReadRange piece = rest;
      piece.bytes = std::min(rest.bytes, piece_bytes - rest.offset % piece_bytes);
      pieces.push_back(piece);
      rest.offset += piece.bytes;
      rest.bytes -= piece.bytes;
      rest.to += piece.bytes;
    }
  return pieces;
}

IoChoice choose_io(std::span<const InputFile> files) {
  IoChoice choice;
  for (std::size_t i = 0; i < preferred.size(); ++i) choice.measured[i].method = preferred[i];
  const auto largest = std::ranges::max_element(files, {}, &InputFile::size);
  if (largest == files.end() || largest->size() < choose_io_least) {
    for (IoChoice::Measured& measured : choice.measured) measured.note = "not tried: the files are small";
    choice.reason = "not measured: no file has 64 MiB";
    return choice;
  }
  const std::uint64_t slot = largest->size() / (rounds * preferred.size()) / direct_block * direct_block;
  const std::uint64_t piece = std::min(measured_piece, slot);
  const std::array<Trial, 3> trials = run_trials(*largest, piece);
  double best = 0;
  for (std::size_t i = 0; i < preferred.size(); ++i) {
    choice.measured[i].note = trials[i].failure;
    if (!trials[i].failure.empty()) continue;
    choice.measured[i].bytes_per_second = static_cast<double>(piece * rounds) / trials[i].seconds;
    best = std::max(best, choice.measured[i].bytes_per_second);
  }
  for (const IoChoice::Measured& measured : choice.measured)
    choice.reason += (choice.reason.empty() ? "" : ", ") + described(measured);
  choice.method = std::ranges::find_if(choice.measured, [best](const IoChoice::Measured& measured) {
                    return measured.bytes_per_second >= about * best;
                  })->method;
  return choice;
}

}  // namespace strata
