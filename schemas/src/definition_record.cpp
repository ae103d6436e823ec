#include "crc32c_chain.hpp"
#include "definition_codec.hpp"

#include "troupe/entry.hpp"

namespace troupe {

namespace {

// A value of the definitions table: 8 bytes, then the flat message.
constexpr std::size_t prefix_size = 8;
constexpr std::size_t crc_at = 0;
constexpr std::size_t version_at = 4;
constexpr std::size_t kind_at = 6;
constexpr std::uint16_t record_version = 1;

enum class record_kind : std::uint16_t { topic = 1, group = 2 };

template <class Root, class Definition>
std::vector<char> encode_record(record_kind kind, const Definition& definition) {
  auto words = 1 + capnp::sizeInWords<Root>() + flat::extra_words(definition);
  std::vector<char> out(prefix_size + words * flat::word, '\0');
  auto body = flat::words(std::span(out).subspan(prefix_size));
  capnp::FlatMessageBuilder message(kj::arrayPtr(body.data(), body.size()));
  flat::write(definition, message.initRoot<Root>());
  message.requireFilled();
  flat::store(out.data() + version_at, record_version);
  flat::store(out.data() + kind_at, kind);
  flat::store(out.data() + crc_at, crc32c(std::span(out).subspan(version_at)));
  return out;
}

template <class Root, class Definition>
result<Definition> decode_record(record_kind kind, std::span<const char> bytes) {
  if (bytes.size() < prefix_size || bytes.size() % flat::word != 0)
    return error{errc::corrupt, "the definition is damaged: its length is not possible"};
  if (auto version = flat::load<std::uint16_t>(bytes.data() + version_at); version != record_version)
    return error{errc::unknown_version, "the definition has format version " + std::to_string(version),
                 "read it with the version of the program that wrote it"};
  if (crc32c(bytes.subspan(version_at)) != flat::load<std::uint32_t>(bytes.data() + crc_at))
    return error{errc::corrupt, "the definition is damaged: its checksum differs"};
  if (flat::load<record_kind>(bytes.data() + kind_at) != kind)
    return error{errc::corrupt, "the definition is damaged: it is of another kind"};
  auto body = bytes.subspan(prefix_size);
  auto read = [](typename Root::Reader root) { return flat::read(root); };
  if (flat::aligned(body.data()))
    return flat::read<Root>(body, "definition", read);
  auto copy = flat::allocate(body.size());
  std::memcpy(copy.get(), body.data(), body.size());
  return flat::read<Root>({copy.get(), body.size()}, "definition", read);
}

} // namespace

std::vector<char> encode(const topic_definition& topic) {
  return encode_record<schema::Topic>(record_kind::topic, topic);
}
std::vector<char> encode(const group_definition& group) {
  return encode_record<schema::Group>(record_kind::group, group);
}
result<topic_definition> decode_topic(std::span<const char> bytes) {
  return decode_record<schema::Topic, topic_definition>(record_kind::topic, bytes);
}
result<group_definition> decode_group(std::span<const char> bytes) {
  return decode_record<schema::Group, group_definition>(record_kind::group, bytes);
}

} // namespace troupe
