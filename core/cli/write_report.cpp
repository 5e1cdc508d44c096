#include "dosa/core/cli/write_report.hpp"

#include "dosa/core/cli/search_flags.hpp"
#include "dosa/core/report/command.hpp"
#include "dosa/models/base/files.hpp"

namespace dosa::cli {
namespace {

/// What is to be said of one design, whatever made it.
html::DesignFacts facts_of(const Design& design, const Target& target, double clock_hz) {
  html::DesignFacts facts;
  if (const auto comparison = target.compare_with_default(design)) facts.comparison = comparison->json;
  Json found = Json::object();
  std::string ignored;
  add_as_built(design, target.machine(), found, ignored);
  add_at_clock(design, clock_hz, found, ignored);
  add_remark(target, found);
  if (found.contains("as_built")) facts.as_built = found["as_built"];
  if (found.contains("at_clock")) facts.at_clock = found["at_clock"];
  facts.remark = found.value("remark", "");
  return facts;
}

void add_known(const KnownOfSearch& known, html::DesignFacts& facts) {
  facts.search = known.search;
  facts.command = known.command;
  facts.smaller = known.smaller.substr(0, known.smaller.find('\n'));
  if (known.on_other_machine) {
    facts.command_note =
        "The page shows the design on another machine, or with other numbers, than it was made for; without "
        "these, dosa report says what makes it.";
  }
}

}  // namespace

void write_report(const DesignAnalysis& analysis, const Target& target, const KnownOfSearch& known,
                  const std::string& path) {
  html::DesignFacts facts = facts_of(analysis.design, target, known.clock_hz);
  add_known(known, facts);
  if (facts.command.empty() && facts.command_note.empty()) {
    const html::Reproduction made = html::reproduction_of(analysis.design, target);
    facts.command = made.command;
    facts.command_note = made.note;
  }
  write_file(path, html::document(html::design_page(analysis, facts)));
}

void write_report(const SharedDesign& shared, const Target& target, const KnownOfSearch& known,
                  const std::string& path) {
  std::vector<html::NetworkOnPage> networks;
  for (const SharedNetwork& network : shared.networks) {
    html::DesignFacts facts = facts_of(network.design, target, known.clock_hz);
    networks.push_back({analyse(network.design, target), network.weight, std::move(facts), network.own});
  }
  html::DesignFacts of_all = facts_of(networks.front().analysis.design, target, 0);
  add_known(known, of_all);
  if (of_all.command.empty() && of_all.command_note.empty())
    of_all.command_note =
        "The command is dosa optimize with these networks, their weights and these options.";
  const std::string& objective = networks.front().analysis.design.objective;
  const std::string joint =
      fmt::format("{} of {}", shared.combine == "sum" ? "weighted sum" : "geometric mean",
                  objective == "edp" ? "EDP" : objective);
  write_file(path, html::document(html::shared_page(networks, joint, of_all)));
}

}  // namespace dosa::cli
