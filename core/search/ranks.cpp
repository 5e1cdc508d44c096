#include "dosa/core/search/ranks.hpp"

#include <algorithm>
#include <cstdlib>
#include <thread>

#ifdef DOSA_MPI
// Only the C interface.
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>
#endif

namespace dosa {

#ifdef DOSA_MPI

namespace {

/// mpirun of Open MPI, MPICH and Slurm's srun say so in the environment; without it, joining would start
/// a job of one, for nothing.
bool started_by_mpirun() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK"}) {
    if (std::getenv(name) != nullptr) return true;
  }
  return false;
}

}  // namespace

Ranks::Ranks() {
  if (!started_by_mpirun()) return;
  int initialized = 0, rank = 0, size = 1, neighbours = 1;
  MPI_Initialized(&initialized);
  if (initialized == 0) MPI_Init(nullptr, nullptr);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  MPI_Comm here = MPI_COMM_NULL;
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &here);
  MPI_Comm_size(here, &neighbours);
  MPI_Comm_free(&here);
  rank_ = rank;
  size_ = size;
  on_this_machine_ = neighbours;
}

Ranks::~Ranks() {
  if (started_by_mpirun()) MPI_Finalize();
}

void Ranks::gather(std::size_t group, const std::vector<NamedTensor>& tensors) const {
  const auto owner = static_cast<int>(static_cast<std::int64_t>(group) % size_);
  if (owner == 0 || (rank_ != 0 && rank_ != owner)) return;
  for (const NamedTensor& named : tensors) {
    torch::Tensor t = named.tensor->detach().to(torch::kCPU, torch::kFloat32).contiguous();
    const auto count = static_cast<int>(t.numel());
    if (rank_ == owner) {
      MPI_Send(t.data_ptr<float>(), count, MPI_FLOAT, 0, 0, MPI_COMM_WORLD);
    } else {
      MPI_Recv(t.data_ptr<float>(), count, MPI_FLOAT, owner, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      named.tensor->copy_(t);
    }
  }
}

std::int64_t Ranks::agree(std::int64_t on_root) const {
  if (size_ == 1) return on_root;
  MPI_Bcast(&on_root, 1, MPI_INT64_T, 0, MPI_COMM_WORLD);
  return on_root;
}

void Ranks::abandon(int exit_code) const {
  if (size_ > 1) MPI_Abort(MPI_COMM_WORLD, exit_code);
}

#else

Ranks::Ranks() = default;
Ranks::~Ranks() = default;
void Ranks::gather(std::size_t, const std::vector<NamedTensor>&) const {}
std::int64_t Ranks::agree(std::int64_t on_root) const { return on_root; }
void Ranks::abandon(int) const {}

#endif

const Ranks& Ranks::here() {
  static const Ranks ranks;
  return ranks;
}

std::int64_t Ranks::cores() const {
  return std::max<std::int64_t>(
      1, static_cast<std::int64_t>(std::thread::hardware_concurrency()) / on_this_machine_);
}

}  // namespace dosa
