#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <string>

#include "cli/amounts.h"
#include "cli/eta.h"
#include "cli/progress_line.h"
#include "cli/table.h"
#include "cli/text_reporter.h"

namespace strata {
namespace {

LayerDone moe_layer() {
  return {.index = 2,
          .total = 64,
          .name = "layer 1",
          .kind = "moe",
          .formats = {{"NVFP4", 384}, {"KEEP", 1}},
          .weight_error = 0.0921,
          .seconds = 12.3,
          .bytes_read = 14'883'000'000,
          .bytes_written = 4u << 20,
          .resident = std::uint64_t{32} << 30};
}

struct Screen {
  std::string text;
  Sink sink() {
    return [this](std::string_view more) { text += more; };
  }
};

TEST_CASE("the time left is the median of the last layer's kind and waits for two of it") {
  Eta eta(10);
  CHECK_FALSE(eta.seconds_left());
  eta.layer_done("embedding", 100);
  CHECK_FALSE(eta.seconds_left());
  eta.layer_done("dense", 9);
  CHECK_FALSE(eta.seconds_left());
  eta.layer_done("dense", 3);
  CHECK(eta.seconds_left() == Catch::Approx(7 * 6.0));
  eta.layer_done("dense", 4);
  CHECK(eta.seconds_left() == Catch::Approx(6 * 4.0));
  eta.layer_done("moe", 50);
  CHECK_FALSE(eta.seconds_left());
  eta.layer_done("moe", 70);
  CHECK(eta.seconds_left() == Catch::Approx(4 * 60.0));
}

TEST_CASE("more layers than were announced leave no negative time") {
  Eta eta(1);
  eta.layer_done("dense", 1);
  eta.layer_done("dense", 1);
  CHECK(eta.seconds_left() == 0.0);
}

TEST_CASE("a layer line says name, kind, seconds, speed, memory, error and formats") {
  CHECK(layer_line(moe_layer(), false) ==
        "[ 3/64] layer 1   moe     12.3 s  1.21 GB/s  32.0 GiB  err  9.21%  NVFP4 384 KEEP 1");
  CHECK(layer_line(moe_layer(), true).ends_with("KEEP 1  read 13.9 GiB, wrote 4.00 MiB"));
}

TEST_CASE("slow reads are told in MB/s") {
  LayerDone layer = moe_layer();
  layer.seconds = 1;
  layer.bytes_read = 99'949'000;
  CHECK(layer_line(layer, false).find(" 99.9 MB/s ") != std::string::npos);
  layer.bytes_read = 99'951'000;
  CHECK(layer_line(layer, false).find(" 0.10 GB/s ") != std::string::npos);
}

TEST_CASE("a layer that quantizes nothing has no error, no formats and no trailing spaces") {
  const LayerDone head{.index = 5, .total = 6, .name = "head", .kind = "head", .seconds = 0.5, .resident = 1u << 20};
  CHECK(layer_line(head, false) == "[6/6] head              0.50 s          -  1.00 MiB");
}

TEST_CASE("the status line shows a bar, the pass, elapsed and remaining time") {
  Status status{.pass = "propagate, render", .done = 16, .total = 64, .elapsed = 211, .left = 401};
  CHECK(status_line(status) == "[#####...............] 16/64  3:31, 6:41 left  propagate, render");
  status.left.reset();
  status.bytes_read = 211'000'000'000;
  status.resident = std::uint64_t{3} << 30;
  CHECK(status_line(status) == "[#####...............] 16/64  3:31  1.00 GB/s  3.00 GiB  propagate, render");
}

TEST_CASE("lines are cut at characters, not inside them") {
  CHECK(cut("abcdef", 3) == "abc");
  CHECK(cut("abc", 3) == "abc");
  CHECK(cut("a\xc3\xa4\xe2\x82\xac"
            "b",
            3) == "a\xc3\xa4\xe2\x82\xac");
  CHECK(cut("abc", -1).empty());
}

TEST_CASE("a pipe gets plain lines, a terminal a status line that is redrawn and taken away") {
  for (const bool live : {false, true}) {
    Screen screen;
    {
      TextReporter reporter(screen.sink(),
                            {.live = live, .color = false, .verbose = false, .width = [] { return 40; }});
      reporter.run_start({.command = "quantize", .model = "m", .family = "llama"});
      reporter.pass_start({.name = "render", .layers = 64});
      reporter.layer_done(moe_layer());
    }
    CHECK(screen.text.starts_with("quantize m (llama)\nrender: 64 layers\n"));
    CHECK((screen.text.find('\x1b') != std::string::npos) == live);
    if (!live) {
      CHECK(screen.text.ends_with("KEEP 1\n"));
      CHECK(screen.text.find('\r') == std::string::npos);
      continue;
    }
    CHECK(screen.text.find("\r\x1b[K[####") == std::string::npos);
    CHECK(screen.text.find("\r\x1b[K[....................] 0/64  0:00") != std::string::npos);
    CHECK(screen.text.find("[ 3/64] layer 1   moe     12.3 s  1.21 G\n") != std::string::npos);
    CHECK(screen.text.ends_with("\r\x1b[K"));
  }
}

TEST_CASE("a decision is told once") {
  Screen screen;
  TextReporter reporter(screen.sink(), {.live = false, .color = false, .verbose = false});
  reporter.decision("x.down_proj", "kept in BF16");
  reporter.decision("x.down_proj", "kept in BF16");
  reporter.decision("y.down_proj", "kept in BF16");
  CHECK(screen.text == "decision: x.down_proj: kept in BF16\ndecision: y.down_proj: kept in BF16\n");
}

TEST_CASE("numbers as people read them") {
  CHECK(grouped(0) == "0");
  CHECK(grouped(999) == "999");
  CHECK(grouped(1000) == "1,000");
  CHECK(grouped(1'234'567) == "1,234,567");
  CHECK(clock_text(7.4) == "0:07");
  CHECK(clock_text(59.6) == "1:00");
  CHECK(clock_text(3599) == "59:59");
  CHECK(clock_text(39'750) == "11:02:30");
  CHECK(clock_text(-1) == "0:00");
  CHECK(seconds_text(0.084) == "0.08 s");
  CHECK(seconds_text(9.999) == "10.0 s");
  CHECK(seconds_text(184.2) == "184 s");
  CHECK(bytes_text(917) == "917 bytes");
  CHECK(bytes_text(1'234'567) == "1,234,567 bytes (1.18 MiB)");
}

TEST_CASE("a table aligns its columns and ends lines without spaces") {
  Table table({Align::left, Align::right, Align::left});
  table.row({"kind", "bytes", "note"});
  table.row({"experts", "7", ""});
  CHECK(table.print() ==
        "kind     bytes  note\n"
        "experts      7\n");
}

}  // namespace
}  // namespace strata
