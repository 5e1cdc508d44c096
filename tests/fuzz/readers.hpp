// Every reader of files from outside, as a function of bytes.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "dosa/models/machine.hpp"
#include "dosa/models/workload.hpp"
#include "tests/fuzz/mutate.hpp"

namespace dosa::testing {

struct Reader {
  std::string name;
  Form form = Form::kPlain;
  std::vector<std::string> right;  ///< inputs that it takes
  /// Reads, and looks at what was read: derived sizes, costs, the way back to text. Throws dosa::Error for
  /// what is refused, and std::logic_error where something is wrong with what was read; anything else is
  /// wrong, too.
  std::function<void(const std::string& bytes)> read;
  bool numbers = true;  ///< whether the numbers in its text matter to it
  /// What it may allocate: this many times an input's size and 1 MiB. 0: as much as any reader.
  std::size_t most_times = 0;
};

/// What is looked at of a network or a machine that was read beyond its numbers; may be empty.
struct FurtherLooks {
  std::function<void(const Workload&)> at_network;
  std::function<void(const MachinePtr&)> at_machine;
};

/// The readers that need no tensors, with the inputs in tests/fuzz/corpus and those that the program ships.
std::vector<Reader> plain_readers(const FurtherLooks& further = {});
/// All of them; of networks and machines costs are looked at, too.
std::vector<Reader> all_readers();

}  // namespace dosa::testing
