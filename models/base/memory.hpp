// Memory of the whole process.
#pragma once

namespace dosa {

/// With glibc, freed memory is kept for the next step of a search instead of being given back to the system,
/// which saves a fifth of the step. It holds for the whole process, so it is for a program's main() to
/// decide; no other function of dosa calls it. Results do not depend on it.
void keep_freed_memory();

}  // namespace dosa
