// dosa optimize --pareto.
#pragma once

#include <filesystem>
#include <string>

#include "dosa/core/cli/search_flags.hpp"
#include "dosa/core/report/front_report.hpp"
#include "dosa/core/search/pareto.hpp"

namespace dosa::cli {

/// Searches the front and writes it as a folder: design_01.json, ... (smallest area first), front.json
/// (schema "dosa-front/1") and front.csv. The folder appears when it is complete; an older front there is
/// replaced. `page` is a file for the front's page; empty: none. Throws Error{kFile} before the search where
/// the folder holds anything else.
void write_pareto_front(const SearchProblem& problem, const ParetoOptions& options, const std::string& folder,
                        const std::string& page, bool quiet, const Output& output);

/// The same from such a folder, with the command that its designs record. Throws Error with the file where it
/// is none, or where a design is missing or of another network or machine.
html::Front read_front(const std::filesystem::path& folder);

}  // namespace dosa::cli
