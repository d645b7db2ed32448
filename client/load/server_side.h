// What the server says of itself: its metrics, read over HTTP.
#ifndef TIMBRE_CLIENT_LOAD_SERVER_SIDE_H_
#define TIMBRE_CLIENT_LOAD_SERVER_SIDE_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cpp/client.h"

namespace timbre::load {

// Every series of one scrape, "name{labels}" as the server writes it.
using Scrape = std::map<std::string, double>;

// Of Prometheus' text format (0.0.4): the lines that are samples.
Scrape ParseMetrics(const std::string& text);

// HOST:PORT of the metrics of `server`, as GetServerInfo says; empty: none.
absl::StatusOr<std::string> FindMetrics(client::Client& client,
                                        const std::string& server);
absl::StatusOr<Scrape> ReadMetrics(const std::string& host_and_port);

// The histogram `name` between two scrapes, of one set of labels.
struct ServerHistogram {
  std::string labels;  // nprobe="4"
  double count = 0;
  double sum = 0;  // seconds
  // Upper bound (seconds; infinite for the last) and cumulative count.
  std::vector<std::pair<double, double>> buckets;
  // Seconds, linear within a bucket (histogram_quantile of Prometheus).
  double Quantile(double share) const;
};

// Those that something was added to.
std::vector<ServerHistogram> Between(const Scrape& before, const Scrape& after,
                                     const std::string& name);

}  // namespace timbre::load

#endif  // TIMBRE_CLIENT_LOAD_SERVER_SIDE_H_
