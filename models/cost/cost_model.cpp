#include "dosa/models/cost/cost_model.hpp"

#include <algorithm>
#include <cmath>

#include "dosa/models/base/error.hpp"
#include "dosa/models/chain/cut_nest.hpp"

namespace dosa {
namespace {

using torch::Tensor;

// Anything above is a loop of more than one iteration: the smallest such log factor is log 2 = 0.69.
constexpr double kUnit = 1e-6;

constexpr std::array<Dim, 4> kSlidingDims{Dim::R, Dim::S, Dim::P, Dim::Q};

bool along_width(Dim dim) { return dim == Dim::P || dim == Dim::R; }

// 2^43: beyond it, sums of logarithms in double precision no longer tell integers apart.
constexpr double kMostWhole = 8796093022208.0;

/// How exp() of a sum of logarithms becomes a number of words.
enum class Words { kReal, kWhole, kLarge };

/// The kind of whole numbers that nests have whose multiply-accumulates have these logarithms.
Words whole_words(const Tensor& log_macs) {
  if (log_macs.numel() == 0 || log_macs.max().item<double>() <= std::log(kMostWhole)) return Words::kWhole;
  return Words::kLarge;
}

/// exp(log) and, of whole numbers, the integer that it is. Those above kMostWhole (kLarge) are rounded to 36
/// significant bits, so that they do not depend on the order in which the logarithms were added, which
/// changes with the size of a batch.
Tensor product(const Tensor& log, Words words) {
  Tensor real = log.exp();
  if (words == Words::kReal) return real;
  if (words == Words::kWhole || real.scalar_type() != torch::kFloat64) return real.round_();
  const Tensor split = real * static_cast<double>((1 << 17) + 1);  // Veltkamp: the 17 last bits of 53 go
  return torch::where(real > kMostWhole, split - (split - real), real.round());
}

/// a + b where an undefined tensor stands for zero.
Tensor plus(const Tensor& a, const Tensor& b) {
  if (!a.defined()) return b;
  return b.defined() ? a + b : a;
}

}  // namespace

std::vector<Slot> all_slots(const ArrayMachine& machine) {
  std::vector<Slot> slots;
  for (const bool spatial : {false, true}) {
    for (int level = 0; level <= machine.dram(); ++level) {
      const MemoryLevel& memory = machine.levels[static_cast<std::size_t>(level)];
      for (const Dim dim : all_dims()) {
        if ((spatial ? memory.spatial : memory.temporal)[static_cast<std::size_t>(dim)]) {
          slots.push_back({level, dim, spatial});
        }
      }
    }
  }
  return slots;
}

std::vector<Slot> search_slots(const ArrayMachine& machine) {
  std::vector<Slot> slots;
  for (const Slot& slot : all_slots(machine)) {
    const auto& searched = machine.search_temporal[static_cast<std::size_t>(slot.level)];
    if (slot.spatial || searched[static_cast<std::size_t>(slot.dim)]) slots.push_back(slot);
  }
  return slots;
}

std::vector<NestOrder> search_orders(const ArrayMachine& machine) {
  std::vector<NestOrder> orders{{}};
  for (const std::vector<LoopOrder>& choices : machine.search_orders) {
    std::vector<NestOrder> longer;
    for (const NestOrder& order : orders) {
      for (const LoopOrder& choice : choices) {
        longer.push_back(order);
        longer.back().push_back(choice);
      }
    }
    orders = std::move(longer);
  }
  return orders;
}

LayerBatch LayerBatch::from(const std::vector<Layer>& layers, torch::TensorOptions options) {
  const auto count = static_cast<std::int64_t>(layers.size());
  const auto field = [&](auto value_of) {
    const Tensor values = torch::empty({count}, torch::kFloat64);
    auto values_a = values.accessor<double, 1>();
    for (std::int64_t i = 0; i < count; ++i) {
      values_a[i] = static_cast<double>(value_of(layers[static_cast<std::size_t>(i)]));
    }
    return values.to(options);
  };
  std::vector<Tensor> sizes;
  for (const Dim dim : all_dims()) {
    sizes.push_back(field([dim](const Layer& layer) { return std::log(static_cast<double>(layer[dim])); }));
  }
  return {torch::stack(sizes, 1),
          field([](const Layer& layer) { return layer.wstride; }),
          field([](const Layer& layer) { return layer.hstride; }),
          field([](const Layer& layer) { return layer.wdilation; }),
          field([](const Layer& layer) { return layer.hdilation; }),
          field([](const Layer& layer) { return layer.repetitions(); })};
}

HardwareTensors HardwareTensors::from(const ArraySizes& hardware, torch::TensorOptions options) {
  return {torch::scalar_tensor(static_cast<double>(hardware.pe_dim), options),
          torch::scalar_tensor(static_cast<double>(hardware.scratchpad_kib), options),
          torch::scalar_tensor(static_cast<double>(hardware.accumulator_kib), options)};
}

/// Everything about a machine, its slots and orders that no nest changes.
struct CostModel::Plan {
  /// An operand at a level below DRAM: filled from the next level outside that holds it.
  struct Fill {
    Operand operand;
    int level;
    /// Slots whose product is the words filled when every gate is open: tile (inputs: its C and N part),
    /// loops outside, instances.
    std::vector<bool> slots;
    // Inputs only: columns of the tile's extents and the sliding loops outside.
    int p = -1, r = -1, q = -1, s = -1;
    std::int64_t halo_begin = 0, halo_count = 0;
  };
  /// A sliding loop (P, Q, R or S) outside an input tile.
  struct Halo {
    std::int64_t slot;
    Dim dim;
  };

