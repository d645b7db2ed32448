#include "server/service/transport/inbox.h"

#include <gtest/gtest.h>

#include <string>

namespace timbre {
namespace {

constexpr size_t kMost = 1000;

grpc::ByteBuffer Message(size_t bytes) {
  const grpc::Slice slice(std::string(bytes, 'x'));
  return {&slice, 1};
}

TEST(InboxTest, AMessageThatComesAloneHasItsTurnAtOnce) {
  Inbox inbox(kMost);
  grpc::ByteBuffer next;
  EXPECT_TRUE(inbox.Came(Message(10)));
  EXPECT_EQ(inbox.Answered(next), Inbox::Next::kNothing);
  EXPECT_TRUE(inbox.StartReading());
  EXPECT_TRUE(inbox.Came(Message(10)));
}

TEST(InboxTest, OneReadIsUnderWayAtATime) {
  Inbox inbox(kMost);
  EXPECT_FALSE(inbox.StartReading());
  EXPECT_TRUE(inbox.Came(Message(10)));
  EXPECT_TRUE(inbox.StartReading());
  EXPECT_FALSE(inbox.StartReading());
}

TEST(InboxTest, ThoseThatComeMeanwhileAreKeptInOrder) {
  Inbox inbox(kMost);
  EXPECT_TRUE(inbox.Came(Message(1)));
  EXPECT_FALSE(inbox.Came(Message(2)));
  EXPECT_FALSE(inbox.Came(Message(3)));
  grpc::ByteBuffer next;
  EXPECT_EQ(inbox.Answered(next), Inbox::Next::kMessage);
  EXPECT_EQ(next.Length(), 2U);
  EXPECT_EQ(inbox.Answered(next), Inbox::Next::kMessage);
  EXPECT_EQ(next.Length(), 3U);
  EXPECT_EQ(inbox.Answered(next), Inbox::Next::kNothing);
}

TEST(InboxTest, ReadsOnUntilItHoldsEnoughAndAgainWhenItHasRoom) {
  Inbox inbox(kMost);
  EXPECT_TRUE(inbox.Came(Message(kMost)));  // in its turn, not held
  EXPECT_TRUE(inbox.StartReading());
  EXPECT_FALSE(inbox.Came(Message(kMost - 1)));
  EXPECT_TRUE(inbox.StartReading());
  EXPECT_FALSE(inbox.Came(Message(kMost)));
  EXPECT_FALSE(inbox.StartReading());
  grpc::ByteBuffer next;
  EXPECT_EQ(inbox.Answered(next), Inbox::Next::kMessage);
  EXPECT_FALSE(inbox.StartReading());  // the second one is as large
  EXPECT_EQ(inbox.Answered(next), Inbox::Next::kMessage);
  EXPECT_TRUE(inbox.StartReading());
}

TEST(InboxTest, TheEndComesAfterTheLastAnswer) {
  Inbox inbox(kMost);
  EXPECT_TRUE(inbox.Came(Message(1)));
  EXPECT_FALSE(inbox.Came(Message(2)));
  EXPECT_FALSE(inbox.Ended());
  EXPECT_FALSE(inbox.StartReading());
  grpc::ByteBuffer next;
  EXPECT_EQ(inbox.Answered(next), Inbox::Next::kMessage);
  EXPECT_EQ(inbox.Answered(next), Inbox::Next::kEnd);
}

TEST(InboxTest, TheEndOfAStreamThatWaitsIsItsEnd) {
  Inbox inbox(kMost);
  EXPECT_TRUE(inbox.Ended());
}

}  // namespace
}  // namespace timbre
