#pragma once

#include "group_queues.hpp"

#include <caf/typed_response_promise.hpp>

#include <vector>

namespace troupe {

/// Resets SUBSCRIPTIONs, a few at a time, and answers with all of them, or with the first error once all have
/// answered. For the GROUP `self`, in whose thread it goes on.
void reset_all(group_impl::pointer self, std::vector<subscription_actor> all, const reset_group& r,
               caf::typed_response_promise<group_reset> promise);

} // namespace troupe
