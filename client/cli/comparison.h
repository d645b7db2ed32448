// What a worker hears today and what it would hear from a server, side by side.
#ifndef TIMBRE_CLIENT_CLI_COMPARISON_H_
#define TIMBRE_CLIENT_CLI_COMPARISON_H_

#include <string>
#include <vector>

#include "client/cpp/matrix.h"

namespace timbre::cli {

// One way to blend the same queries.
struct Contender {
  std::string name;
  double recall = 0;       // of the true k nearest among its own frames
  double blend_error = 0;  // mean |blend - exact blend| / |exact blend|
  double shift = 0;        // mean |blend - query| / |query|, at the rate
  double block_us = 0;     // a frame, in blocks of 16: median
  double whole_us = 0;     // a frame, all in one piece
};

// Mean over rows of |a - b| / |b|; rows where b is zero do not count.
double MeanRelativeError(const client::FrameMatrix& a,
                         const client::FrameMatrix& b);

// A page with a table and bars, without anything from elsewhere.
std::string ComparisonHtml(const std::string& title,
                           const std::vector<Contender>& contenders);

}  // namespace timbre::cli

#endif  // TIMBRE_CLIENT_CLI_COMPARISON_H_
