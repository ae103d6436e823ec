#pragma once

#include "troupe/definitions.hpp"

#include <cstdint>

namespace troupe {

/// A lane by its queue's number within the topic and its priority. Each lane is a queue of its own, with an
/// id, offsets and progress of its own; a topic without priorities has one lane per queue.
struct lane_place {
  std::uint32_t number = 0;
  std::uint8_t priority = 0;
  bool operator==(const lane_place&) const = default;
};

/// How many lanes a topic's queues have together. They are counted in order of number, and of each number in
/// order of priority.
constexpr std::uint32_t lanes_of(const topic_options& options) { return options.queues * options.priorities; }

/// The place of the n-th lane, and the n-th lane of a place.
constexpr lane_place place_of_lane(std::uint32_t n, std::uint8_t priorities) {
  return {n / priorities, static_cast<std::uint8_t>(n % priorities)};
}
constexpr std::uint32_t lane_at(lane_place at, std::uint8_t priorities) {
  return at.number * priorities + at.priority;
}

inline queue_id lane_id(const topic_definition& topic, lane_place at) {
  return topic.queue(at.number, at.priority);
}
inline queue_id lane_id(const topic_definition& topic, std::uint32_t n) {
  return lane_id(topic, place_of_lane(n, topic.options.priorities));
}

} // namespace troupe
