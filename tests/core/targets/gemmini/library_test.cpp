// Which Gemminis can be built, what runs on them, and what would Gemmini do by default?
#include "dosa/core/targets/gemmini/library.hpp"

#include <gtest/gtest.h>

#include <bitset>
#include <cmath>
#include <filesystem>
#include <functional>
#include <random>

#include "dosa/models/base/csv.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/workload.hpp"
#include "tests/support.hpp"

namespace dosa::gemmini {
namespace {

const ArraySizes kDefault{16, 256, 64};

Layer conv(std::int64_t kernel, std::int64_t out, std::int64_t c, std::int64_t k, std::int64_t stride = 1,
           std::int64_t padding = 0, std::int64_t batch = 1) {
  Layer layer;
  layer.name = "conv";
  layer.size = {kernel, kernel, out, out, c, k, batch};
  layer.wstride = layer.hstride = stride;
  layer.padding = padding;
  return layer;
}

Layer matmul(std::int64_t rows, std::int64_t inner, std::int64_t columns) {
  Layer layer;
  layer.name = "matmul";
  layer.size = {1, 1, rows, 1, inner, columns, 1};
  return layer;
}

Tile conv_tile(const DimSizes& size) { return {Call::kConv, size}; }

/// The measurements, shipped or reference data.
std::optional<std::filesystem::path> measurements() {
  const auto shipped = data_folder() / "measurements" / "gemmini_rtl.csv";
  return std::filesystem::exists(shipped) ? shipped : testing::reference_data("gemmini_rtl.csv");
}

struct Measured {
  Layer layer;
  Tile tile;
  std::string tiling;
};

std::vector<Measured> read_measurements(const std::filesystem::path& path) {
  const CsvInput csv = CsvInput::from_file(path);
  std::vector<Measured> rows;
  for (std::size_t row = 0; row < csv.rows(); ++row) {
    const auto text = [&](const char* column) {
      return std::string(csv.text(row, csv.require({column})[0]));
    };
    const auto number = [&](const std::string& column) {
      return csv.integer(row, csv.require({column})[0], 0, kMaxDim);
    };
    Measured measured;
    measured.tiling = text("tiling");
    measured.tile.call = text("kind") == "matmul" ? Call::kMatmul : Call::kConv;
    measured.layer.name = "row " + text("id");
    for (const Dim d : all_dims()) {
      const std::string letter(1, dosa::name_of(d));
      measured.layer[d] = number(letter);
      measured.tile[d] = number("tile_" + letter);
    }
    measured.layer.wstride = number("wstride");
    measured.layer.hstride = number("hstride");
    measured.layer.padding = number("padding");
    if (measured.tile.call == Call::kConv) {
      measured.layer.known_input_width = measured.layer.known_input_height = number("in_dim");
    }
    rows.push_back(measured);
  }
  return rows;
}

/// A layer that the library can run, by either call.
Layer random_layer(std::mt19937& random) {
  const auto pick = [&](std::int64_t low, std::int64_t high) {
    // Uniform in the logarithm: small and large sizes alike.
    const double least = std::log(static_cast<double>(low)),
                 most = std::log(static_cast<double>(high) + 0.999);
    return std::min(high, static_cast<std::int64_t>(
                              std::exp(least + (most - least) * static_cast<double>(random()) * 0x1p-32)));
  };
  if (random() % 3 == 0) {
    const std::int64_t p = pick(1, 4096), c = pick(1, 4096), k = pick(1, 4096);  // in this order everywhere
    return matmul(p, c, k);
  }
  const std::int64_t kernel = std::array<std::int64_t, 6>{1, 2, 3, 5, 7, 11}[random() % 6];
  const std::int64_t c = pick(1, 2048), k = pick(1, 2048);
  const std::int64_t stride = 1 + static_cast<std::int64_t>(random() % 3);
  const std::int64_t padding = static_cast<std::int64_t>(random()) % kernel;
  Layer layer = conv(kernel, 1, c, k, stride, padding, pick(1, 8));
  layer[Dim::P] = pick(1, 112);
  layer[Dim::Q] = pick(2, 112);
  return sees_one_pixel(layer) ? random_layer(random) : layer;
}

// ---- Which sizes elaborate?

/// The rules of the specification, one after the other, in whole numbers.
bool legal_as_written(std::int64_t d, std::int64_t s, std::int64_t a) {
  const auto is_power_of_two = [](std::int64_t x) {
    return std::bitset<64>(static_cast<std::uint64_t>(x)).count() == 1;
  };
  // The array is a power of two of at least 2.
  if (!is_power_of_two(d) || d < 2) return false;
  // Rows per scratchpad bank, S * 1024 / (4 * D): a power of two and a multiple of D.
  if (s * 1024 % (4 * d) != 0) return false;
  const std::int64_t bank_rows = s * 1024 / (4 * d);
  if (!is_power_of_two(bank_rows) || bank_rows % d != 0) return false;
  // Accumulator rows, A * 1024 / (4 * D), in two banks: rows per bank are a power of two and a multiple of D.
  if (a * 1024 % (4 * d) != 0) return false;
  const std::int64_t acc_rows = a * 1024 / (4 * d);
  if (acc_rows % 2 != 0 || !is_power_of_two(acc_rows / 2) || acc_rows / 2 % d != 0) return false;
  // Accumulator rows / D are at most scratchpad rows / D - 2; there are four banks.
  return acc_rows / d <= 4 * bank_rows / d - 2;
}

// Every size of one buffer with every power of two of the other: a size that is none is illegal whatever the
// other one is, as the second half of the test sees on a sparse grid of all.
TEST(ArraySizes, AgreesWithTheRulesAsWrittenForEverySize) {
  std::size_t legal = 0;
  const auto agrees = [&](std::int64_t d, std::int64_t s, std::int64_t a) {
    EXPECT_EQ(is_legal({d, s, a}), legal_as_written(d, s, a)) << d << " " << s << " " << a;
  };
  for (std::int64_t d = 2; d <= 128; ++d) {
    for (std::int64_t power = 1; power <= 4096; power *= 2) {
      for (std::int64_t size = 1; size <= 4096; ++size) {
        if (is_legal({d, size, power}) != legal_as_written(d, size, power)) agrees(d, size, power);
        if (is_legal({d, power, size}) != legal_as_written(d, power, size)) agrees(d, power, size);
        legal += is_legal({d, size, power});
      }
    }
    for (std::int64_t s = 1; s <= 4096; s += 61) {
      for (std::int64_t a = 1; a <= 4096; a += 67) {
        if (is_legal({d, s, a}) != legal_as_written(d, s, a)) agrees(d, s, a);
      }
    }
  }
  EXPECT_EQ(legal_hardware({2, 1, 1}, {128, 4096, 4096}).size(), legal);
}

TEST(ArraySizes, ViolationsAreSpelledOutExactlyWhereThereAreSome) {
  std::mt19937 random(4);
  const auto pick = [&](std::uint32_t high) {
    const std::int64_t any = random() % (high + 1);
    // Half of them powers of two, or nothing legal would come up.
    return random() % 2 == 0 ? any : std::int64_t{1} << (any % 13);
  };
  int legal = 0;
  for (int i = 0; i < 100000; ++i) {
    const ArraySizes built{pick(128), pick(4096), pick(4096)};
    ASSERT_EQ(check_hardware(built).empty(), is_legal(built)) << to_json(built).dump();
    legal += is_legal(built);
  }
  EXPECT_GT(legal, 1000);
}

TEST(ArraySizes, TheNearestSizesAreLegalAndAtLeastAsLarge) {
  std::mt19937 random(1);
  for (int i = 0; i < 20000; ++i) {
    const ArraySizes found{static_cast<std::int64_t>(1 + random() % 128),
                           static_cast<std::int64_t>(1 + random() % 4096),
                           static_cast<std::int64_t>(1 + random() % 4096)};
    const ArraySizes near = nearest_hardware(found);
    ASSERT_TRUE(check_hardware(near).empty()) << summary(check_hardware(near));
    for (const ArraySizeField& field : kArraySizes) ASSERT_GE(near.*field.value, found.*field.value);
    if (check_hardware(found).empty()) {
      ASSERT_EQ(near, found);
    }
  }
}

TEST(ArraySizes, ThePapersFoundSizesBecome512And512) {
  const auto violations = check_hardware({16, 251, 196});
  ASSERT_FALSE(violations.empty());
  EXPECT_EQ(violations.front().message(),
            "rows per scratchpad bank are a power of two; found 4016 (scratchpad_kib 251); nearest legal: "
            "scratchpad_kib 256");
  EXPECT_EQ(hardware_for_need({16, 251, 196}), (ArraySizes{16, 512, 512}));
  EXPECT_TRUE(check_hardware(kDefault).empty());
}

TEST(ArraySizes, EnumerationFindsAllLegalSizes) {
  const std::vector<ArraySizes> all = legal_hardware({2, 1, 1}, {32, 64, 64});
  std::size_t count = 0;
  for (std::int64_t d = 2; d <= 32; ++d) {
    for (std::int64_t s = 1; s <= 64; ++s) {
      for (std::int64_t a = 1; a <= 64; ++a) count += check_hardware({d, s, a}).empty();
    }
  }
  EXPECT_EQ(all.size(), count);
}

TEST(ArraySizes, ParametersOfTheDefaultGemmini) {
  const Params params = params_of(kDefault);
  EXPECT_EQ(params.dim, 16);
  EXPECT_EQ(params.bank_num, 4);
  EXPECT_EQ(params.bank_rows, 4096);
  EXPECT_EQ(params.acc_rows, 1024);
}

// ---- Which layers can the library run, and by which call?

TEST(Calls, PointwiseConvolutionsMayRunAsEither) {
  EXPECT_EQ(calls_for(conv(1, 56, 64, 64)), (std::vector<Call>{Call::kMatmul, Call::kConv}));
  EXPECT_EQ(calls_for(conv(1, 28, 64, 64, 2)), std::vector<Call>{Call::kConv});
  EXPECT_EQ(calls_for(conv(3, 28, 64, 64, 1, 1)), std::vector<Call>{Call::kConv});
  EXPECT_EQ(calls_for(matmul(128, 768, 768)), std::vector<Call>{Call::kMatmul});
}

TEST(Calls, RefusalsNameRuleValueAndAlternative) {
  const auto refusal = [](const Layer& layer) { return summary(check_call(layer, Call::kConv)); };
  Layer layer = conv(3, 28, 64, 64);
  layer[Dim::R] = 5;
  EXPECT_EQ(refusal(layer),
            "tiled_conv has square kernels; found R 5, S 3; nearest legal: R 5, S 5, the smaller side filled "
            "up with zero weights");
  layer = conv(3, 28, 64, 64);
  layer.hstride = 2;
  EXPECT_NE(refusal(layer).find("one stride; found wstride 1, hstride 2"), std::string::npos);
  layer = conv(3, 28, 64, 64);
  layer.wdilation = 2;
  EXPECT_NE(refusal(layer).find("one kernel dilation; found wdilation 2, hdilation 1"), std::string::npos);
  layer = conv(3, 28, 64, 64);
  layer.pad({0, 1, 0, 1});
  EXPECT_NE(refusal(layer).find("one padding for all sides; found padding left 0, right 1, top 0, bottom 1; "
                                "nearest legal: no padding, the input stored with it"),
            std::string::npos);
  EXPECT_NE(refusal(conv(3, 28, 64, 64, 1, 3))
                .find("padding is smaller than the kernel; found padding 3, kernel 3; "
                      "nearest legal: padding 2"),
            std::string::npos);
  EXPECT_NE(refusal(conv(3, 2, 3, 8, 256)).find("stride has 8 bits; found 256; nearest legal: 255"),
            std::string::npos);
  EXPECT_NE(refusal(conv(3, 4, 70000, 8)).find("iterators have 16 bits: C; found 70000"), std::string::npos);
  EXPECT_NE(refusal(conv(3, 60000, 4, 8)).find("31 bits"), std::string::npos);
}

// What tiled_conv does not run is the product of R*S*C values for each output pixel with the filters.
TEST(Calls, WhatNeitherCallRunsIsTheProductOfItsIm2col) {
  const auto with = [](const std::function<void(Layer&)>& change) {
    Layer layer = conv(3, 28, 64, 96, 1, 0, 2);
    change(layer);
    return layer;
  };
  const std::pair<const char*, Layer> cases[] = {
      {"tiled_conv has square kernels; found R 31, S 1",
       with([](Layer& l) { l[Dim::R] = 31, l[Dim::S] = 1; })},
      {"tiled_conv has one stride; found wstride 1, hstride 2", with([](Layer& l) { l.hstride = 2; })},
      {"tiled_conv has one padding for all sides; found padding left 0, right 1, top 0, bottom 1",
       with([](Layer& l) {
         l.pad({0, 1, 0, 1});
       })},
      {"padding is smaller than the kernel; found padding 3, kernel 3",
       with([](Layer& l) { l.padding = 3; })},
      {"tiled_conv has costs for kernels without dilation only; found 2 x 2",
       with([](Layer& l) { l.wdilation = l.hdilation = 2; })},
      {"tiled_conv has costs for kernels without dilation only; found 2 x 2",
       with([](Layer& l) { l.wdilation = l.hdilation = 2, l.padding = 2; })}};
  for (const auto& [reason, layer] : cases) {
    EXPECT_EQ(calls_for(layer), std::vector<Call>{Call::kIm2col}) << reason;
    EXPECT_EQ(why_im2col(layer), reason);
    EXPECT_EQ(why_not_at_all(layer), "");
    EXPECT_EQ(extents(layer, Call::kIm2col),
              (DimSizes{1, 1, 28 * 28 * 2, 1, layer[Dim::R] * layer[Dim::S] * 64, 96, 1}));
    for (const ArraySizes& built : {kDefault, ArraySizes{4, 16, 8}}) {
      const Tile tile = default_tile(layer, built);
      const Layer product = matmul(28 * 28 * 2, layer[Dim::R] * layer[Dim::S] * 64, 96);
      EXPECT_EQ(tile.call, Call::kIm2col);
      EXPECT_EQ(tile.size, default_tile(product, built).size) << "what the library takes for the product";
      EXPECT_TRUE(check_tile(layer, built, tile).empty());
      EXPECT_EQ(tile_from_json(JsonInput::from_text(to_json(tile).dump(), "tile")), tile);
    }
  }
  EXPECT_EQ(why_im2col(conv(3, 28, 64, 64, 1, 1)), "");
  EXPECT_EQ(why_im2col(matmul(3, 4, 5)), "");
  EXPECT_NE(summary(check_call(matmul(3, 4, 5), Call::kIm2col)).find("needs no im2col"), std::string::npos);
}

TEST(Calls, MatricesThatNoProgramAddressesRunOnTheCpu) {
  const Layer large = matmul(std::int64_t{1} << 22, (std::int64_t{1} << 16) + 1, 1);
  EXPECT_EQ(why_not_at_all(large),
            "a program addresses 2^38 bytes; found a matrix of 274882101248 bytes (4194304 x 65537 x 1); "
            "nearest legal: 274877906944 bytes, in several layers");
  testing::expect_error([&] { calls_for(large); }, ErrorId::kValue,
                        {"layer matmul", "cannot run it", "2^38"});
  EXPECT_EQ(why_not_at_all(matmul(std::int64_t{1} << 22, std::int64_t{1} << 16, 1)), "");
  // The im2col of a layer may be too large where its input is not.
  Layer wide = conv(3, 16384, 128, 1);
  wide[Dim::R] = 9;
  EXPECT_NE(why_not_at_all(wide).find("(268435456 x 3456 x 1)"), std::string::npos) << why_not_at_all(wide);
}

// 7x7 with padding 3 never finishes, 3x3 with padding 1 is wrong: what the kernel's centre computes is right.
TEST(Calls, AConvolutionOfOnePixelIsTheMatrixProductOfTheKernelsCentre) {
  for (const std::int64_t pe_dim : {4, 8, 16}) {
    const ArraySizes built = nearest_hardware({pe_dim, 64, 32});
    for (Layer layer : {conv(7, 1, 8, 8, 1, 3), conv(3, 1, 1, 8, 1, 1), conv(3, 1, 2, 40, 1, 1, 5)}) {
      layer.known_input_width = layer.known_input_height = 1;
      EXPECT_TRUE(sees_one_pixel(layer));
      EXPECT_EQ(calls_for(layer), std::vector<Call>{Call::kMatmul});
      EXPECT_EQ(extents(layer, Call::kMatmul),
                (DimSizes{1, 1, layer[Dim::N], 1, layer[Dim::C], layer[Dim::K], 1}));
      const Tile tile = default_tile(layer, built);
      EXPECT_EQ(tile.call, Call::kMatmul);
      EXPECT_TRUE(check_tile(layer, built, tile).empty());
    }
  }
  // With more outputs each of them sees another position of the kernel; that is a matrix product, too.
  Layer several = conv(3, 3, 4, 8, 1, 2, 2);
  several.known_input_width = several.known_input_height = 1;
  EXPECT_EQ(calls_for(several), std::vector<Call>{Call::kIm2col});
  const std::string why = summary(check_call(several, Call::kConv));
  EXPECT_NE(why.find("single pixel"), std::string::npos) << why;
  EXPECT_NE(why.find("padding 2, P 3, Q 3"), std::string::npos) << why;
  EXPECT_NE(why.find("P 2, C 4, K 72"), std::string::npos) << why;
  several.known_input_width = several.known_input_height = 2;
  several[Dim::P] = several[Dim::Q] = 4;
  EXPECT_EQ(calls_for(several), std::vector<Call>{Call::kConv});
}

TEST(Calls, EveryShippedLayerRuns) {
  for (const std::string& name : shipped_names("workloads")) {
    for (const Layer& layer : load_workload(name).layers) {
      for (const Call call : calls_for(layer)) {
        EXPECT_TRUE(check_tile(layer, kDefault, default_tile(layer, kDefault, call)).empty()) << layer.name;
      }
    }
  }
}

TEST(Calls, InputSizesFollowTheNetworkWhereTheFileDoesNotSay) {
  EXPECT_EQ(conv(1, 28, 256, 512, 2).input_width(), 56);
  EXPECT_EQ(conv(7, 112, 3, 64, 2, 3).input_width(), 224);
  EXPECT_EQ(conv(3, 56, 64, 64, 1, 1).input_height(), 56);
  EXPECT_EQ(conv(3, 570, 1, 64).input_height(), 572);
  EXPECT_TRUE(downsamples(conv(1, 28, 256, 512, 2)));
  Layer odd = conv(1, 28, 256, 512, 2);
  odd.known_input_width = 55;
  EXPECT_FALSE(downsamples(odd));
  odd.known_input_width = 54;
  EXPECT_THROW(check_layer(odd), Error);
}

// ---- Which tiles fit and finish?

TEST(Tiles, RowsAreCountedAsTheLibraryDoes) {
  // Formulas of the library, by hand: ir = 4*2+3-1 = 10, ic = 6*2+3-1 = 14.
  const Rows rows = rows_needed(conv(3, 28, 64, 128, 2, 1), conv_tile({3, 3, 6, 4, 40, 24, 2}), 16);
  EXPECT_EQ(rows.scratchpad, 3 * 2 * 10 * 14 + 2 * 9 * 40);
  EXPECT_EQ(rows.accumulator, 2 * 2 * 4 * 6);
  // 1x1 stride 2 on an even input loads only what it needs.
  EXPECT_EQ(rows_needed(conv(1, 28, 64, 64, 2), conv_tile({1, 1, 7, 5, 16, 16, 1}), 16).scratchpad,
            7 * 5 + 16);
  Tile tile{Call::kMatmul, {1, 1, 32, 1, 48, 64, 1}};
  EXPECT_EQ(rows_needed(matmul(64, 64, 64), tile, 16).scratchpad, (2 * 3 + 3 * 4) * 16);
  EXPECT_EQ(rows_needed(matmul(64, 64, 64), tile, 16).accumulator, 2 * 4 * 16);
}

TEST(Tiles, TheTwoKnownHangsAndTheirNeighbours) {
  struct Case {
    std::int64_t kernel, stride, rows, kernel_rows;
    bool hangs;
  };
  // 7x7 stride 2 and 5x5; an exactly empty window works.
  for (const Case& c : {Case{7, 2, 1, 6, true},
                        {7, 2, 1, 5, false},
                        {7, 2, 1, 7, false},
                        {7, 2, 2, 6, false},
                        {5, 1, 1, 2, true},
                        {5, 1, 1, 1, true},
                        {5, 1, 1, 3, false},
                        {5, 1, 2, 2, false},
                        {5, 1, 1, 5, false}}) {
    const Layer layer = conv(c.kernel, 14, 16, 16, c.stride, c.kernel / 2);
    for (const bool by_rows : {true, false}) {
      Tile tile = conv_tile({c.kernel, c.kernel, 14, 14, 16, 16, 1});
      tile[by_rows ? Dim::Q : Dim::P] = c.rows;
      tile[by_rows ? Dim::S : Dim::R] = c.kernel_rows;
      EXPECT_EQ(hangs(layer, tile), c.hangs) << to_string(tile);
      const auto violations = check_tile(layer, kDefault, tile);
      EXPECT_EQ(violations.empty(), !c.hangs);
      if (c.hangs) {
        EXPECT_NE(violations.front().rule.find("padding"), std::string::npos);
        EXPECT_TRUE(check_tile(layer, kDefault, nearest_tile(layer, kDefault, tile)).empty());
      }
    }
  }
}

TEST(Tiles, HangsAreExactlyTheNegativeWindows) {
  // The library's loops, literally.
  const auto walk = [](std::int64_t outputs, std::int64_t kernel, std::int64_t input, std::int64_t stride,
                       std::int64_t dilation, std::int64_t padding, std::int64_t output_tile,
                       std::int64_t kernel_tile) {
    for (std::int64_t o = 0; o < outputs; o += output_tile) {
      for (std::int64_t k = 0; k < kernel; k += kernel_tile) {
        const std::int64_t o_size = std::min(output_tile, outputs - o),
                           k_size = std::min(kernel_tile, kernel - k);
        const std::int64_t start = o * stride + k * dilation - padding;
        const std::int64_t size = o_size * stride + k_size + (dilation - 1) * (k_size - 1) - 1;
        const std::int64_t above = std::max<std::int64_t>(0, -start);
        const std::int64_t below = std::max<std::int64_t>(0, start + size - input);
        if (size - above - below < 0) return true;
      }
    }
    return false;
  };
  std::mt19937 random(2);
  int hanging = 0;
  for (int i = 0; i < 50000; ++i) {
    const auto pick = [&](std::int64_t high) { return static_cast<std::int64_t>(1 + random() % high); };
    const std::int64_t kernel = pick(11);
    Layer layer = conv(kernel, pick(20), 8, 8, pick(4), pick(kernel) - 1);
    layer[Dim::Q] = pick(20);
    layer.wdilation = layer.hdilation = pick(3);
    if (layer.padded_height() <= 2 * *layer.padding || layer.padded_width() <= 2 * *layer.padding) continue;
    const Tile tile =
        conv_tile({pick(kernel), pick(kernel), pick(layer[Dim::P]), pick(layer[Dim::Q]), 8, 8, 1});
    const bool expected = walk(layer[Dim::Q], kernel, layer.input_height(), layer.hstride, layer.hdilation,
                               *layer.padding, tile[Dim::Q], tile[Dim::S]) ||
                          walk(layer[Dim::P], kernel, layer.input_width(), layer.wstride, layer.wdilation,
                               *layer.padding, tile[Dim::P], tile[Dim::R]);
    ASSERT_EQ(hangs(layer, tile), expected) << to_string(tile) << " " << to_json(layer).dump();
    hanging += expected;
  }
  EXPECT_GT(hanging, 1000);
}

// 3x3 on 7x7, 1 or 2 channels, tiles of 2 rows and 6 columns, so that the last one is a single column: wrong
// with one block of output channels at 4 and 8; right with two, and at 16.
TEST(Tiles, TheMeasuredSingleColumnsAndTheirNeighbours) {
  for (const std::int64_t pe_dim : {2, 4, 8, 16, 32}) {
    const ArraySizes built = nearest_hardware({pe_dim, 64, 32});
    for (const std::int64_t channels : {1, 2}) {
      const bool shares_rows = pe_dim / channels > 1;
      const Layer layer = conv(3, 7, channels, 2 * pe_dim, 1, 1);
      const auto wrong = [&](const Layer& of, Tile tile) {
        const bool found = computes_wrong(of, tile, pe_dim);
        const auto violations = check_tile(of, built, tile);
        EXPECT_EQ(violations.empty(), !found) << summary(violations);
        EXPECT_EQ(tile_is_legal(of, params_of(built), tile), !found);
        if (found) {
          EXPECT_NE(violations.front().rule.find("single column"), std::string::npos);
          EXPECT_TRUE(check_tile(of, built, nearest_tile(of, built, tile)).empty());
        }
        return found;
      };
      const Tile last = conv_tile({3, 3, 6, 2, channels, pe_dim, 1});
      EXPECT_EQ(wrong(layer, last), pe_dim < 16 && shares_rows) << pe_dim << " " << channels;
      const Tile full = conv_tile({3, 3, 1, 2, channels, pe_dim, 1});
      EXPECT_EQ(wrong(layer, full), pe_dim < 16 && shares_rows);
      EXPECT_FALSE(wrong(layer, conv_tile({3, 3, 6, 2, channels, 2 * pe_dim, 1})));  // two blocks
      EXPECT_FALSE(wrong(layer, conv_tile({3, 3, 5, 2, channels, pe_dim, 1})));      // two columns
      EXPECT_FALSE(wrong(layer, conv_tile({1, 3, 6, 2, channels, pe_dim, 1})));      // nothing to share with
      EXPECT_FALSE(wrong(conv(3, 7, channels, 2 * pe_dim), last));                   // no padding
      EXPECT_FALSE(wrong(conv(3, 7, pe_dim, 2 * pe_dim, 1, 1), conv_tile({3, 3, 6, 2, pe_dim, pe_dim, 1})));
    }
    // The last tile of channels is narrow.
    const Layer narrow = conv(3, 7, pe_dim + 1, pe_dim, 1, 1);
    EXPECT_EQ(computes_wrong(narrow, conv_tile({3, 3, 6, 2, pe_dim, pe_dim, 1}), pe_dim), pe_dim < 16);
  }
}

// Small layers, few channels, any tile: the nearest one and the default made runnable are legal, or none is.
TEST(Tiles, TheNearestTileRunsRightOnSmallArrays) {
  std::mt19937 random(5);
  const auto pick = [&](std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(random()) % (high - low + 1);
  };
  int repaired = 0, none = 0;
  for (int i = 0; i < 6000; ++i) {
    const std::int64_t pe_dim = std::int64_t{4} << pick(0, 2), kernel = pick(1, 5);
    const ArraySizes built = nearest_hardware({pe_dim, pick(1, 64), pick(1, 16)});
    Layer layer =
        conv(kernel, pick(1, 9), pick(1, 10), pick(1, 24), pick(1, 2), pick(0, kernel - 1), pick(1, 2));
    layer[Dim::Q] = pick(2, 9);
    if (layer.padded_height() <= 2 * *layer.padding || layer.padded_width() <= 2 * *layer.padding) continue;
    if (sees_one_pixel(layer)) continue;
    for (const Call call : calls_for(layer)) {
      Tile tile;
      tile.call = call;
      for (const Dim d : all_dims()) tile[d] = pick(1, 12);
      try {
        const Tile near = nearest_tile(layer, built, tile);
        ASSERT_TRUE(tile_is_legal(layer, params_of(built), near)) << to_string(near);
        const Tile runnable = runnable_default_tile(layer, built, call);
        ASSERT_TRUE(tile_is_legal(layer, params_of(built), runnable)) << to_string(runnable);
        repaired += !(runnable == default_tile(layer, built, call));
      } catch (const Error& error) {
        ASSERT_EQ(error.id(), ErrorId::kCapacity);
        ++none;
      }
    }
  }
  RecordProperty("none", none);
  EXPECT_GT(repaired, 20);
  EXPECT_LT(none, 300);
}

TEST(Tiles, TheNearestTileIsLegalForAnyTile) {
  std::mt19937 random(3);
  for (int i = 0; i < 3000; ++i) {
    const Layer layer = random_layer(random);
    for (const Call call : calls_for(layer)) {
      Tile tile;
      tile.call = call;
      for (const Dim d : all_dims()) tile[d] = static_cast<std::int64_t>(random() % 200);
      Tile near;
      try {
        near = nearest_tile(layer, kDefault, tile);
      } catch (const Error& error) {
        // Only where the padding needs a kernel tile that does not fit.
        ADD_FAILURE() << error.what();
        continue;
      }
      ASSERT_TRUE(check_tile(layer, kDefault, near).empty()) << to_string(near);
      ASSERT_TRUE(tile_is_legal(layer, params_of(kDefault), near));
    }
  }
}

TEST(Tiles, UsefulSizesGiveEveryNumberOfTilesOnce) {
  EXPECT_EQ(useful_tile_sizes(7, 1), (std::vector<std::int64_t>{1, 2, 3, 4, 7}));
  EXPECT_EQ(useful_tile_sizes(100, 16), (std::vector<std::int64_t>{16, 32, 48, 64, 112}));
  EXPECT_EQ(useful_tile_sizes(1, 16), std::vector<std::int64_t>{16});
}

TEST(Tiles, EveryMeasuredTilingIsLegal) {
  const auto path = measurements();
  DOSA_SKIP_WITHOUT(path, "gemmini_rtl.csv");
  for (const Measured& row : read_measurements(*path)) {
    EXPECT_TRUE(check_call(row.layer, row.tile.call).empty())
        << summary(check_call(row.layer, row.tile.call));
    EXPECT_TRUE(check_tile(row.layer, kDefault, row.tile).empty())
        << row.layer.name << ": " << summary(check_tile(row.layer, kDefault, row.tile));
  }
}

TEST(Tiles, JsonRoundTrip) {
  for (const Tile& tile :
       {conv_tile({3, 3, 7, 5, 64, 32, 1}), Tile{Call::kMatmul, {1, 1, 80, 1, 768, 80, 1}}}) {
    EXPECT_EQ(tile_from_json(JsonInput::from_text(to_json(tile).dump(), "tile")), tile);
  }
  EXPECT_THROW(
      tile_from_json(JsonInput::from_text(R"({"call": "matmul", "P": 1, "C": 1, "K": 1, "Q": 2})", "t")),
      Error);
  EXPECT_THROW(tile_from_json(JsonInput::from_text(R"({"call": "gemm", "P": 1, "C": 1, "K": 1})", "t")),
               Error);
}

// ---- What would Gemmini do by default?

TEST(DefaultMapper, TheTilingsRecordedInTheArtefact) {
  EXPECT_EQ(to_string(default_tile(matmul(128, 768, 768), kDefault)), "matmul P80 C768 K80");
  EXPECT_EQ(to_string(default_tile(matmul(128, 64, 128), kDefault)), "matmul P80 C64 K96");
  EXPECT_EQ(to_string(default_tile(conv(3, 56, 64, 64, 1, 1), kDefault)), "conv R3 S3 P23 Q22 C64 K16 N1");
}

TEST(DefaultMapper, EveryAutoRowOfTheMeasurements) {
  const auto path = measurements();
  DOSA_SKIP_WITHOUT(path, "gemmini_rtl.csv");
  int checked = 0;
  for (const Measured& row : read_measurements(*path)) {
    if (row.tiling != "auto") continue;
    EXPECT_EQ(to_string(default_tile(row.layer, kDefault, row.tile.call)), to_string(row.tile))
        << row.layer.name;
    ++checked;
  }
  EXPECT_GT(checked, 300);
}

TEST(DefaultMapper, TenThousandRandomLayersFitAndCannotGrow) {
  std::mt19937 random(4);
  int hanging = 0;
  const std::vector<ArraySizes> all = legal_hardware({4, 64, 16}, {64, 1024, 512});
  for (int i = 0; i < 10000; ++i) {
    const Layer layer = random_layer(random);
    const ArraySizes built = all[random() % all.size()];
    const Params params = params_of(built);
    for (const Call call : calls_for(layer)) {
      Tile tile;
      try {
        tile = default_tile(layer, built, call);
      } catch (const Error& error) {
        EXPECT_EQ(error.id(), ErrorId::kCapacity);
        continue;
      }
      ASSERT_TRUE(fits(layer, tile, params)) << to_string(tile);
      for (const Dim d : all_dims()) {
        ASSERT_GE(tile[d], 1);
        ASSERT_LE(tile[d], max_tile(layer, call, d, built.pe_dim));
        Tile larger = tile;
        larger[d] += call == Call::kMatmul ? built.pe_dim : 1;
        if (larger[d] <= max_tile(layer, call, d, built.pe_dim)) {
          ASSERT_FALSE(fits(layer, larger, params)) << to_string(larger);
        }
      }
      hanging += hangs(layer, tile);
    }
  }
  // The library's own choice may be one that the hardware never finishes: rare, and not for the networks we
  // ship.
  RecordProperty("hanging", hanging);
  EXPECT_LT(hanging, 200);
}

// ---- Which mappings are tiles?

TEST(Mappings, FactorsBecomeTilesAndOtherOrdersAreRefused) {
  const ArrayMachine machine = load_array_machine("gemmini-tl");
  const auto tile = [&](const char* text, const Layer& layer, Call call) {
    return to_string(tile_of_mapping(parse_mapping(text, machine), layer, call, 16));
  };
  EXPECT_EQ(tile("L3[WIO] Q8 K4 C2 - L2[WI] N1 K16X - L1[O] S3 R3 C2 Q7 C16X - L0[W] P56",
                 conv(3, 56, 64, 64, 1, 1), Call::kConv),
            "conv R3 S3 P56 Q7 C32 K16 N1");
  EXPECT_EQ(tile("L3[WIO] P2 K48 - L2[WI] N1 K16X - L1[O] C48 P4 C16X - L0[W] P16", matmul(128, 768, 768),
                 Call::kMatmul),
            "matmul P64 C768 K16");
  const Layer layer = conv(3, 56, 64, 64, 1, 1);
  EXPECT_THROW(
      tile("L3[WIO] K4 Q8 C2 - L2[WI] N1 K16X - L1[O] S3 R3 C2 Q7 C16X - L0[W] P56", layer, Call::kConv),
      Error);
  EXPECT_THROW(
      tile("L3[WIO] Q8 K4 C2 - L2[WI] N1 K16X - L1[O] Q7 S3 R3 C2 C16X - L0[W] P56", layer, Call::kConv),
      Error);
  EXPECT_THROW(
      tile("L3[WIO] Q8 K2 C2 - L2[WI] K2 K16X - L1[O] S3 R3 C2 Q7 C16X - L0[W] P56", layer, Call::kConv),
      Error);
}

}  // namespace
}  // namespace dosa::gemmini
