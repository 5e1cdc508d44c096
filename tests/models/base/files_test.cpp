#include "dosa/models/base/files.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "tests/support.hpp"

namespace dosa {
namespace {

using ::testing::ElementsAre;
using testing::expect_error;
using testing::TemporaryFolder;

std::string write_gzip(const TemporaryFolder& folder, const std::string& name, const std::string& content) {
  const std::string path = (folder.path() / name).string();
  gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, content.data(), static_cast<unsigned>(content.size()));
  gzclose(file);
  return path;
}

TEST(Files, ReadPlainAndCompressed) {
  const TemporaryFolder folder;
  const std::string content = std::string("one\ntwo\0three", 13) + std::string(200000, 'x');
  EXPECT_EQ(read_file(folder.file("plain", content)), content);
  EXPECT_EQ(read_file(write_gzip(folder, "packed.gz", content)), content);
  EXPECT_EQ(read_file(folder.file("empty", "")), "");
}

TEST(Files, ReadErrorsNameTheFile) {
  const TemporaryFolder folder;
  const std::string missing = (folder.path() / "missing.json").string();
  expect_error([&] { read_file(missing); }, ErrorId::kFile, {missing, "No such file"});
  expect_error([&] { read_file(folder.path()); }, ErrorId::kFile, {folder.path().string(), "is a folder"});
}

TEST(Files, ReadTakesRegularFilesOnly) {
  const TemporaryFolder folder;
  const std::string pipe = (folder.path() / "pipe").string();
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  expect_error([&] { read_file(pipe); }, ErrorId::kFile, {pipe, "is a pipe or a device", "a regular file"});
  for (const std::string device : {"/dev/zero", "/dev/null"}) {
    expect_error([&] { read_file(device); }, ErrorId::kFile, {device, "is a pipe or a device"});
  }
}

TEST(Files, ReadBoundsWhatItHolds) {
  const TemporaryFolder folder;
  const std::string large = folder.file("large", "");
  std::filesystem::resize_file(large, (std::uintmax_t{1} << 30) + 1);
  expect_error([&] { read_file(large); }, ErrorId::kFile, {large, "holds more than the 1024 MiB"});
  const std::string packed = (folder.path() / "packed.gz").string();
  gzFile file = gzopen(packed.c_str(), "wb1");
  const std::string zeros(1 << 20, '\0');
  for (int i = 0; i < 257; ++i) gzwrite(file, zeros.data(), static_cast<unsigned>(zeros.size()));
  gzclose(file);
  expect_error([&] { read_file(packed); }, ErrorId::kFile, {packed, "unpacks to more than the 256 MiB"});
}

TEST(Files, ReadRefusesDamagedCompression) {
  const TemporaryFolder folder;
  std::string noise;
  for (unsigned i = 0, value = 1; i < 50000; ++i, value = value * 1664525 + 1013904223) {
    noise += static_cast<char>(value >> 24);
  }
  std::string packed;
  {
    const std::string path = write_gzip(folder, "whole.gz", noise);
    FILE* file = std::fopen(path.c_str(), "rb");
    for (int c; (c = std::fgetc(file)) != EOF;) packed += static_cast<char>(c);
    std::fclose(file);
  }
  const std::string cut = folder.file("cut.gz", packed.substr(0, packed.size() / 2));
  expect_error([&] { read_file(cut); }, ErrorId::kFile, {cut, "cannot be read"});
  packed[packed.size() / 2] = static_cast<char>(packed[packed.size() / 2] ^ 0x55);
  const std::string flipped = folder.file("flipped.gz", packed);
  expect_error([&] { read_file(flipped); }, ErrorId::kFile, {flipped, "cannot be read"});
}

TEST(Files, WriteReplacesAndLeavesNothingElse) {
  const TemporaryFolder folder;
  const std::string path = folder.file("out.json", "old");
  write_file(path, "new");
  EXPECT_EQ(read_file(path), "new");
  write_file(path, std::string(300000, 'y'));
  EXPECT_EQ(read_file(path).size(), 300000u);
  EXPECT_EQ(folder.count(), 1u);
}

TEST(Files, WriteHonoursTheMask) {
  const TemporaryFolder folder;
  const mode_t mask = umask(027);
  const std::string path = (folder.path() / "out").string();
  write_file(path, "text");
  umask(mask);
  struct stat status {};
  ASSERT_EQ(stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0640u);
}

/// What a limit on the size of files, as ulimit sets it, leaves in a folder: written by a process of its own.
TEST(Files, AFileThatMayNotGrowLeavesTheOldOne) {
  const TemporaryFolder folder;
  const std::string path = folder.file("out.json", "old");
  const pid_t child = fork();
  if (child == 0) {
    const rlimit limit{1024, 1024};
    setrlimit(RLIMIT_FSIZE, &limit);
    std::signal(SIGXFSZ, SIG_IGN);
    try {
      write_file(path, std::string(300000, 'y'));
    } catch (const Error& error) {
      _exit(std::string(error.what()).find("cannot be written: File too large") != std::string::npos ? 0 : 1);
    }
    _exit(2);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(read_file(path), "old");
  EXPECT_EQ(folder.count(), 1u);
}

TEST(Files, WritersOfOneFileDoNotMix) {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "out.json").string();
  std::vector<std::thread> writers;
  for (char name = 'a'; name < 'e'; ++name) {
    writers.emplace_back([&path, name] {
      for (int i = 0; i < 20; ++i) write_file(path, std::string(100000, name));
    });
  }
  for (std::thread& writer : writers) writer.join();
  const std::string content = read_file(path);
  EXPECT_EQ(content, std::string(100000, content.front()));
  EXPECT_EQ(folder.count(), 1u);
}

TEST(Files, FailedWriteLeavesTheFolderAsItWas) {
  const TemporaryFolder folder;
  const std::string taken = (folder.path() / "taken").string();
  std::filesystem::create_directory(taken);
  expect_error([&] { write_file(taken, "text"); }, ErrorId::kFile, {taken, "cannot be written"});
  EXPECT_TRUE(std::filesystem::is_directory(taken));
  EXPECT_EQ(folder.count(), 1u);
  const std::string nowhere = (folder.path() / "none" / "out.json").string();
  expect_error([&] { write_file(nowhere, "text"); }, ErrorId::kFile, {nowhere, "cannot be written"});
}

TEST(Files, WritabilityIsKnownBeforehand) {
  const TemporaryFolder folder;
  check_writable(folder.path() / "out.json");
  EXPECT_EQ(folder.count(), 0u) << "the check must leave nothing behind";
  const std::string kept = folder.file("kept", "content");
  check_writable(kept);
  EXPECT_EQ(read_file(kept), "content");
  const std::string nowhere = (folder.path() / "none" / "out.json").string();
  expect_error([&] { check_writable(nowhere); }, ErrorId::kFile, {nowhere, "does not exist"});
  expect_error([&] { check_writable(folder.path()); }, ErrorId::kFile, {"is a folder"});
  if (geteuid() == 0) return;  // root may write everywhere
  chmod(folder.path().c_str(), 0500);
  expect_error([&] { check_writable(folder.path() / "out.json"); }, ErrorId::kFile, {"Permission denied"});
  chmod(folder.path().c_str(), 0700);
}

TEST(Files, WhatAKilledWriterLeftIsRemovedUnlessItStillWrites) {
  const TemporaryFolder folder;
  const std::string path = folder.file("out.json", "old");
  const std::string left = folder.file("out.json.dosa-0123456789abcdef", "left");
  const std::string locked = folder.file("out.json.dosa-fedcba9876543210", "still written");
  for (const char* kept : {"out.json.dosa-0123456789abcde", "out.json.dosa-0123456789abcdeF", "out.json.old",
                           "other.json.dosa-0123456789abcdef"})
    folder.file(kept, "another's");
  const int writer = open(locked.c_str(), O_WRONLY);
  ASSERT_EQ(flock(writer, LOCK_EX | LOCK_NB), 0);
  check_writable(path);
  EXPECT_FALSE(std::filesystem::exists(left));
  EXPECT_EQ(read_file(locked), "still written");
  EXPECT_EQ(folder.count(), 6u);
  close(writer);
  check_writable(path);
  EXPECT_EQ(folder.count(), 5u);
  EXPECT_EQ(read_file(path), "old");
}

/// Killed at any moment, also of replacing: the file is always whole, and what else is left goes away.
TEST(Files, AKilledWriterLeavesAWholeFile) {
  const TemporaryFolder folder;
  const std::string path = folder.file("out.json", std::string(50000, 'a'));
  for (int kills = 0; kills < 50; ++kills) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(60);  // should nobody kill it
      for (char letter = 'a';; letter = letter == 'z' ? 'a' : static_cast<char>(letter + 1))
        write_file(path, std::string(50000, letter));
    }
    usleep(static_cast<useconds_t>(1000 + kills * 37));
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    const std::string content = read_file(path);
    ASSERT_EQ(content, std::string(50000, content.front()));
  }
  check_writable(path);
  EXPECT_EQ(folder.count(), 1u);
}

