#include "server/app/metrics_endpoint.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "tests/support/testing.h"

namespace timbre {
namespace {

using Addresses = std::vector<std::string>;

TEST(MetricsEndpointTest, AnyAddressMeansBothFamiliesOrAtLeastIpv4) {
  EXPECT_EQ(ListenAlternatives("[::]:7401"),
            (Addresses{"0.0.0.0:7401,[::]:7401", "0.0.0.0:7401"}));
}

TEST(MetricsEndpointTest, AFreePortIsPickedOnce) {
  EXPECT_EQ(ListenAlternatives("[::]:0"), Addresses{"0.0.0.0:0"});
}

TEST(MetricsEndpointTest, OtherAddressesAreTakenAsTheyAre) {
  for (const std::string address : {"127.0.0.1:7401", "[::1]:7401"}) {
    EXPECT_EQ(ListenAlternatives(address), Addresses{address});
  }
}

TEST(MetricsEndpointTest, AnAddressInUseIsAnErrorThatNamesIt) {
  const auto first = MetricsEndpoint::Listen("127.0.0.1:0");
  ASSERT_OK(first);
  ASSERT_GT((*first)->port(), 0);
  const std::string same = absl::StrCat("127.0.0.1:", (*first)->port());
  const auto second = MetricsEndpoint::Listen(same);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(DetailsOf(second.status()).reason, "ADDRESS_IN_USE");
  EXPECT_NE(second.status().message().find(same), absl::string_view::npos);
}

}  // namespace
}  // namespace timbre
