// A simulator for tests: fake_simulator PROGRAM prints what a program of dosa sample prints, without running
// it. A "compiled" program is a copy of its C file; the tiles come from the dosa_tiles.h beside it, and the
// cycles from a walk over them: what a tile loads at 8 bytes a cycle, or a row of the array a cycle,
// whichever takes longer.
//
// $FAKE_SIMULATOR says what goes wrong, and behind a colon in which program (else in all): crash (half way),
// nothing, wrong (the first result), hang (after the first record), cut (inside the last record), loud (for
// ever), slow (half a second), leave (a child that goes on). $FAKE_SIMULATOR_LOG names a file to which every
// run appends its process number and program.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <thread>
#include <vector>

namespace {

using Row = std::map<std::string, long>;

std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    std::fprintf(stderr, "fake simulator: %s cannot be read\n", path.c_str());
    std::exit(4);
  }
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

long number_after(const std::string& text, const std::string& mark) {
  const std::size_t at = text.find(mark);
  return at == std::string::npos ? -1 : std::atol(text.c_str() + at + mark.size());
}

/// The rows of dosa_tiles.h, by the names of their fields.
std::vector<Row> rows_of(const std::string& tiles) {
  std::vector<Row> rows;
  for (std::size_t at = tiles.find("{.layer"); at != std::string::npos; at = tiles.find("{.layer", at + 1)) {
    const std::string text = tiles.substr(at, tiles.find('}', at) - at);
    Row row;
    for (std::size_t dot = text.find('.'); dot != std::string::npos; dot = text.find('.', dot + 1)) {
      const std::size_t equals = text.find(" = ", dot);
      row[text.substr(dot + 1, equals - dot - 1)] = std::atol(text.c_str() + equals + 3);
    }
    rows.push_back(row);
  }
  return rows;
}

long blocks(long size, long dim) { return (size + dim - 1) / dim; }

/// Calls `visit` with the size of every tile of a dimension.
template <typename Visit>
void tiles(long size, long tile, const Visit& visit) {
  for (long start = 0; start < size; start += tile) visit(std::min(tile, size - start));
}

long matmul_cycles(Row row, long dim) {
  long cycles = 500;
  tiles(row["i"], row["tile_i"] * dim, [&](long i) {
    tiles(row["j"], row["tile_j"] * dim, [&](long j) {
      tiles(row["k"], row["tile_k"] * dim, [&](long k) {
        cycles += 40 + std::max((i * k + k * j) / 8, blocks(i, dim) * dim * blocks(j, dim) * blocks(k, dim));
      });
      cycles += i * j / 8;
    });
  });
  return cycles;
}

long conv_cycles(Row row, long dim) {
  long cycles = 800;
  const long stride = row["stride"];
  tiles(row["batch"], row["batches"], [&](long n) {
    tiles(row["out_rows"], row["porows"], [&](long p) {
      tiles(row["out_cols"], row["pocols"], [&](long q) {
        tiles(row["out_channels"], row["pochs"], [&](long k) {
          tiles(row["kernel"], row["krows"], [&](long r) {
            tiles(row["kernel"], row["kcols"], [&](long s) {
              tiles(row["in_channels"], row["kchs"], [&](long c) {
                const long in = n * (p * stride + r - 1) * (q * stride + s - 1) * c, weights = r * s * c * k;
                cycles += 60 + std::max((in + weights) / 8, n * p * blocks(q, dim) * dim * r * s *
                                                                blocks(c, dim) * blocks(k, dim));
              });
            });
          });
          cycles += n * p * q * k / 8;
        });
      });
    });
  });
  return cycles;
}

[[noreturn]] void hang() {
  while (true) std::this_thread::sleep_for(std::chrono::hours(1));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 4;
  const std::string path = argv[argc - 1];
  const std::size_t slash = path.rfind('/') + 1;
  const std::string program = content(path), name = path.substr(slash, path.rfind('-') - slash);
  const std::string header = content(path.substr(0, slash) + "dosa_tiles.h");
  const std::vector<Row> rows = rows_of(header);
  const long dim = number_after(header, "DIM == ");
  const long first = number_after(program, "#define DOSA_FIRST "),
             count = number_after(program, "#define DOSA_COUNT ");
  if (const char* log = std::getenv("FAKE_SIMULATOR_LOG")) {
    std::ofstream(log, std::ios::app) << getpid() << " " << name << std::endl;
  }
  std::string mode = std::getenv("FAKE_SIMULATOR") ? std::getenv("FAKE_SIMULATOR") : "";
  if (const std::size_t colon = mode.find(':'); colon != std::string::npos)
    mode = mode.substr(colon + 1) == name ? mode.substr(0, colon) : "";
  std::setvbuf(stdout, nullptr, _IOLBF, 1 << 12);
  if (mode == "nothing") return 0;
  if (mode == "slow") std::this_thread::sleep_for(std::chrono::milliseconds(500));
  if (mode == "leave" && fork() == 0) hang();
  std::printf("[UART] UART0 is here (stdin/stdout).\n");
  for (long i = 0; i < count; ++i) {
    const Row& row = rows.at(static_cast<std::size_t>(first + i));
    const long cycles = row.at("conv") ? conv_cycles(row, dim) : matmul_cycles(row, dim);
    if (mode == "crash" && 2 * i >= count) {
      std::fprintf(stderr, "Assertion failed: queue overflow\n");
      std::abort();
    }
    if (mode == "hang" && i == 1) hang();
    if (mode == "cut" && i == count - 1) {
      std::printf("dosa,%ld,%ld,%ld", row.at("layer"), row.at("mapping"), cycles / 10);
    } else if (mode == "wrong" && i == 0) {
      std::printf("dosa-wrong,%ld,%ld,17,3,4\n", row.at("layer"), row.at("mapping"));
    } else {
      std::printf("dosa,%ld,%ld,%ld\n", row.at("layer"), row.at("mapping"), cycles);
    }
  }
  while (mode == "loud") std::printf("%1000s\n", "noise");
  return mode == "wrong" ? 1 : 0;
}
