#pragma once

#include "troupe/catalog_actor.hpp"

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace troupe {

/// INTERNAL: the changes gathered so far go to the STORE.
struct commit_changes {};
/// INTERNAL: a TOPIC that died while groups follow it is started again.
struct restart_topic {
  topic_id id;
};
/// INTERNAL: time to look which members of broadcast groups are gone for good.
struct look_at_members {};

/// INTERNAL: time to end the GROUPs of broadcast members that are not there.
struct end_idle_groups {};

/// The CATALOG as it sees itself.
using catalog_self = catalog_actor::extend<caf::reacts_to<commit_changes>, caf::reacts_to<restart_topic>,
                                           caf::reacts_to<look_at_members>, caf::reacts_to<end_idle_groups>,
                                           caf::reacts_to<member_moved>>;

} // namespace troupe

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::commit_changes)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::restart_topic)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::look_at_members)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::end_idle_groups)
