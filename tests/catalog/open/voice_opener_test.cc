#include "server/catalog/open/voice_opener.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <string>

namespace timbre {
namespace {

absl::StatusOr<Lease> NobodyIsHere(const std::string&, uint64_t) {
  return absl::NotFoundError("");
}

TEST(VoiceOpenerTest, AVoiceIsOpenedOnceForAllWhoAskMeanwhile) {
  std::promise<void> go;
  std::string order;
  VoiceOpener opener(
      [&, wait = go.get_future().share()](const std::string& speaker,
                                          uint64_t) -> absl::StatusOr<Lease> {
        wait.wait();
        order += speaker == "alice" ? '1' : '2';
        return absl::NotFoundError("");
      },
      1);
  const auto ask = [&](const std::string& speaker, char name) {
    opener.Open(speaker, 0, [&order, name](const absl::StatusOr<Lease>& lease) {
      EXPECT_TRUE(absl::IsNotFound(lease.status()));
      order += name;
    });
  };
  ask("alice", 'a');
  ask("bob", 'b');
  ask("alice", 'A');
  go.set_value();
  opener.Stop();
  EXPECT_EQ(order, "1aA2b");
}

TEST(VoiceOpenerTest, WhoAsksLaterIsAnsweredToo) {
  VoiceOpener opener(NobodyIsHere, 1);
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(absl::IsNotFound(opener.OpenNow("alice", 0).status()));
  }
}

TEST(VoiceOpenerTest, WhoWaitsForItselfDoesNotJoinWhatBeganBefore) {
  std::promise<void> go;
  std::atomic<int> openings = 0;
  std::promise<void> began;
  VoiceOpener opener(
      [&, wait = go.get_future().share()](const std::string&,
                                          uint64_t) -> absl::StatusOr<Lease> {
        if (openings++ > 0) return absl::NotFoundError("");
        began.set_value();
        wait.wait();
        return absl::NotFoundError("");
      },
      1);
  opener.Open("alice", 0, [](const absl::StatusOr<Lease>&) {});
  began.get_future().wait();
  // The active version may be another one by now.
  EXPECT_TRUE(absl::IsNotFound(opener.OpenNow("alice", 0).status()));
  EXPECT_EQ(openings, 2);
  go.set_value();
  opener.Stop();
}

TEST(VoiceOpenerTest, WhoAsksAfterItsEndIsToldSo) {
  VoiceOpener opener(NobodyIsHere, 1);
  opener.Stop();
  absl::Status told;
  opener.Open("alice", 0, [&](const absl::StatusOr<Lease>& lease) {
    told = lease.status();
  });
  EXPECT_TRUE(absl::IsCancelled(told));
}

}  // namespace
}  // namespace timbre
