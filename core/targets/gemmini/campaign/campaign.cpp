#include "dosa/core/targets/gemmini/campaign/campaign.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "dosa/core/search/optimizer.hpp"
#include "dosa/core/targets/gemmini/campaign/best_measured.hpp"
#include "dosa/core/targets/gemmini/campaign/disagreement.hpp"
#include "dosa/core/targets/gemmini/machine_file.hpp"
#include "dosa/core/targets/gemmini/reference.hpp"
#include "dosa/core/targets/gemmini/target.hpp"
#include "dosa/core/targets/gemmini/training.hpp"
#include "dosa/core/targets/registry.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/base/table.hpp"
#include "dosa/models/base/text.hpp"

namespace dosa {
namespace fs = std::filesystem;
namespace {

using gemmini::Tile;

constexpr const char* kCampaignSchema = "dosa-campaign/1";
constexpr const char* kRoundSchema = "dosa-round/1";
constexpr int kMostCampaignRounds = 99;
constexpr std::int64_t kLeastFromScratch = 50;  // rows that training takes

/// What is asked of a round's folder.
struct Round {
  int number = 0;
  fs::path folder;
  Plan plan;
  std::vector<std::optional<double>> predicted;  ///< cycles of one group, by measurement
  std::map<std::size_t, std::int64_t> cycles;    ///< by measurement
  std::vector<std::size_t> failed;               ///< measurements
  Design design;                                 ///< what the search found afterwards
};

/// A Gemmini. Throws Error where the machine is none, or has another DRAM than rows of a campaign tell of.
std::shared_ptr<const ArrayMachine> campaign_machine(const MachineChoice& choice) {
  const auto machine = as_array_machine(load_ruled_machine(choice), "campaign");
  try {
    if (machine->rules != "gemmini")
      fail(ErrorId::kValue, "rules: found {}, a campaign measures on machines of the rules gemmini",
           machine->rules);
    gemmini::check_machine(*machine);
    const double words = gemmini::dram_words_per_cycle(*machine);
    if (words != gemmini::kMeasuredDramWords) {
      fail(ErrorId::kValue,
           "levels[{}].words_per_cycle: found {}, a campaign measures with the simulator's own DRAM; "
           "expected {}",
           machine->dram(), words, gemmini::kMeasuredDramWords);
    }
  } catch (const Error& error) {
    throw error.in(fmt::format("machine {}", machine->name));
  }
  return machine;
}

class Campaign {
 public:
  Campaign(const Workload& workload, const CampaignOptions& options, const fs::path& folder,
           const CampaignHooks& hooks)
      : workload_(workload),
        options_(options),
        folder_(folder),
        hooks_(hooks),
        machine_(campaign_machine(options.machine)),
        objective_(Objective::from_name(options.objective)) {
    options_.check();
    for (const CpuLayer& layer : take_cpu_layers(workload_, *make_target(machine_)))
      left_out_.emplace_back(layer.layer.name, layer.reason);
    open_folder();
    choose_reference();
    choose_start();
  }

  CampaignResult run() {
    CampaignResult result;
    bool settled = false;
    while (!settled) {
      Round round;
      round.number = static_cast<int>(rounds_.size()) + 1;
      round.folder = folder_ / fmt::format("round_{:02}", round.number);
      if (!plan_round(round)) break;
      if (!measure_round(round)) {
        result.interrupted = true;
        return result;
      }
      learn(round);
      rounds_.push_back(std::move(round));
      settled = wanted().empty();
      if (hooks_.interrupt != nullptr && *hooks_.interrupt && !settled) {
        result.interrupted = true;
        return result;
      }
    }
    finish(result);
    return result;
  }

 private:
  void say(const std::string& line) const {
    if (hooks_.say) hooks_.say(line);
  }

  /// The options that decide the result, and of what.
  Json record() const {
    return {{"schema", kCampaignSchema},
            {"workload", workload_.name},
            {"layers", content_hash([&] {
               std::string all;
               for (const Layer& layer : workload_.layers) all += to_json(layer).dump();
               return all;
             }())},
            {"machine", machine_->hash},
            {"hardware", machine_->to_json(options_.hardware)},
            {"simulator", options_.run.simulator},
            {"surrogate", options_.from_scratch ? "none" : options_.surrogate},
            {"objective", options_.objective},
            {"kappa", options_.kappa},
            {"seed", options_.seed},
            {"max_macs", options_.max_macs}};
  }

