#include "dosa/core/import/timeloop/architecture.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "dosa/models/base/error.hpp"
#include "dosa/models/chain/chain.hpp"

namespace dosa::timeloop {
namespace {

constexpr double kMostNumber = 1e18;
constexpr std::int64_t kMostCount = std::int64_t{1} << 40;
/// Timeloop's word size where a component does not say it, bits.
constexpr std::int64_t kDefaultWordBits = 16;
/// Areas of Timeloop are um^2, ours mm^2.
constexpr double kUm2PerMm2 = 1e6;

/// Parts of class names by which Timeloop knows what a component is.
constexpr const char* kBufferClasses[] = {"DRAM", "SRAM", "regfile", "smartbuffer", "storage"};
constexpr const char* kComputeClasses[] = {"mac", "intmac", "fpmac", "compute"};
constexpr const char* kNetworkClasses[] = {"XY_NoC", "Legacy", "ReductionTree", "SimpleMulticast"};

template <std::size_t size>
bool is_of(const std::string& name, const char* const (&parts)[size]) {
  return std::any_of(std::begin(parts), std::end(parts),
                     [&](const char* part) { return name.find(part) != std::string::npos; });
}

/// Keys of a component in either form. Of `required_actions` Accelergy alone makes something: energies to
/// estimate.
constexpr const char* kComponentKeys[] = {
    "name", "class", "subclass", "attributes", "required_actions", "enabled", "area_scale", "energy_scale"};

/// "PE[0..15]" is 16 times "PE".
std::pair<std::string, std::int64_t> name_and_count(const JsonInput& json) {
  const std::string text = word_of(json);
  const std::size_t open = text.find('[');
  if (open == std::string::npos) return {text, 1};
  const std::size_t dots = text.find("..", open), close = text.find(']', open);
  std::int64_t count = 0;
  try {
    if (dots < close && close != std::string::npos) {
      const std::int64_t first = std::stoll(text.substr(open + 1, dots - open - 1)),
                         last = std::stoll(text.substr(dots + 2, close - dots - 2));
      if (0 <= first && first <= last && last < kMostCount) count = last - first + 1;
    }
  } catch (const std::exception&) {
    count = 0;
  }
  if (count < 1)
    fail(ErrorId::kValue, "{}: found {}, expected a name such as PE[0..15]", json.where(), shown(json));
  return {text.substr(0, open), count};
}

/// The attributes of a component and those that it has from containers around it; every one that is read is
/// marked, so that none is passed over in silence.
class Attributes {
 public:
  void add(const JsonInput& object, bool inherited) {
    for (const auto& [key, member] : object.entries()) {
      const std::string own = key_of(key);
      if (key == kYamlTag || member.value().is_null()) continue;
      const auto known =
          std::find_if(all_.begin(), all_.end(), [&](const One& one) { return one.key == own; });
      if (known == all_.end()) {
        all_.push_back({own, member, inherited, inherited});
      } else if (known->inherited) {
        *known = {own, member, inherited, inherited};
      } else if (!inherited) {
        fail(ErrorId::kSchema, "{}: found a second value, {} says one already", member.where(),
             known->value.where());
      }
    }
  }
  /// The first of these that is there; underscores stand for hyphens, too.
  std::optional<JsonInput> take(std::initializer_list<const char*> keys) {
    std::optional<JsonInput> found;
    for (const char* key : keys) {
      for (One& one : all_) {
        if (one.key != key) continue;
        if (found && !one.inherited)
          fail(ErrorId::kSchema, "{}: found a second name of what {} says already", one.value.where(),
               found->where());
        one.read = true;
        if (!found) found = one.value;
      }
    }
    return found;
  }
  /// Those that were not read, by their own keys.
  std::vector<JsonInput> rest() const {
    std::vector<JsonInput> values;
    for (const One& one : all_) {
      if (!one.read) values.push_back(one.value);
    }
    return values;
  }

 private:
  struct One {
    std::string key;
    JsonInput value;
    bool inherited, read;
  };
  std::vector<One> all_;
};

/// What may loop where, as far as a constraint says so.
struct LoopConstraint {
  DimSet allowed;
  /// Dimensions in the order of a permutation of which the first `split` are on X; both absent: any on
  /// either.
  std::vector<Dim> order;
  std::optional<std::int64_t> split;
  /// In time, the same: dimensions from this place of the order on are those outside all others.
  std::optional<std::size_t> outer_from;
  std::string order_where;

  LoopConstraint() { allowed.fill(true); }
};

/// Children of a container or memory on the two axes, and how they may be used.
struct Step {
  std::int64_t x = 1, y = 1;
  LoopConstraint constraint;
  std::string where;
};

struct Memory {
  std::string name;
  JsonInput at;
  Attributes attributes;
  bool dram = false;
  std::int64_t mesh_x = 1, mesh_y = 1;  ///< instances of all of it
  std::optional<OperandSet> holds;
  std::string holds_where;
  DimSet temporal;
  std::string order;        ///< of the loops in time, as schema 2 has it; empty: any
  std::vector<Step> below;  ///< fan-outs between it and the next memory inwards, the outermost first

  Memory(std::string own_name, const JsonInput& json) : name(std::move(own_name)), at(json) {
    temporal.fill(true);
  }
};

/// Energies of one component's actions, pJ, and where they stand.
struct Energies {
  std::string where;
  std::map<std::string, double> actions;

  std::optional<double> first(std::initializer_list<const char*> names) const {
    for (const char* name : names) {
      const auto found = actions.find(name);
      if (found != actions.end()) return found->second;
    }
    return std::nullopt;
  }
};

class ArchitectureReader {
 public:
  ArchitectureReader(const ArchitectureInput& input, const Shape& shape, const ImportOptions& options,
                     std::vector<std::string>& remarks)
      : input_(input), shape_(shape), options_(options), remarks_(remarks) {}

