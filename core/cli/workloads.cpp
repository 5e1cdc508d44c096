#include <memory>

#include "dosa/core/cli/commands.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/workload.hpp"

namespace dosa::cli {

void add_workloads(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "workloads",
      described("List the shipped networks, or the layers of one network.",
                {"dosa workloads", "dosa workloads resnet50", "dosa workloads my_network.yaml --json"}));
  const auto name = std::make_shared<std::string>();
  const auto output = std::make_shared<Output>(*command);
  command->add_option("workload", *name, "A shipped network's name or a workload JSON or YAML file");
  command->callback([name, output] {
    Json json = Json::array();
    std::string text;
    const auto gmacs = [](const Layer& layer) {
      return static_cast<double>(layer.macs()) * static_cast<double>(layer.repetitions()) * 1e-9;
    };
    if (!name->empty()) {
      const Workload workload = load_workload(*name);
      text = fmt::format("{}: {}\n{:<24} {:>5} {:>6} {:>10}  dims\n", workload.name, workload.description,
                         "layer", "count", "groups", "GMAC");
      for (const Layer& layer : workload.layers) {
        json.push_back(to_json(layer));
        std::string dims;
        for (const Dim dim : all_dims()) dims += fmt::format("{}{} ", name_of(dim), layer[dim]);
        if (layer.wstride != 1 || layer.hstride != 1)
          dims += fmt::format("stride {}x{}", layer.wstride, layer.hstride);
        text += fmt::format("{:<24} {:>5} {:>6} {:>10.4f}  {}\n", layer.name, layer.count, layer.groups,
                            gmacs(layer), dims);
      }
      output->print({{"name", workload.name}, {"description", workload.description}, {"layers", json}}, text);
      return;
    }
    for (const std::string& shipped : shipped_names("workloads")) {
      const Workload workload = load_workload(shipped);
      double total = 0;
      for (const Layer& layer : workload.layers) total += gmacs(layer);
      json.push_back({{"name", shipped},
                      {"layers", workload.layers.size()},
                      {"gmacs", total},
                      {"description", workload.description}});
      text += fmt::format("{:<14} {:>3} layers {:>9.3f} GMAC  {}\n", shipped, workload.layers.size(), total,
                          workload.description);
    }
    output->print({{"workloads", json}}, text);
  });
}

}  // namespace dosa::cli
