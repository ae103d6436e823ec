#pragma once

#include <cstddef>

namespace troupe::test {

/// How often this thread has allocated memory.
std::size_t allocations();

} // namespace troupe::test
