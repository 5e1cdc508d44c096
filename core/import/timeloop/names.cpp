#include "dosa/core/import/timeloop/names.hpp"

#include <algorithm>
#include <cctype>

namespace dosa::timeloop {

std::array<std::int64_t, 4> coefficients_of(const Layer& layer) {
  return {layer.wstride, layer.hstride, layer.wdilation, layer.hdilation};
}

std::vector<std::string> exported_names(const std::vector<std::string>& names) {
  // The multipliers' name, and one under which Timeloop looks for the energy of its wires.
  std::vector<std::string> taken{kMac, "Wire"};
  const std::size_t reserved = taken.size();
  for (std::string name : names) {
    for (char& c : name) {
      if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
    }
    if (name.empty() || !std::isalpha(static_cast<unsigned char>(name[0]))) name = "Level_" + name;
    name[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(name[0])));
    while (std::find(taken.begin(), taken.end(), name) != taken.end()) name += '_';
    taken.push_back(std::move(name));
  }
  taken.erase(taken.begin(), taken.begin() + static_cast<std::ptrdiff_t>(reserved));
  return taken;
}

}  // namespace dosa::timeloop
