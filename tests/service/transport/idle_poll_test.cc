#include "server/service/transport/idle_poll.h"

#include <gtest/gtest.h>

namespace timbre {
namespace {

constexpr absl::Duration kLongest = absl::Microseconds(200);
constexpr absl::Duration kSoon = absl::Microseconds(60);

// Messages of a call: one tag for those that come, one for the answers.
class Caller {
 public:
  void Ask(IdlePoll& poll, absl::Duration pause) {
    poll.Saw(&message_, pause);
    poll.Saw(&answer_, absl::ZeroDuration());
  }

 private:
  char message_ = 0;
  char answer_ = 0;
};

TEST(IdlePollTest, ACallerThatAlwaysAsksAtOnceIsAwaited) {
  IdlePoll poll(kLongest);
  Caller caller;
  caller.Ask(poll, kSoon);
  EXPECT_EQ(poll.patience(), absl::ZeroDuration());
  for (int i = 0; i < 20; ++i) caller.Ask(poll, kSoon);
  EXPECT_EQ(poll.patience(), kLongest);
}

TEST(IdlePollTest, OnePauseEndsIt) {
  IdlePoll poll(kLongest);
  Caller caller;
  for (int i = 0; i < 20; ++i) caller.Ask(poll, kSoon);
  caller.Ask(poll, kLongest);
  EXPECT_EQ(poll.patience(), absl::ZeroDuration());
}

TEST(IdlePollTest, CallersThatTakeTurnsAreNotAwaited) {
  IdlePoll poll(kLongest);
  Caller one, other;
  for (int i = 0; i < 100; ++i) {
    one.Ask(poll, kSoon);
    EXPECT_EQ(poll.patience(), absl::ZeroDuration());
    other.Ask(poll, kSoon);
    EXPECT_EQ(poll.patience(), absl::ZeroDuration());
  }
}

TEST(IdlePollTest, AnUploadIsNotAwaited) {
  IdlePoll poll(kLongest);
  const char message = 0;
  for (int i = 0; i < 100; ++i) poll.Saw(&message, kSoon);
  EXPECT_EQ(poll.patience(), absl::ZeroDuration());
}

TEST(IdlePollTest, LiveStreamsAreNotAwaited) {
  IdlePoll poll(kLongest);
  Caller caller;
  for (int i = 0; i < 100; ++i) {
    caller.Ask(poll, absl::Milliseconds(250));
    EXPECT_EQ(poll.patience(), absl::ZeroDuration());
  }
}

TEST(IdlePollTest, ZeroNeverLooks) {
  IdlePoll poll(absl::ZeroDuration());
  Caller caller;
  for (int i = 0; i < 100; ++i) caller.Ask(poll, absl::ZeroDuration());
  EXPECT_EQ(poll.patience(), absl::ZeroDuration());
}

}  // namespace
}  // namespace timbre
