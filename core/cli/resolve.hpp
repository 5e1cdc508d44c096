// Schedules searched again for other numbers of the machine (--resolve), for commands that look at a design.
#pragma once

#include "dosa/core/cli/search_flags.hpp"
#include "dosa/core/explain/search_again.hpp"

namespace dosa::cli {

/// The design that a command looks at.
struct DesignChoice {
  std::string path, surrogate;
  MachineChoice machine;

  /// The target with the surrogate of the flags or, where there is none, that which the design records.
  TargetPtr target_with(const Json& provenance, const MachinePtr& on) const;
};

struct ResolveFlags {
  SearchAgain again;
  bool wanted = false, quiet = false;

  /// --resolve, --max-nests, --samples, --seed, --threads and --quiet.
  void add_to(CLI::App& command);
  /// search_again() with a progress line, where it is wanted.
  void search(const DesignChoice& choice, const TargetPtr& target, DesignAnalysis& analysis) const;
};

}  // namespace dosa::cli
