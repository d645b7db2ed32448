#include "server/engine/frames/frame_writer.h"

#include <gtest/gtest.h>

#include <cstring>

#include "server/base/half.h"
#include "server/engine/frames/npy_header.h"
#include "tests/support/testing.h"

namespace timbre {
namespace {

using testing::TempDir;

constexpr float kOffGrid = 1.0001F;

class FrameWriterTest : public ::testing::Test {
 protected:
  absl::StatusOr<FrameWriter> Create(ElementType type, bool round_to_half) {
    return FrameWriter::Create(dir_.File("f.npy"), type, 3, round_to_half,
                               BestKernels());
  }

  // The elements behind the header.
  template <typename T>
  std::vector<T> Stored() {
    const std::string bytes =
        ReadFile(dir_.File("f.npy"))->substr(kNpyHeaderBytes);
    std::vector<T> values(bytes.size() / sizeof(T));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }

  TempDir dir_;
};

TEST_F(FrameWriterTest, TheHeaderCountsWhatWasAppended) {
  auto writer = Create(ElementType::kFloat32, false);
  ASSERT_OK(writer);
  const std::vector<float> frames = {1, 2, 3, 4, 5, 6};
  ASSERT_OK(writer->Append(frames.data(), 2));
  ASSERT_OK(writer->Append(frames.data(), 1));
  ASSERT_OK(writer->Append(frames.data(), 0));
  EXPECT_EQ(writer->rows(), 3U);
  ASSERT_OK(writer->Finish());
  EXPECT_EQ(ReadFile(dir_.File("f.npy"))->substr(0, kNpyHeaderBytes),
            NpyHeader(ElementType::kFloat32, 3, 3));
  EXPECT_EQ(Stored<float>(), (std::vector<float>{1, 2, 3, 4, 5, 6, 1, 2, 3}));
}

TEST_F(FrameWriterTest, OneValueOffTheGridIsRememberedForGood) {
  auto writer = Create(ElementType::kFloat32, false);
  ASSERT_OK(writer);
  const std::vector<float> on = {1, -0.0F, 65504};
  const std::vector<float> off = {1, kOffGrid, 2};
  ASSERT_OK(writer->Append(on.data(), 1));
  EXPECT_TRUE(writer->fits_half());
  ASSERT_OK(writer->Append(off.data(), 1));
  EXPECT_FALSE(writer->fits_half());
  ASSERT_OK(writer->Append(on.data(), 1));
  EXPECT_FALSE(writer->fits_half());
}

TEST_F(FrameWriterTest, ValuesAboveHalfsRangeDoNotFit) {
  auto writer = Create(ElementType::kFloat32, false);
  ASSERT_OK(writer);
  const std::vector<float> large = {1, 70000, 2};
  ASSERT_OK(writer->Append(large.data(), 1));
  EXPECT_FALSE(writer->fits_half());
}

TEST_F(FrameWriterTest, RoundedFramesAreFloatsOnTheGrid) {
  auto writer = Create(ElementType::kFloat32, true);
  ASSERT_OK(writer);
  const std::vector<float> frame = {kOffGrid, 2, 70000};
  ASSERT_OK(writer->Append(frame.data(), 1));
  ASSERT_OK(writer->Finish());
  EXPECT_TRUE(writer->fits_half());
  EXPECT_EQ(Stored<float>(),
            (std::vector<float>{HalfToFloat(FloatToHalf(kOffGrid)), 2, 65504}));
}

TEST_F(FrameWriterTest, HalvesAreStoredAsHalves) {
  auto writer = Create(ElementType::kFloat16, false);
  ASSERT_OK(writer);
  const std::vector<float> frame = {1, kOffGrid, -2};
  ASSERT_OK(writer->Append(frame.data(), 1));
  ASSERT_OK(writer->Finish());
  EXPECT_EQ(Stored<uint16_t>(),
            (std::vector<uint16_t>{FloatToHalf(1), FloatToHalf(kOffGrid),
                                   FloatToHalf(-2)}));
}

TEST_F(FrameWriterTest, AFullDiskIsReported) {
  auto writer = FrameWriter::Create("/dev/full", ElementType::kFloat32, 3,
                                    false, BestKernels());
  ASSERT_OK(writer);
  const std::vector<float> frames(30'000, 1);
  absl::Status status;
  for (int i = 0; i < 1000 && status.ok(); ++i) {
    status = writer->Append(frames.data(), 10'000);
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace timbre
