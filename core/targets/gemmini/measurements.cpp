#include "dosa/core/targets/gemmini/measurements.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <set>
#include <tuple>

#include "dosa/core/targets/gemmini/counts.hpp"
#include "dosa/core/targets/gemmini/library.hpp"
#include "dosa/models/base/csv.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/base/math.hpp"

namespace dosa {
namespace {

constexpr std::size_t kMinRows = 1;
constexpr std::int64_t kNamedRows = 20;  // that are dropped for one kind of reason; those beyond are counted

std::vector<std::string> split(const std::string& line, char separator) {
  std::vector<std::string> cells;
  std::size_t from = 0;
  while (true) {
    const std::size_t to = line.find(separator, from);
    std::string cell = line.substr(from, to == std::string::npos ? to : to - from);
    const std::size_t first = cell.find_first_not_of(" \t");
    const std::size_t last = cell.find_last_not_of(" \t");
    cells.push_back(first == std::string::npos ? "" : cell.substr(first, last - first + 1));
    if (to == std::string::npos) return cells;
    from = to + 1;
  }
}

/// A field that holds a number above 0.
double positive(const CsvInput& csv, std::size_t row, const std::string& column) {
  const double value = csv.number(row, column, 0, std::numeric_limits<double>::max());
  if (value == 0) {
    fail(ErrorId::kValue, "{}: found '{}', expected a number above 0", csv.where(row, column),
         csv.text(row, column));
  }
  return value;
}

/// Whether a field is there and not empty.
bool given(const CsvInput& csv, std::size_t row, const std::string& column) {
  return csv.has(column) && !csv.text(row, column).empty();
}

std::string letter(Dim dim) { return std::string(1, name_of(dim)); }

/// Loops named outermost first -> innermost first; those not named are outermost (they have one iteration).
std::optional<LoopOrder> order_from(const std::string& names) {
  std::vector<Dim> inner_first;
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    const std::optional<Dim> dim = dim_from_name(*name);
    if (!dim || std::find(inner_first.begin(), inner_first.end(), *dim) != inner_first.end())
      return std::nullopt;
    inner_first.push_back(*dim);
  }
  for (const Dim dim : kLibraryOrder) {
    if (std::find(inner_first.begin(), inner_first.end(), dim) == inner_first.end())
      inner_first.push_back(dim);
  }
  LoopOrder order{};
  std::copy(inner_first.begin(), inner_first.end(), order.begin());
  return order;
}

std::string layer_name(const Measurement& m) {
  const Layer& l = m.layer;
  if (m.matmul) return fmt::format("matmul {}x{}x{}", l[Dim::P], l[Dim::C], l[Dim::K]);
  return fmt::format("conv {}x{} {}->{} on {}x{}", l[Dim::R], l[Dim::S], l[Dim::C], l[Dim::K], l[Dim::P],
                     l[Dim::Q]);
}

// --- our own format ---

/// Counts a reason to drop rows that names them, or, where enough of its kind are named, only the kind.
class NamedReasons {
 public:
  NamedReasons(Measurements& all, std::string others) : all_(all), others_(std::move(others)) {}
  void add(const std::string& reason) { ++all_.dropped[named_++ < kNamedRows ? reason : others_]; }

