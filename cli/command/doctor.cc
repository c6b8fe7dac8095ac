// strata doctor: what this machine offers a run, and how a model would be read on it.
#include <fmt/core.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/reader.h"
#include "cli/command.h"
#include "cli/json_text.h"
#include "cli/model_options.h"
#include "cli/sink.h"
#include "cli/table.h"
#include "cli/terminal.h"

namespace strata::command {
namespace {

struct DoctorOptions {
  std::string model;
};

// Whether the machine can do a thing; `why` when it cannot or when nobody can tell.
struct Ability {
  std::optional<bool> works;
  std::string why;
};

struct Source {
  std::size_t files = 0;
  std::uint64_t bytes = 0;
  IoChoice choice;
};

struct Findings {
  std::string cpu, architecture;
  unsigned cores = 0;
  std::uint64_t memory = 0, disk = 0;
  std::string folder;  // where direct I/O was tried
  Ability io_uring, direct;
  std::optional<Source> source;
};

std::string architecture() {
  utsname names{};
  return ::uname(&names) == 0 ? names.machine : "not known";
}

// As Linux calls it; many ARM machines say nothing.
std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) return line.substr(std::min(line.size(), line.find(':') + 2));
  return "not known";
}

Ability try_io_uring() {
  try {
    make_reader(IoMethod::direct);
    return {.works = true, .why = ""};
  } catch (const Error& error) {
    return {.works = false, .why = error.what()};
  }
}

// Writes a small file into the current folder and removes it.
Ability try_direct_writing() {
  const std::string path = fmt::format(".strata-doctor-{}", ::getpid());
  if (exists(path)) return {.works = std::nullopt, .why = path + " is in the way"};
  try {
    constexpr std::uint64_t bytes = 128u << 10;
    Buffer memory(bytes);
    const bool works = [&] {
      OutputFile file(path, bytes, {.write = WriteMode::direct});
      file.write_at(0, memory.bytes());
      file.sync_data();
      return file.direct();
    }();
    remove_file(path);
    return {.works = works, .why = works ? "" : "the file system refuses it"};
  } catch (const Error& error) {
    remove_file(path);
    return {.works = std::nullopt, .why = error.what()};
  }
}

Ability try_direct_reading(const InputFile& file) {
  try {
    Buffer memory(direct_block);
    const ReadRange range{
        .file = &file, .offset = 0, .bytes = std::min(file.size(), direct_block), .to = memory.data()};
    make_reader(IoMethod::direct)->read({&range, 1});
    return {.works = true, .why = ""};
  } catch (const Error& error) {
    return {.works = false, .why = error.what()};
  }
}

std::vector<InputFile> shards(const std::string& folder) {
  std::vector<InputFile> files;
  for (const DirectoryEntry& entry : list_directory(folder))
    if (entry.is_regular && entry.name.ends_with(".safetensors")) files.emplace_back(join_path(folder, entry.name));
  if (files.empty()) fail(Fault::input, "{}: holds no .safetensors file", folder);
  return files;
}

Findings examine(const DoctorOptions& options) {
  Findings found{.cpu = cpu_name(), .architecture = architecture(), .cores = std::thread::hardware_concurrency()};
  found.memory = available_memory_bytes();
  found.disk = free_disk_bytes(".");
  found.io_uring = try_io_uring();
  if (options.model.empty()) {
    found.folder = resolved_path(".");
    found.direct = try_direct_writing();
    return found;
  }
  const std::vector<InputFile> files = shards(options.model);
  found.folder = options.model;
  found.direct = *found.io_uring.works ? try_direct_reading(files.front())
                                       : Ability{.works = std::nullopt, .why = "not tried without io_uring"};
  found.source.emplace(Source{.files = files.size(), .choice = choose_io(files)});
  for (const InputFile& file : files) found.source->bytes += file.size();
  return found;
}

std::string text_of(const Ability& ability) {
  if (!ability.works) return "not known: " + ability.why;
  return *ability.works ? "works" : "does not work: " + ability.why;
}

std::string rate_text(const IoChoice::Measured& measured) {
  return measured.note.empty() ? fmt::format("{:.2f} GB/s", measured.bytes_per_second / 1e9) : measured.note;
}

std::string report_text(const Findings& found) {
  Table table({Align::left, Align::left});
  table.row({"cpu", fmt::format("{} ({})", found.cpu, found.architecture)});
  table.row({"cores", std::to_string(found.cores)});
  table.row({"memory", human_bytes(found.memory) + " available"});
  table.row({"disk", human_bytes(found.disk) + " free in the current folder"});
  table.row({"io_uring", text_of(found.io_uring)});
  table.row({"O_DIRECT", fmt::format("{} (in {})", text_of(found.direct), found.folder)});
  if (!found.source) return table.print(result_width());
  table.row({"model", fmt::format("{} in {} {}", human_bytes(found.source->bytes), found.source->files,
                                  found.source->files == 1 ? "file" : "files")});
  for (const IoChoice::Measured& measured : found.source->choice.measured)
    table.row({fmt::format("  {}", io_name(measured.method)), rate_text(measured)});
  table.row(
      {"--io auto", fmt::format("takes {}: {}", io_name(found.source->choice.method), found.source->choice.reason)});
  return table.print(result_width());
}

Json ability_json(const Ability& ability) {
  return {{"works", ability.works ? Json(*ability.works) : Json()},
          {"why", ability.why.empty() ? Json() : Json(ability.why)}};
}

Json source_json(const Source& source) {
  Json measured = Json::array();
  for (const IoChoice::Measured& one : source.choice.measured)
    measured.push_back({{"method", io_name(one.method)},
                        {"bytes_per_second", one.note.empty() ? Json(one.bytes_per_second) : Json()},
                        {"why", one.note.empty() ? Json() : Json(one.note)}});
  return {{"files", source.files},
          {"bytes", source.bytes},
          {"measured", measured},
          {"io", io_name(source.choice.method)},
          {"reason", source.choice.reason}};
}

Json report_json(const Findings& found) {
  return {{"cpu", found.cpu},
          {"architecture", found.architecture},
          {"cores", found.cores},
          {"memory_available", found.memory},
          {"disk_free", found.disk},
          {"folder", found.folder},
          {"io_uring", ability_json(found.io_uring)},
          {"direct", ability_json(found.direct)},
          {"model", found.source ? source_json(*found.source) : Json()}};
}

CommandBody declare(OptionSet& set) {
  const auto options = std::make_shared<DoctorOptions>();
  set.group("Options");
  declare_model(set, "MODEL", "a checkpoint to measure reading on", options->model);
  return [options](const CommandContext& context) {
    const Findings found = examine(*options);
    print_result(context.common.json ? json_text(report_json(found)) : report_text(found));
  };
}

}  // namespace

extern const Command doctor{
    .name = "doctor",
    .summary = "Show what this machine offers, and how it reads a model.",
    .usage = "[MODEL] [options]",
    .example = "strata doctor llama",
    .stoppable = false,
    .declare = declare,
};

}  // namespace strata::command
