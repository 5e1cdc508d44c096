#include "dosa/core/targets/gemmini/training.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "dosa/core/targets/gemmini/proposals.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/random.hpp"
#include "dosa/models/base/threads.hpp"

namespace dosa {
namespace {

using torch::Tensor;

constexpr int kPairTilings = 20;  // per layer, array and doubled dimension
constexpr std::size_t kPairsAtOnce = 2048;
constexpr std::size_t kDrawnAtOnce = 64;
constexpr int kRedraws = 8;  // of every layer, with other channels
constexpr int kRedrawTilings = 3;
constexpr double kMostChannels = 4096;
constexpr std::int64_t kBufferKib = 1024;  // where measurements do not say: more than any tile needs
constexpr double kFloorSlack = 1e-6;       // relative; a measurement below the floor by more is a wrong row
constexpr double kLeastShare = 1e-9;       // of the buffers that a tile needs, inside a logarithm

Json counted(const std::map<std::string, std::int64_t>& reasons) {
  Json list = Json::object();
  for (const auto& [reason, count] : reasons) list[reason] = count;
  return list;
}

/// The text with the files in it named without their folders, which say nothing on another machine.
std::string without_folders(std::string text, const std::vector<std::filesystem::path>& files) {
  for (const std::filesystem::path& file : files) {
    const std::string path = file.string(), name = file.filename().string();
    for (std::size_t at = 0; (at = text.find(path, at)) != std::string::npos; at += name.size())
      text.replace(at, path.size(), name);
  }
  return text;
}

Json data_card(const Measurements& m) {
  std::map<std::string, std::int64_t> dropped;
  for (const auto& [reason, count] : m.dropped) dropped[without_folders(reason, m.files)] += count;
  return {{"file", without_folders(m.file(), m.files)},
          {"format", m.format == MeasurementFormat::kOwn ? "dosa measurements" : "ucb-bar/dosa firesim"},
          {"hash", m.hash},
          {"rows", m.rows.size()},
          {"layers", distinct(m.layer_ids())},
          {"dropped", counted(dropped)},
          {"repaired", counted(m.repaired)}};
}

/// 1 ... most, as likely in any octave; every other one a power of two.
std::int64_t random_size(Random& random, double most) {
  const double octaves = random.uniform() * std::log2(most);
  return std::llround(std::exp2(random.scaled_below(2) == 0 ? octaves : std::round(octaves)));
}

/// Random tilings of every layer of the measurements, and of it with other channels (and other rows, of a
/// matrix product), on every array that the layer was measured on, and the same tiles of layers with twice as
/// many input or output channels in DRAM, which take longer; the same every time.
OrderedPairs channel_pairs(const Measurements& m, const MeasuredTarget& target) {
  const torch::NoGradGuard no_grad;
  OrderedPairs pairs;
  const std::vector<std::int64_t> ids = m.layer_ids();
  std::set<std::int64_t> done;
  std::map<std::int64_t, std::set<std::int64_t>> arrays;  // by layer
  for (std::size_t row = 0; row < ids.size(); ++row) arrays[ids[row]].insert(m.rows[row].pe_dim);
  struct Request {
    LayerRun run;
    std::int64_t layer, pe_dim;
    int tilings;
    std::uint64_t seed;
  };
  std::vector<Request> requests;
  const auto add = [&](const LayerRun& run, std::int64_t layer, int draw, int tilings) {
    for (const std::int64_t pe_dim : arrays.at(layer)) {
      requests.push_back(
          {run, layer, pe_dim, tilings, static_cast<std::uint64_t>((draw * 100003 + layer) * 1009 + pe_dim)});
    }
  };
  for (std::size_t row = 0; row < ids.size(); ++row) {
    if (!done.insert(ids[row]).second) continue;
    LayerRun run = run_of(m.rows[row]);
    add(run, ids[row], 0, kPairTilings);
    Random random(static_cast<std::uint64_t>(ids[row]));
    for (int draw = 1; draw <= kRedraws; ++draw) {
      run.layer[Dim::C] = random_size(random, kMostChannels);
      run.layer[Dim::K] = random_size(random, kMostChannels);
      if (run.matmul) run.layer[Dim::P] = random_size(random, kMostChannels);
      add(run, ids[row], draw, kRedrawTilings);
    }
  }
  // Those that are alike are drawn together.
  std::map<std::array<std::int64_t, 4>, std::vector<std::size_t>> alike;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const Request& r = requests[i];
    alike[{r.pe_dim, r.tilings, r.run.layer.padding.value_or(0),
           std::max(r.run.layer[Dim::R], r.run.layer[Dim::S])}]
        .push_back(i);
  }
  std::vector<Tensor> drawn(requests.size());
  const auto kib = [](std::int64_t known) { return known > 0 ? known : kBufferKib; };
  for (const auto& [key, members] : alike) {
    const ArraySizes& measured = target.nearest(key[0]);
    const ArraySizes buffers{key[0], kib(measured.scratchpad_kib), kib(measured.accumulator_kib)};
    for (std::size_t from = 0; from < members.size(); from += kDrawnAtOnce) {
      const std::size_t to = std::min(from + kDrawnAtOnce, members.size());
      std::vector<LayerRun> runs;
      std::vector<std::uint64_t> seeds;
      for (std::size_t i = from; i < to; ++i) {
        runs.push_back(requests[members[i]].run);
        seeds.push_back(requests[members[i]].seed);
      }
      const std::vector<Tensor> tilings =
          random_tilings(runs, target.rules, buffers, requests[members[from]].tilings, seeds);
      for (std::size_t i = from; i < to; ++i) drawn[members[i]] = tilings[i - from];
    }
  }
  std::vector<LayerRun> single, doubled;
  std::vector<Tensor> tiles, pe_dims;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const auto count = static_cast<std::size_t>(drawn[i].size(0));
    for (const Dim dim : {Dim::C, Dim::K}) {
      LayerRun larger = requests[i].run;
      larger.layer[dim] *= 2;
      single.insert(single.end(), count, requests[i].run);
      doubled.insert(doubled.end(), count, larger);
      pairs.layers.insert(pairs.layers.end(), count, requests[i].layer);
      tiles.push_back(drawn[i]);
      pe_dims.push_back(
          torch::full({drawn[i].size(0)}, static_cast<double>(requests[i].pe_dim), torch::kFloat64));
    }
  }
  const Tensor tile = torch::cat(tiles), pe_dim = torch::cat(pe_dims);
  // In parts: the counts of many runs at once are large.
  const auto features = [&](const std::vector<LayerRun>& runs) {
    std::vector<Features> parts;
    for (std::size_t from = 0; from < runs.size(); from += kPairsAtOnce) {
      const std::size_t to = std::min(from + kPairsAtOnce, runs.size());
      const auto rows = [&](const Tensor& t) {
        return t.slice(0, static_cast<std::int64_t>(from), static_cast<std::int64_t>(to));
      };
      const RunBatch batch = RunBatch::of(
          {runs.begin() + static_cast<std::ptrdiff_t>(from), runs.begin() + static_cast<std::ptrdiff_t>(to)},
          target.rules);
      parts.push_back(features_of(rows(tile), rows(pe_dim), batch, false));
    }
    return Features::cat(parts);
  };
  pairs.shorter = features(single);
  pairs.longer = features(doubled);
  return pairs;
}

