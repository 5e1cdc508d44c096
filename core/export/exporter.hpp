// Turning a design into files for other programs. A new format is one file that implements Exporter and one
// line in exporters().
#pragma once

#include <string>
#include <vector>

#include "dosa/core/design/design.hpp"
#include "dosa/core/targets/gemmini/campaign/plan.hpp"

namespace dosa {

class Exporter {
 public:
  virtual ~Exporter() = default;
  virtual const char* name() const = 0;
  virtual const char* description() const = 0;
  /// Whether the export has programs that BatchLimits split up.
  virtual bool has_programs() const { return false; }
  /// All files of the export. Throws Error for a design that the format cannot hold.
  virtual std::vector<OutputFile> files(const Design& design, const Target& target,
                                        const BatchLimits& batch = {}) const = 0;
};

/// Every format, in the order in which they are listed to users.
const std::vector<const Exporter*>& exporters();
/// Throws Error{kValue} with the list for an unknown name.
const Exporter& exporter(const std::string& name);

// One per file.
const Exporter& gemmini_exporter();
const Exporter& timeloop_exporter();
const Exporter& timeloop_nodes_exporter();
const Exporter& json_exporter();
const Exporter& csv_exporter();

}  // namespace dosa
