// Limits of quotas that come, change and go while clients work.
#pragma once

#include "simulator/run.h"

namespace claudefs::simulator {

// Of the users and groups that the workload gives files to, and of the volume: at drawn moments of a round,
// as an operator would. One whose server dies meanwhile may have happened or not.
void change_limits(Cluster& cluster, const Plan& plan, u32 round);

}  // namespace claudefs::simulator
