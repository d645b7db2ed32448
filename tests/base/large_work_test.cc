#include "server/base/large_work.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "server/base/monotonic_clock.h"

namespace timbre {
namespace {

TEST(LargeWorkTest, MemoryIsGivenBackOnceNoneCameForAWhile) {
  const absl::Duration pause = absl::Milliseconds(50);
  std::promise<absl::Time> given_back;
  LargeWork work(pause, [&] { given_back.set_value(MonotonicNow()); });
  absl::Time last;
  for (int i = 0; i < 1000; ++i) {
    work.Saw(LargeWork::kLarge);
    last = MonotonicNow();
  }
  // Once: a second call would throw.
  EXPECT_GE(given_back.get_future().get() + absl::Milliseconds(1),
            last + pause);
}

TEST(LargeWorkTest, SmallMessagesAreNone) {
  std::atomic<int> times = 0;
  {
    LargeWork work(absl::ZeroDuration(), [&] { ++times; });
    for (int i = 0; i < 1000; ++i) work.Saw(LargeWork::kLarge - 1);
  }
  EXPECT_EQ(times, 0);
}

TEST(LargeWorkTest, EachTimeAnew) {
  std::promise<void> first;
  std::promise<void> second;
  std::atomic<int> times = 0;
  LargeWork work(absl::Milliseconds(1), [&] {
    if (++times == 1) first.set_value();
    if (times == 2) second.set_value();
  });
  work.Saw(LargeWork::kLarge);
  first.get_future().get();
  work.Saw(LargeWork::kLarge);
  second.get_future().get();
}

TEST(LargeWorkTest, ItGoesWithoutWaitingForThePause) {
  LargeWork work(absl::Hours(1), [] {});
  work.Saw(LargeWork::kLarge);
}

}  // namespace
}  // namespace timbre