  Json read(const std::string& name) {
    const JsonInput& architecture = *input_.architecture;
    check_version(find_any(architecture, {"version"}));
    const auto subtree = find_any(architecture, {"subtree"}), nodes = find_any(architecture, {"nodes"});
    if (subtree && nodes)
      fail(ErrorId::kSchema, "{}: found 'subtree' and 'nodes', expected one of them", architecture.where());
    if (subtree) {
      read_tree(architecture);
    } else if (nodes) {
      read_nodes(*nodes, {});
    } else if (const auto local = find_any(architecture, {"local"})) {
      fail(ErrorId::kSchema,
           "{}: found the components that Accelergy makes of a tree, in an order that says nothing; expected "
           "the tree, which Timeloop read",
           local->where());
    } else {
      fail(ErrorId::kSchema, "{}: key 'subtree' (version 0.3) or 'nodes' (version 0.4) is missing",
           architecture.where());
    }
    std::vector<JsonInput> lists = input_.constraints;
    if (const auto own = find_any(architecture, {"constraints"})) lists.push_back(*own);
    if (memories_.size() < 2) {
      fail(ErrorId::kValue, "{}: found {} memories, expected at least 2, the outermost first",
           architecture.where(), memories_.size());
    }
    if (!mac_)
      fail(ErrorId::kValue, "{}: found no multipliers, expected a component of class intmac or compute",
           architecture.where());
    if (subtree) derive_fan_outs();
    for (const JsonInput& list : lists) read_constraints(list);
    drop_empty_memories();
    read_tables();
    return machine(name);
  }

 private:
  // ---- The structure.

  void read_tree(const JsonInput& architecture) {
    for (const auto& [key, member] : architecture.entries()) {
      if (key != "version" && key != "subtree" && key != "constraints" && key != "name")
        remark(member, "Timeloop's model does not read it");
    }
    std::int64_t count = 1;
    JsonInput tree = architecture;
    while (const auto below = find_any(tree, {"subtree"})) {
      const std::vector<JsonInput> trees = below->items();
      if (trees.size() != 1) {
        fail(ErrorId::kValue, "{}: found {} trees, expected one: memories stand in one chain", below->where(),
             trees.size());
      }
      tree = trees.front();
      const auto [name, times] = name_and_count(tree.at("name"));
      count = product(count, times, tree);
      for (const auto& [key, member] : tree.entries()) {
        if (key != "name" && key != "local" && key != "subtree")
          remark(member, "Timeloop's model does not read it");
      }
      if (const auto local = find_any(tree, {"local"})) {
        for (const JsonInput& component : local->items()) {
          if (is_enabled(component)) read_component(component, count);
        }
      }
    }
  }

  /// Says so where a component is switched off.
  bool is_enabled(const JsonInput& component) {
    const auto enabled = find_any(component, {"enabled"});
    if (!enabled || flag_of(*enabled, input_.variables)) return true;
    remark(*enabled, "the component is switched off");
    return false;
  }

  /// A component of a tree, of which there are `count` in the tree.
  void read_component(const JsonInput& json, std::int64_t count) {
    const auto [name, times] = name_and_count(json.at("name"));
    count = product(count, times, json);
    check_component(json, {});
    Attributes attributes;
    if (const auto own = find_any(json, {"attributes"})) attributes.add(*own, false);
    place(json, name, attributes, count);
  }

  /// Components and containers of version 0.4, in their order; `outer` are the attributes of the containers
  /// around them.
  void read_nodes(const JsonInput& list, std::vector<JsonInput> outer) {
    for (const JsonInput& node : list.items()) {
      const std::string kind = node.at(kYamlTag).text();
      if (kind == "Parallel" || kind == "Hierarchical") {
        node.allow_only({kYamlTag, "nodes"});
        read_nodes(node.at("nodes"), outer);
        continue;
      }
      if (kind == "Nothing") continue;
      if (kind != "Component" && kind != "Container") {
        fail(ErrorId::kValue,
             "{}: found !{}, expected !Component, !Container, !Parallel, !Hierarchical or "
             "!Nothing",
             node.where(), kind);
      }
      if (!is_enabled(node)) continue;
      if (const auto sparse = find_any(node, {"sparse_optimizations"})) refuse_sparsity(*sparse);
      Step step;
      if (const auto spatial = find_any(node, {"spatial"})) {
        spatial->allow_only({"meshX", "meshY"});
        const auto count = [&](const char* key) {
          const auto mesh = spatial->find(key);
          return mesh ? integer_of(*mesh, input_.variables, 1, kMostCount) : 1;
        };
        step.x = count("meshX");
        step.y = count("meshY");
      }
      step.where = node.where();
      const auto constraints = find_any(node, {"constraints"});
      if (constraints) {
        constraints->allow_only({"spatial", "temporal", "dataspace", "max_overbooked_proportion"});
        if (const auto spatial = constraints->find("spatial")) step.constraint = loops_of(*spatial, true);
      }
      if (kind == "Container") {
        check_keys(node, {kYamlTag, "name", "attributes", "spatial", "constraints", "networks", "enabled",
                          "sparse_optimizations"});
        if (const auto networks = find_any(node, {"networks"}); networks && !networks->items().empty())
          refuse_network(*networks);
        if (const auto attributes = find_any(node, {"attributes"})) outer.push_back(*attributes);
        if (constraints) {
          for (const char* key : {"temporal", "dataspace"}) {
            if (const auto own = constraints->find(key)) remark(*own, "a container has no memory of its own");
          }
        }
        fan_out(std::move(step));
        continue;
      }
      check_component(node, {kYamlTag, "spatial", "constraints", "sparse_optimizations"});
      Attributes attributes;
      if (const auto own = find_any(node, {"attributes"})) attributes.add(*own, false);
      for (auto container = outer.rbegin(); container != outer.rend(); ++container)
        attributes.add(*container, true);
      fan_out(std::move(step));
      place(node, word_of(node.at("name")), attributes, mesh_x_ * mesh_y_);
      if (constraints && !memories_.empty() && memories_.back().at.where() == node.where()) {
        if (const auto temporal = constraints->find("temporal")) read_loops(*temporal, memories_.back());
        if (const auto kept = constraints->find("dataspace")) read_bypass(*kept, memories_.back());
      }
    }
  }

