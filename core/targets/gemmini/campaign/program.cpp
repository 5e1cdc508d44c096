#include "dosa/core/targets/gemmini/campaign/program.hpp"

#include <algorithm>
#include <cmath>

#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/base/math.hpp"
#include "dosa/models/base/text.hpp"

namespace dosa {
namespace {

using gemmini::Call;

std::string origin(const char* comment, const Plan& plan) {
  return fmt::format("{} Written by dosa for {} and {}.\n", comment, gemmini::kHardwareCommit,
                     plan.library.text());
}

/// The same as a C comment, with more text behind it.
std::string c_origin(const Plan& plan, const std::string& more) {
  std::string text = origin("", plan);
  text.pop_back();
  return "/*" + text + more + " */\n";
}

/// The most that any of the measurements first, first + 1, ... needs of every operand.
OperandBytes most_bytes(const Plan& plan, std::size_t first, std::size_t count) {
  OperandBytes most;
  for (std::size_t i = first; i < first + count; ++i) {
    const PlannedCall& m = plan.measurements[i];
    const OperandBytes bytes = operand_bytes(plan.layers[m.layer], m.tile.call);
    most.input = std::max(most.input, bytes.input);
    most.weights = std::max(most.weights, bytes.weights);
    most.output = std::max(most.output, bytes.output);
  }
  return most;
}

/// Definitions of the sizes of a program's operands, in whole cache lines.
std::string size_macros(const OperandBytes& bytes) {
  return fmt::format(
      "#define DOSA_INPUT_BYTES {}\n#define DOSA_WEIGHT_BYTES {}\n#define DOSA_OUTPUT_BYTES {}\n",
      round_up(bytes.input, 64), round_up(bytes.weights, 64), round_up(bytes.output, 64));
}

/// A name inside a comment: it may neither end the comment nor the line, nor look as if it did.
std::string comment(const std::string& name) {
  std::string text = printable(name);
  for (char& c : text) {
    if (c == '*' || c == '/' || c == '\\' || c == '?') c = '_';
  }
  return text;
}

std::string row_text(const Plan& plan, std::size_t index) {
  const PlannedCall& m = plan.measurements[index];
  const Layer& l = plan.layers[m.layer];
  const gemmini::Tile& t = m.tile;
  std::string text =
      fmt::format("    {{.layer = {}, .mapping = {}, .shift = {}, ", m.layer, index, output_shift(l, t.call));
  if (gemmini::is_product(t.call)) {
    const DimSizes e = gemmini::extents(l, t.call);
    const auto at = [&](Dim d) { return e[static_cast<std::size_t>(d)]; };
    const std::int64_t dim = plan.hardware.pe_dim;
    text +=
        fmt::format(".conv = 0, .i = {}, .j = {}, .k = {}, .tile_i = {}, .tile_j = {}, .tile_k = {}",
                    at(Dim::P), at(Dim::K), at(Dim::C), t[Dim::P] / dim, t[Dim::K] / dim, t[Dim::C] / dim);
  } else {
    text += fmt::format(
        ".conv = 1, .batch = {}, .in_rows = {}, .in_cols = {}, .in_channels = {}, .out_channels = {}, "
        ".out_rows = {}, .out_cols = {}, .stride = {}, .dilation = {}, .padding = {}, .kernel = {},\n     "
        ".batches = {}, .porows = {}, .pocols = {}, .pochs = {}, .krows = {}, .kcols = {}, .kchs = {}",
        l[Dim::N], l.input_height(), l.input_width(), l[Dim::C], l[Dim::K], l[Dim::Q], l[Dim::P], l.hstride,
        l[Dim::S] == 1 ? 1 : l.hdilation, l.padding.value_or(0), l[Dim::S], t[Dim::N], t[Dim::Q], t[Dim::P],
        t[Dim::K], t[Dim::S], t[Dim::R], t[Dim::C]);
  }
  return text + fmt::format("}},  /* {}: {}{} */\n", comment(l.name), comment(m.tiling),
                            t.call == Call::kIm2col      ? ", inputs laid out by im2col, which is not timed"
                            : gemmini::sees_one_pixel(l) ? ", weights of the kernel's centre"
                                                         : "");
}

constexpr const char* kMakefileNotes =
    R"(# 1. Hardware: paste CustomConfigs.scala and DosaSoCConfig.scala as they say, then elaborate DosaGemminiConfig.
#    Elaboration rewrites gemmini-rocc-tests/include/gemmini_params.h; expected_params.json holds what must be
#    in it. The programs check that at compile time.
# 2. Programs: make ROCC_TESTS=/path/to/gemmini-rocc-tests (with its submodules), with the flags of its
#    bareMetalC/Makefile. Each becomes dosa_batch_*-baremetal.
# 3. Run them and collect what they print:
#      dosa measure . --simulator 'simulator-chipyard-DosaGemminiConfig +permissive +permissive-off'
#    or by hand, on FireSim or on the chip, from a log with one line for each measurement with a right result,
#    dosa,<layer id>,<mapping id>,<cycles>:
#      dosa collect uart.log --plan plan.json -o measurements.csv
# Options, for CFLAGS: -DDOSA_EVICT_BYTES=8388608 with a last-level cache of 4 MiB that is not SiFive's inclusive
# one; -DDOSA_CHECK_POINTS=-1 compares every output. RUNTIME is a folder with start code (*.S), printf and exit
# (*.c) and a linker script (test.ld); the library's speaks to a host that serves HTIF, as Chipyard's simulators do.
# make RUNTIME=... takes one of your own.
ROCC_TESTS ?= gemmini-rocc-tests
RUNTIME ?= $(ROCC_TESTS)/riscv-tests/benchmarks/common
RISCV_CC ?= riscv64-unknown-elf-gcc
)";

constexpr const char* kMakefileRules = R"(
ifeq ($(wildcard $(ROCC_TESTS)/include/gemmini.h),)
$(error $(ROCC_TESTS)/include/gemmini.h does not exist; say where the library is: make ROCC_TESTS=/path/to/gemmini-rocc-tests)
endif
flags = -DPREALLOCATE=1 -DMULTITHREAD=1 -DID_STRING= -DPRINT_TILE=0 -DBAREMETAL=1
flags += -mcmodel=medany -std=gnu99 -O2 -ffast-math -fno-common -fno-builtin-printf
flags += -fno-tree-loop-distribute-patterns -march=rv64gc -Wa,-march=rv64gc
flags += -I$(ROCC_TESTS)/riscv-tests -I$(ROCC_TESTS)/riscv-tests/env -I$(ROCC_TESTS) -I$(RUNTIME)
flags += -nostdlib -nostartfiles -static -T $(RUNTIME)/test.ld

all: $(programs:=-baremetal)

%-baremetal: %.c dosa_harness.c dosa_tiles.h $(ROCC_TESTS)/include/gemmini.h $(ROCC_TESTS)/include/gemmini_params.h
	$(RISCV_CC) $(flags) $(CFLAGS) $< -o $@ $(wildcard $(RUNTIME)/*.c) $(wildcard $(RUNTIME)/*.S) -lm -lgcc

clean:
	rm -f $(programs:=-baremetal)

.PHONY: all clean
)";

}  // namespace

int output_shift(const Layer& layer, Call call) {
  // A product of two values in -4..3 has mean 0.25 and standard deviation 5.5.
  const DimSizes e = gemmini::extents(layer, call);
  const auto at = [&](Dim d) { return static_cast<double>(e[static_cast<std::size_t>(d)]); };
  const double terms = at(Dim::R) * at(Dim::S) * at(Dim::C);
  const double reach = 0.25 * terms + 2 * 5.5 * std::sqrt(terms);
  return std::clamp(static_cast<int>(std::ceil(std::log2(reach / 100))), 0, 30);
}

std::string scala_config(const Plan& plan) {
  const ArraySizes& built = plan.hardware;
  return origin("//", plan) + fmt::format(R"(
// Into src/main/scala/gemmini/CustomConfigs.scala, object GemminiCustomConfigs:

  val dosa = defaultConfig.copy(
    meshRows = {0}, meshColumns = {0}, tileRows = 1, tileColumns = 1,
    dataflow = Dataflow.WS,
    sp_capacity = CapacityInKilobytes({1}), acc_capacity = CapacityInKilobytes({2}),
    sp_banks = 4, acc_banks = 2,
    has_training_convs = false
  )

// And point customConfig at it:

  val customConfig = dosa
)",
                                          built.pe_dim, built.scratchpad_kib, built.accumulator_kib);
}

std::string scala_soc(const Plan& plan) {
  const ArraySizes& built = plan.hardware;
  return origin("//", plan) +
         fmt::format(
             R"(// An SoC around GemminiCustomConfigs.customConfig ({} x {}); beside Chipyard's own configurations.
package chipyard

import org.chipsalliance.cde.config.Config

class DosaGemminiConfig extends Config(
  new gemmini.GemminiCustomConfig ++
  new freechips.rocketchip.rocket.WithNHugeCores(1) ++
  new chipyard.config.WithSystemBusWidth(128) ++
  new chipyard.config.AbstractConfig)
)",
             built.pe_dim, built.pe_dim);
}

Json expected_params(const ArraySizes& built) {
  const gemmini::Params params = gemmini::params_of(built);
  return {{"built_from", gemmini::kHardwareCommit},
          {"file", "gemmini_params.h"},
          {"DIM", params.dim},
          {"BANK_NUM", params.bank_num},
          {"BANK_ROWS", params.bank_rows},
          {"ACC_ROWS", params.acc_rows},
          {"elem_t", "int8_t"},
          {"acc_t", "int32_t"},
          {"HAS_FIRST_LAYER_OPTIMIZATIONS", true}};
}

std::string tile_table(const Plan& plan) {
  const gemmini::Params params = gemmini::params_of(plan.hardware);
  std::string text = c_origin(plan, "");
  text += R"(#ifndef DOSA_TILES_H
#define DOSA_TILES_H

#include "include/gemmini_params.h"

)";
  const auto expect = [&](const char* name, std::int64_t value) {
    text += fmt::format("_Static_assert({} == {}, \"the tiles are for a Gemmini with {} {}\");\n", name,
                        value, name, value);
  };
  expect("DIM", params.dim);
  expect("BANK_NUM", params.bank_num);
  expect("BANK_ROWS", params.bank_rows);
  expect("ACC_ROWS", params.acc_rows);
  if (!plan.library.takes_strides()) {
    text += "/* tiled_conv of this library takes no strides of rows. */\n#define DOSA_CONV_WITHOUT_STRIDES\n";
  }
  text +=
      R"(_Static_assert(sizeof(elem_t) == 1 && sizeof(acc_t) == 4, "the tiles are for int8 operands and int32 sums");

/* A program that names its rows has said what they need. */
#ifndef DOSA_FIRST
)" + size_macros(most_bytes(plan, 0, plan.measurements.size())) +
      R"(#endif

