#include "server/catalog/open/memory_budget.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server/base/errors.h"
#include "tests/support/testing.h"

namespace timbre {
namespace {

// A version that is closed, and unmapped, at once; or when Unmap is called.
class Version : public BudgetedVersion {
 public:
  explicit Version(MemoryBudget& budget) : budget_(budget) {}
  ~Version() override { budget_.Forget(*this); }

  void Close() override {
    ++closings;
    if (!slow) charge = nullptr;
    if (while_closing) while_closing();
  }
  void Unmap() { charge = nullptr; }
  bool open() const { return charge != nullptr; }

  bool slow = false;
  std::function<void()> while_closing;
  int closings = 0;
  ChargePtr charge;

 private:
  MemoryBudget& budget_;
};
using VersionPtr = std::shared_ptr<Version>;

const std::function<bool()> kNever = [] { return false; };

class MemoryBudgetTest : public ::testing::Test {
 protected:
  void Start(MemoryBudget::Options options) {
    budget_ = std::make_shared<MemoryBudget>(options);
  }
  void Start(uint64_t bytes) {
    Start(MemoryBudget::Options{.limit = {.bytes = bytes}});
  }
  void TearDown() override { budget_->Stop(); }

  VersionPtr New() { return std::make_shared<Version>(*budget_); }

  // As the catalogue does: what is open is held, the others are opened.
  absl::Status Hold(const std::vector<VersionPtr>& versions,
                    uint64_t bytes = 1) {
    const MemoryBudget::Turn turn(*budget_);
    while (true) {
      std::vector<MemoryBudget::Want> wants;
      std::vector<VersionPtr> closed;
      for (const VersionPtr& version : versions) {
        if (version->open() && budget_->Take(*version->charge)) continue;
        wants.push_back({.version = version, .room = {bytes, 1}});
        closed.push_back(version);
      }
      if (wants.empty()) return absl::OkStatus();
      auto charges = budget_->Reserve(wants, kNever);
      if (!charges.ok()) return charges.status();
      if (charges->empty()) continue;
      for (size_t i = 0; i < closed.size(); ++i) {
        closed[i]->charge = std::move((*charges)[i]);
        budget_->Opened(*closed[i]->charge, {bytes, 1});
      }
      return absl::OkStatus();
    }
  }
  absl::Status Hold(const VersionPtr& version, uint64_t bytes = 1) {
    return Hold(std::vector<VersionPtr>{version}, bytes);
  }
  void Rest(const VersionPtr& version, bool stays = true) {
    if (!budget_->Rest(*version->charge, stays)) version->Close();
  }
  // A stream from its beginning to its end.
  void Use(const VersionPtr& version, uint64_t bytes = 1) {
    ASSERT_OK(Hold(version, bytes));
    Rest(version);
  }
  uint64_t held() const { return budget_->totals().open.bytes; }
  uint64_t closings(ClosingReason reason) const {
    return budget_->totals().closings[static_cast<size_t>(reason)];
  }

