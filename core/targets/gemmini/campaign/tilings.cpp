// A table of tilings as a plan.
#include <set>

#include "dosa/core/targets/gemmini/campaign/sample.hpp"
#include "dosa/models/base/csv.hpp"
#include "dosa/models/base/error.hpp"

namespace dosa {
namespace {

constexpr std::size_t kMostTableRows = 1'000'000;
constexpr std::int64_t kMostSmallNumber = 1 << 16;
constexpr std::string_view kLibrarysOrder = "NQPKSRC";  // of the loops over tiles, outermost first

std::vector<std::string> tiling_columns() {
  std::vector<std::string> columns{"kind"};
  for (const Dim d : all_dims()) columns.emplace_back(1, name_of(d));
  columns.insert(columns.end(), {"wstride", "hstride", "padding", "in_dim"});
  for (const Dim d : all_dims()) columns.push_back(fmt::format("tile_{}", name_of(d)));
  return columns;
}

/// The sizes that were given, and the table's for the rest, on which all its rows must agree.
ArraySizes hardware_of(const CsvInput& table, const ArraySizes& given) {
  ArraySizes hardware = given;
  for (const ArraySizeField& field : kArraySizes) {
    if (given.*field.value > 0) continue;
    table.require({field.name});
    for (std::size_t row = 0; row < table.rows(); ++row) {
      const std::int64_t size = table.integer(row, field.name, 1, field.max);
      if (row > 0 && size != hardware.*field.value) {
        fail(ErrorId::kValue, "{}: found {}, the rows before have {}; one plan is for one Gemmini",
             table.where(row, field.name), size, hardware.*field.value);
      }
      hardware.*field.value = size;
    }
  }
  const auto violations = gemmini::check_hardware(hardware);
  if (!violations.empty())
    fail(ErrorId::kValue, "{}: hardware: {}", table.file(), gemmini::summary(violations));
  return hardware;
}

/// The library that was given, else the table's, on which all its rows must agree.
gemmini::LibraryVersion library_of_table(const CsvInput& table,
                                         const std::optional<gemmini::LibraryVersion>& given) {
  if (given || !table.has("library")) return given.value_or(gemmini::LibraryVersion());
  const auto at = [&](std::size_t row) {
    return gemmini::LibraryVersion(std::string(table.text(row, "library")), table.where(row, "library"));
  };
  for (std::size_t row = 1; row < table.rows(); ++row) {
    if (at(row) != at(0)) {
      fail(ErrorId::kValue, "{}: found {}, the rows before have {}; one plan is for one library",
           table.where(row, "library"), at(row).month(), at(0).month());
    }
  }
  return at(0);
}

/// The layer of a row as the call sees it.
Layer layer_of(const CsvInput& table, std::size_t row, gemmini::Call call) {
  Layer layer;
  for (const Dim d : all_dims()) layer[d] = table.integer(row, std::string(1, name_of(d)), 1, kMaxDim);
  layer.wstride = table.integer(row, "wstride", 1, kMostSmallNumber);
  layer.hstride = table.integer(row, "hstride", 1, kMostSmallNumber);
  layer.padding = table.integer(row, "padding", 0, kMostSmallNumber);
  const std::int64_t input = table.integer(row, "in_dim", 0, kMaxDim);
  if (call == gemmini::Call::kMatmul) {
    layer.name = fmt::format("matmul {}x{}x{}", layer[Dim::P], layer[Dim::C], layer[Dim::K]);
    if (!layer.is_matmul()) {
      fail(ErrorId::kValue, "{}: found matmul, but R, S, Q and the strides are not all 1",
           table.where(row, "kind"));
    }
  } else {
    layer.name = fmt::format("conv {}x{} {}->{} on {}x{}", layer[Dim::R], layer[Dim::S], layer[Dim::C],
                             layer[Dim::K], layer[Dim::P], layer[Dim::Q]);
    if (input == 0) {
      fail(ErrorId::kValue, "{}: found 0, expected the input size of a convolution",
           table.where(row, "in_dim"));
    }
    layer.known_input_width = layer.known_input_height = input;
  }
  try {
    check_layer(layer);
  } catch (const Error& error) {
    throw error.in(table.where(row));
  }
  return layer;
}

/// Whether a call runs both layers alike.
bool same_run(const Layer& a, const Layer& b, gemmini::Call call) {
  if (gemmini::extents(a, call) != gemmini::extents(b, call)) return false;
  if (call == gemmini::Call::kMatmul) return true;
  return a.wstride == b.wstride && a.hstride == b.hstride && a.padding.value_or(0) == b.padding.value_or(0) &&
         a.input_width() == b.input_width() && a.input_height() == b.input_height() &&
         (a[Dim::R] == 1 || (a.wdilation == b.wdilation && a.hdilation == b.hdilation));
}

/// The network's layer that is the table's, else the table's.
const Layer& named_layer(const Layer& layer, gemmini::Call call, const Workload* network) {
  if (network == nullptr) return layer;
  for (const Layer& other : network->layers) {
    if (gemmini::check_call(other, call).empty() && same_run(layer, other, call)) return other;
  }
  return layer;
}

PlannedCall call_of_row(const CsvInput& table, std::size_t row, Plan& plan, const Workload* network) {
  PlannedCall planned;
  planned.tiling = "proposed";
  const std::string_view kind = table.text(row, "kind");
  if (kind != "conv" && kind != "matmul")
    fail(ErrorId::kValue, "{}: found '{}', expected conv or matmul", table.where(row, "kind"), kind);
  planned.tile.call = kind == "conv" ? gemmini::Call::kConv : gemmini::Call::kMatmul;
  if (table.has("order")) {
    const std::string_view order = table.text(row, "order");
    if (!order.empty() && order != kLibrarysOrder) {
      fail(ErrorId::kValue, "{}: found '{}', the library runs {} alone", table.where(row, "order"), order,
           kLibrarysOrder);
    }
  }
  const Layer own = layer_of(table, row, planned.tile.call);
  for (const Dim d : all_dims())
    planned.tile[d] = table.integer(row, fmt::format("tile_{}", name_of(d)), 1, kMaxDim);
  const Layer& layer = named_layer(own, planned.tile.call, network);
  const auto refuse = [&](const std::vector<gemmini::Violation>& violations) {
    if (!violations.empty())
      fail(ErrorId::kValue, "{}: {}: {}", table.where(row), layer.name, gemmini::summary(violations));
  };
  refuse(gemmini::check_call(layer, planned.tile.call));
  refuse(gemmini::check_tile(layer, plan.hardware, planned.tile));
  const std::string reason = planned.tile.call == gemmini::Call::kConv ? not_measurable(layer) : "";
  if (!reason.empty()) fail(ErrorId::kValue, "{}: {}", table.where(row), reason);
  // Few layers: one of the last rows has the same.
  for (planned.layer = plan.layers.size(); planned.layer > 0; --planned.layer) {
    const Layer& known = plan.layers[planned.layer - 1];
    if (known.name == layer.name && same_run(known, layer, planned.tile.call)) break;
  }
  if (planned.layer == 0) {
    plan.layers.push_back(layer);
    planned.layer = plan.layers.size();
  }
  --planned.layer;
  return planned;
}

}  // namespace

Sample sample_tilings(const TilingsOptions& options) {
  const CsvInput table = CsvInput::from_file(options.table);
  table.require(tiling_columns());
  if (table.rows() == 0 || table.rows() > kMostTableRows) {
    fail(ErrorId::kValue, "{}: found {} rows, expected 1 to {}", table.file(), table.rows(), kMostTableRows);
  }
  Sample sample;
  Plan& plan = sample.plan;
  plan.workload = options.network ? options.network->name : options.table.stem().string();
  plan.hardware = hardware_of(table, options.hardware);
  plan.library = library_of_table(table, options.library);
  std::set<std::string> seen;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const PlannedCall planned = call_of_row(table, row, plan, options.network);
    if (seen.insert(fmt::format("{} {}", planned.layer, gemmini::to_string(planned.tile))).second)
      plan.measurements.push_back(planned);
    else
      ++sample.repeated;
  }
  plan.assign_programs(options.batch);
  return sample;
}

}  // namespace dosa
