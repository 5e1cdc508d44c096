#include "dosa/models/base/folder.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "dosa/models/base/files.hpp"
#include "tests/support.hpp"

namespace dosa {
namespace {

namespace fs = std::filesystem;
using testing::expect_error;
using testing::TemporaryFolder;

bool is_a_design(const fs::directory_entry& entry) { return entry.path().extension() == ".json"; }

TEST(NewFolder, AppearsWhenItIsComplete) {
  const TemporaryFolder folder;
  const fs::path out = folder.path() / "out";
  NewFolder target(out.string() + "/", is_a_design, "older designs");
  write_file(target.path() / "a.json", "1");
  EXPECT_FALSE(fs::exists(out));
  target.commit();
  EXPECT_EQ(read_file(out / "a.json"), "1");
  EXPECT_EQ(folder.count(), 1u) << "the temporary folder is gone";
  const mode_t mask = umask(0);
  umask(mask);
  EXPECT_EQ(fs::status(out).permissions(), static_cast<fs::perms>(0777 & ~mask));
}

TEST(NewFolder, LeavesNothingWithoutCommit) {
  const TemporaryFolder folder;
  {
    const NewFolder target(folder.path() / "out", is_a_design, "older designs");
    write_file(target.path() / "a.json", "1");
  }
  EXPECT_EQ(folder.count(), 0u);
}

TEST(NewFolder, RemovesWhatAKilledProgramLeftAndNothingElse) {
  const TemporaryFolder folder;
  const fs::path out = folder.path() / "out", left = folder.path() / "out.dosa-0123456789abcdef";
  fs::create_directory(left);
  write_file(left / "a.json", "half");
  NewFolder still_written(out, is_a_design, "older designs");
  EXPECT_FALSE(fs::exists(left));
  NewFolder target(out, is_a_design, "older designs");
  write_file(still_written.path() / "b.json", "whole");
  still_written.commit();
  EXPECT_EQ(read_file(out / "b.json"), "whole");
}

TEST(NewFolder, ReplacesWhatMayBeReplaced) {
  const TemporaryFolder folder;
  const fs::path out = folder.path() / "out";
  fs::create_directory(out);
  write_file(out / "old.json", "0");
  NewFolder target(out, is_a_design, "older designs");
  write_file(target.path() / "new.json", "1");
  EXPECT_EQ(read_file(out / "old.json"), "0") << "until the new one is complete";
  target.commit();
  EXPECT_FALSE(fs::exists(out / "old.json"));
  EXPECT_EQ(read_file(out / "new.json"), "1");
  EXPECT_EQ(folder.count(), 1u);
}

TEST(NewFolder, NothingElseIsLost) {
  const TemporaryFolder folder;
  const fs::path out = folder.path() / "out";
  fs::create_directory(out);
  write_file(out / "notes.txt", "mine");
  expect_error([&] { NewFolder(out, is_a_design, "older designs"); }, ErrorId::kFile,
               {"out: holds 'notes.txt'; expected a new folder, an empty one, or older designs alone"});
  expect_error([&] { NewFolder(out / "notes.txt", is_a_design, "older designs"); }, ErrorId::kFile,
               {"notes.txt: is no folder"});
  expect_error([&] { NewFolder(folder.path() / "missing" / "out", is_a_design, "older designs"); },
               ErrorId::kFile, {"the folder", "missing does not exist"});
  fs::remove(out / "notes.txt");
  NewFolder late(out, is_a_design, "older designs");
  write_file(out / "notes.txt", "written meanwhile");
  expect_error([&] { late.commit(); }, ErrorId::kFile, {"holds 'notes.txt'"});
  EXPECT_EQ(read_file(out / "notes.txt"), "written meanwhile");
}

TEST(WriteFolder, ReplacesWhatAnEarlierListNamesAndNothingElse) {
  const TemporaryFolder folder;
  const fs::path out = folder.path() / "out";
  EXPECT_THROW(write_folder(out, "test", {{"a", "1"}, {"no/such/folder", "2"}}), Error);
  EXPECT_FALSE(fs::exists(out)) << "whole or not at all";
  write_folder(out, "test", {{"a", "1"}, {"b", "2"}});
  write_folder(out, "test", {{"a", "3"}});
  EXPECT_EQ(read_file(out / "a"), "3");
  EXPECT_FALSE(fs::exists(out / "b"));
  write_file(out / "notes.txt", "mine");
  expect_error(
      [&] {
        write_folder(out, "test", {{"a", "4"}});
      },
      ErrorId::kFile, {"holds 'notes.txt'", "an earlier export"});
  EXPECT_EQ(read_file(out / "a"), "3");
  EXPECT_EQ(read_file(out / "notes.txt"), "mine");
}

}  // namespace
}  // namespace dosa
