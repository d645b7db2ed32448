#include "server/service/live/worker_scratch.h"

#include <array>

namespace timbre {
namespace {

thread_local bool interrupted = false;
thread_local std::array<WorkerScratch, 2> scratch;

}  // namespace

WorkerScratch& ThisWorkersScratch() { return scratch[interrupted ? 1 : 0]; }

void FreeThisWorkersScratch() { scratch = {}; }

Interruption::Interruption() { interrupted = true; }
Interruption::~Interruption() { interrupted = false; }
bool Interruption::UnderWay() { return interrupted; }

}  // namespace timbre
