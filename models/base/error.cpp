#include "dosa/models/base/error.hpp"

namespace dosa {

std::string_view to_string(ErrorId id) {
  switch (id) {
    case ErrorId::kFile:
      return "file";
    case ErrorId::kSyntax:
      return "syntax";
    case ErrorId::kSchema:
      return "schema";
    case ErrorId::kValue:
      return "value";
    case ErrorId::kMapping:
      return "mapping";
    case ErrorId::kCapacity:
      return "capacity";
    case ErrorId::kBounds:
      return "bounds";
    case ErrorId::kUsage:
      return "usage";
  }
  return "unknown";
}

}  // namespace dosa
