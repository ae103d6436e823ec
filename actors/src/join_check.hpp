#pragma once

#include "troupe/error.hpp"
#include "troupe/wire.hpp"

namespace troupe {

/// Of bytes of a member's name.
inline constexpr std::size_t max_member_name = 255;

/// What is wrong with a join whatever the group, its topics and filters are; no error when nothing is.
error check_join(const join& r);

} // namespace troupe
