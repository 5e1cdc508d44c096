// Comparison of a surrogate, or of the roofline, with measurements.
#pragma once

#include <filesystem>
#include <string>

#include "dosa/core/targets/gemmini/training.hpp"

namespace dosa {

struct SurrogateValidation {
  /// A measurement and what is predicted of it.
  struct Row {
    std::string file;
    std::size_t line = 0;
    std::int64_t pe_dim = 0;
    bool matmul = false;
    double measured_cycles = 0, predicted_cycles = 0;
  };
  std::string file;
  std::string surrogate;  ///< empty: the roofline
  Accuracy accuracy, convolutions, matmuls;
  std::vector<std::pair<std::int64_t, Accuracy>> arrays;  ///< by pe_dim, ascending, where there are several
  std::int64_t dropped = 0;
  std::vector<Row> rows;

  std::string full_report() const;
  Json to_json() const;
};

/// Predicts every measurement of a CSV and compares. An empty surrogate path is the paper's roofline.
/// `library` as in read_measurements. Throws Error naming the field in which the measured machine is not the
/// surrogate's.
SurrogateValidation validate_surrogate(const std::filesystem::path& table,
                                       const std::filesystem::path& surrogate,
                                       const std::optional<gemmini::LibraryVersion>& library);

}  // namespace dosa
