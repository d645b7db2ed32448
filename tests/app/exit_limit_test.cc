#include "server/app/exit_limit.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

namespace timbre {
namespace {

TEST(ExitLimitTest, WhatTakesLongerIsCutOff) {
  std::promise<void> late;
  const ExitLimit limit(absl::Milliseconds(1), [&late] { late.set_value(); });
  EXPECT_EQ(late.get_future().wait_for(std::chrono::seconds(30)),
            std::future_status::ready);
}

TEST(ExitLimitTest, WhatEndsInTimeIsNot) {
  std::atomic<bool> late = false;
  {
    const ExitLimit limit(absl::Hours(1), [&late] { late = true; });
  }
  EXPECT_FALSE(late);
}

}  // namespace
}  // namespace timbre
