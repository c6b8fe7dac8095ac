// What a stopped run leaves still counts as far as nothing that it was computed from has changed.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_exception.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <filesystem>

#include "engine/plan/open_model.h"
#include "tests/support/thrown.h"
#include "tests/support/tiny_llama.h"
#include "tests/unit/engine/run/whole_run.h"

using namespace strata;
using namespace strata::test;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::MessageMatches;

namespace {

namespace fs = std::filesystem;

constexpr int visits_of_demo = 6;

// A copy of the demo model, and a run over it that is stopped after three of six visits: embedding, layers 0 and 1.
class Fixture {
 public:
  explicit Fixture(const char* scheme = "NVFP4", bool data = true) {
    fs::copy(demo_model, folder_.file("model"));
    write_token_rows(folder_.file("ids.safetensors"), 8, 32, demo_vocabulary);
    write_token_rows(folder_.file("others.safetensors"), 9, 31, demo_vocabulary);
    options = options_in(folder_, folder_.file("model"), scheme, data ? folder_.file("ids.safetensors") : "", 8, 32);
    options.resume.explain = true;
  }

  void stop_half_way(int layers = 3) const {
    Watcher watcher(layers);
    REQUIRE(run(options, watcher) == Ended::stopped);
    REQUIRE(exists(options.places.output + ".partial"));
    REQUIRE(exists(join_path(options.places.work_directory, "journal")));
  }

  // What a run of these options writes that nothing came before.
  Files undisturbed() const {
    QuantizeRequest other = options;
    other.places.output = folder_.file("undisturbed");
    other.places.work_directory = folder_.file("undisturbed.work");
    other.resume.mode = Resume::automatic;
    other.machine.max_memory = 0;
    return output_of(other);
  }

  // Goes on to the end: the output must be that of an undisturbed run.
  Watcher& go_on() {
    REQUIRE(run(options, watcher_) == Ended::done);
    INFO(watcher_.all_decisions());
    CHECK(files_in(options.places.output) == undisturbed());
    return watcher_;
  }

  std::string boundary_file() const {
    const std::string act = join_path(options.places.work_directory, "act");
    const std::vector<DirectoryEntry> entries = list_directory(act);
    REQUIRE(entries.size() == 1);  // of all hidden states only those that enter the next layer are kept
    return join_path(act, entries[0].name);
  }
  std::string journal() const { return join_path(options.places.work_directory, "journal"); }
  const TemporaryFolder& folder() const { return folder_; }

  QuantizeRequest options;

 private:
  TemporaryFolder folder_;
  Watcher watcher_;
};

void flip_byte(const std::string& path, std::uint64_t place) {
  std::string bytes = read_text(path);
  bytes.at(place) = static_cast<char>(bytes.at(place) ^ 1);
  write_text(path, bytes);
}

// A byte of a tensor, and the shard that it is in.
struct Place {
  std::string file;
  std::uint64_t offset;
};
Place place_in(const std::string& model, const std::string& tensor, std::uint64_t at) {
  const OpenModel opened = open_model(model);
  const TensorInfo& info = opened.checkpoint.at(tensor);
  return {opened.checkpoint.files()[static_cast<std::size_t>(info.file)].path(), info.offset + at};
}

std::size_t count_of(const Watcher& watcher, std::string_view ending) {
  return static_cast<std::size_t>(
      std::ranges::count_if(watcher.decisions, [&](const std::string& line) { return line.ends_with(ending); }));
}

}  // namespace

TEST_CASE("a stopped run goes on where it was, says so, and leaves neither journal nor hidden states") {
  Fixture fixture;
  fixture.stop_half_way();
  const Watcher& watcher = fixture.go_on();
  CHECK(watcher.layers == std::vector<std::string>{"layer 2", "layer 3", "head"});
  INFO(watcher.all_decisions());
  CHECK(watcher.said("goes on: 3 of 6 layers are taken over from an earlier run"));
  CHECK(watcher.said("layer 1: taken over"));
  CHECK(watcher.said("layer 2: computed: there is no record of it"));
  CHECK(count_of(watcher, ": taken over") == 3);
  CHECK_FALSE(exists(fixture.journal()));
  CHECK_FALSE(exists(join_path(fixture.options.places.work_directory, "act")));
  CHECK_FALSE(exists(fixture.options.places.output + ".partial"));
}