/// The machine that was measured.
MeasuredTarget target_of(const Measurements& m) {
  MeasuredTarget target;
  target.name = gemmini::kTarget;
  target.hardware = m.hardware;
  if (m.format == MeasurementFormat::kArtefact) {
    // An older library: neither the first-layer packing nor the downsampling path shows in its latencies.
    target.name = "firesim-artefact";
    target.rules.first_layer_packing = false;
    target.rules.downsampling = false;
  }
  return target;
}

/// A number for every row, the same where the very same thing was executed.
std::vector<std::int64_t> tilings_of(const Measurements& m, const Tensor& clipped_tile,
                                     const std::vector<std::int64_t>& layers) {
  std::map<std::vector<double>, std::int64_t> known;
  std::vector<std::int64_t> tilings;
  for (std::size_t i = 0; i < m.rows.size(); ++i) {
    const Measurement& row = m.rows[i];
    const std::vector<double> tile = to_vector(clipped_tile[static_cast<std::int64_t>(i)]);
    std::vector<double> key = tile;
    key.push_back(static_cast<double>(row.pe_dim));
    key.push_back(row.cold ? 1 : 0);
    key.push_back(row.keeps ? 1 : 0);
    key.push_back(static_cast<double>(layers[i]));
    for (const Dim dim : row.order) {
      // Loops with one iteration stand anywhere.
      const auto d = static_cast<std::size_t>(dim);
      if (tile[d] < static_cast<double>(row.layer.size[d])) key.push_back(static_cast<double>(d));
    }
    tilings.push_back(known.emplace(key, static_cast<std::int64_t>(known.size())).first->second);
  }
  return tilings;
}

/// Throws Error{kValue} for a row that no Gemmini can have taken.
void check_rows(const Measurements& m, const Tensor& hangs, const TrainingSet& set) {
  const Tensor log_floor = set.features.floor.log();
  for (std::int64_t i = 0; i < set.rows(); ++i) {
    const Measurement& row = m.rows[static_cast<std::size_t>(i)];
    if (hangs[i].item<double>() > 0) {
      fail(ErrorId::kValue, "{}:{}: a tile lies wholly inside the padding; no Gemmini finishes it", row.file,
           row.line);
    }
    if (set.log_cycles[i].item<double>() < log_floor[i].item<double>() - kFloorSlack) {
      fail(ErrorId::kValue, "{}:{}: cycles: found {}, the array alone needs at least {:.0f}", row.file,
           row.line, row.cycles, set.features.floor[i].item<double>());
    }
  }
}

TrainingData training_data(const Measurements& m, const MeasuredRuns& measured) {
  return {m.file(), data_card(m), measured.set, channel_pairs(m, measured.target)};
}

}  // namespace

