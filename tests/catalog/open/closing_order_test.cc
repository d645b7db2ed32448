#include "server/catalog/open/closing_order.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <vector>

namespace timbre {
namespace {

// A version, open or not, as the budget has them.
class Version {
 public:
  bool open() const { return entry.has_value(); }

  struct Entry : ClosingOrder::Entry {
    explicit Entry(Version& opened) : version(opened) { room = {1, 1}; }
    Version& version;
    bool idle = false;
  };
  std::optional<Entry> entry;
  uint64_t used_at = 0;
  int closings = 0;
};
using VersionPtr = std::shared_ptr<Version>;

class ClosingOrderTest : public ::testing::Test {
 protected:
  // Room for so many.
  void Start(uint64_t room) {
    room_ = room;
    order_.emplace(OpenRoom{.bytes = room});
  }

  static VersionPtr New() { return std::make_shared<Version>(); }
  static std::vector<VersionPtr> NewOnes(int count) {
    std::vector<VersionPtr> versions;
    for (int i = 0; i < count; ++i) versions.push_back(New());
    return versions;
  }

  // A stream of one voice, or of a mix of some.
  void Use(const std::vector<VersionPtr>& versions) {
    for (const VersionPtr& version : versions) Hold(*version);
    order_->NextVisit();
    for (const VersionPtr& version : versions)
      order_->CountUse(*version->entry);
    for (const VersionPtr& version : versions) Rest(*version);
  }
  void Use(const VersionPtr& version) { Use(std::vector<VersionPtr>{version}); }
  void UseAll(const std::vector<VersionPtr>& versions) {
    for (const VersionPtr& version : versions) Use(version);
  }

  void Hold(Version& version) {
    if (version.open()) {
      order_->Take(*version.entry);
      return;
    }
    if (order_->open() == room_) {
      Close(static_cast<Version::Entry&>(*order_->Next()).version);
    }
    version.entry.emplace(version);
    order_->Opened(*version.entry, version.used_at);
  }
  void Rest(Version& version) {
    now_ += absl::Milliseconds(1);
    order_->Rest(*version.entry, now_);
    version.used_at = version.entry->used_at;
  }
  void Close(Version& version) {
    ++version.closings;
    order_->Take(*version.entry);
    order_->Closed(*version.entry);
    version.entry.reset();
  }

  uint64_t room_ = 0;
  absl::Time now_ = absl::UnixEpoch();
  std::optional<ClosingOrder> order_;
};

TEST_F(ClosingOrderTest, TheOneUsedLongestAgoGoesFirst) {
  Start(3);
  const std::vector<VersionPtr> v = NewOnes(4);
  EXPECT_EQ(order_->Next(), nullptr);
  for (int i = 0; i < 3; ++i) Use(v[i]);
  EXPECT_EQ(order_->Next(), &*v[0]->entry);
  Use(v[3]);
  EXPECT_FALSE(v[0]->open());
  EXPECT_EQ(order_->open(), 3U);
}

TEST_F(ClosingOrderTest, SaysWhatIsIdleSinceWhen) {
  Start(3);
  EXPECT_EQ(order_->idle_since(), absl::InfiniteFuture());
  const VersionPtr a = New();
  const VersionPtr b = New();
  Use(a);
  const absl::Time then = now_;
  Use(b);
  EXPECT_EQ(order_->idle_since(), then);
  EXPECT_EQ(order_->IdleSince(then), &*a->entry);
  EXPECT_EQ(order_->IdleSince(then - absl::Milliseconds(1)), nullptr);
}

// What is hot no more is among the cold ones where its last use puts it.
TEST_F(ClosingOrderTest, IdleOnesAreFoundFromTheOneHeldLongestAgo) {
  Start(10);
  const std::vector<VersionPtr> v = NewOnes(30);
  for (int i = 0; i < 2000; ++i) Use(v[(i * i + 7 * i) % (10 + i / 100)]);
  absl::Time last = absl::InfinitePast();
  while (order_->open() > 0) {
    auto* const idle = order_->IdleSince(order_->idle_since());
    ASSERT_NE(idle, nullptr);
    EXPECT_GE(idle->last_held, last);
    last = idle->last_held;
    Close(static_cast<Version::Entry&>(*idle).version);
  }
}

// Sweeps over many voices beside a few that are used again and again.
TEST_F(ClosingOrderTest, ASweepThrowsOutOnlyWhatItBrought) {
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
TEST_F(ClosingOrderTest, AHotVoiceIsNotAgedByTheOpeningsOfASweep) {
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
TEST_F(ClosingOrderTest, SweepsNightAfterNightLeaveWhatIsHotByDay) {
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
TEST_F(ClosingOrderTest, AHotVoiceIsNotAgedByAnotherOneThatIsHotter) {
  Start(4);
  const VersionPtr hot = New();
  const VersionPtr hotter = New();
  for (int round = 0; round < 20; ++round) {
    Use(hot);
    Use(hotter);
  }
  for (int i = 0; i < 1000; ++i) Use(hotter);
  const std::vector<VersionPtr> others = NewOnes(10);
  UseAll(others);
  EXPECT_EQ(hot->closings, 0);
}

TEST_F(ClosingOrderTest, OneVoiceThatIsUsedAloneIsHotToo) {
  Start(10);
  const VersionPtr hot = New();
  for (int i = 0; i < 1000; ++i) Use(hot);
  const std::vector<VersionPtr> others = NewOnes(20);
  UseAll(others);
  EXPECT_EQ(hot->closings, 0);
}

// The hot set moves: those that were hot go.
TEST_F(ClosingOrderTest, WhatWasHotOnceGivesWayToWhatIsHotNow) {
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

TEST_F(ClosingOrderTest, StreamsOfOneVoiceRightAfterEachOtherAreOneUse) {
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

TEST_F(ClosingOrderTest, SoAreMixesOfTheSameVoices) {
  Start(4);
  const VersionPtr a = New();
  const VersionPtr b = New();
  for (int i = 0; i < 3; ++i) {
    Use({a, b});
  }
  const std::vector<VersionPtr> others = NewOnes(4);
  UseAll(others);
  EXPECT_FALSE(a->open() || b->open());
}

}  // namespace
}  // namespace timbre
