#include "dosa/core/targets/gemmini/campaign/collect.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include "dosa/core/targets/gemmini/campaign/sample.hpp"
#include "dosa/core/targets/gemmini/measurements.hpp"
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

/// Reads the lines of a log that should hold the records of some neighbours of a plan.
class LogReader {
 public:
  LogReader(const Plan& plan, const Program& program)
      : plan_(plan), program_(program), found_(program.count), wrong_(program.count, false) {}

  Collected read(const std::string& log) {
    for (std::size_t start = 0; start < log.size();) {
      const std::size_t end = log.find('\n', start);
      const bool cut = end == std::string::npos;
      line_ = trimmed(std::string_view(log).substr(start, cut ? end : end - start));
      start = cut ? log.size() : end + 1;
      ++number_;
      if (line_.find(kMark) != std::string_view::npos) read_line(cut);
    }
    for (std::size_t i = 0; i < program_.count; ++i) finish(i);
    return std::move(collected_);
  }

 private:
  const PlannedCall& planned(std::size_t i) const { return plan_.measurements[program_.first + i]; }
  void garbled(const std::string& why) { collected_.garbled.push_back({number_, shown(line_) + ": " + why}); }

  /// A line with the mark; `cut`: the log ends in it.
  void read_line(bool cut) {
    const bool failed = line_.rfind("dosa-wrong", 0) == 0;
    std::string_view rest = line_.substr(std::min(line_.size(), failed ? std::size_t{10} : kMark.size()));
    const bool starts = failed || line_.rfind(kMark, 0) == 0;
    const auto layer = starts ? next_number(rest) : std::nullopt;
    const auto mapping = layer ? next_number(rest) : std::nullopt;
    const auto cycles = mapping ? next_number(rest) : std::nullopt;
    if (!cycles || (!rest.empty() && !failed)) {
      if (holds_record(line_)) {
        collected_.interleaved.push_back({number_, shown(line_)});
      } else {
        garbled("no dosa,<layer id>,<mapping id>,<cycles>");
      }
      return;
    }
    if (!program_.holds(*mapping)) {
      return garbled(fmt::format("{} has mappings {}..{}", program_.name, program_.first,
                                 program_.first + program_.count - 1));
    }
    const std::size_t i = *mapping - program_.first;
    const Layer& planned_layer = plan_.layers[planned(i).layer];
    if (*layer != planned(i).layer)
      return garbled(fmt::format("mapping {} belongs to layer {}", *mapping, planned(i).layer));
    if (failed) {
      wrong_[i] = true;
      collected_.wrong.push_back(
          {number_, fmt::format("{} of layer {}", shown(line_), planned_layer.name), program_.first + i});
      return;
    }
    if (cut) return garbled("the log ends inside this line");
    add(i, *cycles);
  }

  /// A whole record.
  void add(std::size_t i, std::uint64_t cycles) {
    const Layer& layer = plan_.layers[planned(i).layer];
    std::int64_t macs = 1;
    for (const std::int64_t size : gemmini::extents(layer, planned(i).tile.call)) macs *= size;
    const std::int64_t ideal = macs / (plan_.hardware.pe_dim * plan_.hardware.pe_dim);
    if (cycles < static_cast<std::uint64_t>(std::max<std::int64_t>(1, ideal)) || cycles >> 53 != 0)
      return garbled(fmt::format("layer {} takes at least {} cycles", layer.name, ideal));
    auto& row = found_[i];
    if (row) {
      collected_.repeated.push_back(
          {number_, fmt::format("mapping {} was measured in line {}: {} cycles there, {} here",
                                row->measurement, row->line, row->cycles, cycles)});
      return;
    }
    row = Collected::Row{program_.first + i, static_cast<std::int64_t>(cycles), number_};
  }

  /// What became of a measurement after the last line.
  void finish(std::size_t i) {
    const PlannedCall& m = planned(i);
    const Layer& layer = plan_.layers[m.layer];
    const std::size_t id = program_.first + i;
    if (!found_[i] && wrong_[i]) return;
    if (!found_[i]) {
      collected_.lost.push_back({0,
                                 fmt::format("mapping {} of layer {} ({}, {})", id, layer.name,
                                             gemmini::to_string(m.tile), program_name(m.program)),
                                 id});
    } else if (wrong_[i]) {
      // Right in one run, wrong in another: neither can be trusted.
      collected_.left_out.push_back(
          {found_[i]->line, fmt::format("mapping {} also gave a wrong result", id)});
    } else if (const std::string reason = m.tile.call == gemmini::Call::kConv ? not_measurable(layer) : "";
               !reason.empty()) {
      collected_.left_out.push_back({found_[i]->line, fmt::format("layer {}: {}", layer.name, reason)});
    } else {
      collected_.rows.push_back(*found_[i]);
    }
  }

  const Plan& plan_;
  const Program& program_;
  Collected collected_;
  std::vector<std::optional<Collected::Row>> found_;
  std::vector<bool> wrong_;
  std::string_view line_;
  std::size_t number_ = 0;
};

}  // namespace

Collected collect(const Plan& plan, const std::string& log) {
  return collect(plan, {"the plan", 0, plan.measurements.size()}, log);
}

Collected collect(const Plan& plan, const Program& program, const std::string& log) {
  return LogReader(plan, program).read(log);
}

void Collected::add(const Collected& other, const std::string& where) {
  rows.insert(rows.end(), other.rows.begin(), other.rows.end());
  const auto append = [&](std::vector<LogProblem> Collected::*kind) {
    for (const LogProblem& p : other.*kind) {
      const std::string line = p.line ? fmt::format("line {}: ", p.line) : "";
      (this->*kind).push_back({0, fmt::format("{}: {}{}", where, line, p.text), p.measurement});
    }
  };
  for (const auto kind : {&Collected::lost, &Collected::repeated, &Collected::interleaved,
                          &Collected::garbled, &Collected::wrong, &Collected::left_out})
    append(kind);
}

std::string Collected::full_report() const {
  std::string text = counted(rows.size(), "measurement") + "\n";
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
                 "checked",
                 "library"});
  for (const Collected::Row& row : collected.rows) {
    const PlannedCall& m = plan.measurements[row.measurement];
    const Layer& layer = plan.layers[m.layer];
    const bool conv = m.tile.call == gemmini::Call::kConv;
    csv.add(row.measurement, conv ? "conv" : "matmul");
    for (const std::int64_t size : gemmini::extents(layer, m.tile.call)) csv.add(size);
    csv.add(conv ? layer.wstride : 1, conv ? layer.hstride : 1, conv ? layer.padding.value_or(0) : 0,
            conv ? layer.input_height() : 0);
    for (const std::int64_t size : m.tile.size) csv.add(size);
    csv.add(m.tiling, plan.hardware.scratchpad_kib, plan.hardware.accumulator_kib, plan.hardware.pe_dim,
            row.cycles, 1, plan.library.month())
        .end_row();
  }
  return csv.text();
}

}  // namespace dosa
