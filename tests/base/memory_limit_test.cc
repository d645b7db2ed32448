#include "server/base/memory_limit.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/testing.h"

namespace timbre {
namespace {

void Put(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(
      std::filesystem::path(path).parent_path());
  std::ofstream(path) << text;
}

TEST(MemoryLimit, IsTheLeastOfTheCgroupAndThoseAroundIt) {
  const testing::TempDir root;
  Put(root.File("memory.max"), "max\n");
  Put(root.File("pods/memory.max"), "1000\n");
  Put(root.File("pods/one/memory.max"), "2000\n");
  Put(root.File("memory/a/memory.limit_in_bytes"), "700\n");
  EXPECT_EQ(CgroupMemoryLimit("0::/pods/one\n", root.path()), 1000U);
  EXPECT_EQ(CgroupMemoryLimit("0::/\n", root.path()), UINT64_MAX);
  EXPECT_EQ(CgroupMemoryLimit("5:memory:/a\n0::/pods\n", root.path()), 700U);
  EXPECT_EQ(CgroupMemoryLimit("", root.path()), UINT64_MAX);
}

TEST(MemoryLimit, IsFullWhereLessThanATenthIsFree) {
  const testing::TempDir root;
  Put(root.File("memory.max"), "1000\n");
  Put(root.File("memory.current"), "900\n");
  Put(root.File("memory/a/memory.limit_in_bytes"), "1000\n");
  Put(root.File("memory/a/memory.usage_in_bytes"), "901\n");
  EXPECT_EQ(CgroupFreeMemory("0::/\n", root.path()), 100U);
  EXPECT_EQ(CgroupFreeMemory("5:memory:/a\n", root.path()), 0U);
  EXPECT_EQ(CgroupFreeMemory("5:memory:/a\n0::/\n", root.path()), 0U);
  EXPECT_EQ(CgroupFreeMemory("", root.path()), UINT64_MAX);
  EXPECT_TRUE(MemoryIsFull(UINT64_MAX));
}

TEST(MemoryLimit, ThisMachineHasSome) {
  EXPECT_GT(AvailableMemory(), uint64_t{64} << 20);
  EXPECT_GE(MaxMappings(), 1024U);
}

}  // namespace
}  // namespace timbre
