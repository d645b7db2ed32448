#include "server/base/listening_socket.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <fstream>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "tests/support/testing.h"

namespace timbre {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(20);

absl::StatusOr<std::vector<ListeningSocket>> Listen(const std::string& at) {
  return ListenOn(at, kTimeout);
}

bool Connects(const sockaddr* address, socklen_t length) {
  const FileDescriptor fd(::socket(address->sa_family, SOCK_STREAM, 0));
  return ::connect(fd.get(), address, length) == 0;
}

bool ConnectsTo4(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return Connects(reinterpret_cast<sockaddr*>(&address), sizeof(address));
}

bool ConnectsTo6(int port) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(static_cast<uint16_t>(port));
  address.sin6_addr = in6addr_loopback;
  return Connects(reinterpret_cast<sockaddr*>(&address), sizeof(address));
}

bool ConnectsToPath(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  return Connects(reinterpret_cast<sockaddr*>(&address), sizeof(address));
}

bool Exists(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0;
}

TEST(ListenOnTest, PicksAFreePortAndRefusesOneInUse) {
  const auto first = Listen("127.0.0.1:0");
  ASSERT_TRUE(first.ok()) << first.status();
  const int port = first->front().port();
  EXPECT_TRUE(ConnectsTo4(port));
  const auto second = Listen(absl::StrCat("127.0.0.1:", port));
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(DetailsOf(second.status()).reason, "ADDRESS_IN_USE");
}

TEST(ListenOnTest, AnyAddressIsOfBothFamilies) {
  for (const char* any : {"0.0.0.0:0", "[::]:0"}) {
    const auto sockets = Listen(any);
    ASSERT_TRUE(sockets.ok()) << sockets.status();
    EXPECT_TRUE(ConnectsTo4(sockets->front().port())) << any;
    if (Listen("[::1]:0").ok()) {
      EXPECT_TRUE(ConnectsTo6(sockets->front().port())) << any;
    }
    // Whoever holds all addresses holds each.
    EXPECT_EQ(
        DetailsOf(Listen(absl::StrCat("127.0.0.1:", sockets->front().port()))
                      .status())
            .reason,
        "ADDRESS_IN_USE");
  }
}

TEST(ListenOnTest, ANameMeansAllItsAddressesWithOnePort) {
  const auto sockets = Listen("localhost:0");
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  for (const ListeningSocket& socket : *sockets) {
    EXPECT_EQ(socket.port(), sockets->front().port());
  }
  EXPECT_TRUE(ConnectsTo4(sockets->front().port()) ||
              ConnectsTo6(sockets->front().port()));
}

TEST(ListenOnTest, ConnectionsInheritWhatMakesThemFastAndFinite) {
  const auto sockets = Listen("127.0.0.1:0");
  ASSERT_TRUE(sockets.ok());
  ASSERT_TRUE(ConnectsTo4(sockets->front().port()));
  const FileDescriptor fd(::accept(sockets->front().fd(), nullptr, nullptr));
  int value = 0;
  socklen_t length = sizeof(value);
  ::getsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &value, &length);
  EXPECT_NE(value, 0);
  ::getsockopt(fd.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, &value, &length);
  EXPECT_EQ(value, absl::ToInt64Milliseconds(kTimeout));
}

TEST(ListenOnTest, WhatIsNoAddressIsCalledThat) {
  for (const char* wrong : {"127.0.0.1", "127.0.0.1:99999", "127.0.0.1:-1",
                            "127.0.0.1:http", ":80", "::1:80", "[::1:80"}) {
    EXPECT_EQ(Listen(wrong).status().code(), absl::StatusCode::kInvalidArgument)
        << wrong;
  }
  // Not one of this machine's.
  EXPECT_EQ(DetailsOf(Listen("192.0.2.1:0").status()).reason, "CANNOT_LISTEN");
}

class SocketPathTest : public ::testing::Test {
 protected:
  timbre::testing::TempDir directory_;
  const std::string path_ = directory_.File("socket");
  const std::string address_ = "unix:" + path_;
};

TEST_F(SocketPathTest, InUseIsRefusedAsForTcp) {
  const auto first = Listen(address_);
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = Listen(address_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(DetailsOf(second.status()).reason, "ADDRESS_IN_USE");
  EXPECT_TRUE(ConnectsToPath(path_));
}

TEST_F(SocketPathTest, OneOfSeveralThatStartAtOnceGetsIt) {
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> listening = 0;
    std::array<absl::StatusOr<std::vector<ListeningSocket>>, 4> results;
    std::vector<std::thread> threads;
    for (auto& result : results) {
      threads.emplace_back([&] {
        result = Listen(address_);
        if (result.ok()) ++listening;
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(listening, 1);
    EXPECT_TRUE(ConnectsToPath(path_));
  }
}

TEST_F(SocketPathTest, ASocketThatNobodyListensOnIsReplaced) {
  {
    const FileDescriptor fd(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    ASSERT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address),
                     sizeof(address)),
              0);
  }
  ASSERT_TRUE(Exists(path_));
  const auto sockets = Listen(address_);
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  EXPECT_TRUE(ConnectsToPath(path_));
}

TEST_F(SocketPathTest, WhatIsNoSocketIsLeftAlone) {
  std::ofstream(path_) << "someone's";
  EXPECT_EQ(DetailsOf(Listen(address_).status()).reason, "CANNOT_LISTEN");
  const std::string link = directory_.File("link");
  ASSERT_EQ(::symlink(path_.c_str(), link.c_str()), 0);
  EXPECT_EQ(DetailsOf(Listen("unix:" + link).status()).reason, "CANNOT_LISTEN");
  std::string text;
  std::getline(std::ifstream(path_), text);
  EXPECT_EQ(text, "someone's");
  EXPECT_TRUE(Exists(link));
}

TEST_F(SocketPathTest, TheEndRemovesItAndLeavesNothingBehind) {
  { ASSERT_TRUE(Listen(address_).ok()); }
  EXPECT_FALSE(Exists(path_));
  EXPECT_EQ(::rmdir(directory_.path().c_str()), 0);  // nothing else was there
}

TEST_F(SocketPathTest, TheEndLeavesTheSocketOfAnotherThatTookItsPlace) {
  auto old = Listen(address_);
  ASSERT_TRUE(old.ok());
  ASSERT_EQ(::unlink(path_.c_str()), 0);  // what servers without a look do
  const auto replacement = Listen(address_);
  ASSERT_TRUE(replacement.ok()) << replacement.status();
  old->clear();
  EXPECT_TRUE(ConnectsToPath(path_));
}

TEST_F(SocketPathTest, APathThatIsTooLongIsCalledThat) {
  const auto sockets = Listen("unix:" + directory_.File(std::string(120, 'x')));
  EXPECT_EQ(sockets.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(sockets.status().message(), "107 bytes"));
}

TEST_F(SocketPathTest, SlashesAfterTheSchemeBelongToTheUri) {
  const auto sockets = Listen("unix://" + path_);
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  EXPECT_TRUE(ConnectsToPath(path_));
}

}  // namespace
}  // namespace timbre
