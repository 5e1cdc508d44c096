// The program: dosa COMMAND [options]. Exit codes: 0 done, 1 the program failed, 2 the input is wrong.
#include <fmt/format.h>

#include <cstdio>
#include <exception>

#include "core/cli/commands.hpp"
#include "models/error.hpp"

namespace dosa::cli {

void Output::print(const Json& json, const std::string& text) const {
  const std::string out = json_ ? json.dump(2) + "\n" : text;
  std::fwrite(out.data(), 1, out.size(), stdout);
  if (std::fflush(stdout) != 0) fail(ErrorId::kFile, "standard output cannot be written");
}

std::string described(const std::string& purpose, const std::vector<std::string>& examples) {
  std::string text = purpose + (examples.size() > 1 ? "\n\nExamples:" : "\n\nExample:");
  for (const std::string& example : examples) text += "\n  " + example;
  return text;
}

namespace {

constexpr int kOk = 0, kFailed = 1, kBadInput = 2;

int run(int argc, char** argv) {
  CLI::App app(
      "dosa designs DNN accelerators by gradient descent: hardware and mappings in one search.\n"
      "Exit codes: 0 done, 1 the program failed, 2 the input is wrong.");
  app.require_subcommand(1);
  app.set_version_flag("--version", DOSA_VERSION);
  //  add_optimize(app);
  add_collect(app);
  add_evaluate(app);
  add_export(app);
  add_map(app);
  add_sample(app);
  add_validate(app);
  add_workloads(app);
  try {
    app.parse(argc, argv);
    return kOk;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    fmt::print(stderr, "dosa: [usage] {}; see dosa --help\n", error.what());
    return kBadInput;
  } catch (const Error& error) {
    fmt::print(stderr, "dosa: [{}] {}\n", to_string(error.id()), error.what());
    return kBadInput;
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "dosa: out of memory\n");
    return kFailed;
  } catch (const std::exception& error) {
    // The first line says what; the rest is a stack trace of the library's.
    const std::string text = error.what();
    fmt::print(stderr, "dosa: internal error, please report it: {}\n", text.substr(0, text.find('\n')));
    return kFailed;
  }
}

}  // namespace
}  // namespace dosa::cli

int main(int argc, char** argv) { return dosa::cli::run(argc, argv); }
