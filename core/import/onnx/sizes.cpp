#include "dosa/core/import/onnx/sizes.hpp"

#include <algorithm>
#include <cctype>

#include "dosa/models/base/error.hpp"
#include "dosa/models/layer.hpp"

namespace dosa::onnx_import {
namespace {

bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

/// "past_sequence_length + 1" as its words.
std::vector<std::string> sum_of(const std::string& name) {
  std::vector<std::string> words{""};
  for (const char c : name) {
    if (c == '+') {
      words.emplace_back();
    } else if (c != ' ') {
      words.back() += c;
    }
  }
  return words;
}

bool is_digits(const std::string& word) {
  return !word.empty() && word.size() < 10 && word.find_first_not_of("0123456789") == std::string::npos;
}

}  // namespace

OpenSizes::Role OpenSizes::role_of(const std::string& name) {
  std::string lower;
  for (const char c : name) lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (has(lower, "batch") || lower == "n" || lower == "b" || lower == "bs") return Role::kBatch;
  if (has(lower, "past")) return Role::kPast;
  if (has(lower, "total")) return Role::kTotal;
  if (has(lower, "seq") || has(lower, "token") || has(lower, "length")) return Role::kSequence;
  return Role::kOther;
}

std::optional<std::int64_t> OpenSizes::of_word(const std::string& word) const {
  if (is_digits(word)) return std::stoll(word);
  if (const auto given = options_.dims.find(word); given != options_.dims.end()) return given->second;
  switch (role_of(word)) {
    case Role::kBatch:
      return options_.batch.value_or(1);
    case Role::kSequence:
      return options_.sequence;
    case Role::kPast:
      return options_.past;
    case Role::kTotal:
      if (options_.past && options_.sequence) return *options_.past + *options_.sequence;
      return std::nullopt;
    case Role::kOther:
      return std::nullopt;
  }
  return std::nullopt;
}

std::optional<std::int64_t> OpenSizes::find(const std::string& name) const {
  if (const auto given = options_.dims.find(name); given != options_.dims.end()) return given->second;
  std::int64_t sum = 0;
  for (const std::string& word : sum_of(name)) {
    const auto size = of_word(word);
    if (!size) return std::nullopt;
    sum += *size;
  }
  return sum;
}

std::optional<std::int64_t> OpenSizes::resolve(const std::string& name, const std::string& tensor,
                                               std::size_t axis) {
  // Exporters write names like "unk__12" where they have none.
  const bool unnamed = name.empty() || name.rfind("unk__", 0) == 0;
  const std::string own = unnamed ? fmt::format("{}[{}]", tensor, axis) : name;
  names_.push_back(own);
  for (const std::string& word : unnamed&& axis == 0 ? std::vector<std::string>{"batch"} : sum_of(own)) {
    const Role role =
        options_.dims.count(own) > 0 || options_.dims.count(word) > 0 ? Role::kOther : role_of(word);
    used_[role] = true;
    if (role == Role::kTotal) used_[Role::kPast] = used_[Role::kSequence] = true;
    if (role == Role::kBatch && !options_.batch) assumed_batch_ = true;
  }
  auto size = find(own);
  if (!size && unnamed && axis == 0) size = options_.batch.value_or(1);
  if (size && (*size < 0 || *size > kMaxDim)) size = std::nullopt;
  if (!size && std::find(open_.begin(), open_.end(), own) == open_.end()) open_.push_back(own);
  return size;
}

void OpenSizes::check(const std::string& path) const {
  if (!open_.empty()) {
    std::vector<std::string> flags;
    for (const std::string& name : open_) {
      const Role role = role_of(name);
      flags.push_back(role == Role::kSequence ? "--sequence N"
                      : role == Role::kPast   ? "--past N"
                      : role == Role::kTotal  ? "--sequence N --past N"
                                              : fmt::format("--dim '{}=N'", name));
    }
    std::sort(flags.begin(), flags.end());
    flags.erase(std::unique(flags.begin(), flags.end()), flags.end());
    fail(ErrorId::kValue, "{}: found open dimensions: {}; say their sizes: dosa import {} {} -o FILE", path,
         fmt::join(open_, ", "), path, fmt::join(flags, " "));
  }
  const auto used = [&](Role role) { return used_.count(role) > 0; };
  const auto refuse = [&](bool given, Role role, const char* flag) {
    if (given && !used(role))
      fail(ErrorId::kUsage, "{}: {} leaves no such dimension open; open: {}", flag, path,
           names_.empty() ? std::string("none") : fmt::format("{}", fmt::join(names_, ", ")));
  };
  refuse(options_.batch.has_value(), Role::kBatch, "--batch");
  refuse(options_.sequence.has_value(), Role::kSequence, "--sequence");
  refuse(options_.past.has_value(), Role::kPast, "--past");
  for (const auto& [name, size] : options_.dims) {
    const bool known = std::any_of(names_.begin(), names_.end(), [&, own = name](const std::string& open) {
      const auto words = sum_of(open);
      return open == own || std::find(words.begin(), words.end(), own) != words.end();
    });
    if (!known)
      fail(ErrorId::kUsage, "--dim {}: {} leaves no such dimension open; open: {}", name, path,
           names_.empty() ? std::string("none") : fmt::format("{}", fmt::join(names_, ", ")));
  }
}

}  // namespace dosa::onnx_import
