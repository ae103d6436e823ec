#pragma once

#include "troupe/wire.hpp"

namespace troupe {

/// Is this batch, as it came from outside, one that a queue takes? First what its header says, cheap:
/// invalid_argument, too_large, not_supported. The sender's bytes are not looked at.
error check_header(const publish& p);

/// Then its bytes: corrupt when they contradict the header or are no batch, too_large when a body exceeds the
/// topic's limit. On success the block is aligned for reading in place.
error check_content(publish& p, const topic_options& options);

} // namespace troupe
