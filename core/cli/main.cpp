// The program: dosa COMMAND [options]. Exit codes: 0 done, 1 the program failed, 2 the input is wrong.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <exception>

#include "dosa/core/cli/commands.hpp"
#include "dosa/core/cli/search_flags.hpp"
#include "dosa/core/search/ranks.hpp"
#include "dosa/models/base/error.hpp"

namespace dosa::cli {

namespace {

void print_at_once(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  if (std::fflush(stdout) != 0) fail(ErrorId::kFile, "standard output cannot be written");
}

}  // namespace

void Output::print(const Json& json, const std::string& text) const {
  print_at_once(json_ ? json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n" : text);
}

void Output::print_early(const std::string& text) const {
  if (!json_) print_at_once(text);
}

std::string described(const std::string& purpose, const std::vector<std::string>& examples) {
  std::string text = purpose + (examples.size() > 1 ? "\n\nExamples:" : "\n\nExample:");
  for (const std::string& example : examples) text += "\n  " + example;
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
constexpr int kOk = 0, kFailed = 1, kBadInput = 2, kInterrupted = 130;

/// Before an error message: which of several processes it is from.
std::string sender() {
  const Ranks& ranks = Ranks::here();
  return ranks.is_root() ? "dosa" : fmt::format("dosa on rank {}", ranks.rank());
}

/// One line, whatever names and values from the user it contains.
void print_error(std::string_view id, std::string message) {
  for (char& c : message) {
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  }
  fmt::print(stderr, "{}: [{}] {}\n", sender(), id, message);
}

int run(int argc, char** argv) {
  CLI::App app(
      "dosa designs DNN accelerators by gradient descent: hardware and mappings in one search.\n"
      "Exit codes: 0 done, 1 the program failed, 2 the input is wrong,\n"
      "130 interrupted: what was found until then is written.");
  app.require_subcommand(1);
  app.set_version_flag("--version", DOSA_VERSION);
  add_optimize(app);
  add_evaluate(app);
  add_compare(app);
  add_export(app);
  add_map(app);
  add_predict(app);
  add_train(app);
  add_sample(app);
  add_collect(app);
  add_validate(app);
  add_workloads(app);
  std::vector<std::string> commands;
  for (const CLI::App* command : app.get_subcommands(nullptr)) commands.push_back(command->get_name());
  if (argc > 1 && argv[1][0] != '-' &&
      std::find(commands.begin(), commands.end(), argv[1]) == commands.end()) {
    print_error("usage",
                fmt::format("unknown command '{}'; commands: {}", argv[1], fmt::join(commands, ", ")));
    return kBadInput;
  }
  try {
    app.parse(argc, argv);
    return was_interrupted() ? kInterrupted : kOk;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    print_error("usage", fmt::format("{}; see dosa --help", error.what()));
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
}  // namespace dosa::cli

int main(int argc, char** argv) {
  const int code = dosa::cli::run(argc, argv);
  const bool failed = code == dosa::cli::kFailed || code == dosa::cli::kBadInput;
  if (failed) dosa::Ranks::here().abandon(code);
  return code;
}
