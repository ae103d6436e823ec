#include "publish_check.hpp"

#include "troupe/batch.hpp"

namespace troupe {

namespace {

error above(const std::string& what, std::uint64_t is, std::uint64_t limit, std::string hint) {
  return {errc::too_large, what + " is " + std::to_string(is) + "; the limit is " + std::to_string(limit),
          std::move(hint)};
}

error invalid(std::string why) {
  return {errc::invalid_argument, std::move(why), "use a client library of this version"};
}

} // namespace

error check_header(const publish& p) {
  const auto& h = p.header;
  if (p.wanted > durability::one_way)
    return invalid("durability " + std::to_string(static_cast<unsigned>(p.wanted)) + " is unknown");
  if (h.kind > batch_kind::transactional)
    return invalid("batch kind " + std::to_string(static_cast<unsigned>(h.kind)) + " is unknown");
  if (h.kind != batch_kind::plain)
    return {errc::not_supported, "this version takes no delayed or transactional messages",
            "publish plain ones"};
  if (h.lane != 0) // reserved: a lane is a queue of its own
    return invalid("lane " + std::to_string(h.lane) + " is not 0");
  if (h.producer.value == 0 || h.epoch.value == 0 || h.sequence.value == 0)
    return invalid("producer, epoch and sequence of a batch are numbers from 1");
  if (h.count > max_batch_count)
    return above("the number of messages in the batch", h.count, max_batch_count, "send smaller batches");
  if (h.size > max_batch_size)
    return above("the batch's size in bytes", h.size, max_batch_size, "send smaller batches");
  // Empty is the one that stands in for a batch refused for good; batch_reader compares count and size.
  if (h.size != p.data.size || h.size % 8 != 0)
    return {errc::corrupt,
            "the batch says it has " + std::to_string(h.size) + " bytes, but " + std::to_string(p.data.size) +
                " came",
            "send it again"};
  return {};
}

error check_content(publish& p, const topic_options& options) {
  auto reader = batch_reader::open(p.header, p.data);
  if (!reader)
    return reader.error();
  p.data = reader->data();
  // A body is no longer than its batch, so for most batches nobody needs to look.
  if (p.header.size <= options.max_message)
    return {};
  for (std::uint32_t i = 0; i < reader->count(); ++i)
    if (const auto n = reader->body(i).size(); n > options.max_message)
      return above("the body of message " + std::to_string(i) + " in the batch", n, options.max_message,
                   "send a smaller message, or raise the topic's max_message");
  return {};
}

} // namespace troupe
