#include "engine/passes/pareto_table.h"

#include "base/error.h"
#include "base/file.h"
#include "engine/prices/price_tables.h"
#include "engine/prices/prices_file.h"
#include "engine/sweep/pass.h"
#include "engine/work/work_folder.h"

namespace strata {

void write_pareto_table(const Desk& desk, const Frontier& frontier, std::span<const MeasuredPoint> points) {
  const QuantizeRequest& request = desk.tools().question.request;
  const std::string& work = request.places.work_directory;
  const std::string record = join_path(work, work_names::prices);
  const Prices prices = read_prices(record);
  if (prices.made_from.hash() != frontier.prices)
    fail(Fault::io, "{}: is not what this run wrote there; --resume never prices again", record);
  std::vector<FrontierPoint> table;
  for (const FrontierLane& lane : frontier.lanes)
    for (const double bits : lane.bits) {
      const std::size_t changes = table.empty() ? 0 : units_changed(table.back().allocation, lane.allocation);
      table.push_back({.bits = bits, .allocation = lane.allocation, .changes = changes});
    }
  write_text(join_path(work, work_names::pareto), pareto_csv(prices, table, request.mixed.price, points));
}

}  // namespace strata
