#include "dosa/core/import/timeloop/stats.hpp"

#include <cmath>
#include <cstdlib>
#include <optional>
#include <string>

#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/base/text.hpp"

namespace dosa::timeloop {
namespace {

struct Number {
  double value = 0;
  double digit = 1;  ///< one of the last digit
};

/// The number between `key` and `unit`, which are all of the line; nothing for another line.
std::optional<Number> number_in(const std::string& line, const std::string& key, const std::string& unit,
                                const std::string& where) {
  if (line.rfind(key, 0) != 0) return std::nullopt;
  const std::string text = line.substr(key.size());
  char* end = nullptr;
  Number number;
  number.value = std::strtod(text.c_str(), &end);
  if (end == text.c_str() || end != unit || !std::isfinite(number.value) || number.value <= 0) {
    fail(ErrorId::kSyntax, "{}: found '{}', expected {}NUMBER{} over 0", where,
         printable(cut_to(line, kTextWidth)), key, unit);
  }
  const std::size_t point = text.find('.');
  const auto length = static_cast<std::size_t>(end - text.c_str());
  if (point < length) number.digit = std::pow(10.0, -static_cast<double>(length - point - 1));
  return number;
}

}  // namespace

Stats read_stats(const std::filesystem::path& path) {
  const std::string content = read_file(path);
  std::optional<Number> cycles, energy;
  std::size_t line_number = 0;
  for (std::size_t start = 0; start < content.size();) {
    const std::size_t end = std::min(content.find('\n', start), content.size());
    std::string line = content.substr(start, end - start);
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    start = end + 1;
    const std::string where = fmt::format("{}: line {}", path.string(), ++line_number);
    if (const auto found = number_in(line, "Cycles: ", "", where)) cycles = found;
    if (const auto found = number_in(line, "Energy: ", " uJ", where)) energy = found;
  }
  if (!cycles || !energy) {
    fail(ErrorId::kSyntax,
         "{}: found no line '{}', expected a report of Timeloop's, such as timeloop-mapper.stats.txt",
         path.string(), cycles ? "Energy: X uJ" : "Cycles: N");
  }
  return {cycles->value, energy->value, energy->digit};
}

}  // namespace dosa::timeloop
