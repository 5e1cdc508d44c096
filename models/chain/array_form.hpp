// Machines of schema 2 that are one square array with two buffers, as Gemmini is.
#pragma once

#include "dosa/models/array_machine.hpp"
#include "dosa/models/chain/chain.hpp"

namespace dosa {

/// A machine of schema 2 as one with an array and two buffers, of which `chain` was read from `json`: its
/// parameters are an ArrayMachine's; columns on X, of pe_dim, and rows on Y, of pe_dim, below the columns;
/// two buffers built double-buffered. Throws Error{kValue} or Error{kSchema} with file and key for what such
/// a machine has not.
ArrayMachine array_machine_of(const Chain& chain, const JsonInput& json);

}  // namespace dosa
