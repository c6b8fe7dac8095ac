#include <catch2/catch_test_macros.hpp>
#include <csignal>
#include <filesystem>
#include <new>
#include <nlohmann/json.hpp>
#include <string>

#include "base/file.h"
#include "cli/failure.h"
#include "cli/json_reporter.h"
#include "cli/quantize_options.h"
#include "cli/reporters.h"
#include "engine/plan/request_options.h"
#include "tests/support/temporary_folder.h"

namespace strata {
namespace {

using Json = nlohmann::json;

template <typename Thrown>
Failure failure_of(const Thrown& thrown, int signal = 0) {
  try {
    throw thrown;
  } catch (const std::exception&) {
    return current_failure(signal);
  }
}

TEST_CASE("every fault has the exit code that docs/cli.md lists") {
  CHECK(failure_of(Error(Fault::bug, "x")).exit_code == 1);
  CHECK(failure_of(Error(Fault::usage, "x")).exit_code == 2);
  CHECK(failure_of(Error(Fault::budget, "x")).exit_code == 4);
  CHECK(failure_of(Error(Fault::input, "x")).exit_code == 5);
  CHECK(failure_of(Error(Fault::check, "x")).exit_code == 6);
  CHECK(failure_of(Error(Fault::busy, "x")).exit_code == 8);
  CHECK(failure_of(Error(Fault::io, "x")).exit_code == 9);
  CHECK(failure_of(Different("a\nb")).exit_code == 1);
  CHECK(failure_of(Different("a\nb")).message == "a b");
  CHECK(failure_of(Error(Fault::interrupted, "x"), SIGINT).exit_code == 130);
  CHECK(failure_of(Error(Fault::interrupted, "x"), SIGTERM).exit_code == 143);
}

TEST_CASE("what is not an Error is out of memory or an internal error, in one line without a stack trace") {
  CHECK(failure_of(std::bad_alloc()).exit_code == 4);
  CHECK(failure_of(std::bad_alloc()).message.find("end other programs") != std::string::npos);
  const Failure internal = failure_of(std::runtime_error("tensor\t\rbroke\nframe #0: at::add\nframe #1"));
  CHECK(internal.exit_code == 1);
  CHECK(internal.message == "internal error: tensor broke; please report it with the command line");
  CHECK(failure_of(Error(Fault::input, "a\nb\x1b[31m c\n")).message == "a b [31m c");
}

TEST_CASE("events are JSON objects, one a line, with the fields of docs/cli.md") {
  std::string text;
  JsonReporter reporter([&text](std::string_view more) { text += more; }, {"m", "-o", "o"});
  CHECK_FALSE(reporter.started());
  reporter.run_start({.command = "quantize",
                      .model = "m\xff",
                      .family = "llama",
                      .facts = {{"peak memory", "3 GiB"}, {"bytes", "12"}}});
  CHECK(reporter.started());
  reporter.pass_start({.name = "render", .layers = 3});
  reporter.layer_done({.index = 1,
                       .total = 3,
                       .name = "layer 0",
                       .kind = "moe",
                       .formats = {{"KEEP", 2}},
                       .weight_error = 0.5,
                       .seconds = 2.5,
                       .bytes_read = 7,
                       .bytes_written = 8,
                       .resident = 9});
  reporter.decision("x", "kept");
  reporter.run_end({.facts = {{"bits per parameter", "4.5"}}, .seconds = 1, .peak_resident = 10});
  reporter.error({.kind = "io", .message = "disk: full", .exit_code = 9});

  std::vector<Json> events;
  for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1)
    events.push_back(Json::parse(text.substr(at, text.find('\n', at) - at)));
  REQUIRE(events.size() == 6);
  for (Json& event : events) {
    CHECK(event.at("time").get<std::string>().size() == 24);
    event.erase("time");
  }
  CHECK(events[0]["facts"] == Json{{"peak_memory", "3 GiB"}, {"bytes", 12}});
  CHECK(events[0]["arguments"] == Json{"m", "-o", "o"});
  CHECK(events[0]["directory"] == std::filesystem::current_path().string());
  CHECK(events[1] == Json{{"event", "pass_start"}, {"name", "render"}, {"layers", 3}, {"done", 0}});
  CHECK(events[2] == Json{{"event", "layer"},
                          {"index", 1},
                          {"total", 3},
                          {"name", "layer 0"},
                          {"kind", "moe"},
                          {"formats", {{"KEEP", 2}}},
                          {"weight_error", 0.5},
                          {"seconds", 2.5},
                          {"bytes_read", 7},
                          {"bytes_written", 8},
                          {"resident", 9}});
  CHECK(events[3] == Json{{"event", "decision"}, {"subject", "x"}, {"text", "kept"}});
  CHECK(events[4] ==
        Json{{"event", "run_end"}, {"facts", {{"bits_per_parameter", 4.5}}}, {"seconds", 1.0}, {"peak_resident", 10}});
  CHECK(events[5] == Json{{"event", "error"}, {"kind", "io"}, {"message", "disk: full"}, {"exit_code", 9}});
}

TEST_CASE("the journal makes its folder with the first event and appends to an older run") {
  const test::TemporaryFolder folder;
  const std::string work = folder.file("a/work");
  for (int run = 0; run < 2; ++run) {
    const Sink journal = events_sink(work);
    CHECK(exists(work) == (run == 1));
    journal("one\n");
    journal("two\n");
  }
  CHECK(read_text(work + "/events.jsonl") == "one\ntwo\none\ntwo\n");
}

TEST_CASE("a tee tells everybody, --quiet lets decisions through alone") {
  auto quiet_end = std::make_unique<RecordingReporter>();
  const RecordingReporter& told = *quiet_end;
  DecisionReporter quiet(std::move(quiet_end));
  RecordingReporter record;
  TeeReporter tee({&quiet, &record});
  tee.pass_start({.name = "render", .layers = 2});
  tee.layer_done({.index = 0, .total = 2});
  tee.decision("x", "kept");
  tee.decision("x", "kept");
  tee.run_end({.seconds = 3});
  CHECK(record.layers_done == 1);
  CHECK(record.pass.layers == 2);
  CHECK(record.end.seconds == 3);
  CHECK(record.decisions.size() == 1);
  CHECK(told.decisions.size() == 1);
  CHECK(told.pass.layers == 0);
  CHECK(told.end.seconds == 0);
}

TEST_CASE("an override is split at its last equals sign and its format is known in any case") {
  CHECK(parse_override("--override", "re:.*(?=down)=bf16") ==
        std::pair<std::string, std::string>("re:.*(?=down)", "BF16"));
  for (const char* wrong : {"pattern", "=BF16", "pattern=", "x=BF61", "re:(=BF16"})
    CHECK_THROWS_AS(parse_override("--override", wrong), Error);
}

TEST_CASE("what quantize lacks is named before the model is opened") {
  const auto message = [](QuantizeRequest options, bool needs_output) -> std::string {
    try {
      complete_quantize_request(options, needs_output);
    } catch (const Error& error) {
      CHECK(error.fault == Fault::usage);
      return error.what();
    }
    return "";
  };
  CHECK(message({}, true).starts_with("MODEL: missing"));
  CHECK(message({.places = {.model = "m"}}, true).starts_with("--output: missing"));
  CHECK(message({.places = {.model = "m"}}, false).starts_with("--scheme: missing; one of"));
  CHECK(message({.places = {.model = "m"}, .assignment = {.file = "a.json"}}, false).empty());
  CHECK(message({.places = {.model = "m"}, .assignment = {.scheme = "bf16", .kv_cache_fp8 = true}}, false)
            .starts_with("--kv-cache fp8: needs --dataset"));
  CHECK(message({.places = {.model = "m"},
                 .assignment = {.scheme = "bf16"},
                 .rounding = {.method = "scale-search", .parity = true}},
                false)
            .starts_with("--method scale-search: cannot be with --parity"));
  CHECK(message(
            {.places = {.model = "m"}, .assignment = {.scheme = "bf16"}, .rounding = {.method = "rtn", .parity = true}},
            false)
            .empty());
  CHECK(message({.places = {.model = "m"}, .assignment = {.scheme = "nvfp5"}}, false) ==
        "--scheme: there is no number format 'nvfp5' (did you mean NVFP4?)");
  CHECK(message({.places = {.model = "m"}, .assignment = {.scheme = "nvfp4"}, .rounding = {.method = "rnt"}}, false) ==
        "--method: there is no rounding method 'rnt' (did you mean rtn?)");
  CHECK(message({.places = {.model = "m"}, .assignment = {.scheme = "nvfp4"}}, false).empty());
}

TEST_CASE("the method is a search of scales unless parity is asked for") {
  CHECK(RoundingRequest{}.method_name() == "scale-search");
  CHECK(RoundingRequest{.parity = true}.method_name() == "rtn");
}

TEST_CASE("the work directory stands beside the output, a trailing slash or not") {
  QuantizeRequest options{.places = {.model = "m", .output = "a/out//"}, .assignment = {.scheme = "bf16"}};
  complete_quantize_request(options, true);
  CHECK(options.places.output == "a/out");
  CHECK(options.places.work_directory == "a/out.work");
  CHECK(options.assignment.scheme == "BF16");
}

}  // namespace
}  // namespace strata
