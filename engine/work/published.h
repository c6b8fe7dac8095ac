// A run that was killed between the moment its output appeared and its end.
#pragma once

#include <optional>

#include "base/file.h"
#include "cache/fingerprint.h"
#include "engine/plan/request.h"

namespace strata {

// A run that was killed after its output had appeared.
struct PublishedRun {
  Fingerprint run;                       // RunKeys::run, of then
  std::optional<FileIdentity> replaced;  // the output that its --force exchanged, which may still lie about
};

// nullopt unless the journal says that the folder at places.output is what its run made. With Resume::never too.
std::optional<PublishedRun> published_before(const PlacesRequest& places, Resume resume);

// Removes what that run had no time to. Error{busy} while another one holds the work directory.
void tidy_up_after(const PublishedRun& run, const PlacesRequest& places);

}  // namespace strata
