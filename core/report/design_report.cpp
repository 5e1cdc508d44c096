#include "dosa/core/report/design_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "dosa/core/report/bars.hpp"
#include "dosa/core/report/chart.hpp"
#include "dosa/core/report/diagram.hpp"
#include "dosa/core/report/words.hpp"
#include "dosa/models/base/text.hpp"
#include "dosa/models/chain/chain.hpp"
#include "dosa/models/cost/objective.hpp"

namespace dosa::html {
namespace {

/// A layer of an analysis, and how often the network runs it.
double runs_of(const LayerAnalysis& layer) { return static_cast<double>(layer.layer.count); }

/// Level `from_dram` of a breakdown; 0 is DRAM.
const LevelBreakdown& level_of(const Breakdown& breakdown, std::size_t from_dram) {
  return breakdown.levels[breakdown.levels.size() - 1 - from_dram];
}

/// The colour of a level by its name; of anything else that binds latency, that of overheads.
std::string colour_of_bound(const LayerAnalysis& layer) {
  if (layer.bound.by == "compute") return "work";
  for (std::size_t i = 0; i < layer.breakdown.levels.size(); ++i) {
    if (level_of(layer.breakdown, i).name == layer.bound.by) return level_colour(i);
  }
  return "over";
}

/// Where the cycles of a layer, or of a network, go: as if all multipliers worked in every cycle, then what
/// comes on top of that. Segments of the same meaning have the same name everywhere.
std::vector<Segment> time_parts(const LayerAnalysis& layer) {
  const double cycles = layer.cycles * runs_of(layer);
  const Utilisation& use = layer.utilisation;
  // A predicted latency may be shorter than that of the multipliers alone.
  const double busy = std::min(1.0, use.busy);
  const double computing = cycles * busy, spread = computing * use.spread, useful = spread * use.unpadded;
  const std::string waits = layer.bound.by == "compute" || layer.bound.by == "overhead"
                                ? "overhead of calls and of filling the array"
                                : "waiting for " + layer.bound.by;
  return {{"useful work", useful, "work"},
          {"work on padding", spread - useful, "pad"},
          {"multipliers without work", computing - spread, "idle"},
          {waits, cycles - computing, waits.front() == 'w' ? colour_of_bound(layer) : "over"}};
}

/// By level, DRAM first, and the multipliers.
std::vector<Segment> energy_parts(const LayerAnalysis& layer) {
  const double runs = runs_of(layer) * static_cast<double>(layer.layer.groups);
  std::vector<Segment> parts;
  for (std::size_t i = 0; i < layer.breakdown.levels.size(); ++i) {
    const LevelBreakdown& level = level_of(layer.breakdown, i);
    parts.push_back({level.name, level.energy_uj * runs, level_colour(i)});
  }
  parts.push_back({"multiply-accumulates", layer.breakdown.mac_energy_uj * runs, "work"});
  return parts;
}

/// The parts of all layers by name, in the order in which names first appear.
std::vector<Segment> sum_of(const DesignAnalysis& analysis,
                            std::vector<Segment> (*parts_of)(const LayerAnalysis&)) {
  std::vector<Segment> sum;
  for (const LayerAnalysis& layer : analysis.layers) {
    for (const Segment& part : parts_of(layer)) {
      const auto known =
          std::find_if(sum.begin(), sum.end(), [&](const Segment& s) { return s.name == part.name; });
      if (known == sum.end())
        sum.push_back(part);
      else
        known->value += part.value;
    }
  }
  return sum;
}

std::string joules(double microjoules) {
  if (microjoules >= 999.5e3) return fmt::format("{} J", short_number(microjoules * 1e-6));
  if (microjoules >= 999.5) return fmt::format("{} mJ", short_number(microjoules * 1e-3));
  return fmt::format("{} µJ", short_number(microjoules));
}

std::string times(double ratio, const char* better, const char* worse) {
  return ratio >= 1 ? fmt::format("{:.2f} times {}", ratio, better)
                    : fmt::format("{:.2f} times {}", 1 / ratio, worse);
}

// ---- The effect of a change on what the design was searched for.

struct Aim {
  const char* name;
  double Effects::*effect;
};
Aim aim_of(const Design& design) {
  if (design.objective == "energy") return {"energy", &Effects::energy};
  if (design.objective == "latency") return {"latency", &Effects::latency};
  return {"EDP", &Effects::edp};
}

/// Changes below this are not worth a line.
constexpr double kNothing = 5e-5;

std::string signed_percentage(double change) {
  if (!std::isfinite(change)) return "–";
  if (std::abs(change) < kNothing) return "0 %";
  return (change < 0 ? "−" : "+") + percentage(std::abs(change));
}

double size_of(const Sensitivity& number, const Aim& aim) {
  const double more = std::abs(number.more.*aim.effect), less = std::abs(number.less.*aim.effect);
  return std::max(std::isfinite(more) ? more : 0, std::isfinite(less) ? less : 0);
}

/// The numbers whose change by 10 % does something to the aim, the largest effect first.
std::vector<const Sensitivity*> by_effect(const DesignAnalysis& analysis, const Aim& aim) {
  std::vector<const Sensitivity*> sorted;
  for (const Sensitivity& number : analysis.sensitivities) {
    if (size_of(number, aim) >= kNothing) sorted.push_back(&number);
  }
  std::stable_sort(sorted.begin(), sorted.end(), [&](const Sensitivity* a, const Sensitivity* b) {
    return size_of(*a, aim) > size_of(*b, aim);
  });
  return sorted;
}

// ---- Sections.

Markup tile(const std::string& what, const std::string& value, const std::string& beside) {
  return element("div", {},
                 {element("dt", {}, {what}), element("dd", {{"class", "big"}}, {value}),
                  element("dd", {{"class", "small"}}, {beside})});
}

/// "main memory (dram)", or the name of a level on the chip.
std::string name_of_level(const DesignAnalysis& analysis, const std::string& level) {
  return level == analysis.layers.front().breakdown.levels.back().name ? "main memory (" + level + ")"
                                                                       : "the " + level;
}

Diagram diagram_of(const DesignAnalysis& analysis);

/// What limits the time of a design, for someone who knows no word of this trade: one sentence on where it
/// goes, one on what follows from it.
std::string verdict_on_time(const DesignAnalysis& analysis) {
  const std::vector<Segment> time = sum_of(analysis, time_parts);
  const double all = total_of(time);
  const auto share_of = [&](const auto& belongs) {
    double sum = 0;
    for (const Segment& part : time) sum += belongs(part) ? part.value : 0;
    return sum / all;
  };
  const auto is_wait = [](const Segment& part) { return part.name.rfind("waiting for ", 0) == 0; };
  const double waits = share_of(is_wait);
  const double useful = share_of([](const Segment& part) { return part.name == "useful work"; });
  const double idle = share_of([](const Segment& part) {
    return part.name == "multipliers without work" || part.name == "work on padding";
  });
  const double overhead = std::max(0.0, 1 - waits - useful - idle);
  const double most = std::max({waits, useful, idle, overhead});
  if (most == waits) {
    const DesignAnalysis::CyclesShare* bound = nullptr;
    for (const DesignAnalysis::CyclesShare& one : analysis.bounds) {
      if (bound == nullptr && one.bound.tensor) bound = &one;
    }
    return fmt::format(
        "Memory limits this design: for {} of the time the multipliers wait for data{}. Faster memory helps "
        "most; more multipliers would shorten only the other {}.",
        percentage(waits),
        bound == nullptr ? ""
                         : fmt::format(", most of all for {} from {}", name_of(*bound->bound.tensor),
                                       name_of_level(analysis, bound->bound.by)),
        percentage(1 - waits));
  }
  if (most == useful) {
    // The layers' slowest part, by their cycles: where that is memory, more multipliers alone would wait.
    double by_memory = 0;
    for (const DesignAnalysis::CyclesShare& one : analysis.bounds)
      by_memory += one.bound.tensor ? one.share : 0;
    const std::string work = fmt::format(
        "the multipliers do useful work in {} of the time, and faster memory alone saves at most {} of it",
        percentage(useful), percentage(waits));
    if (by_memory > 0.5) {
      return fmt::format(
          "Multipliers and memory limit this design about equally: {}, but in {} of the time the data of a "
          "layer "
          "take as long as its work or longer. It becomes much faster only with more multipliers and faster "
          "memory "
          "together.",
          work, percentage(by_memory));
    }
    return fmt::format(
        "The number of multipliers limits this design: {}. It becomes much faster only with more of them.",
        work);
  }
  if (most == idle) {
    return fmt::format(
        "The shape of the array limits this design: {} of what its multipliers could do is lost because the "
        "layers do not fill all of them. More multipliers would help little.",
        percentage(idle));
  }
  return fmt::format(
      "Overhead limits this design: {} of the time, the largest part, goes into starting calls and into "
      "filling and emptying the array, not into work or memory.",
      percentage(overhead));
}

const Segment& largest_of(const std::vector<Segment>& parts) {
  return *std::max_element(parts.begin(), parts.end(),
                           [](const Segment& a, const Segment& b) { return a.value < b.value; });
}

/// The same of all that the design was searched for.
std::string verdict(const DesignAnalysis& analysis) {
  if (analysis.design.objective == "latency") return verdict_on_time(analysis);
  const std::vector<Segment> energy = sum_of(analysis, energy_parts);
  const Segment& most = largest_of(energy);
  return fmt::format("{} Of the energy, {} goes into {}.", verdict_on_time(analysis),
                     percentage(most.value / total_of(energy)),
                     most.colour == "work" ? "the multipliers" : name_of_level(analysis, most.name));
}

/// "14 × 12": how the multipliers stand.
std::string array_in_words(const Breakdown& layer) {
  std::string text;
  for (const AxisUse& axis : layer.axes) {
    if (axis.size > 1) text += fmt::format("{}{:.6g}", text.empty() ? "" : " × ", axis.size);
  }
  return text;
}

/// "a, b and c"
std::string listed(const std::vector<std::string>& parts) {
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i)
    text += (i == 0 ? "" : i + 1 == parts.size() ? " and " : ", ") + parts[i];
  return text;
}

/// What the machine is, for those who know none of its names.
std::string machine_in_words(const DesignAnalysis& analysis) {
  const Diagram diagram = diagram_of(analysis);
  std::vector<std::string> memories;
  for (auto block = diagram.blocks.begin() + 1; block != diagram.blocks.end(); ++block) {
    std::vector<std::string> held;
    for (const Operand operand : all_operands()) {
      if (block->holds[static_cast<std::size_t>(operand)]) held.push_back(name_of(operand));
    }
    memories.push_back(fmt::format("the {} for {}{}", block->name, listed(held),
                                   block->size.empty() ? "" : fmt::format(" ({})", block->size)));
  }
  const std::string array = array_in_words(analysis.layers.front().breakdown);
  std::string text = fmt::format(
      "The machine multiplies and adds with {:.0f} multipliers{}, each once a cycle. What they work on comes "
      "from main memory ({}), which is outside the chip, large, slow and dear{}.",
      diagram.multipliers, array.empty() ? "" : fmt::format(" ({})", array), diagram.blocks.front().name,
      memories.empty() ? "" : ", through memories on the chip: " + listed(memories));
  const Chain chain = chain_of(*analysis.design.machine, analysis.design.hardware);
  if (std::any_of(chain.levels.begin(), chain.levels.end(),
                  [](const ChainLevel& level) { return level.buffering > 1; }))
    text += " Of two halves one is filled while the other is used.";
  return text;
}

/// "pe_dim 16, scratchpad 64 KiB"
std::string sizes_in_words(const Design& design) {
  const std::string sizes = design.machine->text(design.hardware);
  return sizes.empty() ? "all sizes are fixed by its file" : sizes;
}

/// What is to be said below the numbers: other hardware, and what they do not count.
Markup remarks(const DesignAnalysis& analysis, const DesignFacts& facts) {
  Markup text;
  if (!facts.smaller.empty()) {
    text += element("p", {}, {element("b", {}, {"Smaller hardware: "}), facts.smaller});
  }
  const std::vector<std::string> left = cpu_remarks(analysis.design);
  for (const std::string& remark : left)
    text += element("p", {}, {element("b", {}, {"Not in these numbers: "}), remark});
  if (!facts.remark.empty()) text += element("p", {}, {facts.remark});
  return text;
}

Markup headline(const DesignAnalysis& analysis, const DesignFacts& facts) {
  const Design& design = analysis.design;
  Markup lead = element(
      "p", {{"class", "lead"}},
      {fmt::format("The network {} ({} different layers) on the machine {}: {}. Wanted: the least {}.",
                   design.workload, design.layers.size(), design.target, sizes_in_words(design),
                   aim_in_words(design.objective))});
  lead += element("p", {{"class", "verdict"}}, {verdict(analysis)});
  lead += element("p", {}, {machine_in_words(analysis)});
  if (facts.comparison) {
    const Json& gain = facts.comparison->at("gain");
    const double latency = gain.at("latency"), energy = gain.at("energy"), edp = gain.at("edp");
    const std::string uncertain =
        gain.contains("latency_sd_log")
            ? fmt::format(" (latency is predicted, ± {})", percentage(gain["latency_sd_log"].get<double>()))
            : "";
    lead += element("p", {{"class", "lead"}},
                    {"Against ", facts.comparison->at("reference").get<std::string>(), ": ",
                     element("b", {}, {times(latency, "as fast", "as slow")}), uncertain, ", ",
                     element("b", {}, {times(energy, "less energy", "more energy")}), ", ",
                     fmt::format("EDP {}.", times(edp, "lower", "higher"))});
  }
  const DesignTotals& totals = design.totals;
  std::vector<Markup> tiles{
      tile("Latency", short_number(totals.cycles), "cycles"),
      tile("Energy", joules(totals.energy_uj), fmt::format("{:.6g} µJ", totals.energy_uj)),
      tile("EDP", short_number(totals.edp), "µJ × cycles"),
      tile("Area", fmt::format("{:.2f} mm²", totals.area_mm2),
           facts.as_built ? fmt::format("{:.2f} mm² as built, double-buffered",
                                        facts.as_built->at("area_mm2").get<double>())
                          : "by the machine's file"),
      tile("Utilisation", percentage(analysis.utilisation.value()), "of all multipliers and cycles")};
  if (facts.at_clock) {
    const auto number = [&](const char* key) { return short_number(facts.at_clock->at(key).get<double>()); };
    const std::string clock = "at " + number("hz") + "Hz";
    tiles.push_back(tile("Time", number("latency_ms") + " ms", clock));
    tiles.push_back(tile("Speed", number("tops") + " TOPS", clock));
    tiles.push_back(tile("Efficiency", number("tops_per_w") + " TOPS/W", "MACs and accesses alone"));
    tiles.push_back(tile("Power", number("power_w") + " W", "without leakage and clock"));
  }
  lead += element("dl", {{"class", "tiles"}}, tiles);
  lead += remarks(analysis, facts);
  return lead;
}

/// What a number of the machine is, for those who have not read its file: "bandwidth dram.words_per_cycle".
Markup name_of_number(const Sensitivity& number) {
  return joined(
      {std::string(to_string(number.number.kind)) + " ", element("code", {}, {number.number.name})});
}

/// "the multipliers", "dram (weights)".
std::string words_for(const Bound& bound) {
  if (bound.by == "compute") return "the multipliers";
  return bound.tensor ? fmt::format("{} ({})", bound.by, name_of(*bound.tensor)) : bound.by;
}

/// "energy of an access to the scratchpad", "words per cycle of dram".
std::string words_for(const MachineNumber& number) {
  const std::size_t dot = number.name.find('.');
  const std::string level = number.name.substr(0, dot);
  if (number.kind == NumberKind::kBandwidth) return "words per cycle of " + level;
  if (level == "mac") return "energy of a multiply-accumulate";
  // Of a memory whose accesses cost more the larger it is, the file gives a constant and what is added to it.
  const std::string last = number.name.substr(number.name.rfind('.'));
  const bool is_part = last == ".times" || last == ".constant" || last == ".pj_per_kib" || last == ".at_kib";
  return fmt::format("{}energy of an access to {}", is_part ? "of one part of the " : "", level);
}

std::vector<Markup> findings_of(const DesignAnalysis& analysis) {
  std::vector<Markup> items;
  const auto add = [&items](const std::vector<Markup>& text) { items.push_back(element("li", {}, text)); };
  const std::vector<Segment> time = sum_of(analysis, time_parts), energy = sum_of(analysis, energy_parts);
  const Segment &most_time = largest_of(time), &most_energy = largest_of(energy);
  add({element("b", {}, {"Time: "}),
       fmt::format(
           "{} goes into {}; with every multiplier busy in every cycle the network would take {} cycles "
           "instead of {}.",
           percentage(most_time.value / total_of(time)), most_time.name,
           short_number(analysis.compute_bound_cycles), short_number(analysis.design.totals.cycles))});
  std::string bounds;
  for (std::size_t i = 0; i < std::min<std::size_t>(3, analysis.bounds.size()); ++i) {
    bounds += fmt::format("{}{} for {} of the time", i == 0 ? "" : ", ", words_for(analysis.bounds[i].bound),
                          percentage(analysis.bounds[i].share));
  }
  add({element("b", {}, {"Slowest part of the layers: "}), bounds, "."});
  add({element("b", {}, {"Energy: "}),
       fmt::format("{} goes into {}. DRAM moves {} words, {:.2f} times as many as if each were moved once.",
                   percentage(most_energy.value / total_of(energy)), most_energy.name,
                   short_number(analysis.dram_words), analysis.dram_words / analysis.compulsory_words)});
  const auto worst = std::max_element(
      analysis.layers.begin(), analysis.layers.end(),
      [](const LayerAnalysis& a, const LayerAnalysis& b) { return a.share_of_edp < b.share_of_edp; });
  std::string why;
  if (!worst->reasons.empty()) {
    const std::string& reason = worst->reasons.front().text;
    why = "; what costs most there: " + reason + letters_in(reason);
  }
  add({element("b", {}, {"Layer that costs most: "}),
       fmt::format("{}, {} of the time and {} of the energy{}.", worst->layer.name,
                   percentage(worst->share_of_cycles), percentage(worst->share_of_energy), why)});
  const Aim aim = aim_of(analysis.design);
  constexpr std::size_t kNamed = 3;
  std::vector<const Sensitivity*> helping;
  const auto best = [&aim](const Sensitivity* number) {
    return std::min(number->more.*aim.effect, number->less.*aim.effect);
  };
  for (const Sensitivity* number : by_effect(analysis, aim)) {
    // What a size does alone, without larger tiles, is no advice.
    const NumberKind kind = number->number.kind;
    if ((kind == NumberKind::kBandwidth || kind == NumberKind::kEnergy) && best(number) < -kNothing)
      helping.push_back(number);
  }
  std::stable_sort(helping.begin(), helping.end(),
                   [&](const Sensitivity* a, const Sensitivity* b) { return best(a) < best(b); });
  for (std::size_t i = 0; i < std::min(kNamed, helping.size()); ++i) {
    const bool takes_more = helping[i]->more.*aim.effect == best(helping[i]);
    add({element("b", {}, {takes_more ? "10 % more " : "10 % less "}), words_for(helping[i]->number),
         fmt::format(" would change {} by {} (", aim.name, signed_percentage(best(helping[i]))),
         element("code", {}, {helping[i]->number.name}), ")."});
  }
  return items;
}

Section limits(const DesignAnalysis& analysis) {
  Markup content = element("ul", {{"class", "finding"}}, findings_of(analysis));
  content += element("h3", {}, {"Where the time goes"});
  content += summary_bar(sum_of(analysis, time_parts), "Shares of the cycles");
  content += element("h3", {}, {"Where the energy goes"});
  content += summary_bar(sum_of(analysis, energy_parts), "Shares of the energy");
  return {"limits", "What limits this design", "", content};
}

/// What the name of a count begins with where there are many: "64 × ".
std::string each_of(std::int64_t count) { return count > 1 ? fmt::format("{} × ", count) : ""; }

/// "8 words per cycle", or reads and writes apart, of each instance of a level.
std::string bandwidth_of(const ChainLevel& level, std::int64_t instances) {
  if (level.words_per_cycle)
    return fmt::format("{}{:.4g} words per cycle", each_of(instances), *level.words_per_cycle);
  std::string text;
  if (level.read_words_per_cycle) text = fmt::format("reads {:.4g}", *level.read_words_per_cycle);
  if (level.write_words_per_cycle)
    text += fmt::format("{}writes {:.4g}", text.empty() ? "" : ", ", *level.write_words_per_cycle);
  return text.empty() ? "" : each_of(instances) + text + " words per cycle";
}

/// Words per cycle of DRAM: where reads and writes have bandwidths of their own, both together; 0: no limit.
double words_per_cycle(const ChainLevel& dram) {
  if (dram.words_per_cycle) return *dram.words_per_cycle;
  const bool limited = dram.read_words_per_cycle && dram.write_words_per_cycle;
  return limited ? *dram.read_words_per_cycle + *dram.write_words_per_cycle : 0;
}

/// What a tile may take, as often as a memory holds it.
std::string size_text(const LevelBreakdown& level, const ChainLevel& built, std::int64_t instances) {
  if (!level.capacity) return "";
  const std::string size =
      each_of(built.buffering) + fmt::format("{:.6g} {}", *level.capacity, level.size_unit);
  return level.size_unit == "words" ? each_of(instances) + size : size;
}

Diagram diagram_of(const DesignAnalysis& analysis) {
  Diagram diagram;
  const Chain chain = chain_of(*analysis.design.machine, analysis.design.hardware);
  const Breakdown& first = analysis.layers.front().breakdown;
  diagram.multipliers = first.multipliers;
  diagram.mean_busy = analysis.utilisation.value();
  const std::vector<Segment> energy = sum_of(analysis, energy_parts);
  const double all_energy = total_of(energy);
  diagram.energy_share = energy.back().value / all_energy;
  for (std::size_t i = 0; i < first.levels.size(); ++i) {
    const LevelBreakdown& level = level_of(first, i);
    const int place = chain.dram() - static_cast<int>(i);
    const ChainLevel& built = chain.levels[static_cast<std::size_t>(place)];
    Block block{level.name,
                size_text(level, built, chain.instances(place)),
                level.holds,
                -1,
                0,
                bandwidth_of(built, chain.instances(place)),
                energy[i].value / all_energy,
                level_colour(i)};
    if (level.capacity) {
      block.most_full = 0;
      for (const LayerAnalysis& layer : analysis.layers) {
        const double fill = level_of(layer.breakdown, i).fill();
        block.most_full = std::max(block.most_full, fill);
        block.mean_full += fill * layer.share_of_cycles;
      }
    }
    diagram.blocks.push_back(std::move(block));
  }
  for (std::size_t axis = 0; axis < first.axes.size(); ++axis) {
    MeshLine line{first.axes[axis].where, first.axes[axis].size, 0};
    for (const LayerAnalysis& layer : analysis.layers)
      line.mean_used += layer.breakdown.axes[axis].used * layer.share_of_cycles;
    if (line.size > 1) diagram.mesh.push_back(line);
  }
  return diagram;
}

/// `place` makes the ids of figures those of this network among several; empty where there is one.
Section hardware(const DesignAnalysis& analysis, const std::string& place) {
  const Diagram diagram = diagram_of(analysis);
  std::string description = "From the outside inwards:";
  for (const Block& block : diagram.blocks) {
    description +=
        fmt::format(" {}, {}, {} of the energy{};", block.name, block.size.empty() ? "unlimited" : block.size,
                    percentage(block.energy_share),
                    block.most_full < 0 ? "" : fmt::format(", at most {} full", percentage(block.most_full)));
  }
  description += fmt::format(" {:.0f} multipliers, {} of them at work in a mean cycle.", diagram.multipliers,
                             percentage(diagram.mean_busy));
  return {
      "hardware", "The hardware",
      "Data comes from DRAM at the top and goes down to the multipliers. Lines on the right are the three "
      "tensors: weights (W), inputs (I) and outputs (O); a circle marks a memory that holds one, without it "
      "the tensor passes by. Bars tell how full a memory is: in a mean cycle (coloured) and in the layer "
      "that fills it most (grey). “12 ×” before a size: so many stand side by side, each of this size.",
      draw(diagram, {"hardware-figure" + place, "Block diagram of the hardware", description})};
}

Section roofline(const DesignAnalysis& analysis, const std::string& place) {
  Roofline chart;
  chart.peak = analysis.layers.front().breakdown.multipliers;
  chart.words_per_cycle =
      words_per_cycle(chain_of(*analysis.design.machine, analysis.design.hardware).levels.back());
  for (const LayerAnalysis& layer : analysis.layers) {
    const double macs = static_cast<double>(layer.layer.macs()) * static_cast<double>(layer.layer.groups);
    if (!(layer.dram_words > 0) || !(layer.cycles > 0)) continue;
    chart.points.push_back({layer.layer.name, macs / layer.dram_words, macs / layer.cycles,
                            layer.share_of_cycles, colour_of_bound(layer),
                            "bound by " + words_for(layer.bound)});
  }
  std::vector<Segment> colours;
  for (const LayerAnalysis& layer : analysis.layers) {
    const std::string name =
        layer.bound.by == "compute" ? "bound by the multipliers" : "bound by " + layer.bound.by;
    if (std::none_of(colours.begin(), colours.end(),
                     [&](const Segment& known) { return known.name == name; }))
      colours.push_back({name, layer.share_of_cycles, colour_of_bound(layer)});
  }
  Markup content =
      draw(chart, {"roofline-figure" + place, "Roofline of the layers",
                   fmt::format("{} below the roof of {:.0f} multipliers and, on the left, of DRAM; the "
                               "table of layers holds the numbers.",
                               counted(chart.points.size(), "layer"), chart.peak)});
  content += legend(colours);
  return {
      "roofline", "Roofline",
      "Every circle is a layer, its area the layer's share of the time. The higher, the more of the "
      "multipliers work; "
      "the further to the right, the more work is done with each word that DRAM moves. No layer can be above "
      "the line: on its slope DRAM is the limit, on its flat part the number of multipliers. A circle far "
      "below the line waits for something else, or leaves multipliers without work.",
      content};
}

std::string name_with_count(const Layer& layer) {
  return layer.count == 1 ? layer.name : fmt::format("{} × {}", layer.name, layer.count);
}

Section layers(const DesignAnalysis& analysis) {
  const DesignTotals& totals = analysis.design.totals;
  double most_cycles = 0, most_energy = 0;
  for (const LayerAnalysis& layer : analysis.layers) {
    most_cycles = std::max(most_cycles, layer.cycles * runs_of(layer));
    most_energy = std::max(most_energy, layer.energy_uj * runs_of(layer));
  }
  std::vector<std::vector<Cell>> rows;
  for (const LayerAnalysis& layer : analysis.layers) {
    const auto cycles = [&](double value) {
      return fmt::format("{} cycles, {} of all", short_number(value), percentage(value / totals.cycles));
    };
    const auto energy = [&](double value) {
      return fmt::format("{}, {} of all", joules(value), percentage(value / totals.energy_uj));
    };
    rows.push_back({{name_with_count(layer.layer)},
                    {bar(time_parts(layer), most_cycles, cycles)},
                    number_cell(percentage(layer.share_of_cycles)),
                    {bar(energy_parts(layer), most_energy, energy)},
                    number_cell(percentage(layer.share_of_energy))});
  }
  Markup content = element("p", {}, {element("b", {}, {"Time"})});
  content += legend(sum_of(analysis, time_parts));
  content += element("p", {}, {element("b", {}, {"Energy"})});
  content += legend(sum_of(analysis, energy_parts));
  content += table("Time and energy of every layer, with all its runs",
                   {{"Layer"}, {"Time"}, {"", true}, {"Energy"}, {"", true}}, rows, "bars");
  return {"layers", "Layer by layer", "Bars are as long as a layer's part of the network's time and energy.",
          content};
}

Section tornado(const DesignAnalysis& analysis) {
  constexpr std::size_t kMost = 16;
  const Aim aim = aim_of(analysis.design);
  std::vector<const Sensitivity*> sorted = by_effect(analysis, aim);
  if (sorted.size() > kMost) sorted.resize(kMost);
  const auto side = [&](const char* direction, double change) {
    return Change{std::isfinite(change) ? change : 0, change < 0 ? "better" : "worse",
                  fmt::format("{}: {} {}", direction, aim.name, signed_percentage(change))};
  };
  double most = 0;
  bool any_searched = false;
  for (const Sensitivity* number : sorted) {
    most = std::max(most, size_of(*number, aim));
    for (const Sensitivity::Searched& searched : number->searched) {
      any_searched = any_searched || searched.problem.empty();
      if (searched.problem.empty()) most = std::max(most, std::abs(searched.change.*aim.effect));
    }
  }
  std::vector<std::vector<Cell>> rows;
  for (const Sensitivity* number : sorted) {
    const double more = number->more.*aim.effect, less = number->less.*aim.effect;
    std::vector<Change> marks;
    for (const Sensitivity::Searched& searched : number->searched) {
      if (!searched.problem.empty()) continue;
      marks.push_back(
          {searched.change.*aim.effect, "mark",
           fmt::format("{:.6g} instead of {:.6g}, searched again: {} {}", searched.value,
                       number->number.value, aim.name, signed_percentage(searched.change.*aim.effect))});
    }
    rows.push_back({{name_of_number(*number)},
                    {changes({side("10 % more", more), side("10 % less", less)}, marks, most)},
                    number_cell(signed_percentage(more)),
                    number_cell(signed_percentage(less))});
  }
  std::string intro = fmt::format(
      "What 10 % more (upper bar) and 10 % less (lower bar) of a number of the machine does to {} while "
      "every layer runs as it does: to the left it falls, which is better. Of a memory's size that is only "
      "what its "
      "accesses cost: nothing more is put into a larger one.",
      aim.name);
  if (any_searched) intro += " Circles: with other numbers, and the layers searched again for them.";
  return {"sensitivities", "What a change would do", intro,
          table(fmt::format("Change of {} by 10 % more and less of each number", aim.name),
                {{"Number of the machine"},
                 {fmt::format("{}, at most {} on either side", aim.name, percentage(most))},
                 {"10 % more", true},
                 {"10 % less", true}},
                rows, "bars tornado")};
}

/// The words and letters that the page uses, for those who do not know them.
Section glossary(const DesignAnalysis& analysis) {
  const Design& design = analysis.design;
  std::vector<Markup> items;
  const auto add = [&items](const Markup& word, const std::string& meaning) {
    items.push_back(element("dt", {}, {word}));
    items.push_back(element("dd", {}, {meaning}));
  };
  add("layer", "A step of the network. Layers run one after the other; “× 3”: three times.");
  add("multiply-accumulate (MAC)",
      "One multiplication, whose product is added to a sum. The work of a layer is counted in them.");
  add("weights (W), inputs (I), outputs (O)",
      "The numbers that a layer has learnt, reads and writes. One of them is a word.");
  std::string letters;
  for (const Dim dim : all_dims())
    letters += fmt::format("{}{} {}", letters.empty() ? "" : ", ", name_of(dim), meaning_of(dim));
  add("R, S, P, Q, C, K, N", "The sizes of a layer: " + letters +
                                 ". “C fills 3 of 16”: of 16 multipliers side by side, among which "
                                 "the input channels are shared out, 3 have work.");
  for (std::size_t p = 0; p < design.machine->parameters.size(); ++p)
    add(design.machine->parameters[p].label, meaning_of(*design.machine, p) + ".");
  add("EDP", "Energy times latency (delay): low where a design is both quick and economical.");
  add("utilisation", "Useful multiply-accumulates, over those that all multipliers could do in the time.");
  add("padding",
      "A size is computed as a larger one that can be divided evenly; the rest is work for nothing.");
  add("bound by", "What takes longest in a layer: only more of that makes it faster.");
  add("full",
      "A tile is the part of a layer that a memory holds at a time; a memory is as full as its tiles fill "
      "it.");
  return {"words", "What the words mean", "", element("dl", {{"class", "words"}}, items)};
}

Section progress(const DesignAnalysis& analysis, const DesignFacts& facts) {
  Curves curves{"evaluations of the model",
                "best " + analysis.design.objective + " so far",
                {{"best design", "l1", {}, facts.search.back().samples}}};
  for (const FoundSoFar& found : facts.search)
    curves.curves.front().points.push_back(
        {found.samples, found.objective, found.objective, found.objective});
  const FoundSoFar& first = facts.search.front();
  const FoundSoFar& last = facts.search.back();
  const std::string intro = fmt::format(
      "The first design had {}, the best one {} after {} and {:.1f} s.", short_number(first.objective),
      short_number(last.objective),
      last.samples == 1 ? "1 evaluation" : short_number(last.samples) + " evaluations", last.seconds);
  return {"search", "How the search went", intro,
          draw(curves, {"search-figure", "Best design against evaluations", intro})};
}

// ---- Tables.

Markup layer_table(const DesignAnalysis& analysis) {
  std::vector<std::vector<Cell>> rows;
  for (const LayerAnalysis& layer : analysis.layers) {
    rows.push_back({{layer.layer.name},
                    number_cell(fmt::format("{}", layer.layer.count)),
                    number_cell(fmt::format("{:.0f}", layer.cycles)),
                    number_cell(fmt::format("{:.3f}", layer.energy_uj)),
                    number_cell(percentage(layer.share_of_edp)),
                    number_cell(percentage(layer.utilisation.value())),
                    {words_for(layer.bound)},
                    number_cell(fmt::format("{:.2f}", layer.over_bound()))});
  }
  return scrolling(
      "Costs of the layers",
      table("What one run of each layer costs. EDP share: mean of its shares of the network's time "
            "and energy. Times least: its cycles over those that multipliers and DRAM need at least.",
            {{"Layer"},
             {"Runs", true},
             {"Cycles", true},
             {"Energy, µJ", true},
             {"EDP share", true},
             {"Utilisation", true},
             {"Bound by"},
             {"Times least", true}},
            rows));
}

Markup schedule_table(const DesignAnalysis& analysis) {
  std::vector<std::vector<Cell>> rows;
  for (const LayerAnalysis& layer : analysis.layers) {
    std::string why;
    for (const Reason& reason : layer.reasons) why += (why.empty() ? "" : "; ") + reason.text;
    rows.push_back({{layer.layer.name},
                    {shape_of(layer.layer)},
                    {why.empty() ? "at a bound" : why},
                    {element("code", {}, {layer.schedule})}});
  }
  return scrolling("Layers and how they run",
                   table("What each layer is, why it takes more than it needs at least, and how it runs",
                         {{"Layer"}, {"Shape"}, {"Why"}, {"How it runs"}}, rows, "prose"));
}

Markup energy_table(const DesignAnalysis& analysis) {
  std::vector<std::vector<Cell>> rows;
  for (const EnergyShare& share : analysis.energy) {
    rows.push_back({{share.level.empty() ? "multiply-accumulates" : share.level},
                    {share.tensor ? name_of(*share.tensor) : ""},
                    number_cell(fmt::format("{:.3f}", share.energy_uj)),
                    number_cell(percentage(share.share))});
  }
  return table("Energy of the network by memory and tensor",
               {{"Memory"}, {"Tensor"}, {"Energy, µJ", true}, {"Share", true}}, rows);
}

Markup sensitivity_table(const DesignAnalysis& analysis) {
  std::vector<std::vector<Cell>> rows;
  for (const Sensitivity& number : analysis.sensitivities) {
    const auto slope = [](double value) { return number_cell(fmt::format("{:.4f}", value)); };
    rows.push_back({{element("code", {}, {number.number.name})},
                    number_cell(fmt::format("{:.6g}", number.number.value)),
                    {number.number.unit},
                    slope(number.slope.edp),
                    slope(number.slope.energy),
                    slope(number.slope.latency),
                    slope(number.slope.area),
                    number_cell(signed_percentage(number.more.edp)),
                    number_cell(signed_percentage(number.less.edp))});
  }
  return scrolling("Sensitivities",
                   table("Slopes: by how many per cent a quantity rises for one per cent more of the number, "
                         "schedules fixed. The last two columns are the exact model's.",
                         {{"Number"},
                          {"Value", true},
                          {"Unit"},
                          {"EDP", true},
                          {"Energy", true},
                          {"Latency", true},
                          {"Area", true},
                          {"EDP at +10 %", true},
                          {"EDP at −10 %", true}},
                         rows));
}

/// What a search on the changed machine found, beside what the slopes say.
Markup searched_table(const DesignAnalysis& analysis) {
  std::vector<std::vector<Cell>> rows;
  for (const Sensitivity& number : analysis.sensitivities) {
    for (const Sensitivity::Searched& searched : number.searched) {
      const bool found = searched.problem.empty();
      rows.push_back({{element("code", {}, {number.number.name})},
                      number_cell(fmt::format("{:.6g}", number.number.value)),
                      number_cell(fmt::format("{:.6g}", searched.value)),
                      number_cell(found ? signed_percentage(searched.change.edp) : "–"),
                      number_cell(signed_percentage(number.by_slope(searched.value))),
                      {!found                    ? searched.problem
                       : number.agrees(searched) ? "yes"
                                                 : "no"}});
    }
  }
  return scrolling(
      "Layers searched again",
      table(
          "EDP with other numbers and the best of all schedules that searches found, on the same hardware, "
          "against the best with nothing changed; and what the slope says. They agree where both have one "
          "sign "
          "and differ by less than 1.5 times; else another memory begins to bind within the step, schedules "
          "need room that a size gives or takes, or a better schedule was found.",
          {{"Number"}, {"From", true}, {"To", true}, {"Searched", true}, {"By slope", true}, {"Agree"}},
          rows));
}

Section tables(const DesignAnalysis& analysis) {
  Markup content = element("h3", {}, {"Layers"});
  content += layer_table(analysis);
  content += schedule_table(analysis);
  content += element("h3", {}, {"Energy"});
  content += energy_table(analysis);
  if (!analysis.sensitivities.empty()) {
    content += element("h3", {}, {"Sensitivities"});
    content += sensitivity_table(analysis);
  }
  if (analysis.searched) content += searched_table(analysis);
  return {"tables", "Tables", "Every number behind the figures, to be copied into a spreadsheet.", content};
}

/// A value of a design's provenance, in a line.
std::string as_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Section provenance(const DesignAnalysis& analysis, const DesignFacts& facts) {
  const Design& design = analysis.design;
  Markup content;
  if (!facts.command.empty()) {
    content += element("p", {}, {"The command that makes this design:"});
    content += code_block(facts.command);
  }
  if (!facts.command_note.empty()) content += element("p", {}, {facts.command_note});
  std::vector<std::vector<Cell>> rows{
      {{"network"}, {design.workload}},
      {{"machine"}, {design.target}},
      {{"what the machine's file is"}, {design.machine->description}},
      {{"hash of the machine's file"}, {element("code", {}, {design.machine->hash})}}};
  for (const NumberChange& change : design.machine->set)
    rows.push_back({{"set " + change.name}, {fmt::format("{}", change.value)}});
  if (design.provenance.is_object()) {
    for (const auto& [key, value] : design.provenance.items()) {
      if (!value.is_object() || key != "options") {
        rows.push_back({{key}, {as_text(value)}});
        continue;
      }
      for (const auto& [option, set] : value.items()) rows.push_back({{"option " + option}, {as_text(set)}});
    }
  }
  content += table("What the design file records", {{"What"}, {"Value"}}, rows);
  return {"provenance", "Where it comes from", "", content};
}

/// What a page shows of one network.
std::vector<Section> sections_of(const DesignAnalysis& analysis, const std::string& place) {
  std::vector<Section> sections{limits(analysis), hardware(analysis, place), roofline(analysis, place),
                                layers(analysis)};
  if (!by_effect(analysis, aim_of(analysis.design)).empty()) sections.push_back(tornado(analysis));
  sections.push_back(tables(analysis));
  for (Section& section : sections) section.id += place;
  return sections;
}

double own_value(const Json& own, const std::string& objective) {
  const Json& totals = own.at("totals");
  return totals.at(objective == "edp" ? "edp" : objective == "energy" ? "energy_uj" : "cycles");
}

/// The networks side by side, and what each loses by sharing.
Section side_by_side(const std::vector<NetworkOnPage>& networks) {
  std::vector<std::vector<Cell>> rows;
  for (const NetworkOnPage& network : networks) {
    const Design& design = network.analysis.design;
    const DesignTotals& totals = design.totals;
    const double value = Objective::from_name(design.objective).value(totals.energy_uj, totals.cycles);
    std::string loss = "–";
    if (network.own.is_object())
      loss = signed_percentage(value / own_value(network.own, design.objective) - 1);
    rows.push_back({{design.workload},
                    number_cell(fmt::format("{:.6g}", network.weight)),
                    number_cell(short_number(totals.cycles)),
                    number_cell(joules(totals.energy_uj)),
                    number_cell(short_number(totals.edp)),
                    number_cell(percentage(network.analysis.utilisation.value())),
                    number_cell(loss),
                    {verdict(network.analysis)}});
  }
  return {
      "networks", "The networks side by side", "",
      scrolling("Networks",
                table("Every network on the shared hardware. Loss: what its aim is above that of the best "
                      "design known for the network alone.",
                      {{"Network"},
                       {"Weight", true},
                       {"Cycles", true},
                       {"Energy", true},
                       {"EDP", true},
                       {"Utilisation", true},
                       {"Loss", true},
                       {"What limits it"}},
                      rows, "prose"))};
}

}  // namespace

