#include <memory>

#include "dosa/core/cli/search_flags.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/base/table.hpp"
#include "dosa/models/workload.hpp"

namespace dosa::cli {

void add_workloads(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "workloads",
      described("List the shipped networks, or the layers of one network.",
                {"dosa workloads", "dosa workloads resnet50", "dosa workloads bert --json > mine.json"}));
  const auto name = std::make_shared<std::string>();
  const auto output = std::make_shared<Output>(*command);
  command->add_option("workload,--show", *name, "A shipped network's name or a workload JSON or YAML file");
  command->callback([name, output] {
    Json json = Json::array();
    const auto gmacs = [](const Layer& layer) {
      return static_cast<double>(layer.macs()) * static_cast<double>(layer.repetitions()) * 1e-9;
    };
    if (!name->empty()) {
      const Workload workload = network_of(*name);
      Table table(
          {{"layer", ColumnKind::kName}, {"count"}, {"groups"}, {"GMAC"}, {"dims", ColumnKind::kProse}});
      for (const Layer& layer : workload.layers) {
        std::string dims;
        for (const Dim dim : all_dims()) dims += fmt::format("{}{} ", name_of(dim), layer[dim]);
        if (layer.wstride != 1 || layer.hstride != 1)
          dims += fmt::format("stride {}x{} ", layer.wstride, layer.hstride);
        if (layer.wdilation != 1 || layer.hdilation != 1)
          dims += fmt::format("dilation {}x{} ", layer.wdilation, layer.hdilation);
        if (layer.kind == LayerKind::kActivations) dims += "two activations ";
        for (const Operand operand : all_operands()) {
          if (const auto bits = layer.word_bits[static_cast<std::size_t>(operand)])
            dims += fmt::format("{} of {} bits ", letter_of(operand), *bits);
        }
        table.row({layer.name, std::to_string(layer.count), std::to_string(layer.groups),
                   fmt::format("{:.4f}", gmacs(layer)), dims});
      }
      output->print(to_json(workload),
                    printable(workload.name + ": " + workload.description) + "\n" + table.text());
      return;
    }
    Table table({{"network", ColumnKind::kText}, {"layers"}, {"GMAC"}, {"description", ColumnKind::kProse}});
    for (const std::string& shipped : shipped_names("workloads")) {
      const Workload workload = load_workload(shipped);
      double total = 0;
      for (const Layer& layer : workload.layers) total += gmacs(layer);
      json.push_back({{"name", shipped},
                      {"layers", workload.layers.size()},
                      {"gmacs", total},
                      {"description", workload.description}});
      table.row({shipped, std::to_string(workload.layers.size()), fmt::format("{:.3f}", total),
                 workload.description});
    }
    output->print({{"workloads", json}}, table.text());
  });
}

}  // namespace dosa::cli
