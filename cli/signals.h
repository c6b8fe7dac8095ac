// SIGINT and SIGTERM: the first asks the engine to stop, the second ends the program at once.
#pragma once

#include "base/interrupt.h"

namespace strata {

// From now on the first SIGINT or SIGTERM sets the flag that is returned and, with `announce`, says on
// stderr that the run is stopping; the second exits with 128 + signal. Closed pipes and file size limits
// become errors of the write.
const StopFlag* stop_on_signals(bool announce);

// The signal that came, or 0.
int received_signal();

}  // namespace strata
