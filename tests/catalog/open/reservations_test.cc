#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "server/base/errors.h"
#include "server/catalog/open/memory_budget.h"
#include "tests/catalog/open/budget_fixture.h"

namespace timbre {
namespace {

class ReservationsTest : public BudgetFixture {};

TEST_F(ReservationsTest, WhatStreamsHoldIsNotClosedAndTheNewestIsRefused) {
  Start(2);
  const VersionPtr a = New();
  const VersionPtr b = New();
  const VersionPtr c = New();
  ASSERT_OK(Hold(a));
  ASSERT_OK(Hold(b));
  const absl::Status refused = Hold(c);
  EXPECT_TRUE(absl::IsResourceExhausted(refused));
  EXPECT_EQ(DetailsOf(refused).reason, "MEMORY_BUDGET");
  EXPECT_TRUE(DetailsOf(refused).retry_after.has_value());
  EXPECT_TRUE(a->open() && b->open());
  Rest(a);
  ASSERT_OK(Hold(c));
  EXPECT_FALSE(a->open());
}

TEST_F(ReservationsTest, WhatExceedsTheWholeIsRefusedForGood) {
  Start(2);
  const absl::Status refused = Hold({New(), New(), New()});
  EXPECT_EQ(DetailsOf(refused).reason, "VERSION_TOO_LARGE");
  EXPECT_FALSE(DetailsOf(refused).retry_after.has_value());
  EXPECT_EQ(DetailsOf(Hold(New(), 3)).reason, "VERSION_TOO_LARGE");
  EXPECT_EQ(held(), 0U);
}

TEST_F(ReservationsTest, SeveralAreReservedTogetherOrNotAtAll) {
  Start(3);
  const VersionPtr a = New();
  const VersionPtr b = New();
  const VersionPtr c = New();
  const VersionPtr d = New();
  Use(a);
  Use(c);
  ASSERT_OK(Hold({a, b}));
  EXPECT_EQ(DetailsOf(Hold({c, d})).reason, "MEMORY_BUDGET");
  EXPECT_FALSE(d->open());
  Rest(a);
  Rest(b);
  ASSERT_OK(Hold({c, d}));
}

TEST_F(ReservationsTest, WaitsForClosingsUnderWay) {
  Start(1);
  const VersionPtr a = New();
  a->slow = true;
  Use(a);
  const VersionPtr b = New();
  std::thread holds([&] { ASSERT_OK(Hold(b)); });
  while (budget_->totals().waiting == 0) std::this_thread::yield();
  EXPECT_EQ(a->closings, 1);
  EXPECT_EQ(held(), 1U) << "it counts until it is unmapped";
  a->Unmap();
  holds.join();
  EXPECT_TRUE(b->open());
}

TEST_F(ReservationsTest, WaitsForOpeningsUnderWayWhichMayFail) {
  Start(1);
  const VersionPtr a = New();
  auto charges = Reserve(a, kNever);
  ASSERT_OK(charges);
  EXPECT_EQ(budget_->totals().reserved.bytes, 1U);
  const VersionPtr b = New();
  std::thread holds([&] { ASSERT_OK(Hold(b)); });
  while (budget_->totals().waiting == 0) std::this_thread::yield();
  charges->clear();
  holds.join();
}

TEST_F(ReservationsTest, AVersionIsOpenedOnceAndWhoWaitsFindsItOpen) {
  Start(1);
  const VersionPtr a = New();
  auto charges = Reserve(a, kNever);
  ASSERT_OK(charges);
  // Not with the turn, which others may want.
  const auto again = Reserve(a, kNever);
  ASSERT_OK(again);
  EXPECT_TRUE(again->empty());
  std::thread waits([&] {
    const std::shared_ptr<BudgetedVersion> version = a;
    ASSERT_OK(budget_->WaitForThose({&version, 1}, kNever));
  });
  while (budget_->totals().waiting == 0) std::this_thread::yield();
  a->charge = std::move((*charges)[0]);
  Open(a);
  waits.join();
}

// Of those whom nobody tells that somebody has gone.
TEST_F(ReservationsTest, WhoDoesNotWaitAnyMoreIsCancelled) {
  Start(1);
  const VersionPtr a = New();
  a->slow = true;
  Use(a);
  std::atomic<bool> gone = false;
  const auto is_gone = [&] { return gone.load(); };
  std::vector<std::thread> waits;
  waits.emplace_back([&] {
    const MemoryBudget::Turn turn(*budget_, is_gone);
    ASSERT_OK(turn.status());
    EXPECT_TRUE(absl::IsCancelled(Reserve(New(), is_gone).status()));
  });
  while (a->closings == 0) std::this_thread::yield();
  waits.emplace_back([&] {
    const std::shared_ptr<BudgetedVersion> version = a;
    EXPECT_TRUE(
        absl::IsCancelled(budget_->WaitForThose({&version, 1}, is_gone)));
  });
  while (budget_->totals().waiting < 2) std::this_thread::yield();
  gone = true;
  for (std::thread& thread : waits) thread.join();
  a->Unmap();
}

TEST_F(ReservationsTest, WhoGoesInTheMiddleOfTheQueueKeepsNobodyFromTheTurn) {
  Start(1);
  auto first = std::make_unique<MemoryBudget::Turn>(*budget_, kNever);
  std::atomic<bool> gone = false;
  std::thread second([&] {
    const MemoryBudget::Turn turn(*budget_, [&] { return gone.load(); });
    EXPECT_TRUE(absl::IsCancelled(turn.status()));
  });
  while (budget_->totals().waiting < 1) std::this_thread::yield();
  std::thread third([&] {
    const MemoryBudget::Turn turn(*budget_, kNever);
    EXPECT_TRUE(turn.status().ok());
  });
  while (budget_->totals().waiting < 2) std::this_thread::yield();
  gone = true;
  second.join();
  first.reset();
  third.join();
}

TEST_F(ReservationsTest, NobodyIsRefusedForWhatIsHeldForAMoment) {
  Start(1);
  const VersionPtr a = New();
  Use(a);
  auto visit = std::make_unique<MemoryBudget::Visit>(*budget_);
  ASSERT_TRUE(budget_->Take(*a->charge, *visit));
  const VersionPtr b = New();
  std::thread holds([&] { ASSERT_OK(Hold(b)); });
  while (budget_->totals().waiting == 0) std::this_thread::yield();
  Rest(a);
  visit.reset();
  holds.join();
  EXPECT_TRUE(b->open());
  // What it keeps counts from its end on.
  visit = std::make_unique<MemoryBudget::Visit>(*budget_);
  ASSERT_TRUE(budget_->Take(*b->charge, *visit));
  std::thread is_refused(
      [&] { EXPECT_EQ(DetailsOf(Hold(a)).reason, "MEMORY_BUDGET"); });
  while (budget_->totals().waiting == 0) std::this_thread::yield();
  visit.reset();
  is_refused.join();
}

TEST_F(ReservationsTest, ThoseThatComeLaterForAMomentKeepNobodyWaiting) {
  Start(1);
  const VersionPtr a = New();
  ASSERT_OK(Hold(a));
  std::atomic<bool> done = false;
  std::thread looks([&] {
    auto visit = std::make_unique<MemoryBudget::Visit>(*budget_);
    ASSERT_TRUE(budget_->Take(*a->charge, *visit));
    while (!done) {  // at every moment there is one
      auto next = std::make_unique<MemoryBudget::Visit>(*budget_);
      ASSERT_TRUE(budget_->Take(*a->charge, *next));
      visit = std::move(next);
    }
  });
  EXPECT_EQ(DetailsOf(Hold(New())).reason, "MEMORY_BUDGET");
  done = true;
  looks.join();
}

TEST_F(ReservationsTest, WhatOneVisitAfterTheOtherHoldsIsWaitedFor) {
  Start(1);
  const VersionPtr a = New();
  Use(a);
  std::atomic<int> looks = 0;
  const auto look = [&] { return ++looks < 0; };
  auto visit = std::make_unique<MemoryBudget::Visit>(*budget_);
  ASSERT_TRUE(budget_->Take(*a->charge, *visit));
  std::thread reserves([&] { ASSERT_OK(Reserve(New(), look)); });
  for (int i = 0; i < 3; ++i) {
    auto next = std::make_unique<MemoryBudget::Visit>(*budget_);
    ASSERT_TRUE(budget_->Take(*a->charge, *next));
    visit = std::move(next);
    const int before = looks;
    while (looks < before + 2) std::this_thread::yield();
  }
  EXPECT_EQ(budget_->totals().held.bytes, 1U);
  Rest(a);
  visit.reset();
  reserves.join();
}

// What goes while it is visited is not kept by that.
TEST_F(ReservationsTest, WhatAVisitHasClosedCountsNoMore) {
  Start(1);
  const VersionPtr a = New();
  Use(a);
  {
    MemoryBudget::Visit visit(*budget_);
    ASSERT_TRUE(budget_->Take(*a->charge, visit));
    Rest(a, /*stays=*/false);
    EXPECT_FALSE(a->open());
    EXPECT_EQ(held(), 0U);
  }
  ASSERT_OK(Hold(New()));
}

TEST_F(ReservationsTest, SeveralOfWhichOneIsOpenMayExceedTheWholeTogether) {
  Start(2);
  const VersionPtr a = New();
  ASSERT_OK(Hold(a));
  EXPECT_EQ(DetailsOf(Hold({a, New(), New()})).reason, "VERSION_TOO_LARGE");
}

TEST_F(ReservationsTest, WhatMustNotFailHasAPlaceBesideTheBudget) {
  Start(1);
  const VersionPtr a = New();
  ASSERT_OK(Hold(a));
  const VersionPtr b = New();
  b->charge = budget_->ReserveForSure({.version = b, .room = {5, 1}});
  ASSERT_NE(b->charge, nullptr);
  Open(b);
  EXPECT_EQ(held(), 6U);
  // Streams do not get it so, but who must not fail does.
  {
    MemoryBudget::Visit visit(*budget_);
    EXPECT_FALSE(budget_->Take(*b->charge, visit));
    EXPECT_TRUE(budget_->Take(*b->charge, visit, /*may_fail=*/false));
  }
  // One at a time.
  const VersionPtr c = New();
  std::thread waits([&] {
    c->charge = budget_->ReserveForSure({.version = c, .room = {1, 1}});
    Open(c);
  });
  while (budget_->totals().waiting == 0) std::this_thread::yield();
  Rest(b);
  EXPECT_FALSE(b->open()) << "there is no room for it";
  waits.join();
  // Where there is room by then, it stays.
  Rest(a);
  Rest(c);
  EXPECT_TRUE(c->open());
  while (held() > 1) std::this_thread::yield();  // by a thread of the budget
  EXPECT_FALSE(a->open());
  EXPECT_TRUE(c->open());
}

}  // namespace
}  // namespace timbre