LayerRun run_of(const Measurement& m) {
  return {m.layer, m.matmul, m.input_size, m.input_size, m.order, m.cold, m.keeps};
}

MeasuredRuns MeasuredRuns::of(const Measurements& m) {
  const torch::NoGradGuard no_grad;
  MeasuredRuns all;
  all.target = target_of(m);
  TrainingSet& set = all.set;
  const auto rows = static_cast<std::int64_t>(m.rows.size());
  all.tile = torch::empty({rows, kDims}, torch::kFloat64);
  for (Tensor* t : {&all.pe_dim, &set.log_cycles, &set.macs}) *t = torch::empty({rows}, torch::kFloat64);
  set.layers = m.layer_ids();
  std::vector<LayerRun> runs;
  std::map<std::tuple<std::int64_t, bool, std::int64_t>, std::int64_t> states;
  for (std::int64_t i = 0; i < rows; ++i) {
    const Measurement& row = m.rows[static_cast<std::size_t>(i)];
    runs.push_back(run_of(row));
    all.target.domain.add(runs.back(), row.pe_dim);
    for (int dim = 0; dim < kDims; ++dim) {
      all.tile[i][dim] = static_cast<double>(row.tile[static_cast<std::size_t>(dim)]);
    }
    all.pe_dim[i] = static_cast<double>(row.pe_dim);
    set.log_cycles[i] = std::log(row.cycles);
    set.macs[i] = static_cast<double>(row.layer.macs());
    // Cold and warm runs of a layer, and those on other arrays, are not compared with each other.
    const auto state = std::make_tuple(set.layers[static_cast<std::size_t>(i)], row.cold, row.pe_dim);
    set.comparable.push_back(states.emplace(state, static_cast<std::int64_t>(states.size())).first->second);
  }
  all.runs = RunBatch::of(runs, all.target.rules);
  const Counts counts = executed_counts(all.tile, all.pe_dim, all.runs, false);
  set.features = features_of(counts, all.tile, all.pe_dim, all.runs, false);
  set.tilings = tilings_of(m, torch::minimum(all.tile, all.runs.size), set.layers);
  if (all.target.hardware.front().scratchpad_kib > 0) {
    const TileRows needed = tile_rows(all.tile, all.pe_dim, all.runs, false);
    set.octaves = share_of_measured(needed, all.pe_dim, all.target, kLeastShare).log2();
  }
  check_rows(m, counts.hangs, set);
  return all;
}

Surrogate train_surrogate(const Measurements& m, const TrainOptions& options, TrainSummary* summary,
                          const Progress& progress) {
  one_thread_per_operation();
  options.check();
  const MeasuredRuns measured = MeasuredRuns::of(m);
  return {train(training_data(m, measured), gemmini_features(), options, summary, progress), measured.target};
}

std::vector<std::pair<std::string, Accuracy>> accuracy_by(const std::vector<CrossValidation>& validations,
                                                          const Measurements& m, const TrainingSet& set,
                                                          const PartOfRow& part_of) {
  std::vector<std::pair<std::string, Accuracy>> found;
  std::map<std::pair<std::int64_t, std::string>, std::vector<bool>> parts;  // in order, whose rows
  for (std::size_t row = 0; row < m.rows.size(); ++row)
    parts.try_emplace(part_of(m.rows[row]), m.rows.size()).first->second[row] = true;
  if (parts.size() < 2) return found;
  for (const CrossValidation& cv : validations) {
    if (cv.folds == "rows") continue;
    for (const auto& [part, chosen] : parts) {
      if (const auto accuracy = accuracy_of_chosen(cv, set, chosen))
        found.emplace_back(fmt::format("{}, {}", cv.folds, part.second), *accuracy);
    }
  }
  return found;
}

std::pair<std::int64_t, std::string> array_of_row(const Measurement& row) {
  return {row.pe_dim, fmt::format("pe_dim {}", row.pe_dim)};
}

std::pair<std::int64_t, std::string> file_of_row(const Measurement& row) {
  return {0, std::filesystem::path(row.file).stem().string()};
}

Surrogate fine_tune(const Surrogate& from, const Measurements& m, const TrainOptions& options,
                    TrainSummary* summary, const Progress& progress) {
  one_thread_per_operation();
  options.check();
  const MeasuredRuns measured = MeasuredRuns::of(m);
  const Json known = to_json(from.target), found = to_json(measured.target);
  for (const auto& [field, value] : known.items()) {
    if (field != "hardware" && field != "measured" && found[field] != value) {
      fail(ErrorId::kValue, "{}: {}: found {}, the surrogate to start from has {}", m.file(), field,
           found[field].dump(), value.dump());
    }
  }
  const TrainingData data{m.file(), data_card(m), measured.set, {}};
  MeasuredTarget target = from.target;
  for (const Measurement& row : m.rows) target.domain.add(run_of(row), row.pe_dim);
  for (const ArraySizes& hardware : m.hardware) note(target.hardware, hardware);
  return {fine_tuned(from, data, options, summary, progress), target};
}

}  // namespace dosa