  /// A memory, the multipliers, or what Timeloop passes over.
  void place(const JsonInput& json, const std::string& name, Attributes& attributes, std::int64_t count) {
    const JsonInput class_of = json.at("class");
    const std::string kind = class_of.text();
    if (is_of(kind, kNetworkClasses)) refuse_network(class_of);
    if (is_of(kind, kBufferClasses)) {
      // Among the components of a tree the multipliers are the innermost ones wherever they stand.
      if (mac_ && find_any(*input_.architecture, {"nodes"})) {
        fail(ErrorId::kValue, "{}: found a memory inside of the multipliers, expected it outside",
             json.where());
      }
      for (const Memory& other : memories_) {
        if (other.name == name)
          fail(ErrorId::kValue, "{}: found a second memory '{}', expected names that differ", json.where(),
               name);
      }
      Memory memory(name, json);
      memory.dram = kind.find("DRAM") != std::string::npos;
      memory.attributes = std::move(attributes);
      mesh(memory.attributes, count, json, memory.mesh_x, memory.mesh_y);
      memories_.push_back(std::move(memory));
    } else if (is_of(kind, kComputeClasses)) {
      if (mac_) fail(ErrorId::kValue, "{}: found a second kind of multipliers, expected one", json.where());
      mac_.emplace(name, json);
      mac_->attributes = std::move(attributes);
      mesh(mac_->attributes, count, json, mac_->mesh_x, mac_->mesh_y);
    } else {
      remark(class_of, "Timeloop knows no component of this class and passes over it");
    }
  }

  /// Instances on two axes: what is given, the rest follows.
  void mesh(Attributes& attributes, std::int64_t count, const JsonInput& json, std::int64_t& x,
            std::int64_t& y) {
    const auto number = [&](const char* key) -> std::optional<std::int64_t> {
      const auto value = attributes.take({key});
      return value ? std::optional(integer_of(*value, input_.variables, 1, kMostCount)) : std::nullopt;
    };
    const std::int64_t instances = number("instances").value_or(count);
    const auto columns = number("meshX"), rows = number("meshY");
    if (find_any(*input_.architecture, {"nodes"})) {
      if (columns || rows || instances != count)
        fail(ErrorId::kValue, "{}: found instances among the attributes, expected them under 'spatial'",
             json.where());
      x = mesh_x_;
      y = mesh_y_;
      return;
    }
    x = columns ? *columns : rows ? instances / *rows : instances;
    y = rows ? *rows : instances / x;
    if (x * y != instances) {
      fail(ErrorId::kValue, "{}: found {} instances on a mesh of {} x {}, expected their product",
           json.where(), instances, x, y);
    }
  }

  /// Version 0.4: what follows stands on a mesh that is finer by this step.
  void fan_out(Step step) {
    if (step.x == 1 && step.y == 1) return;
    mesh_x_ *= step.x;
    mesh_y_ *= step.y;
    if (memories_.empty())
      fail(ErrorId::kValue, "{}: found several of the outermost memory, expected one", step.where);
    if (static_cast<double>(mesh_x_) * static_cast<double>(mesh_y_) > static_cast<double>(kMostCount))
      fail(ErrorId::kValue, "{}: found more than {} instances", step.where, kMostCount);
    memories_.back().below.push_back(std::move(step));
  }

  /// Version 0.3: fan-outs are the quotients of meshes.
  void derive_fan_outs() {
    const Memory& outermost = memories_.front();
    if (outermost.mesh_x * outermost.mesh_y != 1) {
      fail(ErrorId::kValue, "{}: found {} instances of the outermost memory, expected 1",
           outermost.at.where(), outermost.mesh_x * outermost.mesh_y);
    }
    for (std::size_t m = 0; m < memories_.size(); ++m) {
      const Memory& inner = m + 1 < memories_.size() ? memories_[m + 1] : *mac_;
      Memory& outer = memories_[m];
      if (inner.mesh_x % outer.mesh_x != 0 || inner.mesh_y % outer.mesh_y != 0) {
        fail(ErrorId::kValue, "{}: found a mesh of {} x {} below one of {} x {}, expected multiples of it",
             inner.at.where(), inner.mesh_x, inner.mesh_y, outer.mesh_x, outer.mesh_y);
      }
      Step step;
      step.x = inner.mesh_x / outer.mesh_x;
      step.y = inner.mesh_y / outer.mesh_y;
      step.where = outer.at.where();
      outer.below.push_back(step);
    }
  }

  std::int64_t product(std::int64_t a, std::int64_t b, const JsonInput& json) const {
    if (static_cast<double>(a) * static_cast<double>(b) > static_cast<double>(kMostCount))
      fail(ErrorId::kValue, "{}: found more than {} instances", json.where(), kMostCount);
    return a * b;
  }

  void check_keys(const JsonInput& json, const std::vector<std::string>& known) {
    for (const auto& [key, member] : json.entries()) {
      if (std::find(known.begin(), known.end(), key_of(key)) == known.end())
        fail(ErrorId::kSchema, "{}: unknown key; allowed: {}", member.where(), fmt::join(known, ", "));
    }
  }

