// Simulated code that gets past runtime::Env makes runs that cannot be repeated. tools/lint finds what is
// written down; this finds what a library does.
#pragma once

namespace claudefs::simtool {

// From now on a clock, randomness, a file, a socket, a sleep or a thread that is asked for while a world runs
// ends the process, with the name of what was asked for. The heap's own questions are let through.
void forbid_system_calls();

}  // namespace claudefs::simtool
