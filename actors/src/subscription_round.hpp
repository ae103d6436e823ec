#pragma once

#include "group_queues.hpp"

#include <caf/error.hpp>
#include <caf/typed_response_promise.hpp>

#include <cstddef>
#include <functional>
#include <vector>

namespace troupe {

/// Asks SUBSCRIPTIONs for their state, a few at a time, and calls `done` with the answers in order of topic,
/// number and priority; those that ended meanwhile are left out. For the GROUP `self`, in whose thread `done`
/// is called: before this returns when there is nobody to ask.
void ask_all(group_impl::pointer self, std::vector<subscription_actor> all,
             std::function<void(std::vector<subscription_status>)> done);

/// The error of a reset of which a part is done: says how much.
caf::error partly_reset(const caf::error& failed, std::size_t done, std::size_t all, const char* of_what);

/// Resets SUBSCRIPTIONs, a few at a time, and answers with all of them, or with the first error once all have
/// answered. For the GROUP `self`, in whose thread it goes on.
void reset_all(group_impl::pointer self, std::vector<subscription_actor> all, const reset_group& r,
               caf::typed_response_promise<group_reset> promise);

} // namespace troupe
