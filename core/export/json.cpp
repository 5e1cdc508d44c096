// The design itself.
#include "dosa/core/export/exporter.hpp"

namespace dosa {
namespace {

class JsonExporter : public Exporter {
 public:
  const char* name() const override { return "json"; }
  const char* description() const override { return "the design, as optimize writes it"; }
  std::vector<OutputFile> files(const Design& design, const Target&, const BatchLimits&) const override {
    return {{"design.json", to_json(design).dump(2) + "\n"}};
  }
};

}  // namespace

const Exporter& json_exporter() {
  static const JsonExporter exporter;
  return exporter;
}

}  // namespace dosa
