// The program: dosa COMMAND [options].
#pragma once

namespace dosa::cli {

/// All of the program from its arguments, of which the first is its name, to its exit code: 0 done, 1 the
/// program failed, 2 the input is wrong, 3 done in part, 130 interrupted. To be called once in a process,
/// whose handlers of signals and memory allocator it sets.
int program(int argc, char** argv);

}  // namespace dosa::cli