TEST_CASE("what a run without data took over is not read again") {
  Fixture fixture("FP8_DYNAMIC", false);
  fixture.stop_half_way();
  CHECK(fixture.go_on().layers == std::vector<std::string>{"layer 2", "layer 3", "head"});
}

TEST_CASE("another scheme starts over and names the old one and the new one") {
  Fixture fixture;
  fixture.stop_half_way();
  fixture.options.assignment.scheme = "MXFP4";
  const Watcher& watcher = fixture.go_on();
  INFO(watcher.all_decisions());
  CHECK(watcher.layers.size() == visits_of_demo);
  CHECK(watcher.said("--scheme: NVFP4 -> MXFP4"));
}

TEST_CASE("a scheme whose output has the same sizes takes nothing over either") {
  Fixture fixture("FP8_DYNAMIC", false);
  fixture.stop_half_way();
  fixture.options.rounding.method = "rtn";
  const Watcher& watcher = fixture.go_on();
  INFO(watcher.all_decisions());
  CHECK(watcher.said("--method: scale-search 1 -> rtn 1"));
}

TEST_CASE("other calibration tokens compute every layer again and are named") {
  Fixture fixture;
  fixture.stop_half_way();
  fixture.options.calibration.dataset = fixture.folder().file("others.safetensors");
  fixture.options.calibration.nsamples = 9;
  fixture.options.calibration.seqlen = 31;
  const Watcher& watcher = fixture.go_on();
  INFO(watcher.all_decisions());
  CHECK(watcher.layers.size() == visits_of_demo);
  CHECK(watcher.said("calibration tokens: "));
  CHECK(watcher.said(" -> "));
}

TEST_CASE("another list of kept Linears starts over and is named") {
  Fixture fixture;
  fixture.stop_half_way();
  fixture.options.assignment.ignore = {"*.3.self_attn.*"};
  const Watcher& watcher = fixture.go_on();
  INFO(watcher.all_decisions());
  CHECK(watcher.said("--ignore: "));
  CHECK(watcher.said("*.3.self_attn.*"));
}

TEST_CASE("a changed shard of the source computes again what lies in it, and with data what follows") {
  const bool data = GENERATE(false, true);
  Fixture fixture(data ? "NVFP4" : "FP8_DYNAMIC", data);
  fixture.stop_half_way();
  const Place place = place_in(fixture.options.places.model, "model.layers.1.mlp.experts.3.up_proj.weight", 1001);
  flip_byte(place.file, place.offset);
  const Watcher& watcher = fixture.go_on();
  INFO(watcher.all_decisions());
  const std::string shard = fs::path(place.file).filename();
  CHECK(watcher.said(shard + ": "));
  CHECK(watcher.said("modified"));
  CHECK(std::ranges::find(watcher.layers, "layer 1") != watcher.layers.end());
  if (!data) CHECK(watcher.said("layer 1: computed: source: "));
}

TEST_CASE("a shard that only later layers are in changes nothing for those that are done") {
  Fixture fixture;
  fixture.stop_half_way();
  const Place place = place_in(fixture.options.places.model, "model.norm.weight", 100);
  REQUIRE(place.file.ends_with("model-00003-of-00003.safetensors"));  // it holds the end of layer 3 too
  flip_byte(place.file, place.offset);
  const Watcher& watcher = fixture.go_on();
  INFO(watcher.all_decisions());
  CHECK(watcher.layers == std::vector<std::string>{"layer 2", "layer 3", "head"});
  CHECK(watcher.said("changed since: " + fs::path(place.file).filename().string()));
}

TEST_CASE("who requires to go on is told what differs, and nothing is lost") {
  Fixture fixture;
  fixture.options.resume.mode = Resume::require;
  Watcher watcher;
  const Error nothing = thrown_by([&] { run(fixture.options, watcher); });
  CHECK(nothing.fault == Fault::mismatch);
  CHECK_THAT(nothing.what(), ContainsSubstring("nothing to go on from"));

  fixture.options.resume.mode = Resume::automatic;
  fixture.stop_half_way();
  fixture.options.resume.mode = Resume::require;
  QuantizeRequest other = fixture.options;
  other.assignment.scheme = "W4A16";
  const Error error = thrown_by([&] { run(other, watcher); });
  CHECK(error.fault == Fault::mismatch);
  CHECK_THAT(error.what(), ContainsSubstring("--scheme: NVFP4 -> W4A16"));
  CHECK(fixture.go_on().layers.size() == 3);
}

