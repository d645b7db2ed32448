#include "server/catalog/store/stored_files.h"

#include <gmock/gmock.h>

#include <string>

#include "server/base/checksum.h"
#include "server/base/errors.h"
#include "server/catalog/records/file_names.h"
#include "tests/support/testing.h"

namespace timbre {
namespace {

using ::testing::HasSubstr;
using testing::TempDir;

class StoredFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* const name : {"a", "b"}) {
      const std::string contents = std::string(500'000, 'x') + name;
      ASSERT_OK(WriteFileDurably(dir_.File(name), contents));
      storage::StoredFile& file = *manifest_.add_files();
      file.set_name(name);
      file.set_bytes(contents.size());
      file.set_digest(DigestOf(contents));
    }
  }

  absl::Status Check() {
    return CheckStoredFiles(dir_.path(), manifest_, FileSystem::Posix(),
                            [this](size_t bytes) {
                              read_ += bytes;
                              return !stop_;
                            });
  }

  const TempDir dir_;
  storage::Manifest manifest_;
  size_t read_ = 0;
  bool stop_ = false;
};

TEST_F(StoredFilesTest, WhatWasPublishedIsWhole) {
  ASSERT_OK(Check());
  EXPECT_EQ(read_, size_t{1'000'002});
}

TEST_F(StoredFilesTest, OneOtherByteIsDamageOfThatFile) {
  std::string contents = *ReadFile(dir_.File("b"));
  contents[250'000] ^= 1;
  ASSERT_OK(WriteFileDurably(dir_.File("b"), contents));
  const absl::Status status = Check();
  EXPECT_EQ(DetailsOf(status).reason, "FILE_CORRUPT");
  EXPECT_TRUE(absl::IsDataLoss(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("/b: the digest"));
}

TEST_F(StoredFilesTest, FilesThatAreGoneOrOfAnotherSizeAreDamage) {
  ASSERT_OK(WriteFileDurably(dir_.File("a"), "short"));
  EXPECT_THAT(std::string(Check().message()),
              HasSubstr("/a: has 5 bytes; expected 500001"));
  ASSERT_OK(FileSystem::Posix().Remove(dir_.File("a")));
  EXPECT_TRUE(absl::IsDataLoss(Check()));
}

TEST_F(StoredFilesTest, AStampIsAnotherOneAfterEveryChangeOfAFile) {
  const std::string path = dir_.File(kFramesFile);
  FileSystem& files = FileSystem::Posix();
  const uint64_t without = *StampOfFiles(dir_.path(), files);
  ASSERT_OK(WriteFileDurably(path, "frames"));
  const uint64_t with = *StampOfFiles(dir_.path(), files);
  EXPECT_NE(with, without);
  EXPECT_EQ(*StampOfFiles(dir_.path(), files), with);
  ASSERT_OK(WriteFileDurably(path, "frames"));
  EXPECT_NE(*StampOfFiles(dir_.path(), files), with) << "another file";
  ASSERT_OK(files.Remove(path));
  EXPECT_EQ(*StampOfFiles(dir_.path(), files), without);
}

TEST_F(StoredFilesTest, WhoCallsItOffLearnsNothing) {
  stop_ = true;
  EXPECT_TRUE(absl::IsCancelled(Check()));
}

}  // namespace
}  // namespace timbre
