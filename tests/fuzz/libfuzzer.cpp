// The same readers for libFuzzer, which looks for inputs that reach new code: dosa_libfuzzer CORPUS, with the
// reader's name in $DOSA_FUZZ_READER. The inputs of the corpus, one a file, are written by dosa_fuzz --reader
// NAME --print.
#include <fmt/format.h>

#include <cstdint>
#include <cstdlib>

#include "dosa/models/base/error.hpp"
#include "tests/fuzz/readers.hpp"

namespace {

const dosa::testing::Reader& chosen() {
  static const dosa::testing::Reader reader = [] {
    const char* name = std::getenv("DOSA_FUZZ_READER");
    for (dosa::testing::Reader& known : dosa::testing::all_readers()) {
      if (name != nullptr && known.name == name) return std::move(known);
    }
    fmt::print(stderr, "DOSA_FUZZ_READER has to name a reader, as dosa_fuzz lists them\n");
    std::exit(2);
  }();
  return reader;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    chosen().read(std::string(reinterpret_cast<const char*>(data), size));
  } catch (const dosa::Error&) {
  }
  return 0;
}