  /// The keys of a component, those of its form after those of both, and that nothing scales its costs.
  void check_component(const JsonInput& json, const std::vector<std::string>& of_form) {
    std::vector<std::string> known(std::begin(kComponentKeys), std::end(kComponentKeys));
    known.insert(known.end(), of_form.begin(), of_form.end());
    check_keys(json, known);
    for (const char* key : {"area_scale", "energy_scale"}) {
      const auto scale = find_any(json, {key});
      if (scale && number_of(*scale, input_.variables, 0, kMostNumber) != 1)
        fail(ErrorId::kValue, "{}: found {}, expected 1", scale->where(), shown(*scale));
    }
  }

  // ---- Constraints.

  /// Of a list of targets, or an object that has one under `targets` or `constraints`.
  void read_constraints(const JsonInput& json) {
    if (json.value().is_null()) return;
    if (!json.is_array()) {
      for (const auto& [key, member] : json.entries()) {
        if (key == "targets" || key == "constraints") {
          read_constraints(member);
        } else if (key != "version") {
          fail(ErrorId::kSchema, "{}: unknown key; allowed: version, targets", member.where());
        }
      }
      return;
    }
    for (const JsonInput& target : json.items()) {
      if (const auto nested = find_any(target, {"constraints"})) {
        for (const JsonInput& one : nested->items()) read_constraint(target, one);
      } else {
        read_constraint(target, target);
      }
    }
  }

  void read_constraint(const JsonInput& target, const JsonInput& constraint) {
    const JsonInput name = at_any(target, {"target", "name"});
    std::optional<std::size_t> place;
    for (std::size_t m = 0; m < memories_.size(); ++m) {
      if (name.is_text() ? memories_[m].name == name.text()
                         : name.integer(0, kMostCount) == static_cast<std::int64_t>(memories_.size() - 1 - m))
        place = m;
    }
    if (!place) {
      fail(ErrorId::kValue, "{}: found {}, expected one of {}", name.where(), shown(name),
           fmt::join(memory_names(), ", "));
    }
    Memory& memory = memories_[*place];
    const JsonInput type = constraint.at("type");
    const std::string kind = type.text();
    const auto nested = find_any(constraint, {"attributes"});
    const JsonInput& body = nested ? *nested : constraint;
    if (kind == "temporal") {
      read_loops(body, memory);
    } else if (kind == "spatial") {
      if (memory.below.empty()) memory.below.emplace_back();
      memory.below.front().constraint = loops_of(body, true);
    } else if (kind == "bypass" || kind == "bypassing" || kind == "datatype" || kind == "dataspace") {
      read_bypass(body, memory);
    } else if (kind == "utilization" || kind == "parallelism" || kind == "max_overbooked_proportion") {
      remark(constraint, "it narrows a search only");
    } else {
      fail(ErrorId::kValue, "{}: found {}, expected temporal, spatial, bypass, utilization or parallelism",
           type.where(), shown(type));
    }
  }

  /// What may loop in time at a memory, and in which order.
  void read_loops(const JsonInput& json, Memory& memory) {
    const LoopConstraint constraint = loops_of(json, false);
    for (std::size_t d = 0; d < constraint.allowed.size(); ++d)
      memory.temporal[d] = memory.temporal[d] && constraint.allowed[d];
    if (constraint.order.empty()) return;
    LoopRule rule;
    for (std::size_t place = 0; place < constraint.order.size(); ++place) {
      const bool inner = place < constraint.outer_from.value_or(constraint.order.size());
      (inner ? rule.inner : rule.outer).push_back(constraint.order[place]);
    }
    if (!memory.order.empty() && memory.order != rule.text()) {
      fail(ErrorId::kValue, "{}: found the order {}, another constraint of {} says {}",
           constraint.order_where, rule.text(), memory.name, memory.order);
    }
    memory.order = rule.text();
  }

  /// What may loop at a place. What narrows a search without changing what a mapping costs is remarked upon.
  LoopConstraint loops_of(const JsonInput& json, bool spatial) {
    LoopConstraint constraint;
    for (const auto& [key, member] : json.entries()) {
      const std::string own = key_of(key);
      if (own == "factors" || own == "factors_only") {
        std::array<bool, kDims> named{};
        for (const Factor& factor : factors_of(member)) {
          if (factor.last != 0)
            fail(ErrorId::kValue, "{}: found {}={},{}, expected factors without a remainder in constraints",
                 member.where(), factor.name, factor.value, factor.last);
          const auto d = static_cast<std::size_t>(shape_.dim(factor.name, member.where()));
          named[d] = true;
          if (factor.value == 1 && factor.relation != ">" && factor.relation != ">=") {
            constraint.allowed[d] = false;
          } else {
            remarks_.push_back(
                fmt::format("{}: left out {}{}{}: our machines say which dimensions may loop, not how often",
                            member.where(), factor.name, factor.relation, factor.value));
          }
        }
        for (std::size_t d = 0; own == "factors_only" && d < named.size(); ++d)
          constraint.allowed[d] = constraint.allowed[d] && named[d];
      } else if (own == "permutation") {
        constraint.order_where = member.where();
        for (const std::string& name : permutation_of(member)) {
          if (name == "_" && !spatial && !constraint.outer_from) {
            constraint.outer_from = constraint.order.size();
            continue;
          }
          const Dim dim = shape_.dim(name, member.where());
          if (std::find(constraint.order.begin(), constraint.order.end(), dim) != constraint.order.end())
            fail(ErrorId::kValue, "{}: found {} twice", member.where(), name);
          constraint.order.push_back(dim);
        }
      } else if (own == "split" && spatial) {
        constraint.split = integer_of(member, input_.variables, 0, kMostCount);
      } else if (own == "no_iteration_over_dataspaces") {
        const OperandSet tensors = shape_.tensors_of(member);
        for (const Dim dim : all_dims()) {
          for (const Operand operand : all_operands()) {
            if (tensors[static_cast<std::size_t>(operand)] && relevant(operand, dim))
              constraint.allowed[static_cast<std::size_t>(dim)] = false;
          }
        }
      } else if (own == "no_link_transfer" || lists_unreused(own, member)) {
        // Link transfers are not counted anyway, and all tensors are reused.
      } else if (own == "default_max_factor" || own == "default_min_factor" || own == "remainders" ||
                 own == "maximize_dims" || own == "maximize_dims_capacity" ||
                 own == "must_iterate_over_dataspaces") {
        remark(member, "it narrows a search only");
      } else if (own != "type" && own != "target" && own != "name" && own != "attributes") {
        fail(ErrorId::kSchema, "{}: unknown key; allowed: factors, permutation{}, no_link_transfer",
             member.where(), spatial ? ", split" : "");
      }
    }
    return constraint;
  }

