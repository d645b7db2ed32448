// Gauges that are read when somebody scrapes. Not for use outside of this
// folder.
#ifndef TIMBRE_SERVER_METRICS_SCRAPED_GAUGES_H_
#define TIMBRE_SERVER_METRICS_SCRAPED_GAUGES_H_

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <functional>
#include <utility>
#include <vector>

#include "server/metrics/server_metrics.h"

namespace timbre {

class ScrapedGauges : public prometheus::Collectable {
 public:
  explicit ScrapedGauges(std::function<ScrapedValues()> read)
      : read_(std::move(read)) {}
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const std::function<ScrapedValues()> read_;
};

// process_* as the Prometheus client libraries define them.
class ProcessGauges : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_METRICS_SCRAPED_GAUGES_H_
