// dosa_fuzz: feeds every reader wrong inputs and reports what each took. An input has to be taken or refused
// within a second of computing and 256 MiB. The same arguments give the same inputs. Under AddressSanitizer
// (preset asan), which sees what else can go wrong, allocations are counted, too. Compiled with
// DOSA_FUZZ_PLAIN it is dosa_fuzz_plain, whose readers need no tensors, so that it is built in a minute.
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <ctime>

#include "dosa/models/base/error.hpp"
#include "tests/fuzz/readers.hpp"
#ifndef DOSA_FUZZ_PLAIN
#include "dosa/models/base/threads.hpp"
#endif

#ifdef __SANITIZE_ADDRESS__
// Of <sanitizer/allocator_interface.h> and <sanitizer/common_interface_defs.h>, which not every GCC brings.
extern "C" {
int __sanitizer_install_malloc_and_free_hooks(void (*)(const volatile void*, std::size_t),
                                              void (*)(const volatile void*));
std::size_t __sanitizer_get_allocated_size(const volatile void*);
void __sanitizer_set_death_callback(void (*)());
}
#endif

namespace dosa::testing {
namespace {

constexpr double kMostSeconds = 1;
constexpr std::size_t kMostBytes = std::size_t{256} << 20;
constexpr std::size_t kSmallBytes = std::size_t{1} << 20;
constexpr unsigned kWatchdogSeconds = 60;  // of the clock, on a busy machine

// What is being read, for when it ends the program.
const char* at_reader = "";
std::uint64_t at_index = 0;

void say_where() {
  char text[200];
  const int length = std::snprintf(text, sizeof text, "\nwhile reading input %llu of %s\n",
                                   static_cast<unsigned long long>(at_index), at_reader);
  if (length > 0) static_cast<void>(write(STDERR_FILENO, text, static_cast<std::size_t>(length)));
}

void end_with_place(int number) {
  say_where();
  std::signal(number, SIG_DFL);
  std::raise(number);
}

// Bytes that are allocated, their most, and the largest of all allocations, since the last reset.
std::atomic<std::size_t> live{0}, most_live{0}, largest{0};

#ifdef __SANITIZE_ADDRESS__
void raise_to(std::atomic<std::size_t>& most, std::size_t value) {
  std::size_t before = most;
  while (before < value && !most.compare_exchange_weak(before, value)) {
  }
}

void allocated(const volatile void*, std::size_t bytes) {
  raise_to(largest, bytes);
  raise_to(most_live, live += bytes);
}
void freed(const volatile void* block) { live -= __sanitizer_get_allocated_size(block); }
#endif

double cpu_seconds() {
  double seconds = 0;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    getrusage(who, &usage);
    for (const timeval& time : {usage.ru_utime, usage.ru_stime})
      seconds += static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  }
  return seconds;
}

struct Figures {
  std::uint64_t inputs = 0, taken = 0, wrong = 0;
  double slowest = 0;
  std::size_t largest = 0, live = 0;
};

class Feeder {
 public:
  explicit Feeder(const Reader& reader) : reader_(reader) { at_reader = reader.name.c_str(); }

  void feed(std::uint64_t index, const std::string& bytes) {
    at_index = index;
    alarm(kWatchdogSeconds);
    const std::size_t before = live;
    largest = 0;
    most_live = before;
    const double begin = cpu_seconds();
    read(bytes);
    const double seconds = cpu_seconds() - begin;
    alarm(0);
    ++figures.inputs;
    figures.slowest = std::max(figures.slowest, seconds);
    figures.largest = std::max<std::size_t>(figures.largest, largest);
    figures.live = std::max<std::size_t>(figures.live, most_live - before);
    if (seconds > kMostSeconds) wrong(fmt::format("took {:.2f} s", seconds));
    const std::size_t took = most_live - before;
    if (took > kMostBytes) wrong(fmt::format("took {} MiB", took >> 20));
    if (reader_.most_times > 0 && took > reader_.most_times * bytes.size() + kSmallBytes)
      wrong(fmt::format("took {} bytes for an input of {}", took, bytes.size()));
  }

  /// Why the last input that was refused was.
  const std::string& refusal() const { return refusal_; }

  Figures figures;

 private:
  void read(const std::string& bytes) {
    try {
      reader_.read(bytes);
      ++figures.taken;
    } catch (const Error& error) {
      refusal_ = error.what();
    } catch (const std::exception& error) {
      const std::string what = error.what();
      wrong(what.substr(0, what.find('\n')));
    }
  }
  void wrong(const std::string& what) {
    ++figures.wrong;
    fmt::print(stderr, "{}: input {}: {}\n", reader_.name, at_index, what);
  }

