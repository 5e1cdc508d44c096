#include "dosa/core/export/exporter.hpp"

#include "dosa/models/base/error.hpp"

namespace dosa {

const std::vector<const Exporter*>& exporters() {
  static const std::vector<const Exporter*> all{&gemmini_exporter(), &timeloop_exporter(),
                                                &timeloop_nodes_exporter(), &json_exporter(),
                                                &csv_exporter()};
  return all;
}

const Exporter& exporter(const std::string& name) {
  std::vector<std::string> names;
  for (const Exporter* candidate : exporters()) {
    if (name == candidate->name()) return *candidate;
    names.emplace_back(candidate->name());
  }
  fail(ErrorId::kValue, "'{}' is no export format; formats: {}", name, fmt::join(names, ", "));
}

}  // namespace dosa
