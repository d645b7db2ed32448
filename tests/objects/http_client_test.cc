#include "server/objects/http_client.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "server/base/monotonic_clock.h"
#include "tests/objects/scripted_server.h"
#include "tests/support/testing.h"

namespace timbre {
namespace {

std::unique_ptr<HttpClient> Client(size_t max_requests = 128) {
  return *HttpClient::Create({.ca_file = "", .max_requests = max_requests});
}

Patience Within(absl::Duration time) {
  return {.deadline = MonotonicNow() + time};
}

TEST(HttpClientTest, SendsWhatItIsToldAndReturnsWhatComes) {
  ScriptedServer server([](const ScriptedServer::Request& request) {
    return Answer(418, request.body + "!", "X-One:  a b \r\nETag: \"e\"\r\n");
  });
  const auto client = Client();
  const auto answer = client->Send({.method = "PUT",
                                    .url = server.url() + "/a%20b/../c?d=e",
                                    .headers = {{"x-two", "2"}},
                                    .body = "frames"},
                                   {});
  ASSERT_OK(answer);
  EXPECT_EQ(answer->status, 418);
  EXPECT_EQ(answer->body, "frames!");
  EXPECT_EQ(answer->headers.at("x-one"), "a b");
  EXPECT_EQ(answer->headers.at("etag"), "\"e\"");
  const auto request = server.requests().at(0);
  EXPECT_EQ(request.method, "PUT");
  EXPECT_EQ(request.target, "/a%20b/../c?d=e");
  EXPECT_NE(request.head.find("x-two: 2"), std::string::npos);
  EXPECT_EQ(request.head.find("Expect"), std::string::npos);
}

TEST(HttpClientTest, MethodsWithoutABodyHaveNone) {
  ScriptedServer server([](const ScriptedServer::Request& request) {
    return request.method == "HEAD"
               ? "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
               : Answer(204);
  });
  const auto client = Client();
  for (const char* const method : {"GET", "HEAD", "DELETE"}) {
    const auto answer =
        client->Send({.method = method, .url = server.url()}, {});
    ASSERT_OK(answer);
    EXPECT_TRUE(answer->body.empty());
    EXPECT_EQ(server.requests().back().method, method);
  }
}

TEST(HttpClientTest, WhatWasNeverSentIsUnavailableAndTheRestUnknown) {
  const auto client = Client();
  EXPECT_TRUE(absl::IsUnavailable(
      client->Send({.method = "PUT", .url = DeadUrl()}, {}).status()));
  EXPECT_TRUE(absl::IsUnavailable(
      client->Send({.method = "PUT", .url = "http://host.invalid"}, {})
          .status()));
  ScriptedServer closes([](const auto&) { return ScriptedServer::kClose; });
  EXPECT_TRUE(absl::IsUnknown(
      client->Send({.method = "PUT", .url = closes.url()}, {}).status()));
  ScriptedServer cuts([](const auto&) {
    return Answer(200, std::string(1000, 'a')).substr(0, 500);
  });
  EXPECT_TRUE(absl::IsUnknown(
      client->Send({.method = "GET", .url = cuts.url()}, {}).status()));
}

TEST(HttpClientTest, NobodyWaitsBeyondTheDeadlineOrTheStall) {
  ScriptedServer silent([](const auto&) { return ScriptedServer::kSilence; });
  const auto client = Client();
  EXPECT_TRUE(absl::IsUnknown(client
                                  ->Send({.method = "GET", .url = silent.url()},
                                         Within(absl::Seconds(1)))
                                  .status()));
  EXPECT_TRUE(absl::IsUnknown(client
                                  ->Send({.method = "GET",
                                          .url = silent.url(),
                                          .stall_timeout = absl::Seconds(1)},
                                         {})
                                  .status()));
  // A connection that is never taken: nothing was sent.
  EXPECT_TRUE(
      absl::IsUnavailable(client
                              ->Send({.method = "GET", .url = silent.url()},
                                     {.deadline = absl::InfinitePast()})
                              .status()));
}

TEST(HttpClientTest, WhatNobodyWaitsForIsCancelled) {
  ScriptedServer silent([](const auto&) { return ScriptedServer::kSilence; });
  const auto client = Client();
  std::atomic<bool> gone = false;
  std::thread goes([&] {
    while (silent.requests().empty()) std::this_thread::yield();
    gone = true;
  });
  EXPECT_TRUE(
      absl::IsCancelled(client
                            ->Send({.method = "GET", .url = silent.url()},
                                   {.cancelled = [&] { return gone.load(); }})
                            .status()));
  goes.join();
}

TEST(HttpClientTest, AnAnswerThatIsTooLargeIsAnError) {
  ScriptedServer server([](const auto&) { return Answer(200, "12345"); });
  const auto client = Client();
  EXPECT_TRUE(absl::IsOutOfRange(
      client
          ->Send({.method = "GET", .url = server.url(), .max_answer_bytes = 4},
                 {})
          .status()));
  ASSERT_OK(client->Send(
      {.method = "GET", .url = server.url(), .max_answer_bytes = 5}, {}));
}

TEST(HttpClientTest, SoManyAtOnceAndTheOthersWait) {
  std::atomic<int> at_once = 0;
  std::atomic<int> most = 0;
  ScriptedServer server([&](const auto&) {
    const int now = ++at_once;
    int seen = most;
    while (seen < now && !most.compare_exchange_weak(seen, now)) {
    }
    --at_once;
    return Answer(200);
  });
  const auto client = Client(2);
  std::atomic<int> answered = 0;
  for (int i = 0; i < 200; ++i) {
    client->Start({.method = "GET", .url = server.url()}, {},
                  [&](const absl::StatusOr<HttpAnswer>& answer) {
                    EXPECT_TRUE(answer.ok()) << answer.status();
                    ++answered;
                  });
  }
  while (answered < 200) std::this_thread::yield();
  EXPECT_LE(most, 2);
  // Over connections that are kept.
  EXPECT_EQ(server.requests().size(), 200U);
}

TEST(HttpClientTest, ItsEndEndsWhatIsUnderWay) {
  ScriptedServer silent([](const auto&) { return ScriptedServer::kSilence; });
  auto client = Client(1);
  std::atomic<int> cancelled = 0;
  for (int i = 0; i < 3; ++i) {
    client->Start({.method = "GET", .url = silent.url()}, {},
                  [&](const absl::StatusOr<HttpAnswer>& answer) {
                    cancelled += absl::IsCancelled(answer.status()) ? 1 : 0;
                  });
  }
  while (silent.requests().empty()) std::this_thread::yield();
  client.reset();
  EXPECT_EQ(cancelled, 3);
}

}  // namespace
}  // namespace timbre
