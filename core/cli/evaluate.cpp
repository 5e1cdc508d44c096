#include <algorithm>
#include <memory>

#include "dosa/core/cli/search_flags.hpp"
#include "dosa/core/cli/shared.hpp"
#include "dosa/core/design/design.hpp"
#include "dosa/core/explain/explain.hpp"
#include "dosa/models/base/error.hpp"

namespace dosa::cli {
namespace {

struct EvaluateFlags {
  std::string design, mapping, surrogate, baseline;
  MachineChoice machine;
  Layer layer;
  SizeFlags sizes;
  double clock_hz = 0;
  bool details = false;
};

/// Evaluates a design again and reports on it.
void evaluate_one(const EvaluateFlags& flags, const TargetPtr& target, Design& design, Json& json,
                  std::string& text) {
  const DesignTotals recorded = design.totals;
  try {
    evaluate(design, *target);
  } catch (const Error& error) {
    throw error.in(flags.design);
  }
  json = to_json(design);
  json.erase("provenance");
  add_remark(*target, json);
  text += report(design, *target);
  add_at_clock(design, flags.clock_hz, json, text);
  add_as_built(design, target->machine(), json, text);
  const bool same = recorded.cycles == design.totals.cycles && recorded.energy_uj == design.totals.energy_uj;
  json["totals_as_recorded"] = same;
  if (!same) {
    text += fmt::format("the file records other totals: cycles {:.0f}, energy {:.6g} uJ, EDP {:.6g}\n",
                        recorded.cycles, recorded.energy_uj, recorded.edp);
  }
  json["analysis"] = Json::array();
  for (const LayerAnalysis& layer : analyse_layers(design, *target)) {
    json["analysis"].push_back(to_json(layer));
    if (flags.details) text += "\n" + details(layer);
  }
  if (const auto comparison = target->compare_with_default(design)) {
    json["default_comparison"] = comparison->json;
    text += "\n" + comparison->text;
  }
}

void evaluate_file(const EvaluateFlags& flags, const Output& output) {
  LoadedDesigns loaded = load_designs(flags.design, flags.machine);
  SharedDesign& shared = loaded.shared;
  TargetOptions options;
  options.surrogate = flags.surrogate;
  options.recorded = shared.provenance;
  TargetPtr target;
  try {
    target = against(make_target(loaded.target->shared_machine(), options), flags.baseline);
  } catch (const Error& error) {
    throw error.in(flags.design);
  }
  warn_of(*target);
  Json json;
  std::string text;
  if (!loaded.is_shared) {
    evaluate_one(flags, target, shared.networks.front().design, json, text);
    return output.print(json, text);
  }
  Json networks = Json::array();
  for (SharedNetwork& network : shared.networks) {
    evaluate_one(flags, target, network.design, json, text);
    json["weight"] = network.weight;
    networks.push_back(json);
    text += "\n";
  }
  const double recorded = shared.value;
  shared.value = joint_value(shared);
  json = to_json(shared);
  json.erase("provenance");
  json["networks"] = std::move(networks);
  json["value_as_recorded"] = recorded == shared.value;
  text += text_of_joint(shared);
  if (recorded != shared.value) text += fmt::format("the file records {:.6g}\n", recorded);
  output.print(json, text);
}

void evaluate_flags(const EvaluateFlags& flags, const Output& output) {
  try {
    check_layer(flags.layer);
  } catch (const Error& error) {
    throw error.in("command line");
  }
  const TargetPtr target = load_target(flags.machine.or_else("gemmini-tl"));
  const Hardware hardware = flags.sizes.hardware(target->machine());
  try {
    const Mapping mapping = target->mapping_from_text(flags.mapping);
    Design design;
    design.target = target->machine().name;
    design.machine = target->shared_machine();
    design.hardware = hardware;
    design.layers = {{flags.layer, target->schedule_of(mapping, flags.layer, hardware), {}}};
    evaluate(design, *target);
    const LayerAnalysis layer = analyse_layers(design, *target).front();
    output.print(to_json(layer), details(layer));
  } catch (const Error& error) {
    throw error.in("--mapping");
  }
}

}  // namespace

void add_evaluate(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "evaluate",
      described("Cost of a design file, or of one layer, hardware and mapping given as flags.",
                {"dosa evaluate design.json --details",
                 "dosa evaluate -C 64 -K 64 -P 56 -Q 56 -R 3 -S 3 --pe 16 --scratchpad 128 \\\n"
                 "      --accumulator 32 --mapping \\\n"
                 "      'L3[WIO] K4 Q56 P2 - L2[WI] N1 K16X - L1[O] S3 R3 C4 P28 C16X - L0[W] N1'",
                 "dosa evaluate --machine nvdla -C 64 -K 64 -P 56 -Q 56 -R 3 -S 3 --mapping \\\n"
                 "      'L3[WIO] Q56 - L2[WI] K4 P4 K16X - L1[O] S3 R3 P14 C64Y - L0[W] N1'"}));
  const auto flags = std::make_shared<EvaluateFlags>();
  const auto output = std::make_shared<Output>(*command);
  flags->layer.name = "layer";
  CLI::Option* design = command->add_option("design", flags->design, "A design JSON");
  add_machine(*command, flags->machine, "--machine",
              "Machine: a shipped name or a file (default: the design's target, or gemmini-tl)");
  add_surrogate_of_design(*command, flags->surrogate)->needs(design);
  add_baseline(*command, flags->baseline)->needs(design);
  add_clock(*command, flags->clock_hz)->needs(design);
  command->add_flag("--details", flags->details,
                    "Accesses per level and tensor of every layer of the design");
  CLI::Option* mapping =
      command->add_option("--mapping", flags->mapping, "Mapping in Timeloop's form, outermost level first");
  mapping->excludes(design);
  for (const Dim dim : all_dims()) {
    static const std::map<Dim, std::string> meanings{{Dim::R, "Filter width"},   {Dim::S, "Filter height"},
                                                     {Dim::P, "Output width"},   {Dim::Q, "Output height"},
                                                     {Dim::C, "Input channels"}, {Dim::K, "Output channels"},
                                                     {Dim::N, "Batch"}};
    command->add_option(std::string("-") + name_of(dim), flags->layer[dim], meanings.at(dim))
        ->capture_default_str()
        ->check(integer_in(1, kMaxDim))
        ->needs(mapping);
  }
  command->add_option("--wstride", flags->layer.wstride, "Stride along the width")
      ->capture_default_str()
      ->check(integer_in(1, kMaxStep))
      ->needs(mapping);
  command->add_option("--hstride", flags->layer.hstride, "Stride along the height")
      ->capture_default_str()
      ->check(integer_in(1, kMaxStep))
      ->needs(mapping);
  command->add_option("--wdilation", flags->layer.wdilation, "Dilation along the width")
      ->capture_default_str()
      ->check(integer_in(1, kMaxStep))
      ->needs(mapping);
  command->add_option("--hdilation", flags->layer.hdilation, "Dilation along the height")
      ->capture_default_str()
      ->check(integer_in(1, kMaxStep))
      ->needs(mapping);
  for (CLI::Option* size : flags->sizes.add_fixed(*command, "{} (default: the machine's)"))
    size->needs(mapping);
  command->callback([flags, output] {
    if (!flags->design.empty()) return evaluate_file(*flags, *output);
    if (!flags->mapping.empty()) return evaluate_flags(*flags, *output);
    fail(ErrorId::kUsage,
         "evaluate: give a design JSON, or --mapping with a layer; see dosa evaluate --help");
  });
}

}  // namespace dosa::cli
