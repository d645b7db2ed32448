#include "server/catalog/records/version_record.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>

#include "server/catalog/records/file_names.h"
#include "tests/support/testing.h"

namespace timbre {
namespace {

storage::Manifest Manifest(const Tuning& tuning) {
  storage::Manifest manifest;
  manifest.set_frames(100);
  manifest.set_dimension(32);
  manifest.set_metric("l2");
  manifest.set_storage("float32");
  manifest.set_index_factory("IVF8,Flat");
  manifest.set_default_k(8);
  SetTuning(tuning, manifest);
  manifest.add_files()->set_name(kFramesFile);
  manifest.add_files()->set_name(kIndexFile);
  manifest.set_digest(DigestOfFiles(manifest));
  return manifest;
}

Tuning Measured(const std::function<void(Tuning&)>& change) {
  Tuning tuning{.nprobe = 4,
                .k_factor = 2,
                .target_recall = 0.95F,
                .curve = {{4, 2, 0.97F, 0.01F, 12}}};
  change(tuning);
  return tuning;
}

TEST(VersionRecordTest, AManifestIsReadBack) {
  const Tuning tuning = Measured([](Tuning&) {});
  const auto record = ParseManifest(Manifest(tuning));
  ASSERT_OK(record);
  EXPECT_EQ(record->tuning, tuning);
}

TEST(VersionRecordTest, WhatIsNoMeasurementIsDamage) {
  const std::function<void(Tuning&)> changes[] = {
      [](Tuning& t) { t.target_recall = NAN; },
      [](Tuning& t) { t.target_recall = -1; },
      [](Tuning& t) { t.target_recall = 2; },
      [](Tuning& t) { t.curve[0].recall = NAN; },
      [](Tuning& t) { t.curve[0].blend_error = NAN; },
      [](Tuning& t) { t.curve[0].blend_error = INFINITY; },
      [](Tuning& t) { t.curve[0].microseconds_per_frame = NAN; },
      [](Tuning& t) { t.curve[0].microseconds_per_frame = -1; },
      [](Tuning& t) { t.curve[0].k_factor = INFINITY; },
  };
  for (const auto& change : changes) {
    const storage::Manifest manifest = Manifest(Measured(change));
    EXPECT_EQ(ParseManifest(manifest).status().code(),
              absl::StatusCode::kDataLoss)
        << manifest.ShortDebugString();
  }
}

TEST(SpeakerStateTest, CountsThatLeaveNoNextVersionAreDamage) {
  const auto parse = [](const std::string& counts) {
    return ParseSpeakerState("{\"format\": 1, " + counts + "}", "state.json")
        .status()
        .code();
  };
  for (const char* const counts :
       {R"("last_version": "18446744073709551615")",
        R"("last_version": "9223372036854775808")",
        R"("last_version": "3", "active_version": "4")",
        R"("last_version": "3", "deleted_through": "4")"}) {
    EXPECT_EQ(parse(counts), absl::StatusCode::kDataLoss) << counts;
  }
  EXPECT_EQ(parse(R"("last_version": "3", "active_version": "3")"),
            absl::StatusCode::kOk);
  EXPECT_EQ(parse(R"("last_version": "3", "deleted_through": "3")"),
            absl::StatusCode::kOk);
}

}  // namespace
}  // namespace timbre
