// Telling data sets apart.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>

namespace dosa {

/// FNV-1a of bytes as 16 hexadecimal digits: tells data sets apart, not a protection.
inline std::string content_hash(const std::string& bytes) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 1099511628211ULL;
  return fmt::format("{:016x}", hash);
}

}  // namespace dosa
