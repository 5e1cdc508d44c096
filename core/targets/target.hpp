// A target: what designs are searched, costed and written for. A machine's file names the rules by which it
// runs (Machine::rules); all that a search, a design file or a command knows of these rules is this
// interface. A machine whose layers run as loop nests needs no code (core/targets/mapping serves them all); a
// real accelerator with rules of its own is one folder beside it and one line in registry.cpp.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dosa/models/base/json_input.hpp"
#include "dosa/models/machine.hpp"
#include "dosa/models/mapping.hpp"

namespace dosa {

struct Design;
struct HardwareBounds;
struct SearchOptions;
struct SearchProblem;
class PricedSchedules;
class SearchSpace;

/// How one layer runs on a target, in the target's own terms: a mapping, or a call of a library with its
/// tile.
class Schedule {
 public:
  virtual ~Schedule() = default;
  /// The key of a layer in a design file under which it stands: "mapping", "tile".
  virtual const char* key() const = 0;
  /// What stands there.
  virtual Json json() const = 0;
  /// The same for people, in one line.
  virtual std::string text() const = 0;
  /// How sizes are run that its factors do not divide; nothing where they all do.
  virtual std::optional<Remainders> remainders() const { return std::nullopt; }
  /// What the host's CPU does for it that no cost counts, in a few words; empty: nothing.
  virtual std::string cpu_work() const { return ""; }
};
using SchedulePtr = std::shared_ptr<const Schedule>;

/// One run of a layer with all its groups.
struct LayerCosts {
  double cycles = 0;
  double energy_uj = 0;
  /// Where `cycles` is a prediction: what the analytical model says, and the standard deviation of
  /// log(cycles).
  std::optional<double> analytical_cycles, cycles_sd_log;
};

/// Something explained, for people and as JSON.
struct Explanation {
  Json json;
  std::string text;
};

/// A layer as a loop nest on the target's machine, for models that know nothing else. Where the target's own
/// schedule is none, `layer` is the padded problem that the nest computes, and `comment` says what was
/// padded.
struct MappedLayer {
  Layer layer;
  Mapping mapping;
  std::string comment;  ///< empty: the layer as it is
};

/// A layer that a target cannot run as it is.
struct CpuWork {
  bool everything = false;  ///< whether the host's CPU runs all of it; else it prepares what the target runs
  std::string kind;         ///< what it does to prepare it, as Schedule::cpu_work()
  std::string reason;       ///< in a line, without the layer's name
};

struct DefaultSchedule {
  SchedulePtr schedule;
  std::string problem;  ///< empty: the schedule is the software's own
};

class Target {
 public:
  explicit Target(MachinePtr machine) : machine_(std::move(machine)) {}
  virtual ~Target() = default;

  const Machine& machine() const { return *machine_; }
  const MachinePtr& shared_machine() const { return machine_; }

  /// What the host's CPU has to do for a layer, which the target's costs do not count; nothing where the
  /// target runs the layer as it is.
  virtual std::optional<CpuWork> cpu_work(const Layer& /*layer*/) const { return std::nullopt; }

  // ---- Designs.

