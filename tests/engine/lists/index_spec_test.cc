#include "server/engine/lists/index_spec.h"

#include <gtest/gtest.h>

#include <cmath>

#include "server/base/errors.h"

namespace timbre {
namespace {

TEST(IndexSpecTest, AcceptedNotationsSurviveTheRoundTrip) {
  for (const char* const text :
       {"Flat", "IVF1,Flat", "IVF1048576,Flat", "IVF1024,PQ128x4fs,RFlat",
        "IVF7,PQ3x4fs,Refine(SQfp16)"}) {
    const auto spec = ParseIndexSpec(text);
    ASSERT_TRUE(spec.ok()) << spec.status();
    EXPECT_EQ(ToString(*spec), text);
  }
}

TEST(IndexSpecTest, EverythingElseIsRefusedWithTheNotation) {
  for (const char* const text : {"flat",
                                 "IVF",
                                 "IVF0,Flat",
                                 "IVF-1,Flat",
                                 "IVF1048577,Flat",
                                 "IVF4000000000,Flat",
                                 "IVF99999999999999999999,Flat",
                                 "IVF01,Flat",
                                 "IVF10",
                                 "IVF10,",
                                 "IVF10,Flat,RFlat",
                                 "IVF10,PQ8x4fs",
                                 "IVF10,PQ8,RFlat",
                                 "IVF10,PQ0x4fs,RFlat",
                                 "IVF10,PQ8x4fsr,RFlat",
                                 " Flat",
                                 "Flat ",
                                 "HNSW32",
                                 "IVF10,PQ8x4fs,RFlat,",
                                 "IVF 10,Flat",
                                 "IVF10,PQ8x4fs,Refine(SQ8)"}) {
    const auto spec = ParseIndexSpec(text);
    ASSERT_FALSE(spec.ok()) << text;
    EXPECT_EQ(DetailsOf(spec.status()).field, "options.index_factory");
  }
}

TEST(IndexSpecTest, ThePqWidthDividesTheDimension) {
  const auto spec = *ParseIndexSpec("IVF4,PQ128x4fs,RFlat");
  EXPECT_TRUE(CheckDimension(spec, 256).ok());
  EXPECT_TRUE(CheckDimension(spec, 768).ok());
  EXPECT_FALSE(CheckDimension(spec, 250).ok());
  EXPECT_FALSE(CheckDimension(spec, 64).ok());
}

TEST(IndexSpecTest, TheDefaultIsExactWhereItIsSmall) {
  EXPECT_EQ(ToString(ChooseIndexSpec(1, 256)), "Flat");
  EXPECT_EQ(ToString(ChooseIndexSpec(2047, 768)), "Flat");
}

TEST(IndexSpecTest, TheDefaultHasFourToSixteenRootNLists) {
  EXPECT_EQ(ToString(ChooseIndexSpec(100'000, 256)), "IVF632,PQ128x4fs,RFlat");
  for (const uint64_t rows : {2048ULL, 30'000ULL, 1'000'000ULL}) {
    const IndexSpec spec = ChooseIndexSpec(rows, 768);
    EXPECT_NEAR(spec.nlist, 2 * std::sqrt(rows), 1);
    EXPECT_EQ(spec.pq_m, 384U);
  }
}

TEST(IndexSpecTest, DimensionsThatCodesDoNotSuitAreSearchedExactly) {
  EXPECT_EQ(ToString(ChooseIndexSpec(10'000, 257)), "IVF200,Flat");
  EXPECT_EQ(ToString(ChooseIndexSpec(10'000, 2)), "IVF200,Flat");
}

}  // namespace
}  // namespace timbre
