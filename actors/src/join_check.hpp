#pragma once

#include "troupe/catalog.hpp"
#include "troupe/definitions.hpp"
#include "troupe/error.hpp"
#include "troupe/wire_admin.hpp"

namespace troupe {

/// Of bytes of a member's name.
inline constexpr std::size_t max_member_name = 255;

/// What is wrong with a join whatever the group, its topics and filters are; no error when nothing is.
error check_join(const join& r);

/// What a join asks for, its filters in canonical form (also in `r`), or what is wrong with it.
result<wanted_membership> read_join(join& r);

/// What a change of a group's subscription asks for, its filter in canonical form, or what is wrong with it.
result<wanted_subscription> read_subscribe(const subscribe_group& r);

/// A start later than now is the latest one, which keeps the time of its choice: by that a queue is begun
/// that had no place yet when a crash came.
start_position not_later(start_position start, timestamp now);

/// The first message (from now on, at the latest) that a group gets of a topic it subscribes to while it
/// runs: by time, so that nothing published meanwhile is missed however long its places take.
start_position begin_in_new_topic(start_position start, timestamp now);

} // namespace troupe
