#include "server/base/mutex.h"

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <thread>
#include <vector>

namespace timbre {
namespace {

struct Counter {
  Mutex mutex;
  std::condition_variable changed;
  int value ABSL_GUARDED_BY(mutex) = 0;
};

TEST(MutexTest, NothingIsLostWhereThreadsTakeTurns) {
  Counter counter;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&counter] {
      for (int j = 0; j < 1000; ++j) {
        const MutexLock lock(counter.mutex);
        ++counter.value;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const MutexLock lock(counter.mutex);
  EXPECT_EQ(counter.value, 4000);
}

TEST(MutexTest, WhoWaitsLetsOthersIn) {
  Counter counter;
  std::thread other([&counter] {
    const MutexLock lock(counter.mutex);
    counter.value = 1;
    counter.changed.notify_one();
  });
  {
    MutexLock lock(counter.mutex);
    while (counter.value == 0) lock.Wait(counter.changed);
    EXPECT_EQ(counter.value, 1);
  }
  other.join();
}

TEST(MutexTest, AWaitEndsWithItsTime) {
  Counter counter;
  MutexLock lock(counter.mutex);
  EXPECT_EQ(lock.WaitUntil(counter.changed, std::chrono::steady_clock::now()),
            std::cv_status::timeout);
  EXPECT_EQ(lock.WaitFor(counter.changed, std::chrono::seconds(0)),
            std::cv_status::timeout);
}

TEST(MutexTest, BetweenUnlockAndLockItIsFree) {
  Counter counter;
  MutexLock lock(counter.mutex);
  lock.Unlock();
  {
    const MutexLock other(counter.mutex);
    counter.value = 2;
  }
  lock.Lock();
  EXPECT_EQ(counter.value, 2);
}

}  // namespace
}  // namespace timbre
