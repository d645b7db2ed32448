// What the catalog knows, as messages of the contract.
#ifndef TIMBRE_SERVER_SERVICE_CONTRACT_VERSION_MESSAGE_H_
#define TIMBRE_SERVER_SERVICE_CONTRACT_VERSION_MESSAGE_H_

#include "server/catalog/catalog.h"
#include "timbre/v1/retrieval.pb.h"

namespace timbre {

void FillPoint(const OperatingPoint& point, v1::OperatingPoint& message);

void FillVersion(const VersionInfo& info, v1::SpeakerVersion& message);

void FillSpeaker(const SpeakerInfo& info, v1::Speaker& message);

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_CONTRACT_VERSION_MESSAGE_H_