 private:
  Measurements& all_;
  std::string others_;
  std::int64_t named_ = 0;
};

/// Whether the tile of a measurement fits buffers that elaborate.
bool fits(const Measurement& m, const ArraySizes& hardware) {
  Layer layer = m.layer;
  if (!m.matmul) layer.known_input_width = layer.known_input_height = m.input_size;
  const gemmini::Tile tile{m.matmul ? gemmini::Call::kMatmul : gemmini::Call::kConv, m.tile};
  return gemmini::fits(layer, tile, gemmini::params_of(hardware));
}

const std::vector<std::string>& own_columns() {
  static const std::vector<std::string> columns = [] {
    std::vector<std::string> list{"kind"};
    for (const Dim dim : all_dims()) list.push_back(letter(dim));
    list.insert(list.end(), {"wstride", "hstride", "padding", "in_dim"});
    for (const Dim dim : all_dims()) list.push_back("tile_" + letter(dim));
    list.insert(list.end(), {"scratchpad_kib", "accumulator_kib", "pe_dim", "cycles"});
    return list;
  }();
  return columns;
}

void read_own(const CsvInput& csv, const gemmini::LibraryVersion& library, Measurements& all) {
  const std::set<std::string> optional{"id",     "tiling", "hardware", "checked", "energy_uj",      "repeats",
                                       "source", "order",  "cold",     "library", "dram_read_bytes"};
  csv.require(own_columns());
  std::vector<std::string> unknown;
  for (const std::string& column : csv.columns()) {
    const auto& known = own_columns();
    if (std::find(known.begin(), known.end(), column) == known.end() && optional.count(column) == 0) {
      unknown.push_back(column);
    }
  }
  if (!unknown.empty()) {
    fail(ErrorId::kSchema, "{}: unknown {}: {}; optional columns: {}", csv.file(),
         unknown.size() == 1 ? "column" : "columns", fmt::join(unknown, ", "), fmt::join(optional, ", "));
  }
  constexpr std::int64_t kMaxSmall = 1 << 16;
  NamedReasons never_run(all, "more rows that no Gemmini has run");
  for (std::size_t row = 0; row < csv.rows(); ++row) {
    Measurement m;
    m.line = csv.line(row);
    const std::string_view kind = csv.text(row, "kind");
    if (kind != "conv" && kind != "matmul") {
      fail(ErrorId::kValue, "{}: found '{}', expected conv or matmul", csv.where(row, "kind"), kind);
    }
    m.matmul = kind == "matmul";
    for (const Dim dim : all_dims()) m.layer[dim] = csv.integer(row, letter(dim), 1, kMaxDim);
    m.layer.wstride = csv.integer(row, "wstride", 1, kMaxSmall);
    m.layer.hstride = csv.integer(row, "hstride", 1, kMaxSmall);
    m.layer.padding = csv.integer(row, "padding", 0, kMaxSmall);
    m.input_size = csv.integer(row, "in_dim", 0, kMaxDim);
    ArraySizes hardware;
    hardware.pe_dim = csv.integer(row, "pe_dim", 1, kMaxSmall);
    hardware.scratchpad_kib = csv.integer(row, "scratchpad_kib", 1, kMaxDim);
    hardware.accumulator_kib = csv.integer(row, "accumulator_kib", 1, kMaxDim);
    m.pe_dim = hardware.pe_dim;
    if (!gemmini::is_legal(hardware)) {
      never_run.add(
          fmt::format("{}: {}", csv.where(row), gemmini::summary(gemmini::check_hardware(hardware))));
      continue;
    }
    try {
      check_layer(m.layer);
    } catch (const Error& error) {
      throw error.in(csv.where(row));
    }
    if (m.matmul && !m.layer.is_matmul()) {
      fail(ErrorId::kValue, "{}: found matmul, but R, S, Q and the strides are not all 1",
           csv.where(row, "kind"));
    }
    if (!m.matmul && m.input_size == 0) {
      fail(ErrorId::kValue, "{}: found 0, expected the input size of a convolution",
           csv.where(row, "in_dim"));
    }
    for (const Dim dim : all_dims()) {
      const bool blocked = m.matmul && (dim == Dim::P || dim == Dim::C || dim == Dim::K);
      const std::int64_t most = blocked ? round_up(m.layer[dim], m.pe_dim) : m.layer[dim];
      const std::string column = "tile_" + letter(dim);
      const std::int64_t tile = csv.integer(row, column, 1, kMaxDim);
      if (tile > most) {
        fail(ErrorId::kValue, "{}: found {}, larger than the layer: at most {}", csv.where(row, column), tile,
             most);
      }
      m.tile[static_cast<std::size_t>(dim)] = tile;
    }
    m.order = kLibraryOrder;
    if (given(csv, row, "order")) {
      const auto order = order_from(std::string(csv.text(row, "order")));
      if (!order) {
        fail(ErrorId::kValue, "{}: found '{}', expected distinct letters of {}, outermost first",
             csv.where(row, "order"), csv.text(row, "order"), kDimNames);
      }
      m.order = *order;
    }
    m.cycles = positive(csv, row, "cycles");
    if (given(csv, row, "energy_uj")) m.energy_uj = positive(csv, row, "energy_uj");
    if (given(csv, row, "repeats")) m.repeats = csv.integer(row, "repeats", 1, kMaxDim);
    const gemmini::LibraryVersion version =
        csv.has("library")
            ? gemmini::LibraryVersion(std::string(csv.text(row, "library")), csv.where(row, "library"))
            : library;
    m.keeps = version.keeps_operands();
    if (given(csv, row, "cold")) m.cold = csv.integer(row, "cold", 0, 1) == 1;
    if (csv.has("source")) m.source = std::string(csv.text(row, "source"));
    m.layer.name = layer_name(m);
    if (!fits(m, hardware)) {
      never_run.add(
          fmt::format("{}: the tile does not fit a scratchpad of {} KiB and an accumulator of {} KiB",
                      csv.where(row), hardware.scratchpad_kib, hardware.accumulator_kib));
      continue;
    }
    note(all.hardware, hardware);
    all.rows.push_back(std::move(m));
  }
}

// --- the public artefact ---

/// The levels of a mapping "L3[WIO] K8 Q28 - L2[WI] N1 K4X - ..." as far as they matter here.
struct ArtefactMapping {
  DimSizes tile{1, 1, 1, 1, 1, 1, 1};  ///< product of all factors below DRAM
  std::string order;                   ///< DRAM loops, outermost first
  std::int64_t widest = 1;             ///< largest spatial factor
};

ArtefactMapping artefact_mapping(const std::string& text, const std::string& where) {
  ArtefactMapping mapping;
  bool dram = false;
  for (const std::string& word : split(text, ' ')) {
    if (word.empty() || word == "-") continue;
    if (word[0] == 'L') {
      dram = word.rfind("L3", 0) == 0;
      continue;
    }
    const std::optional<Dim> dim = dim_from_name(word[0]);
    const bool spatial = word.back() == 'X';
    std::int64_t factor = 0;
    const char* begin = word.data() + 1;
    const char* end = word.data() + word.size() - (spatial ? 1 : 0);
    const auto [stop, code] = std::from_chars(begin, end, factor);
    if (!dim || code != std::errc() || stop != end || factor < 1) {
      fail(ErrorId::kMapping, "{}: found '{}', expected a loop such as K8 or K4X", where, word);
    }
    if (factor > (spatial ? kMaxPeDim : kMaxDim)) {
      fail(ErrorId::kValue, "{}: found '{}', expected a factor in 1..{}", where, word,
           spatial ? kMaxPeDim : kMaxDim);
    }
    if (dram) {
      if (mapping.order.find(word[0]) == std::string::npos) mapping.order.push_back(word[0]);
    } else {
      auto& tile = mapping.tile[static_cast<std::size_t>(*dim)];
      tile *= factor;  // both at most 2^31
      if (tile > kMaxDim) {
        fail(ErrorId::kValue, "{}: the factors of {} below DRAM multiply to {}, expected at most {}", where,
             word[0], tile, kMaxDim);
      }
      if (spatial) mapping.widest = std::max(mapping.widest, factor);
    }
  }
  return mapping;
}

/// The artefact's conv call went wrong where a tile lay wholly inside the padding: the unsigned size of its
/// input window wrapped around, and the run took 23 to 170 times too long.
bool wraps_around(const Measurement& m) {
  const auto along = [&](Dim outputs, Dim kernel, std::int64_t stride) {
    const std::int64_t t = m.tile[static_cast<std::size_t>(outputs)];
    const std::int64_t k = m.tile[static_cast<std::size_t>(kernel)];
    for (std::int64_t o = 0; o < m.layer[outputs]; o += t) {
      for (std::int64_t f = 0; f < m.layer[kernel]; f += k) {
        const std::int64_t rows =
            (std::min(t, m.layer[outputs] - o) - 1) * stride + std::min(k, m.layer[kernel] - f);
        const std::int64_t start = o * stride + f - *m.layer.padding;
        if (-start > rows || start + rows - m.input_size > rows) return true;
      }
    }
    return false;
  };
  return along(Dim::P, Dim::R, m.layer.wstride) || along(Dim::Q, Dim::S, m.layer.hstride);
}

void read_artefact(const CsvInput& csv, Measurements& all) {
  std::vector<std::string> columns{"mapping.mapping", "target.gemmini_cycle", "prob.Wstride", "prob.Hstride"};
  for (const Dim dim : all_dims()) columns.push_back("prob." + letter(dim));
  csv.require(columns);
  constexpr std::int64_t kMaxStride = 1 << 16;
  constexpr std::int64_t kMaxOutputs = 1 << 14, kMaxKernel = 1 << 8;  // of a convolution, in one direction
  constexpr std::int64_t kBlock = 16;  // the artefact divided tiles by this, whatever the array
  const auto count = csv.rows();
  std::set<std::pair<DimSizes, std::int64_t>> seen;
  all.repaired["pe_dim from the mapping's spatial factors (columns are placeholders)"] =
      static_cast<std::int64_t>(count);
  for (std::size_t row = 0; row < csv.rows(); ++row) {
    Measurement m;
    m.line = csv.line(row);
    m.source = "ucb-bar/dosa firesim";
    m.keeps = false;
    for (const Dim dim : all_dims()) m.layer[dim] = csv.integer(row, "prob." + letter(dim), 1, kMaxDim);
    m.layer.wstride = csv.integer(row, "prob.Wstride", 1, kMaxStride);
    m.layer.hstride = csv.integer(row, "prob.Hstride", 1, kMaxStride);
    const ArtefactMapping mapping =
        artefact_mapping(std::string(csv.text(row, "mapping.mapping")), csv.where(row, "mapping.mapping"));
    m.pe_dim = 1;
    while (m.pe_dim < mapping.widest) m.pe_dim *= 2;
    m.tile = mapping.tile;
    m.order = *order_from(mapping.order);
    m.cycles = positive(csv, row, "target.gemmini_cycle");
    m.matmul = m.layer.is_matmul();
    if (!m.matmul) {  // wraps_around() passes over all pairs of an output and a kernel element
      for (const auto& [dim, most] : {std::pair{Dim::P, kMaxOutputs}, std::pair{Dim::Q, kMaxOutputs},
                                      std::pair{Dim::R, kMaxKernel}, std::pair{Dim::S, kMaxKernel}}) {
        csv.integer(row, "prob." + letter(dim), 1, most);
      }
    }
    // Matrix products of one machine were recorded one after the other on the same operands: the first
    // recording of a layer found them in DRAM, the others in the last-level cache as far as they fit.
    // Convolutions show no difference.
    m.cold = !m.matmul || seen.emplace(m.layer.size, m.pe_dim).second;
    if (!m.cold) ++all.repaired["matmul recorded again on a machine: operands in the last-level cache"];
    m.layer.padding = m.matmul ? 0 : m.layer[Dim::R] / 2;
    if (m.matmul) {
      for (const Dim dim : {Dim::P, Dim::C, Dim::K}) {
        auto& tile = m.tile[static_cast<std::size_t>(dim)];
        tile = std::max<std::int64_t>(1, tile / kBlock) * m.pe_dim;
      }
      ++all.repaired["matmul tiles as run: max(1, tile div 16) blocks of pe_dim"];
    } else {
      m.input_size = m.layer[Dim::P] * m.layer.wstride;
      if (m.layer[Dim::P] != m.layer[Dim::Q]) {
        m.layer[Dim::Q] = m.layer[Dim::P];
        ++all.repaired["non-square convolutions ran P x P"];
      }
      if (m.layer[Dim::R] % 2 == 0) {
        ++m.layer[Dim::P];
        ++m.layer[Dim::Q];
        ++all.repaired["even kernels ran with P + 1"];
      }
    }
    m.layer.name = layer_name(m);
    note(all.hardware, {m.pe_dim, 0, 0});
    if (!m.matmul && wraps_around(m)) {
      ++all.dropped["tile wholly inside the padding (wrap-around bug)"];
      continue;
    }
    all.rows.push_back(std::move(m));
  }
}

}  // namespace

