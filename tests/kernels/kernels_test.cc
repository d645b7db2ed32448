#include "server/kernels/kernels.h"

#include <gtest/gtest.h>

namespace timbre {
namespace {

TEST(KernelsTest, PortableIsAlwaysThereAndLast) {
  EXPECT_EQ(SupportedKernels().back()->name, "portable");
  EXPECT_EQ(FindKernels("portable"), SupportedKernels().back());
}

TEST(KernelsTest, TheBestIsTheFirst) {
  EXPECT_EQ(&BestKernels(), SupportedKernels().front());
}

TEST(KernelsTest, UnknownNamesAreNull) {
  EXPECT_EQ(FindKernels("neon512"), nullptr);
  EXPECT_EQ(FindKernels(""), nullptr);
}

TEST(KernelsTest, EveryTableIsFoundByItsName) {
  for (const KernelTable* const table : SupportedKernels()) {
    EXPECT_EQ(FindKernels(table->name), table);
  }
}

}  // namespace
}  // namespace timbre
