@0xc5144b7b8a45e77b;
# A batch of messages (docs/disk-format.md): one segment, no segment table, padded to 8, read in place.
# What never changes of a message stands in small fixed structs; the rest lies in one blob.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("troupe::schema");

struct Batch {
  bornBase @0 :Int64;
  # Unix milliseconds; a message was born at bornBase + bornDelta.

  metas @1 :List(Meta);
  # One per message, in order.

  blob @2 :Data;
  # Per message: tag, order key, keys (UInt16 length and bytes each), properties (UInt16 length of the name, UInt16
  # length of the value, both), body. The body ends where the next message begins.

  ttls @3 :List(UInt64);
  # Milliseconds after birth, 0 for none. Absent when no message has one; else one per message.

  dues @4 :List(Int64);
  # Unix milliseconds at which to deliver, 0 for at once. Absent when no message has one.

  borns @5 :List(Int64);
  # Unix milliseconds of birth, instead of bornBase and bornDelta, when those are too narrow (24 days either way).
}

struct HalfBatch {
  # A batch of half messages: a Batch, and whose decision they wait for. A struct of its own, so that other batches do
  # not carry it.
  bornBase @0 :Int64;
  metas @1 :List(Meta);
  blob @2 :Data;
  ttls @3 :List(UInt64);
  dues @4 :List(Int64);
  borns @5 :List(Int64);

  group @6 :Text;
  # The producer group that is asked; absent: nobody is, which takes a transaction.
  home @7 :UInt16;
  begin @8 :UInt64;
  # The transaction: its home shard, and the log index there. 0: each message is a transaction of its own.
}

struct Meta {
  bornDelta @0 :Int32;
  tagHash @1 :UInt32;
  # FNV-1a of the tag; 0 without one.
  orderKeyHash @2 :UInt32;
  blobBegin @3 :UInt32;
  # Where the message begins in the blob; the first at 0.
  tagLength @4 :UInt8;
  orderKeyLength @5 :UInt8;
  keysLength @6 :UInt16;
  propertiesLength @7 :UInt16;
  # Bytes in the blob, length prefixes included.
  priority @8 :UInt8;
  flags @9 :UInt8;
  # None are defined; a reader refuses a flag that it does not know.
}
