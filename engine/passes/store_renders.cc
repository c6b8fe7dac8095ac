// Encodes every option of the menu that is worth keeping, while the statistics of its inputs are fresh, and writes them
// into the work folder.
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <memory>
#include <vector>

#include "base/file.h"
#include "base/lending.h"
#include "cache/fingerprint.h"
#include "engine/passes/evaluate_work.h"
#include "engine/passes/probe_menu.h"
#include "engine/passes/render_store.h"
#include "engine/plan/menu_index.h"
#include "engine/sweep/moments.h"
#include "engine/sweep/pass.h"
#include "engine/work/work_folder.h"

namespace strata::passes {
namespace {

class StoreRenders final : public Pass {
 public:
  StoreRenders(const PassQuestion& question, const Cut& cut)
      : question_(question), menu_(probe_menu(question)), index_(question.model, menu_), cut_(cut) {}

  void begin(Desk& desk) override {
    if (!rooms_) {
      rooms_.emplace();
      for (int i = 0; i < cut_.renders; ++i)
        rooms_->add(std::make_unique<LeasedBuffer>(desk.tools().memory, "encoded Linears"));
      // Prices of an earlier run do not go with what is kept from here on.
      remove_tree(join_path(question_.request.places.work_directory, work_names::prices));
      make_directory(join_path(question_.request.places.work_directory, work_names::renders));
    }
    const std::string path = render_file(question_.request.places.work_directory, desk.visit_index());
    remove_tree(path);  // of another run: it takes the place of what this one makes
    file_ = desk.visit().layer == nullptr ? nullptr : std::make_shared<EntryWriter>(path, render_fingerprint(desk));
  }

  void part(Desk& desk) override {
    if (file_ == nullptr) return;
    std::vector<Task> tasks = tasks_of(desk);
    std::uint64_t bytes = 0;
    for (const Task& task : tasks) bytes += task.where.bytes();
    if (bytes == 0) return keep_columns(desk);
    std::shared_ptr<LeasedBuffer> memory;
    {
      const StageTimes::Span waiting(&desk.tools().times, Stage::wait_for_write);
      memory = rooms_->take();
    }
    memory->grow(bytes);
    std::span<std::byte> room = memory->bytes();
    for (Task& task : tasks) task.where.place(room);
    encode(desk, tasks);
    keep_columns(desk);
    const StageTimes::Span waiting(&desk.tools().times, Stage::wait_for_write);
    desk.tools().writer.push(
        [trace = desk.tools().trace, &name = desk.visit().name, file = file_, tasks = std::move(tasks), memory] {
          const Trace::Span span(trace, Track::write, name, {});
          for (const Task& task : tasks) write(*file, task);
        });
  }

  void end(Desk& desk) override {
    if (file_ == nullptr) return;
    const Moments& moments = desk.get(facts::moments);
    std::vector<std::pair<std::string, float>> inputs;
    for (const LinearSpec* linear : desk.visit().linears)
      if (desk.collects(*linear) != Collect::nothing && moments.reached(*linear))
        inputs.emplace_back(input_entry(*linear), moments.input_amax(*linear));
    desk.tools().writer.push([file = std::move(file_), inputs = std::move(inputs)] {
      for (const auto& [name, amax] : inputs) file->add(name, std::as_bytes(std::span(&amax, 1)));
      file->finish();
    });
  }

 private:
  // Linears that are served as one matrix, in one format.
  struct Task {
    std::vector<const LinearSpec*> group;
    const NumberFormat* format = nullptr;
    OptionFields where;
  };

  std::vector<Task> tasks_of(const Desk& desk) const {
    std::vector<Task> tasks;
    for (const std::vector<const LinearSpec*>& group : fused_groups(desk.part().linears)) {
      const MenuUnit* const unit = index_.unit_of(*group.front());
      if (unit == nullptr) continue;
      for (const MenuOption& option : unit->options)
        if (is_stored(question_, *option.format))
          tasks.push_back({group, option.format, option_fields(desk, group, *option.format, probe_rule(question_))});
    }
    return tasks;
  }