  ArrayMachine machine;
  ArrayNumbers<double> numbers;  ///< of the machine
  std::vector<Slot> slots;
  std::vector<NestOrder> orders;  ///< shared orders; empty when every nest brings its own
  torch::TensorOptions options;

  std::vector<std::vector<bool>> column_slots;
  Tensor columns;  ///< [slots, columns]: the slots whose log factors each column sums

  std::vector<Fill> fills;
  std::vector<Halo> halos;
  std::vector<std::array<int, kOperands>> fill_index;  ///< [level][operand] into fills, -1: none
  std::vector<std::array<int, kOperands>>
      tile_column;  ///< [level][operand] W and O tiles; I: its C and N part
  std::vector<std::array<int, kOperands>>
      shared_column;  ///< [level][operand] multicast or reduction on the way in
  std::vector<int> instance_column;
  int mac_column = -1, compute_column = -1, output_column = -1;
  std::vector<int> fanout_column;  ///< [level]

  /// Loops at `slot`, each of which counts by what stands inside it.
  struct Gates {
    std::vector<std::int64_t> slot;
    std::vector<std::vector<bool>>
        members;  ///< the slots that count for a gate when they stand inside its loop

    Tensor slots;   ///< [gates] indices
    Tensor terms;   ///< [slots, gates], `members` as 0/1
    Tensor inside;  ///< shared orders: [slots, orders * gates], `terms` where the order puts them inside

    void add(std::int64_t at, std::vector<bool> counted) {
      slot.push_back(at);
      members.push_back(std::move(counted));
    }
    /// [X, slots] positions -> [X, slots, gates]: `terms` of the slots that stand inside each gate's loop.
    Tensor terms_inside(const Tensor& position) const {
      return terms * (position.unsqueeze(-1) < position.index_select(-1, slots).unsqueeze(-2));
    }
  };
  Gates reuse;     ///< one for every fill and irrelevant slot outside it: open when the loop moves the tensor
  Gates enclosed;  ///< one for every halo: open when any loop stands between it and the tile
  Tensor gate_fill;     ///< [reuse gates, fills] 0/1
  Tensor fill_columns;  ///< [fills] columns of Fill::slots
  Tensor positions;     ///< shared orders: [orders, slots]

  int column(const std::vector<bool>& members) {
    const auto found = std::find(column_slots.begin(), column_slots.end(), members);
    if (found != column_slots.end()) return static_cast<int>(found - column_slots.begin());
    column_slots.push_back(members);
    return static_cast<int>(column_slots.size()) - 1;
  }

  template <typename Predicate>
  int column_where(Predicate predicate) {
    std::vector<bool> members;
    for (const Slot& slot : slots) members.push_back(predicate(slot));
    return column(members);
  }

  void build() {
    numbers = numbers_of(machine, [](const MachineNumber& number) { return number.value; });
    const auto levels = machine.levels.size();
    fill_index.resize(levels);
    tile_column.resize(levels);
    shared_column.resize(levels);
    for (int level = 0; level <= machine.dram(); ++level) build_level(level);
    mac_column = column_where([](const Slot&) { return true; });
    compute_column = column_where([](const Slot& s) { return !s.spatial; });
    output_column = column_where([](const Slot& s) { return relevant(Operand::O, s.dim); });
    build_gates();
    std::vector<std::int64_t> bases;
    for (const Fill& fill : fills) bases.push_back(column(fill.slots));
    fill_columns = torch::tensor(bases, torch::kInt64).to(options.device());

    columns = torch::zeros({count(slots), count(column_slots)}, torch::kFloat64);
    for (std::size_t c = 0; c < column_slots.size(); ++c) {
      for (std::size_t s = 0; s < slots.size(); ++s) {
        if (column_slots[c][s]) columns[static_cast<std::int64_t>(s)][static_cast<std::int64_t>(c)] = 1;
      }
    }
    columns = columns.to(options);
  }

  template <typename T>
  static std::int64_t count(const std::vector<T>& v) {
    return static_cast<std::int64_t>(v.size());
  }

