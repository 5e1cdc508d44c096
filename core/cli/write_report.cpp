#include "dosa/core/cli/write_report.hpp"

#include "dosa/core/cli/search_flags.hpp"
#include "dosa/core/report/command.hpp"
#include "dosa/models/base/files.hpp"

namespace dosa::cli {

void write_report(const Design& design, const Target& target, const KnownOfSearch& known,
                  const std::string& path) {
  const DesignAnalysis analysis = analyse(design, target);
  html::DesignFacts facts;
  if (const auto comparison = target.compare_with_default(analysis.design))
    facts.comparison = comparison->json;
  Json found = Json::object();
  std::string ignored;
  add_as_built(analysis.design, target.machine(), found, ignored);
  add_remark(target, found);
  if (found.contains("as_built")) facts.as_built = found["as_built"];
  facts.remark = found.value("remark", "");
  facts.search = known.search;
  facts.command = known.command;
  if (facts.command.empty()) {
    const html::Reproduction made = html::reproduction_of(design, target);
    facts.command = made.command;
    facts.command_note = made.note;
  }
  write_file(path, html::document(html::design_page(analysis, facts)));
}

}  // namespace dosa::cli
