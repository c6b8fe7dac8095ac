#include "cache/codec_choice.h"

#include <catch2/catch_test_macros.hpp>

#include "base/file.h"
#include "tests/support/temporary_folder.h"
#include "tests/unit/cache/hostile_values.h"

using namespace strata;
using namespace strata::test;

namespace {

// A disk that takes so many bytes a second, by the clock of the test.
TimedWrite disk_of(double bytes_per_second, std::size_t* asked = nullptr) {
  return [=](std::span<const std::byte> bytes) {
    if (asked != nullptr) ++*asked;
    return static_cast<double>(bytes.size()) / bytes_per_second;
  };
}

CodecQuestion question(double encode, double write, int threads = 2) {
  return {.threads = threads, .encode_bytes_per_second = encode, .disk = disk_of(write)};
}

}  // namespace

TEST_CASE("a slow disk chooses zstd, a fast one raw") {
  const std::vector<float> sample = gaussian(1 << 16);
  CHECK(choose_codec(sample, question(1e9, 200e6)).codec == FrameCodec::bf16_zstd);
  CHECK(choose_codec(sample, question(1e9, 20e9)).codec == FrameCodec::bf16);
  // Two threads encode 2 GB/s: it pays below that, not above.
  CHECK(choose_codec(sample, question(1e9, 1.9e9)).codec == FrameCodec::bf16_zstd);
  CHECK(choose_codec(sample, question(1e9, 2.1e9)).codec == FrameCodec::bf16);
  CHECK(choose_codec(sample, question(1e9, 2.1e9, 3)).codec == FrameCodec::bf16_zstd);
}

TEST_CASE("the encoder is measured when its speed is not given") {
  const std::vector<float> sample = gaussian(1 << 18);
  CodecQuestion measured{.disk = disk_of(1e6)};
  const CodecChoice slow = choose_codec(sample, measured);
  CHECK(slow.codec == FrameCodec::bf16_zstd);
  CHECK(slow.encode_bytes_per_second > 1e6);
  measured.disk = disk_of(1e15);
  CHECK(choose_codec(sample, measured).codec == FrameCodec::bf16);
}

TEST_CASE("values that do not shrink by 5 % are stored plain on any disk, without asking it") {
  const std::vector<float> noise = hostile_values(1 << 16)[4].values;
  std::size_t asked = 0;
  CodecQuestion slow{.encode_bytes_per_second = 1e9, .disk = disk_of(1e6, &asked)};
  CHECK(choose_codec(noise, slow).codec == FrameCodec::bf16);
  slow.scarce_disk = true;
  CHECK(choose_codec(noise, slow).codec == FrameCodec::bf16);
  CHECK(asked == 0);
}

TEST_CASE("exact BF16 is seen, and halves what the disk must write before zstd does more") {
  const std::vector<float> sample = cut_to_bf16(gaussian(1 << 16));
  const CodecChoice fast = choose_codec(sample, question(1e9, 20e9));
  CHECK(fast.codec == FrameCodec::bf16);
  CHECK(fast.ratio > 1.99);
  CHECK(fast.reason.find("BF16") != std::string::npos);
  const CodecChoice slow = choose_codec(sample, question(1e9, 100e6));
  CHECK(slow.codec == FrameCodec::bf16_zstd);
  CHECK(slow.ratio > 2.7);
  // 2 GB/s of float32 are 1 GB/s of BF16: a disk above that gains nothing from zstd.
  CHECK(choose_codec(sample, question(1e9, 0.9e9)).codec == FrameCodec::bf16_zstd);
  CHECK(choose_codec(sample, question(1e9, 1.1e9)).codec == FrameCodec::bf16);
}

TEST_CASE("a disk that is short of space chooses zstd however fast it is") {
  CodecQuestion scarce = question(1e9, 100e9);
  scarce.scarce_disk = true;
  const CodecChoice choice = choose_codec(gaussian(1 << 16), scarce);
  CHECK(choice.codec == FrameCodec::bf16_zstd);
  CHECK(choice.ratio > 1.15);
}

TEST_CASE("a probe writes to the disk and leaves nothing behind") {
  const TemporaryFolder folder;
  {
    DiskProbe probe(folder.path());
    const std::vector<std::byte> bytes(1 << 16);
    CHECK(probe.write(bytes) > 0);
    CHECK(probe.write(bytes) > 0);
    const TimedWrite disk = probe;
    CHECK(choose_codec(gaussian(1 << 16), {.disk = disk}).write_bytes_per_second > 0);
    CHECK(list_directory(folder.path()).size() == 1);
  }
  CHECK(list_directory(folder.path()).empty());
}
