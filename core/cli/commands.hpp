// The program's commands, one file each.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <limits>
#include <string>
#include <vector>

#include "dosa/models/base/json_input.hpp"
#include "dosa/models/layer.hpp"

namespace dosa::cli {

/// What a command reports: one JSON object on stdout with --json, a text for people otherwise.
class Output {
 public:
  /// Makes a page's HTML of a report's JSON.
  using PageOf = std::string (*)(const Json& json);

  /// Adds --json to a command.
  explicit Output(CLI::App& command) { command.add_flag("--json", json_, "Print one JSON object on stdout"); }
  /// Adds --report to a command: print() then writes the page of its JSON too.
  void add_report(CLI::App& command, PageOf page_of);
  /// Finds out before long work whether --report, if it is given, can be written. Throws Error{kFile}.
  void check_report() const;
  /// Prints the one or the other; lines of text that are wider than kTextWidth are broken between words.
  void print(const Json& json, const std::string& text) const;
  /// As print(), of what is not for people but a file's content, byte by byte.
  void print_content(const Json& json, const std::string& content) const;
  /// Text for people that does not wait for the end; nothing with --json.
  void print_early(const std::string& text) const;

 private:
  bool json_ = false;
  std::string report_;  // a path; empty: none
  PageOf page_of_ = nullptr;
};

/// What the user typed, as a shell takes it.
const std::string& command_line();

/// The first lines of every --help: what the command does, then examples, one a line.
std::string described(const std::string& purpose, const std::vector<std::string>& examples);

/// The exit code of a command that wrote what it has, but not all that was asked for.
inline constexpr int kIncomplete = 3;
/// From now on the program ends with this code unless something worse happens.
void end_with(int code);

/// Accepts an integer in min..max and says what was found otherwise.
CLI::Validator integer_in(std::int64_t min, std::int64_t max);
constexpr std::int64_t kAnyInteger = std::numeric_limits<std::int64_t>::max();

// Each adds its command to the program; the command runs in the parse callback and throws Error.
void add_compare(CLI::App& app);
void add_campaign(CLI::App& app);
void add_collect(CLI::App& app);
void add_diff(CLI::App& app);
void add_evaluate(CLI::App& app);
void add_explain(CLI::App& app);
void add_export(CLI::App& app);
void add_import(CLI::App& app);
void add_map(CLI::App& app);
void add_measure(CLI::App& app);
void add_optimize(CLI::App& app);
void add_predict(CLI::App& app);
void add_report(CLI::App& app);
void add_sample(CLI::App& app);
void add_train(CLI::App& app);
void add_validate(CLI::App& app);
void add_workloads(CLI::App& app);

}  // namespace dosa::cli