  std::shared_ptr<MemoryBudget> budget_;
};

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

TEST_F(MemoryBudgetTest, WhatStreamsHoldIsNotClosedAndTheNewestIsRefused) {
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

TEST_F(MemoryBudgetTest, WhatExceedsTheWholeIsRefusedForGood) {
  Start(2);
  const absl::Status refused = Hold({New(), New(), New()});
  EXPECT_EQ(DetailsOf(refused).reason, "VERSION_TOO_LARGE");
  EXPECT_FALSE(DetailsOf(refused).retry_after.has_value());
  EXPECT_EQ(DetailsOf(Hold(New(), 3)).reason, "VERSION_TOO_LARGE");
  EXPECT_EQ(held(), 0U);
}

TEST_F(MemoryBudgetTest, SeveralAreReservedTogetherOrNotAtAll) {
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

TEST_F(MemoryBudgetTest, WaitsForClosingsUnderWay) {
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

TEST_F(MemoryBudgetTest, WaitsForOpeningsUnderWayWhichMayFail) {
  Start(1);
  const VersionPtr a = New();
  const MemoryBudget::Want want{.version = a, .room = {1, 1}};
  auto charges = budget_->Reserve({&want, 1}, kNever);
  ASSERT_OK(charges);
  EXPECT_EQ(budget_->totals().reserved.bytes, 1U);
  const VersionPtr b = New();
  std::thread holds([&] { ASSERT_OK(Hold(b)); });
  while (budget_->totals().waiting == 0) std::this_thread::yield();
  charges->clear();
  holds.join();
}

TEST_F(MemoryBudgetTest, AVersionIsOpenedOnceAndWhoWaitsFindsItOpen) {
  Start(1);
  const VersionPtr a = New();
  const MemoryBudget::Want want{.version = a, .room = {1, 1}};
  auto charges = budget_->Reserve({&want, 1}, kNever);
  ASSERT_OK(charges);
  std::thread waits([&] {
    const auto again = budget_->Reserve({&want, 1}, kNever);
    ASSERT_OK(again);
    EXPECT_TRUE(again->empty());
  });
  while (budget_->totals().waiting == 0) std::this_thread::yield();
  budget_->Opened(*(*charges)[0], {1, 1});
  waits.join();
}

TEST_F(MemoryBudgetTest, WhoDoesNotWaitAnyMoreIsCancelled) {
  Start(1);
  const VersionPtr a = New();
  a->slow = true;
  Use(a);
  std::atomic<bool> gone = false;
  std::thread waits([&] {
    const MemoryBudget::Want want{.version = New(), .room = {1, 1}};
    EXPECT_TRUE(absl::IsCancelled(
        budget_->Reserve({&want, 1}, [&] { return gone.load(); }).status()));
  });
  while (budget_->totals().waiting == 0) std::this_thread::yield();
  gone = true;
  a->Unmap();
  waits.join();
}

TEST_F(MemoryBudgetTest, WhatMustNotFailHasAPlaceBesideTheBudget) {
  Start(1);
  const VersionPtr a = New();
  ASSERT_OK(Hold(a));
  const VersionPtr b = New();
  b->charge = budget_->ReserveForSure({.version = b, .room = {5, 1}});
  ASSERT_NE(b->charge, nullptr);
  budget_->Opened(*b->charge, {5, 1});
  EXPECT_EQ(held(), 6U);
  // Streams do not get it so.
  EXPECT_FALSE(budget_->Take(*b->charge));
  // One at a time.
  const VersionPtr c = New();
  std::thread waits([&] {
    c->charge = budget_->ReserveForSure({.version = c, .room = {1, 1}});
    budget_->Opened(*c->charge, {1, 1});
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
  const ChargePtr held_by_streams = std::move(a->charge);
  a.reset();
  EXPECT_EQ(held(), 2U);
  EXPECT_EQ(DetailsOf(Hold(New())).reason, "MEMORY_BUDGET");
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

// Sweeps over many voices beside a few that are used again and again.
TEST_F(MemoryBudgetTest, ASweepThrowsOutOnlyWhatItBrought) {
  Start(20);
  std::vector<VersionPtr> hot;
  std::vector<VersionPtr> all;
  for (int i = 0; i < 10; ++i) hot.push_back(New());
  for (int i = 0; i < 200; ++i) all.push_back(New());
  for (int round = 0; round < 2; ++round) {
    for (const VersionPtr& version : hot) Use(version);
  }
  for (int sweep = 0; sweep < 5; ++sweep) {
    for (size_t i = 0; i < all.size(); ++i) {
      Use(all[i]);
      if (i % 4 == 0) Use(hot[i / 4 % hot.size()]);
    }
  }
  for (const VersionPtr& version : hot) {
    EXPECT_EQ(version->closings, 0);
  }
}

// However long the sweep is between two uses of a hot voice.
TEST_F(MemoryBudgetTest, AHotVoiceIsNotAgedByTheOpeningsOfASweep) {
  Start(12);
  std::vector<VersionPtr> hot;
  std::vector<VersionPtr> all;
  for (int i = 0; i < 10; ++i) hot.push_back(New());
  for (int i = 0; i < 4000; ++i) all.push_back(New());
  for (int round = 0; round < 2; ++round) {
    for (const VersionPtr& version : hot) Use(version);
  }
  for (size_t i = 0; i < all.size(); ++i) {
    Use(all[i]);
    if (i % 400 == 0) {
      for (const VersionPtr& version : hot) Use(version);
    }
  }
  for (const VersionPtr& version : hot) EXPECT_EQ(version->closings, 0);
}

// Nor by streams of one voice alone.
TEST_F(MemoryBudgetTest, AHotVoiceIsNotAgedByAnotherOneThatIsHotter) {
  Start(3);
  const VersionPtr hot = New();
  const VersionPtr hotter = New();
  for (int round = 0; round < 2; ++round) {
    Use(hot);
    Use(hotter);
  }
  for (int i = 0; i < 1000; ++i) Use(hotter);
  for (int i = 0; i < 10; ++i) Use(New());
  EXPECT_EQ(hot->closings, 0);
}

// The hot set moves: those that were hot go.
TEST_F(MemoryBudgetTest, WhatWasHotOnceGivesWayToWhatIsHotNow) {
  Start(20);
  std::vector<VersionPtr> all;
  for (int i = 0; i < 100; ++i) all.push_back(New());
  const auto use_hot = [&](int first, int times) {
    for (int i = 0; i < times; ++i) {
      Use(all[first + i % 18]);
      if (i % 3 == 0) Use(all[40 + i % 60]);  // and some others
    }
  };
  use_hot(0, 400);
  use_hot(18, 4000);
  for (int i = 18; i < 36; ++i) EXPECT_TRUE(all[i]->open()) << i;
}

TEST_F(MemoryBudgetTest, StreamsOfOneVoiceRightAfterEachOtherAreOneUse) {
  Start(2);
  const VersionPtr once = New();
  Use(once);
  Use(once);
  Use(once);
  const VersionPtr other = New();
  Use(other);
  Use(New());
  EXPECT_FALSE(once->open());
}

}  // namespace
}  // namespace timbre
