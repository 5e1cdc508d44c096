#include "dosa/core/targets/gemmini/campaign/measure.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <thread>

#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/base/process.hpp"
#include "dosa/models/base/text.hpp"

namespace dosa {
namespace fs = std::filesystem;
namespace {

constexpr const char* kRunSchema = "dosa-run/1";
constexpr std::uintmax_t kMostLogBytes = std::uintmax_t{64} << 20;
constexpr std::chrono::milliseconds kPollPause{10};

bool is_set(const std::atomic<bool>* flag) { return flag != nullptr && *flag; }

/// Keeps a second run out of a folder of logs.
class FolderLock {
 public:
  explicit FolderLock(const fs::path& folder) {
    const fs::path path = folder / "lock";
    file_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (file_ < 0) fail(ErrorId::kFile, "{}: cannot be written", path.string());
    if (flock(file_, LOCK_EX | LOCK_NB) == 0) return;
    close(file_);
    fail(ErrorId::kFile, "{}: another dosa measure runs the programs of this folder", path.string());
  }
  ~FolderLock() { close(file_); }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int file_;
};

/// The last line of a file that says something, for a message; empty where there is none.
std::string last_line(const fs::path& path) {
  try {
    std::string text = read_file(path);
    text.erase(text.find_last_not_of(" \t\r\n") + 1);
    return printable(cut_to(text.substr(text.find_last_of('\n') + 1), 200));
  } catch (const Error&) {
    return "";
  }
}

/// The folder of logs beside a plan.
class Logs {
 public:
  Logs(const fs::path& folder, const MeasureOptions& options) : folder_(folder / "logs") {
    std::error_code code;
    fs::create_directories(folder_, code);
    if (code) fail(ErrorId::kFile, "{}: cannot be written: {}", folder_.string(), code.message());
    lock_ = std::make_unique<FolderLock>(folder_);
    const fs::path record = folder_ / "run.json";
    const Json now{{"schema", kRunSchema},
                   {"plan", content_hash(read_file(folder / "plan.json"))},
                   {"simulator", options.simulator}};
    bool has_logs = false;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder_)) {
      const bool is_log = entry.path().extension() == ".log" && entry.path().filename() != "build.log";
      if (is_log && options.restart) fs::remove(entry.path(), code);
      has_logs = has_logs || (is_log && !options.restart);
    }
    if (has_logs) {
      const JsonInput earlier = JsonInput::from_file(record);
      earlier.require_schema(kRunSchema);
      for (const char* key : {"plan", "simulator"}) {
        if (earlier.at(key).text() == now.at(key)) continue;
        fail(ErrorId::kValue, "{}: the logs are of another {}: found {}, now {}; --restart forgets them",
             folder_.string(), key, earlier.at(key).text(), now.at(key).get<std::string>());
      }
    }
    write_file(record, now.dump(2) + "\n");
  }

  fs::path path(const std::string& program, const char* kind) const { return folder_ / (program + kind); }
  /// What one log holds; nothing where it is not there.
  std::optional<Collected> read(const Plan& plan, const Program& program, const char* kind) const {
    std::error_code ignored;
    const fs::path log = path(program.name, kind);
    if (!fs::exists(log, ignored)) return std::nullopt;
    return collect(plan, program, read_file(log));
  }
  /// Makes a log of what a program has printed; complete or failed, as what it lacks says.
  Collected keep(const Plan& plan, const Program& program) const {
    std::string text = read_file(path(program.name, ".out"));
    const std::string errors = read_file(path(program.name, ".err"));
    // A number that was cut off must not become another one, nor go on with what stderr says.
    if (!text.empty() && text.back() != '\n') text += " (the output ends in this line)\n";
    text += errors;
    const Collected found = collect(plan, program, text);
    std::error_code ignored;
    for (const char* kind : {".out", ".err", ".failed.log"}) fs::remove(path(program.name, kind), ignored);
    write_file(path(program.name, found.lost.empty() ? ".log" : ".failed.log"), text);
    return found;
  }

 private:
  fs::path folder_;
  std::unique_ptr<FolderLock> lock_;
};

/// The compiled program; empty where there is none.
fs::path compiled(const fs::path& folder, const std::string& program) {
  std::error_code ignored;
  for (const char* ending : {"-baremetal", ".riscv", ".elf", ""}) {
    const fs::path path = folder / (program + ending);
    if (fs::is_regular_file(path, ignored)) return fs::absolute(path);
  }
  return {};
}

/// The measurements that a log lacks.
std::vector<std::size_t> missing_of(const Collected& found) {
  std::vector<std::size_t> missing;
  for (const LogProblem& lost : found.lost) missing.push_back(lost.measurement);
  return missing;
}

