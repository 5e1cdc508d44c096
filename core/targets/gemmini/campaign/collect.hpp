// Reading back what a campaign's programs printed.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "dosa/core/targets/gemmini/campaign/plan.hpp"

namespace dosa {

/// Something in a log that is not a measurement although it should be.
struct LogProblem {
  std::size_t line = 0;         ///< counted from 1; 0 for what is not there at all
  std::string text;             ///< what was found and why it is not used
  std::size_t measurement = 0;  ///< position in the plan, of what is lost or wrong
};

struct Collected {
  struct Row {
    std::size_t measurement = 0;  ///< position in the plan
    std::int64_t cycles = 0;
    std::size_t line = 0;
  };
  std::vector<Row> rows;                ///< in the order of the plan
  std::vector<LogProblem> lost;         ///< in the plan, not in the log
  std::vector<LogProblem> repeated;     ///< measured before; the first measurement counts
  std::vector<LogProblem> interleaved;  ///< a record and something else in one line
  std::vector<LogProblem> garbled;      ///< parts of a record, unknown ids, impossible numbers
  std::vector<LogProblem> wrong;        ///< the program found a wrong result
  std::vector<LogProblem> left_out;     ///< measured, but the measurement format cannot hold it

  /// Adds what another log gave; `where` is put before its problems, whose lines count in that log.
  void add(const Collected& other, const std::string& where);

  std::string full_report() const;
  Json to_json() const;
};

/// Looks for lines "dosa,<layer id>,<mapping id>,<cycles>"; everything without "dosa" is other output.
Collected collect(const Plan& plan, const std::string& log);
/// The same for the log of one of the plan's programs: records of others do not belong there.
Collected collect(const Plan& plan, const Program& program, const std::string& log);

/// The measurements CSV that training reads. Throws Error{kValue} if there is no measurement.
std::string collected_csv(const Plan& plan, const Collected& collected);

}  // namespace dosa
