#include "server/service/transport/idle_poll.h"

#include <algorithm>

namespace timbre {
namespace {

// Two for each message: ten messages.
constexpr int kConvincing = 20;

}  // namespace

void IdlePoll::Saw(const void* tag, absl::Duration waited) {
  const bool takes_turns = tag == before_last_ && tag != last_;
  const bool expected = takes_turns && waited < longest_;
  in_a_row_ = expected ? std::min(in_a_row_ + 1, kConvincing) : 0;
  before_last_ = last_;
  last_ = tag;
}

absl::Duration IdlePoll::patience() const {
  return in_a_row_ == kConvincing ? longest_ : absl::ZeroDuration();
}

}  // namespace timbre
