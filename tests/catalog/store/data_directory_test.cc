#include "server/catalog/store/data_directory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "server/base/errors.h"
#include "server/catalog/catalog.h"
#include "tests/support/testing.h"

namespace timbre {
namespace {

using testing::TempDir;

constexpr char kFormat[] = "timbre 1\n";

class DataDirectoryTest : public ::testing::Test {
 protected:
  // A file of DIR, or with a slash at the end a directory.
  void Make(const std::string& name, const std::string& contents = "") {
    const std::string path = Path(name);
    std::filesystem::create_directories(
        std::filesystem::path(path).parent_path());
    if (name.back() != '/') std::ofstream(path, std::ios::binary) << contents;
  }

  std::string Path(const std::string& name) const {
    return dir_.File("data/" + name);
  }

  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(dir_.File("data"))) {
      names.push_back(entry.path().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  absl::Status Start() const {
    return Catalog::Open(
               {.data_dir = dir_.File("data"), .kernels = &BestKernels()})
        .status();
  }

  void ExpectAccepted() {
    const absl::Status status = Start();
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(*ReadFile(Path("FORMAT")), kFormat);
    EXPECT_TRUE(Start().ok());
  }

  // Nothing is created or removed.
  void ExpectRefused(const std::string& reason, const std::string& text) {
    const auto before = Names();
    const absl::Status status = Start();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_EQ(DetailsOf(status).reason, reason);
    EXPECT_NE(status.message().find(text), absl::string_view::npos) << status;
    EXPECT_NE(status.message().find("--data_dir=" + dir_.File("data")),
              absl::string_view::npos)
        << status;
    EXPECT_EQ(Names(), before);
  }

  TempDir dir_;
};

TEST_F(DataDirectoryTest, ADirectoryThatDoesNotExistIsMade) {
  ExpectAccepted();
}

TEST_F(DataDirectoryTest, AVolumeOfItsOwnIsEmpty) {
  Make("lost+found/");
  Make(".snapshot/hourly/");
  ExpectAccepted();
}

TEST_F(DataDirectoryTest, AFormatThatWasNotFinishedIsWrittenAnew) {
  for (const char* const written : {"", "timb", "timbre 1"}) {
    Make("FORMAT", written);
    Make("FORMAT.0123456789abcdef.tmp", "tim");
    ExpectAccepted();
    EXPECT_FALSE(std::filesystem::exists(Path("FORMAT.0123456789abcdef.tmp")));
    std::filesystem::remove_all(dir_.File("data"));
  }
}

TEST_F(DataDirectoryTest, WhatServersLeftThatWroteNoFormatGetsIt) {
  Make("LOCK");
  Make("staging/");
  Make("speakers/alice/state.json", "damaged");
  Make("ports", "grpc=1\n");
  ExpectAccepted();
  std::filesystem::remove_all(dir_.File("data"));
  Make("speakers/alice/3/manifest.json", "damaged");
  Make("speakers/A Stranger/", "");
  ExpectAccepted();
}

TEST_F(DataDirectoryTest, OneInWhichNothingWasPublishedIsOneToo) {
  Make("LOCK");
  Make("staging/alice.1/received.npy", "half");
  Make("speakers/alice/");
  Make("lost+found/");
  ExpectAccepted();
  EXPECT_FALSE(std::filesystem::exists(Path("staging/alice.1")));
}

TEST_F(DataDirectoryTest, StrangersDirectoriesAreRefusedAndLeftAsTheyAre) {
  const std::vector<std::string> strangers[] = {
      {"staging/"},
      {"staging/release.tar"},
      {"LOCK"},
      {"notes.txt"},
      {"speakers/left.wav", "speakers/right.wav"},
      {"speakers/"},
      {"speakers/alice/1/take.wav"},
      {"LOCK", "speakers/", "staging/release.tar"},
      {"LOCK", "speakers/", "staging/", "notes.txt"},
      {"FORMAT", "notes.txt"},
      {"FORMAT", "staging/release.tar"}};
  for (const std::vector<std::string>& names : strangers) {
    for (const std::string& name : names) Make(name);
    ExpectRefused("NOT_A_DATA_DIRECTORY", "nothing in it was touched");
    std::filesystem::remove_all(dir_.File("data"));
  }
}

TEST_F(DataDirectoryTest, ARefusalNamesWhatIsInTheWay) {
  Make("lost+found/");
  Make("notes.txt");
  ExpectRefused("NOT_A_DATA_DIRECTORY", "it holds \"notes.txt\"");
}

TEST_F(DataDirectoryTest, AnotherFormatIsRefusedByName) {
  Make("FORMAT", "timbre 2\n");
  Make("speakers/alice/state.json");
  ExpectRefused("OTHER_FORMAT", "has format \"timbre 2\"");
  Make("FORMAT", "leveldb\n");
  ExpectRefused("NOT_A_DATA_DIRECTORY", "its FORMAT is not one of Timbre's");
  Make("FORMAT", std::string(100'000, 't'));
  ExpectRefused("NOT_A_DATA_DIRECTORY", "its FORMAT is not one of Timbre's");
}

}  // namespace
}  // namespace timbre
