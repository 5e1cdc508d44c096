#include "dosa/core/import/network.hpp"

#include <algorithm>
#include <filesystem>

#include "dosa/core/import/file_kind.hpp"
#include "dosa/core/import/importer.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"

namespace dosa {

LoadedNetwork load_network(const std::string& name_or_path) {
  const std::vector<std::string> shipped = shipped_names("workloads");
  if (std::find(shipped.begin(), shipped.end(), name_or_path) != shipped.end())
    return {load_workload(name_or_path), {}};
  const std::string path = resolve_shipped(name_or_path, "workloads").string();
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored)) {
    const ImportSource start{path, read_start(path, kStart)};
    if (importer_of(start) == nullptr) {
      expect_kind(path, Wanted::kNetwork);
      return {load_workload(path), {}};
    }
  }
  const Imported imported = import_files({path});
  if (!imported.workload) {
    fail(ErrorId::kSchema, "{}: found {}, expected a network; dosa import {} -o FILE converts it", path,
         imported.machine ? "a machine" : "a mapping", path);
  }
  LoadedNetwork network;
  network.workload = workload_from_json(JsonInput::from_text(imported.workload->dump(), path));
  network.remarks = imported.remarks;
  if (!imported.left_out_brief.empty()) network.remarks.push_back(imported.left_out_brief);
  return network;
}

}  // namespace dosa