/// Runs what has no complete log.
class Runner {
 public:
  Runner(const fs::path& folder, const MeasureOptions& options, const std::atomic<bool>* interrupt)
      : folder_(folder),
        options_(options),
        interrupt_(interrupt),
        plan_(plan_in(folder)),
        programs_(plan_.programs()),
        logs_(folder, options) {
    measured_.programs = programs_.size();
    for (const Program& program : programs_) {
      if (const auto earlier = logs_.read(plan_, program, ".log"); earlier && earlier->lost.empty()) {
        ++measured_.earlier;
        measurements_ += earlier->rows.size();
      } else {
        todo_.push_back(&program);
      }
    }
  }

  Measured run(const std::function<void(const MeasureProgress&)>& progress) {
    build();
    std::vector<Running> running;
    const std::size_t jobs = options_.jobs > 0 ? static_cast<std::size_t>(options_.jobs)
                                               : std::max(1u, std::thread::hardware_concurrency());
    std::size_t next = 0;
    while (!is_set(interrupt_) && (next < todo_.size() || !running.empty())) {
      for (; running.size() < jobs && next < todo_.size(); ++next) start(*todo_[next], running);
      for (auto it = running.begin(); it != running.end();) {
        const bool ended = it->process->poll(options_.timeout_s, kMostLogBytes);
        if (ended) settle(*it);
        it = ended ? running.erase(it) : it + 1;
      }
      if (progress) progress(progress_now(running.size()));
      std::this_thread::sleep_for(kPollPause);
    }
    if (next < todo_.size() || !running.empty()) {
      measured_.interrupted = true;
      for (Running& one : running) {
        one.process.reset();  // kills it
        logs_.keep(plan_, *one.program);
        measured_.not_run.push_back(one.program->name);
      }
      for (; next < todo_.size(); ++next) measured_.not_run.push_back(todo_[next]->name);
    }
    gather();
    return std::move(measured_);
  }

 private:
  struct Running {
    const Program* program;
    std::unique_ptr<Process> process;
  };

  fs::path programs_folder() const { return options_.programs.empty() ? folder_ : options_.programs; }

  /// Removes the programs that a build which was cut off may have left half-written.
  void forget_cut_off_build() const {
    std::error_code ignored;
    if (options_.build.empty() || !options_.programs.empty() || !fs::exists(building(), ignored)) return;
    for (const Program* program : todo_) {
      for (fs::path path = compiled(folder_, program->name); !path.empty();
           path = compiled(folder_, program->name)) {
        if (!fs::remove(path, ignored)) fail(ErrorId::kFile, "{}: cannot be removed", path.string());
      }
    }
  }
  /// There as long as the programs are being compiled.
  fs::path building() const { return folder_ / "logs" / "building"; }

  /// Compiles what is missing.
  void build() {
    forget_cut_off_build();
    const auto has_program = [&](const Program* p) { return !compiled(programs_folder(), p->name).empty(); };
    if (todo_.empty() || std::all_of(todo_.begin(), todo_.end(), has_program)) return;
    std::string reason = "no command to compile it was given (--build)";
    if (!options_.build.empty()) {
      const fs::path log = folder_ / "logs" / "build.log";
      write_file(building(), "");
      Process process({options_.build, {}, folder_, log, {}});
      while (!process.poll(0, kMostLogBytes)) {
        if (is_set(interrupt_)) return;
        std::this_thread::sleep_for(kPollPause);
      }
      fs::remove(building());
      const std::string last = last_line(log);
      reason = fmt::format("'{}' {}; {}{}", options_.build, process.end().text(0), log.string(),
                           last.empty() ? " is empty" : ": " + last);
    }
    if (std::none_of(todo_.begin(), todo_.end(), has_program)) {
      fail(ErrorId::kFile, "{}: no compiled program, for example {}-baremetal: {}",
           programs_folder().string(), todo_.front()->name, reason);
    }
    not_built_ = "is not compiled: " + reason;
  }

  void start(const Program& program, std::vector<Running>& running) {
    const fs::path elf = compiled(programs_folder(), program.name);
    if (elf.empty()) {
      fail_run(program, not_built_, {});
      return;
    }
    running.push_back({&program, std::make_unique<Process>(Command{options_.simulator,
                                                                   {elf.string()},
                                                                   {},
                                                                   logs_.path(program.name, ".out"),
                                                                   logs_.path(program.name, ".err")})});
  }

