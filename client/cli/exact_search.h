// Exact search and RVC's formula in the client, to judge what a server or a
// local index finds.
#ifndef TIMBRE_CLIENT_CLI_EXACT_SEARCH_H_
#define TIMBRE_CLIENT_CLI_EXACT_SEARCH_H_

#include <cstdint>

#include "client/cpp/client.h"
#include "client/cpp/matrix.h"

namespace timbre::cli {

// The k nearest of `frames` (squared L2) for each of `queries`; fewer where
// there are no more.
client::SearchResult ExactSearch(const client::FrameMatrix& frames,
                                 const client::FrameMatrix& queries,
                                 uint32_t k);

// The share of `exact` neighbours that `found`, of the same queries, holds;
// ties by distance count as found (to 1e-5 relative).
double RecallOf(const client::SearchResult& found,
                const client::SearchResult& exact);

// RVC's pipeline: rate * sum(w * frames[ids]) + (1 - rate) * query with w =
// (1 / distance)^2 normalised; an exact match, where that is NaN, takes all
// the weight.
client::FrameMatrix RvcBlend(const client::FrameMatrix& frames,
                             const client::FrameMatrix& queries,
                             const client::SearchResult& found, float rate);

}  // namespace timbre::cli

#endif  // TIMBRE_CLIENT_CLI_EXACT_SEARCH_H_
