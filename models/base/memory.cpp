#include "dosa/models/base/memory.hpp"

#include <cstdlib>  // defines __GLIBC__
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace dosa {

void keep_freed_memory() {
#ifdef __GLIBC__
  // A step frees and allocates the same few MiB again. glibc would give them back to the system in between,
  // and touching fresh pages takes time.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
  mallopt(M_TOP_PAD, 16 << 20);
  mallopt(M_MXFAST, 0);  // else freeing a tensor merges all small blocks
#endif
}

}  // namespace dosa