  void open_folder() {
    std::error_code code;
    fs::create_directories(folder_, code);
    if (code) fail(ErrorId::kFile, "{}: cannot be written: {}", folder_.string(), code.message());
    const fs::path path = folder_ / "campaign.json";
    const Json now = record();
    if (fs::exists(path, code)) {
      const JsonInput earlier = JsonInput::from_file(path);
      earlier.require_schema(kCampaignSchema);
      for (const auto& [key, value] : now.items()) {
        if (earlier.at(key).value() == value) continue;
        fail(ErrorId::kValue, "{}: {}: the campaign there has {}, now {}; take another folder", path.string(),
             key, earlier.at(key).value().dump(), value.dump());
      }
    } else if (!fs::is_empty(folder_, code)) {
      fail(ErrorId::kFile, "{}: holds other files and no campaign; expected a new folder", folder_.string());
    }
    write_file(path, now.dump(2) + "\n");
  }

  /// The default hardware, and its tile of every layer that can be measured.
  void choose_reference() {
    SampleOptions sample;
    sample.count = 1;
    sample.hardware = options_.hardware;
    sample.max_macs = options_.max_macs;
    const Sample layers = sample_campaign(workload_, sample);
    shapes_ = layers.plan.layers;
    left_out_.insert(left_out_.end(), layers.left_out.begin(), layers.left_out.end());
    const ArraySizes usual = default_gemmini(*machine_, options_.hardware.pe_dim);
    const bool fits = usual.scratchpad_kib <= options_.hardware.scratchpad_kib &&
                      usual.accumulator_kib <= options_.hardware.accumulator_kib;
    reference_ = fits ? usual : options_.hardware;
    if (options_.from_scratch && options_.budget < 2 * kLeastFromScratch) {
      fail(ErrorId::kValue,
           "budget: found {}; a surrogate from scratch takes {} measurements in the first half: at least {}",
           options_.budget, kLeastFromScratch, 2 * kLeastFromScratch);
    }
    if (options_.budget < 2 * static_cast<std::int64_t>(shapes_.size())) {
      fail(ErrorId::kValue,
           "budget: found {}; {} has {} to measure, of which the default and the design need a tiling "
           "each: at least {}",
           options_.budget, workload_.name, counted(shapes_.size(), "layer"), 2 * shapes_.size());
    }
  }

  Tile reference_tile(const Layer& layer) const {
    return gemmini::runnable_default_tile(layer, reference_, gemmini::calls_for(layer).front());
  }

  void choose_start() {
    if (options_.from_scratch) return;
    fs::path path = options_.surrogate;
    if (path.empty()) path = shipped_surrogate(gemmini::kTarget);
    if (path.empty()) return;
    start_ = Surrogate::load(path);
  }

  // ---- What is known.

  MeasuredTilings known() const {
    MeasuredTilings all;
    for (const Round& round : rounds_) {
      for (const auto& [i, cycles] : round.cycles) {
        const PlannedCall& m = round.plan.measurements[i];
        all.add(round.plan.layers[m.layer], m.tile, static_cast<double>(cycles), round.predicted[i]);
      }
      for (const std::size_t i : round.failed) {
        const PlannedCall& m = round.plan.measurements[i];
        all.add_failed(round.plan.layers[m.layer], m.tile);
      }
    }
    return all;
  }

  std::int64_t spent() const {
    std::size_t count = 0;
    for (const Round& round : rounds_) count += round.cycles.size() + round.failed.size();
    return static_cast<std::int64_t>(count);
  }

  /// What the next round has to measure: the default's tilings and those of the last design that are not
  /// known.
  std::vector<PlannedCall> wanted() const {
    const MeasuredTilings all = known();
    std::vector<PlannedCall> list;
    std::set<std::string> seen;
    const auto want = [&](std::size_t shape, const Tile& tile, const char* tiling) {
      const std::string key = MeasuredTilings::key_of(shapes_[shape], tile);
      if (!all.has(shapes_[shape], tile) && seen.insert(key).second) list.push_back({shape, tile, tiling});
    };
    if (!rounds_.empty()) {
      const Design& design = rounds_.back().design;
      for (const DesignLayer& entry : design.layers) {
        const auto shape = std::find_if(shapes_.begin(), shapes_.end(), [&](const Layer& layer) {
          return shape_of(layer) == shape_of(entry.layer);
        });
        if (shape == shapes_.end()) continue;
        want(static_cast<std::size_t>(shape - shapes_.begin()),
             gemmini::tile_of(entry.layer, entry.schedule, ArraySizes::of(design.hardware)), "design");
      }
    }
    for (std::size_t i = 0; i < shapes_.size(); ++i) want(i, reference_tile(shapes_[i]), "default");
    return list;
  }

