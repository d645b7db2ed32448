#include "server/service/pieces.h"

#include <gmock/gmock.h>

#include <atomic>
#include <future>
#include <memory>
#include <set>
#include <thread>
#include <vector>

namespace timbre {
namespace {

using Urgency = ThreadPool::Urgency;

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
      pieces.Recruit(pool, Urgency::kBulk);
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
  while (!helped) pieces->Recruit(pool, Urgency::kBulk);
  EXPECT_TRUE(Run(*pieces, pool).ok());
}

TEST_F(PiecesTest, HelpersLeaveWhenAnotherTaskWaits) {
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
  std::promise<void> occupied;
  std::promise<void> go;
  pool.Submit([&] {
    occupied.set_value();
    go.get_future().wait();
  });
  occupied.get_future().wait();
  const auto pieces = Make(4000, work);
  while (pieces_of_helper == 0) pieces->Recruit(pool, Urgency::kBulk);
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

TEST(PieceSize, FollowsWhatAPieceTakes) {
  PieceSize size;
  const uint64_t first = size.rows();
  size.Adapt(absl::Microseconds(100));
  EXPECT_EQ(size.rows(), 2 * first);
  size.Adapt(absl::Milliseconds(1));
  size.Adapt(absl::Milliseconds(1));
  EXPECT_EQ(size.rows(), first / 2);
}

}  // namespace
}  // namespace timbre
