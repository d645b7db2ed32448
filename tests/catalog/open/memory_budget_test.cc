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
#include "server/base/status_macros.h"
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
  std::atomic<int> closings = 0;
  ChargePtr charge;

 private:
  MemoryBudget& budget_;
};
using VersionPtr = std::shared_ptr<Version>;

const MemoryBudget::Cancelled kNever = [] { return false; };

class MemoryBudgetTest : public ::testing::Test {
 protected:
  void Start(MemoryBudget::Options options) {
    if (budget_ != nullptr) budget_->Stop();
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
    while (true) {
      const std::vector<std::shared_ptr<BudgetedVersion>> all(versions.begin(),
                                                              versions.end());
      TIMBRE_RETURN_IF_ERROR(budget_->WaitForThose(all, kNever));
      MemoryBudget::Visit visit(*budget_);
      const MemoryBudget::Turn turn(*budget_, kNever);
      std::vector<MemoryBudget::Want> wants;
      OpenRoom beside;
      std::vector<VersionPtr> closed;
      for (const VersionPtr& version : versions) {
        const OpenRoom room{bytes, 1};
        if (version->open() && budget_->Take(*version->charge, visit)) {
          beside += room;
        } else {
          wants.push_back({.version = version, .room = room});
          closed.push_back(version);
        }
      }
      if (wants.empty()) {
        visit.Count();
        return absl::OkStatus();
      }
      auto charges = budget_->Reserve(wants, beside, visit, kNever);
      if (charges.ok() && charges->empty()) continue;
      for (size_t i = 0; charges.ok() && i < closed.size(); ++i) {
        closed[i]->charge = std::move((*charges)[i]);
        budget_->Opened(*closed[i]->charge, visit);
      }
      if (charges.ok()) {
        visit.Count();
        return absl::OkStatus();
      }
      for (const VersionPtr& version : versions) {
        if (version->open()) Rest(version);
      }
      return charges.status();
    }
  }
  absl::Status Hold(const VersionPtr& version, uint64_t bytes = 1) {
    return Hold(std::vector<VersionPtr>{version}, bytes);
  }
  void Open(const VersionPtr& version) {
    MemoryBudget::Visit visit(*budget_);
    budget_->Opened(*version->charge, visit);
  }
  absl::StatusOr<std::vector<ChargePtr>> Reserve(
      const VersionPtr& version, const MemoryBudget::Cancelled& cancelled) {
    const MemoryBudget::Want want{.version = version, .room = {1, 1}};
    const MemoryBudget::Visit visit(*budget_);
    return budget_->Reserve({&want, 1}, {}, visit, cancelled);
  }
  void Rest(const VersionPtr& version, bool stays = true) {
    if (!budget_->Rest(*version->charge, stays)) version->Close();
  }
  // A stream from its beginning to its end.
  void Use(const VersionPtr& version, uint64_t bytes = 1) {
    ASSERT_OK(Hold(version, bytes));
    Rest(version);
  }
  std::vector<VersionPtr> NewOnes(int count) {
    std::vector<VersionPtr> versions;
    for (int i = 0; i < count; ++i) versions.push_back(New());
    return versions;
  }
  void UseAll(const std::vector<VersionPtr>& versions) {
    for (const VersionPtr& version : versions) Use(version);
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
  auto charges = Reserve(a, kNever);
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
TEST_F(MemoryBudgetTest, WhoDoesNotWaitAnyMoreIsCancelled) {
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

TEST_F(MemoryBudgetTest, WhoGoesInTheMiddleOfTheQueueKeepsNobodyFromTheTurn) {
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

TEST_F(MemoryBudgetTest, NobodyIsRefusedForWhatIsHeldForAMoment) {
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

TEST_F(MemoryBudgetTest, ThoseThatComeLaterForAMomentKeepNobodyWaiting) {
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

TEST_F(MemoryBudgetTest, SeveralOfWhichOneIsOpenMayExceedTheWholeTogether) {
  Start(2);
  const VersionPtr a = New();
  ASSERT_OK(Hold(a));
  EXPECT_EQ(DetailsOf(Hold({a, New(), New()})).reason, "VERSION_TOO_LARGE");
}

TEST_F(MemoryBudgetTest, WhatMustNotFailHasAPlaceBesideTheBudget) {
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
  const std::vector<VersionPtr> hot = NewOnes(10);
  const std::vector<VersionPtr> all = NewOnes(4000);
  for (int round = 0; round < 2; ++round) UseAll(hot);
  for (size_t i = 0; i < all.size(); ++i) {
    Use(all[i]);
    if (i % 400 == 0) UseAll(hot);
  }
  for (const VersionPtr& version : hot) EXPECT_EQ(version->closings, 0);
}

// However much of all there is room for: of what a sweep brings some is still
// open, or was closed not long ago, as it comes round.
TEST_F(MemoryBudgetTest, SweepsNightAfterNightLeaveWhatIsHotByDay) {
  for (const uint64_t room : {15, 20, 60, 80, 100, 150, 200}) {
    Start(room);
    const std::vector<VersionPtr> hot = NewOnes(10);
    const std::vector<VersionPtr> all = NewOnes(200);
    for (int night = 0; night < 5; ++night) {
      for (int round = 0; round < 20; ++round) UseAll(hot);
      UseAll(all);
    }
    for (const VersionPtr& version : hot) {
      EXPECT_EQ(version->closings, 0) << room;
    }
    // The same while they are used in between.
    UseAll(hot);
    for (int night = 0; night < 5; ++night) {
      for (size_t i = 0; i < all.size(); ++i) {
        Use(all[i]);
        Use(hot[i % hot.size()]);
      }
    }
    for (const VersionPtr& version : hot) {
      EXPECT_EQ(version->closings, 0) << room;
    }
    // Or not at all, where a sweep comes round to what has gone long since.
    if (room > 100) continue;
    for (int night = 0; night < 3; ++night) UseAll(all);
    for (const VersionPtr& version : hot) {
      EXPECT_EQ(version->closings, 0) << room;
    }
  }
}

// Nor by streams of one voice alone.
TEST_F(MemoryBudgetTest, AHotVoiceIsNotAgedByAnotherOneThatIsHotter) {
  Start(4);
  const VersionPtr hot = New();
  const VersionPtr hotter = New();
  for (int round = 0; round < 20; ++round) {
    Use(hot);
    Use(hotter);
  }
  for (int i = 0; i < 1000; ++i) Use(hotter);
  UseAll(NewOnes(10));
  EXPECT_EQ(hot->closings, 0);
}

TEST_F(MemoryBudgetTest, OneVoiceThatIsUsedAloneIsHotToo) {
  Start(10);
  const VersionPtr hot = New();
  for (int i = 0; i < 1000; ++i) Use(hot);
  UseAll(NewOnes(20));
  EXPECT_EQ(hot->closings, 0);
}

// The hot set moves: those that were hot go.
TEST_F(MemoryBudgetTest, WhatWasHotOnceGivesWayToWhatIsHotNow) {
  Start(20);
  const std::vector<VersionPtr> all = NewOnes(100);
  const auto use_hot = [&](int first, int times) {
    for (int i = 0; i < times; ++i) {
      Use(all[first + i % 16]);
      if (i % 3 == 0) Use(all[40 + i / 3 % 60]);  // and some others
    }
  };
  use_hot(0, 400);
  use_hot(16, 400);
  for (int i = 16; i < 32; ++i) EXPECT_TRUE(all[i]->open()) << i;
}

TEST_F(MemoryBudgetTest, SoAreMixesOfTheSameVoices) {
  Start(4);
  const VersionPtr a = New();
  const VersionPtr b = New();
  for (int i = 0; i < 3; ++i) {
    ASSERT_OK(Hold({a, b}));
    Rest(a);
    Rest(b);
  }
  UseAll(NewOnes(4));
  EXPECT_FALSE(a->open() || b->open());
}

TEST_F(MemoryBudgetTest, StreamsOfOneVoiceRightAfterEachOtherAreOneUse) {
  Start(2);
  const VersionPtr once = New();
  Use(once);
  Use(once);
  Use(once);
  const VersionPtr other = New();
  Use(other);
  const VersionPtr another = New();
  Use(another);
  EXPECT_FALSE(once->open());
}

}  // namespace
}  // namespace timbre
