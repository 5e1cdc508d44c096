// A design of gemmini-rtl against the library's own choices on the default hardware.
#pragma once

#include <string>

#include "dosa/core/design/design.hpp"

namespace dosa {

/// Per layer and in all: cycles, energy and EDP of default_gemmini with the library's tiles and of the
/// design, the gains, and how uncertain the surrogate is.
struct DefaultComparison {
  Json json;
  std::string text;
};

/// `design` has a tile in every layer and is evaluated with the same surrogate (null: analytical latencies).
/// Throws like evaluate.
DefaultComparison compare_with_default(const Design& design, const Machine& machine,
                                       const Surrogate* surrogate);

}  // namespace dosa
