#include "dosa/core/targets/gemmini/measurements.hpp"

#include <gtest/gtest.h>

#include "dosa/models/base/files.hpp"
#include "tests/support.hpp"

namespace dosa {
namespace {

using testing::expect_error;
using testing::reference_data;
using testing::replaced;
using testing::TemporaryFolder;

const std::string kHeader =
    "kind,R,S,P,Q,C,K,N,wstride,hstride,padding,in_dim,tile_R,tile_S,tile_P,tile_Q,tile_C,tile_K,tile_N,"
    "scratchpad_kib,accumulator_kib,pe_dim,cycles\n";
const std::string kConv = "conv,3,3,7,7,192,113,1,1,1,1,7,3,3,7,7,119,112,1,256,64,16,92945\n";
const std::string kMatmul = "matmul,1,1,20,1,448,47,1,1,1,0,0,1,1,32,1,448,48,1,256,64,16,8111\n";

Measurements read(const std::string& content) {
  const TemporaryFolder folder;
  return read_measurements(folder.file("m.csv", content));
}

void expect_refused(const std::string& content, ErrorId id, const std::vector<std::string>& parts) {
  expect_error([&] { read(content); }, id, parts);
}

TEST(Measurements, OwnFormat) {
  const Measurements m = read(kHeader + kConv + "\n" + kMatmul);
  ASSERT_EQ(m.rows.size(), 2);
  EXPECT_EQ(m.format, MeasurementFormat::kOwn);
  EXPECT_EQ(m.hardware, (std::vector<ArraySizes>{{16, 256, 64}}));
  const Measurement& conv = m.rows[0];
  EXPECT_FALSE(conv.matmul);
  EXPECT_EQ(conv.layer[Dim::C], 192);
  EXPECT_EQ(conv.layer.padding, 1);
  EXPECT_EQ(conv.tile, (DimSizes{3, 3, 7, 7, 119, 112, 1}));
  EXPECT_EQ(conv.cycles, 92945);
  EXPECT_EQ(conv.line, 2);
  EXPECT_TRUE(m.rows[1].matmul);
  EXPECT_EQ(m.rows[1].line, 4);
  EXPECT_EQ(m.layer_ids(), (std::vector<std::int64_t>{0, 1}));
}

TEST(Measurements, OptionalColumns) {
  std::string header = kHeader, conv = kConv;
  header.insert(header.size() - 1, ",order,energy_uj,repeats,source");
  conv.insert(conv.size() - 1, ",QPK,1.5,3,board 7");
  const Measurements m = read(header + conv);
  EXPECT_EQ(m.rows[0].order, (LoopOrder{Dim::K, Dim::P, Dim::Q, Dim::C, Dim::R, Dim::S, Dim::N}));
  EXPECT_EQ(m.rows[0].energy_uj, 1.5);
  EXPECT_EQ(m.rows[0].repeats, 3);
  EXPECT_EQ(m.rows[0].source, "board 7");
}

TEST(Measurements, WrittenRowsAreReadBack) {
  const Measurements m = read(kHeader + kConv + kMatmul);
  EXPECT_EQ(measurements_csv(m.rows, m.hardware.front(), true), kHeader + kConv + kMatmul);
  // Tilings to measure are for a library that keeps operands as the measured one did.
  for (const char* month : {"2023-10", "2023-04"}) {
    const TemporaryFolder folder;
    const Measurements of_month = read_measurements(folder.file("m.csv", kHeader + kMatmul),
                                                    gemmini::LibraryVersion(month, "--library"));
    const std::string row =
        testing::replaced(kMatmul, kMatmul.substr(kMatmul.rfind(',')), std::string(",") + month + "\n");
    EXPECT_EQ(measurements_csv(of_month.rows, m.hardware.front(), false),
              testing::replaced(kHeader, "cycles", "library") + row);
  }
}

TEST(Measurements, BadInputIsNamed) {
  using testing::replaced;
  expect_refused("", ErrorId::kSyntax, {"m.csv", "empty"});
  expect_refused(replaced(kHeader, ",padding", "") + kConv, ErrorId::kSyntax,
                 {"m.csv: line 2", "23 fields", "22"});
  expect_refused(replaced(replaced(kHeader, "padding", "pad"), "tile_C", "tC") + kConv, ErrorId::kSchema,
                 {"m.csv", "padding, tile_C", "missing"});
  expect_refused(replaced(kHeader, "cycles", "cycles,colour") + replaced(kConv, "92945", "92945,red"),
                 ErrorId::kSchema, {"m.csv", "unknown", "colour"});
  expect_refused(replaced(kHeader, "wstride", "R") + kConv, ErrorId::kSyntax,
                 {"m.csv: line 1", "a column twice"});
  expect_refused(kHeader + kMatmul + replaced(kConv, "92945", "fast"), ErrorId::kValue,
                 {"m.csv: line 3", "cycles", "fast", "number"});
  expect_refused(kHeader + replaced(kConv, "92945", "nan"), ErrorId::kValue, {"m.csv: line 2", "cycles"});
  for (const char* cycles : {"0", "-5"}) {
    expect_refused(kHeader + replaced(kConv, "92945", cycles), ErrorId::kValue,
                   {"m.csv: line 2", "cycles", "number"});
  }
  expect_refused(kHeader + replaced(kConv, "119", "193"), ErrorId::kValue,
                 {"m.csv: line 2", "tile_C", "193", "at most 192"});
  expect_refused(kHeader + replaced(kMatmul, ",48,", ",64,"), ErrorId::kValue,
                 {"m.csv: line 2", "tile_K", "at most 48"});
  expect_refused(kHeader + replaced(kConv, "conv", "pool"), ErrorId::kValue,
                 {"m.csv: line 2", "pool", "conv or matmul"});
  expect_refused(kHeader + replaced(kConv, "conv", "matmul"), ErrorId::kValue, {"m.csv: line 2", "matmul"});
  expect_refused(kHeader + replaced(kConv, "192", "1.5"), ErrorId::kValue, {"m.csv: line 2", "C", "integer"});
  expect_refused(kHeader, ErrorId::kValue, {"m.csv", "no usable row"});
  expect_error([] { read_measurements("absent.csv"); }, ErrorId::kFile, {"absent.csv"});
}

TEST(Measurements, OfSeveralMachinesKnowTheLargestBuffersOfEachArray) {
  const Measurements m = read(kHeader + kConv + replaced(kMatmul, "256,64,16", "512,32,16"));
  EXPECT_EQ(m.hardware, (std::vector<ArraySizes>{{16, 512, 64}}));
  const std::string on_8 = replaced(replaced(kMatmul, "32,1,448,48", "24,1,448,48"), "256,64,16", "128,64,8");
  const Measurements two = read(kHeader + kConv + on_8);
  EXPECT_EQ(two.hardware, (std::vector<ArraySizes>{{8, 128, 64}, {16, 256, 64}}));
}

TEST(Measurements, TheLibraryIsAColumnOrAskedFor) {
  const TemporaryFolder folder;
  const std::string plain = folder.file("plain.csv", kHeader + kConv);
  EXPECT_TRUE(read_measurements(plain).rows[0].keeps);
  EXPECT_FALSE(read_measurements(plain, gemmini::LibraryVersion("2023-04", "--library")).rows[0].keeps);
  std::string header = kHeader, before = kConv, after = kMatmul;
  header.insert(header.size() - 1, ",library");
  before.insert(before.size() - 1, ",2023-04");
  after.insert(after.size() - 1, ",2023-05");
  const Measurements both = read(header + before + after);
  EXPECT_FALSE(both.rows[0].keeps);
  EXPECT_TRUE(both.rows[1].keeps);
  // A file says it of every row or of none.
  expect_refused(header + before + replaced(after, "2023-05", ""), ErrorId::kValue,
                 {"m.csv: line 3", "library", "''"});
  expect_refused(header + replaced(before, "2023-04", "may"), ErrorId::kValue,
                 {"m.csv: line 2", "library", "may"});
}

TEST(Measurements, RowsThatContradictEachOtherAreDroppedByLine) {
  const Measurements m = read(kHeader + kConv + kMatmul + replaced(kConv, "92945", "98000") +
                              replaced(kMatmul, "256,64,16", "512,64,16"));
  ASSERT_EQ(m.rows.size(), 2);
  EXPECT_TRUE(m.rows[0].matmul && m.rows[1].matmul);
  ASSERT_EQ(m.dropped.size(), 1);
  const std::string& reason = m.dropped.begin()->first;
  EXPECT_NE(reason.find("m.csv:2 and "), std::string::npos) << reason;
  EXPECT_NE(reason.find("m.csv:4: the same run took 92945 and 98000 cycles"), std::string::npos) << reason;
}

// Rows of what cannot be built or does not fit are named, and the others kept.
TEST(Measurements, RowsThatNoGemminiHasRunAreDroppedByLine) {
  for (const auto& [sizes, reason] : std::vector<std::pair<std::string, std::string>>{
           {"256,64,12", "pe_dim is a power of two of at least 2; found pe_dim 12"},
           {"100,64,16", "rows per scratchpad bank are a power of two; found 1600 (scratchpad_kib 100)"},
           {"256,100,16", "rows per accumulator bank are a power of two"},
           {"64,256,16", "accumulator rows / pe_dim are at most scratchpad rows / pe_dim - 2"},
           {"32,64,16", "the tile does not fit a scratchpad of 32 KiB and an accumulator of 64 KiB"}}) {
    const std::string wrong = replaced(kMatmul, "256,64,16", sizes);
    const Measurements m = read(kHeader + kConv + wrong);
    ASSERT_EQ(m.rows.size(), 1) << sizes;
    EXPECT_EQ(m.hardware, (std::vector<ArraySizes>{{16, 256, 64}})) << sizes;
    ASSERT_EQ(m.dropped.size(), 1) << sizes;
    EXPECT_NE(m.dropped.begin()->first.find("m.csv: line 3: " + reason), std::string::npos)
        << m.dropped.begin()->first;
    expect_refused(kHeader + wrong, ErrorId::kValue, {"m.csv: no usable row", "line 2", reason});
  }
  // Of many the first are named.
  std::string rows = kHeader + kConv;
  for (int i = 0; i < 30; ++i) rows += replaced(kMatmul, "256,64,16", "100,64,16");
  const Measurements many = read(rows);
  EXPECT_EQ(many.dropped.size(), 21);
  EXPECT_EQ(many.dropped.at("more rows that no Gemmini has run"), 10);
}

// Files that say of which library they are do not mix with files that do not say it.
TEST(Measurements, LibrariesMixOnlyWhereTheyAreNamed) {
  const TemporaryFolder folder;
  std::string header = kHeader, old = kConv, now = kMatmul;
  header.insert(header.size() - 1, ",library");
  old.insert(old.size() - 1, ",2023-04");
  now.insert(now.size() - 1, ",2023-10");
  const std::filesystem::path named = folder.file("named.csv", header + old),
                              other = folder.file("other.csv", header + now),
                              silent = folder.file("silent.csv", kHeader + kMatmul);
  const auto both = [](const std::filesystem::path& a, const std::filesystem::path& b, auto... library) {
    return read_measurements(std::vector<std::filesystem::path>{a, b}, library...);
  };
  EXPECT_EQ(both(named, other).rows.size(), 2);
  for (const auto& [a, b] : {std::pair(named, silent), std::pair(silent, named)}) {
    expect_error([&a = a, &b = b, &both] { both(a, b); }, ErrorId::kValue,
                 {"silent.csv: has no column library, which", "named.csv has", "--library"});
    const Measurements given = both(a, b, gemmini::LibraryVersion("2023-05", "--library"));
    for (const Measurement& row : given.rows) EXPECT_EQ(row.keeps, row.matmul);
  }
  // One file of both that does not say so: where it matters, rows contradict each other.
  const Measurements mixed = read(kHeader + kConv + kMatmul + replaced(kConv, "92945", "60000"));
  ASSERT_EQ(mixed.dropped.size(), 1);
  EXPECT_NE(mixed.dropped.begin()->first.find("two libraries?"), std::string::npos);
  const Measurements drift = read(header + old + replaced(old, "92945", "60000") + now);
  EXPECT_EQ(drift.dropped.begin()->first.find("two libraries?"), std::string::npos);
}

TEST(Measurements, SeveralFilesAreOne) {
  const TemporaryFolder folder;
  const std::string a = folder.file("a.csv", kHeader + kConv), b = folder.file("b.csv", kHeader + kMatmul);
  const Measurements m = read_measurements(std::vector<std::filesystem::path>{a, b});
  ASSERT_EQ(m.rows.size(), 2);
  EXPECT_EQ(m.rows[1].file, b);
  EXPECT_NE(m.hash, read_measurements(a).hash);
  const std::string artefact = folder.file("c.csv", "target.gemmini_cycle,mapping.mapping\n");
  EXPECT_THROW(read_measurements(std::vector<std::filesystem::path>{a, artefact}), Error);
}

TEST(Measurements, ShippedMeasurements) {
  const Measurements m = read_measurements(data_folder() / "measurements" / "gemmini_rtl.csv");
  EXPECT_EQ(m.rows.size(), 2103);
  EXPECT_FALSE(m.rows[0].keeps);
  EXPECT_EQ(m.hardware, (std::vector<ArraySizes>{{16, 256, 64}}));
  EXPECT_TRUE(m.dropped.empty());
  const Measurements sizes = read_measurements(data_folder() / "measurements" / "gemmini_rtl_sizes.csv");
  EXPECT_EQ(sizes.rows.size(), 3307);
  EXPECT_TRUE(sizes.rows[0].keeps);
  EXPECT_EQ(sizes.hardware,
            (std::vector<ArraySizes>{{4, 64, 32}, {8, 128, 64}, {16, 1024, 256}, {32, 256, 128}}));
}

TEST(Measurements, ArtefactColumnsAreRestored) {
  const TemporaryFolder folder;
  const std::string header =
      "target.cycle,target.gemmini_cycle,mapping.mapping,prob.C,prob.Hstride,prob.K,prob.N,prob.P,prob.Q,"
      "prob.R,prob.S,"
      "prob.Wstride\n";
  const auto row = [](const std::string& mapping, const std::string& problem) {
    return "1,500000," + mapping + "," + problem + "\n";
  };
  const std::string conv = "L3[WIO] K8 Q28 - L2[WI] N1 K4X - L1[O] K2 S7 R7 Q4 P7 C3X - L0[W] P16";
  const Measurements m = read_measurements(folder.file(
      "a.csv",
      header + row(conv, "3,2,64,1,112,112,7,7,2") +
          row("L3[WIO] K5 C2 - L2[WI] K20X - L1[O] P8 C20X - L0[W] P16", "40,1,100,1,128,1,1,1,1") +
          row("L3[WIO] Q8 - L2[WI] K4X - L1[O] R2 S2 P16 C4X - L0[W] N1", "4,1,4,1,16,8,2,2,1") +
          // One output row and the last of three kernel rows at padding 1: beyond the image twice over.
          row("L3[WIO] Q4 S5 - L2[WI] K4X - L1[O] R5 P4 C4X - L0[W] N1", "4,1,4,1,4,4,5,5,1")));
  ASSERT_EQ(m.rows.size(), 3);
  EXPECT_EQ(m.format, MeasurementFormat::kArtefact);
  EXPECT_EQ(m.hardware, (std::vector<ArraySizes>{{4, 0, 0}, {32, 0, 0}}));
  EXPECT_FALSE(m.rows[0].keeps);
  EXPECT_EQ(m.rows[0].pe_dim, 4);
  EXPECT_EQ(m.rows[0].tile, (DimSizes{7, 7, 112, 4, 3, 8, 1}));
  EXPECT_EQ(m.rows[0].input_size, 224);
  EXPECT_EQ(m.rows[0].layer.padding, 3);
  EXPECT_EQ(m.rows[0].order[0], Dim::Q);
  EXPECT_EQ(m.rows[0].order[1], Dim::K);
  // A matmul of blocks of 32: 128 div 16 blocks of rows, 20 div 16 of the others.
  EXPECT_TRUE(m.rows[1].matmul);
  EXPECT_EQ(m.rows[1].tile, (DimSizes{1, 1, 256, 1, 32, 32, 1}));
  // An even kernel on an image that was not square.
  EXPECT_EQ(m.rows[2].layer[Dim::P], 17);
  EXPECT_EQ(m.rows[2].layer[Dim::Q], 17);
  EXPECT_EQ(m.rows[2].input_size, 16);
  EXPECT_EQ(m.dropped.begin()->second, 1);
  EXPECT_TRUE(m.rows[0].cold);
}

TEST(Measurements, ArtefactNumbersOutOfRangeAreNamed) {
  const auto refuses = [](const std::string& mapping, const std::string& problem,
                          const std::vector<std::string>& parts) {
    expect_refused(
        "target.gemmini_cycle,mapping.mapping,prob.C,prob.Hstride,prob.K,prob.N,prob.P,prob.Q,prob.R,prob.S,"
        "prob.Wstride\n5000," +
            mapping + "," + problem + "\n",
        ErrorId::kValue, parts);
  };
  const std::string problem = "4,1,4,1,16,16,3,3,1";
  for (const std::string factor : {"4611686018427387905", "9223372036854775807", "16385"}) {
    refuses("L3[WIO] K4 - L2[WI] N1 - L1[O] C" + factor + "X - L0[W] N1", problem,
            {"m.csv: line 2", "mapping.mapping", "found 'C" + factor + "X'", "1..16384"});
  }
  refuses("L3[WIO] K9223372036854775807 - L2[WI] N1 - L1[O] C4X - L0[W] N1", problem,
          {"m.csv: line 2", "mapping.mapping", "1..2147483648"});
  refuses("L3[WIO] N1 - L2[WI] K65536 - L1[O] K65536 - L0[W] N1", problem,
          {"m.csv: line 2", "mapping.mapping", "factors of K", "4294967296", "at most 2147483648"});
  for (const std::string size : {"9223372036854775807", "9223372036854775808", "1e300"}) {
    refuses("L3[WIO] N1", size + ",1,4,1,16,16,3,3,1", {"m.csv: line 2", "prob.C", "1..2147483648"});
  }
  refuses("L3[WIO] N1", "4,1,4,1,2147483648,16,3,3,1", {"m.csv: line 2", "prob.P", "1..16384"});
}

TEST(Measurements, ArtefactRule) {
  const auto path = reference_data("firesim_train.csv");
  DOSA_SKIP_WITHOUT(path, "firesim_train.csv");
  const Measurements m = read_measurements(*path);
  EXPECT_EQ(m.rows.size(), 1555);
  EXPECT_EQ(m.dropped.begin()->second, 12);
  EXPECT_EQ(m.repaired.at("non-square convolutions ran P x P"), 96);
  EXPECT_EQ(m.repaired.at("matmul recorded again on a machine: operands in the last-level cache"), 272);
  EXPECT_EQ(m.hardware.size(), 5);
}

}  // namespace
}  // namespace dosa
