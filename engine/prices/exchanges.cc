#include "engine/prices/exchanges.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <optional>
#include <span>

namespace strata {
namespace {

// A unit to an option of fewer bytes.
struct Down {
  std::size_t unit = 0;
  std::uint32_t option = 0;
  std::uint64_t freed = 0;
  double loss = 0;
};

using Downs = std::vector<Down>;

// What other units may give up for one.
class Giving {
 public:
  Giving(const Prices& prices, const Allocation& base, PriceRule rule) {
    for (std::size_t u = 0; u < prices.units.size(); ++u) {
      const PricedUnit& unit = prices.units[u];
      const PricedOption& now = unit.options[base.option[u]];
      for (std::uint32_t i = 0; i < unit.options.size(); ++i)
        if (const PricedOption& option = unit.options[i]; option.bytes < now.bytes)
          by_size_.push_back({u, i, now.bytes - option.bytes, option.by(rule).cost - now.by(rule).cost});
    }
    by_rate_ = by_size_;
    std::ranges::stable_sort(by_rate_, [](const Down& a, const Down& b) {
      return a.loss * static_cast<double>(b.freed) < b.loss * static_cast<double>(a.freed);
    });
    std::ranges::stable_sort(by_size_, std::ranges::greater(), &Down::freed);
    for (std::size_t i = 0; i < by_size_.size(); ++i) note(i);
  }

  // At least `need` bytes from others than `unit`, at the least loss found; empty where they cannot.
  Downs find(std::size_t unit, std::uint64_t need) const {
    const std::optional<Down> one = single(unit, need);
    Downs several = cheapest(unit, need);
    double loss = 0;
    for (const Down& down : several) loss += down.loss;
    if (one && (several.empty() || one->loss <= loss)) return {*one};
    return several;
  }

 private:
  // Of those of at least as many bytes as the i-th, the one that loses least, and the next of another unit.
  void note(std::size_t i) {
    std::pair<std::size_t, std::size_t> best = i == 0 ? std::pair(none, none) : best_[i - 1];
    const auto loss = [&](std::size_t at) {
      return at == none ? std::numeric_limits<double>::infinity() : by_size_[at].loss;
    };
    const bool same = best.first != none && by_size_[best.first].unit == by_size_[i].unit;
    if (loss(i) < loss(best.first)) {
      if (!same) best.second = best.first;
      best.first = i;
    } else if (!same && loss(i) < loss(best.second)) {
      best.second = i;
    }
    best_.push_back(best);
  }

  std::optional<Down> single(std::size_t unit, std::uint64_t need) const {
    const auto end = std::ranges::partition_point(by_size_, [&](const Down& down) { return down.freed >= need; });
    if (end == by_size_.begin()) return std::nullopt;
    const auto [first, second] = best_[static_cast<std::size_t>(end - by_size_.begin()) - 1];
    const std::size_t taken = by_size_[first].unit != unit ? first : second;
    return taken == none ? std::nullopt : std::optional(by_size_[taken]);
  }

  // The least loss a byte first; what turns out not to be needed goes.
  Downs cheapest(std::size_t unit, std::uint64_t need) const {
    Downs taken;
    std::uint64_t freed = 0;
    for (const Down& down : by_rate_) {
      if (freed >= need) break;
      if (down.unit == unit) continue;
      const auto same = std::ranges::find(taken, down.unit, &Down::unit);
      if (same == taken.end()) {
        taken.push_back(down);
        freed += down.freed;
      } else if (same->freed < down.freed) {  // further down
        freed += down.freed - same->freed;
        *same = down;
      }
    }
    if (freed < need) return {};
    for (std::size_t i = taken.size(); i-- > 0;)
      if (freed - taken[i].freed >= need && taken[i].loss > 0) {
        freed -= taken[i].freed;
        taken.erase(taken.begin() + static_cast<std::ptrdiff_t>(i));
      }
    return taken;
  }

  static constexpr std::size_t none = static_cast<std::size_t>(-1);
  Downs by_rate_, by_size_;
  std::vector<std::pair<std::size_t, std::size_t>> best_;  // places in by_size_
};

Exchange exchange_of(const Prices& prices, const Allocation& base, PriceRule rule, std::span<const Down> changes) {
  Exchange made;
  double variance = 0;
  for (const Down& down : changes) {
    const PricedUnit& unit = prices.units[down.unit];
    const Price &now = unit.options[base.option[down.unit]].by(rule), &then = unit.options[down.option].by(rule);
    made.units.push_back(down.unit);
    made.option.push_back(down.option);
    made.change += then.cost - now.cost;
    // Options of one unit are measured by the same samples, and go up and down together.
    variance += std::pow(then.standard_error - now.standard_error, 2);
  }
  made.error = std::isfinite(variance) ? std::sqrt(variance) : std::numeric_limits<double>::infinity();
  return made;
}

}  // namespace

double Exchange::expected_gain() const {
  if (!std::isfinite(error) || error <= 0) return -change;
  const double z = change / error;
  const double density = std::exp(-z * z / 2) / std::sqrt(2 * std::numbers::pi);
  return error * density - change * std::erfc(z / std::numbers::sqrt2) / 2;
}

std::vector<Exchange> best_exchanges(const Prices& prices, const Allocation& base, PriceRule rule, std::size_t most) {
  const Giving giving(prices, base, rule);
  const std::uint64_t room = base.budget - base.bytes;
  std::vector<Exchange> all;
  for (std::size_t u = 0; u < prices.units.size(); ++u) {
    const PricedUnit& unit = prices.units[u];
    const PricedOption& now = unit.options[base.option[u]];
    for (std::uint32_t i = 0; i < unit.options.size(); ++i) {
      const PricedOption& option = unit.options[i];
      if (option.bytes <= now.bytes || option.by(rule).cost >= now.by(rule).cost) continue;
      const std::uint64_t more = option.bytes - now.bytes;
      Downs changes;
      if (more > room) {
        changes = giving.find(u, more - room);
        if (changes.empty()) continue;
      }
      changes.insert(changes.begin(), Down{u, i});
      all.push_back(exchange_of(prices, base, rule, changes));
    }
  }
  std::ranges::stable_sort(all, std::ranges::greater(), &Exchange::expected_gain);
  if (all.size() > most) all.resize(most);
  return all;
}

std::vector<std::uint32_t> after(const Allocation& base, const Exchange& exchange) {
  std::vector<std::uint32_t> option = base.option;
  for (std::size_t i = 0; i < exchange.units.size(); ++i) option[exchange.units[i]] = exchange.option[i];
  return option;
}

std::string exchange_text(const Prices& prices, const Allocation& base, const Exchange& exchange) {
  std::string text;
  for (std::size_t i = 0; i < exchange.units.size(); ++i) {
    const PricedUnit& unit = prices.units[exchange.units[i]];
    text += fmt::format("{}{} {} to {}", text.empty() ? "" : ", ", unit.name,
                        unit.options[base.option[exchange.units[i]]].format->name,
                        unit.options[exchange.option[i]].format->name);
  }
  return text;
}

}  // namespace strata
