// Reads a boundary file as docs/cache-format.md describes it, byte by byte and value by value. Shares no code with
// cache/: what it reads, anybody can read who has the page, zstd and xxHash.
#pragma once

#include <xxhash.h>
#include <zstd.h>

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace strata::test {

class NaiveBoundary {
 public:
  explicit NaiveBoundary(std::string_view file) : file_(file) {
    require(file.substr(0, 8) == "strataB\n" && number(8, 4) == 1, "header");
    samples = number(16, 8), tokens = number(24, 8), hidden = number(32, 8);
    const std::uint64_t per_block = number(40, 8), most = number(48, 4), alignment = number(52, 4);
    fingerprint = file.substr(56, 32);
    const std::uint64_t footer = file.size() - 40, index = number(footer, 8), frames = number(footer + 8, 8);
    require(file.substr(footer + 32) == "strataE\n" && number(footer + 16, 8) == file.size(), "footer");
    require(index + 24 * frames == footer, "index");
    std::string guarded(file.substr(0, alignment));
    guarded += file.substr(index, 24 * frames + 24);
    require(XXH3_64bits(guarded.data(), guarded.size()) == number(footer + 24, 8), "checksum of the index");

    std::uint64_t entry = index, at = alignment;
    for (std::uint64_t first = 0; first < samples; first += per_block) {
      const std::uint64_t here = first + per_block < samples ? per_block : samples - first;
      for (std::uint64_t left = here * tokens * hidden; left > 0; entry += 24) {
        const std::uint64_t count = left < most ? left : most, bytes = number(entry + 8, 4);
        require(number(entry, 8) == at, "offset");
        require(XXH3_64bits(file.data() + at, bytes) == number(entry + 16, 8), "checksum of a frame");
        require(number(entry + 12, 1) == number(at, 1), "codec");
        codecs.push_back(static_cast<int>(number(at, 1)));
        read_frame(file.substr(at, bytes), count);
        at += bytes;
        left -= count;
      }
      for (; at % alignment != 0; ++at) require(file[at] == 0, "zeros");
    }
    require(at == index && entry == footer, "end of the frames");
  }

  std::uint64_t samples = 0, tokens = 0, hidden = 0;
  std::string fingerprint;
  std::vector<int> codecs;
  std::vector<std::uint32_t> values;  // their bits

 private:
  static void require(bool holds, const char* what) {
    if (!holds) throw std::runtime_error(std::string("naive reader: ") + what);
  }
  static std::uint64_t number_in(std::string_view bytes, std::uint64_t at, int size) {
    std::uint64_t value = 0;
    for (int i = size - 1; i >= 0; --i)
      value = value << 8 | static_cast<unsigned char>(bytes.at(at + static_cast<std::uint64_t>(i)));
    return value;
  }
  std::uint64_t number(std::uint64_t at, int size) const { return number_in(file_, at, size); }

  void read_frame(std::string_view frame, std::uint64_t count) {
    const auto codec = number_in(frame, 0, 1), coded = number_in(frame, 1, 1);
    require(number_in(frame, 4, 4) == count, "values of a frame");
    constexpr std::uint64_t planes_of[] = {1, 1, 4, 2}, width_of[] = {4, 2, 1, 1};
    std::vector<std::string> planes;
    std::uint64_t at = 32;
    for (std::uint64_t p = 0; p < planes_of[codec]; ++p) {
      const std::uint64_t stored = number_in(frame, 8 + 4 * p, 4);
      std::string plane(frame.substr(at, stored));
      at += stored;
      if ((coded >> p & 1) != 0) {
        std::string whole(count, '\0');
        require(ZSTD_decompress(whole.data(), count, plane.data(), plane.size()) == count, "zstd");
        plane = whole;
      }
      require(plane.size() == count * width_of[codec], "bytes of a plane");
      planes.push_back(plane);
    }
    require(at == frame.size(), "bytes of a frame");
    const std::size_t first = values.size();
    for (std::uint64_t i = 0; i < count; ++i) values.push_back(value(codec, planes, i));
    require(XXH3_64bits(values.data() + first, count * 4) == number_in(frame, 24, 8), "checksum of values");
  }

  static std::uint32_t value(std::uint64_t codec, const std::vector<std::string>& planes, std::uint64_t i) {
    if (codec == 0) return static_cast<std::uint32_t>(number_in(planes[0], 4 * i, 4));
    if (codec == 1) return static_cast<std::uint32_t>(number_in(planes[0], 2 * i, 2) << 16);
    const auto byte = [&](std::size_t p) {
      return static_cast<std::uint32_t>(static_cast<unsigned char>(planes[p][i]));
    };
    const std::size_t top = planes.size() - 1;
    const std::uint32_t sign = byte(top - 1) >> 7, exponent = byte(top), mantissa = byte(top - 1) & 0x7f;
    std::uint32_t bits = sign << 31 | exponent << 23 | mantissa << 16;
    if (planes.size() == 4) bits |= byte(1) << 8 | byte(0);
    return bits;
  }

  std::string_view file_;
};

}  // namespace strata::test