  // ---- The steps of a round.

  /// Chooses what a round measures, or reads it where it was chosen before. False: nothing, or no budget.
  bool plan_round(Round& round) {
    std::error_code ignored;
    if (!fs::exists(round.folder / "plan.json", ignored)) {
      const std::int64_t left = options_.budget - spent();
      std::vector<PlannedCall> calls = wanted();
      if (left <= 0 || calls.empty() || round.number > kMostCampaignRounds) return false;
      if (round.number == 1) add_sample(calls);
      if (static_cast<std::int64_t>(calls.size()) > left) calls.resize(static_cast<std::size_t>(left));
      Plan plan;
      plan.workload = workload_.name;
      plan.hardware = options_.hardware;
      plan.library = gemmini::library_of(*machine_);
      plan.layers = shapes_;
      plan.measurements = std::move(calls);
      plan.assign_programs(options_.batch);
      std::vector<OutputFile> files = campaign_files(plan);
      files.push_back({"predicted.json", predictions(plan).dump() + "\n"});
      write_folder(round.folder, "round", files);
    }
    round.plan = plan_in(round.folder);
    const JsonInput predicted = JsonInput::from_file(round.folder / "predicted.json");
    for (const JsonInput& item : predicted.items())
      round.predicted.push_back(item.value().is_null() ? std::nullopt
                                                       : std::optional<double>(item.number(0)));
    if (round.predicted.size() != round.plan.measurements.size()) {
      fail(ErrorId::kValue, "{}: found {}, the plan has {}", predicted.where(),
           counted(round.predicted.size(), "prediction"),
           counted(round.plan.measurements.size(), "measurement"));
    }
    say(fmt::format("round {}: {} in {}", round.number,
                    counted(round.plan.measurements.size(), "measurement"),
                    counted(round.plan.programs().size(), "program")));
    return true;
  }

  /// Half of the budget for the first round.
  void add_sample(std::vector<PlannedCall>& calls) const {
    const RtlModel model(*machine_, start_ ? &*start_ : nullptr);
    SampleOptions sample;
    sample.count = std::max<std::int64_t>(options_.budget / 2, static_cast<std::int64_t>(shapes_.size()));
    sample.seed = options_.seed;
    sample.hardware = options_.hardware;
    sample.max_macs = options_.max_macs;
    if (start_) sample.uncertainty = disagreement(model, options_.hardware, "surrogate");
    std::set<std::string> seen;
    for (const PlannedCall& call : calls)
      seen.insert(MeasuredTilings::key_of(shapes_[call.layer], call.tile));
    for (const PlannedCall& call : sample_campaign(workload_, sample).plan.measurements) {
      if (static_cast<std::int64_t>(calls.size()) == sample.count) break;
      if (seen.insert(MeasuredTilings::key_of(shapes_[call.layer], call.tile)).second) calls.push_back(call);
    }
  }

  /// What the newest surrogate expects of a plan, [cycles of one group or null].
  Json predictions(const Plan& plan) const {
    Json list = Json::array();
    const std::optional<Surrogate>& surrogate = newest_ ? newest_ : start_;
    for (const PlannedCall& m : plan.measurements) {
      list.push_back(nullptr);
      if (!surrogate) continue;
      try {
        const Layer& layer = plan.layers[m.layer];
        const TileCosts costs = RtlModel(*machine_, &*surrogate).costs({layer}, {m.tile}, plan.hardware);
        list.back() = costs.cycles[0].item<double>() / static_cast<double>(layer.groups);
      } catch (const Error&) {  // a call that was never measured
      }
    }
    return list;
  }

