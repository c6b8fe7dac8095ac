#include "cache/frame.h"

#define ZSTD_STATIC_LINKING_ONLY  // the mode of literals
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/buffer.h"
#include "base/error.h"
#include "base/hash.h"
#include "cache/byte_planes.h"

namespace strata {
namespace {

struct FrameHeader {
  std::uint8_t codec;
  std::uint8_t coded_planes;  // bit p: plane p is a zstd frame, otherwise it is stored
  std::uint16_t zero;
  std::uint32_t values;
  std::uint32_t plane_bytes[4];
  std::uint64_t hash;  // XXH3-64 of the values
};
static_assert(sizeof(FrameHeader) == frame_header_bytes);

int planes_of(FrameCodec codec) {
  constexpr int planes[frame_codecs] = {1, 1, 4, 2};
  return planes[static_cast<int>(codec)];
}

std::uint64_t plane_width(FrameCodec codec) {  // bytes of a value in one plane
  constexpr std::uint64_t width[frame_codecs] = {4, 2, 1, 1};
  return width[static_cast<int>(codec)];
}

bool is_coded(FrameCodec codec) { return codec == FrameCodec::zstd || codec == FrameCodec::bf16_zstd; }

FrameCodec without_zstd(FrameCodec codec) {
  if (codec == FrameCodec::zstd) return FrameCodec::raw;
  return codec == FrameCodec::bf16_zstd ? FrameCodec::bf16 : codec;
}

FrameCodec without_bf16(FrameCodec codec) {
  if (codec == FrameCodec::bf16) return FrameCodec::raw;
  return codec == FrameCodec::bf16_zstd ? FrameCodec::zstd : codec;
}

// Whether a plane of mantissa bits is worth zstd's time: how often two of 4096 bytes agree, against random ones.
// 1.25 times as often is at most 7.84 bits of information a byte.
bool seems_to_shrink(std::span<const std::byte> plane) {
  constexpr std::size_t pieces = 16, piece = 256, sample = pieces * piece;
  if (plane.size() < sample) return true;
  std::array<std::uint32_t, 256> counts{};
  for (std::size_t i = 0; i < pieces; ++i) {
    const std::size_t first = (plane.size() - piece) / (pieces - 1) * i;
    for (const std::byte byte : plane.subspan(first, piece)) ++counts[static_cast<std::size_t>(byte)];
  }
  std::uint64_t pairs = 0;
  for (const std::uint64_t count : counts) pairs += count * (count - (count > 0));
  return pairs * 256 * 4 > std::uint64_t{sample} * (sample - 1) * 5;
}

}  // namespace

std::string_view codec_name(FrameCodec codec) {
  constexpr std::string_view names[frame_codecs] = {"raw", "bf16", "zstd", "bf16+zstd"};
  return names[static_cast<int>(codec)];
}

struct FrameWorkspace::State {
  Buffer planes;
  Buffer frame;
  std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> compression{nullptr, &ZSTD_freeCCtx};
  std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> decompression{nullptr, &ZSTD_freeDCtx};

  // The bytes that a plane shrinks to, 0 when it does not.
  std::size_t compress(std::span<const std::byte> plane, std::span<std::byte> out);
  bool decompress(std::span<const std::byte> coded, std::span<std::byte> plane);
};

FrameWorkspace::FrameWorkspace() : state_(std::make_unique<State>()) {}
FrameWorkspace::~FrameWorkspace() = default;

std::span<std::byte> FrameWorkspace::stored_frame(std::uint64_t bytes) {
  state_->frame.grow(bytes);
  return state_->frame.bytes().first(bytes);
}

std::size_t FrameWorkspace::State::compress(std::span<const std::byte> plane, std::span<std::byte> out) {
  if (plane.size() < 2) return 0;
  if (!compression) {
    compression.reset(ZSTD_createCCtx());
    if (!compression) fail(Fault::budget, "memory: the system refused zstd's tables");
    // Activations repeat nothing but single bytes: only the Huffman stage earns its time.
    ZSTD_CCtx_setParameter(compression.get(), ZSTD_c_compressionLevel, -50);
    ZSTD_CCtx_setParameter(compression.get(), ZSTD_c_literalCompressionMode, ZSTD_lcm_huffman);
  }
  const std::size_t room = std::min(out.size(), plane.size() - 1);
  const std::size_t bytes = ZSTD_compress2(compression.get(), out.data(), room, plane.data(), plane.size());
  return ZSTD_isError(bytes) ? 0 : bytes;
}

bool FrameWorkspace::State::decompress(std::span<const std::byte> coded, std::span<std::byte> plane) {
  if (!decompression) {
    decompression.reset(ZSTD_createDCtx());
    if (!decompression) fail(Fault::budget, "memory: the system refused zstd's tables");
  }
  return ZSTD_decompressDCtx(decompression.get(), plane.data(), plane.size(), coded.data(), coded.size()) ==
         plane.size();
}

namespace {

// Splits the values into planes that stand one after the other in `out` but for the last, the exponent, which is in
// the workspace. Planes that shrink are coded. Returns the bytes written.
class PlaneEncoder {
 public:
  PlaneEncoder(FrameWorkspace::State& workspace, std::span<const float> values, int planes, std::span<std::byte> out)
      : workspace_(workspace), values_(values), planes_(planes), out_(out) {
    workspace_.planes.grow(values.size() * static_cast<std::size_t>(planes));
  }

