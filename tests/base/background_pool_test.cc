#include "server/base/background_pool.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "server/base/courier.h"
#include "server/base/semaphore.h"

namespace timbre {
namespace {

constexpr absl::Duration kLong = absl::Seconds(60);

TEST(SemaphoreTest, WaitingEndsWithItsTime) {
  Semaphore semaphore;
  EXPECT_FALSE(semaphore.WaitFor(absl::Milliseconds(1)));
  semaphore.Post();
  EXPECT_TRUE(semaphore.WaitFor(absl::ZeroDuration()));
}

TEST(CourierTest, TasksOfAThreadRunInTheirOrderAndAllBeforeTheEnd) {
  std::vector<int> seen;
  {
    Courier courier("test");
    for (int i = 0; i < 1000; ++i) {
      courier.Post([&seen, i] { seen.push_back(i); });
    }
  }
  ASSERT_EQ(seen.size(), 1000U);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(seen[static_cast<size_t>(i)], i);
}

TEST(CourierTest, NothingIsLostThatManyThreadsPost) {
  int count = 0;  // of the courier's thread
  {
    Courier courier("test");
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 5000; ++i) courier.Post([&count] { ++count; });
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_EQ(count, 20'000);
}

TEST(CourierTest, WhatIsPostedAfterTheEndIsDestroyedUnrun) {
  const auto held = std::make_shared<int>(0);
  {
    Courier courier("test");
    courier.Stop();
    courier.Post([held] { ++*held; });
  }
  EXPECT_EQ(*held, 0);
  EXPECT_EQ(held.use_count(), 1);
}

// Says on which thread it was destroyed.
class Witness {
 public:
  explicit Witness(std::thread::id& destroyed_on)
      : destroyed_on_(destroyed_on) {}
  ~Witness() { destroyed_on_ = std::this_thread::get_id(); }
  Witness(const Witness&) = delete;
  Witness& operator=(const Witness&) = delete;

 private:
  std::thread::id& destroyed_on_;
};

TEST(BackgroundPoolTest,
     WorkRunsAtTheLowestPriorityAndIsStartedAndDestroyedAtNormal) {
  std::thread::id started_on;
  std::thread::id worked_on;
  std::thread::id destroyed_on;
  std::thread::id handed_to;
  int policy = -1;
  {
    BackgroundPool pool("test", 1);
    pool.Submit([&]() -> BackgroundPool::Work {
      started_on = std::this_thread::get_id();
      return [&, witness = std::make_shared<Witness>(destroyed_on)] {
        worked_on = std::this_thread::get_id();
        policy = sched_getscheduler(0);
        pool.HandOver([&] { handed_to = std::this_thread::get_id(); });
      };
    });
  }
  EXPECT_EQ(policy, SCHED_IDLE);
  EXPECT_NE(worked_on, started_on);
  EXPECT_EQ(destroyed_on, started_on);
  EXPECT_EQ(handed_to, started_on);
}

TEST(BackgroundPoolTest, WhatWaitsIsCalledOffWhenItsTurnComes) {
  BackgroundPool pool("test", 1);
  Semaphore proceed;
  Semaphore done;
  bool called_off = false;
  std::vector<std::string> ran;
  pool.Submit([&] {
    return [&] {
      proceed.Wait();
      ran.emplace_back("first");
    };
  });
  pool.Submit([&]() -> BackgroundPool::Work {
    if (called_off) return nullptr;
    return [&] { ran.emplace_back("second"); };
  });
  pool.Submit([&] {
    return [&] {
      ran.emplace_back("third");
      done.Post();
    };
  });
  called_off = true;  // before the first one has ended
  proceed.Post();
  ASSERT_TRUE(done.WaitFor(kLong));
  EXPECT_EQ(ran, (std::vector<std::string>{"first", "third"}));
}

TEST(BackgroundPoolTest, StopFinishesWhatWasSubmittedOnAllThreads) {
  std::atomic<int> ran{0};
  BackgroundPool pool("test", 3);
  for (int i = 0; i < 100; ++i) {
    pool.Submit([&ran] { return [&ran] { ++ran; }; });
  }
  pool.Stop();
  EXPECT_EQ(ran, 100);
  pool.Submit([&ran] { return [&ran] { ++ran; }; });
  pool.Stop();
  EXPECT_EQ(ran, 100);
}

}  // namespace
}  // namespace timbre
