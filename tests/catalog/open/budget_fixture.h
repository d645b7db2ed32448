// A budget, and versions that take what is asked of it.
#ifndef TIMBRE_TESTS_CATALOG_OPEN_BUDGET_FIXTURE_H_
#define TIMBRE_TESTS_CATALOG_OPEN_BUDGET_FIXTURE_H_

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "server/base/status_macros.h"
#include "server/catalog/open/memory_budget.h"
#include "tests/support/testing.h"

namespace timbre {

// A version that is closed, and unmapped, at once; or when Unmap is called.
class Version : public BudgetedVersion {
 public:
  explicit Version(MemoryBudget& budget) : budget_(budget) {}
  ~Version() override { budget_.Forget(*this); }

  void Close() override {
    ++closings;
    if (!slow) charge = nullptr;
    if (while_closing) while_closing();
  }
  void Unmap() { charge = nullptr; }
  bool open() const { return charge != nullptr; }

  bool slow = false;
  std::function<void()> while_closing;
  std::atomic<int> closings = 0;
  ChargePtr charge;

 private:
  MemoryBudget& budget_;
};
using VersionPtr = std::shared_ptr<Version>;

inline const MemoryBudget::Cancelled kNever = [] { return false; };

class BudgetFixture : public ::testing::Test {
 protected:
  void Start(MemoryBudget::Options options) {
    if (budget_ != nullptr) budget_->Stop();
    budget_ = std::make_shared<MemoryBudget>(options);
  }
  void Start(uint64_t bytes) {
    Start(MemoryBudget::Options{.limit = {.bytes = bytes}});
  }
  void TearDown() override { budget_->Stop(); }

  VersionPtr New() { return std::make_shared<Version>(*budget_); }

  // As the catalogue does: what is open is held, the others are opened.
  absl::Status Hold(const std::vector<VersionPtr>& versions,
                    uint64_t bytes = 1) {
    while (true) {
      const std::vector<std::shared_ptr<BudgetedVersion>> all(versions.begin(),
                                                              versions.end());
      TIMBRE_RETURN_IF_ERROR(budget_->WaitForThose(all, kNever));
      MemoryBudget::Visit visit(*budget_);
      const MemoryBudget::Turn turn(*budget_, kNever);
      std::vector<MemoryBudget::Want> wants;
      OpenRoom beside;
      std::vector<VersionPtr> closed;
      for (const VersionPtr& version : versions) {
        const OpenRoom room{bytes, 1};
        if (version->open() && budget_->Take(*version->charge, visit)) {
          beside += room;
        } else {
          wants.push_back({.version = version, .room = room});
          closed.push_back(version);
        }
      }
      if (wants.empty()) {
        visit.Count();
        return absl::OkStatus();
      }
      auto charges = budget_->Reserve(wants, beside, visit, kNever);
      if (charges.ok() && charges->empty()) continue;
      for (size_t i = 0; charges.ok() && i < closed.size(); ++i) {
        closed[i]->charge = std::move((*charges)[i]);
        budget_->Opened(*closed[i]->charge, visit);
      }
      if (charges.ok()) {
        visit.Count();
        return absl::OkStatus();
      }
      for (const VersionPtr& version : versions) {
        if (version->open()) Rest(version);
      }
      return charges.status();
    }
  }
  absl::Status Hold(const VersionPtr& version, uint64_t bytes = 1) {
    return Hold(std::vector<VersionPtr>{version}, bytes);
  }
  void Open(const VersionPtr& version) {
    MemoryBudget::Visit visit(*budget_);
    budget_->Opened(*version->charge, visit);
  }
  absl::StatusOr<std::vector<ChargePtr>> Reserve(
      const VersionPtr& version, const MemoryBudget::Cancelled& cancelled) {
    const MemoryBudget::Want want{.version = version, .room = {1, 1}};
    const MemoryBudget::Visit visit(*budget_);
    return budget_->Reserve({&want, 1}, {}, visit, cancelled);
  }
  void Rest(const VersionPtr& version, bool stays = true) {
    if (!budget_->Rest(*version->charge, stays)) version->Close();
  }
  // A stream from its beginning to its end.
  void Use(const VersionPtr& version, uint64_t bytes = 1) {
    ASSERT_OK(Hold(version, bytes));
    Rest(version);
  }
  std::vector<VersionPtr> NewOnes(int count) {
    std::vector<VersionPtr> versions;
    for (int i = 0; i < count; ++i) versions.push_back(New());
    return versions;
  }
  void UseAll(const std::vector<VersionPtr>& versions) {
    for (const VersionPtr& version : versions) Use(version);
  }
  uint64_t held() const { return budget_->totals().open.bytes; }
  uint64_t closings(ClosingReason reason) const {
    return budget_->totals().closings[static_cast<size_t>(reason)];
  }

  std::shared_ptr<MemoryBudget> budget_;
};

}  // namespace timbre

#endif  // TIMBRE_TESTS_CATALOG_OPEN_BUDGET_FIXTURE_H_