void note(std::vector<ArraySizes>& list, const ArraySizes& hardware) {
  const auto at =
      std::lower_bound(list.begin(), list.end(), hardware.pe_dim,
                       [](const ArraySizes& h, std::int64_t pe_dim) { return h.pe_dim < pe_dim; });
  if (at == list.end() || at->pe_dim != hardware.pe_dim) {
    list.insert(at, hardware);
  } else {
    at->scratchpad_kib = std::max(at->scratchpad_kib, hardware.scratchpad_kib);
    at->accumulator_kib = std::max(at->accumulator_kib, hardware.accumulator_kib);
  }
}

std::string Measurements::file() const {
  std::vector<std::string> paths;
  for (const std::filesystem::path& path : files) paths.push_back(path.string());
  return fmt::format("{}", fmt::join(paths, ", "));
}

std::vector<std::int64_t> Measurements::layer_ids() const {
  std::map<std::tuple<bool, DimSizes, std::int64_t, std::int64_t, std::int64_t>, std::int64_t> known;
  std::vector<std::int64_t> ids;
  for (const Measurement& m : rows) {
    const auto key = std::make_tuple(m.matmul, m.layer.size, m.layer.wstride, m.layer.hstride,
                                     m.layer.padding.value_or(0));
    ids.push_back(known.emplace(key, static_cast<std::int64_t>(known.size())).first->second);
  }
  return ids;
}

