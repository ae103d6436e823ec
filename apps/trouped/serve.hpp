#pragma once

#include "options.hpp"

namespace trouped {

class end_watch;

/// Runs a node until it is told to end. The process's exit code.
int serve(options o, end_watch& watch);

/// Checks a data directory: findings on standard output, progress on standard error when that is a terminal.
int verify(const options& o);

} // namespace trouped