  void build_level(int level) {
    const auto index = static_cast<std::size_t>(level);
    const MemoryLevel& memory = machine.levels[index];
    instance_column.push_back(column_where([&](const Slot& s) { return s.spatial && s.level > level; }));
    fanout_column.push_back(column_where([&](const Slot& s) { return s.spatial && s.level == level; }));
    for (const Operand operand : all_operands()) {
      const auto o = static_cast<std::size_t>(operand);
      fill_index[index][o] = -1;
      if (!memory.holds_operand(operand)) continue;
      // Inputs: P, Q, R and S enter as sliding windows, not as products.
      const auto multiplies = [&](Dim dim) {
        return relevant(operand, dim) && (operand != Operand::I || dim == Dim::C || dim == Dim::N);
      };
      tile_column[index][o] =
          column_where([&](const Slot& s) { return s.level <= level && multiplies(s.dim); });
      int inner = level - 1;
      while (inner >= 0 && !machine.levels[static_cast<std::size_t>(inner)].holds_operand(operand)) --inner;
      shared_column[index][o] = column_where([&](const Slot& s) {
        return s.spatial && s.level > inner && s.level <= level && !relevant(operand, s.dim);
      });
      if (level == machine.dram()) continue;
      Fill fill{operand, level, {}};
      for (const Slot& s : slots)
        fill.slots.push_back(s.level <= level ? multiplies(s.dim) : s.spatial || relevant(operand, s.dim));
      if (operand == Operand::I) {
        const auto extent = [&](Dim dim) {
          return column_where([&](const Slot& s) { return s.level <= level && s.dim == dim; });
        };
        fill.p = extent(Dim::P);
        fill.r = extent(Dim::R);
        fill.q = extent(Dim::Q);
        fill.s = extent(Dim::S);
        fill.halo_begin = count(halos);
        for (std::size_t s = 0; s < slots.size(); ++s) {
          const Slot& slot = slots[s];
          const bool slides =
              std::find(kSlidingDims.begin(), kSlidingDims.end(), slot.dim) != kSlidingDims.end();
          if (!slot.spatial && slot.level > level && slides)
            halos.push_back({static_cast<std::int64_t>(s), slot.dim});
        }
        fill.halo_count = count(halos) - fill.halo_begin;
      }
      fill_index[index][o] = static_cast<int>(fills.size());
      fills.push_back(fill);
    }
  }

  /// [orders, slots]: the place of every temporal slot in each shared order; spatial slots stand nowhere
  /// (-1).
  Tensor order_positions() const {
    const Tensor result = torch::full({count(orders), count(slots)}, -1, torch::kFloat64);
    for (std::int64_t o = 0; o < count(orders); ++o) {
      for (std::int64_t s = 0; s < count(slots); ++s) {
        const Slot& slot = slots[static_cast<std::size_t>(s)];
        if (slot.spatial) continue;
        const LoopOrder& order = orders[static_cast<std::size_t>(o)][static_cast<std::size_t>(slot.level)];
        result[o][s] = slot.level * kDims + (std::find(order.begin(), order.end(), slot.dim) - order.begin());
      }
    }
    return result;
  }

  void build_gates() {
    if (!orders.empty()) positions = order_positions();
    // A gate that no shared order can ever open (nothing relevant inside its loop) is left out.
    const auto ever_open = [&](std::int64_t gate, const std::vector<bool>& terms) {
      if (orders.empty()) return true;
      for (std::int64_t o = 0; o < count(orders); ++o) {
        for (std::int64_t s = 0; s < count(slots); ++s) {
          if (terms[static_cast<std::size_t>(s)] &&
              positions[o][s].item<double>() < positions[o][gate].item<double>()) {
            return true;
          }
        }
      }
      return false;
    };
    std::vector<std::int64_t> fill_of_gate;
    for (std::int64_t f = 0; f < count(fills); ++f) {
      Fill& fill = fills[static_cast<std::size_t>(f)];
      const auto members = [&](auto counts) {
        std::vector<bool> outside;
        for (const Slot& s : slots) outside.push_back(!s.spatial && s.level > fill.level && counts(s.dim));
        return outside;
      };
      const auto moves = [&](Dim dim) { return relevant(fill.operand, dim); };
      for (std::int64_t s = 0; s < count(slots); ++s) {
        const Slot& slot = slots[static_cast<std::size_t>(s)];
        if (slot.spatial || slot.level <= fill.level || moves(slot.dim)) continue;
        if (!ever_open(s, members(moves))) continue;
        reuse.add(s, members(moves));
        fill.slots[static_cast<std::size_t>(s)] = true;
        fill_of_gate.push_back(f);
      }
      for (std::int64_t h = 0; h < fill.halo_count; ++h)
        enclosed.add(halos[static_cast<std::size_t>(fill.halo_begin + h)].slot,
                     members([](Dim) { return true; }));
    }
    gate_fill = torch::zeros({count(fill_of_gate), count(fills)}, torch::kFloat64);
    for (std::int64_t g = 0; g < count(fill_of_gate); ++g)
      gate_fill[g][fill_of_gate[static_cast<std::size_t>(g)]] = 1;
    gate_fill = gate_fill.to(options);
    complete(reuse);
    complete(enclosed);
    if (!orders.empty()) positions = positions.to(options);
  }

  void complete(Gates& gates) const {
    gates.slots = torch::tensor(gates.slot, torch::kInt64).to(options.device());
    gates.terms = torch::zeros({count(slots), count(gates.slot)}, torch::kFloat64);
    for (std::int64_t g = 0; g < count(gates.slot); ++g) {
      for (std::int64_t s = 0; s < count(slots); ++s) {
        if (gates.members[static_cast<std::size_t>(g)][static_cast<std::size_t>(s)]) gates.terms[s][g] = 1;
      }
    }
    gates.terms = gates.terms.to(options);
    if (orders.empty()) return;
    gates.inside =
        gates.terms_inside(positions.to(options)).permute({1, 0, 2}).reshape({count(slots), -1}).contiguous();
  }

  /// The width (along = P) or height of an input tile: (p-1)*stride + (r-1)*dilation + 1, [B...].
  static Tensor window(const Tensor& outputs, const Tensor& filter, const Tensor& stride,
                       const Tensor& dilation) {
    return (outputs - 1) * stride + (filter - 1) * dilation + 1;
  }
};

namespace {

/// The extents of one input tile along width and height, all [B...].
struct InputTile {
  Tensor p, r, q, s;
  Tensor width, height;