  /// Runs a round's programs, or reads what they gave. False: interrupted.
  bool measure_round(Round& round) const {
    const fs::path path = round.folder / "measured.json";
    std::error_code ignored;
    if (!fs::exists(path, ignored)) {
      Measured measured = measure(round.folder, options_.run, hooks_.progress, hooks_.interrupt);
      if (measured.interrupted) return false;
      measured.earlier = 0;  // the record of a campaign does not tell of its breaks
      write_file(round.folder / "measured.txt", measured.report());
      if (measured.collected.rows.empty()) {
        fail(ErrorId::kValue, "{}: nothing was measured{}; the same command again tries again",
             round.folder.string(),
             measured.failed.empty()
                 ? ""
                 : fmt::format("; {}: {}", measured.failed[0].program, measured.failed[0].reason));
      }
      Json rows = Json::array(), failed = Json::array();
      for (const Collected::Row& row : measured.collected.rows) rows.push_back({row.measurement, row.cycles});
      for (const LogProblem& wrong : measured.collected.wrong) failed.push_back(wrong.measurement);
      // The first one that is missing is what the program fell over; those behind it may be asked for again.
      for (const FailedRun& run : measured.failed) failed.push_back(run.missing.front());
      write_file(path, Json{{"schema", kRoundSchema}, {"cycles", rows}, {"failed", failed}}.dump() + "\n");
    }
    const JsonInput json = JsonInput::from_file(path);
    json.require_schema(kRoundSchema);
    const auto most = static_cast<std::int64_t>(round.plan.measurements.size()) - 1;
    for (const JsonInput& row : json.at("cycles").items()) {
      const std::vector<JsonInput> pair = row.items();
      if (pair.size() != 2) fail(ErrorId::kSchema, "{}: expected a measurement and its cycles", row.where());
      round.cycles[static_cast<std::size_t>(pair[0].integer(0, most))] =
          pair[1].integer(1, std::int64_t{1} << 53);
    }
    for (const JsonInput& item : json.at("failed").items())
      round.failed.push_back(static_cast<std::size_t>(item.integer(0, most)));
    if (!round.failed.empty())
      say(fmt::format("round {}: {} failed; see {}", round.number, counted(round.failed.size(), "tiling"),
                      (round.folder / "measured.txt").string()));
    return true;
  }

  /// Everything that was measured, this round's included, as a table for training.
  void write_table(const Round& now) const {
    Plan all = now.plan;
    Collected collected;
    all.measurements.clear();
    const auto append = [&](const Round& round) {
      for (const auto& [i, cycles] : round.cycles) {
        collected.rows.push_back({all.measurements.size(), cycles, 0});
        all.measurements.push_back(round.plan.measurements[i]);
      }
    };
    for (const Round& round : rounds_) append(round);
    append(now);
    write_file(folder_ / "measurements.csv", collected_csv(all, collected));
  }

  /// Trains on all that is measured and searches with it, or reads what came of that before.
  void learn(Round& round) {
    const fs::path trained = round.folder / "surrogate.safetensors", found = round.folder / "design.json";
    std::error_code ignored;
    write_table(round);
    if (!fs::exists(trained, ignored)) {
      const Measurements measured = read_measurements(folder_ / "measurements.csv");
      say(fmt::format("round {}: training on {}", round.number,
                      counted(measured.rows.size(), "measurement")));
      trained_surrogate(measured).save(trained);
    }
    newest_ = Surrogate::load(trained);
    if (!fs::exists(found, ignored)) {
      say(fmt::format("round {}: searching", round.number));
      save_design(search(trained), found);
    }
    round.design = load_design(found, options_.machine).design;
    say(fmt::format("round {}: design with {}/{} KiB, {} {:.4g}", round.number,
                    ArraySizes::of(round.design.hardware).scratchpad_kib,
                    ArraySizes::of(round.design.hardware).accumulator_kib, options_.objective,
                    objective_.value(round.design.totals.energy_uj, round.design.totals.cycles)));
  }

  Surrogate trained_surrogate(const Measurements& measured) const {
    TrainOptions train;
    train.seed = options_.seed;
    train.threads = options_.threads;
    train.folds = 0;
    TrainSummary summary;
    const auto quiet = [](const std::string&) {};
    if (start_) {
      try {
        return fine_tune(*start_, measured, train, &summary, quiet);
      } catch (const Error& error) {
        if (!options_.surrogate.empty()) throw;
        say(fmt::format("from scratch, since the shipped surrogate cannot be fine-tuned: {}", error.what()));
      }
    }
    return train_surrogate(measured, train, &summary, quiet);
  }

  Design search(const fs::path& surrogate) const {
    TargetOptions choice;
    choice.surrogate = surrogate.string();
    choice.kappa = options_.kappa;
    SearchProblem problem = SearchProblem::of(workload_, make_target(machine_, choice), objective_);
    problem.bounds = {machine_->min_hardware, options_.hardware};
    const ArraySizes fixed{options_.hardware.pe_dim, 0, 0};
    problem.bounds.min = problem.with_shape(problem.bounds.min, {fixed.pe_dim});
    problem.target->narrow(problem.bounds, fixed,
                           ArraySizes{0, options_.hardware.scratchpad_kib, options_.hardware.accumulator_kib},
                           {});
    SearchOptions search = problem.target->default_options();
    search.seed = options_.seed;
    search.threads = options_.threads;
    SearchSummary summary = dosa::optimize(problem, search);
    summary.best.provenance = {{"method", "campaign"},
                               {"model", problem.target->model_record()},
                               {"seed", options_.seed},
                               {"options", to_json(search, problem)}};
    return summary.best;
  }

