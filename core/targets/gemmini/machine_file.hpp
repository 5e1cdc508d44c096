// What a machine's file may say of a Gemmini: what the library and elaboration fix and no file can change,
// what was measured, and what is honoured as it stands.
#pragma once

#include <string>
#include <vector>

#include "dosa/core/targets/gemmini/library_version.hpp"
#include "dosa/models/array_machine.hpp"

namespace dosa::gemmini {

/// Words (of a byte) a cycle of the DRAM that all latencies were measured with.
inline constexpr double kMeasuredDramWords = 8;

/// Whether the memories are Gemmini's: register (W), accumulator (O), scratchpad (W, I) and DRAM, of which
/// the file's parameters size the two in the middle.
bool has_gemminis_memories(const ArrayMachine& machine);

/// Throws Error{kValue}, beginning with the key, for what a Gemmini cannot be: other memories, words, loop
/// orders, banks, bandwidths on the chip or lines of DRAM than those that its library is written for, and
/// default sizes that do not elaborate or lie outside of the bounds. Energies, areas, sizes, the DRAM's whole
/// lines and bandwidth, and the library's version are free.
void check_machine(const ArrayMachine& machine);

/// The library that runs the machine's layers: the file's, or today's. Throws Error{kValue}, beginning with
/// the key, for what is no month.
LibraryVersion library_of(const ArrayMachine& machine);

/// Bandwidth of the outermost level in words a cycle. Throws Error{kValue}, beginning with the key, where the
/// file does not give it as a number.
double dram_words_per_cycle(const ArrayMachine& machine);

/// A number of a machine's file that is another one than in the shipped gemmini-rtl, whatever the file's
/// schema.
struct OtherNumber {
  std::string key;  ///< "dram.words_per_cycle", as NumberChange names it, or the key of a bound of a size
  double found = 0, shipped = 0;
};
/// All of them; where a file of schema 1 gives an energy at another size, at that size. `machine` has passed
/// check_machine().
std::vector<OtherNumber> other_numbers(const ArrayMachine& machine);

/// For people, one line without a break, empty for what is shipped: which numbers of the file are other ones,
/// whether the library is, and whether latencies by a surrogate (`predicts`) are therefore not of what was
/// measured.
std::string remark(const ArrayMachine& machine, bool predicts);

}  // namespace dosa::gemmini
