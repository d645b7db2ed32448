#include "server/service/transport/abuse.h"

#include <gtest/gtest.h>

namespace timbre {
namespace {

constexpr uint64_t kKiB = 1 << 10;
constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kMessage = 128 * kMiB;
constexpr absl::Duration kLook = absl::Milliseconds(50);
constexpr absl::Duration kNotStuck = absl::ZeroDuration();

// A connection that does the same between any two looks.
class Connection {
 public:
  AbuseMeter::Sample total;

  Abuse Look(const AbuseMeter::Sample& more, absl::Duration stuck = kNotStuck) {
    total.received += more.received;
    total.sent += more.sent;
    total.use.message_bytes += more.use.message_bytes;
    total.use.messages += more.use.messages;
    total.use.calls_begun += more.use.calls_begun;
    total.use.calls_ended += more.use.calls_ended;
    total.use.calls_cut_short += more.use.calls_cut_short;
    return meter_.Judge(total, kLook, stuck);
  }
  Abuse After(int looks, const AbuseMeter::Sample& each) {
    Abuse abuse = Abuse::kNone;
    for (int i = 0; i < looks && abuse == Abuse::kNone; ++i) {
      abuse = Look(each);
    }
    return abuse;
  }

 private:
  AbuseMeter meter_{kMessage};
};

constexpr int kMinute = 1200;  // looks

TEST(AbuseMeterTest, FramesThatMakeNoCallAreAbuse) {
  Connection connection;
  EXPECT_EQ(connection.After(kMinute, {.received = kMiB, .sent = 0, .use = {}}),
            Abuse::kBytes);
  EXPECT_LT(connection.total.received, 4 * kMiB);
}

TEST(AbuseMeterTest, PingsAndSettingsOfAQuietConnectionAreNot) {
  Connection connection;
  EXPECT_EQ(
      connection.After(kMinute, {.received = 2 * kKiB, .sent = 0, .use = {}}),
      Abuse::kNone);
}

TEST(AbuseMeterTest, CallsThatAreTakenBackAtOnceAreAbuse) {
  Connection connection;
  // 35 bytes each: far below what bytes are judged by.
  EXPECT_EQ(connection.After(kMinute, {.received = 3'500,
                                       .sent = 0,
                                       .use = {.calls_begun = 100,
                                               .calls_ended = 100,
                                               .calls_cut_short = 100}}),
            Abuse::kResets);
}

TEST(AbuseMeterTest, ClientsThatTimeOutAreNot) {
  Connection connection;
  EXPECT_EQ(connection.After(kMinute, {.received = 60 * kKiB,
                                       .sent = 0,
                                       .use = {.message_bytes = 50 * kKiB,
                                               .messages = 50,
                                               .calls_begun = 50,
                                               .calls_ended = 50,
                                               .calls_cut_short = 5}}),
            Abuse::kNone);
}

TEST(AbuseMeterTest, ManySmallCallsWithLargeHeadersAreNot) {
  Connection connection;  // 10,000 a second
  EXPECT_EQ(connection.After(kMinute, {.received = 500 * 8 * kKiB,
                                       .sent = 0,
                                       .use = {.message_bytes = 500 * 20,
                                               .messages = 500,
                                               .calls_begun = 500,
                                               .calls_ended = 500}}),
            Abuse::kNone);
}

TEST(AbuseMeterTest, ThousandsOfLiveStreamsAreNot) {
  Connection connection;
  AbuseMeter::Sample begin{.received = 2'800 * 150, .sent = 0, .use = {}};
  EXPECT_EQ(connection.Look(begin), Abuse::kNone);  // not yet accepted
  begin = {
      .received = 2'800 * 16 * kKiB, .sent = 0, .use = {.calls_begun = 2'800}};
  EXPECT_EQ(connection.Look(begin), Abuse::kNone);
  EXPECT_EQ(connection.After(kMinute, {.received = 560 * 17 * kKiB,
                                       .sent = 560 * 17 * kKiB,
                                       .use = {.message_bytes = 560 * 16 * kKiB,
                                               .messages = 560}}),
            Abuse::kNone);
}

TEST(AbuseMeterTest, AMessageOfTheLargestSizeMayBeOnItsWay) {
  Connection connection;
  EXPECT_EQ(
      connection.Look({.received = kKiB, .sent = 0, .use = {.calls_begun = 1}}),
      Abuse::kNone);
  for (uint64_t sent = 0; sent < kMessage; sent += kMiB) {
    ASSERT_EQ(connection.Look({.received = kMiB, .sent = 0, .use = {}}),
              Abuse::kNone);
  }
  EXPECT_EQ(
      connection.Look({.received = 0,
                       .sent = 0,
                       .use = {.message_bytes = kMessage, .messages = 1}}),
      Abuse::kNone);
}

TEST(AbuseMeterTest, WhatWasOnItsWayGoesWithItsCall) {
  Connection connection;
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(connection.Look(
                  {.received = kMiB, .sent = 0, .use = {.calls_begun = 1}}),
              Abuse::kNone);
    for (int mib = 0; mib < 100; ++mib) {
      ASSERT_EQ(connection.Look({.received = kMiB, .sent = 0, .use = {}}),
                Abuse::kNone);
    }
    ASSERT_EQ(
        connection.Look({.received = 0, .sent = 0, .use = {.calls_ended = 1}}),
        Abuse::kNone);
  }
}

TEST(AbuseMeterTest, AClientMayTakeBackAFewCallsInTheMiddleOfTheirMessages) {
  const AbuseMeter::Sample taken_back{
      .received = 5 * kMiB,
      .sent = 0,
      .use = {.calls_begun = 1, .calls_ended = 1, .calls_cut_short = 1}};
  EXPECT_EQ(Connection().After(40, taken_back), Abuse::kNone);
  EXPECT_EQ(Connection().After(kMinute, taken_back), Abuse::kBytes);
}

TEST(AbuseMeterTest, MoreThanThatIsAbuseThoughACallIsOpen) {
  Connection connection;
  EXPECT_EQ(
      connection.Look({.received = kKiB, .sent = 0, .use = {.calls_begun = 1}}),
      Abuse::kNone);
  EXPECT_EQ(connection.After(kMinute, {.received = kMiB, .sent = 0, .use = {}}),
            Abuse::kBytes);
}

TEST(AbuseMeterTest, WindowUpdatesForADownloadAreNot) {
  Connection connection;
  EXPECT_EQ(connection.After(kMinute,
                             {.received = kMiB, .sent = 32 * kMiB, .use = {}}),
            Abuse::kNone);
}

TEST(AbuseMeterTest, FewBytesThatKeepAThreadFromItsEventsAreAbuse) {
  Connection connection;
  Abuse abuse = Abuse::kNone;
  for (int ms = 50; ms <= 1000 && abuse == Abuse::kNone; ms += 50) {
    abuse = connection.Look({.received = 32 * kKiB, .sent = 0, .use = {}},
                            absl::Milliseconds(ms));
  }
  EXPECT_EQ(abuse, Abuse::kCpu);
}

TEST(AbuseMeterTest, ALargeMessageThatDoesIsNot) {
  Connection connection;
  EXPECT_EQ(
      connection.Look({.received = kKiB, .sent = 0, .use = {.calls_begun = 1}}),
      Abuse::kNone);
  for (int ms = 50; ms <= 300; ms += 50) {
    EXPECT_EQ(connection.Look({.received = 20 * kMiB, .sent = 0, .use = {}},
                              absl::Milliseconds(ms)),
              Abuse::kNone);
  }
}

TEST(AbuseMeterTest, WhoSendsNothingMeanwhileIsInnocent) {
  Connection connection;
  for (int ms = 50; ms <= 2000; ms += 50) {
    EXPECT_EQ(connection.Look({.received = 100, .sent = 0, .use = {}},
                              absl::Milliseconds(ms)),
              Abuse::kNone);
  }
}

}  // namespace
}  // namespace timbre
