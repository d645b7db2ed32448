#include "server/engine/tune/operating_point.h"

#include <gtest/gtest.h>

namespace timbre {
namespace {

OperatingPoint Point(float recall, float microseconds) {
  return {.recall = recall, .microseconds_per_frame = microseconds};
}

std::vector<float> Costs(const Curve& curve) {
  std::vector<float> costs;
  for (const OperatingPoint& point : curve) {
    costs.push_back(point.microseconds_per_frame);
  }
  return costs;
}

TEST(OperatingPointTest, PointsThatFindNoMoreAreLeftOut) {
  const Curve curve = Smoothed({Point(0.5F, 1), Point(0.4F, 2), Point(0.5F, 3),
                                Point(0.6F, 4), Point(0.6F, 5)});
  EXPECT_EQ(curve, (Curve{Point(0.5F, 1), Point(0.6F, 4)}));
}

TEST(OperatingPointTest, CostsThatFallAreTakenForNoise) {
  EXPECT_EQ(Costs(Smoothed({Point(0.1F, 1), Point(0.2F, 4), Point(0.3F, 2),
                            Point(0.4F, 3), Point(0.5F, 9)})),
            (std::vector<float>{1, 3, 3, 3, 9}));
  // A late one may be below all that came before.
  EXPECT_EQ(Costs(Smoothed({Point(0.1F, 5), Point(0.2F, 6), Point(0.3F, 1)})),
            (std::vector<float>{4, 4, 4}));
}

TEST(OperatingPointTest, TheCheapestThatReachesTheTargetIsChosen) {
  const Curve curve = {Point(0.5F, 1), Point(0.9F, 2), Point(0.99F, 3)};
  EXPECT_EQ(ChoosePoint(curve, 0.4F), curve[0]);
  EXPECT_EQ(ChoosePoint(curve, 0.9F), curve[1]);
  EXPECT_EQ(ChoosePoint(curve, 0.91F), curve[2]);
  EXPECT_EQ(ChoosePoint(curve, 1), curve[2]) << "or the most accurate";
}

}  // namespace
}  // namespace timbre
