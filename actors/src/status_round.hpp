#pragma once

#include "group_queues.hpp"

#include <functional>
#include <vector>

namespace troupe {

/// Asks SUBSCRIPTIONs for their state, a few at a time, and calls `done` with the answers in order of topic
/// and number; those that ended meanwhile are left out. For the GROUP `self`, in whose thread `done` is
/// called: before this returns when there is nobody to ask.
void ask_all(group_impl::pointer self, std::vector<subscription_actor> all,
             std::function<void(std::vector<subscription_status>)> done);

} // namespace troupe