  void read_bypass(const JsonInput& json, Memory& memory) {
    std::optional<OperandSet> keep, bypass;
    for (const auto& [key, member] : json.entries()) {
      const std::string own = key_of(key);
      if (own == "keep" || own == "keep_only") {
        keep = shape_.tensors_of(member);
        if (own == "keep_only") {
          bypass = *keep;
          for (bool& one : *bypass) one = !one;
        }
      } else if (own == "bypass" && member.is_array()) {
        bypass = shape_.tensors_of(member);
      } else if (own == "no_coalesce") {
        if (member.is_array() && member.items().empty()) continue;
        fail(ErrorId::kValue, "{}: found {}, expected none", member.where(), shown(member));
      } else if (own != "type" && own != "target" && own != "name") {
        fail(ErrorId::kSchema, "{}: unknown key; allowed: keep, bypass", member.where());
      }
    }
    // Timeloop leaves to the mapping what is in neither list; its mappings keep what they do not mention.
    OperandSet holds{};
    for (std::size_t o = 0; o < holds.size(); ++o) {
      if (keep && bypass && (*keep)[o] && (*bypass)[o]) {
        fail(ErrorId::kValue, "{}: found {} in keep and in bypass, expected it in one", json.where(),
             shape_.tensors[o]);
      }
      holds[o] = bypass ? !(*bypass)[o] : !keep || (*keep)[o];
      const bool open = !(keep && (*keep)[o]) && !(bypass && (*bypass)[o]);
      if (open && bypass)
        remarks_.push_back(fmt::format("{}: {} is neither kept nor bypassed, the machine holds it at {}",
                                       json.where(), shape_.tensors[o], memory.name));
    }
    if (memory.holds && *memory.holds != holds) {
      fail(ErrorId::kValue, "{}: found other tensors than at {}, expected one constraint of what {} holds",
           json.where(), memory.holds_where, memory.name);
    }
    memory.holds = holds;
    memory.holds_where = json.where();
  }

  /// Memories that all tensors bypass, which Timeloop's users write where containers of version 0.4 stand:
  /// their fan-out is that of the memory outside, and so are loops at them.
  void drop_empty_memories() {
    for (std::size_t m = memories_.size(); m-- > 1;) {
      const Memory& memory = memories_[m];
      if (!memory.holds || *memory.holds != OperandSet{}) continue;
      Memory& outer = memories_[m - 1];
      outer.below.insert(outer.below.end(), memory.below.begin(), memory.below.end());
      remarks_.push_back(fmt::format("{}: {} keeps nothing, so it is no memory but a part of what {} feeds",
                                     memory.at.where(), memory.name, outer.name));
      memories_.erase(memories_.begin() + static_cast<std::ptrdiff_t>(m));
    }
  }

  // ---- Tables of energies and areas.

  /// The last part of "system.PE[0..3].Buffer[0..1]", without its count.
  static std::string component_of(const std::string& path) {
    std::string text = path;
    if (!text.empty() && text.back() == ']' && text.rfind('[') != std::string::npos)
      text = text.substr(0, text.rfind('['));
    const std::size_t dot = text.rfind('.');
    return dot == std::string::npos ? text : text.substr(dot + 1);
  }

  std::vector<std::string> memory_names() const {
    std::vector<std::string> names;
    for (const Memory& memory : memories_) names.push_back(memory.name);
    return names;
  }

  bool has_component(const std::string& name) const {
    return mac_->name == name || std::any_of(memories_.begin(), memories_.end(),
                                             [&](const Memory& memory) { return memory.name == name; });
  }

  /// The largest of an action's energies, which may differ by its arguments.
  double energy_of(const JsonInput& json) const {
    if (!json.is_array()) return number_of(json.at("energy"), input_.variables, 0, kMaxPicojoules);
    double most = 0;
    for (const JsonInput& item : json.items()) most = std::max(most, energy_of(item));
    return most;
  }

  void add_energy(const std::string& path, const std::string& action, const JsonInput& json) {
    const std::string component = component_of(path);
    const double energy = energy_of(json);
    if ((component == "wire" || component == "Wire") && energy != 0) refuse_network(json);
    if (!has_component(component)) {
      remark(json, "no memory or multiplier of this architecture has the name " + component);
      return;
    }
    Energies& energies = energies_[component];
    energies.where = json.where();
    double& known = energies.actions[action];
    known = std::max(known, energy);
  }

