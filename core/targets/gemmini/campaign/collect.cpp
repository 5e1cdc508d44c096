#include "dosa/core/targets/gemmini/campaign/collect.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include "dosa/core/targets/gemmini/campaign/sample.hpp"
#include "dosa/models/base/csv.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/text.hpp"

namespace dosa {
namespace {

constexpr std::string_view kMark = "dosa";

/// A line of the log for a report: short and printable.
std::string shown(std::string_view text) {
  return "'" + printable(text.substr(0, 60)) + (text.size() > 60 ? "..." : "") + "'";
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\r' || text.back() == ' ' || text.back() == '\t'))
    text.remove_suffix(1);
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t' || text.front() == '\r'))
    text.remove_prefix(1);
  return text;
}

/// ",<number>" at the front of `text`, which moves behind it.
std::optional<std::uint64_t> next_number(std::string_view& text) {
  if (text.empty() || text.front() != ',') return std::nullopt;
  std::uint64_t number = 0;
  const auto [end, code] = std::from_chars(text.data() + 1, text.data() + text.size(), number);
  if (code != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

/// Whether a whole record stands somewhere in the line.
bool holds_record(std::string_view line) {
  for (std::size_t at = line.find(kMark); at != std::string_view::npos; at = line.find(kMark, at + 1)) {
    std::string_view rest = line.substr(at + kMark.size());
    if (next_number(rest) && next_number(rest) && next_number(rest)) return true;
  }
  return false;
}

}  // namespace

Collected collect(const Plan& plan, const std::string& log) {
  Collected collected;
  std::vector<std::optional<Collected::Row>> found(plan.measurements.size());
  std::vector<bool> wrong(plan.measurements.size(), false);
  std::size_t line_number = 0;
  for (std::size_t start = 0; start < log.size();) {
    const std::size_t end = log.find('\n', start);
    const bool cut = end == std::string::npos;
    const std::string_view line = trimmed(std::string_view(log).substr(start, cut ? end : end - start));
    start = cut ? log.size() : end + 1;
    ++line_number;
    if (line.find(kMark) == std::string_view::npos) continue;
    const auto garbled = [&](const std::string& why) {
      collected.garbled.push_back({line_number, shown(line) + ": " + why});
    };
    const bool failed = line.rfind("dosa-wrong", 0) == 0;
    std::string_view rest = line.substr(std::min(line.size(), failed ? std::size_t{10} : kMark.size()));
    const bool starts = failed || line.rfind(kMark, 0) == 0;
    const auto layer = starts ? next_number(rest) : std::nullopt;
    const auto mapping = layer ? next_number(rest) : std::nullopt;
    const auto cycles = mapping ? next_number(rest) : std::nullopt;
    if (!cycles || (!rest.empty() && !failed)) {
      if (holds_record(line)) {
        collected.interleaved.push_back({line_number, shown(line)});
      } else {
        garbled("no dosa,<layer id>,<mapping id>,<cycles>");
      }
      continue;
    }
    if (*mapping >= plan.measurements.size()) {
      garbled(fmt::format("the plan has mappings 0..{}", plan.measurements.size() - 1));
      continue;
    }
    const PlannedCall& m = plan.measurements[*mapping];
    if (*layer != m.layer) {
      garbled(fmt::format("mapping {} belongs to layer {}", *mapping, m.layer));
      continue;
    }
    if (failed) {
      wrong[*mapping] = true;
      collected.wrong.push_back(
          {line_number, fmt::format("{} of layer {}", shown(line), plan.layers[m.layer].name)});
      continue;
    }
    if (cut) {
      garbled("the log ends inside this line");
      continue;
    }
    std::int64_t macs = 1;
    for (const std::int64_t size : gemmini::extents(plan.layers[m.layer], m.tile.call)) macs *= size;
    const std::int64_t ideal = macs / (plan.hardware.pe_dim * plan.hardware.pe_dim);
    if (*cycles < static_cast<std::uint64_t>(std::max<std::int64_t>(1, ideal)) || *cycles >> 53 != 0) {
      garbled(fmt::format("layer {} takes at least {} cycles", plan.layers[m.layer].name, ideal));
      continue;
    }
    auto& row = found[*mapping];
    if (row) {
      collected.repeated.push_back(
          {line_number, fmt::format("mapping {} was measured in line {}: {} cycles there, {} here", *mapping,
                                    row->line, row->cycles, *cycles)});
      continue;
    }
    row = Collected::Row{*mapping, static_cast<std::int64_t>(*cycles), line_number};
  }
  for (std::size_t i = 0; i < found.size(); ++i) {
    const PlannedCall& m = plan.measurements[i];
    const Layer& layer = plan.layers[m.layer];
    if (!found[i] && wrong[i]) continue;
    if (!found[i]) {
      collected.lost.push_back({0, fmt::format("mapping {} of layer {} ({}, {})", i, layer.name,
                                               gemmini::to_string(m.tile), plan.program_of(i))});
    } else if (wrong[i]) {
      // Right in one run, wrong in another: neither can be trusted.
      collected.left_out.push_back({found[i]->line, fmt::format("mapping {} also gave a wrong result", i)});
    } else if (const std::string reason = m.tile.call == gemmini::Call::kConv ? not_measurable(layer) : "";
               !reason.empty()) {
      collected.left_out.push_back({found[i]->line, fmt::format("layer {}: {}", layer.name, reason)});
    } else {
      collected.rows.push_back(*found[i]);
    }
  }
  return collected;
}

std::string Collected::full_report() const {
  std::string text = fmt::format("{} measurements\n", rows.size());
  const auto add = [&](const char* kind, const std::vector<LogProblem>& problems) {
    if (problems.empty()) return;
    text += fmt::format("{} {}:\n", problems.size(), kind);
    for (const LogProblem& p : problems)
      text += (p.line ? fmt::format("  line {}: ", p.line) : "  ") + printable(p.text) + "\n";
  };
  add("lost", lost);
  add("repeated", repeated);
  add("interleaved", interleaved);
  add("garbled", garbled);
  add("with a wrong result", wrong);
  add("left out", left_out);
  return text;
}

Json Collected::to_json() const {
  const auto list = [](const std::vector<LogProblem>& problems) {
    Json json = Json::array();
    for (const LogProblem& p : problems) {
      json.push_back({{"text", p.text}});
      if (p.line) json.back()["line"] = p.line;
    }
    return json;
  };
  return {{"measurements", rows.size()},      {"lost", list(lost)},       {"repeated", list(repeated)},
          {"interleaved", list(interleaved)}, {"garbled", list(garbled)}, {"wrong", list(wrong)},
          {"left_out", list(left_out)}};
}

std::string collected_csv(const Plan& plan, const Collected& collected) {
  if (collected.rows.empty()) {
    fail(ErrorId::kValue,
         "no measurement of the plan is in the log ({} lost, {} garbled, {} interleaved, {} wrong)",
         collected.lost.size(), collected.garbled.size(), collected.interleaved.size(),
         collected.wrong.size());
  }
  CsvWriter csv({"id",
                 "kind",
                 "R",
                 "S",
                 "P",
                 "Q",
                 "C",
                 "K",
                 "N",
                 "wstride",
                 "hstride",
                 "padding",
                 "in_dim",
                 "tile_R",
                 "tile_S",
                 "tile_P",
                 "tile_Q",
                 "tile_C",
                 "tile_K",
                 "tile_N",
                 "tiling",
                 "scratchpad_kib",
                 "accumulator_kib",
                 "pe_dim",
                 "cycles",
                 "checked"});
  for (const Collected::Row& row : collected.rows) {
    const PlannedCall& m = plan.measurements[row.measurement];
    const Layer& layer = plan.layers[m.layer];
    const bool conv = m.tile.call == gemmini::Call::kConv;
    csv.add(row.measurement, gemmini::name_of(m.tile.call));
    for (const std::int64_t size : gemmini::extents(layer, m.tile.call)) csv.add(size);
    csv.add(conv ? layer.wstride : 1, conv ? layer.hstride : 1, conv ? layer.padding.value_or(0) : 0,
            conv ? layer.input_height() : 0);
    for (const std::int64_t size : m.tile.size) csv.add(size);
    csv.add(m.tiling, plan.hardware.scratchpad_kib, plan.hardware.accumulator_kib, plan.hardware.pe_dim,
            row.cycles, 1)
        .end_row();
  }
  return csv.text();
}

}  // namespace dosa
