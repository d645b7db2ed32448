// TuneRequest of the contract, checked. Pure functions, thread-safe.
#ifndef TIMBRE_SERVER_SERVICE_CONTRACT_TUNE_REQUEST_H_
#define TIMBRE_SERVER_SERVICE_CONTRACT_TUNE_REQUEST_H_

#include "absl/status/status.h"
#include "timbre/v1/retrieval.pb.h"

namespace timbre {

// The first request of a stream, but for its frames and the header
// timbre-speaker. INVALID_ARGUMENT naming the field.
absl::Status CheckFirstTuneRequest(const v1::TuneRequest& request);

// A later one, which must not say anything that `first` does not.
absl::Status CheckLaterTuneRequest(const v1::TuneRequest& request,
                                   const v1::TuneRequest& first);

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_CONTRACT_TUNE_REQUEST_H_
