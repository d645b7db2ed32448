#include "server/catalog/open/voice_opener.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <vector>

namespace timbre {
namespace {

using Leases = VoiceOpener::Leases;
using Cancelled = std::function<bool()>;

const VoiceOpener::Gone kStays = [] { return false; };

absl::StatusOr<Leases> NobodyIsHere(std::span<const VoiceName>,
                                    MemoryBudget::Visit&, const Cancelled&) {
  return absl::NotFoundError("");
}

void Ignore(OpeningResult, absl::Duration, bool) {}

class VoiceOpenerTest : public ::testing::Test {
 protected:
  void TearDown() override { budget_->Stop(); }

  const std::shared_ptr<MemoryBudget> budget_ =
      std::make_shared<MemoryBudget>(MemoryBudget::Options{});
};

TEST_F(VoiceOpenerTest, AVoiceIsOpenedOnceForAllWhoAskMeanwhile) {
  std::promise<void> go;
  std::string order;
  VoiceOpener opener(
      *budget_,
      [&, wait = go.get_future().share()](
          std::span<const VoiceName> voices, MemoryBudget::Visit&,
          const Cancelled&) -> absl::StatusOr<Leases> {
        wait.wait();
        order += voices[0].speaker == "alice" ? '1' : '2';
        return absl::NotFoundError("");
      },
      Ignore, 1);
  const auto ask = [&](const std::string& speaker, char name) {
    opener.Open(
        {{speaker, 0}},
        [&order, name](const absl::StatusOr<Leases>& leases) {
          EXPECT_TRUE(absl::IsNotFound(leases.status()));
          order += name;
        },
        kStays);
  };
  ask("alice", 'a');
  ask("bob", 'b');
  ask("alice", 'A');
  go.set_value();
  opener.Stop();
  EXPECT_EQ(order, "1aA2b");
}

TEST_F(VoiceOpenerTest, WhoAsksLaterIsAnsweredToo) {
  VoiceOpener opener(*budget_, NobodyIsHere, Ignore, 1);
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(
        absl::IsNotFound(opener.OpenNow({"alice", 0}, kStays).status()));
  }
}

TEST_F(VoiceOpenerTest, WhoWaitsForItselfDoesNotJoinWhatBeganBefore) {
  std::promise<void> go;
  std::atomic<int> openings = 0;
  std::promise<void> began;
  VoiceOpener opener(
      *budget_,
      [&, wait = go.get_future().share()](
          std::span<const VoiceName>, MemoryBudget::Visit&,
          const Cancelled&) -> absl::StatusOr<Leases> {
        if (openings++ > 0) return absl::NotFoundError("");
        began.set_value();
        wait.wait();
        return absl::NotFoundError("");
      },
      Ignore, 1);
  opener.Open(
      {{"alice", 0}}, [](const absl::StatusOr<Leases>&) {}, kStays);
  began.get_future().wait();
  // The active version may be another one by now.
  EXPECT_TRUE(absl::IsNotFound(opener.OpenNow({"alice", 0}, kStays).status()));
  EXPECT_EQ(openings, 2);
  go.set_value();
  opener.Stop();
}

TEST_F(VoiceOpenerTest, WhatNobodyWaitsForIsNotOpened) {
  std::promise<void> go;
  std::promise<void> began;
  std::vector<std::string> opened;
  std::vector<OpeningResult> results;
  VoiceOpener opener(
      *budget_,
      [&, wait = go.get_future().share()](
          std::span<const VoiceName> voices, MemoryBudget::Visit&,
          const Cancelled&) -> absl::StatusOr<Leases> {
        opened.push_back(voices[0].speaker);
        if (opened.size() == 1) began.set_value();
        wait.wait();
        return absl::InternalError("");
      },
      [&](OpeningResult result, absl::Duration, bool) {
        results.push_back(result);
      },
      1);
  const auto ignore = [](const absl::StatusOr<Leases>&) {};
  opener.Open({{"alice", 0}}, ignore, kStays);
  began.get_future().wait();
  absl::Status told;
  opener.Open(
      {{"bob", 0}},
      [&](const absl::StatusOr<Leases>& leases) { told = leases.status(); },
      [] { return true; });
  // Of two, one stays.
  opener.Open({{"carol", 0}}, ignore, [] { return true; });
  opener.Open({{"carol", 0}}, ignore, kStays);
  EXPECT_EQ(opener.waiting(), 2U);
  go.set_value();
  opener.Stop();
  EXPECT_TRUE(absl::IsCancelled(told));
  EXPECT_EQ(opened, (std::vector<std::string>{"alice", "carol"}));
  EXPECT_EQ(results, (std::vector<OpeningResult>{OpeningResult::kFailed,
                                                 OpeningResult::kCancelled,
                                                 OpeningResult::kFailed}));
  EXPECT_EQ(opener.waiting(), 0U);
}

TEST_F(VoiceOpenerTest, WhatIsNoVersionIsNoOpening) {
  int observed = 0;
  VoiceOpener opener(
      *budget_, NobodyIsHere,
      [&](OpeningResult, absl::Duration, bool) { ++observed; }, 1);
  EXPECT_FALSE(opener.OpenNow({"alice", 0}, kStays).ok());
  opener.Stop();
  EXPECT_EQ(observed, 0);
}

TEST_F(VoiceOpenerTest, TheLastOneWhoAskedHasTheOnlyLeases) {
  std::weak_ptr<const LoadedVersion> opened;
  VoiceOpener opener(
      *budget_,
      [&](std::span<const VoiceName>, MemoryBudget::Visit&,
          const Cancelled&) -> absl::StatusOr<Leases> {
        auto lease = std::make_shared<const LoadedVersion>();
        opened = lease;
        return Leases{std::move(lease)};
      },
      Ignore, 1);
  const auto lease = opener.OpenNow({"alice", 0}, kStays);
  ASSERT_TRUE(lease.ok());
  EXPECT_EQ(opened.use_count(), 1);
  EXPECT_TRUE(absl::IsCancelled(
      opener.OpenNow({"alice", 0}, [] { return true; }).status()));
}

TEST_F(VoiceOpenerTest, WhileItIsOpenedAllMayGo) {
  std::atomic<bool> gone = false;
  std::promise<void> began;
  VoiceOpener opener(
      *budget_,
      [&](std::span<const VoiceName>, MemoryBudget::Visit&,
          const Cancelled& cancelled) -> absl::StatusOr<Leases> {
        began.set_value();
        while (!cancelled()) std::this_thread::yield();
        return absl::CancelledError("");
      },
      Ignore, 1);
  opener.Open(
      {{"alice", 0}}, [](const absl::StatusOr<Leases>&) {},
      [&] { return gone.load(); });
  began.get_future().wait();
  gone = true;
  opener.Stop();
}

TEST_F(VoiceOpenerTest, WhoAsksAsOthersGoIsNotToldThatNobodyWaits) {
  std::vector<std::string> told;
  const auto tell = [&told](const absl::StatusOr<Leases>& leases) {
    told.emplace_back(leases.status().message());
  };
  std::atomic<bool> gone = false;
  int openings = 0;
  VoiceOpener* asked = nullptr;
  VoiceOpener opener(
      *budget_,
      [&](std::span<const VoiceName>, MemoryBudget::Visit&,
          const Cancelled& cancelled) -> absl::StatusOr<Leases> {
        if (openings++ > 0) return absl::InternalError("the second time");
        gone = true;
        EXPECT_TRUE(cancelled());
        asked->Open({{"alice", 0}}, tell, kStays);
        return absl::CancelledError("nobody waits");
      },
      Ignore, 1);
  asked = &opener;
  opener.Open({{"alice", 0}}, tell, [&] { return gone.load(); });
  opener.Stop();
  EXPECT_EQ(openings, 2);
  EXPECT_EQ(told,
            (std::vector<std::string>{"the second time", "the second time"}));
}

TEST_F(VoiceOpenerTest, WhatItRunsMayOpenAVoiceItself) {
  VoiceOpener opener(*budget_, NobodyIsHere, Ignore, 1);
  absl::Status opened;
  EXPECT_TRUE(opener.Run([&] {
    opened = opener.OpenNow({"alice", 0}, kStays).status();
  }));
  opener.Stop();
  EXPECT_TRUE(absl::IsNotFound(opened));
  EXPECT_FALSE(opener.Run([] {}));
}

TEST_F(VoiceOpenerTest, WhoAsksAfterItsEndIsToldSo) {
  VoiceOpener opener(*budget_, NobodyIsHere, Ignore, 1);
  opener.Stop();
  absl::Status told;
  opener.Open(
      {{"alice", 0}},
      [&](const absl::StatusOr<Leases>& leases) { told = leases.status(); },
      kStays);
  EXPECT_TRUE(absl::IsCancelled(told));
}

}  // namespace
}  // namespace timbre
