#include "server/engine/lists/ivf_parts.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

namespace timbre {
namespace {

TEST(IvfPartsTest, NumbersThatNoTrainingMakesAreNotSound) {
  IvfParts good;
  good.dimension = 2;
  good.nlist = 2;
  good.centroids = {1, -1e15F, 0, 3};
  good.list_begin = {0, 1, 3};
  good.ids = {2, 0, 1};
  good.codebooks = {1, 2};
  EXPECT_TRUE(good.IsSound(3));
  EXPECT_FALSE(good.IsSound(2)) << "more ids than rows";
  EXPECT_FALSE(good.IsSound(4)) << "a row in no list";
  const std::function<void(IvfParts&)> changes[] = {
      [](IvfParts& parts) { parts.ids[0] = 0; },  // a row in two lists
      [](IvfParts& parts) { parts.ids[0] = 3; },
      [](IvfParts& parts) { parts.centroids[0] = NAN; },
      [](IvfParts& parts) { parts.centroids[0] = 1e20F; },
      [](IvfParts& parts) { parts.codebooks[1] = -INFINITY; },
  };
  for (const auto& change : changes) {
    IvfParts bad = good;
    change(bad);
    EXPECT_FALSE(bad.IsSound(3));
  }
}

}  // namespace
}  // namespace timbre