static const struct dosa_row dosa_rows[] = {
)";
  for (std::size_t i = 0; i < plan.measurements.size(); ++i) text += row_text(plan, i);
  text += "};\n\n#endif /* DOSA_TILES_H */\n";
  return text;
}

std::string harness() { return read_file(data_folder() / "gemmini" / "dosa_harness.c"); }

std::string program_text(const Plan& plan, const Program& program) {
  const OperandBytes most = most_bytes(plan, program.first, program.count);
  if (most.input + most.weights + most.output > std::int64_t{1} << 30) {
    fail(ErrorId::kValue,
         "program {}: its operands need {} bytes; a bare-metal program has room for 1 GiB; "
         "nearest legal: fewer or smaller layers",
         program.name, most.input + most.weights + most.output);
  }
  std::string rows;
  for (std::size_t i = program.first; i < program.first + program.count; ++i) {
    const PlannedCall& m = plan.measurements[i];
    rows += fmt::format("   {:>5} {}: {} ({})\n", i, comment(plan.layers[m.layer].name),
                        gemmini::to_string(m.tile), comment(m.tiling));
  }
  return c_origin(plan, fmt::format("\n   mapping id, layer, tile:\n{}", rows)) +
         fmt::format("#define DOSA_FIRST {}\n#define DOSA_COUNT {}\n", program.first, program.count) +
         size_macros(most) + "#include \"dosa_harness.c\"\n";
}

std::string makefile(const Plan& plan) {
  std::string programs;
  for (const Program& program : plan.programs()) programs += " \\\n\t" + program.name;
  std::string remarks;
  for (const std::string& remark : plan.remarks) remarks += fmt::format("# {}\n", comment(remark));
  return origin("#", plan) + remarks + kMakefileNotes + "programs =" + programs + "\n" + kMakefileRules;
}

}  // namespace dosa
