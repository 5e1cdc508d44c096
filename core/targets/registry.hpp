// Machines with the rules by which layers run on them.
#pragma once

#include <string>

#include "dosa/models/machine.hpp"

namespace dosa {

/// load_machine(), and what the machine's rules ask of it. Throws Error with file and key.
MachinePtr load_ruled_machine(const MachineChoice& choice);

}  // namespace dosa
