#include "client/cpp/address.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "server/base/errors.h"
#include "tests/support/testing.h"

namespace timbre::client {
namespace {

TEST(AddressTest, WhatCannotBecomeRightIsRefusedAndTheFormShown) {
  for (const char* const text : {"http://x:7400",
                                 "https://x:7400",
                                 "grpc://x:7400",
                                 "",
                                 " ",
                                 "x",
                                 "x:",
                                 ":7400",
                                 "x:0",
                                 "x:-1",
                                 "x:+1",
                                 "x:99999",
                                 "x:65536",
                                 "x:7400 ",
                                 " x:7400",
                                 "x :7400",
                                 "\"x:7400\"",
                                 "'x:7400'",
                                 "x:7400/",
                                 "x:seven",
                                 "::1:7400",
                                 "[::1]",
                                 "[::1]7400",
                                 "[]:7400",
                                 "[x]:7400",
                                 "[::1:7400",
                                 "x:07400x",
                                 "x,y:7400",
                                 "unix:",
                                 "unix:a\nb",
                                 "dns:",
                                 "dns:///",
                                 "dns:x",
                                 "ipv4:1.2.3.4:0",
                                 "x:7400:7400",
                                 "ü:7400"}) {
    const auto address = ParseAddress(text);
    EXPECT_EQ(address.status().code(), absl::StatusCode::kInvalidArgument)
        << text;
    EXPECT_EQ(DetailsOf(address.status()).field, "server");
    EXPECT_NE(address.status().message().find(
                  "must be HOST:PORT, [IPV6]:PORT or unix:PATH"),
              absl::string_view::npos);
  }
  EXPECT_EQ(ParseAddress("http://x:7400").status().message(),
            "server: \"http://x:7400\" is not accepted; must be HOST:PORT, "
            "[IPV6]:PORT or unix:PATH");
}

TEST(AddressTest, APathThatNoSocketCanHaveIsCalledThat) {
  const std::string longest(107, 'x');
  ASSERT_OK(ParseAddress("unix:" + longest));
  const auto longer = ParseAddress("unix:" + longest + "x");
  EXPECT_EQ(longer.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(longer.status().message().find("107 bytes"),
            absl::string_view::npos);
}

TEST(AddressTest, LoopbackAndUnixSocketsAreLocal) {
  const std::map<std::string, bool> kLocal = {
      {"127.0.0.1:7400", true},     {"127.9.9.9:1", true},
      {"localhost:65535", true},    {"LOCALHOST:7400", true},
      {"[::1]:7400", true},         {"[::ffff:127.0.0.1]:7400", true},
      {"unix:a b", true},           {"unix:///tmp/x", true},
      {"unix-abstract:x", true},    {"ipv4:127.0.0.1:1,127.0.0.2:1", true},
      {"10.127.0.1:7400", false},   {"[2001:db8::1]:7400", false},
      {"[fe80::1%eth0]:1", false},  {"gpu_1.example-2.org:7400", false},
      {"localhost.org:1", false},   {"dns:///voices:7400", false},
      {"dns://8.8.8.8/x:1", false}, {"ipv4:127.0.0.1:1,10.0.0.1:1", false},
  };
  for (const auto& [text, local] : kLocal) {
    const auto address = ParseAddress(text);
    ASSERT_OK(address);
    EXPECT_EQ(address->text, text);
    EXPECT_EQ(address->local, local) << text;
  }
  EXPECT_EQ(ParseAddress("[::1]:7400")->host, "::1");
}

// Of an environment.
std::string Proxy(const std::string& server,
                  const std::map<std::string, std::string>& environment) {
  return ProxyOf(*ParseAddress(server), [&](const char* name) -> const char* {
    const auto it = environment.find(name);
    return it == environment.end() ? nullptr : it->second.c_str();
  });
}

TEST(AddressTest, TheProxyIsTheOneThatGrpcTakesFromTheEnvironment) {
  const std::string kServer = "voices.example.org:7400";
  EXPECT_EQ(Proxy(kServer, {}), "");
  EXPECT_EQ(Proxy(kServer, {{"http_proxy", "http://p:3128"}}),
            "http://p:3128 (http_proxy)");
  EXPECT_EQ(Proxy(kServer, {{"http_proxy", "http://a:1"},
                            {"https_proxy", "http://b:2"},
                            {"grpc_proxy", "http://c:3"}}),
            "http://c:3 (grpc_proxy)");
  EXPECT_EQ(Proxy(kServer, {{"https_proxy", "http://b:2/"}}),
            "http://b:2 (https_proxy)");
  EXPECT_EQ(Proxy(kServer, {{"http_proxy", "http://user:secret@p:3128"}}),
            "http://p:3128 (http_proxy)");
  EXPECT_EQ(Proxy(kServer, {{"http_proxy", ""}}), "");
  EXPECT_EQ(Proxy(kServer, {{"http_proxy", "socks5://p:1"}}), "");
  EXPECT_EQ(Proxy(kServer, {{"http_proxy", "http://p:3128"},
                            {"no_proxy", "a.org,example.org"}}),
            "");
  EXPECT_EQ(Proxy(kServer, {{"http_proxy", "http://p:3128"},
                            {"no_proxy", "example.org"},
                            {"no_grpc_proxy", "a.org"}}),
            "http://p:3128 (http_proxy)");
  EXPECT_EQ(Proxy("127.0.0.1:7400", {{"http_proxy", "http://p:3128"}}), "");
  EXPECT_EQ(Proxy("unix:/tmp/x", {{"grpc_proxy", "http://p:3128"}}), "");
}

}  // namespace
}  // namespace timbre::client
