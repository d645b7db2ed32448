#include "server/catalog/records/retention.h"

#include <gmock/gmock.h>

namespace timbre {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(SurplusVersions, NothingGoesWhereAllAreKept) {
  EXPECT_THAT(SurplusVersions({1, 2, 3}, 3, 3, 0), IsEmpty());
  EXPECT_THAT(SurplusVersions({1, 2, 3}, 3, 3, 3), IsEmpty());
  EXPECT_THAT(SurplusVersions({}, 0, 0, 1), IsEmpty());
}

TEST(SurplusVersions, TheOldestGo) {
  EXPECT_THAT(SurplusVersions({1, 2, 5, 9}, 9, 9, 2), ElementsAre(1, 2));
}

TEST(SurplusVersions, TheActiveOneAndTheNewestStay) {
  EXPECT_THAT(SurplusVersions({1, 2, 3, 4}, 1, 4, 2), ElementsAre(2, 3));
  EXPECT_THAT(SurplusVersions({1, 2, 3}, 1, 3, 1), ElementsAre(2));
  EXPECT_THAT(SurplusVersions({1, 2}, 1, 2, 1), IsEmpty());
}

TEST(SurplusVersions, AVoiceWithoutAnActiveVersionKeepsTheNewest) {
  EXPECT_THAT(SurplusVersions({1, 2, 3}, 0, 3, 1), ElementsAre(1, 2));
}

}  // namespace
}  // namespace timbre
