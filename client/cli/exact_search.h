// Exact search in the client, to judge what a server finds.
#ifndef TIMBRE_CLIENT_CLI_EXACT_SEARCH_H_
#define TIMBRE_CLIENT_CLI_EXACT_SEARCH_H_

#include <cstdint>

#include "client/cpp/client.h"
#include "client/cpp/matrix.h"

namespace timbre::cli {

// The share of the true k nearest of `queries` among `frames` (squared L2)
// that `found` holds; ties by distance count as found (to 1e-5 relative).
double RecallAgainstExact(const client::FrameMatrix& frames,
                          const client::FrameMatrix& queries,
                          const client::SearchResult& found);

}  // namespace timbre::cli

#endif  // TIMBRE_CLIENT_CLI_EXACT_SEARCH_H_