  void read_tables() {
    if (input_.ert) {
      check_version(find_any(*input_.ert, {"version"}));
      const JsonInput tables = input_.ert->at("tables");
      if (tables.is_array()) {
        for (const JsonInput& table : tables.items()) {
          for (const JsonInput& action : table.at("actions").items())
            add_energy(word_of(table.at("name")), word_of(action.at("name")), action);
        }
      } else {
        for (const auto& [path, table] : tables.entries()) {
          for (const auto& [action, value] : table.entries()) add_energy(path, action, value);
        }
      }
    }
    if (!input_.art) return;
    check_version(find_any(*input_.art, {"version"}));
    for (const JsonInput& table : input_.art->at("tables").items()) {
      const std::string component = component_of(word_of(table.at("name")));
      const double area = number_of(table.at("area"), input_.variables, 0, kMostNumber);
      if (has_component(component)) {
        areas_[component] = area / kUm2PerMm2;
      } else {
        remark(table, "no memory or multiplier of this architecture has the name " + component);
      }
    }
  }

  // ---- The machine.

  void remark(const JsonInput& json, const std::string& why) {
    remarks_.push_back(fmt::format("{}: left out: {}", json.where(), why));
  }

  [[noreturn]] static void refuse_network(const JsonInput& json) {
    fail(ErrorId::kValue, "{}: found a network of its own ({}), expected none: the model has none that cost",
         json.where(), shown(json));
  }
  [[noreturn]] static void refuse_sparsity(const JsonInput& json) {
    fail(ErrorId::kValue, "{}: found {}, expected dense tensors: sparsity has no part in the model",
         json.where(), shown(json));
  }

  /// A number that must have this value, if it is there.
  void expect(Attributes& attributes, std::initializer_list<const char*> keys, double value,
              const char* why) {
    const auto found = attributes.take(keys);
    if (found && number_of(*found, input_.variables, -kMostNumber, kMostNumber) != value)
      fail(ErrorId::kValue, "{}: found {}, expected {}: {}", found->where(), shown(*found), value, why);
  }
  void expect_flag(Attributes& attributes, const char* key, bool value, const char* why) {
    const auto found = attributes.take({key});
    if (found && flag_of(*found, input_.variables) != value)
      fail(ErrorId::kValue, "{}: found {}, expected {}: {}", found->where(), shown(*found), value, why);
  }

  /// What no level of ours has, and what costs nothing.
  void check_rest(Attributes& attributes) {
    for (const char* key : {"network_read", "network_fill", "network_drain", "network_update",
                            "network_operand", "network_result"}) {
      if (const auto network = attributes.take({key})) refuse_network(*network);
    }
    for (const char* key :
         {"router_energy", "wire_energy", "energy_per_hop", "network_fill_latency", "network_drain_latency"})
      expect(attributes, {key}, 0, "networks cost nothing in the model");
    expect(attributes, {"addr_gen_energy"}, 0, "addresses cost nothing in the model");
    expect(attributes, {"min_utilization"}, 0, "levels may be used as little as a mapping likes");
    expect(attributes, {"cluster_size"}, 1, "an access serves one instance");
    expect_flag(attributes, "reduction_supported", true, "every level adds partial sums");
    expect_flag(attributes, "allow_overbooking", false, "tiles must fit");
    for (const char* key : {"metadata_block_size", "metadata_datawidth", "metadata_word_bits",
                            "metadata_storage_width", "metadata_storage_depth"})
      expect(attributes, {key}, 0, "sparsity has no part in the model");
    for (const char* key : {"concordant_compressed_tile_traversal", "tile_partition_supported",
                            "decompression_supported", "compression_supported"})
      expect_flag(attributes, key, false, "sparsity has no part in the model");
    if (const auto scale = attributes.take({"per_dataspace_bandwidth_consumption_scale"});
        scale && !scale->value().empty())
      fail(ErrorId::kValue, "{}: found {}, expected none: a word of every tensor takes a word of bandwidth",
           scale->where(), shown(*scale));
    for (const JsonInput& value : attributes.rest())
      remark(value, "estimators of energy and area may read it, Timeloop's model does not");
  }

  static Json number(double value) {
    return value == std::floor(value) && std::abs(value) < 9e15 ? Json(static_cast<std::int64_t>(value))
                                                                : Json(value);
  }

  /// Words of one instance, and how many buffers they are.
  void add_capacity(Memory& memory, std::int64_t word_bits, std::int64_t vector_words, Json& level) {
    Attributes& attributes = memory.attributes;
    const auto entries = attributes.take({"entries"});
    const auto depth = attributes.take({"depth", "memory_depth", "data_storage_depth"});
    const auto size = attributes.take({"sizeKB"});
    const auto buffering = attributes.take({"multiple_buffering"});
    if (&memory == &memories_.front()) {
      if (const auto& given = entries ? entries : depth ? depth : size) {
        fail(ErrorId::kValue,
             "{}: found a size of the outermost memory, expected none: it holds everything, whatever the "
             "layer",
             given->where());
      }
      if (buffering) remark(*buffering, "the outermost memory has no size");
      return;
    }
    if ((entries && (depth || size)) || (depth && size)) {
      fail(ErrorId::kSchema, "{}: found two of entries, depth and sizeKB, expected one", memory.at.where());
    }
    std::int64_t words = 0;
    if (entries) {
      words = integer_of(*entries, input_.variables, 1, kMostCount);
    } else if (depth) {
      words = integer_of(*depth, input_.variables, 1, kMostCount >> 20) * vector_words;
    } else if (size) {
      words = integer_of(*size, input_.variables, 1, kMostCount >> 13) * 1024 * 8 / word_bits;
    } else {
      fail(ErrorId::kSchema, "{}: key 'entries' (or depth, or sizeKB) is missing", memory.at.where());
    }
    const double buffers = buffering ? number_of(*buffering, input_.variables, 1, 16) : 1;
    if (buffers == std::floor(buffers)) {
      level["capacity_words"] = words;
      if (buffers > 1) level["buffering"] = static_cast<std::int64_t>(buffers);
    } else {  // what one tile may use
      level["capacity_words"] = static_cast<std::int64_t>(std::floor(static_cast<double>(words) / buffers));
      remarks_.push_back(fmt::format("{}: {} buffers become a memory of one, of what a tile may use",
                                     buffering->where(), buffers));
    }
  }

