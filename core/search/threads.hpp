// Threads of the libraries below us.
#pragma once

namespace dosa {

/// Makes every tensor operation of the program run on the thread that calls it. The searches run whole groups
/// of starts or layers on threads of their own; slicing their small tensors would only make threads wait for
/// each other (OpenBLAS's wait by spinning, which takes a core from the search).
void one_thread_per_operation();

}  // namespace dosa
