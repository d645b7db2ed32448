#include "server/app/port_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <optional>

#include "server/base/errors.h"
#include "server/base/file_system.h"
#include "tests/support/testing.h"

namespace timbre {
namespace {

using testing::TempDir;

void Put(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}

TEST(PortFileTest, ItHoldsThePortsAndGoesWithTheServer) {
  const TempDir dir;
  const std::string path = dir.File("ports");
  {
    PortFile file(path);
    ASSERT_OK(file.Write(7400, 7401));
    EXPECT_EQ(*ReadFile(path), "grpc=7400\nmetrics=7401\n");
    EXPECT_EQ(ListDirectory(dir.path())->size(), 1U);
  }
  EXPECT_TRUE(ListDirectory(dir.path())->empty());
}

TEST(PortFileTest, AnEmptyFileAndTheOneOfAKilledServerAreReplaced) {
  const TempDir dir;
  for (const std::string left : {"", "grpc=1\nmetrics=2\n"}) {
    const std::string path = dir.File("ports");
    Put(path, left);
    PortFile file(path);
    ASSERT_OK(file.Check());
    ASSERT_OK(file.Write(3, 4));
    EXPECT_EQ(*ReadFile(path), "grpc=3\nmetrics=4\n");
  }
}

TEST(PortFileTest, WhatIsNoPortFileIsRefusedAndLeftAsItIs) {
  const TempDir dir;
  const std::string foreign = dir.File("notes");
  Put(foreign, "mine\n");
  const std::string long_one = dir.File("long");
  Put(long_one, "grpc=1\n" + std::string(100, 'x'));
  const std::string directory = dir.File("directory");
  ASSERT_EQ(mkdir(directory.c_str(), 0700), 0);
  Put(directory + "/inside", "mine\n");
  const std::string link = dir.File("link");
  ASSERT_EQ(symlink(foreign.c_str(), link.c_str()), 0);
  const std::string pipe = dir.File("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  for (const std::string& path : {foreign, long_one, directory, link, pipe}) {
    PortFile file(path);
    EXPECT_EQ(DetailsOf(file.Check()).field, "--port_file") << path;
    EXPECT_EQ(file.Write(1, 2).code(), absl::StatusCode::kInvalidArgument)
        << path;
  }
  EXPECT_EQ(*ReadFile(foreign), "mine\n");
  EXPECT_EQ(*ReadFile(directory + "/inside"), "mine\n");
  EXPECT_EQ(ListDirectory(dir.path())->size(), 5U);
}

TEST(PortFileTest, TheFileOfAnotherServerIsNotRemoved) {
  const TempDir dir;
  const std::string path = dir.File("ports");
  std::optional<PortFile> old;
  old.emplace(path);
  ASSERT_OK(old->Write(1, 2));
  PortFile next(path);
  ASSERT_OK(next.Write(3, 4));
  old.reset();
  EXPECT_EQ(*ReadFile(path), "grpc=3\nmetrics=4\n");
}

TEST(PortFileTest, AMissingDirectoryIsNamed) {
  const TempDir dir;
  PortFile file(dir.File("no/ports"));
  const absl::Status status = file.Write(1, 2);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(DetailsOf(file.Check()).field, "--port_file");
  EXPECT_NE(status.message().find("no/ports"), absl::string_view::npos);
}

}  // namespace
}  // namespace timbre