  double vector_pj(Memory& memory) {
    const auto given = memory.attributes.take({"vector_access_energy"});
    std::optional<double> energy;
    if (given) energy = number_of(*given, input_.variables, 0, kMaxPicojoules);
    const auto table = energies_.find(memory.name);
    if (table != energies_.end()) {
      const Energies& of = table->second;
      const auto read = of.first({"random_read", "read"}), write = of.first({"random_fill", "write"}),
                 update = of.first({"random_update", "update", "random_fill", "write"});
      if (read && write && update && (*read != *write || *read != *update)) {
        fail(ErrorId::kValue,
             "{}: found {} pJ for reads, {} for fills and {} for updates of {}, expected one energy for all",
             of.where, *read, *write, *update, memory.name);
      }
      const auto any = read ? read : write ? write : update;
      if (any && energy && *any != *energy) {
        fail(ErrorId::kValue, "{}: found {} pJ, {} says {}; expected one energy of an access", of.where, *any,
             given->where(), *energy);
      }
      if (any) energy = any;
      for (const auto& [action, pj] : of.actions) {
        if (pj != 0 && (action == "leak" || action == "idle"))
          remarks_.push_back(
              fmt::format("{}: left out: {} pJ a cycle of {} for {}, which the model does not count",
                          of.where, pj, memory.name, action));
      }
    }
    if (!energy) {
      fail(
          ErrorId::kSchema,
          "{}: found no energy of {}; expected attribute vector-access-energy, or a table ERT with its reads "
          "and writes",
          memory.at.where(), memory.name);
    }
    return *energy;
  }

  double mac_pj() {
    const auto given = mac_->attributes.take({"energy"});
    std::optional<double> energy;
    if (given) energy = number_of(*given, input_.variables, 0, kMaxPicojoules);
    const auto table = energies_.find(mac_->name);
    if (table != energies_.end()) {
      if (const auto of_table = table->second.first({"mac_random", "mult_random", "mac", "mult", "compute"}))
        energy = of_table;
    }
    if (!energy) {
      fail(ErrorId::kSchema,
           "{}: found no energy of {}; expected attribute energy, or a table ERT with mac_random or compute",
           mac_->at.where(), mac_->name);
    }
    return *energy;
  }

  /// The dimensions that a constraint allows on each axis.
  static std::array<DimSet, kAxes> on_axes(const LoopConstraint& constraint) {
    std::array<DimSet, kAxes> axes{constraint.allowed, constraint.allowed};
    if (!constraint.split) return axes;
    for (std::size_t place = 0; place < constraint.order.size(); ++place) {
      const bool x = static_cast<std::int64_t>(place) < *constraint.split;
      axes[x ? 1 : 0][static_cast<std::size_t>(constraint.order[place])] = false;
    }
    if (*constraint.split == 0) axes[0] = {};
    if (*constraint.split >= kDims) axes[1] = {};
    return axes;
  }

  void add_fan_out(const Memory& memory, Json& level) {
    std::array<std::int64_t, kAxes> sizes{1, 1};
    std::array<DimSet, kAxes> dims{};
    std::size_t steps = 0;
    for (const Step& step : memory.below) {
      const std::array<DimSet, kAxes> allowed = on_axes(step.constraint);
      const std::array<std::int64_t, kAxes> own{step.x, step.y};
      steps += step.x * step.y > 1;
      for (std::size_t axis = 0; axis < kAxes; ++axis) {
        if (own[axis] == 1) continue;
        sizes[axis] *= own[axis];
        if (letters_of(allowed[axis]).empty()) {
          fail(ErrorId::kValue, "{}: found {} children on {} and no dimension that may be spread over them",
               step.where, own[axis], axis == 0 ? 'X' : 'Y');
        }
        for (std::size_t d = 0; d < dims[axis].size(); ++d) dims[axis][d] = dims[axis][d] || allowed[axis][d];
      }
    }
    if (steps > 1) {
      remarks_.push_back(fmt::format(
          "{}: {} containers without memory become one fan-out of {}: words that windows in space "
          "share are found over all of it, Timeloop looks at each container by itself",
          memory.at.where(), steps, memory.name));
    }
    for (const MeshAxis axis : mesh_axes()) {
      const auto a = static_cast<std::size_t>(axis);
      if (sizes[a] > 1)
        level["fan_out"][std::string(1, name_of(axis))] = {{"size", sizes[a]}, {"dims", letters_of(dims[a])}};
    }
  }

  void add_bandwidths(Memory& memory, Json& level) {
    const auto words = [&](const char* key, double factor) -> std::optional<double> {
      const auto value = memory.attributes.take({key});
      return value ? std::optional(factor * number_of(*value, input_.variables, 1e-6, 1e12)) : std::nullopt;
    };
    // The deprecated "bandwidth" is half for reads and half for writes; the newer keys say more.
    const auto half = words("bandwidth", 0.5);
    const auto read = words("read_bandwidth", 1), write = words("write_bandwidth", 1),
               shared = words("shared_bandwidth", 1), both = words("rw_bandwidth", 1);
    if (shared && both)
      fail(ErrorId::kSchema, "{}: found shared_bandwidth and rw_bandwidth, expected one", memory.at.where());
    if (read || half) level["read_words_per_cycle"] = number(read ? *read : *half);
    if (write || half) level["write_words_per_cycle"] = number(write ? *write : *half);
    if (shared || both) level["words_per_cycle"] = number(shared ? *shared : *both);
  }

