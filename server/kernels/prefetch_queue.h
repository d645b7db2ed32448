// Rows that will be read soon, fetched a cache line at a time by whoever has
// computing to do meanwhile.
#ifndef TIMBRE_SERVER_KERNELS_PREFETCH_QUEUE_H_
#define TIMBRE_SERVER_KERNELS_PREFETCH_QUEUE_H_

#include <algorithm>
#include <cstddef>

namespace timbre {

inline constexpr size_t kCacheLineBytes = 64;

// Rows whose first lines are asked for one after the other: an address that is
// in no translation buffer holds up all that follows until its page is found,
// 100 ns and more where the page table is not in the caches either, but the
// processor looks for several pages at once.
inline constexpr size_t kRowsTranslatedAtOnce = 64;

// Not thread-safe. Refers to `rows`, which must outlive it.
class PrefetchQueue {
 public:
  PrefetchQueue() = default;
  // `count` rows of `row_bytes` > 0 each.
  PrefetchQueue(const char* const* rows, size_t count, size_t row_bytes)
      : next_row_(rows),
        last_row_(rows + count),
        first_untranslated_(rows),
        row_bytes_(row_bytes) {
    if (count > 0) StartRow();
  }

  bool empty() const { return next_row_ == last_row_; }

  // Asks for one line, into the second-level cache: the first has no room for
  // the rows of a whole tile. REQUIRES: !empty().
  void IssueLine() {
    __builtin_prefetch(line_, 0, 2);
    line_ += kCacheLineBytes;
    if (line_ < end_) return;
    if (++next_row_ != last_row_) StartRow();
  }

  // Asks for up to `count` lines.
  void IssueLines(size_t count) {
    for (; count > 0 && !empty(); --count) IssueLine();
  }

  // Asks for what is left of a row, if there is one.
  void IssueRow() {
    if (empty()) return;
    for (; line_ < end_; line_ += kCacheLineBytes) {
      __builtin_prefetch(line_, 0, 2);
    }
    if (++next_row_ != last_row_) StartRow();
  }

 private:
  void StartRow() {
    if (next_row_ == first_untranslated_) Translate();
    line_ = *next_row_;
    end_ = line_ + row_bytes_;
  }

  void Translate() {
    const auto left = static_cast<size_t>(last_row_ - next_row_);
    first_untranslated_ = next_row_ + std::min(left, kRowsTranslatedAtOnce);
    for (const char* const* row = next_row_; row < first_untranslated_; ++row) {
      __builtin_prefetch(*row, 0, 2);
    }
  }

  const char* const* next_row_ = nullptr;
  const char* const* last_row_ = nullptr;
  const char* const* first_untranslated_ = nullptr;
  size_t row_bytes_ = 0;
  const char* line_ = nullptr;
  const char* end_ = nullptr;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_KERNELS_PREFETCH_QUEUE_H_