  // What other formats of these Linears would be encoded by.
  void keep_columns(const Desk& desk) const {
    std::vector<std::pair<std::string, std::vector<float>>> columns;
    for (const std::vector<const LinearSpec*>& group : fused_groups(desk.part().linears))
      if (const LinearSpec& first = *group.front(); has(desk.collects(first), Collect::squares))
        columns.emplace_back(column_entry(first), desk.get(facts::moments).column_weight(first));
    desk.tools().writer.push([file = file_, columns = std::move(columns)] {
      for (const auto& [name, values] : columns) file->add(name, std::as_bytes(std::span(values)));
    });
  }

  void encode(const Desk& desk, const std::vector<Task>& tasks) const {
    const Trace::Span span(desk.tools().trace, Track::encode, desk.visit().name,
                           {.layer = static_cast<int>(desk.visit_index())});
    const StageTimes::Span time(&desk.tools().times, Stage::encode);
    const Moments& moments = desk.get(facts::moments);
    tbb::parallel_for(std::size_t{0}, tasks.size(), [&](std::size_t i) {
      tbb::this_task_arena::isolate([&] {
        LeasedBuffer scratch(desk.tools().memory, "rounding");
        // Input scales are not stored: experts share theirs, which waits for the last token of the layer.
        encode_option(desk, moments, tasks[i].group, {probe_method(question_), probe_rule(question_), *tasks[i].format},
                      tasks[i].where, scratch);
      });
    });
  }

  static void write(EntryWriter& file, const Task& task) {
    for (std::size_t i = 0; i < task.group.size(); ++i)
      for (std::size_t f = 0; f < task.where.fields[i].size(); ++f) {
        const Field& field = task.where.fields[i][f];
        if (task.format->input_scale_suffix.empty() || field.suffix != task.format->input_scale_suffix)
          file.add(render_entry(*task.group[i], *task.format, field), task.where.out[i][f]);
      }
  }

  const PassQuestion question_;
  const Menu menu_;
  const MenuIndex index_;
  const Cut cut_;
  std::optional<Lending<LeasedBuffer>> rooms_;  // where encoded options lie until they are written
  std::shared_ptr<EntryWriter> file_;           // of the visit
};

// Of a part, all that is encoded of it at once: less than two bytes a weight and format.
std::uint64_t encoded(const PassQuestion& question, const Part& part) {
  std::uint64_t formats = 0, weights = 0;
  for (const std::string& name : question.request.mixed.formats)
    formats += is_stored(question, require_number_format(name)) ? 1 : 0;
  for (const LinearSpec* linear : part.linears)
    if (part.visit->layer != nullptr) weights += static_cast<std::uint64_t>(linear->out * linear->in);
  const std::uint64_t bytes = question.request.mixed.store == Store::all ? 2 : 1;
  return formats * bytes * weights;
}

void cost(const CostQuestion& question, CostSheet& sheet) {
  sheet.add(Resource::host, "renders",
            static_cast<std::uint64_t>(question.cut.renders) * question.sizes.largest(encoded));
  sheet.add(Resource::host, "files", write_staging_bytes);
  sheet.add(Resource::disk, "renders", stored_bytes(question.pass));
}

}  // namespace

extern const PassType store_renders{
    .name = "store_renders",
    .summary = "encodes what of the menu is worth keeping, once",
    .version = 1,
    .reads = {&facts::source, &facts::weights, &facts::moments},
    .wanted =
        [](const PassQuestion& question) {
          return question.request.mixed.wanted() && question.request.mixed.store != Store::none;
        },
    .collects = [](const PassQuestion& question, const LinearPlan&) { return probe_collects(question); },
    .cost = cost,
    .work = store_work,
    .make = [](const PassQuestion& question, const Cut& cut) -> std::unique_ptr<Pass> {
      return std::make_unique<StoreRenders>(question, cut);
    },
};

}  // namespace strata::passes
