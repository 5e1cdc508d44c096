// The processes of one run: alone, or ranks of an MPI job (mpirun -n 4 dosa optimize ...), where each
// descends its share of the starts and rank 0 does everything else.
#pragma once

#include <cstdint>
#include <vector>

#include "dosa/models/base/tensor_file.hpp"

namespace dosa {

class Ranks {
 public:
  /// This process's place. Joins the MPI job on first use when the program was built with MPI and started by
  /// mpirun; else the process is alone.
  static const Ranks& here();

  std::int64_t rank() const { return rank_; }
  std::int64_t size() const { return size_; }
  bool is_root() const { return rank_ == 0; }
  /// Cores of this machine for each of its ranks, at least one.
  std::int64_t cores() const;

  /// Whether this rank descends a group of starts.
  bool owns(std::size_t group) const { return static_cast<std::int64_t>(group) % size_ == rank_; }
  /// Copies a group's tensors from the rank that owns it to rank 0. Every rank calls it for every group, in
  /// order. float32 tensors of equal shape on both sides.
  void gather(std::size_t group, const std::vector<NamedTensor>& tensors) const;
  /// What rank 0 says.
  std::int64_t agree(std::int64_t on_root) const;

  /// Ends all ranks of the job with this exit code, so that none waits for one that failed. Returns when the
  /// process is alone.
  void abandon(int exit_code) const;

 private:
  Ranks();
  ~Ranks();
  std::int64_t rank_ = 0, size_ = 1, on_this_machine_ = 1;
};

}  // namespace dosa
