#include "server/base/cpu_quota.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <limits>

#include "tests/support/testing.h"

namespace timbre {
namespace {

using testing::TempDir;

constexpr double kUnlimited = std::numeric_limits<double>::infinity();

// A directory that looks like /sys/fs/cgroup.
class CpuQuotaTest : public ::testing::Test {
 protected:
  std::string root() const { return dir_.File("cgroup"); }

  void Write(const std::string& path, const std::string& text) const {
    const std::filesystem::path file = root() + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text << "\n";
  }

 private:
  TempDir dir_;
};

TEST_F(CpuQuotaTest, CpuMaxIsUnderstood) {
  EXPECT_DOUBLE_EQ(ParseCpuMax("150000 100000\n"), 1.5);
  EXPECT_EQ(ParseCpuMax("max 100000\n"), kUnlimited);
  EXPECT_EQ(ParseCpuMax("-1 100000"), kUnlimited);
  EXPECT_EQ(ParseCpuMax("inf 100000"), kUnlimited);
  EXPECT_EQ(ParseCpuMax("nonsense"), kUnlimited);
  EXPECT_EQ(ParseCpuMax(""), kUnlimited);
}

TEST_F(CpuQuotaTest, AContainerSeesItsOwnCgroupAsTheRoot) {
  Write("/cpu.max", "150000 100000");
  EXPECT_DOUBLE_EQ(CpuQuota("0::/\n", root()), 1.5);
  // Where the name is the host's.
  EXPECT_DOUBLE_EQ(CpuQuota("0::/kubepods/pod1/abc\n", root()), 1.5);
}

TEST_F(CpuQuotaTest, TheLeastOfACgroupAndThoseAroundItCounts) {
  Write("/system.slice/timbred.service/cpu.max", "max 100000");
  Write("/system.slice/cpu.max", "300000 100000");
  const std::string membership = "0::/system.slice/timbred.service\n";
  EXPECT_DOUBLE_EQ(CpuQuota(membership, root()), 3);
  Write("/system.slice/timbred.service/cpu.max", "50000 100000");
  EXPECT_DOUBLE_EQ(CpuQuota(membership, root()), 0.5);
}

TEST_F(CpuQuotaTest, VersionOneIsReadWhereItsCpuControllerIs) {
  Write("/cpu/docker/abc/cpu.cfs_quota_us", "250000");
  Write("/cpu/docker/abc/cpu.cfs_period_us", "100000");
  Write("/cpu/cpu.cfs_quota_us", "-1");
  Write("/cpu/cpu.cfs_period_us", "100000");
  EXPECT_DOUBLE_EQ(
      CpuQuota("4:memory:/x\n3:cpu,cpuacct:/docker/abc\n0::/\n", root()), 2.5);
  EXPECT_EQ(CpuQuota("3:cpuset:/docker/abc\n", root()), kUnlimited);
}

TEST_F(CpuQuotaTest, WithoutCgroupsThereIsNoLimit) {
  EXPECT_EQ(CpuQuota("", root()), kUnlimited);
  EXPECT_EQ(CpuQuota("0::relative\nnonsense\n1:\n", root()), kUnlimited);
}

TEST_F(CpuQuotaTest, AtLeastOneCpuIsAvailable) {
  EXPECT_GE(AvailableCpus(), 1);
}

}  // namespace
}  // namespace timbre