  /// The end of a program's run.
  void settle(const Running& one) {
    const Program& program = *one.program;
    const ProcessEnd& end = one.process->end();
    const std::string last_words = last_line(logs_.path(program.name, ".err"));
    const Collected found = logs_.keep(plan_, program);
    measurements_ += found.rows.size();
    ++settled_;
    if (found.lost.empty()) {
      // Programs with a wrong result say so in their exit code.
      if (!end.is_good() && found.wrong.empty())
        measured_.notes.push_back(fmt::format("{}: the simulator {} after the last measurement", program.name,
                                              end.text(options_.timeout_s)));
      return;
    }
    const std::size_t have = program.count - found.lost.size();
    std::string reason =
        fmt::format("the simulator {} {}", end.text(options_.timeout_s),
                    have == 0 ? "without a measurement"
                              : fmt::format("after {} of {}", have, counted(program.count, "measurement")));
    if (!last_words.empty()) reason += fmt::format("; last on stderr: {}", last_words);
    fail_run(program, reason, missing_of(found));
  }

  void fail_run(const Program& program, const std::string& reason, std::vector<std::size_t> missing) {
    if (missing.empty()) {
      for (std::size_t i = 0; i < program.count; ++i) missing.push_back(program.first + i);
    }
    measured_.failed.push_back({program.name, reason, std::move(missing)});
  }

  MeasureProgress progress_now(std::size_t running) const {
    MeasureProgress now;
    now.programs = programs_.size();
    now.failed = measured_.failed.size();
    now.done = measured_.earlier + settled_;
    now.running = running;
    now.measurements = measurements_;
    now.elapsed_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    if (settled_ > 0) {
      now.eta_s =
          now.elapsed_s / static_cast<double>(settled_) * static_cast<double>(now.programs - now.done);
    }
    return now;
  }

  /// Everything in the logs, in the order of the plan.
  void gather() {
    std::sort(measured_.failed.begin(), measured_.failed.end(),
              [](const FailedRun& a, const FailedRun& b) { return a.missing.front() < b.missing.front(); });
    for (const Program& program : programs_) {
      auto found = logs_.read(plan_, program, ".log");
      if (!found) found = logs_.read(plan_, program, ".failed.log");
      if (!found) continue;
      found->lost.clear();  // counted with the run
      measured_.collected.add(*found, program.name);
    }
  }

  fs::path folder_;
  const MeasureOptions& options_;
  const std::atomic<bool>* interrupt_;
  Plan plan_;
  std::vector<Program> programs_;
  Logs logs_;
  Measured measured_;
  std::vector<const Program*> todo_;
  std::string not_built_;
  std::size_t settled_ = 0, measurements_ = 0;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace

Plan plan_in(const fs::path& folder) {
  const fs::path path = folder / "plan.json";
  Plan plan = plan_from_json(JsonInput::from_file(path));
  try {
    check_plan(plan);
  } catch (const Error& error) {
    throw error.in(path.string());
  }
  if (plan.measurements.empty()) fail(ErrorId::kValue, "{}: measurements: found none", path.string());
  return plan;
}

Measured measure(const fs::path& folder, const MeasureOptions& options,
                 const std::function<void(const MeasureProgress&)>& progress,
                 const std::atomic<bool>* interrupt) {
  if (options.simulator.empty()) fail(ErrorId::kUsage, "simulator: found nothing, expected a command");
  if (options.jobs < 0 || options.jobs > 1024)
    fail(ErrorId::kUsage, "jobs: found {}, expected 0 to 1024", options.jobs);
  return Runner(folder, options, interrupt).run(progress);
}

bool Measured::is_complete() const { return failed.empty() && not_run.empty() && collected.wrong.empty(); }

std::string Measured::report() const {
  std::string text = collected.full_report();
  for (const FailedRun& run : failed) {
    text += fmt::format("{}: {}; missing: mapping{} {}\n", run.program, printable(run.reason),
                        run.missing.size() == 1 ? "" : "s", fmt::join(run.missing, ", "));
  }
  for (const std::string& note : notes) text += printable(note) + "\n";
  text +=
      fmt::format("run: {} of {}", programs - failed.size() - not_run.size(), counted(programs, "program"));
  if (earlier > 0) text += fmt::format(", {} of them earlier", earlier);
  if (!failed.empty()) text += fmt::format("; {} failed", failed.size());
  if (!not_run.empty()) text += fmt::format("; {} not yet", not_run.size());
  if (!failed.empty() || !not_run.empty()) text += "; the same command again runs them";
  return text + "\n";
}

Json Measured::json() const {
  Json runs = Json::array();
  for (const FailedRun& run : failed)
    runs.push_back({{"program", run.program}, {"reason", run.reason}, {"missing", run.missing}});
  Json json = collected.to_json();
  json["programs"] = programs;
  json["earlier"] = earlier;
  json["failed"] = runs;
  json["notes"] = notes;
  json["not_run"] = not_run;
  return json;
}

}  // namespace dosa