namespace {

/// Drops the rows that contradict each other. `hint`: what may be the reason.
void drop_contradictions(Measurements& all, const std::string& hint) {
  const std::vector<std::int64_t> layers = all.layer_ids();
  std::map<std::tuple<std::int64_t, DimSizes, LoopOrder, std::int64_t, bool, bool>, std::size_t> first;
  std::set<std::size_t> wrong;
  NamedReasons pairs(all, "more rows that contradict each other");
  for (std::size_t i = 0; i < all.rows.size(); ++i) {
    const Measurement& m = all.rows[i];
    const auto [known, fresh] =
        first.emplace(std::tuple(layers[i], m.tile, m.order, m.pe_dim, m.cold, m.keeps), i);
    if (fresh) continue;
    const Measurement& other = all.rows[known->second];
    if (std::max(m.cycles, other.cycles) <= kContradiction * std::min(m.cycles, other.cycles)) continue;
    wrong.insert({i, known->second});
    pairs.add(fmt::format("{}:{} and {}:{}: the same run took {:.0f} and {:.0f} cycles{}", other.file,
                          other.line, m.file, m.line, other.cycles, m.cycles, hint));
  }
  std::vector<Measurement> kept;
  for (std::size_t i = 0; i < all.rows.size(); ++i) {
    if (wrong.count(i) == 0) kept.push_back(std::move(all.rows[i]));
  }
  all.rows = std::move(kept);
}

/// The rows of one file as they stand there, and its content's hash.
struct FileRows {
  Measurements all;
  bool names_library = false;
};

FileRows read_rows(const std::filesystem::path& path, const gemmini::LibraryVersion& library) {
  const CsvInput csv = CsvInput::from_file(path);
  FileRows file;
  Measurements& all = file.all;
  all.files = {path};
  all.hash = csv.hash();
  if (csv.has("target.gemmini_cycle") || csv.has("mapping.mapping")) {
    all.format = MeasurementFormat::kArtefact;
    read_artefact(csv, all);
  } else {
    file.names_library = csv.has("library");
    read_own(csv, library, all);
  }
  for (Measurement& m : all.rows) m.file = path.string();
  return file;
}

}  // namespace

