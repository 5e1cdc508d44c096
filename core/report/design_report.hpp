// The page of a design: what was asked and found, what limits it, its hardware, its layers, what a change of
// the machine would do, how it was searched and how to make it again. All analysis is core/explain's.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "dosa/core/explain/explain.hpp"
#include "dosa/core/report/page.hpp"

namespace dosa::html {

/// The best design of a search until then.
struct FoundSoFar {
  double samples = 0;  ///< evaluations of the model
  double seconds = 0;
  double objective = 0;
};

/// What a page shows beside the analysis.
struct DesignFacts {
  std::optional<Json> comparison;  ///< Target::compare_with_default
  std::optional<Json> as_built;    ///< of a design whose buffers are the need of one tile (as_built())
  std::optional<Json> at_clock;    ///< at_clock()
  std::string remark;              ///< on all its numbers; empty: none
  std::string smaller;             ///< on smaller hardware that is nearly as good; empty: not known
  std::vector<FoundSoFar> search;  ///< improving; empty: not known
  std::string command;             ///< that makes the design; empty: not known
  std::string command_note;        ///< what is to be said of the command
};

Page design_page(const DesignAnalysis& analysis, const DesignFacts& facts);

/// One of several networks on one hardware.
struct NetworkOnPage {
  DesignAnalysis analysis;
  double weight = 1;
  DesignFacts facts;  ///< but its search and its command
  Json own;           ///< SharedNetwork::own
};

/// The page of designs of several networks on one hardware: what all have in common, then what limits each.
/// `of_all` holds what is known of the search and the command. `joint` says what is least of, in words.
Page shared_page(const std::vector<NetworkOnPage>& networks, const std::string& joint,
                 const DesignFacts& of_all);

}  // namespace dosa::html
