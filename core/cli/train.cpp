#include <memory>

#include "dosa/core/cli/commands.hpp"
#include "dosa/core/cli/search_flags.hpp"
#include "dosa/core/import/file_kind.hpp"
#include "dosa/core/targets/gemmini/proposals.hpp"
#include "dosa/core/targets/gemmini/training.hpp"
#include "dosa/models/base/csv.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/base/table.hpp"
#include "dosa/models/base/text.hpp"

namespace dosa::cli {
namespace {

struct TrainFlags {
  std::vector<std::string> measurements;
  std::string library, output, predictor = "combined", from, curves, scatter, proposals;
  int active = 0;
  bool quiet = false;
  ArraySizes buffers;
  TrainOptions options;
};

/// How many rows were not used or changed, and why; nothing where there are none.
std::string not_as_measured(const Measurements& measured) {
  Table table({{"rows"}, {"were", ColumnKind::kText}, {"because", ColumnKind::kProse}});
  for (const auto& [reason, count] : measured.dropped)
    table.row({fmt::format("{}", count), "dropped", reason});
  for (const auto& [reason, count] : measured.repaired)
    table.row({fmt::format("{}", count), "repaired", reason});
  return table.rows() > 0 ? table.text() : "";
}

std::string curves_csv(const std::vector<CurvePoint>& curve) {
  std::string text = "run,epoch,training_error,held_out_error\n";
  for (const CurvePoint& p : curve)
    text += fmt::format("{},{},{:.6f},{:.6f}\n", p.run, p.epoch, p.training, p.held_out);
  return text;
}

std::string scatter_csv(const std::vector<CrossValidation>& validations, const Measurements& measured) {
  std::string text = "folds,file,line,layer,measured_cycles,predicted_cycles,log_sd\n";
  for (const CrossValidation& cv : validations) {
    for (std::size_t i = 0; i < cv.rows.size(); ++i) {
      const Measurement& row = measured.rows[static_cast<std::size_t>(cv.rows[i])];
      const auto at = static_cast<std::int64_t>(i);
      text += fmt::format("{},{},{},{},{},{:.0f},{:.4f}\n", cv.folds, csv_field(file_of_row(row).second),
                          row.line, row.layer.name, row.cycles, std::exp(cv.log_cycles[at].item<double>()),
                          cv.log_sd[at].item<double>());
    }
  }
  return text;
}

/// The chip that proposals are for: what the user says, else the only one that was measured.
ArraySizes chip_of_proposals(const TrainFlags& flags, const Measurements& measured) {
  ArraySizes chip = measured.hardware.size() == 1 ? measured.hardware.front() : ArraySizes{};
  for (const ArraySizeField& field : kArraySizes) {
    if (flags.buffers.*field.value > 0) chip.*field.value = flags.buffers.*field.value;
    if (chip.*field.value <= 0) {
      fail(ErrorId::kUsage,
           "--active: the rows are of several chips, and nothing says the {} of the one to measure next; "
           "expected --pe, --scratchpad and --accumulator",
           field.name);
    }
  }
  return chip;
}

void run_train(TrainFlags& flags, const Output& output) {
  flags.options.predictor = predictor_from_name(flags.predictor);
  for (const std::string* path : {&flags.output, &flags.curves, &flags.scatter, &flags.proposals}) {
    if (!path->empty()) check_writable(*path);
  }
  for (const std::string& path : flags.measurements) expect_kind(path, Wanted::kTable);
  std::optional<Surrogate> from;
  if (!flags.from.empty()) from = Surrogate::load(flags.from);
  const Measurements measured = read_measurements(
      std::vector<std::filesystem::path>(flags.measurements.begin(), flags.measurements.end()),
      gemmini::given_library(flags.library, "--library"));
  const ArraySizes chip = flags.active > 0 ? chip_of_proposals(flags, measured) : ArraySizes{};
  const auto layers = measured.layer_ids();
  const std::string text =
      fmt::format("{}: {} of {} used\n", measured.file(), counted(measured.rows.size(), "row"),
                  counted(*std::max_element(layers.begin(), layers.end()) + 1, "layer"));
  output.print_early(text + not_as_measured(measured));
  const auto say = [&](const std::string& line) {
    if (!flags.quiet) fmt::print(stderr, "{}\n", line);
  };
  TrainSummary summary;
  const Surrogate surrogate = from ? fine_tune(*from, measured, flags.options, &summary, say)
                                   : train_surrogate(measured, flags.options, &summary, say);
  surrogate.save(flags.output);
  if (!flags.curves.empty()) write_file(flags.curves, curves_csv(summary.curve));
  if (!flags.scatter.empty()) write_file(flags.scatter, scatter_csv(summary.validations, measured));
  Json json{{"surrogate", flags.output},
            {"card", surrogate.card},
            {"target", to_json(surrogate.target)},
            {"seconds", summary.seconds}};
  std::string report;
  if (!summary.validations.empty()) {
    std::vector<std::pair<std::string, Accuracy>> parts;
    for (const CrossValidation& cv : summary.validations)
      parts.emplace_back("held-out " + cv.folds, cv.accuracy);
    report += accuracy_table(parts);
    parts.clear();
    for (const CrossValidation& cv : summary.validations) {
      if (cv.fastest) parts.emplace_back(cv.folds + ", fastest fifth", *cv.fastest);
    }
    const TrainingSet set = MeasuredRuns::of(measured).set;
    for (const auto& [key, part_of] :
         {std::pair<const char*, PartOfRow>{"arrays", array_of_row}, {"files", file_of_row}}) {
      for (const auto& [what, accuracy] : accuracy_by(summary.validations, measured, set, part_of)) {
        json[key][what] = to_json(accuracy);
        parts.emplace_back(what, accuracy);
      }
    }
    for (const Extrapolation& e : summary.extrapolations)
      parts.emplace_back(fmt::format("beyond 1/{:.0f} of the buffers", std::exp2(-e.octaves)), e.accuracy);
    if (!parts.empty()) report += accuracy_lines(parts);
  }
  if (!summary.extrapolations.empty()) {
    report += fmt::format("the uncertainty grows by {:.2f} for every doubling of a tile beyond the buffers\n",
                          surrogate.growth_per_octave);
  }
  if (from) {
    const Json& tuned = surrogate.card.at("fine_tuned").back();
    report += fmt::format("mean |ln(predicted/measured)| {:.4f} before, {:.4f} after\n",
                          tuned.at("error_before").get<double>(), tuned.at("error_after").get<double>());
  }
  report += fmt::format("{}: written after {:.0f} s\n", flags.output, summary.seconds);
  if (flags.active > 0) {
    const std::vector<Measurement> next =
        propose_measurements(surrogate, measured, chip, flags.active, flags.options.seed);
    const std::string csv = measurements_csv(next, chip, false);
    if (!flags.proposals.empty()) write_file(flags.proposals, csv);
    report += flags.proposals.empty()
                  ? csv
                  : fmt::format("{}: {} to measure next\n", flags.proposals, counted(next.size(), "tiling"));
    json["proposals"] = Json::array();
    for (const Measurement& m : next) {
      json["proposals"].push_back(
          {{"layer", m.layer.name}, {"tile", m.tile}, {"predicted_cycles", m.cycles}});
    }
  }
  output.print(json, report);
}

}  // namespace

void add_train(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "train",
      described(
          "Train a surrogate of measured latencies, cross-validated by rows, by whole layers, and by "
          "quality (the fastest fifth of each layer's tilings, from the slower ones of other layers). Two "
          "more, of "
          "the tiles that fit half and a quarter of the buffers, say how the uncertainty grows beyond them.",
          {"dosa train data/measurements/gemmini_rtl_sizes.csv -o gemmini.safetensors",
           "dosa train new_rows.csv --from gemmini.safetensors -o tuned.safetensors",
           "dosa train measurements.csv -o gemmini.safetensors --active 20 --proposals next.csv"}));
  const auto flags = std::make_shared<TrainFlags>();
  const auto output = std::make_shared<Output>(*command);
  TrainOptions& o = flags->options;
  command
      ->add_option("measurements", flags->measurements,
                   "CSV: one or more of our own format, or the public artefact's")
      ->required();
  command->add_option("-o,--output", flags->output, "The surrogate; its card is written beside it (.json)")
      ->required();
  command
      ->add_option("--library", flags->library,
                   "Month of the gemmini-rocc-tests that the programs were built with, for rows without a "
                   "column of that name; since 2023-05 it keeps operands in the scratchpad")
      ->default_str(gemmini::kTodaysLibrary);
  command->add_flag("-q,--quiet", flags->quiet, "No progress lines");
  command->add_option("--predictor", flags->predictor, "combined, or learned (a network alone)")
      ->capture_default_str();
  command->add_option("--from", flags->from, "Fine-tune this surrogate instead of training a new one");
  command->add_option("--networks", o.networks, "Networks of the ensemble")->capture_default_str();
  command->add_option("--hidden", o.hidden, "Units per hidden layer")->capture_default_str();
  command->add_option("--epochs", o.epochs, "Passes over the rows")->capture_default_str();
  command->add_option("--batch", o.batch, "Rows per step")->capture_default_str();
  command->add_option("--rate", o.rate, "Highest learning rate")->capture_default_str();
  command->add_option("--weight-decay", o.weight_decay, "Of AdamW")->capture_default_str();
  command->add_option("--folds", o.folds, "Folds of each cross-validation; 0: none")->capture_default_str();
  command->add_option("--seed", o.seed, "Same seed, same surrogate")->capture_default_str();
  add_threads(*command, o.threads);
  command->add_option("--curves", flags->curves, "Write learning curves to this CSV");
  command->add_option("--scatter", flags->scatter, "Write out-of-fold predictions to this CSV");
  command->add_option("--active", flags->active, "Propose this many tilings to measure next")
      ->check(CLI::Range(0, 100000));
  command->add_option("--proposals", flags->proposals, "Write them to this CSV");
  const CLI::Range sizes(1, 1 << 24);
  command->add_option("--pe", flags->buffers.pe_dim, "Array of the proposals (default: as measured)")
      ->check(sizes);
  command->add_option("--scratchpad", flags->buffers.scratchpad_kib, "Scratchpad KiB of the proposals")
      ->check(sizes);
  command->add_option("--accumulator", flags->buffers.accumulator_kib, "Accumulator KiB of the proposals")
      ->check(sizes);
  command->callback([flags, output] { run_train(*flags, *output); });
}

}  // namespace dosa::cli
