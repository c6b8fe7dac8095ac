#include "engine/sweep/coding_rates.h"

#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <ctime>
#include <memory>
#include <numeric>

#include "base/timer.h"
#include "cache/codec_choice.h"
#include "formats/weight/weights.h"

namespace strata {
namespace {

constexpr double long_enough = 0.03;  // seconds, after half as long that warms up
constexpr std::int64_t sample_values = 1 << 18, sample_columns = 1024;

// Values as weights and hidden states have them: sums of a few uniform ones.
std::vector<float> sample(std::size_t count) {
  std::vector<float> values(count);
  std::uint32_t state = 1;
  for (float& value : values) {
    float sum = 0;
    for (int i = 0; i < 4; ++i)
      sum += static_cast<float>((state = state * 1664525u + 1013904223u) >> 8) * 0x1p-24f - 0.5f;
    value = 0.05f * sum;
  }
  return values;
}

class CodedSample {
 public:
  CodedSample(const NumberFormat& format, const RateQuestion& question)
      : format_(format), method_(question.method), bytes_(2 * sample_values), wide_(sample_values) {
    to_bf16(sample(sample_values), bytes_);
    weight_ = {
        .data = bytes_.data(), .dtype = Dtype::bf16, .rows = sample_values / sample_columns, .cols = sample_columns};
    if (question.columns) columns_.assign(sample_columns, 1.0f);
    context_ = {.rule = question.rule, .input_amax = 1, .column_weight = columns_};
    fields_ = format.fields({weight_.rows, weight_.cols}, weight_.dtype, question.rule);
    for (const Field& field : fields_) stored_.emplace_back(field_bytes(field));
    if (method_.scratch != nullptr) scratch_.resize(method_.scratch(format, {&weight_, 1}));
  }

  double encode() {
    context_.fused_amax = finite_amax(weight_, "sample");
    if (format_.shared_scale != nullptr) context_.shared_scale = format_.shared_scale({&weight_, 1}, context_);
    const std::vector<std::span<std::byte>> out(stored_.begin(), stored_.end());
    const GroupMember member{.module = "sample", .weight = weight_, .out = out};
    method_.encode(format_, context_, {&member, 1}, scratch_);
    decode();
    encode_error(weight_, wide_);
    return static_cast<double>(sample_values);
  }

  double decode() {
    const std::vector<std::span<const std::byte>> in(stored_.begin(), stored_.end());
    format_.decode(fields_, in, {weight_.rows, weight_.cols}, wide_);
    return static_cast<double>(sample_values);
  }

 private:
  const NumberFormat& format_;
  const RoundingMethod& method_;
  std::vector<std::byte> bytes_, scratch_;
  std::vector<float> wide_, columns_;
  WeightView weight_;
  EncodeContext context_;
  std::vector<Field> fields_;
  std::vector<std::vector<std::byte>> stored_;
};

}  // namespace

// In processor time, which other programs disturb less: formats compute with oneTBB inside, so it is that of all
// threads.
double rate_of(int threads, const std::function<Job(int thread)>& make) {
  std::vector<Job> jobs;
  jobs.reserve(static_cast<std::size_t>(threads));
  for (int thread = 0; thread < threads; ++thread) jobs.push_back(make(thread));
  std::vector<double> done(jobs.size());
  const auto run = [&](double seconds) {
    tbb::parallel_for(std::size_t{0}, jobs.size(), [&](std::size_t i) {
      tbb::this_task_arena::isolate([&] {
        const Timer timer;
        do done[i] += jobs[i]();
        while (timer.seconds() < seconds);
      });
    });
  };
  run(long_enough / 2);
  std::ranges::fill(done, 0.0);
  const std::clock_t start = std::clock();
  run(long_enough);
  const double seconds = static_cast<double>(std::max<std::clock_t>(1, std::clock() - start)) / CLOCKS_PER_SEC;
  return std::accumulate(done.begin(), done.end(), 0.0) * threads / seconds;
}

double coding_rate(const WorkRow& row, const RateQuestion& question) {
  return rate_of(question.threads, [&](int) -> Job {
    if (row.format == nullptr) {
      const auto wide = std::make_shared<std::vector<float>>(sample_values);
      const auto bytes = std::make_shared<std::vector<std::byte>>(2 * sample_values);
      return [=] {
        widen(Dtype::bf16, *bytes, *wide);
        return static_cast<double>(sample_values);
      };
    }
    const auto coded = std::make_shared<CodedSample>(*row.format, question);
    if (row.kind == Effort::encode) return [coded] { return coded->encode(); };
    coded->encode();
    return [coded] { return coded->decode(); };
  });
}

PackingRates packing_rates(int threads, double write) {
  const std::vector<float> values = sample(most_frame_values);
  const CodecChoice choice =
      choose_codec(values, {.threads = threads, .write_bytes_per_second = std::max(write, 1.0), .disk = {}});
  struct Frame {
    std::vector<std::byte> bytes = std::vector<std::byte>(frame_bound(most_frame_values));
    std::vector<float> values = std::vector<float>(most_frame_values);
    FrameWorkspace workspace;
    EncodedFrame encoded;
  };
  const auto rate = [&](bool back) {
    return rate_of(threads, [&](int) -> Job {
      const auto frame = std::make_shared<Frame>();
      frame->encoded = encode_frame(values, choice.codec, frame->workspace, frame->bytes);
      return [&values, &choice, frame, back] {
        std::string why;
        if (back)
          decode_frame(std::span(frame->bytes).first(frame->encoded.bytes), frame->workspace, frame->values, why);
        else
          encode_frame(values, choice.codec, frame->workspace, frame->bytes);
        return static_cast<double>(most_frame_values * sizeof(float));
      };
    });
  };
  return {.pack = rate(false), .unpack = rate(true), .size = 1 / choice.ratio};
}

}  // namespace strata
