#include "server/service/transport/connections.h"

#include <gtest/gtest.h>

namespace timbre {
namespace {

TEST(ConnectionsTest, KeysAreAddressAndPort) {
  EXPECT_EQ(Connections::KeyOf("ipv4:127.0.0.1:80"), "ipv4:127.0.0.1:80");
  EXPECT_EQ(Connections::KeyOf("ipv6:%5B::1%5D:80"), "ipv6:::1:80");
  // With a scope, which gRPC encodes twice and the acceptor does not tell.
  EXPECT_EQ(Connections::KeyOf("ipv6:%5Bfe80::1%252%5D:80"),
            Connections::KeyOf("ipv6:%5Bfe80::1%5D:80"));
  EXPECT_EQ(Connections::KeyOf("unix:"), Connections::KeyOf("unix:/a/b"));
}

TEST(ConnectionsTest, CallsFindTheConnectionOfTheirPeer) {
  Connections connections;
  const auto first = connections.Add("ipv4:127.0.0.1:1");
  const auto second = connections.Add("ipv4:127.0.0.1:2");
  EXPECT_EQ(connections.Find("ipv4:127.0.0.1:1"), first);
  EXPECT_EQ(connections.Find("ipv4:127.0.0.1:2"), second);
}

TEST(ConnectionsTest, AConnectionThatHasGoneTakesNothingOfTheNextOne) {
  Connections connections;
  const auto old = connections.Add("ipv4:127.0.0.1:1");
  connections.Remove("ipv4:127.0.0.1:1", old.get());
  EXPECT_FALSE(connections.Has("ipv4:127.0.0.1:1"));
  const auto next = connections.Add("ipv4:127.0.0.1:1");
  EXPECT_NE(old, next);
  EXPECT_FALSE(next->shared());
  connections.Remove("ipv4:127.0.0.1:1", old.get());
  EXPECT_EQ(connections.Find("ipv4:127.0.0.1:1"), next);
  connections.Remove("ipv4:127.0.0.1:1", next.get());
  const auto late = connections.Find("ipv4:127.0.0.1:1");
  ASSERT_NE(late, nullptr);
  EXPECT_NE(late, next);
}

TEST(ConnectionsTest, OnePortOfAClientToTwoAddressesOfTheServerIsShared) {
  Connections connections;
  const auto one = connections.Add("ipv4:127.0.0.1:1");
  EXPECT_FALSE(one->shared());
  EXPECT_TRUE(connections.Has("ipv4:127.0.0.1:1"));
  EXPECT_EQ(connections.Add("ipv4:127.0.0.1:1"), one);
  EXPECT_TRUE(one->shared());
}

TEST(ConnectionsTest, ClientsOfUnixSocketsShareAnEntry) {
  Connections connections;
  const auto one = connections.Add("unix");
  EXPECT_EQ(connections.Add("unix"), one);
  connections.Remove("unix", one.get());
  EXPECT_EQ(connections.Find("unix:"), one);
}

}  // namespace
}  // namespace timbre