  // ---- The end.

  void finish(CampaignResult& result) const {
    if (rounds_.empty()) fail(ErrorId::kValue, "{}: nothing to measure", folder_.string());
    const MeasuredTilings all = known();
    std::vector<Design> designs;
    for (const Round& round : rounds_) designs.push_back(round.design);
    std::vector<Tile> own;
    for (const Layer& layer : workload_.layers) own.push_back(reference_tile(layer));
    const CampaignEnd end = best_measured(workload_, designs, reference_, own, all, *machine_, objective_);
    result.is_complete = end.is_measured && wanted().empty();
    save_design(end.design, folder_ / "design.json");
    newest_->save(folder_ / "surrogate.safetensors");
    result.json = end.json;
    result.json["complete"] = result.is_complete;
    result.json["measurements"] = spent();
    result.json["budget"] = options_.budget;
    result.text = end.text;
    Table history(
        {{"round"}, {"measured"}, {"failed"}, {"predicted cycles"}, {"measured cycles"}, {"error"}});
    result.json["rounds"] = Json::array();
    for (const Round& round : rounds_) {
      const std::optional<double> measured = all.network_cycles(round.design);
      const double predicted = round.design.totals.cycles;
      result.json["rounds"].push_back({{"measured", round.cycles.size()},
                                       {"failed", round.failed.size()},
                                       {"predicted_cycles", predicted},
                                       {"measured_cycles", measured ? Json(*measured) : Json(nullptr)}});
      history.row({fmt::format("{}", round.number), fmt::format("{}", round.cycles.size()),
                   fmt::format("{}", round.failed.size()), fmt::format("{:.0f}", predicted),
                   measured ? fmt::format("{:.0f}", *measured) : "-",
                   measured ? fmt::format("{:+.1f}%", 100 * (predicted / *measured - 1)) : "-"});
    }
    result.text +=
        "\nWhat the search proposed after each round, as predicted then and as measured:\n" + history.text();
    for (const auto& [layer, reason] : left_out_)
      result.text += fmt::format("not measured: {}: {}\n", printable(layer), printable(reason));
    for (const std::string& tiling : all.failed())
      result.text += fmt::format("failed: {}\n", printable(tiling));
    const std::size_t open = wanted().size();
    result.text +=
        fmt::format("{} of {} of the budget spent; {}\n", spent(), counted(options_.budget, "measurement"),
                    open == 0 ? "the search proposes nothing that is not measured"
                              : fmt::format("not measured: {} that the search proposes; a larger "
                                            "--budget goes on",
                                            counted(open, "tiling")));
    write_file(folder_ / "report.json", result.json.dump(2) + "\n");
    write_file(folder_ / "report.txt", folded(result.text));
  }

  Workload workload_;  ///< without layers that are left to the CPU
  CampaignOptions options_;
  fs::path folder_;
  const CampaignHooks& hooks_;
  std::shared_ptr<const ArrayMachine> machine_;
  Objective objective_;
  ArraySizes reference_;
  std::vector<Layer> shapes_;  ///< every layer shape that can be measured, once
  std::vector<std::pair<std::string, std::string>> left_out_;
  std::optional<Surrogate> start_, newest_;
  std::vector<Round> rounds_;
};

}  // namespace

void CampaignOptions::check() const {
  if (budget < 2 || budget > 100'000)
    fail(ErrorId::kValue, "budget: found {}, expected 2 to 100000 measurements", budget);
  const auto violations = gemmini::check_hardware(hardware);
  if (!violations.empty()) fail(ErrorId::kValue, "hardware: {}", gemmini::summary(violations));
  if (max_macs < 1) fail(ErrorId::kValue, "max_macs: found {}, expected at least 1", max_macs);
  batch.check();
}

CampaignResult run_campaign(const Workload& workload, const CampaignOptions& options, const fs::path& folder,
                            const CampaignHooks& hooks) {
  return Campaign(workload, options, folder, hooks).run();
}

}  // namespace dosa
