#include "dosa/core/cli/program.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <exception>
#include <memory>
#include <sstream>

#include "dosa/core/cli/commands.hpp"
#include "dosa/core/cli/search_flags.hpp"
#include "dosa/core/report/command.hpp"
#include "dosa/core/search/ranks.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/base/memory.hpp"
#include "dosa/models/base/table.hpp"

namespace dosa::cli {

namespace {

void print_at_once(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  if (std::fflush(stdout) != 0) fail(ErrorId::kFile, "standard output cannot be written");
}

}  // namespace

void Output::print(const Json& json, const std::string& text) const {
  if (!report_.empty()) write_file(report_, page_of_(json));
  const std::string written = report_.empty() ? "" : fmt::format("written: {}\n", report_);
  print_at_once(json_ ? json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"
                      : folded(text + written));
}

void Output::print_content(const Json& json, const std::string& content) const {
  print_at_once(json_ ? json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n" : content);
}

void Output::add_report(CLI::App& command, PageOf page_of) {
  command.add_option("--report", report_,
                     "Write figures and tables as one HTML file, which needs no network and prints");
  page_of_ = page_of;
}

void Output::check_report() const {
  if (!report_.empty()) check_writable(report_);
}

void Output::print_early(const std::string& text) const {
  if (!json_) print_at_once(folded(text));
}

namespace {
int end_code = 0;
std::string typed;
}  // namespace

const std::string& command_line() { return typed; }

void end_with(int code) { end_code = code; }

std::string described(const std::string& purpose, const std::vector<std::string>& examples) {
  std::string text = purpose + (examples.size() > 1 ? "\n\nExamples:" : "\n\nExample:");
  // Long ones go on in another line, as a shell reads it; those of several lines are broken already.
  for (const std::string& example : examples) {
    const bool broken = example.find('\n') != std::string::npos;
    text += "\n  " + (broken ? example
                             : fmt::format("{}", fmt::join(wrapped(example, kTextWidth - 8), " \\\n      ")));
  }
  return text;
}

CLI::Validator integer_in(std::int64_t min, std::int64_t max) {
  const std::string range = fmt::format("{}..{}", min, max);
  return CLI::Validator(
      [min, max, range](std::string& text) {
        std::int64_t value = 0;
        const char* end = text.data() + text.size();
        const auto [stop, code] = std::from_chars(text.data(), end, value);
        const bool good = code == std::errc() && stop == end && value >= min && value <= max;
        return good ? "" : fmt::format("found '{}', expected an integer in {}", text, range);
      },
      range);
}

namespace {

// 130 is what shells give for a program that Ctrl-C ended.
constexpr int kFailed = 1, kBadInput = 2, kInterrupted = 130;

/// Before an error message: which of several processes it is from.
std::string sender() {
  const Ranks& ranks = Ranks::here();
  return ranks.is_root() ? "dosa" : fmt::format("dosa on rank {}", ranks.rank());
}

/// One line, whatever names and values from the user it contains.
void print_error(std::string_view id, std::string_view message) {
  fmt::print(stderr, "{}: [{}] {}\n", sender(), id, printable(message));
}

/// Help in lines of at most 80 columns: every option's description below it, and of every command the first
/// line.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_option(const CLI::Option* option, bool positional) const override {
    const std::string type = option->get_type_size() == 0 ? "" : option->get_type_name();
    const std::size_t colon = std::min(type.find(':'), type.size());
    std::vector<std::string> facts;
    if (option->get_required()) facts.emplace_back("required");
    if (colon < type.size()) facts.push_back(range_of(type.substr(colon + 1)));
    if (!option->get_default_str().empty()) facts.push_back("default " + option->get_default_str());
    std::vector<std::string> others;
    for (const CLI::Option* other : option->get_excludes()) others.push_back(other->get_name());
    std::sort(others.begin(), others.end());  // CLI11 keeps them by address
    if (!others.empty()) facts.push_back(fmt::format("not with {}", fmt::join(others, ", ")));
    std::string description = option->get_description();
    std::replace(description.begin(), description.end(), '\n', ' ');
    if (!facts.empty()) description += fmt::format(" ({})", fmt::join(facts, "; "));
    const bool shows_type = !positional && colon > 0;
    return indented(2,
                    make_option_name(option, positional) + (shows_type ? " " + type.substr(0, colon) : "")) +
           indented(6, description);
  }
  std::string make_description(const CLI::App* app) const override {
    std::istringstream lines(app->get_description());
    std::string text;
    for (std::string line; std::getline(lines, line);) {
      const std::size_t indent = line.find_first_not_of(' ');
      if (line.size() <= kTextWidth) {
        text += line + "\n";
      } else if (indent == 0) {
        text += indented(0, line);
      } else {  // an entry of a list: what follows its first line hangs
        const std::string hanging = indented(indent + 2, line.substr(indent));
        text += hanging.substr(2);
      }
    }
    return text + "\n";
  }
  std::string make_subcommand(const CLI::App* command) const override {
    const std::string purpose = command->get_description();
    return indented(2, command->get_name()) + indented(6, purpose.substr(0, purpose.find('\n')));
  }

 private:
  /// "INT in [0 - 10]", as CLI11 names its ranges, as "0..10".
  static std::string range_of(const std::string& constraint) {
    const std::size_t from = constraint.find(" in ["), to = constraint.find(" - "),
                      end = constraint.rfind(']');
    if (from == std::string::npos || to == std::string::npos || end == std::string::npos || to < from)
      return constraint;
    return constraint.substr(from + 5, to - from - 5) + ".." + constraint.substr(to + 3, end - to - 3);
  }
  static std::string indented(std::size_t indent, const std::string& paragraph) {
    std::string text;
    for (const std::string& line : wrapped(paragraph, kTextWidth - indent))
      text += std::string(indent, ' ') + line + "\n";
    return text;
  }
};

/// What a command does not know: an option, with those that are spelt nearly so, or one argument too many,
/// with those that it takes.
std::string unexpected(const CLI::App& app, const std::vector<std::string>& words) {
  std::vector<std::string> options, arguments;
  for (const CLI::Option* option : app.get_options(nullptr)) {
    for (const std::string& name : option->get_lnames()) {
      if (!option->get_positional()) options.push_back("--" + name);
    }
    if (option->get_positional()) arguments.push_back(option->get_name(true));
  }
  const std::string& word = words.front();
  if (word.front() == '-' && word.size() > 1) {
    const std::vector<std::string> near = nearest(word.substr(0, word.find('=')), options);
    return fmt::format("unknown option '{}'{}", word,
                       near.empty() ? "" : fmt::format("; did you mean: {}", fmt::join(near, ", ")));
  }
  return fmt::format("{}: found '{}', one too many; it takes {}: {}", app.get_name(), word, arguments.size(),
                     fmt::join(arguments, ", "));
}

int run(int argc, char** argv) {
  CLI::App app(
      "dosa designs DNN accelerators by gradient descent: hardware and mappings in one search.\n"
      "Exit codes: 0 done, 1 the program failed, 2 the input is wrong,\n"
      "3 done in part: the report says what is missing,\n"
      "130 interrupted: what was found until then is written.",
      "dosa");
  app.formatter(std::make_shared<HelpFormatter>());  // before the commands, which inherit it
  app.require_subcommand(1);
  app.set_version_flag("--version", DOSA_VERSION);
  add_optimize(app);
  add_evaluate(app);
  add_explain(app);
  add_diff(app);
  add_compare(app);
  add_report(app);
  add_export(app);
  add_import(app);
  add_map(app);
  add_predict(app);
  add_train(app);
  add_sample(app);
  add_measure(app);
  add_collect(app);
  add_campaign(app);
  add_validate(app);
  add_workloads(app);
  std::vector<std::string> commands;
  for (const CLI::App* command : app.get_subcommands(nullptr)) commands.push_back(command->get_name());
  const bool knows_command =
      argc > 1 && std::find(commands.begin(), commands.end(), argv[1]) != commands.end();
  if (argc > 1 && argv[1][0] != '-' && !knows_command) {
    const std::vector<std::string> near = nearest(argv[1], commands);
    print_error("usage", fmt::format("unknown command '{}'; {}: {}", argv[1],
                                     near.empty() ? "commands" : "did you mean",
                                     fmt::join(near.empty() ? commands : near, ", ")));
    return kBadInput;
  }
  std::vector<std::string> words(argv, argv + argc);
  if (!words.empty()) words.front() = "dosa";
  typed = html::shell_command(words);
  try {
    app.parse(argc, argv);
    return was_interrupted() ? kInterrupted : end_code;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    const std::vector<std::string> unknown = app.remaining(true);
    const bool is_unknown =
        knows_command && !unknown.empty() && dynamic_cast<const CLI::ExtrasError*>(&error);
    const std::string what = is_unknown ? unexpected(*app.get_subcommand(argv[1]), unknown) : error.what();
    print_error("usage",
                fmt::format("{}; see dosa {}--help", what, knows_command ? argv[1] + std::string(" ") : ""));
    return kBadInput;
  } catch (const Error& error) {
    print_error(to_string(error.id()), error.what());
    return kBadInput;
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "{}: out of memory\n", sender());
    return kFailed;
  } catch (const std::exception& error) {
    // The first line says what; the rest is a stack trace of the library's.
    const std::string text = error.what();
    fmt::print(stderr, "{}: internal error, please report it: {}\n", sender(),
               text.substr(0, text.find('\n')));
    return kFailed;
  }
}

}  // namespace

int program(int argc, char** argv) {
  keep_freed_memory();
  std::signal(SIGXFSZ, SIG_IGN);  // a write beyond the limit then fails, as on a full disk
  const int code = run(argc, argv);
  if (code == kFailed || code == kBadInput) Ranks::here().abandon(code);
  return code;
}

}  // namespace dosa::cli
