// GAMMA's tables of layers: K,C,Y,X,R,S,T with the type T of a row: 0 fully connected (outputs, inputs), 1 a
// convolution, 2 a depthwise one, 3 a matrix product (M, N, K). Y and X are the input's height and width; all
// strides are 1 (get_CONVtypeShape in gamma.py).
#include <array>

#include "dosa/core/import/importer.hpp"
#include "dosa/core/import/layer_list.hpp"
#include "dosa/core/import/rows.hpp"
#include "dosa/models/base/error.hpp"

namespace dosa {
namespace {

constexpr std::size_t kGammaFields = 7;

/// Six titles, of which tables of products have others, and T.
bool is_gamma_header(const Row& row) {
  if (row.fields.size() != kGammaFields || row.fields.back() != "T") return false;
  const std::string first = row.fields[0];
  return first == "K" || first == "M" || first == "O";
}

Layer gamma_layer(const Row& row) {
  if (row.fields.size() != kGammaFields)
    fail(ErrorId::kSyntax, "{}: found {} fields, expected {}", row.where, row.fields.size(), kGammaFields);
  constexpr std::array<const char*, kGammaFields> kNames{"K", "C", "Y", "X", "R", "S", "T"};
  std::array<std::int64_t, kGammaFields> v{};
  const std::int64_t type = row.integer(6, "T", 0, 3);
  const std::size_t used = type == 0 ? 2 : type == 3 ? 3 : 6;
  for (std::size_t i = 0; i < used; ++i) v[i] = row.integer(i, kNames[i], 1, kMaxDim);
  Layer layer;
  if (type == 0) {
    layer[Dim::K] = v[0];
    layer[Dim::C] = v[1];
    return layer;
  }
  if (type == 3) {
    layer[Dim::P] = v[0];
    layer[Dim::K] = v[1];
    layer[Dim::C] = v[2];
    return layer;
  }
  if (v[4] > v[2] || v[5] > v[3]) {
    fail(ErrorId::kValue, "{}: found a filter of {} x {}, expected one that fits the input of {} x {}",
         row.where, v[4], v[5], v[2], v[3]);
  }
  layer[Dim::S] = v[4];
  layer[Dim::R] = v[5];
  layer[Dim::Q] = v[2] - v[4] + 1;
  layer[Dim::P] = v[3] - v[5] + 1;
  if (type == 2) {
    layer.groups = v[1];
    layer[Dim::K] = v[0] == v[1] ? 1 : v[0];
  } else {
    layer[Dim::K] = v[0];
    layer[Dim::C] = v[1];
  }
  return layer;
}

class GammaImporter : public Importer {
 public:
  const char* name() const override { return "gamma"; }
  const char* kind() const override { return "a GAMMA table of layers"; }
  const char* description() const override { return "GAMMA table, CSV with the columns K,C,Y,X,R,S,T"; }

  bool knows(const ImportSource& source) const override {
    const std::vector<Row> rows = rows_of(source, 1);
    return !rows.empty() && is_gamma_header(rows.front());
  }

  Imported read(const std::vector<ImportSource>& sources, const ImportOptions& options) const override {
    Imported imported;
    LayerList list;
    for (const ImportSource& source : sources) {
      const std::vector<Row> rows = rows_of(source);
      for (std::size_t i = 1; i < rows.size(); ++i) list.add(gamma_layer(rows[i]), rows[i].where);
    }
    if (list.empty())
      fail(ErrorId::kValue, "{}: found no layer, expected at least one", sources.front().path);
    const std::string name = !options.name.empty() ? options.name : stem_of_path(sources.front().path);
    imported.workload = workload_of(list, name,
                                    "Imported from a table of GAMMA's, which has no strides and whose inputs "
                                    "are stored with their padding.");
    return imported;
  }
};

}  // namespace

const Importer& gamma_importer() {
  static const GammaImporter importer;
  return importer;
}

}  // namespace dosa