  OperandSet holds_of(Memory& memory) {
    std::optional<OperandSet> own = memory.holds;
    for (const ImportOptions::Holds& given : options_.holds) {
      if (given.level != memory.name) continue;
      OperandSet holds{};
      for (const char letter : given.operands) {
        const std::size_t o = kOperandNames.find(letter);
        if (o == std::string_view::npos)
          fail(ErrorId::kValue, "--holds {}={}: found '{}', expected letters of {}", given.level,
               given.operands, letter, kOperandNames);
        holds[o] = true;
      }
      if (own && *own != holds) {
        fail(ErrorId::kValue, "--holds {}={}: {} says {}", given.level, given.operands, memory.holds_where,
             letters_of(*own));
      }
      own = holds;
    }
    for (const auto& [level, kept] : input_.kept) {
      if (level == memory.name && !own) own = kept;
    }
    if (!own) {
      own.emplace();
      own->fill(true);
      if (&memory != &memories_.front()) {
        remarks_.push_back(fmt::format(
            "{}: no constraint says what bypasses {}, so it holds WIO; --holds {}=LETTERS says otherwise",
            memory.at.where(), memory.name, memory.name));
      }
    }
    return *own;
  }

  Json level_of(Memory& memory) {
    Json level;
    level["name"] = memory.name;
    level["holds"] = letters_of(holds_of(memory));
    if (const std::string letters = letters_of(memory.temporal); letters != kDimNames) {
      if (&memory == &memories_.front()) {
        remarks_.push_back(
            fmt::format("{}: left out: only {} may loop there; our outermost memory loops over all",
                        memory.at.where(), letters));
      } else {
        level["temporal"] = letters;
      }
    }
    if (!memory.order.empty()) level["orders"] = Json::array({memory.order});
    Attributes& attributes = memory.attributes;
    const auto bits = attributes.take({"word_bits", "word_width", "datawidth"});
    const std::int64_t word_bits = bits ? integer_of(*bits, input_.variables, 1, 64) : kDefaultWordBits;
    const auto block = attributes.take({"block_size", "n_words"});
    const auto width = attributes.take({"width", "memory_width", "data_storage_width"});
    std::int64_t vector_words = block ? integer_of(*block, input_.variables, 1, 1 << 20) : 1;
    if (width) {
      const std::int64_t row = integer_of(*width, input_.variables, 1, std::int64_t{1} << 26);
      if (block ? row != vector_words * word_bits : row % word_bits != 0) {
        fail(ErrorId::kValue, "{}: found {} bits, expected {} words of {} bits", width->where(), row,
             block ? std::to_string(vector_words) : "whole", word_bits);
      }
      vector_words = row / word_bits;
    }
    add_capacity(memory, word_bits, vector_words, level);
    level["word_bits"] = word_bits;
    add_fan_out(memory, level);
    add_bandwidths(memory, level);
    if (vector_words > 1) level["vector_words"] = vector_words;
    level["vector_pj"] = number(vector_pj(memory));
    const auto cluster_area = attributes.take({"cluster_area"});
    const auto table = areas_.find(memory.name);
    if (table != areas_.end()) {
      level["area_mm2"]["per_instance"] = table->second;
    } else if (cluster_area) {
      const double area = number_of(*cluster_area, input_.variables, 0, kMostNumber);
      if (area > 0) level["area_mm2"]["per_instance"] = area / kUm2PerMm2;
    }
    if (const auto technology = attributes.take({"technology"}))
      remark(*technology, "energies are those of the file");
    check_rest(attributes);
    return level;
  }

  Json machine(const std::string& name) {
    for (const ImportOptions::Holds& given : options_.holds) {
      if (std::none_of(memories_.begin(), memories_.end(),
                       [&](const Memory& memory) { return memory.name == given.level; })) {
        fail(ErrorId::kValue, "--holds: found '{}', expected one of {}", given.level,
             fmt::join(memory_names(), ", "));
      }
    }
    Json machine{{"schema", "dosa-hardware/2"},
                 {"name", name},
                 {"description", fmt::format("Imported from the Timeloop architecture {}.",
                                             input_.architecture->where().substr(
                                                 0, input_.architecture->where().find(": ")))}};
    machine["mac"]["energy_pj"] = number(mac_pj());
    const auto area = mac_->attributes.take({"area"});
    const auto table = areas_.find(mac_->name);
    if (table != areas_.end()) {
      machine["area_mm2"]["per_mac"] = table->second;
    } else if (area) {
      machine["area_mm2"]["per_mac"] = number_of(*area, input_.variables, 0, kMostNumber) / kUm2PerMm2;
    }
    for (const char* key : {"word_bits", "datawidth"}) mac_->attributes.take({key});  // its energy is given
    check_rest(mac_->attributes);
    Json levels = Json::array();
    for (std::size_t m = memories_.size(); m-- > 0;) levels.push_back(level_of(memories_[m]));
    machine["levels"] = std::move(levels);
    return machine;
  }

  const ArchitectureInput& input_;
  const Shape& shape_;
  const ImportOptions& options_;
  std::vector<std::string>& remarks_;
  std::vector<Memory> memories_;  // the outermost first
  std::optional<Memory> mac_;
  std::int64_t mesh_x_ = 1, mesh_y_ = 1;  // of version 0.4, up to here
  std::map<std::string, Energies> energies_;
  std::map<std::string, double> areas_;  // mm^2
};

}  // namespace

Json machine_of(const ArchitectureInput& input, const Shape& shape, const ImportOptions& options,
                const std::string& name, std::vector<std::string>& remarks) {
  return ArchitectureReader(input, shape, options, remarks).read(name);
}

}  // namespace dosa::timeloop