  /// Throws Error{kValue} for sizes that cannot be built, or of which the target's models know nothing.
  virtual void check_hardware(const Hardware& /*hardware*/) const {}
  /// The schedule that an entry of a design file's layers holds, under any key that the target knows; it
  /// belongs to the layer. Throws Error with file and key.
  virtual SchedulePtr read_schedule(const JsonInput& entry, const Layer& layer,
                                    const Hardware& hardware) const = 0;
  /// The keys that read_schedule() looks for.
  virtual std::vector<const char*> schedule_keys() const = 0;
  /// A mapping in Timeloop's form as a schedule. Throws Error{kMapping} where the target runs no such
  /// mapping.
  virtual SchedulePtr schedule_of(const Mapping& mapping, const Layer& layer,
                                  const Hardware& hardware) const = 0;
  /// The text of a mapping in Timeloop's form, which print_mapping writes. Throws Error{kMapping}.
  virtual Mapping mapping_from_text(const std::string& text) const = 0;
  /// Exact costs; schedule i belongs to layer i. Throws Error{kMapping} for a schedule that does not belong
  /// to its layer and Error{kCapacity} for one that does not fit, naming the layer, the level, the need and
  /// what there is.
  virtual std::vector<LayerCosts> costs(const std::vector<Layer>& layers,
                                        const std::vector<SchedulePtr>& schedules,
                                        const Hardware& hardware) const = 0;
  /// Schedules on one hardware with what they cost as a function of the machine's numbers; schedule i belongs
  /// to layer i. Throws like costs().
  virtual std::unique_ptr<PricedSchedules> price(const std::vector<Layer>& layers,
                                                 const std::vector<SchedulePtr>& schedules,
                                                 const Hardware& hardware) const = 0;
  virtual MappedLayer as_mapping(const Layer& layer, const SchedulePtr& schedule,
                                 const Hardware& hardware) const = 0;
  /// What the target's own software would do with a layer, in sizes as built; where that does not run, the
  /// nearest schedule that does, and `problem` says why. Nothing where the target has no such software.
  virtual std::optional<DefaultSchedule> default_schedule(const Layer& /*layer*/,
                                                          const Hardware& /*hardware*/) const {
    return std::nullopt;
  }
  /// A design against what the target's own software does on the default hardware, where there is such a
  /// thing.
  virtual std::optional<Explanation> compare_with_default(const Design& /*design*/) const {
    return std::nullopt;
  }
  /// What costs the layers, as a design records it under provenance.model.
  virtual Json model_record() const { return "analytical"; }
  /// Of such a record of a design that names this target and no file: throws Error{kValue} where the design
  /// was made for another version of it.
  virtual void check_model_record(const JsonInput& /*record*/) const {}

  // ---- Searches.

  /// Whether every mapping that the machine's file allows is a schedule, as methods that draw mappings need
  /// it.
  virtual bool runs_any_mapping() const { return false; }
  virtual SearchOptions default_options() const = 0;
  /// Schedules of a layer that an enumeration looks at unless the user says otherwise: about a minute's work.
  virtual std::int64_t enumeration_limit() const { return 20'000'000; }
  /// Narrows bounds to what may be built and is known. `fixed` and `max` are the sizes that the user gave, 0
  /// where none; `warn` is called with a line for those that are allowed but not known well. Throws
  /// Error{kBounds}.
  virtual void narrow(HardwareBounds& /*bounds*/, const Hardware& /*fixed*/, const Hardware& /*max*/,
                      const std::function<void(const std::string&)>& /*warn*/) const {}
  /// The search space of a problem of this target, which must outlive it; relaxed tensors live on `device`.
  /// Throws Error{kBounds} where nothing fits the problem's bounds.
  virtual std::unique_ptr<SearchSpace> space(const SearchProblem& problem,
                                             const std::string& device) const = 0;

 private:
  MachinePtr machine_;
};
using TargetPtr = std::shared_ptr<const Target>;

/// What a user may choose about a target's models; targets that have no such model ignore it.
struct TargetOptions {
  /// Latencies by the surrogate in this file; empty: see the next two.
  std::string surrogate;
  /// Latencies by the target's shipped surrogate.
  bool shipped_surrogate = false;
  /// Provenance of a design: latencies by the surrogate that it records, if any. Throws Error{kValue} where
  /// that is not the shipped one.
  Json recorded;
  /// Standard deviations of a prediction that a gain must exceed in a search. 0 to 10.
  double kappa = 1;
};

/// The target of a machine, by its rules. Throws Error{kValue} for rules that are not known.
TargetPtr make_target(const MachinePtr& machine, const TargetOptions& options = {});
/// The same for a shipped machine's name or the path of a file, with numbers that the user set.
TargetPtr load_target(const MachineChoice& choice, const TargetOptions& options = {});

}  // namespace dosa
