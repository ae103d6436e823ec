#include "record_reader.hpp"

#include <algorithm>

namespace troupe {

result<record_view> view_record(queue_id queue, const queue_run& run, std::span<const char> entry) {
  auto header = decode_header(entry);
  if (!header)
    return header.error();
  if (header->kind != entry_kind::append || header->index != run.index || header->queue != queue)
    return error{errc::corrupt, "the queue's index points at an entry of another kind, index or queue"};
  auto directory = decode_directory(*header, entry);
  if (!directory)
    return directory.error();
  record_view view{*header, {}};
  std::uint64_t count = 0;
  for (const auto& b : *directory) {
    if (b.header.count == 0 || b.first_ordinal < run.first_ordinal ||
        b.first_ordinal - run.first_ordinal >= run.count)
      continue;
    if (std::uint64_t{b.at} + b.header.size > entry.size())
      return error{errc::corrupt, "a batch reaches over the end of its entry"};
    view.places.push_back({b, queue_offset{run.base.value + (b.first_ordinal - run.first_ordinal)}});
    count += b.header.count;
  }
  if (count != run.count)
    return error{errc::corrupt, "the queue's index counts " + std::to_string(run.count) +
                                    " messages, the entry has " + std::to_string(count)};
  return view;
}

std::uint64_t read_record(const stored_run& at, queue_offset from, std::uint64_t max_bytes,
                          read_result& out) {
  const auto& [shard, queue, run, entry] = at;
  const auto view = view_record(queue, run, entry);
  if (!view) {
    out.damaged.push_back(
        {shard, run.index, queue, std::max(run.base, from), run.next(), view.error().reason});
    out.next = run.next();
    return std::max<std::uint64_t>(run.bytes, 1);
  }
  auto next_of = [](const record_view::place& p) {
    return queue_offset{p.base.value + p.batch.header.count};
  };
  const auto& places = view->places;
  const auto begin = std::ranges::find_if(places, [&](const auto& p) { return next_of(p) > from; });
  if (begin == places.end())
    return 0;
  std::uint64_t bytes = begin->batch.header.size;
  auto end = begin + 1;
  for (; end != places.end() && bytes + end->batch.header.size <= max_bytes; ++end)
    bytes += end->batch.header.size;
  const auto first = begin->batch.at;
  const auto last = (end - 1)->batch.at + (end - 1)->batch.header.size;
  const auto copy = block::copy_of(entry.subspan(first, last - first));
  for (auto p = begin; p != end; ++p) {
    auto data = copy.slice(p->batch.at - first, p->batch.header.size);
    if (crc32c(data.bytes()) == p->batch.header.crc)
      out.batches.push_back(
          {p->batch.header, p->base, run.index, p->batch.first_ordinal, view->header.time, std::move(data)});
    else
      out.damaged.push_back({shard, run.index, queue, p->base, next_of(*p), "the batch's checksum is wrong"});
  }
  out.next = next_of(*(end - 1));
  return bytes;
}

} // namespace troupe