  const Tensor& full(Dim dim) const { return along_width(dim) ? width : height; }
  /// How far one iteration of a loop over `dim` outside the tile moves its window.
  Tensor step(Dim dim, const LayerBatch& layers) const {
    switch (dim) {
      case Dim::P:
        return p * layers.wstride;
      case Dim::Q:
        return q * layers.hstride;
      case Dim::R:
        return r * layers.wdilation;
      default:
        return s * layers.hdilation;
    }
  }
};

template <typename Plan, typename Fill>
InputTile input_tile(const Fill& fill, const std::vector<Tensor>& sums, const LayerBatch& layers,
                     Words kind) {
  const auto extent = [&](int column) { return product(sums[static_cast<std::size_t>(column)], kind); };
  InputTile tile{extent(fill.p), extent(fill.r), extent(fill.q), extent(fill.s), {}, {}};
  tile.width = Plan::window(tile.p, tile.r, layers.wstride, layers.wdilation);
  tile.height = Plan::window(tile.q, tile.s, layers.hstride, layers.hdilation);
  return tile;
}

/// Timeloop's two coincidences (words to subtract from the fills of an input), [B..., orders]. Let d be the
/// innermost loop outside the tile and e the next one outwards (loops that inputs do not depend on passed
/// over), sliding along the same axis.
///  1. d slides and step(e) = 2 step(d): each iteration of e after its first begins with min(full, step(d))
///  instead
///     of full.
///  2. d is a loop that inputs do not depend on (K), the first loop outside it slides, and e, counted from
///  that loop,
///     has the same step: each iteration of e after its first saves a whole tile.
/// `position` [O or B..., slots] is the nests' order; `outside` lists the temporal slots beyond the level.
Tensor coincidence_words(const InputTile& tile, const Tensor& other_words, const Tensor& log_factors,
                         const Tensor& position, const std::vector<std::int64_t>& outside,
                         const std::vector<Slot>& slots, const LayerBatch& layers) {
  const Tensor index = torch::tensor(outside, torch::kInt64).to(log_factors.device());
  const Tensor place = position.index_select(-1, index);                                  // [B..., O, n]
  const Tensor factor = log_factors.index_select(-1, index).exp().round().unsqueeze(-2);  // [B..., 1, n]
  // Per outside slot: its step, its axis (0 none, 1 width, 2 height), whether inputs depend on it, [B..., n]
  // or [n].
  std::vector<Tensor> steps, fulls;
  std::vector<double> axis, depends;
  for (const std::int64_t s : outside) {
    const Dim dim = slots[static_cast<std::size_t>(s)].dim;
    const bool slides = std::find(kSlidingDims.begin(), kSlidingDims.end(), dim) != kSlidingDims.end();
    axis.push_back(!slides ? 0 : along_width(dim) ? 1 : 2);
    depends.push_back(relevant(Operand::I, dim) ? 1 : 0);
    steps.push_back(slides ? tile.step(dim, layers).expand_as(tile.p) : torch::zeros_like(tile.p));
    fulls.push_back(slides ? tile.full(dim).expand_as(tile.p) : torch::zeros_like(tile.p));
  }
  const Tensor step = torch::stack(steps, -1).unsqueeze(-2);
  const Tensor full = torch::stack(fulls, -1).unsqueeze(-2);
  const Tensor axes = torch::tensor(axis, log_factors.options());
  const Tensor dependent = torch::tensor(depends, log_factors.options());

  constexpr double kNowhere = 1e9;
  const Tensor places =
      torch::where(factor > 1.5, place, torch::full_like(place, kNowhere));  // unit loops: nowhere
  // The innermost of the loops in `candidates`: (exists, gather(values)).
  struct Found {
    Tensor at;      // [B..., O, 1] index
    Tensor exists;  // [B..., O]
    Tensor place;   // [B..., O, 1]
  };
  const auto innermost = [&](const Tensor& candidates) {
    auto [lowest, at] = candidates.min(-1, true);
    return Found{at, (lowest < kNowhere / 2).squeeze(-1), lowest};
  };
  const auto pick = [&](const Tensor& values, const Found& found) {
    return values.expand_as(places).gather(-1, found.at).squeeze(-1);
  };
  const auto beyond = [&](const Found& found) {  // loops outside it that inputs depend on
    return torch::where((places > found.place) & (dependent > 0.5), places,
                        torch::full_like(places, kNowhere));
  };
  const auto trips_outside = [&](const Found& found) {
    return torch::where((places > found.place) & (places < kNowhere / 2), factor.expand_as(places),
                        torch::ones_like(places))
        .prod(-1);
  };

  const Found d = innermost(places);
  const Tensor d_slides = pick(axes, d) > 0.5;
  const Tensor d_moves = pick(dependent, d) > 0.5;

  const Found next = innermost(beyond(d));
  const Found second = innermost(beyond(next));
  const Tensor next_axis = pick(axes, next);
  const Tensor first_case =
      d_slides & (next_axis == pick(axes, d)) & (pick(step, next) == 2 * pick(step, d)) & next.exists;
  const Tensor second_case = ~d_moves & (next_axis > 0.5) & (pick(axes, second) == next_axis) &
                             (pick(step, second) == pick(step, next)) & second.exists;
  // No nest is both: in the one d slides, in the other it does not move the window.
  const Tensor one = first_case.unsqueeze(-1);
  const Found e{torch::where(one, next.at, second.at), first_case | second_case,
                torch::where(one, next.place, second.place)};
  const Tensor kept = pick(full, d) - torch::minimum(pick(full, d), pick(step, d));
  const Tensor across =
      torch::where(pick(axes, d) < 1.5, tile.height.unsqueeze(-1), tile.width.unsqueeze(-1));
  const Tensor saved = torch::where(first_case, kept * across, (tile.width * tile.height).unsqueeze(-1)) *
                       (pick(factor, e) - 1) * trips_outside(e);
  return other_words.unsqueeze(-1) * torch::where(d.exists & e.exists, saved, torch::zeros_like(saved));
}

}  // namespace

CostModel::CostModel(ArrayMachine machine, std::vector<Slot> slots, const std::vector<NestOrder>& orders,
                     torch::TensorOptions options) {
  TORCH_CHECK(!orders.empty(), "a model with shared orders needs at least one");
  auto plan = std::make_shared<Plan>();
  plan->machine = std::move(machine);
  plan->slots = std::move(slots);
  plan->orders = orders;
  plan->options = options;
  plan->build();
  plan_ = std::move(plan);
}

CostModel::CostModel(ArrayMachine machine, torch::TensorOptions options) {
  auto plan = std::make_shared<Plan>();
  plan->slots = all_slots(machine);
  plan->machine = std::move(machine);
  plan->options = options;
  plan->build();
  plan_ = std::move(plan);
}

const ArrayMachine& CostModel::machine() const { return plan_->machine; }
const std::vector<Slot>& CostModel::slots() const { return plan_->slots; }
const std::vector<NestOrder>& CostModel::orders() const { return plan_->orders; }
std::int64_t CostModel::order_count() const { return plan_->orders.empty() ? 1 : Plan::count(plan_->orders); }
torch::TensorOptions CostModel::options() const { return plan_->options; }

Traffic CostModel::traffic(const Nests& nests, const LayerBatch& layers, const Sharpness& sharpness) const {
  const Plan& plan = *plan_;
  const bool exact = sharpness.exact;
  const Tensor& x = nests.log_factors;
  TORCH_CHECK(x.size(-1) == Plan::count(plan.slots), "expected one log factor per slot");
  TORCH_CHECK(plan.orders.empty() == nests.position.defined(),
              "positions go with a model without shared orders");
  // unbind, not select: backward then gathers all columns in one operation.
  const Tensor all_sums = torch::matmul(x, plan.columns);
  const std::vector<Tensor> sums = all_sums.unbind(-1);
  const Words kind = exact ? whole_words(sums[static_cast<std::size_t>(plan.mac_column)]) : Words::kReal;
  const auto of_column = [&](int column) {
    const std::vector<bool>& members = plan.column_slots[static_cast<std::size_t>(column)];
    const Tensor& log = sums[static_cast<std::size_t>(column)];
    // A product of nothing is a constant: no operation to differentiate.
    if (std::find(members.begin(), members.end(), true) == members.end())
      return torch::ones({1}, plan.options);
    return product(log.unsqueeze(-1), kind);
  };

  // Sums of x (or of a multiple of it) over what stands inside each gate's loop, [B..., O, gates].
  const auto inside = [&](const Tensor& values, const Plan::Gates& gates) {
    if (nests.position.defined())
      return (values.unsqueeze(-1) * gates.terms_inside(nests.position)).sum(-2).unsqueeze(-2);
    std::vector<std::int64_t> shape = x.sizes().vec();
    shape.back() = order_count();
    shape.push_back(Plan::count(gates.slot));
    return torch::matmul(values, gates.inside).view(shape);
  };
  // The log factors of the gates' own loops, [B..., 1, gates].
  const auto own = [&](const Tensor& values, const Plan::Gates& gates) {
    return values.index_select(-1, gates.slots).unsqueeze(-2);
  };
  Tensor closed;  // how far a loop does not move its tensor, [B..., O, reuse gates]
  Tensor first;   // how far a loop is the innermost one outside a tile, [B..., O, halos]
  if (exact) {
    closed = (inside(x, plan.reuse) <= kUnit).to(x.dtype());
    first = ((inside(x, plan.enclosed) <= kUnit) & (own(x, plan.enclosed) > kUnit)).to(x.dtype());
  } else {
    const Tensor cooled = x * -sharpness.gate;
    closed = inside(cooled, plan.reuse).exp();
    first = inside(cooled, plan.enclosed).exp() * (1 - own(cooled, plan.enclosed).exp());
  }
  const Tensor saved = torch::matmul(own(x, plan.reuse) * closed, plan.gate_fill);  // [B..., O, fills]
  const std::vector<Tensor> fill_words =
      product(all_sums.index_select(-1, plan.fill_columns).unsqueeze(-2) - saved, kind).unbind(-1);
  const std::vector<Tensor> halo_weights = first.unbind(-1);

  Traffic traffic;
  const auto levels = plan.machine.levels.size();
  traffic.accesses.resize(levels);
  traffic.tile_words.resize(levels);
  traffic.macs = of_column(plan.mac_column);
  traffic.compute_cycles = of_column(plan.compute_column);
  for (std::size_t level = 0; level < levels; ++level) {
    traffic.instances.push_back(of_column(plan.instance_column[level]));
    const Tensor fanout = of_column(plan.fanout_column[level]);
    traffic.pe_dim = level == 0 ? fanout : torch::maximum(traffic.pe_dim, fanout);
  }

  std::vector<Tensor> fills;  // words written into all instances, [B..., O]
  for (std::size_t f = 0; f < plan.fills.size(); ++f) {
    const Plan::Fill& fill = plan.fills[f];
    const auto level = static_cast<std::size_t>(fill.level);
    const auto operand = static_cast<std::size_t>(fill.operand);
    Tensor words = fill_words[f];
    Tensor tile_words = product(sums[static_cast<std::size_t>(plan.tile_column[level][operand])], kind);
    if (fill.operand == Operand::I) {
      const InputTile tile = input_tile<Plan>(fill, sums, layers, kind);
      Tensor kept;                  // the share of the window that successive tiles have in common
      std::array<Tensor, 2> moved;  // lower bound: whether a loop met so far slides along height, width
      for (std::int64_t h = 0; h < fill.halo_count; ++h) {
        const Plan::Halo& halo = plan.halos[static_cast<std::size_t>(fill.halo_begin + h)];
        const Tensor overlap = torch::relu(1 - tile.step(halo.dim, layers) / tile.full(halo.dim));
        const Tensor later = 1 - (-x.select(-1, halo.slot)).exp();  // all iterations but the first: 1 - 1/x
        if (!sharpness.least) {
          kept = plus(kept, halo_weights[static_cast<std::size_t>(fill.halo_begin + h)] *
                                (overlap * later).unsqueeze(-1));
          continue;
        }
        // The innermost loop outside saves its overlap, with the first coincidence in every iteration; the
        // second coincidence needs two loops along one axis and saves less than every other tile.
        const Tensor moves = (later > 0).to(x.dtype());
        Tensor& along = moved[along_width(halo.dim) ? 1 : 0];
        Tensor shared = overlap * moves;
        if (along.defined()) shared = torch::maximum(shared, along * moves / 2);
        along = along.defined() ? torch::maximum(along, moves) : moves;
        kept = kept.defined() ? torch::maximum(kept, shared.unsqueeze(-1)) : shared.unsqueeze(-1);
      }
      const Tensor window = (tile.width * tile.height).unsqueeze(-1);
      words = words * window;
      if (kept.defined()) words = words * (1 - kept);
      if (exact) {
        std::vector<std::int64_t> outside;
        for (std::size_t s = 0; s < plan.slots.size(); ++s) {
          const Slot& slot = plan.slots[s];
          if (!slot.spatial && slot.level > fill.level) outside.push_back(static_cast<std::int64_t>(s));
        }
        const Tensor position = nests.position.defined() ? nests.position.unsqueeze(-2) : plan.positions;
        std::vector<std::int64_t> shape = words.sizes().vec();
        shape.push_back(position.size(-1));
        const Tensor instances = traffic.instances[level];
        words = words.round() - instances * coincidence_words(tile, tile_words, x, position.expand(shape),
                                                              outside, plan.slots, layers);
      }
      tile_words = tile_words * tile.width * tile.height;
    }
    traffic.tile_words[level][operand] = tile_words.unsqueeze(-1);
    fills.push_back(words);
  }

  const Tensor outputs = of_column(plan.output_column);
  for (std::size_t level = 0; level < levels; ++level) {
    for (const Operand operand : all_operands()) {
      const auto o = static_cast<std::size_t>(operand);
      if (!plan.machine.levels[level].holds_operand(operand)) continue;
      int inner_level = static_cast<int>(level) - 1;
      while (inner_level >= 0 && plan.fill_index[static_cast<std::size_t>(inner_level)][o] < 0) --inner_level;
      // Words that the next level inside (or the MACs) exchange with this one; instances that use the same
      // word get it by multicast, partial sums of the same output are added on the way.
      Tensor exchanged;
      const Tensor shared = sums[static_cast<std::size_t>(plan.shared_column[level][o])].unsqueeze(-1);
      if (inner_level < 0) {
        exchanged = product(sums[static_cast<std::size_t>(plan.mac_column)].unsqueeze(-1) - shared, kind);
      } else {
        exchanged =
            fills[static_cast<std::size_t>(plan.fill_index[static_cast<std::size_t>(inner_level)][o])];
        const std::vector<bool>& sharing =
            plan.column_slots[static_cast<std::size_t>(plan.shared_column[level][o])];
        if (std::find(sharing.begin(), sharing.end(), true) != sharing.end())
          exchanged = exchanged / product(shared, kind);
      }
      Accesses& accesses = traffic.accesses[level][o];
      if (operand == Operand::O) {
        accesses.updates = exchanged;
        accesses.reads = exchanged - outputs;  // the first read of every partial sum is elided
      } else {
        accesses.reads = exchanged;
      }
      const int fill = plan.fill_index[level][o];
      if (fill >= 0) accesses.writes = fills[static_cast<std::size_t>(fill)];
    }
  }
  return traffic;
}

Tensor Accesses::written_by_most() const {
  return most_written.defined() ? most_written : plus(writes, updates);
}

Tensor Accesses::if_all_move_the_most() const { return plus(read_by_most(), written_by_most()); }

Traffic CostModel::traffic_of(const std::vector<Layer>& layers, const std::vector<Mapping>& mappings) const {
  Traffic traffic = this->traffic(nests_of(mappings), LayerBatch::from(layers, torch::kFloat64), Sharpness{});
  if (std::none_of(mappings.begin(), mappings.end(), [](const Mapping& m) { return m.is_cut(); }))
    return traffic;
  const auto rows = static_cast<std::int64_t>(layers.size());
  const auto own = [&](Tensor& tensor) {
    if (tensor.defined()) tensor = tensor.expand({rows, 1}).clone();
  };
  own(traffic.macs);
  own(traffic.compute_cycles);
  for (Tensor& instances : traffic.instances) own(instances);
  for (std::size_t l = 0; l < traffic.accesses.size(); ++l) {
    for (std::size_t o = 0; o < kOperands; ++o) {
      Accesses& accesses = traffic.accesses[l][o];
      accesses.most_read = accesses.read_by_most();
      accesses.most_written = accesses.written_by_most();
      for (Tensor* words : {&accesses.reads, &accesses.writes, &accesses.updates, &accesses.most_read,
                            &accesses.most_written, &traffic.tile_words[l][o]})
        own(*words);
    }
  }
  for (std::int64_t i = 0; i < rows; ++i) {
    const Mapping& mapping = mappings[static_cast<std::size_t>(i)];
    if (mapping.is_cut()) set_cut(CutNest::of(layers[static_cast<std::size_t>(i)], mapping), i, traffic);
  }
  return traffic;
}

void CostModel::set_cut(const CutNest& nest, std::int64_t row, Traffic& traffic) const {
  const auto set = [&](Tensor& tensor, double number) {
    if (tensor.defined()) tensor[row] = number;
  };
  set(traffic.macs, nest.macs());
  set(traffic.compute_cycles, nest.cycles());
  for (std::size_t l = 0; l < traffic.instances.size(); ++l) set(traffic.instances[l], nest.used(l));
  nest.for_accesses(machine().levels,
                    [&](Operand operand, std::size_t l, const CutAccesses& all, const CutAccesses& most) {
                      const auto o = static_cast<std::size_t>(operand);
                      const double used = nest.used(l);
                      Accesses& accesses = traffic.accesses[l][o];
                      set(accesses.reads, all.reads);
                      set(accesses.writes, all.fills);
                      set(accesses.updates, all.updates);
                      set(accesses.most_read, most.reads * used);
                      set(accesses.most_written, (most.fills + most.updates) * used);
                      set(traffic.tile_words[l][o], nest.tile_words(operand, l));
                    });
}

Traffic CostModel::tiles(const Nests& nests, const LayerBatch& layers, const Sharpness& sharpness) const {
  const Plan& plan = *plan_;
  const std::vector<Tensor> sums = torch::matmul(nests.log_factors, plan.columns).unbind(-1);
  const Words kind = sharpness.exact ? Words::kWhole : Words::kReal;
  Traffic traffic;
  traffic.tile_words.resize(plan.machine.levels.size());
  for (const Plan::Fill& fill : plan.fills) {
    const auto level = static_cast<std::size_t>(fill.level);
    const auto operand = static_cast<std::size_t>(fill.operand);
    Tensor words = product(sums[static_cast<std::size_t>(plan.tile_column[level][operand])], kind);
    if (fill.operand == Operand::I) {
      const InputTile tile = input_tile<Plan>(fill, sums, layers, kind);
      words = words * tile.width * tile.height;
    }
    traffic.tile_words[level][operand] = words.unsqueeze(-1);
  }
  return traffic;
}

Tensor Traffic::need_kib(const MemoryLevel& level, int index, const Tensor& array_dim) const {
  Tensor words;
  for (const Operand operand : all_operands()) {
    words = plus(words, tile_words[static_cast<std::size_t>(index)][static_cast<std::size_t>(operand)]);
  }
  return words * level.instances.at(array_dim) * (level.word_bits / 8.0 / 1024.0);
}

Tensor rounded_up(const Tensor& number) {
  const Tensor up = number.ceil();
  return number.requires_grad() ? number + (up - number).detach() : up;
}

Cost CostModel::cost(const Traffic& traffic, const HardwareTensors& hardware,
                     const Sharpness& sharpness) const {
  return cost_with(traffic, hardware, sharpness, plan_->numbers);
}

Cost CostModel::cost(const Traffic& traffic, const HardwareTensors& hardware, const Sharpness& sharpness,
                     const ArrayNumbers<Tensor>& numbers) const {
  return cost_with(traffic, hardware, sharpness, numbers);
}

template <typename Number>
Cost CostModel::cost_with(const Traffic& traffic, const HardwareTensors& hardware, const Sharpness& sharpness,
                          const ArrayNumbers<Number>& numbers) const {
  const bool exact = sharpness.exact;
  const Tensor pe_dim = hardware.pe_dim.unsqueeze(-1);
  Cost cost;
  cost.cycles = traffic.compute_cycles;
  Tensor energy = traffic.macs * numbers.mac_pj;
  for (std::size_t level = 0; level < machine().levels.size(); ++level) {
    const MemoryLevel& memory = machine().levels[level];
    const typename ArrayNumbers<Number>::Level& of = numbers.levels[level];
    const bool vectors = exact && (memory.vector_words.constant != 1 || memory.vector_words.per_pe_dim != 0);
    const Tensor vector = vectors ? memory.vector_words.at(pe_dim) : Tensor();
    const bool bounded = memory.words_per_cycle.has_value();
    // What does not depend on the loop order is added up on its own: one broadcast instead of many.
    Tensor fixed_words, ordered_words, charged, read_rate, write_rate;
    for (const Accesses& accesses : traffic.accesses[level]) {
      for (const Tensor* kind : {&accesses.reads, &accesses.writes, &accesses.updates}) {
        if (!kind->defined()) continue;
        Tensor& words = kind->size(-1) == 1 ? fixed_words : ordered_words;
        words = plus(words, *kind);
        if (vectors) charged = plus(charged, rounded_up(*kind / vector) * vector);
      }
      if (exact && bounded) {
        const Tensor per_cycle = traffic.instances[level] * traffic.compute_cycles;
        const Tensor read = accesses.read_by_most(), written = accesses.written_by_most();
        if (read.defined()) read_rate = plus(read_rate, read / per_cycle);
        if (written.defined()) write_rate = plus(write_rate, written / per_cycle);
      }
    }
    const Tensor words = ordered_words.defined() ? plus(ordered_words, fixed_words) : fixed_words;
    Tensor cycles, level_energy;
    if (words.defined()) {
      const Tensor& paid = vectors ? charged : words;
      if (memory.energy.pj_per_kib == 0) {
        level_energy = paid * of.pj;
      } else {
        const Tensor& kib =
            memory.sized_by == SizedBy::kScratchpad ? hardware.scratchpad_kib : hardware.accumulator_kib;
        const bool one = memory.instances.constant == 1 && memory.instances.per_pe_dim == 0;
        const Tensor instance_kib = one ? kib.unsqueeze(-1) : kib.unsqueeze(-1) / memory.instances.at(pe_dim);
        level_energy = paid * (instance_kib * of.pj_per_kib + (of.pj - of.at_kib * of.pj_per_kib));
      }
      energy = energy + level_energy;
      if (bounded) {
        const Tensor words_per_cycle = of.words_per_cycle->at(pe_dim);
        if (exact) {
          // Timeloop's own order of operations: rates, their ratio to the bandwidth, then the ceiling. In one
          // row in fifteen the rounding of these divisions is what makes the last cycle.
          const Tensor slowdown = words_per_cycle / plus(read_rate, write_rate);
          cycles = rounded_up(traffic.compute_cycles / slowdown);
        } else {
          cycles = words / (traffic.instances[level] * words_per_cycle);
        }
        cost.cycles = torch::maximum(cost.cycles, cycles);
      }
    }
    cost.level_cycles.push_back(cycles);
    cost.level_energy_pj.push_back(level_energy);
  }
  cost.energy_pj = energy;
  return cost;
}

Nests CostModel::nests_of(const std::vector<Mapping>& mappings) const {
  const auto& slots = plan_->slots;
  const auto rows = static_cast<std::int64_t>(mappings.size());
  const Tensor factors = torch::empty({rows, Plan::count(slots)}, torch::kFloat64);
  const Tensor position = torch::full({rows, Plan::count(slots)}, -1, torch::kFloat64);
  auto factors_a = factors.accessor<double, 2>();
  auto position_a = position.accessor<double, 2>();
  for (std::int64_t i = 0; i < rows; ++i) {
    const Mapping& mapping = mappings[static_cast<std::size_t>(i)];
    for (std::int64_t s = 0; s < Plan::count(slots); ++s) {
      const Slot& slot = slots[static_cast<std::size_t>(s)];
      const LevelNest& nest = mapping.levels[static_cast<std::size_t>(slot.level)];
      factors_a[i][s] = std::log(static_cast<double>(slot.spatial ? mapping.spatial(slot.level, slot.dim)
                                                                  : mapping.temporal(slot.level, slot.dim)));
      if (slot.spatial) continue;
      // Unit loops stand outermost; where does not matter.
      const auto found = std::find_if(nest.temporal.rbegin(), nest.temporal.rend(),
                                      [&](const Loop& loop) { return loop.dim == slot.dim; });
      position_a[i][s] = static_cast<double>(
          slot.level * kDims + (found == nest.temporal.rend() ? kDims - 1 : found - nest.temporal.rbegin()));
    }
  }
  return {factors.to(options()), position.to(options())};
}

Mapping CostModel::mapping_of(const Tensor& log_factors, std::int64_t order) const {
  const Tensor factors = log_factors.detach().to(torch::kCPU, torch::kFloat64).exp().contiguous();
  const auto factors_a = factors.accessor<double, 1>();
  Mapping mapping;
  mapping.levels.resize(machine().levels.size());
  for (std::size_t level = mapping.levels.size(); level-- > 0;) {
    const LoopOrder& loop_order = plan_->orders[static_cast<std::size_t>(order)][level];
    LevelNest& nest = mapping.levels[level];
    for (std::size_t i = loop_order.size(); i-- > 0;) {  // outermost first
      for (std::int64_t s = 0; s < Plan::count(slots()); ++s) {
        const Slot& slot = slots()[static_cast<std::size_t>(s)];
        if (static_cast<std::size_t>(slot.level) != level || slot.dim != loop_order[i]) continue;
        const std::int64_t factor = std::llround(factors_a[s]);
        TORCH_CHECK(std::abs(factors_a[s] - static_cast<double>(factor)) < 1e-3 * factors_a[s],
                    "not a whole factor");
        if (factor > 1) (slot.spatial ? nest.spatial : nest.temporal).push_back({slot.dim, factor});
      }
    }
  }
  return mapping;
}

Tensor area_mm2(const AreaModel& area, const HardwareTensors& hardware) {
  return area.mm2(hardware.pe_dim, hardware.scratchpad_kib, hardware.accumulator_kib);
}

}  // namespace dosa