Page design_page(const DesignAnalysis& analysis, const DesignFacts& facts) {
  Page page;
  page.title = fmt::format("{} on {}", analysis.design.workload, analysis.design.target);
  page.lead = headline(analysis, facts);
  page.sections = sections_of(analysis, "");
  page.sections.insert(page.sections.end() - 1, glossary(analysis));
  if (facts.search.size() > 1) page.sections.insert(page.sections.end() - 1, progress(analysis, facts));
  page.sections.push_back(provenance(analysis, facts));
  return page;
}

Page shared_page(const std::vector<NetworkOnPage>& networks, const std::string& joint,
                 const DesignFacts& of_all) {
  const DesignAnalysis& first = networks.front().analysis;
  std::string names;
  for (const NetworkOnPage& network : networks)
    names += (names.empty() ? "" : ", ") + network.analysis.design.workload;
  Page page;
  page.title = fmt::format("{} on one {}", names, first.design.target);
  page.lead =
      element("p", {{"class", "lead"}},
              {fmt::format("{} networks on one hardware, the machine {}: {}. Wanted: the least {}.",
                           networks.size(), first.design.target, sizes_in_words(first.design), joint)});
  page.lead += element("dl", {{"class", "tiles"}},
                       {tile("Area", fmt::format("{:.2f} mm²", first.design.totals.area_mm2),
                             of_all.as_built ? fmt::format("{:.2f} mm² as built, double-buffered",
                                                           of_all.as_built->at("area_mm2").get<double>())
                                             : "by the machine's file")});
  if (!of_all.smaller.empty())
    page.lead += element("p", {}, {element("b", {}, {"Smaller hardware: "}), of_all.smaller});
  page.sections.push_back(side_by_side(networks));
  for (std::size_t n = 0; n < networks.size(); ++n) {
    const DesignAnalysis& analysis = networks[n].analysis;
    std::vector<Section> sections = sections_of(analysis, fmt::format("-{}", n + 1));
    Markup top = headline(analysis, networks[n].facts);
    top += sections.front().content;
    sections.front().content = top;
    for (Section& section : sections) {
      section.heading = fmt::format("{}: {}", analysis.design.workload, section.heading);
      page.sections.push_back(std::move(section));
    }
  }
  page.sections.push_back(glossary(first));
  page.sections.push_back(provenance(first, of_all));
  return page;
}

}  // namespace dosa::html
