#include "cache/frame.h"

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <thread>

#include "tests/support/thrown.h"
#include "tests/unit/cache/hostile_values.h"

using namespace strata;
using namespace strata::test;

namespace {

constexpr FrameCodec every_codec[] = {FrameCodec::raw, FrameCodec::bf16, FrameCodec::zstd, FrameCodec::bf16_zstd};

std::vector<std::byte> encoded(std::span<const float> values, FrameCodec wanted, EncodedFrame* said = nullptr) {
  FrameWorkspace workspace;
  std::vector<std::byte> out(frame_bound(values.size()));
  const EncodedFrame frame = encode_frame(values, wanted, workspace, out);
  REQUIRE(frame.bytes <= out.size());
  out.resize(frame.bytes);
  if (said != nullptr) *said = frame;
  return out;
}

std::string decode(std::span<const std::byte> frame, std::span<float> out) {
  FrameWorkspace workspace;
  std::string why;
  const bool good = decode_frame(frame, workspace, out, why);
  REQUIRE(good == why.empty());
  return why;
}

}  // namespace

TEST_CASE("frames give back every bit of hostile values") {
  const std::size_t sizes[] = {0, 1, 2, 3, 31, 64, 127, 257, 4095, 4096, 4097, 70001};
  for (const std::size_t size : sizes)
    for (const NamedValues& hostile : hostile_values(size))
      for (const FrameCodec codec : every_codec) {
        INFO(hostile.name << ", " << size << " values, " << codec_name(codec));
        const std::vector<std::byte> frame = encoded(hostile.values, codec);
        std::vector<float> back(size, 5.0f);
        CHECK(decode(frame, back) == "");
        CHECK(same_bits(back, hostile.values));
      }
}

TEST_CASE("the largest frame is coded, a larger one is refused") {
  for (const NamedValues& hostile : hostile_values(most_frame_values)) {
    INFO(hostile.name);
    std::vector<float> back(most_frame_values);
    CHECK(decode(encoded(hostile.values, FrameCodec::bf16_zstd), back) == "");
    CHECK(same_bits(back, hostile.values));
  }
  const std::vector<float> more(most_frame_values + 1);
  CHECK(thrown_by([&] { encoded(more, FrameCodec::raw); }).fault == Fault::bug);
}

TEST_CASE("a frame takes the smallest codec that its values and the caller allow") {
  const auto codec_of = [](std::span<const float> values, FrameCodec wanted) {
    EncodedFrame frame;
    encoded(values, wanted, &frame);
    return frame.codec;
  };
  const std::vector<float> wide = gaussian(5000), narrow = cut_to_bf16(wide);
  CHECK(codec_of(wide, FrameCodec::raw) == FrameCodec::raw);
  CHECK(codec_of(wide, FrameCodec::bf16) == FrameCodec::raw);
  CHECK(codec_of(wide, FrameCodec::zstd) == FrameCodec::zstd);
  CHECK(codec_of(wide, FrameCodec::bf16_zstd) == FrameCodec::zstd);
  CHECK(codec_of(narrow, FrameCodec::raw) == FrameCodec::raw);
  CHECK(codec_of(narrow, FrameCodec::bf16) == FrameCodec::bf16);
  CHECK(codec_of(narrow, FrameCodec::zstd) == FrameCodec::zstd);
  CHECK(codec_of(narrow, FrameCodec::bf16_zstd) == FrameCodec::bf16_zstd);
  std::vector<float> late = narrow;
  late.back() = 1.00001f;
  CHECK(codec_of(late, FrameCodec::bf16) == FrameCodec::raw);
  const std::vector<float> noise = hostile_values(5000)[4].values;
  CHECK(codec_of(noise, FrameCodec::zstd) == FrameCodec::raw);
}

TEST_CASE("activations shrink as far as their exponents allow") {
  EncodedFrame frame;
  encoded(gaussian(1 << 18), FrameCodec::bf16_zstd, &frame);
  CHECK(frame.bytes < (4u << 18) * 100 / 118);
  encoded(cut_to_bf16(gaussian(1 << 18)), FrameCodec::bf16_zstd, &frame);
  CHECK(frame.bytes < (4u << 18) * 10 / 27);
  encoded(std::vector<float>(1 << 18, 2.5f), FrameCodec::bf16_zstd, &frame);
  CHECK(frame.bytes < 1000);
  encoded(hostile_values(1 << 18)[9].values, FrameCodec::zstd, &frame);  // 13 zero bits
  CHECK(frame.bytes < (4u << 18) * 3 / 4);
}

TEST_CASE("bytes that are no frame are refused with a reason, whatever they are") {
  std::mt19937 random(11);
  for (int i = 0; i < 20000; ++i) {
    std::vector<std::byte> bytes(random() % 200);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    if (bytes.size() > 1 && i % 2 == 0) bytes[0] = static_cast<std::byte>(i % 5), bytes[1] = std::byte{0};
    std::vector<float> out(random() % 64);
    REQUIRE(decode(bytes, out) != "");
  }
}

TEST_CASE("a frame that was changed or cut gives its values or a reason, never others") {
  std::mt19937 random(12);
  for (const FrameCodec codec : every_codec)
    for (const NamedValues& hostile : hostile_values(300)) {
      const std::vector<std::byte> frame = encoded(hostile.values, codec);
      std::vector<float> out(300);
      for (std::size_t n = 0; n < frame.size(); n += 1 + n / 40) {
        INFO(hostile.name << ", " << codec_name(codec) << ", " << n << " bytes");
        REQUIRE(decode(std::span(frame).first(n), out) != "");
      }
      for (int i = 0; i < 300; ++i) {
        std::vector<std::byte> changed = frame;
        const std::size_t at = i < 256 ? static_cast<std::size_t>(i) / 8 : random() % changed.size();
        changed[at] ^= static_cast<std::byte>(1 << i % 8);
        INFO(hostile.name << ", " << codec_name(codec) << ", byte " << at << ", bit " << i % 8);
        REQUIRE((decode(changed, out) != "" || same_bits(out, hostile.values)));
        if (at < frame_header_bytes) REQUIRE(decode(changed, out) != "");
      }
      std::vector<float> fewer(299), more(301);
      CHECK(decode(frame, fewer) != "");
      CHECK(decode(frame, more) != "");
    }
}

TEST_CASE("threads encode the same frames as one, with one workspace after another") {
  const std::vector<NamedValues> all = hostile_values(20000);
  std::vector<std::vector<std::byte>> alone;
  for (const NamedValues& hostile : all) alone.push_back(encoded(hostile.values, FrameCodec::bf16_zstd));
  WorkspacePool pool;
  std::atomic<int> different = 0;
  const auto work = [&](std::size_t first) {
    for (std::size_t i = 0; i < 2 * all.size(); ++i) {
      const std::size_t k = (first + i) % all.size();
      WorkspacePool::Loan workspace = pool.borrow();
      std::vector<std::byte> out(frame_bound(all[k].values.size()));
      out.resize(encode_frame(all[k].values, FrameCodec::bf16_zstd, *workspace, out).bytes);
      if (out != alone[k]) ++different;
    }
  };
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 4; ++t) threads.emplace_back(work, 3 * t);
  for (std::thread& thread : threads) thread.join();
  CHECK(different == 0);
}
