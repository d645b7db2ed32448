// search_params and build_options.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "server/base/errors.h"
#include "server/service/contract/build_options.h"
#include "server/service/contract/search_params.h"

namespace timbre {
namespace {

LoadedVersion Version(const std::string& factory) {
  VersionRecord record;
  record.spec = *ParseIndexSpec(factory);
  record.manifest.set_default_k(8);
  record.tuning.nprobe = 16;
  record.tuning.k_factor = 4;
  return {std::make_shared<const VersionRecord>(record), nullptr};
}

v1::SearchParams Params(const std::function<void(v1::SearchParams&)>& change) {
  v1::SearchParams params;
  change(params);
  return params;
}

TEST(SearchParamsTest, UnsetFieldsMeanTheDefaultsOfTheVersion) {
  const auto resolved = ResolveSearch({}, Version("IVF64,PQ8x4fs,RFlat"));
  ASSERT_TRUE(resolved.ok());
  EXPECT_EQ(resolved->settings.k, 8U);
  EXPECT_EQ(resolved->settings.nprobe, 16U);
  EXPECT_EQ(resolved->settings.candidates, 32U);
  EXPECT_EQ(resolved->effective.k_factor, 4);
  EXPECT_EQ(resolved->nprobe, 16U);
}

TEST(SearchParamsTest, ASmallerKKeepsTheCandidatesOfTheMeasuredOne) {
  const LoadedVersion version = Version("IVF64,PQ8x4fs,RFlat");
  const auto small =
      ResolveSearch(Params([](auto& p) { p.set_k(1); }), version);
  EXPECT_EQ(small->settings.candidates, 32U);
  const auto asked = ResolveSearch(Params([](auto& p) {
                                     p.set_k(1);
                                     p.set_k_factor(2.5);
                                   }),
                                   version);
  EXPECT_EQ(asked->settings.candidates, 2U);
  const auto large =
      ResolveSearch(Params([](auto& p) { p.set_k(100); }), version);
  EXPECT_EQ(large->settings.candidates, 400U);
}

TEST(SearchParamsTest, CandidatesAreCountedInFloatAsFaissDoes) {
  const auto resolved = ResolveSearch(Params([](auto& p) {
                                        p.set_k(10);
                                        p.set_k_factor(1.3F);
                                      }),
                                      Version("IVF64,PQ8x4fs,RFlat"));
  EXPECT_EQ(resolved->settings.candidates, 13U);
}

TEST(SearchParamsTest, NprobeAboveNlistIsNlist) {
  const auto resolved =
      ResolveSearch(Params([](auto& p) { p.set_nprobe(4'000'000'000U); }),
                    Version("IVF64,PQ8x4fs,RFlat"));
  EXPECT_EQ(resolved->effective.nprobe, 64U);
}

TEST(SearchParamsTest, IndicesWithoutListsOrCodesReportOne) {
  const auto params = Params([](auto& p) {
    p.set_nprobe(5);
    p.set_k_factor(9);
  });
  const auto flat = ResolveSearch(params, Version("Flat"));
  EXPECT_EQ(flat->effective.nprobe, 1U);
  EXPECT_EQ(flat->effective.k_factor, 1);
  EXPECT_EQ(flat->nprobe, std::nullopt);
  const auto ivf = ResolveSearch(params, Version("IVF64,Flat"));
  EXPECT_EQ(ivf->effective.nprobe, 5U);
  EXPECT_EQ(ivf->effective.k_factor, 1);
}

TEST(SearchParamsTest, TargetRecallNeedsMeasurementsUnlessTheIndexIsExact) {
  const auto params = Params([](auto& p) { p.set_target_recall(0.9F); });
  EXPECT_EQ(ResolveSearch(params, Version("IVF64,Flat")).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(ResolveSearch(params, Version("Flat")).ok());
}

TEST(SearchParamsTest, ValuesOutOfRangeAreRefusedByTheirField) {
  const std::vector<
      std::pair<std::string, std::function<void(v1::SearchParams&)>>>
      cases = {
          {"params.k", [](auto& p) { p.set_k(1025); }},
          {"params.k", [](auto& p) { p.set_k(4'000'000'000U); }},
          {"params.k_factor", [](auto& p) { p.set_k_factor(0.5F); }},
          {"params.k_factor", [](auto& p) { p.set_k_factor(-1); }},
          {"params.k_factor", [](auto& p) { p.set_k_factor(1001); }},
          {"params.k_factor", [](auto& p) { p.set_k_factor(NAN); }},
          {"params.k_factor", [](auto& p) { p.set_k_factor(INFINITY); }},
          {"params.target_recall", [](auto& p) { p.set_target_recall(1.5F); }},
          {"params.target_recall", [](auto& p) { p.set_target_recall(-1); }},
          {"params.target_recall", [](auto& p) { p.set_target_recall(NAN); }},
          {"params.target_recall", [](auto& p) {
             p.set_target_recall(0.9F);
             p.set_nprobe(4);
           }}};
  for (const auto& [field, change] : cases) {
    const absl::Status status = CheckSearchParams(Params(change));
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(DetailsOf(status).field, field) << status;
  }
}

TEST(SearchParamsTest, ALatencyBudgetIsAboveZero) {
  const auto with = [](int64_t seconds, int32_t nanos) {
    return CheckSearchParams(Params([&](auto& p) {
      p.mutable_latency_budget()->set_seconds(seconds);
      p.mutable_latency_budget()->set_nanos(nanos);
    }));
  };
  EXPECT_TRUE(with(1, 0).ok());
  EXPECT_TRUE(with(0, 1).ok());
  for (const auto& bad : {with(0, 0), with(-1, 0), with(0, -1),
                          with(1, 1'000'000'000), with(INT64_MAX, 0)}) {
    EXPECT_EQ(DetailsOf(bad).field, "params.latency_budget") << bad;
  }
}

TEST(BlendParamsTest, ZeroRateIsNotAnAbsentOne) {
  const LoadedVersion version = Version("Flat");
  v1::BlendParams params;
  EXPECT_EQ(ResolveBlend(params, version)->index_rate, 0.75F);
  params.set_index_rate(0);
  EXPECT_EQ(ResolveBlend(params, version)->index_rate, 0);
}

TEST(BlendParamsTest, WeightingsResolve) {
  const LoadedVersion version = Version("Flat");
  v1::BlendParams params;
  EXPECT_EQ(ResolveBlend(params, version)->effective.weighting,
            v1::WEIGHTING_INVERSE_SQUARE_DISTANCE);
  params.set_weighting(v1::WEIGHTING_COSINE_POWER);
  EXPECT_EQ(ResolveBlend(params, version)->settings.alpha, 3);
  params.set_alpha(7);
  EXPECT_EQ(ResolveBlend(params, version)->effective.alpha, 7);
}

TEST(EffectiveParamsTest, AreReportedWithoutWhatWasNotUsed) {
  EffectiveBlend blend = {.search = {.k = 8, .nprobe = 4, .k_factor = 2.5F},
                          .index_rate = 0,
                          .weighting = v1::WEIGHTING_UNIFORM};
  v1::BlendParams expected;
  expected.mutable_search()->set_k(8);
  expected.mutable_search()->set_nprobe(4);
  expected.mutable_search()->set_k_factor(2.5F);
  expected.set_index_rate(0);
  expected.set_weighting(v1::WEIGHTING_UNIFORM);
  v1::BlendParams uniform;
  FillEffective(blend, uniform);
  EXPECT_EQ(uniform.SerializeAsString(), expected.SerializeAsString());
  blend.search.target_recall = 0.9F;
  blend.weighting = v1::WEIGHTING_COSINE_POWER;
  blend.alpha = 3;
  expected.mutable_search()->set_target_recall(0.9F);
  expected.set_weighting(v1::WEIGHTING_COSINE_POWER);
  expected.set_alpha(3);
  v1::BlendParams cosine;
  FillEffective(blend, cosine);
  EXPECT_EQ(cosine.SerializeAsString(), expected.SerializeAsString());
}

TEST(EffectiveParamsTest, AnAlphaThatIsNotUsedIsNoChange) {
  const LoadedVersion version = Version("Flat");
  v1::BlendParams params;
  const EffectiveBlend without = ResolveBlend(params, version)->effective;
  params.set_alpha(7);
  EXPECT_TRUE(ResolveBlend(params, version)->effective == without);
  params.set_weighting(v1::WEIGHTING_COSINE_POWER);
  EXPECT_FALSE(ResolveBlend(params, version)->effective == without);
}

TEST(BlendParamsTest, ValuesOutOfRangeAreRefusedByTheirField) {
  const std::vector<
      std::pair<std::string, std::function<void(v1::BlendParams&)>>>
      cases = {
          {"params.index_rate", [](auto& p) { p.set_index_rate(1.1F); }},
          {"params.index_rate", [](auto& p) { p.set_index_rate(-0.1F); }},
          {"params.index_rate", [](auto& p) { p.set_index_rate(NAN); }},
          {"params.alpha", [](auto& p) { p.set_alpha(65); }},
          {"params.alpha", [](auto& p) { p.set_alpha(NAN); }},
          {"params.weighting",
           [](auto& p) { p.set_weighting(static_cast<v1::Weighting>(4)); }},
          {"params.search.k",
           [](auto& p) { p.mutable_search()->set_k(2000); }}};
  for (const auto& [field, change] : cases) {
    v1::BlendParams params;
    change(params);
    EXPECT_EQ(DetailsOf(CheckBlendParams(params)).field, field);
  }
}

TEST(BuildOptionsTest, DefaultsAreChosenByTheBuilder) {
  v1::BuildOptions options;
  options.set_speaker("alice");
  const auto checked = CheckBuildOptions(options);
  ASSERT_TRUE(checked.ok());
  EXPECT_EQ(checked->spec, std::nullopt);
  EXPECT_EQ(checked->storage, std::nullopt);
  EXPECT_EQ(checked->metric, Metric::kL2);
}

TEST(BuildOptionsTest, WhatIsWrongIsRefusedByItsField) {
  const std::vector<
      std::pair<std::string, std::function<void(v1::BuildOptions&)>>>
      cases = {
          {"options.speaker", [](auto& o) { o.set_speaker("../x"); }},
          {"options.dimension", [](auto& o) { o.set_dimension(1); }},
          {"options.dimension", [](auto& o) { o.set_dimension(4097); }},
          {"options.metric",
           [](auto& o) { o.set_metric(static_cast<v1::Metric>(9)); }},
          {"options.storage",
           [](auto& o) { o.set_storage(static_cast<v1::ElementType>(9)); }},
          {"options.index_factory",
           [](auto& o) { o.set_index_factory("IVF4000000000,Flat"); }},
          {"options.index_factory",
           [](auto& o) {
             o.set_dimension(256);
             o.set_index_factory("IVF4,PQ100x4fs,RFlat");
           }},
          {"options.target_recall", [](auto& o) { o.set_target_recall(NAN); }},
          {"options.target_recall", [](auto& o) { o.set_target_recall(2); }},
          {"options.request_id",
           [](auto& o) { o.set_request_id(std::string(65, 'x')); }},
          {"options.request_id", [](auto& o) { o.set_request_id("a\nb"); }},
          {"options.labels",
           [](auto& o) {
             for (int i = 0; i < 33; ++i) {
               (*o.mutable_labels())[std::to_string(i)] = "x";
             }
           }},
          {"options.labels",
           [](auto& o) { (*o.mutable_labels())[std::string(64, 'k')] = "x"; }}};
  for (const auto& [field, change] : cases) {
    v1::BuildOptions options;
    options.set_speaker("alice");
    change(options);
    EXPECT_EQ(DetailsOf(CheckBuildOptions(options).status()).field, field);
  }
}

TEST(BuildOptionsTest, DatabaseExpansionHasItsRanges) {
  v1::BuildOptions options;
  options.set_speaker("a");
  options.set_database_expansion_k(1024);
  options.set_database_expansion_alpha(64);
  EXPECT_TRUE(CheckBuildOptions(options).ok());
  options.set_database_expansion_alpha(64.5F);
  EXPECT_EQ(DetailsOf(CheckBuildOptions(options).status()).field,
            "options.database_expansion_alpha");
  options.set_database_expansion_alpha(0);
  options.set_database_expansion_k(1025);
  EXPECT_EQ(DetailsOf(CheckBuildOptions(options).status()).field,
            "options.database_expansion_k");
}

}  // namespace
}  // namespace timbre