Measurements read_measurements(const std::filesystem::path& path,
                               const std::optional<gemmini::LibraryVersion>& library) {
  return read_measurements(std::vector<std::filesystem::path>{path}, library);
}

Measurements read_measurements(const std::vector<std::filesystem::path>& paths,
                               const std::optional<gemmini::LibraryVersion>& library) {
  const gemmini::LibraryVersion unnamed = library.value_or(gemmini::LibraryVersion());
  FileRows first = read_rows(paths.front(), unnamed);
  Measurements all = std::move(first.all);
  for (std::size_t p = 1; p < paths.size(); ++p) {
    FileRows next = read_rows(paths[p], unnamed);
    Measurements& more = next.all;
    if (more.format != MeasurementFormat::kOwn || all.format != MeasurementFormat::kOwn) {
      fail(ErrorId::kValue,
           "{}: several files are read together in this project's format alone, not the artefact's",
           more.format != MeasurementFormat::kOwn ? more.file() : all.file());
    }
    if (!library && next.names_library != first.names_library) {
      const std::string silent = (first.names_library ? paths[p] : paths.front()).string();
      const std::string speaks = (first.names_library ? paths.front() : paths[p]).string();
      fail(ErrorId::kValue,
           "{}: has no column library, which {} has; expected it in both, or --library for rows without it",
           silent, speaks);
    }
    all.files.push_back(paths[p]);
    all.hash = content_hash(all.hash + more.hash);
    for (const ArraySizes& hardware : more.hardware) note(all.hardware, hardware);
    for (auto& [reason, count] : more.dropped) all.dropped[reason] += count;
    std::move(more.rows.begin(), more.rows.end(), std::back_inserter(all.rows));
  }
  // The artefact's recordings are of a machine whose times vary.
  if (all.format == MeasurementFormat::kOwn) {
    drop_contradictions(
        all, first.names_library || library ? "" : "; with two libraries? A column library tells them apart");
  }
  if (all.rows.size() < kMinRows) {
    fail(ErrorId::kValue, "{}: no usable row{}", all.file(),
         all.dropped.empty() ? "" : "; " + all.dropped.begin()->first);
  }
  return all;
}

std::string measurements_csv(const std::vector<Measurement>& rows, const ArraySizes& hardware,
                             bool with_cycles) {
  std::vector<std::string> columns = own_columns();
  if (!with_cycles) columns.back() = "library";  // in the place of cycles
  std::string text = fmt::format("{}\n", fmt::join(columns, ","));
  for (const Measurement& m : rows) {
    text += fmt::format("{},{},{},{},{},{},{},{},{},{}", m.matmul ? "matmul" : "conv",
                        fmt::join(m.layer.size, ","), m.layer.wstride, m.layer.hstride,
                        m.layer.padding.value_or(0), m.input_size, fmt::join(m.tile, ","),
                        hardware.scratchpad_kib, hardware.accumulator_kib, hardware.pe_dim);
    if (with_cycles)
      text += fmt::format(",{}\n", m.cycles);
    else
      text += fmt::format(",{}\n", m.keeps ? gemmini::kTodaysLibrary : gemmini::kLibraryThatKeepsNothing);
  }
  return text;
}

}  // namespace dosa
