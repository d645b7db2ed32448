// Working memory of the threads that answer Search and Blend.
#ifndef TIMBRE_SERVER_SERVICE_LIVE_WORKER_SCRATCH_H_
#define TIMBRE_SERVER_SERVICE_LIVE_WORKER_SCRATCH_H_

#include <vector>

#include "server/engine/search/blender.h"
#include "server/engine/search/speaker_index.h"
#include "server/service/contract/frame_codec.h"

namespace timbre {

// Of one thread, for any stream that it happens to serve.
struct WorkerScratch {
  FrameBatch frames;
  SearchScratch search;
  BlendScratch blend;
  std::vector<float> rates;
  std::vector<float> out;
  std::vector<float> voice;         // one of several that are mixed
  std::vector<BlendTotals> totals;  // of a piece, per voice
};
WorkerScratch& ThisWorkersScratch();
// Frees all of it; between two messages.
void FreeThisWorkersScratch();

// While it lives, this worker is in the middle of a message and answers another
// one: with other working memory. At most one at a time.
class Interruption {
 public:
  Interruption();
  ~Interruption();
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;
  static bool UnderWay();
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_LIVE_WORKER_SCRATCH_H_