  std::uint64_t encode(FrameHeader& header) {
    const int mantissas = planes_ - 1;
    split();
    bool shrinks = false;
    for (int p = 0; p < mantissas; ++p) shrinks = shrinks || seems_to_shrink(stored(p));
    // The usual case leaves the mantissas where split() put them.
    if (shrinks) std::memcpy(kept(0), out_.data(), values_.size() * static_cast<std::size_t>(mantissas));
    std::uint64_t used = 0;
    for (int p = 0; p < planes_; ++p) {
      const std::span<const std::byte> plane(kept(p), values_.size());
      const bool in_place = !shrinks && p < mantissas;
      const std::span<std::byte> room = out_.subspan(used);
      const std::size_t coded =
          p == mantissas || (shrinks && seems_to_shrink(plane)) ? workspace_.compress(plane, room) : 0;
      if (coded != 0) header.coded_planes = static_cast<std::uint8_t>(header.coded_planes | (1u << p));
      if (coded == 0 && !in_place) std::memcpy(room.data(), plane.data(), plane.size());
      header.plane_bytes[p] = static_cast<std::uint32_t>(coded != 0 ? coded : plane.size());
      used += header.plane_bytes[p];
    }
    return used;
  }

 private:
  std::byte* kept(int p) { return workspace_.planes.data() + static_cast<std::size_t>(p) * values_.size(); }
  std::byte* place(int p) { return out_.data() + static_cast<std::size_t>(p) * values_.size(); }
  std::span<const std::byte> stored(int p) { return {place(p), values_.size()}; }

  void split() {
    if (planes_ == 4)
      split_planes(values_, {place(0), place(1), place(2), kept(3)});
    else
      split_bf16_planes(values_, {place(0), kept(1)});
  }

