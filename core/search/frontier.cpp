#include "dosa/core/search/frontier.hpp"

#include <algorithm>

namespace dosa {
namespace {

using torch::Tensor;

/// Rows of numbers, none of which matches or beats another one in every column.
class Front {
 public:
  explicit Front(std::int64_t columns) : columns_(static_cast<std::size_t>(columns)) {}

  /// Whether one of the rows is nowhere above this one; most rows fall to one of the first few.
  bool beats(const double* row) {
    for (std::size_t by = 0; by < rows_.size(); ++by) {
      std::size_t c = 0;
      while (c < columns_ && rows_[by][c] <= row[c]) ++c;
      if (c < columns_) continue;
      // The row that beat this one will beat others: move it a step towards the front.
      std::swap(rows_[by], rows_[by / 2]);
      return true;
    }
    return false;
  }
  /// `row` must outlive the front.
  void add(const double* row) { rows_.push_back(row); }

 private:
  std::size_t columns_;
  std::vector<const double*> rows_;
};

}  // namespace

std::vector<double> buffers_of(const Hardware& hardware, std::size_t buffers) {
  return {hardware.values.end() - static_cast<std::ptrdiff_t>(buffers), hardware.values.end()};
}

Tensor sum_of_logs(const Tensor& numbers) { return (numbers + 1e-9).log().sum(1); }

Tensor unbeaten(const Tensor& numbers, const Tensor& front) {
  const std::int64_t columns = numbers.size(1);
  const Tensor order = sum_of_logs(front).argsort();
  const Tensor own = numbers.contiguous(), sorted = front.index_select(0, order).contiguous();
  Front by(columns);
  for (std::int64_t i = 0; i < sorted.size(0); ++i) by.add(sorted.data_ptr<double>() + i * columns);
  std::vector<std::int64_t> indices;
  for (std::int64_t i = 0; i < own.size(0); ++i) {
    if (!by.beats(own.data_ptr<double>() + i * columns)) indices.push_back(i);
  }
  return torch::tensor(indices, torch::kInt64);
}

// A scan in the order of the sums of logarithms: a row can only be beaten by an earlier one.
Tensor undominated(const Tensor& numbers) {
  const std::int64_t columns = numbers.size(1);
  const Tensor order = std::get<1>(sum_of_logs(numbers).sort(/*stable=*/true, 0, /*descending=*/false));
  const Tensor sorted = numbers.index_select(0, order).contiguous();
  Front front(columns);
  std::vector<std::int64_t> indices;
  for (std::int64_t i = 0; i < sorted.size(0); ++i) {
    const double* row = sorted.data_ptr<double>() + i * columns;
    if (front.beats(row)) continue;
    front.add(row);
    indices.push_back(i);
  }
  return order.index_select(0, torch::tensor(indices, torch::kInt64));
}

Tensor energy_at(const Tensor& numbers, const std::vector<double>& buffers) {
  Tensor energy = numbers.select(1, Frontier::kEnergy);
  for (std::size_t b = 0; b < buffers.size(); ++b)
    energy = energy + numbers.select(1, Frontier::slope(b)) * buffers[b];
  return energy;
}

Tensor fits(const Tensor& numbers, const std::vector<double>& buffers) {
  Tensor fit = torch::ones({numbers.size(0)}, torch::kBool);
  for (std::size_t b = 0; b < buffers.size(); ++b)
    fit = fit & (numbers.select(1, Frontier::need(b)) <= buffers[b]);
  return fit;
}

std::vector<std::vector<double>> BufferRange::corners() const {
  std::vector<std::vector<double>> all{{}};
  for (std::size_t b = 0; b < hi.size(); ++b) {
    std::vector<std::vector<double>> wider;
    for (const std::vector<double>& corner : all) {
      for (const double size : {hi[b], lo[b]}) {
        wider.push_back(corner);
        wider.back().push_back(size);
        if (lo[b] == hi[b]) break;
      }
    }
    all = std::move(wider);
  }
  return all;
}

Tensor BufferRange::columns(const Tensor& numbers) const {
  std::vector<Tensor> columns{numbers.select(1, Frontier::kCycles)};
  for (std::size_t b = 0; b < hi.size(); ++b) {
    if (lo[b] < hi[b]) columns.push_back(numbers.select(1, Frontier::need(b)).clamp_min(lo[b]));
  }
  for (const std::vector<double>& corner : corners()) columns.push_back(energy_at(numbers, corner));
  return torch::stack(columns, 1);
}

}  // namespace dosa
