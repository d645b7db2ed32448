#include "server/service/live/pieces.h"

#include <gmock/gmock.h>

#include <atomic>
#include <future>
#include <latch>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "server/base/mutex.h"

namespace timbre {
namespace {

// Estimated at some 8 us a frame: few frames are worth no helper.
constexpr IndexShape kShape = {
    .kind = IndexKind::kIvfPq, .rows = 100'000, .nlist = 1024};

ResolvedSearch Asked() {
  ResolvedSearch search;
  search.settings = {.k = 8, .nprobe = 16, .candidates = 32};
  search.nprobe = 16;
  return search;
}

class PiecesTest : public testing::Test {
 protected:
  std::shared_ptr<Pieces> Make(uint64_t rows, Pieces::Work work) {
    return std::make_shared<Pieces>(rows, budget_, cost_, work);
  }
  // As ExchangeHandler does.
  static absl::Status Run(Pieces& pieces, ThreadPool& pool) {
    do {
      pieces.Recruit(pool);
    } while (pieces.DoNext());
    return pieces.Finish();
  }

  LatencyBudget budget_{Asked(), kShape, absl::InfiniteFuture(), true};
  FrameCost cost_;
};

TEST_F(PiecesTest, EveryFrameIsDoneOnce) {
  ThreadPool pool("test", 4);
  for (const uint64_t rows : {0, 1, 4, 5, 16, 17, 1000, 4001}) {
    std::vector<std::atomic<int>> done(rows);
    const auto work = [&done](const Piece& piece) {
      EXPECT_TRUE(piece.settings.has_value());
      for (uint64_t i = 0; i < piece.rows; ++i) ++done[piece.first + i];
      return absl::OkStatus();
    };
    const auto pieces = Make(rows, work);
    EXPECT_TRUE(Run(*pieces, pool).ok());
    for (const auto& times : done) EXPECT_EQ(times, 1) << rows << " rows";
  }
}

TEST_F(PiecesTest, IdleThreadsHelpWithManyFrames) {
  ThreadPool pool("test", 2);
  const std::thread::id own = std::this_thread::get_id();
  std::atomic<bool> helped{false};
  const auto work = [&](const Piece&) {
    if (std::this_thread::get_id() != own) helped = true;
    return absl::OkStatus();
  };
  const auto pieces = Make(4000, work);
  while (!helped) pieces->Recruit(pool);
  EXPECT_TRUE(Run(*pieces, pool).ok());
}

TEST_F(PiecesTest, HelpersLeaveWhenAnotherTaskWaits) {
  std::promise<void> occupied;
  std::promise<void> go;
  ThreadPool pool("test", 2);
  const std::thread::id own = std::this_thread::get_id();
  std::atomic<int> pieces_of_helper{0};
  std::promise<void> waits;
  const auto work = [&](const Piece&) {
    if (std::this_thread::get_id() == own) return absl::OkStatus();
    // Both threads of the pool are occupied, so this one stays behind.
    if (++pieces_of_helper == 1) {
      pool.Submit([] {});
      waits.get_future().wait();
    }
    return absl::OkStatus();
  };
  pool.Submit([&] {
    occupied.set_value();
    go.get_future().wait();
  });
  occupied.get_future().wait();
  const auto pieces = Make(4000, work);
  while (pieces_of_helper == 0) pieces->Recruit(pool);
  while (!pool.TasksWait()) std::this_thread::yield();
  waits.set_value();
  while (pieces->DoNext()) {
  }
  EXPECT_TRUE(pieces->Finish().ok());
  EXPECT_EQ(pieces_of_helper, 1);
  go.set_value();
}

TEST_F(PiecesTest, FewFramesAreNotWorthAWakeUp) {
  ThreadPool pool("test", 2);
  while (!pool.SubmitIfIdle([] {})) std::this_thread::yield();
  std::set<std::thread::id> threads;  // unguarded: there is one
  const auto work = [&threads](const Piece&) {
    threads.insert(std::this_thread::get_id());
    return absl::OkStatus();
  };
  const auto pieces = Make(16, work);
  EXPECT_TRUE(Run(*pieces, pool).ok());
  EXPECT_THAT(threads, testing::ElementsAre(std::this_thread::get_id()));
}

TEST_F(PiecesTest, AHelperThatComesLateFindsNothing) {
  std::shared_ptr<Pieces> pieces;
  {
    const auto work = [](const Piece&) { return absl::OkStatus(); };
    pieces = Make(100, work);
    while (pieces->DoNext()) {
    }
    EXPECT_TRUE(pieces->Finish().ok());
  }
  EXPECT_FALSE(pieces->DoNext());
}

TEST_F(PiecesTest, AFailureEndsItAndIsTheAnswer) {
  ThreadPool pool("test", 3);
  std::atomic<int> done{0};
  const auto work = [&done](const Piece& piece) {
    ++done;
    return piece.first >= 100 ? absl::DataLossError("torn") : absl::OkStatus();
  };
  const auto pieces = Make(100'000, work);
  EXPECT_EQ(Run(*pieces, pool).code(), absl::StatusCode::kDataLoss);
  EXPECT_LT(done, 100);
}

TEST_F(PiecesTest, NothingIsBegunAfterStop) {
  const auto work = [](const Piece&) -> absl::Status {
    ADD_FAILURE() << "begun";
    return absl::OkStatus();
  };
  const auto pieces = Make(10, work);
  pieces->Stop(absl::CancelledError("gone"));
  EXPECT_FALSE(pieces->DoNext());
  EXPECT_EQ(pieces->Finish().code(), absl::StatusCode::kCancelled);
}

TEST_F(PiecesTest, WhatTheBudgetLeavesIsPassedOn) {
  ResolvedSearch asked = Asked();
  asked.has_budget = true;
  LatencyBudget spent(asked, kShape, absl::InfinitePast(), true);
  const auto work = [](const Piece& piece) {
    EXPECT_FALSE(piece.settings.has_value());
    return absl::OkStatus();
  };
  const auto pieces = std::make_shared<Pieces>(100, spent, cost_, work);
  while (pieces->DoNext()) {
  }
  EXPECT_TRUE(pieces->Finish().ok());
  EXPECT_EQ(spent.degradation(), v1::DEGRADATION_PASSED_THROUGH);
}

TEST_F(PiecesTest, APieceTakesHalfAMillisecondAtMostWhereItCan) {
  std::vector<uint64_t> sizes;
  const auto work = [&sizes](const Piece& piece) {
    sizes.push_back(piece.rows);
    return absl::OkStatus();
  };
  LatencyBudget exact(
      Asked(), {.kind = IndexKind::kFlat, .rows = 2000},  // 51 us a frame
      absl::InfiniteFuture(), true);
  std::make_shared<Pieces>(1000, exact, cost_, work)->DoNext();
  LatencyBudget slow(Asked(), {.kind = IndexKind::kFlat, .rows = 1'000'000},
                     absl::InfiniteFuture(), true);
  FrameCost unknown;
  std::make_shared<Pieces>(1000, slow, unknown, work)->DoNext();
  FrameCost known;
  std::make_shared<Pieces>(1000, budget_, known, work)->DoNext();
  EXPECT_THAT(sizes, testing::ElementsAre(12, 4, 60));
}

TEST_F(PiecesTest, NobodyHelpsWhereOnePieceTakesLong) {
  ThreadPool pool("test", 2);
  while (!pool.SubmitIfIdle([] {})) std::this_thread::yield();
  LatencyBudget slow(Asked(), {.kind = IndexKind::kFlat, .rows = 1'000'000},
                     absl::InfiniteFuture(), true);
  const auto work = [own = std::this_thread::get_id()](const Piece&) {
    EXPECT_EQ(std::this_thread::get_id(), own);
    return absl::OkStatus();
  };
  FrameCost unknown;
  const auto pieces = std::make_shared<Pieces>(8, slow, unknown, work);
  EXPECT_TRUE(Run(*pieces, pool).ok());
}

TEST_F(PiecesTest, HelpersDoNotDriveEachOtherAway) {
  ThreadPool pool("test", 4);
  const std::thread::id own = std::this_thread::get_id();
  Mutex mutex;
  std::set<std::thread::id> helpers;  // under mutex
  std::latch all(3);
  const auto work = [&](const Piece&) {
    if (std::this_thread::get_id() == own) return absl::OkStatus();
    bool first = false;
    {
      const MutexLock lock(mutex);
      first = helpers.insert(std::this_thread::get_id()).second;
    }
    // Until all three are here; each of them is on its first piece.
    if (first) all.arrive_and_wait();
    return absl::OkStatus();
  };
  const auto pieces = Make(100'000, work);
  while (!all.try_wait()) pieces->Recruit(pool);
  EXPECT_TRUE(Run(*pieces, pool).ok());
  EXPECT_EQ(helpers.size(), 3U);
}

}  // namespace
}  // namespace timbre