  FrameWorkspace::State& workspace_;
  std::span<const float> values_;
  int planes_;
  std::span<std::byte> out_;
};

std::uint64_t store_values(std::span<const float> values, FrameCodec codec, std::span<std::byte> out) {
  const std::uint64_t bytes = values.size() * plane_width(codec);
  if (codec == FrameCodec::bf16)
    take_upper_halves(values, out.data());
  else if (bytes > 0)
    std::memcpy(out.data(), values.data(), bytes);
  return bytes;
}

}  // namespace

EncodedFrame encode_frame(std::span<const float> values, FrameCodec wanted, FrameWorkspace& workspace,
                          std::span<std::byte> out) {
  if (values.size() > most_frame_values)
    fail(Fault::bug, "cache: a frame of {} values; {} is the most", values.size(), most_frame_values);
  FrameCodec codec = values.empty() ? FrameCodec::raw : wanted;
  if (without_bf16(codec) != codec && !exactly_bf16(values)) codec = without_bf16(codec);
  if (out.size() < frame_bound(values.size(), without_bf16(codec) != codec))
    fail(Fault::bug, "cache: {} bytes of room for a frame of {} values", out.size(), values.size());

  FrameHeader header{};
  const std::span<std::byte> payload = out.subspan(frame_header_bytes);
  std::uint64_t bytes = 0;
  if (is_coded(codec)) {
    bytes = PlaneEncoder(workspace.state(), values, planes_of(codec), payload).encode(header);
    if (header.coded_planes == 0) {  // nothing won: values in one piece are read faster
      codec = without_zstd(codec);
      header = {};
    }
  }
  if (!is_coded(codec)) {
    bytes = store_values(values, codec, payload);
    header.plane_bytes[0] = static_cast<std::uint32_t>(bytes);
  }
  header.codec = static_cast<std::uint8_t>(codec);
  header.values = static_cast<std::uint32_t>(values.size());
  header.hash = hash64(std::as_bytes(values));
  std::memcpy(out.data(), &header, sizeof header);
  return {codec, frame_header_bytes + bytes};
}

namespace {

// The reason why this is not the header of a frame of that many values and bytes; empty when it is.
std::string header_fault(const FrameHeader& header, std::uint64_t frame_bytes, std::size_t values) {
  if (header.codec >= frame_codecs) return fmt::format("codec {} is unknown", header.codec);
  const auto codec = static_cast<FrameCodec>(header.codec);
  if (header.values != values) return fmt::format("{} values where {} belong", header.values, values);
  if (header.zero != 0 || header.coded_planes >= (is_coded(codec) ? 1 << planes_of(codec) : 1))
    return "flags that this version does not know";
  const std::uint64_t plain = values * plane_width(codec);
  std::uint64_t bytes = frame_header_bytes;
  for (int p = 0; p < 4; ++p) {
    const std::uint64_t stored = header.plane_bytes[p];
    const bool coded = (header.coded_planes >> p & 1) != 0;
    const bool fits = p >= planes_of(codec) ? stored == 0 : coded ? stored > 0 && stored < plain : stored == plain;
    if (!fits) return fmt::format("{} bytes of plane {} of {} values", stored, p, values);
    bytes += stored;
  }
  return bytes == frame_bytes ? "" : fmt::format("{} bytes where its header says {}", frame_bytes, bytes);
}

bool decode_planes(const FrameHeader& header, std::span<const std::byte> payload, FrameWorkspace::State& workspace,
                   std::span<float> out) {
  const int count = planes_of(static_cast<FrameCodec>(header.codec));
  if (header.coded_planes != 0) workspace.planes.grow(out.size() * static_cast<std::size_t>(count));
  const std::byte* planes[4] = {};
  for (int p = 0; p < count; ++p) {
    const std::span<const std::byte> stored = payload.first(header.plane_bytes[p]);
    payload = payload.subspan(stored.size());
    planes[p] = stored.data();
    if ((header.coded_planes >> p & 1) == 0) continue;
    std::byte* const plane = workspace.planes.data() + static_cast<std::size_t>(p) * out.size();
    if (!workspace.decompress(stored, {plane, out.size()})) return false;
    planes[p] = plane;
  }
  if (count == 4)
    merge_planes(planes, out);
  else
    merge_bf16_planes({planes[0], planes[1]}, out);
  return true;
}

}  // namespace

bool decode_frame(std::span<const std::byte> frame, FrameWorkspace& workspace, std::span<float> out, std::string& why) {
  FrameHeader header;
  if (frame.size() < sizeof header || out.size() > most_frame_values) {
    why = fmt::format("{} bytes are no frame of {} values", frame.size(), out.size());
    return false;
  }
  std::memcpy(&header, frame.data(), sizeof header);
  why = header_fault(header, frame.size(), out.size());
  if (!why.empty()) return false;
  const std::span<const std::byte> payload = frame.subspan(sizeof header);
  const auto codec = static_cast<FrameCodec>(header.codec);
  if (is_coded(codec)) {
    if (!decode_planes(header, payload, workspace.state(), out)) {
      why = "a plane does not decompress to its size";
      return false;
    }
  } else if (codec == FrameCodec::bf16) {
    put_upper_halves(payload.data(), out);
  } else if (!out.empty()) {
    std::memcpy(out.data(), payload.data(), payload.size());
  }
  if (hash64(std::as_bytes(std::span<const float>(out))) == header.hash) return true;
  why = "the values do not have the checksum that was stored";
  return false;
}

WorkspacePool::Loan WorkspacePool::borrow() {
  std::unique_ptr<FrameWorkspace> workspace;
  {
    const MutexLock lock(mutex_);
    if (!free_.empty()) {
      workspace = std::move(free_.back());
      free_.pop_back();
    }
  }
  if (!workspace) workspace = std::make_unique<FrameWorkspace>();
  return {*this, std::move(workspace)};
}

void WorkspacePool::give_back(std::unique_ptr<FrameWorkspace> workspace) {
  const MutexLock lock(mutex_);
  free_.push_back(std::move(workspace));
}

}  // namespace strata
