// What calls do where nobody answers: client.h's promises of time.
#include <gmock/gmock.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "client/cpp/client.h"
#include "server/base/errors.h"
#include "server/base/file_system.h"
#include "tests/support/testing.h"

namespace timbre::client {
namespace {

using ::testing::HasSubstr;

// A TCP port of this machine that is listened at, and no more.
class Listener {
 public:
  Listener() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    // Another may listen there as soon as this one does not.
    const int yes = 1;
    setsockopt(fd_.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    auto* const general = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(fd_.get(), general, size), 0);
    EXPECT_EQ(listen(fd_.get(), 64), 0);
    EXPECT_EQ(getsockname(fd_.get(), general, &size), 0);
    address_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  }
  const std::string& address() const { return address_; }
  // Waits for a connection and hangs up.
  void AcceptAndClose() {
    FileDescriptor(accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }
  void Stop() { fd_ = FileDescriptor(); }

 private:
  FileDescriptor fd_;
  std::string address_;
};

// Speaks HTTP/2, takes every call and says nothing.
class MuteServer {
 public:
  MuteServer() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port_);
    builder.RegisterAsyncGenericService(&service_);
    queue_ = builder.AddCompletionQueue();
    server_ = builder.BuildAndStart();
  }
  ~MuteServer() {
    server_->Shutdown(std::chrono::system_clock::now());
    queue_->Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_->Next(&tag, &ok)) {
    }
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  int port_ = 0;
  grpc::AsyncGenericService service_;
  std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::unique_ptr<grpc::Server> server_;
};

// Every call of a client, by name.
std::vector<std::pair<std::string, std::function<absl::Status()>>> AllCalls(
    Client& client) {
  static const FrameMatrix frames{std::vector<float>(2000 * 256, 1), 2000, 256};
  const VoiceRef voice{"a", 1};
  return {
      {"Build",
       [&client] {
         bool given = false;
         v1::BuildOptions options;
         options.set_speaker("a");
         return client
             .Build(
                 options,
                 [&]() -> absl::StatusOr<std::optional<FrameMatrix>> {
                   if (std::exchange(given, true)) return std::nullopt;
                   return frames;
                 },
                 [](const v1::BuildProgress&) {})
             .status();
       }},
      {"Tune",
       [=, &client] { return client.Tune(voice, {}, frames).status(); }},
      {"Search",
       [=, &client] { return client.Search(voice, {}, frames).status(); }},
      {"Blend",
       [=, &client] { return client.Blend(voice, {}, frames).status(); }},
      {"Warm", [=, &client] { return client.Warm(voice).status(); }},
      {"OpenSearch",
       [=, &client] {
         SearchStream stream = client.OpenSearch(voice);
         return stream.Search(frames).status();
       }},
      {"OpenBlend",
       [=, &client] {
         BlendStream stream = client.OpenBlend(voice);
         return stream.Blend(frames).status();
       }},
      {"Close",
       [=, &client] {
         BlendStream stream = client.OpenBlend(voice);
         return stream.Close();
       }},
      {"ListSpeakers", [&client] { return client.ListSpeakers("").status(); }},
      {"GetSpeaker", [&client] { return client.GetSpeaker("a").status(); }},
      {"ActivateVersion",
       [=, &client] { return client.ActivateVersion(voice).status(); }},
      {"DeleteVersion",
       [=, &client] { return client.DeleteVersion(voice).status(); }},
      {"DeleteSpeaker", [&client] { return client.DeleteSpeaker("a"); }},
      {"GetServerInfo", [&client] { return client.GetServerInfo().status(); }},
      {"CheckHealth", [&client] { return client.CheckHealth().status(); }},
      {"ReadFrames",
       [=, &client] { return client.ReadFrames(voice).status(); }},
      {"ReadFramesById",
       [=, &client] { return client.ReadFramesById(voice, {1}).status(); }},
      {"Export",
       [=, &client] {
         return client.Export(
             voice, v1::EXPORT_FORMAT_NPY,
             [](const std::string&) { return absl::OkStatus(); });
       }},
  };
}

constexpr absl::Duration kTimeout = absl::Milliseconds(200);
constexpr absl::Duration kPlenty = absl::Seconds(10);  // on a loaded machine

TEST(CallTest, NoCallHangsWhereAServerTakesItAndSaysNothing) {
  const MuteServer server;
  Client client(server.address(), kTimeout);
  for (const auto& [name, call] : AllCalls(client)) {
    const absl::Time start = absl::Now();
    const absl::Status status = call();
    EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded)
        << name << ": " << status;
    EXPECT_EQ(DetailsOf(status).reason, "NO_ANSWER") << name;
    EXPECT_THAT(std::string(status.message()), HasSubstr(server.address()));
    EXPECT_GE(absl::Now() - start, kTimeout) << name;
    EXPECT_LT(absl::Now() - start, kPlenty) << name;
  }
}

TEST(CallTest, NoCallHangsWhereAPortIsListenedAtAndSilent) {
  const Listener silent;
  for (size_t i = 0;; ++i) {
    Client client(silent.address(), kTimeout);
    const auto calls = AllCalls(client);
    if (i == calls.size()) break;
    const absl::Time start = absl::Now();
    const absl::Status status = calls[i].second();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable)
        << calls[i].first << ": " << status;
    EXPECT_EQ(DetailsOf(status).reason, "NO_CONNECTION");
    EXPECT_LT(absl::Now() - start, kPlenty) << calls[i].first;
  }
}

TEST(CallTest, AWrongAddressIsSaidByEveryCallAtOnce) {
  Client client("http://127.0.0.1:7400");
  for (const auto& [name, call] : AllCalls(client)) {
    EXPECT_EQ(call().code(), absl::StatusCode::kInvalidArgument) << name;
  }
}

TEST(CallTest, AFirstConnectionThatFailsIsTriedAgain) {
  Listener listener;
  absl::Status status;
  std::thread caller([&] {
    Client client(listener.address());
    status = client.GetServerInfo().status();
  });
  listener.AcceptAndClose();
  listener.Stop();  // refused from here on, until the server is there
  grpc::CallbackGenericService no_methods;
  grpc::ServerBuilder builder;
  builder.RegisterCallbackGenericService(&no_methods);
  int port = 0;
  builder.AddListeningPort(listener.address(),
                           grpc::InsecureServerCredentials(), &port);
  const auto server = builder.BuildAndStart();
  EXPECT_NE(server, nullptr);
  caller.join();
  // Answered, by a server that knows no methods.
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented) << status;
}

TEST(CallTest, ARefusalThatLastsIsSaidAfterASecond) {
  Listener listener;
  listener.Stop();
  Client client(listener.address());
  const absl::Time start = absl::Now();
  const absl::Status status = client.GetServerInfo().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(DetailsOf(status).reason, "NO_CONNECTION");
  EXPECT_THAT(std::string(status.message()), HasSubstr("Connection refused"));
  EXPECT_GE(absl::Now() - start, absl::Seconds(1));
  EXPECT_LT(absl::Now() - start, kPlenty);
}

}  // namespace
}  // namespace timbre::client
