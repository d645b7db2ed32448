#include "server/service/probes/health.h"

#include <gmock/gmock.h>

#include <vector>

namespace timbre {
namespace {

using grpc::health::v1::HealthCheckResponse;
using testing::ElementsAre;

constexpr auto kServing = HealthCheckResponse::SERVING;
constexpr auto kNotServing = HealthCheckResponse::NOT_SERVING;
constexpr auto kUnknown = HealthCheckResponse::SERVICE_UNKNOWN;

class Recorder : public Health::Watcher {
 public:
  explicit Recorder(std::string service) : service_(std::move(service)) {}
  const std::string& service() const override { return service_; }
  void Tell(ServingStatus status) override { told.push_back(status); }

  std::vector<ServingStatus> told;

 private:
  const std::string service_;
};

TEST(Health, KnowsWhatWasSetAndNothingElse) {
  Health health;
  health.Set("a", kServing);
  health.Set("b", kNotServing);
  EXPECT_EQ(health.Of("a"), kServing);
  EXPECT_EQ(health.Of("b"), kNotServing);
  EXPECT_EQ(health.Of("c"), kUnknown);
}

TEST(Health, SetAllChangesWhatIsKnown) {
  Health health;
  health.Set("a", kServing);
  health.SetAll(kNotServing);
  EXPECT_EQ(health.Of("a"), kNotServing);
  EXPECT_EQ(health.Of("b"), kUnknown);
}

TEST(Health, TellsAWatcherWhatIsAndWhatChanges) {
  Health health;
  health.Set("a", kServing);
  Recorder watcher("a");
  Recorder early("b");
  health.Watch(watcher);
  health.Watch(early);
  health.Set("b", kServing);
  health.SetAll(kNotServing);
  EXPECT_THAT(watcher.told, ElementsAre(kServing, kNotServing));
  EXPECT_THAT(early.told, ElementsAre(kUnknown, kServing, kNotServing));
}

TEST(Health, TellsNothingAfterLeave) {
  Health health;
  Recorder watcher("a");
  health.Watch(watcher);
  health.Leave(watcher);
  health.Set("a", kServing);
  EXPECT_THAT(watcher.told, ElementsAre(kUnknown));
}

}  // namespace
}  // namespace timbre
