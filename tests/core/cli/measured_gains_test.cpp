// What designs gained on RTL, and what is promised of them. The designs stand in measured/: those of
// dosa optimize --pe 16 --max-scratchpad 256 --max-accumulator 64 for the Gemmini of
// data/measurements/gemmini_rtl.md, whose library keeps no operands. gemmini_rtl_designs.csv, which no
// surrogate is trained on, has those of their tilings that were measured after the search; the others, and
// the library's own tiles, are in gemmini_rtl_large.csv.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "dosa/models/base/csv.hpp"
#include "dosa/models/base/files.hpp"
#include "tests/core/cli/program.hpp"
#include "tests/support.hpp"

namespace dosa {
namespace {

std::string key_of(const std::string& call, const std::vector<std::int64_t>& numbers) {
  return fmt::format("{} {}", call, fmt::join(numbers, " "));
}

/// Measured cycles by the layer and its tile.
std::map<std::string, double> measured_cycles() {
  std::map<std::string, double> measured;
  for (const char* file : {"gemmini_rtl_large.csv", "gemmini_rtl_designs.csv"}) {
    const CsvInput table = CsvInput::from_file(data_folder() / "measurements" / file);
    for (std::size_t row = 0; row < table.rows(); ++row) {
      std::vector<std::int64_t> numbers;
      for (const char* column : {"R", "S", "P", "Q", "C", "K", "wstride", "tile_R", "tile_S", "tile_P",
                                 "tile_Q", "tile_C", "tile_K"})
        numbers.push_back(table.integer(row, column, 1, 1 << 20));
      measured[key_of(std::string(table.text(row, "kind")), numbers)] = table.number(row, "cycles", 1, 1e9);
    }
  }
  return measured;
}

/// The layer of a design as the measurements name it.
std::string key_of(const Json& layer) {
  const auto of = [](const Json& sizes, const char* dim) { return sizes.value(dim, std::int64_t{1}); };
  const Json &dims = layer["dims"], &tile = layer["tile"];
  if (tile["call"] == "matmul") {
    const auto blocks = [&](const char* dim) { return (of(tile, dim) + 15) / 16 * 16; };
    return key_of("matmul", {1, 1, of(dims, "P") * of(dims, "Q") * of(dims, "N"), 1, of(dims, "C"),
                             of(dims, "K"), 1, 1, 1, blocks("P"), 1, blocks("C"), blocks("K")});
  }
  std::vector<std::int64_t> numbers;
  for (const char* dim : {"R", "S", "P", "Q", "C", "K", "wstride"}) numbers.push_back(of(dims, dim));
  for (const char* dim : {"R", "S", "P", "Q", "C", "K"}) numbers.push_back(of(tile, dim));
  return key_of("conv", numbers);
}

double cycles_on_rtl(const Json& design, const std::map<std::string, double>& measured) {
  double cycles = 0;
  for (const Json& layer : design["layers"]) {
    const auto found = measured.find(key_of(layer));
    EXPECT_NE(found, measured.end()) << layer["name"] << ": " << key_of(layer);
    if (found != measured.end()) cycles += layer["count"].get<double>() * found->second;
  }
  return cycles;
}

/// What 16 x 16 multipliers take at the least, or 8 B a cycle from DRAM for weights and an input for every
/// output pixel. Output channels, and input channels beyond the first 16, take whole blocks.
double least_cycles(const Json& design) {
  double cycles = 0;
  for (const Json& layer : design["layers"]) {
    const auto size = [&](const char* dim) { return layer["dims"].value(dim, 1.0); };
    const auto blocks = [](double channels) { return 16 * std::ceil(channels / 16); };
    const double kernel = size("R") * size("S"), pixels = size("P") * size("Q") * size("N");
    const double c = size("C") < 16 ? size("C") : blocks(size("C"));
    const double multipliers = kernel * pixels * c * blocks(size("K")) / 256;
    const double dram = (kernel * size("C") * size("K") + pixels * size("C")) / 8;
    cycles += layer["count"].get<double>() * std::max(multipliers, dram);
  }
  return cycles;
}

TEST(MeasuredGains, ArePromisedWithinAFewPercent) {
  const testing::TemporaryFolder folder;
  Json machine = Json::parse(read_file(data_folder() / "hardware" / "gemmini-rtl.json"));
  machine["name"] = "gemmini-2023";
  machine["library"] = "2023-04";
  folder.file("gemmini-2023.json", machine.dump());
  const auto json_of = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--machine", "gemmini-2023.json", "--json"});
    const testing::Finished done = testing::run_dosa(folder.path(), arguments);
    EXPECT_EQ(done.code, 0) << done.err;
    return Json::parse(done.out);
  };
  const std::map<std::string, double> measured = measured_cycles();
  double all_measured = 0, all_promised = 0;
  for (const char* network : {"bert", "resnet50", "retinanet"}) {
    SCOPED_TRACE(network);
    const Json before = json_of({"map", network, "--default", "--quiet"});
    const Json after =
        json_of({"evaluate", fmt::format("{}/tests/core/cli/measured/{}.json", DOSA_TEST_SOURCE, network)});
    const double rtl_before = cycles_on_rtl(before, measured), rtl_after = cycles_on_rtl(after, measured);
    const auto gain = [&](const char* total) {
      return before["totals"][total].get<double>() / after["totals"][total].get<double>();
    };
    const double latency = rtl_before / rtl_after, edp = latency * gain("energy_uj");
    const double most = rtl_before / least_cycles(before);
    fmt::print(
        "{}: {:.0f} -> {:.0f} cycles on RTL; latency {:.3f} promised, {:.3f} measured, {:.3f} at most; "
        "energy {:.3f}; EDP {:.3f} promised, {:.3f} with the measured latency\n",
        network, rtl_before, rtl_after, gain("cycles"), latency, most, gain("energy_uj"), gain("edp"), edp);
    EXPECT_LT(latency, most);
    EXPECT_GT(latency, 1);
    EXPECT_NEAR(gain("edp") / edp, 1, 0.08);
    all_measured += std::log(edp) / 3;
    all_promised += std::log(gain("edp")) / 3;
  }
  EXPECT_NEAR(std::exp(all_promised - all_measured), 1, 0.05);
}

}  // namespace
}  // namespace dosa
