#include "dosa/core/import/onnx/left_out.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "dosa/models/base/table.hpp"
#include "dosa/models/base/text.hpp"

namespace dosa::onnx_import {

void LeftOut::add(const std::string& operation, double repeats, double elements, double bytes,
                  bool is_unknown) {
  Entry& entry = entries_[operation];
  entry.count += repeats;
  entry.elements += repeats * elements;
  entry.bytes += repeats * bytes;
  entry.is_unknown = is_unknown;
}

double LeftOut::all_elements() const {
  double all = layer_elements_;
  for (const auto& [name, entry] : entries_) all += entry.elements;
  return std::max(all, 1.0);
}

std::string LeftOut::unknown_names() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries_) {
    if (entry.is_unknown) names.push_back(fmt::format("{} ({:.0f})", name, entry.count));
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string LeftOut::table() const {
  if (entries_.empty()) return "";
  std::vector<std::pair<std::string, Entry>> sorted(entries_.begin(), entries_.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second.elements > b.second.elements; });
  Table table({{"not counted", ColumnKind::kName}, {"count"}, {"elements %"}, {"MiB moved"}});
  double count = 0, elements = 0, bytes = 0;
  const auto row = [&](const std::string& name, double times, double written, double moved) {
    table.row({name, fmt::format("{:.0f}", times), fmt::format("{:.2f}", 100 * written / all_elements()),
               fmt::format("{:.3f}", moved / (1 << 20))});
  };
  for (const auto& [name, entry] : sorted) {
    row(name, entry.count, entry.elements, entry.bytes);
    count += entry.count;
    elements += entry.elements;
    bytes += entry.bytes;
  }
  if (sorted.size() > 1) row("all of these", count, elements, bytes);
  std::string text = table.text();
  if (const std::string unknown = unknown_names(); !unknown.empty()) {
    for (const std::string& line :
         wrapped("unknown operators, which may hold work that is not counted: " + unknown, kTextWidth))
      text += line + "\n";
  }
  return text;
}

std::string LeftOut::brief() const {
  if (entries_.empty()) return "";
  double count = 0, elements = 0;
  for (const auto& [name, entry] : entries_) {
    count += entry.count;
    elements += entry.elements;
  }
  const std::string unknown = unknown_names();
  return fmt::format("not counted: {}, {:.1f} % of all elements written{}{}",
                     counted(static_cast<std::int64_t>(count), "operator"), 100 * elements / all_elements(),
                     unknown.empty() ? "" : "; unknown: ", unknown);
}

Json LeftOut::json() const {
  Json list = Json::array();
  for (const auto& [name, entry] : entries_) {
    list.push_back({{"operator", name},
                    {"count", entry.count},
                    {"elements", entry.elements},
                    {"elements_share", entry.elements / all_elements()},
                    {"bytes", entry.bytes},
                    {"unknown", entry.is_unknown}});
  }
  return list;
}

}  // namespace dosa::onnx_import
