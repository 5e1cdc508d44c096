// SCALE-Sim's topologies: a row a layer, as convolutions ("Layer name, IFMAP Height, ...") or as matrix
// products ("Layer, M, N, K"). Versions 1 to 3 (scalesim/topology_utils.py).
#include <algorithm>
#include <cctype>
#include <optional>

#include "dosa/core/import/importer.hpp"
#include "dosa/core/import/layer_list.hpp"
#include "dosa/core/import/rows.hpp"
#include "dosa/models/base/error.hpp"

namespace dosa {
namespace {

enum class Column {
  kName,
  kHeight,
  kWidth,
  kFilterHeight,
  kFilterWidth,
  kChannels,
  kFilters,
  kStride,
  kStrideHeight,
  kStrideWidth,
  kBatch,
  kSparsity,
  kM,
  kN,
  kK,
  kIgnored
};

/// The column of a title, written in whatever case and with whatever blanks. SCALE-Sim itself goes by place.
std::optional<Column> column_of(const std::string& title) {
  std::string key;
  for (const char c : title) {
    if (std::isalnum(static_cast<unsigned char>(c)))
      key += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  static const std::vector<std::pair<const char*, Column>> titles{{"layername", Column::kName},
                                                                  {"layer", Column::kName},
                                                                  {"l", Column::kName},
                                                                  {"ifmapheight", Column::kHeight},
                                                                  {"ifmapwidth", Column::kWidth},
                                                                  {"filterheight", Column::kFilterHeight},
                                                                  {"filterwidth", Column::kFilterWidth},
                                                                  {"channels", Column::kChannels},
                                                                  {"channel", Column::kChannels},
                                                                  {"numfilter", Column::kFilters},
                                                                  {"numfilters", Column::kFilters},
                                                                  {"strides", Column::kStride},
                                                                  {"stride", Column::kStride},
                                                                  {"strideheight", Column::kStrideHeight},
                                                                  {"stridewidth", Column::kStrideWidth},
                                                                  {"stridesheight", Column::kStrideHeight},
                                                                  {"strideswidth", Column::kStrideWidth},
                                                                  {"batchsize", Column::kBatch},
                                                                  {"sparsity", Column::kSparsity},
                                                                  {"sparsitysupport", Column::kSparsity},
                                                                  {"m", Column::kM},
                                                                  {"n", Column::kN},
                                                                  {"k", Column::kK}};
  for (const auto& [name, column] : titles) {
    if (key == name) return column;
  }
  return std::nullopt;
}

/// The columns of a header line; none where it is the header of something else.
std::vector<Column> header_of(const Row& row) {
  std::vector<Column> columns;
  for (const std::string& title : row.fields) {
    const auto column = column_of(title);
    // Titles of other tools behind SCALE-Sim's own say nothing to it.
    if (!column && columns.size() < 4) return {};
    columns.push_back(column.value_or(Column::kIgnored));
  }
  const auto has = [&](Column column) { return std::count(columns.begin(), columns.end(), column); };
  // Some published headers name the width twice: the first of them is the height, as SCALE-Sim goes by place.
  if (has(Column::kWidth) == 2 && has(Column::kHeight) == 0)
    *std::find(columns.begin(), columns.end(), Column::kWidth) = Column::kHeight;
  const bool product = has(Column::kM) == 1 && has(Column::kN) == 1 && has(Column::kK) == 1;
  const bool convolution =
      has(Column::kHeight) == 1 && has(Column::kWidth) == 1 && has(Column::kFilterHeight) == 1 &&
      has(Column::kFilterWidth) == 1 && has(Column::kChannels) == 1 && has(Column::kFilters) == 1 &&
      (has(Column::kStride) == 1 || (has(Column::kStrideHeight) == 1 && has(Column::kStrideWidth) == 1));
  if (columns.empty() || columns[0] != Column::kName || product == convolution) return {};
  return columns;
}

class ScaleSimRow {
 public:
  ScaleSimRow(const Row& row, const std::vector<Column>& columns) : row_(row), columns_(columns) {}

  std::optional<std::size_t> find(Column column) const {
    const auto at = std::find(columns_.begin(), columns_.end(), column);
    if (at == columns_.end()) return std::nullopt;
    const auto index = static_cast<std::size_t>(at - columns_.begin());
    if (index >= row_.fields.size() || row_.fields[index].empty()) return std::nullopt;
    return index;
  }
  std::int64_t integer(Column column, const char* what, std::int64_t max = kMaxDim) const {
    const auto index = find(column);
    if (!index) fail(ErrorId::kSyntax, "{}: {} is missing", row_.where, what);
    return row_.integer(*index, what, 1, max);
  }
  const std::string& name() const { return row_.fields[0]; }
  const std::string& where() const { return row_.where; }
  const Row& row() const { return row_; }

 private:
  const Row& row_;
  const std::vector<Column>& columns_;
};

/// Sparsity as "N:M", of which N nonzero values in M: only M of M is dense.
void check_density(const ScaleSimRow& row) {
  const auto index = row.find(Column::kSparsity);
  if (!index) return;
  const std::string& ratio = row.row().fields[*index];
  const std::size_t colon = ratio.find(':');
  if (colon == std::string::npos || ratio.substr(0, colon) != ratio.substr(colon + 1)) {
    fail(ErrorId::kValue,
         "{}: Sparsity: found '{}', expected a dense layer such as 1:1: sparsity has no part in the model",
         row.where(), ratio);
  }
}

Layer product_of(const ScaleSimRow& row) {
  Layer layer;
  layer[Dim::P] = row.integer(Column::kM, "M");
  layer[Dim::K] = row.integer(Column::kN, "N");
  layer[Dim::C] = row.integer(Column::kK, "K");
  return layer;
}

/// Outputs along an axis as SCALE-Sim counts them: a last window that hangs over counts.
std::int64_t outputs_of(std::int64_t input, std::int64_t filter, std::int64_t stride, const ScaleSimRow& row,
                        const char* what) {
  if (filter > input) {
    fail(ErrorId::kValue, "{}: Filter {}: found {}, expected at most the input's {}", row.where(), what,
         filter, input);
  }
  return (input - filter + stride + stride - 1) / stride;
}

bool contains_word(const std::string& name, const char* word) { return name.find(word) != std::string::npos; }

Layer convolution_of(const ScaleSimRow& row) {
  Layer layer;
  layer[Dim::R] = row.integer(Column::kFilterWidth, "Filter Width");
  layer[Dim::S] = row.integer(Column::kFilterHeight, "Filter Height");
  layer[Dim::C] = row.integer(Column::kChannels, "Channels");
  layer[Dim::K] = row.integer(Column::kFilters, "Num Filter");
  if (row.find(Column::kBatch)) layer[Dim::N] = row.integer(Column::kBatch, "Batch Size");
  const bool two_strides = row.find(Column::kStrideHeight).has_value();
  layer.wstride = row.integer(two_strides ? Column::kStrideWidth : Column::kStride, "Strides", kMaxStep);
  layer.hstride = row.integer(two_strides ? Column::kStrideHeight : Column::kStride, "Strides", kMaxStep);
  layer[Dim::P] =
      outputs_of(row.integer(Column::kWidth, "IFMAP Width"), layer[Dim::R], layer.wstride, row, "Width");
  layer[Dim::Q] =
      outputs_of(row.integer(Column::kHeight, "IFMAP Height"), layer[Dim::S], layer.hstride, row, "Height");
  return layer;
}

/// One filter over many channels, which are all that the layer before writes and the next one reads, is a
/// depthwise convolution: SCALE-Sim has no other way to write it but a name with DP, of a filter a channel.
/// `before` and `next` are null at the ends.
bool is_depthwise(const Layer& layer, const Layer* before, const Layer* next) {
  const std::int64_t channels = layer[Dim::C];
  if (channels == 1) return false;
  if (contains_word(layer.name, "DP")) return true;
  if (layer[Dim::K] != 1 || layer[Dim::R] * layer[Dim::S] == 1) return false;
  if (contains_word(layer.name, "dw") || contains_word(layer.name, "DW") ||
      contains_word(layer.name, "epthwise"))
    return true;
  if (before == nullptr || next == nullptr) return false;
  const std::int64_t written = (*before)[Dim::K] * before->groups;
  return written == channels && (*next)[Dim::C] == channels;
}

class ScaleSimImporter : public Importer {
 public:
  const char* name() const override { return "scale-sim"; }
  const char* kind() const override { return "a SCALE-Sim topology"; }
  const char* description() const override {
    return "SCALE-Sim topology, CSV with the columns Layer name, IFMAP Height, ... or Layer, M, N, K";
  }

  bool knows(const ImportSource& source) const override {
    const std::vector<Row> rows = rows_of(source, 1);
    return !rows.empty() && !header_of(rows.front()).empty();
  }

  Imported read(const std::vector<ImportSource>& sources, const ImportOptions& options) const override {
    Imported imported;
    LayerList list;
    for (const ImportSource& source : sources) add(source, list, imported.remarks);
    if (list.empty())
      fail(ErrorId::kValue, "{}: found no layer, expected at least one", sources.front().path);
    const std::string name = !options.name.empty() ? options.name : stem_of_path(sources.front().path);
    imported.workload = workload_of(
        list, name, "Imported from a SCALE-Sim topology, whose inputs are stored with their padding.");
    return imported;
  }

 private:
  static void add(const ImportSource& source, LayerList& list, std::vector<std::string>& remarks) {
    const std::vector<Row> rows = rows_of(source);
    const std::vector<Column> columns = rows.empty() ? std::vector<Column>{} : header_of(rows.front());
    if (columns.empty()) {
      fail(ErrorId::kSyntax,
           "{}: found no header of a SCALE-Sim topology, expected Layer name, IFMAP Height, ... or Layer, M, "
           "N, K",
           source.path);
    }
    const bool product = std::count(columns.begin(), columns.end(), Column::kM) == 1;
    std::vector<Layer> layers;
    std::vector<std::string> places;
    for (std::size_t i = 1; i < rows.size(); ++i) {
      const ScaleSimRow row(rows[i], columns);
      if (rows[i].fields.size() == 1) {
        remarks.push_back(fmt::format("{}: '{}': left out, a name without sizes", rows[i].where, row.name()));
        continue;
      }
      check_density(row);
      layers.push_back(product ? product_of(row) : convolution_of(row));
      layers.back().name = row.name();
      places.push_back(row.where());
    }
    for (std::size_t i = 0; i < layers.size(); ++i) {
      Layer& layer = layers[i];
      const Layer* before = i > 0 ? &layers[i - 1] : nullptr;
      const Layer* next = i + 1 < layers.size() ? &layers[i + 1] : nullptr;
      if (!product && is_depthwise(layer, before, next)) {
        layer.groups = layer[Dim::C];
        layer[Dim::C] = 1;
        remarks.push_back(fmt::format("{}: {}: {} over {} channels, taken as a depthwise convolution",
                                      places[i], layer.name, layer[Dim::K] == 1 ? "one filter" : "filters",
                                      layer.groups));
      } else if (!product && layer[Dim::C] == 1 && layer[Dim::K] == 1 && contains_word(layer.name, "dw")) {
        remarks.push_back(
            fmt::format("{}: {}: named a depthwise convolution, but of one channel; counted as written",
                        places[i], layer.name));
      }
      list.add(layer, places[i]);
    }
  }
};

}  // namespace

const Importer& scale_sim_importer() {
  static const ScaleSimImporter importer;
  return importer;
}

}  // namespace dosa
