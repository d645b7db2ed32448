#include "server/engine/frames/npy_header.h"

#include <gtest/gtest.h>

namespace timbre {
namespace {

TEST(NpyHeaderTest, Is128BytesOfFormat1ForAnySize) {
  for (const uint64_t rows :
       {uint64_t{0}, uint64_t{1}, uint64_t{UINT32_MAX}, uint64_t{UINT64_MAX}}) {
    for (const uint32_t dimension : {1U, 256U, UINT32_MAX}) {
      const std::string header =
          NpyHeader(ElementType::kFloat32, rows, dimension);
      ASSERT_EQ(header.size(), kNpyHeaderBytes);
      ASSERT_EQ(header.size() % 64, 0U) << "rows begin aligned";
      EXPECT_EQ(header.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
      EXPECT_EQ(static_cast<unsigned char>(header[8]) +
                    256 * static_cast<unsigned char>(header[9]),
                static_cast<int>(header.size() - 10));
      EXPECT_EQ(header.back(), '\n');
      EXPECT_NE(header.find("(" + std::to_string(rows) + ", " +
                            std::to_string(dimension) + ")"),
                std::string::npos);
    }
  }
}

TEST(NpyHeaderTest, NamesTheTypeAndTheOrder) {
  const std::string half = NpyHeader(ElementType::kFloat16, 3, 2);
  EXPECT_NE(half.find("'descr': '<f2'"), std::string::npos);
  EXPECT_NE(half.find("'fortran_order': False"), std::string::npos);
  EXPECT_NE(NpyHeader(ElementType::kFloat32, 3, 2).find("'descr': '<f4'"),
            std::string::npos);
}

}  // namespace
}  // namespace timbre
