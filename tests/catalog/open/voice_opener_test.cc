#include "server/catalog/open/voice_opener.h"

#include <gtest/gtest.h>

#include <future>

namespace timbre {
namespace {

absl::StatusOr<Lease> NobodyIsHere(const std::string&, uint64_t) {
  return absl::NotFoundError("");
}

TEST(VoiceOpenerTest, AVoiceIsOpenedOnceForAllWhoAskMeanwhile) {
  std::string order;
  ThreadPool io("io", 1);
  VoiceOpener opener(NobodyIsHere, io);
  const auto ask = [&](const std::string& speaker, char name) {
    opener.Open(speaker, 0, [&order, name](const absl::StatusOr<Lease>& lease) {
      EXPECT_TRUE(absl::IsNotFound(lease.status()));
      order += name;
    });
  };
  std::promise<void> go;
  io.Submit([&] { go.get_future().wait(); });
  ask("alice", 'a');
  ask("bob", 'b');
  ask("alice", 'A');
  go.set_value();
  io.Stop();
  EXPECT_EQ(order, "aAb");
}

TEST(VoiceOpenerTest, WhoAsksLaterIsAnsweredToo) {
  ThreadPool io("io", 1);
  VoiceOpener opener(NobodyIsHere, io);
  for (int i = 0; i < 2; ++i) {
    std::promise<absl::Status> answer;
    opener.Open("alice", 0, [&](const absl::StatusOr<Lease>& lease) {
      answer.set_value(lease.status());
    });
    EXPECT_TRUE(absl::IsNotFound(answer.get_future().get()));
  }
}

}  // namespace
}  // namespace timbre
