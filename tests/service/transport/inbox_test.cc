#include "server/service/transport/inbox.h"

#include <gtest/gtest.h>

#include <string>

namespace timbre {
namespace {

constexpr size_t kMaxBytes = 1000;

grpc::ByteBuffer Message(size_t bytes) {
  const grpc::Slice slice(std::string(bytes, 'x'));
  return {&slice, 1};
}

TEST(InboxTest, AMessageThatComesAloneHasItsTurnAtOnce) {
  ReadAhead total;
  Inbox inbox(kMaxBytes, total);
  grpc::ByteBuffer next;
  EXPECT_TRUE(inbox.Came(Message(10)));
  EXPECT_EQ(inbox.Answered(next), Inbox::Next::kNothing);
  EXPECT_TRUE(inbox.StartReading());
  EXPECT_TRUE(inbox.Came(Message(10)));
}

TEST(InboxTest, OneReadIsUnderWayAtATime) {
  ReadAhead total;
  Inbox inbox(kMaxBytes, total);
  EXPECT_FALSE(inbox.StartReading());
  EXPECT_TRUE(inbox.Came(Message(10)));
  EXPECT_TRUE(inbox.StartReading());
  EXPECT_FALSE(inbox.StartReading());
}

TEST(InboxTest, ThoseThatComeMeanwhileAreKeptInOrder) {
  ReadAhead total;
  Inbox inbox(kMaxBytes, total);
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
  ReadAhead total;
  Inbox inbox(kMaxBytes, total);
  EXPECT_TRUE(inbox.Came(Message(kMaxBytes)));  // in its turn, not held
  EXPECT_TRUE(inbox.StartReading());
  EXPECT_FALSE(inbox.Came(Message(kMaxBytes - 1)));
  EXPECT_TRUE(inbox.StartReading());
  EXPECT_FALSE(inbox.Came(Message(kMaxBytes)));
  EXPECT_FALSE(inbox.StartReading());
  grpc::ByteBuffer next;
  EXPECT_EQ(inbox.Answered(next), Inbox::Next::kMessage);
  EXPECT_FALSE(inbox.StartReading());  // the second one is as large
  EXPECT_EQ(inbox.Answered(next), Inbox::Next::kMessage);
  EXPECT_TRUE(inbox.StartReading());
}

TEST(InboxTest, TheEndComesAfterTheLastAnswer) {
  ReadAhead total;
  Inbox inbox(kMaxBytes, total);
  EXPECT_TRUE(inbox.Came(Message(1)));
  EXPECT_FALSE(inbox.Came(Message(2)));
  EXPECT_FALSE(inbox.Ended());
  EXPECT_FALSE(inbox.StartReading());
  grpc::ByteBuffer next;
  EXPECT_EQ(inbox.Answered(next), Inbox::Next::kMessage);
  EXPECT_EQ(inbox.Answered(next), Inbox::Next::kEnd);
}

TEST(InboxTest, TheEndOfAStreamThatWaitsIsItsEnd) {
  ReadAhead total;
  Inbox inbox(kMaxBytes, total);
  EXPECT_TRUE(inbox.Ended());
}

TEST(InboxTest, AllTogetherKeepNoMoreThanIsAllowedButOneMessageEach) {
  ReadAhead total{.max_bytes = 10, .bytes = 0};
  Inbox one(100, total);
  {
    Inbox other(100, total);
    ASSERT_TRUE(other.Came(Message(1)));  // in turn: not kept
    EXPECT_TRUE(other.StartReading());
    EXPECT_FALSE(other.Came(Message(20)));
    EXPECT_EQ(total.bytes, 20U);
    EXPECT_FALSE(other.StartReading());
    ASSERT_TRUE(one.Came(Message(1)));
    EXPECT_TRUE(one.StartReading());  // it keeps nothing so far
    EXPECT_FALSE(one.Came(Message(5)));
    EXPECT_FALSE(one.StartReading());
  }
  EXPECT_EQ(total.bytes, 5U);
  EXPECT_TRUE(one.StartReading());
}

}  // namespace
}  // namespace timbre