TEST(Files, ShippedNamesAndPaths) {
  const std::vector<std::string> networks = shipped_names("workloads");
  EXPECT_TRUE(std::is_sorted(networks.begin(), networks.end()));
  EXPECT_THAT(networks, ::testing::IsSupersetOf({"alexnet", "bert", "llama3_8b_decode", "vgg16"}));
  EXPECT_EQ(resolve_shipped("resnet50", "workloads"), data_folder() / "workloads" / "resnet50.json");
  EXPECT_EQ(resolve_shipped("./resnet50", "workloads"), "./resnet50");
  EXPECT_EQ(resolve_shipped("my.json", "workloads"), "my.json");
}

TEST(Files, UnknownNameOffersTheNearest) {
  expect_error([] { resolve_shipped("resnet-50", "workloads"); }, ErrorId::kValue,
               {"'resnet-50'", "did you mean", "resnet50"});
  expect_error(
      [] { resolve_shipped("simba", "workloads"); }, ErrorId::kValue,
      {"'simba' is a machine, expected a network; --machine takes it; shipped in data/workloads: alexnet"});
  expect_error([] { resolve_shipped("bert", "hardware"); }, ErrorId::kValue,
               {"'bert' is a network, expected a machine", "shipped in data/hardware: eyeriss"});
  expect_error([] { resolve_shipped("mobilenet", "workloads"); }, ErrorId::kValue, {"mobilenet_v2"});
  expect_error([] { resolve_shipped("zzzzzzzzzzzz", "workloads"); }, ErrorId::kValue,
               {"shipped: alexnet, bert"});
}

TEST(Files, NearestIsRankedAndShort) {
  EXPECT_THAT(nearest("abcd", {"abcx", "zzzz", "abcd", "abxx"}), ElementsAre("abcd", "abcx", "abxx"));
  EXPECT_THAT(nearest("q", {"abcdefghi"}), ElementsAre());
}

}  // namespace
}  // namespace dosa
