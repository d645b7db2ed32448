#include "server/service/methods.h"

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "tests/support/testing.h"
#include "timbre/v1/retrieval.pb.h"

namespace timbre {
namespace {

using ::testing::IsSupersetOf;

TEST(MethodsTest, EveryMethodHasItsHandler) {
  ServiceContext context;
  ProgressTicker ticker;
  Health health;
  // The protos are the reference: what they have and the table has not, or the
  // other way round, is an error.
  const auto services = ServicesOf(context, ticker, health);
  ASSERT_OK(services);
  std::vector<std::string> served;
  for (const ServedService& service : *services) {
    served.push_back(service.descriptor->full_name());
    EXPECT_EQ(service.factories.size(),
              static_cast<size_t>(service.descriptor->method_count()));
  }
  std::vector<std::string> contract;
  const google::protobuf::FileDescriptor& file =
      *v1::SearchRequest::descriptor()->file();
  for (int i = 0; i < file.service_count(); ++i) {
    contract.push_back(file.service(i)->full_name());
  }
  EXPECT_THAT(served, IsSupersetOf(contract));
}

TEST(MethodsTest, ProbesAloneAreAnsweredHoweverManyCallsThereAre) {
  ServiceContext context;
  ProgressTicker ticker;
  Health health;
  const auto services = ServicesOf(context, ticker, health);
  ASSERT_OK(services);
  for (const ServedService& service : *services) {
    EXPECT_EQ(service.kind == CallServer::ServiceKind::kProbe,
              service.descriptor->full_name() == "grpc.health.v1.Health");
  }
}

}  // namespace
}  // namespace timbre
