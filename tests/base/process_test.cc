#include "server/base/process.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

namespace timbre {
namespace {

bool IsDevNull(int fd) {
  struct stat expected {};
  struct stat found {};
  return stat("/dev/null", &expected) == 0 && fstat(fd, &found) == 0 &&
         found.st_rdev == expected.st_rdev && S_ISCHR(found.st_mode);
}

// In a process of its own, which loses its descriptors.
[[noreturn]] void CloseAndOpen(const std::vector<int>& closed) {
  closefrom(3);
  for (const int fd : closed) close(fd);
  OpenStandardDescriptors();
  for (const int fd : closed) {
    if (!IsDevNull(fd)) std::_Exit(1);
  }
  std::_Exit(dup(0) == 3 ? 0 : 2);  // nothing else was opened
}

TEST(ProcessTest, ClosedStandardDescriptorsAreOpenedOnDevNull) {
  for (const std::vector<int>& closed :
       {std::vector<int>{}, {2}, {1}, {0, 2}, {0, 1, 2}}) {
    EXPECT_EXIT(CloseAndOpen(closed), ::testing::ExitedWithCode(0), "");
  }
}

[[noreturn]] void LowerAndRaiseTheLimit() {
  rlimit limit{.rlim_cur = 64, .rlim_max = 128};
  setrlimit(RLIMIT_NOFILE, &limit);
  RaiseDescriptorLimit();
  getrlimit(RLIMIT_NOFILE, &limit);
  std::_Exit(limit.rlim_cur == 128 ? 0 : 1);
}

TEST(ProcessTest, TheDescriptorLimitIsRaisedToTheHardOne) {
  EXPECT_EXIT(LowerAndRaiseTheLimit(), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace timbre