  const Reader& reader_;
  std::string refusal_;
};

struct Arguments {
  std::uint64_t inputs = 1000, seed = 1, from = 0, every = 1;
  std::string reader;  // empty: all
  bool numbers = false, print = false;
};

int usage(const std::string& problem) {
  fmt::print(
      stderr,
      "dosa_fuzz: {}\nusage: dosa_fuzz [--inputs N] [--seed N] [--from INDEX] [--reader NAME] [--print]\n"
      "       dosa_fuzz --numbers [--every N] [--reader NAME] [--print]\n"
      "  --inputs   wrong inputs for every reader (1000)\n  --from     number of the first one (0)\n"
      "  --numbers  instead, every number of every right input replaced by every hostile one\n"
      "  --every    of these, each N-th (1)\n"
      "  --print    writes the first input to standard output and reads nothing\n",
      problem);
  return 2;
}

void print_row(const std::string& name, const Figures& f) {
  fmt::print("{:<14}{:>9}{:>9}{:>7}{:>10.3f}{:>13.1f}{:>11.1f}\n", name, f.inputs, f.taken, f.wrong,
             f.slowest, static_cast<double>(f.largest) / (1 << 20), static_cast<double>(f.live) / (1 << 20));
  std::fflush(stdout);
}

/// Calls `use` with the inputs of a reader and their numbers, until it returns false.
template <typename Use>
void for_inputs(const Reader& reader, const Arguments& arguments, const Use& use) {
  if (!arguments.numbers) {
    for (std::uint64_t i = arguments.from; i < arguments.from + arguments.inputs; ++i) {
      if (!use(i, mutated(reader.right, reader.form, arguments.seed, i))) return;
    }
    return;
  }
  std::uint64_t index = 0;
  for (const std::string& right : reader.right) {
    const NumberWalk walk(right);
    for (std::size_t i = 0; i < walk.size(); ++i, ++index) {
      if (index >= arguments.from && index % arguments.every == 0 && !use(index, walk.at(i))) return;
    }
  }
}

int run(const Arguments& arguments) {
#ifdef DOSA_FUZZ_PLAIN
  std::vector<Reader> readers = plain_readers();
#else
  one_thread_per_operation();
  std::vector<Reader> readers = all_readers();
#endif
  const auto not_asked = [&](const Reader& r) {
    return !arguments.reader.empty() && r.name != arguments.reader;
  };
  readers.erase(std::remove_if(readers.begin(), readers.end(), not_asked), readers.end());
  if (readers.empty()) return usage("no reader '" + arguments.reader + "'");
  if (arguments.print) {
    for_inputs(readers.front(), arguments, [](std::uint64_t, const std::string& bytes) {
      std::fwrite(bytes.data(), 1, bytes.size(), stdout);
      return false;
    });
    return 0;
  }
  fmt::print("{:<14}{:>9}{:>9}{:>7}{:>10}{:>13}{:>11}\n", "reader", "inputs", "taken", "wrong", "slowest_s",
             "largest_MiB", "most_MiB");
  Figures all;
  for (const Reader& reader : readers) {
    if (arguments.numbers && !reader.numbers) continue;
    Feeder feeder(reader);
    // First the right ones: what the harness and the libraries set up once is no input's.
    for (const std::string& right : reader.right) feeder.feed(0, right);
    if (feeder.figures.taken < reader.right.size() && reader.name != "kind") {
      fmt::print(stderr, "{}: a right input is refused: {}\n", reader.name, feeder.refusal());
      return 1;
    }
    const std::uint64_t wrong_before = feeder.figures.wrong;
    feeder.figures = {};
    feeder.figures.wrong = wrong_before;
    for_inputs(reader, arguments, [&](std::uint64_t i, const std::string& bytes) {
      feeder.feed(i, bytes);
      return true;
    });
    const Figures& f = feeder.figures;
    print_row(reader.name, f);
    all = {all.inputs + f.inputs,
           all.taken + f.taken,
           all.wrong + f.wrong,
           std::max(all.slowest, f.slowest),
           std::max(all.largest, f.largest),
           std::max(all.live, f.live)};
  }
  print_row("all", all);
  return all.wrong == 0 ? 0 : 1;
}

}  // namespace
}  // namespace dosa::testing

int main(int argc, char** argv) {
  using namespace dosa::testing;
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    const auto number = [&](std::uint64_t& value) {
      if (i + 1 == argc) return false;
      char* end = nullptr;
      value = std::strtoull(argv[++i], &end, 10);
      return *end == '\0' && end != argv[i];
    };
    bool good = true;
    if (flag == "--inputs") {
      good = number(arguments.inputs);
    } else if (flag == "--seed") {
      good = number(arguments.seed);
    } else if (flag == "--from") {
      good = number(arguments.from);
    } else if (flag == "--every") {
      good = number(arguments.every) && arguments.every > 0;
    } else if (flag == "--reader" && i + 1 < argc) {
      arguments.reader = argv[++i];
    } else if (flag == "--numbers" || flag == "--print") {
      (flag == "--numbers" ? arguments.numbers : arguments.print) = true;
    } else {
      good = false;
    }
    if (!good) return usage("'" + flag + "' is not understood, or lacks its number");
  }
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_install_malloc_and_free_hooks(allocated, freed);
  __sanitizer_set_death_callback(say_where);
#else
  for (const int number : {SIGSEGV, SIGABRT, SIGFPE, SIGBUS}) std::signal(number, end_with_place);
#endif
  std::signal(SIGALRM, end_with_place);
  return run(arguments);
}