TEST_CASE("a run that is refused leaves the records of the last one, and what that has done") {
  Fixture fixture;
  fixture.stop_half_way();
  const auto records = [&] {
    return read_text(join_path(fixture.options.places.work_directory, "run.json")) +
           read_text(join_path(fixture.options.places.work_directory, "assignment.json"));
  };
  const std::string before = records();
  QuantizeRequest other = fixture.options;
  other.assignment.scheme = "W4A16";
  other.places.output = fixture.folder().file("elsewhere");
  std::optional<FileLock> held;
  Fault expected = Fault::mismatch;
  SECTION("what an earlier run left is made from something else") { other.resume.mode = Resume::require; }
  SECTION("the data set is too small") {
    other.calibration.nsamples = 1000;
    expected = Fault::input;
  }
  SECTION("another run works in the folder beside the output") {
    make_directory(other.places.output + ".partial");
    held.emplace(FileLock::of_folder(other.places.output + ".partial"));
    expected = Fault::busy;
  }
  Watcher watcher;
  CHECK(thrown_by([&] { run(other, watcher); }).fault == expected);
  CHECK(records() == before);
  CHECK(fixture.go_on().layers.size() == 3);
}

TEST_CASE("who wants to start over starts over") {
  Fixture fixture;
  fixture.stop_half_way();
  fixture.options.resume.mode = Resume::never;
  CHECK(fixture.go_on().layers.size() == visits_of_demo);
}

TEST_CASE("hidden states that are missing, cut or changed are computed again, with the reason") {
  const std::string harm = GENERATE("missing", "cut", "changed");
  INFO(harm);
  Fixture fixture;
  fixture.stop_half_way();
  const std::string file = fixture.boundary_file();
  const std::string bytes = read_text(file);
  if (harm == "missing") remove_tree(file);
  if (harm == "cut") write_text(file, bytes.substr(0, bytes.size() / 2));
  if (harm == "changed") flip_byte(file, bytes.size() / 3);
  // Layers that are read again in other parts must still count as the same source.
  fixture.options.machine.max_memory = smallest_limit(fixture.options);
  const Watcher& watcher = fixture.go_on();
  INFO(watcher.all_decisions());
  CHECK(watcher.layers.size() == visits_of_demo);
  CHECK(watcher.said("layer 1: computed: layer 2 needs what leaves it, and "));
  CHECK(watcher.said(fs::path(file).filename().string()));
  CHECK(watcher.said("starts over: no layer of it still counts"));
}

TEST_CASE("a journal that ends early takes over what it still says") {
  Fixture fixture;
  fixture.stop_half_way();
  const std::string text = read_text(fixture.journal());
  const std::size_t cut = GENERATE(1u, 2u, 3u, 4u);  // quarters
  INFO(cut << " quarters");
  write_text(fixture.journal(), text.substr(0, text.size() * cut / 4 - (cut == 4 ? 1 : 0)));
  fixture.go_on();
}

TEST_CASE("a journal of something else is refused and left alone") {
  Fixture fixture;
  fixture.stop_half_way();
  for (const Resume resume : {Resume::automatic, Resume::never}) {
    write_text(fixture.journal(), "my diary\n");
    fixture.options.resume.mode = resume;
    Reporter silent;
    CHECK_THROWS_MATCHES(quantize(fixture.options, silent), Error, MessageMatches(ContainsSubstring("-w")));
    CHECK(read_text(fixture.journal()) == "my diary\n");
  }
  write_text(fixture.journal(), "strata journal 9\n");
  fixture.options.resume.mode = Resume::automatic;
  Reporter silent;
  CHECK_THROWS_MATCHES(quantize(fixture.options, silent), Error, MessageMatches(ContainsSubstring("version 9")));
}

TEST_CASE("a partial output in which a shard is missing starts over, with the reason") {
  Fixture fixture;
  fixture.stop_half_way();
  for (const DirectoryEntry& entry : list_directory(fixture.options.places.output + ".partial"))
    if (entry.name.ends_with(".safetensors")) {
      remove_tree(join_path(fixture.options.places.output + ".partial", entry.name));
      break;
    }
  const Watcher& watcher = fixture.go_on();
  INFO(watcher.all_decisions());
  CHECK(watcher.layers.size() == visits_of_demo);
  CHECK(watcher.said("out.partial is not there as it was left"));
}

