#include "server/catalog/open/memory_budget.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "server/base/errors.h"
#include "tests/catalog/open/budget_fixture.h"

namespace timbre {
namespace {

class MemoryBudgetTest : public BudgetFixture {};

TEST_F(MemoryBudgetTest, WhatIsIdleMakesRoomFromTheOneUsedLongestAgo) {
  Start(3);
  const std::vector<VersionPtr> v = {New(), New(), New(), New()};
  for (int i = 0; i < 3; ++i) Use(v[i]);
  EXPECT_EQ(held(), 3U);
  Use(v[3]);
  EXPECT_FALSE(v[0]->open());
  EXPECT_EQ(held(), 3U);
  EXPECT_EQ(closings(ClosingReason::kBudget), 1U);
  EXPECT_LT(budget_->totals().last_closed_age, absl::Minutes(1));
}

TEST_F(MemoryBudgetTest, ALookIsNoUse) {
  Start(10);
  const std::vector<VersionPtr> hot = NewOnes(8);
  for (int round = 0; round < 3; ++round) UseAll(hot);
  for (const VersionPtr& published : NewOnes(30)) {
    for (int look = 0; look < 3; ++look) {
      MemoryBudget::Visit visit(*budget_);
      if (published->open()) {
        ASSERT_TRUE(budget_->Take(*published->charge, visit));
      } else {
        published->charge =
            budget_->ReserveForSure({.version = published, .room = {1, 1}});
        budget_->Opened(*published->charge, visit);
      }
      Rest(published);
    }
    Use(published);
  }
  for (const VersionPtr& version : hot) EXPECT_EQ(version->closings, 0);
}

TEST_F(MemoryBudgetTest, WhatIsLookedAtIsClosedNoLaterThanWithoutThat) {
  Start(2);
  const VersionPtr a = New();
  const VersionPtr b = New();
  Use(a);
  Use(b);
  {
    MemoryBudget::Visit visit(*budget_);
    ASSERT_TRUE(budget_->Take(*a->charge, visit));
  }
  Rest(a);
  const VersionPtr c = New();
  Use(c);
  EXPECT_FALSE(a->open());
  EXPECT_TRUE(b->open());
}

TEST_F(MemoryBudgetTest, MappingsAreKeptBelowTheirLimitByClosing) {
  Start(MemoryBudget::Options{.limit = {.bytes = 0, .maps = 2}});
  const std::vector<VersionPtr> v = {New(), New(), New()};
  for (const VersionPtr& version : v) Use(version);
  EXPECT_FALSE(v[0]->open());
  EXPECT_TRUE(v[1]->open() && v[2]->open());
}

TEST_F(MemoryBudgetTest, WhatNobodyHoldsForSoLongIsClosed) {
  Start(MemoryBudget::Options{.close_idle_after = absl::Milliseconds(1)});
  const VersionPtr a = New();
  Use(a);
  while (closings(ClosingReason::kIdle) == 0) std::this_thread::yield();
  const VersionPtr b = New();
  ASSERT_OK(Hold(b));
  EXPECT_TRUE(b->open());
}

TEST_F(MemoryBudgetTest, WhatDoesNotStayIsClosedAtOnce) {
  Start(5);
  const VersionPtr a = New();
  ASSERT_OK(Hold(a));
  Rest(a, /*stays=*/false);
  EXPECT_FALSE(a->open());
  EXPECT_EQ(closings(ClosingReason::kSuperseded), 1U);
}

TEST_F(MemoryBudgetTest, WhatIsHeldOfADeletedVersionCounts) {
  Start(2);
  VersionPtr a = New();
  ASSERT_OK(Hold(a, 2));
  ChargePtr held_by_streams = std::move(a->charge);
  a.reset();
  EXPECT_EQ(held(), 2U);
  EXPECT_EQ(DetailsOf(Hold(New())).reason, "MEMORY_BUDGET");
  // Once nobody holds it, it is waited for.
  budget_->Leaving(*held_by_streams);
  EXPECT_EQ(closings(ClosingReason::kDeleted), 1U);
  std::thread holds([&] { ASSERT_OK(Hold(New())); });
  while (budget_->totals().waiting == 0) std::this_thread::yield();
  held_by_streams.reset();
  holds.join();
}

TEST_F(MemoryBudgetTest, AVersionMayBeDeletedWhileItIsPickedForClosing) {
  Start(1);
  VersionPtr a = New();
  a->while_closing = [&a] { a.reset(); };
  Use(a);
  const VersionPtr b = New();
  Use(b);
  EXPECT_EQ(a, nullptr);
  // The same where the room is wanted for sure.
  VersionPtr c = New();
  c->while_closing = [&c] { c.reset(); };
  Use(c);
  const VersionPtr d = New();
  d->charge = budget_->ReserveForSure({.version = d, .room = {1, 1}});
  EXPECT_EQ(c, nullptr);
  EXPECT_EQ(held(), 0U);
}

}  // namespace
}  // namespace timbre
