// What Tune has measured, as a table and as a page.
#ifndef TIMBRE_CLIENT_CLI_TUNING_PAGE_H_
#define TIMBRE_CLIENT_CLI_TUNING_PAGE_H_

#include <string>
#include <vector>

#include "timbre/v1/retrieval.pb.h"

namespace timbre::cli {

// A heading, the points of the curve (the chosen one marked), one list searched
// as RVC does, and exact search.
std::vector<std::vector<std::string>> TuningTable(
    const v1::TuneResponse& response);

// Recall and blend error against the cost of a frame, nprobe beside each point,
// and the table; without anything from elsewhere.
//   note   beside the title: what was asked for
std::string TuningHtml(const std::string& title, const std::string& note,
                       const v1::TuneResponse& response);

}  // namespace timbre::cli

#endif  // TIMBRE_CLIENT_CLI_TUNING_PAGE_H_