TEST_CASE("a source with other bytes but equal size and time is noticed when a layer is read again") {
  Fixture fixture;
  fixture.stop_half_way();
  remove_tree(fixture.boundary_file());  // so that all layers are read again
  const std::string tensor = "model.layers.1.mlp.experts.3.up_proj.weight";
  const Place place = place_in(fixture.options.places.model, tensor, 12345);
  const fs::file_time_type before = fs::last_write_time(place.file);
  flip_byte(place.file, place.offset);
  fs::last_write_time(place.file, before);
  Watcher watcher;
  const Error error = thrown_by([&] { run(fixture.options, watcher); });
  INFO(error.what() << "\n" << watcher.all_decisions());
  CHECK(error.fault == Fault::mismatch);
  CHECK_THAT(error.what(), ContainsSubstring("layer 1") && ContainsSubstring("other bytes"));
  CHECK_FALSE(exists(fixture.options.places.output));
  fixture.options.resume.mode = Resume::never;
  fixture.go_on();
}

TEST_CASE("a layer that is written again beside others must be read as it was, in every run") {
  Fixture fixture("FP8_DYNAMIC", false);
  fixture.stop_half_way();
  const std::string partial = fixture.options.places.output + ".partial",
                    tensor = "model.layers.1.self_attn.q_proj.weight";
  const Place source = place_in(fixture.options.places.model, tensor, 1001);
  fs::copy(join_path(fixture.options.places.model, "config.json"), partial);
  {
    const Checkpoint written = Checkpoint::open(partial);
    const TensorInfo& info = written.at(tensor);
    flip_byte(written.files()[static_cast<std::size_t>(info.file)].path(), info.offset);
  }
  fs::remove(join_path(partial, "config.json"));
  const fs::file_time_type before = fs::last_write_time(source.file);
  flip_byte(source.file, source.offset);
  fs::last_write_time(source.file, before);
  // The first run overwrites what stood there, the second must notice as well.
  for (int i = 0; i < 2; ++i) {
    Watcher watcher;
    const Error error = thrown_by([&] { run(fixture.options, watcher); });
    INFO(error.what() << "\n" << watcher.all_decisions());
    CHECK(error.fault == Fault::mismatch);
    CHECK_THAT(error.what(), ContainsSubstring("layer 1"));
    CHECK(watcher.said("layer 0: taken over"));
  }
}

TEST_CASE("a layer that was begun again and not finished no longer counts for what it was before") {
  Fixture fixture("FP8_DYNAMIC", false);
  fixture.stop_half_way(4);  // behind layer 2
  const std::string layer = "model.layers.2.";
  const Place changed = place_in(fixture.options.places.model, layer + "self_attn.q_proj.weight", 1001);
  const Place broken = place_in(fixture.options.places.model, layer + "mlp.experts.7.down_proj.weight", 1000);
  const fs::path model = fixture.options.places.model, before = fixture.folder().file("before");
  fs::copy(model, before);
  for (const fs::directory_entry& file : fs::directory_iterator(model))
    fs::last_write_time(before / file.path().filename(), file.last_write_time());
  // Another layer 2, of which the attention is written before its last expert proves broken.
  flip_byte(changed.file, changed.offset);
  std::string bytes = read_text(broken.file);
  bytes.replace(broken.offset, 2, "\xC0\x7F");
  write_text(broken.file, bytes);
  Watcher watcher;
  CHECK(thrown_by([&] { run(fixture.options, watcher); }).fault == Fault::input);
  REQUIRE(exists(fixture.options.places.output + ".partial"));
  for (const fs::directory_entry& file : fs::directory_iterator(before)) {
    fs::copy_file(file.path(), model / file.path().filename(), fs::copy_options::overwrite_existing);
    fs::last_write_time(model / file.path().filename(), file.last_write_time());
  }
  const Watcher& watcher_after = fixture.go_on();
  INFO(watcher_after.all_decisions());
  CHECK(watcher_after.layers == std::vector<std::string>{"layer 1", "layer 2", "layer 3", "head"});
}

TEST_CASE("decisions about layers that are taken over are told again") {
  Fixture fixture("NVFP4");  // 256 tokens do not reach every expert of every layer
  const std::string unreached = "no calibration token reached";
  Watcher whole;
  REQUIRE(run(fixture.options, whole) == Ended::done);
  remove_tree(fixture.options.places.output);
  fixture.stop_half_way();
  const Watcher& watcher = fixture.go_on();
  for (const std::string& line : whole.decisions)
    if (line.find(unreached) != std::string::npos) CHECK(watcher.said(line));
}
