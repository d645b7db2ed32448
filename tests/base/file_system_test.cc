#include "server/base/file_system.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "server/base/errors.h"
#include "tests/support/testing.h"

namespace timbre {
namespace {

using testing::TempDir;

TEST(FileSystemTest, OutputFileKeepsSmallAndLargeWritesInOrder) {
  const TempDir dir;
  const std::string path = dir.File("f");
  std::string expected;
  {
    auto file = OutputFile::Create(path);
    ASSERT_OK(file);
    for (const size_t size : {10, 3'000'000, 7, 0, 1'048'576}) {
      const std::string piece(size, static_cast<char>('a' + size % 26));
      ASSERT_OK(file->Append(piece.data(), piece.size()));
      expected += piece;
    }
    ASSERT_OK(file->WriteAt(2, "XY"));
    expected.replace(2, 2, "XY");
    EXPECT_EQ(file->size(), expected.size());
    ASSERT_OK(file->Sync());
  }
  const auto contents = ReadFile(path);
  ASSERT_OK(contents);
  EXPECT_TRUE(*contents == expected);
}

TEST(FileSystemTest, WriteFileDurablyReplacesWhole) {
  const TempDir dir;
  ASSERT_OK(WriteFileDurably(dir.File("f"), "first, which is longer"));
  ASSERT_OK(WriteFileDurably(dir.File("f"), "second"));
  EXPECT_EQ(*ReadFile(dir.File("f")), "second");
  EXPECT_EQ(ListDirectory(dir.path())->size(), 1U);
}

TEST(FileSystemTest, RelativeNamesWork) {
  const TempDir dir;
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(dir.path());
  EXPECT_TRUE(WriteFileDurably("f", "x").ok());
  EXPECT_TRUE(RenameDurably("f", "g").ok());
  EXPECT_TRUE(MakeDirectories("a/b").ok());
  std::filesystem::current_path(before);
  EXPECT_EQ(*ReadFile(dir.File("g")), "x");
}

TEST(FileSystemTest, ErrorsNameThePath) {
  const auto missing = ReadFile("/nonexistent/file");
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_NE(missing.status().message().find("/nonexistent/file"),
            absl::string_view::npos);
}

TEST(FileSystemTest, FullDiskIsResourceExhausted) {
  const absl::Status status = FileError(ENOSPC, "write", "x");
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(DetailsOf(status).reason, "DISK_FULL");
}

TEST(FileSystemTest, AShortageNamesItsLimit) {
  const absl::Status files = FileError(EMFILE, "open", "x");
  EXPECT_EQ(files.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(DetailsOf(files).reason, "TOO_MANY_FILES");
  EXPECT_NE(files.message().find("(RLIMIT_NOFILE)"), absl::string_view::npos);
  EXPECT_NE(FileError(ENFILE, "open", "x").message().find("(fs.file-max)"),
            absl::string_view::npos);
  const absl::Status maps = FileError(ENOMEM, "mmap", "x");
  EXPECT_EQ(maps.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(maps.message().find("(vm.max_map_count)"), absl::string_view::npos);
  for (const int errno_value : {EFBIG, EDQUOT}) {
    EXPECT_EQ(FileError(errno_value, "write", "x").code(),
              absl::StatusCode::kResourceExhausted);
  }
}

TEST(FileSystemTest, AReplacementIsSeenWhenItIsCommittedAndGoesOtherwise) {
  const TempDir dir;
  const std::string path = dir.File("f");
  ASSERT_OK(WriteFileDurably(path, "old"));
  {
    auto dropped = Replacement::Prepare(path, "new", FileSystem::Posix(), "");
    ASSERT_OK(dropped);
    EXPECT_EQ(*ReadFile(path), "old");
    const auto names = *ListDirectory(dir.path());
    ASSERT_EQ(names.size(), 2U);
    EXPECT_TRUE(IsTemporaryOf(names[1], "f"));
    EXPECT_FALSE(IsTemporaryOf(names[0], "f"));
  }
  EXPECT_EQ(ListDirectory(dir.path())->size(), 1U);
  auto kept = Replacement::Prepare(path, "new", FileSystem::Posix(), "");
  ASSERT_OK(kept);
  ASSERT_OK(kept->Commit());
  EXPECT_EQ(*ReadFile(path), "new");
}

TEST(FileSystemTest, ANewFileReplacesNone) {
  const TempDir dir;
  ASSERT_OK(WriteNewFile(dir.File("f"), "first"));
  EXPECT_EQ(WriteNewFile(dir.File("f"), "second").code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(*ReadFile(dir.File("f")), "first");
}

TEST(FileSystemTest, RemovingATreeFollowsNoLink) {
  const TempDir dir;
  ASSERT_OK(MakeDirectories(dir.File("theirs")));
  ASSERT_OK(WriteNewFile(dir.File("theirs/f"), "x"));
  ASSERT_OK(MakeDirectories(dir.File("ours")));
  std::filesystem::create_directory_symlink(dir.File("theirs"),
                                            dir.File("ours/link"));
  ASSERT_OK(RemoveTree(dir.File("ours")));
  EXPECT_EQ(*ReadFile(dir.File("theirs/f")), "x");
}

TEST(FileSystemTest, MoreThanExpectedIsNotRead) {
  const TempDir dir;
  ASSERT_OK(WriteNewFile(dir.File("f"), "12345"));
  EXPECT_EQ(*ReadFile(dir.File("f"), FileSystem::Posix(), 5), "12345");
  EXPECT_FALSE(ReadFile(dir.File("f"), FileSystem::Posix(), 4).ok());
}

TEST(FileSystemTest, DirectoriesAreMadeAndRemovedWhole) {
  const TempDir dir;
  ASSERT_OK(MakeDirectories(dir.File("a/b/c")));
  ASSERT_OK(MakeDirectories(dir.File("a/b/c")));
  ASSERT_OK(WriteFileDurably(dir.File("a/b/c/f"), "x"));
  ASSERT_OK(RemoveTree(dir.File("a")));
  ASSERT_OK(RemoveTree(dir.File("a")));
  EXPECT_TRUE(ListDirectory(dir.path())->empty());
}

TEST(FileSystemTest, FilesWithoutASizeAreReadToTheirEnd) {
  const auto status = ReadFile("/proc/self/status");
  ASSERT_OK(status);
  EXPECT_NE(status->find("VmRSS:"), std::string::npos);
}

}  // namespace
}  // namespace timbre
